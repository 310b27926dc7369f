"""`python -m asyncdl.testing`: one object served by an origin in this process until standard input closes."""

from __future__ import annotations

import sys

from asyncdl.testing.process import main

if __name__ == "__main__":
    sys.exit(main())
