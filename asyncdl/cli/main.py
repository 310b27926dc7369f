"""The command's entry: to the demo or to the downloads; it decides nothing else."""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING

from asyncdl.cli import arguments, streams
from asyncdl.cli.text import PROGRAM
from asyncdl.errors import OptionsError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from asyncdl.cli.run import Download


def main(
    argv: Sequence[str] | None = None,
    *,
    download: Download | None = None,
    environ: Mapping[str, str] | None = None,
) -> int:
    """Run the command `asyncdl`; its exit code.

    Args:
        argv: arguments after the program's name; None takes the process's.
        download: called instead of the engine's `download`.
        environ: variables; None takes the process's.
    """
    argv = sys.argv[1:] if argv is None else argv
    environ = os.environ if environ is None else environ
    try:
        streams.open_missing()
        return _run(argv, download, environ)
    except KeyboardInterrupt:
        # Where work is under way, signals have handlers; this one came before, or after.
        streams.Lines(sys.stderr).write(f"{PROGRAM}: interrupted by {signal.SIGINT.name}")
        return 128 + signal.SIGINT


def _run(argv: Sequence[str], download: Download | None, environ: Mapping[str, str]) -> int:
    try:
        if argv[:1] == ["demo"]:
            from asyncdl.cli import demo  # noqa: PLC0415

            return demo.run(demo.parse(argv[1:]), download)
        asked = arguments.parse(argv, environ)
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else 0
    except OptionsError as error:
        from asyncdl.cli.run import usage_error  # noqa: PLC0415

        return usage_error(error)
    # asyncio alone doubles the time that --version takes.
    from asyncdl.cli.run import run  # noqa: PLC0415

    return run(asked, download)
