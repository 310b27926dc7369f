"""A batch from its beginning to its end: each file begun, counted and shown, and what failed written down."""

from __future__ import annotations

import os
from collections.abc import AsyncIterable, AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, aclosing, asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from asyncdl.cli import exit_codes, process
from asyncdl.cli.many.display import ManyDisplay, ManyJson, ManyPlain
from asyncdl.cli.many.failed import NEW, FailedFile
from asyncdl.cli.many.items import Item, Refused
from asyncdl.cli.many.plan import Plan
from asyncdl.errors import AsyncdlError, StorageError
from asyncdl.model import Outcome, Phase, Request, Result

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TextIO

    from asyncdl.cli.many.display import Shows
    from asyncdl.cli.many.tally import Tally
    from asyncdl.cli.run import Download
    from asyncdl.cli.settings import Settings
    from asyncdl.model import Progress


class Runner(Protocol):
    """A `Downloader`, as far as the command calls it."""

    def run(self, requests: AsyncIterable[Request], *, total: float | None = None) -> AsyncIterator[Result]: ...


class OneByOne:
    """A `Runner` that calls a function for one file after the other.

    Args:
        download: the function.
        asked: by the user.
        on_progress: as a `Downloader` takes it.
    """

    def __init__(self, download: Download, asked: Settings, on_progress: Callable[[Request, Progress], object]) -> None:
        self._download, self._asked, self._on_progress = download, asked, on_progress

    async def run(self, requests: AsyncIterable[Request], *, total: float | None = None) -> AsyncIterator[Result]:
        """The results in the order of the requests."""
        del total
        asked = self._asked
        async for request in requests:

            def progressed(progress: Progress, request: Request = request) -> None:
                self._on_progress(request, progress)

            try:
                result = await self._download(
                    request.source,
                    request.dest,
                    size=request.size,
                    checksum=request.checksum,
                    headers=request.headers,
                    if_exists=request.if_exists,
                    options=asked.options(),
                    timeouts=asked.timeouts(),
                    retry=asked.retry(),
                    on_progress=progressed,
                )
            except Exception as error:  # noqa: BLE001  # whatever it is, the other files still have their turn
                result = Result(path=request.dest, outcome=Outcome.FAILED, size=None, elapsed=0.0, error=error)
            yield replace(result, request=request)


class Run:
    """One batch.

    Args:
        asked: by the user.
        display: of it.
        tally: kept for the display.
        download: called for each file instead of the engine.
    """

    def __init__(self, asked: Settings, display: Shows, tally: Tally, download: Download | None = None) -> None:
        self._asked, self._display, self._tally, self._download = asked, display, tally, download
        self._failed = FailedFile(asked.batch.failed, asked.batch.input)
        self._items: dict[Path, Item] = {}
        self._begun: set[Path] = set()
        self._fault: AsyncdlError | None = None
        # Asked for now: where the loop runs, nothing may look at the file system.
        self._directory = Path(os.path.abspath(asked.dir))  # noqa: PTH100  # `..` goes as well
        batch = asked.batch
        written = [] if batch.failed is None else [batch.failed, batch.failed + NEW]
        own = [*written, *(path for path in (batch.input, batch.only) if path not in {None, "-"})]
        self._own = [Path(os.path.abspath(path)) for path in own if path]  # noqa: PTH100

    async def run(self) -> int:
        """Do it all; the exit code."""
        try:
            await self._all()
        except AsyncdlError as error:
            self._fault = error
        if self._fault is not None:
            self._tally.codes.add(exit_codes.of_error(self._fault))
            self._display.failed(None, self._fault)
        if self._fault is None or self._tally.summary.files:
            self._display.ended()
        return self._tally.exit_code

    async def _all(self) -> None:
        plan = Plan(
            self._asked, directory=self._directory, own=self._own, refuse=self._refused, note=self._display.warned
        )
        async with AsyncExitStack() as stack:
            await self._failed.open()
            stack.push_async_callback(self._failed.close)
            stack.push_async_callback(plan.aclose)
            runner = await stack.enter_async_context(self._runner())
            async for result in runner.run(self._requests(plan), total=self._asked.batch.batch_time):
                await self._ended(result)

    def _runner(self) -> AbstractAsyncContextManager[Runner]:
        asked = self._asked
        if self._download is not None:
            return _as_it_is(OneByOne(self._download, asked, self._progressed))
        with process.loading():
            from asyncdl.downloader import Downloader  # noqa: PLC0415  # as `engine_download` has it

        return Downloader(
            options=asked.options(),
            timeouts=asked.timeouts(),
            retry=asked.retry(),
            files=asked.batch.files,
            connections=asked.batch.total_connections,
            on_progress=self._progressed,
        )

    async def _requests(self, plan: Plan) -> AsyncIterator[Request]:
        async with aclosing(plan.items()) as items:
            async for item in items:
                self._items[item.path] = item
                yield item.request

    def _progressed(self, request: Request, progress: Progress) -> None:
        item = self._items.get(request.dest)
        if item is None:
            return
        self._begin(item)
        self._tally.progressed(item, progress)
        unfinished = progress.done > 0 and progress.phase is not Phase.FINISHED
        self._display.resumable = self._display.resumable or (self._asked.resume and unfinished)
        self._display.progressed(item, progress)

    def _begin(self, item: Item) -> None:
        if item.path not in self._begun:
            self._begun.add(item.path)
            self._display.started(item)

    async def _ended(self, result: Result) -> None:
        assert result.request is not None  # noqa: S101  # each result is one of ours
        item = self._items.pop(result.request.dest)
        self._begin(item)
        self._begun.discard(item.path)
        self._tally.ended(item, result)
        if result.error is None:
            self._display.finished(item, result)
        else:
            self._display.failed(item, result.error)
            await self._write_down(item, result.error)
        await item.ended()

    async def _refused(self, subject: Refused, error: Exception) -> None:
        self._tally.refused(subject, error)
        self._display.refused(subject, error)
        await self._write_down(subject, error)

    async def _write_down(self, subject: Item | Refused, error: Exception) -> None:
        try:
            await self._failed.add(subject, error)
        except StorageError as fault:
            # What is downloaded is worth more than the list of what is not.
            self._fault = self._fault or fault


@asynccontextmanager
async def _as_it_is(runner: Runner) -> AsyncIterator[Runner]:
    yield runner


def choose_display(
    errors: TextIO, tally: Tally, *, output: TextIO, json: bool = False, quiet: bool = False, verbose: int = 0
) -> Shows:
    """JSON if asked for; bars on a terminal that can draw some, if rich is installed; else plain lines."""
    if json:
        return ManyJson(output, errors, tally, verbose=verbose, quiet=quiet)
    if quiet:
        return ManyDisplay(errors, tally)
    if errors.isatty() and os.environ.get("TERM") not in {"dumb", "unknown"}:
        with suppress(ImportError):
            from asyncdl.cli.many.bars import ManyBars  # noqa: PLC0415  # see asyncdl.cli.run

            return ManyBars(errors, tally, verbose=verbose)
    return ManyPlain(errors, tally, verbose=verbose)
