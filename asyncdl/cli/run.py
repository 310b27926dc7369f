"""Downloading what the settings ask for, here one file, and saying how it went; many are `many.run`'s business."""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import sys
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from asyncdl.cli import exit_codes, jobs, process, signals, text
from asyncdl.cli.display import Display, JsonDisplay, PlainDisplay
from asyncdl.errors import AsyncdlError, OptionsError
from asyncdl.model import Phase

if TYPE_CHECKING:
    import signal
    from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator
    from pathlib import Path
    from typing import TextIO

    from asyncdl.cli.settings import Settings
    from asyncdl.model import Checksum, IfExists, Progress, Result, Source
    from asyncdl.options import Options, Retry, Timeouts


#: What a run does on its event loop; its exit code.
Work: TypeAlias = "Callable[[], Coroutine[Any, Any, int]]"


class Download(Protocol):
    """`asyncdl.calls.download`, as far as the command calls it."""

    async def __call__(  # the engine has so many
        self,
        source: Source,
        dest: Path,
        *,
        size: int | None = ...,
        checksum: Checksum | str | None = ...,
        headers: Iterable[tuple[str, str]] | None = ...,
        if_exists: IfExists = ...,
        options: Options = ...,
        timeouts: Timeouts = ...,
        retry: Retry = ...,
        on_progress: Callable[[Progress], object] | None = ...,
    ) -> Result: ...


def run(asked: Settings, download: Download | None = None) -> int:
    """Do it all; the exit code.

    Args:
        asked: by the user.
        download: instead of the engine's.
    """
    display, work = _of_many(asked, download) if asked.is_batch else _of_one(asked, download)

    def interrupted(number: signal.Signals) -> None:
        display.close()
        display.interrupted(number)

    def aborted() -> None:
        # It runs in a session of its own, where a Ctrl-C at the terminal does not reach it.
        if command := sys.modules.get("asyncdl.sources.command"):
            command.kill_running()
        display.close()

    try:
        with _log_notes(display):
            return signals.run_interruptible(work, on_interrupt=interrupted, on_abort=aborted)
    finally:
        display.close()


def _of_one(asked: Settings, download: Download | None) -> tuple[Display, Work]:
    display = choose_display(sys.stderr, output=sys.stdout, json=asked.json, quiet=asked.quiet, verbose=asked.verbose)
    return display, lambda: _run(asked, display, download)


def _of_many(asked: Settings, download: Download | None) -> tuple[Display, Work]:
    from asyncdl.cli.many import run as many  # noqa: PLC0415  # lists and sources are nothing to most downloads
    from asyncdl.cli.many.tally import Tally  # noqa: PLC0415

    tally = Tally()
    display = many.choose_display(
        sys.stderr, tally, output=sys.stdout, json=asked.json, quiet=asked.quiet, verbose=asked.verbose
    )
    return display, many.Run(asked, display, tally, download).run


def choose_display(
    errors: TextIO, *, output: TextIO | None = None, json: bool = False, quiet: bool = False, verbose: int = 0
) -> Display:
    """JSON if asked for; a bar on a terminal that can draw one, if rich is installed; else plain lines."""
    if json and output is not None:
        return JsonDisplay(output, errors, verbose=verbose, quiet=quiet)
    if quiet:
        return Display(errors)
    if errors.isatty() and os.environ.get("TERM") not in {"dumb", "unknown"}:
        # rich comes with the extra `cli`, and its import takes longer than all the rest of this command.
        with contextlib.suppress(ImportError):
            from asyncdl.cli.bar import BarDisplay  # noqa: PLC0415

            return BarDisplay(errors, verbose=verbose)
    return PlainDisplay(errors, verbose=verbose)


def engine_download() -> Download:
    """The engine, imported when it is needed: aiohttp takes its time, and --help has no use for it."""
    with process.loading():
        from asyncdl.calls import download  # noqa: PLC0415

    return download


async def _run(asked: Settings, display: Display, download: Download | None) -> int:
    try:
        options, retry = asked.options(), asked.retry()
        planned = await jobs.plan(asked)
        download = download or engine_download()
    except AsyncdlError as error:
        display.failed(None, error)
        return exit_codes.of_error(error)
    (job,) = planned

    def progressed(progress: Progress) -> None:
        display.resumable = asked.resume and progress.done > 0 and progress.phase is not Phase.FINISHED
        display.progressed(job, progress)

    call = functools.partial(
        download,
        job.source,
        job.path,
        size=asked.size,
        checksum=job.checksum,
        headers=asked.headers,
        if_exists=asked.if_exists,
        options=options,
        timeouts=asked.timeouts(spent=job.spent),
        retry=retry,
        on_progress=progressed,
    )
    return await _one(job, display, call)


async def _one(job: jobs.Job, display: Display, call: Callable[[], Awaitable[Result]]) -> exit_codes.ExitCode:
    display.started(job)
    try:
        result = await call()
    except Exception as error:  # noqa: BLE001  # whatever it is, it is told in words
        display.failed(job, error)
        return exit_codes.of_error(error)
    display.finished(job, result)
    return exit_codes.ExitCode.OK


@contextlib.contextmanager
def _log_notes(display: Display) -> Iterator[None]:
    """What the library logs, as notes: from INFO on with -v, all of it with -vv."""
    if not display.verbose:
        yield
        return
    logger, handler = logging.getLogger("asyncdl"), _NoteHandler(display)
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG if display.verbose > 1 else logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


class _NoteHandler(logging.Handler):
    def __init__(self, display: Display) -> None:
        super().__init__()
        self._display = display

    def emit(self, record: logging.LogRecord) -> None:
        self._display.note(text.redacted(record.getMessage()))


def usage_error(error: OptionsError) -> int:
    """Say what is wrong with the command line or the environment."""
    Display(sys.stderr).failed(None, error)
    return exit_codes.of_error(error)
