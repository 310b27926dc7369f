"""`python -m benchmarks NAME [ARGUMENTS]`."""

from __future__ import annotations

import sys

from benchmarks import checksums, memory, speed, startup

_BENCHMARKS = {"speed": speed.main, "memory": memory.main, "checksums": checksums.main, "startup": startup.main}


def main() -> None:
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    if name not in _BENCHMARKS:
        raise SystemExit(f"usage: python -m benchmarks {{{','.join(_BENCHMARKS)}}} [--help]")
    _BENCHMARKS[name](sys.argv[2:])


if __name__ == "__main__":
    main()
