"""`python -m asyncdl`; nothing but the call."""

from asyncdl.cli.main import main

if __name__ == "__main__":
    raise SystemExit(main())
