"""The process around the command: where `python -m asyncdl` and the script `asyncdl` begin and end."""

from __future__ import annotations

import atexit
import os
import signal
import sys
from typing import NoReturn


def entry() -> NoReturn:
    """Run the command and end the process with its exit code."""
    try:
        # Here, so that Ctrl-C while they are imported is no traceback either.
        from asyncdl.cli.process import claim  # noqa: PLC0415

        claim()
        from asyncdl.cli.main import main  # noqa: PLC0415

        code = main()
    except KeyboardInterrupt:
        # The next one, if the user is that impatient, ends the process without a word.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        if sys.stderr is not None:
            print("asyncdl: interrupted by SIGINT", file=sys.stderr)  # noqa: T201  # a command prints
        code = 130  # as asyncdl.cli.exit_codes has it
    _leave(code)


def _leave(code: int) -> NoReturn:
    """End the process, also where a thread is inside a call that the system holds, such as fsync on a slow disk.

    The interpreter would wait for that thread, without a bound; the download has given up on it already. And whatever
    thread is still there would find an interpreter that is half taken down.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        # All is done: Ctrl-C from here on must not make the interpreter print where it was.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from asyncdl.cli.streams import flush_standard  # noqa: PLC0415  # see `entry`

    atexit._run_exitfuncs()  # noqa: SLF001  # what others have asked for; there is no public name
    flush_standard()
    # The interpreter would look through all that is left, several times, for what the system takes back at once.
    os._exit(code)


if __name__ == "__main__":
    entry()
