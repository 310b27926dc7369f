"""Many files over one pool of connections, within one bound of memory; one run of them is a `Batch`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, Callable, Iterable
from contextlib import AbstractAsyncContextManager
from math import inf
from types import TracebackType
from typing import Self, TypeAlias

from asyncdl.batch import Batch
from asyncdl.checks import check_callback, check_types, checked
from asyncdl.edge.clock import Clock
from asyncdl.edge.http import AiohttpTransport, Session
from asyncdl.edge.waits import is_cancelled, within
from asyncdl.engine import HeldOverError
from asyncdl.errors import OptionsError, TransferError
from asyncdl.hosts import Hosts
from asyncdl.job import Aside, Commons
from asyncdl.model import Progress, Request, Result
from asyncdl.options import READ_AHEAD, Options, Retry, Timeouts
from asyncdl.progress import Reporter
from asyncdl.room import Room
from asyncdl.rows import Rows, failed
from asyncdl.slots import Slots
from asyncdl.trials import download_of

#: Told of each file's progress.
BatchCallback: TypeAlias = Callable[[Request, Progress], object]

#: One connection in so many is kept for files of which nothing is known yet: a part of a large one may take minutes.
_KEPT = 8


class Downloader:
    """Downloads many files; an async context manager.

        async with asyncdl.Downloader(files=16) as downloader:
            async for result in downloader.run(requests):
                print(result.path, result.outcome, result.error)

    Small files go beside large ones: of the files at work, a quarter is kept for such as are not large, and some of the
    connections for such as are new. A host that asks for fewer requests (429, 503) gets fewer, and others are not held
    up; the retries of `retry.budget` are those of all files from one host.

    Memory: at most `memory_bound` bytes of files are held at once, however many there are, as long as one run is under
    way at a time: each further one has `files` of its own.

    Args:
        options: for each file; `options.connections` are its connections, `options.queue_depth` is for all together.
        timeouts: for each file; `timeouts.total` is counted from when its turn comes.
        files: at work at once, of each run. Some more may wait for a host that asked for peace.
        connections: requests in flight at once, of all files.
        session: an aiohttp session to use and not to close; None opens one.
        on_progress: called with the request and its progress, some ten times a second for each file at work.

    Raises:
        OptionsError: an argument cannot be used.
    """

    def __init__(
        self,
        *,
        options: Options = Options(),
        timeouts: Timeouts = Timeouts(),
        retry: Retry = Retry(),
        files: int = 16,
        connections: int = 32,
        session: Session | None = None,
        on_progress: BatchCallback | None = None,
    ) -> None:
        check_callback(on_progress)
        check_types(options, timeouts, retry, session)
        for name, value in (("files", files), ("connections", connections)):
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise OptionsError(f"{name} must be a whole number of at least 1")
        self._options, self._timeouts, self._retry = options, timeouts, retry
        self._files, self._connections = files, connections
        self._session, self._on_progress = session, on_progress
        self._clock = Clock()
        self._nobody = Reporter(None, self._clock)
        self._transport: AiohttpTransport | None = None
        self._commons: Commons
        self._batches: list[Batch] = []
        self._left = False

    @property
    def memory_bound(self) -> int:
        """Most bytes of files held at once: `(queue_depth + connections + files) * chunk_size`.

        A connection holds what its stream has read ahead, up to 1 MiB, even where `chunk_size` is smaller.
        """
        options = self._options
        shared = (options.queue_depth + self._files) * options.chunk_size
        return shared + self._connections * max(options.chunk_size, READ_AHEAD)

    async def __aenter__(self) -> Self:
        if self._transport is not None:
            raise OptionsError("a Downloader is entered once")
        options, clock = self._options, self._clock
        self._transport = transport = AiohttpTransport(
            options, self._timeouts, self._session, connections=self._connections
        )
        most = min(self._connections, transport.connection_limit or self._connections)
        self._commons = Commons(
            transport=transport,
            hosts=Hosts(most, clock, self._retry, kept=most // _KEPT),
            slots=Slots(most, kept=most // _KEPT),
            room=Room(options.queue_depth),
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._transport is not None  # noqa: S101  # it was entered
        self._left = True
        try:
            await asyncio.gather(*(batch.aclose() for batch in self._batches))
        finally:
            self._batches.clear()
            await self._transport.aclose()

    def run(self, requests: Rows, *, total: float | None = None) -> Batch:
        """Download them all; see `Batch`.

        A file that fails is a result with an error, and the others go on.

        Args:
            requests: any iterable, or an async one where getting the next row may take time. Taken from when there is
                room for another file, so its length costs nothing, and URLs in it may be made late. Of large files,
                up to 64 may wait for their turn while small ones go ahead: where URLs live for minutes, give callables
                that return them. An async generator is closed at the end.
            total: seconds for the batch. When they have passed, the files at work fail with a DeadlineError and can be
                resumed; if rows are left, the iteration ends in a DeadlineError too.

        Raises:
            OptionsError: an argument cannot be used, or the `Downloader` is not entered.
        """
        if self._transport is None or self._left:
            raise OptionsError("a Downloader is used inside `async with`")
        if total is not None and not (isinstance(total, int | float) and 0 < total < inf):
            raise OptionsError("total must be a number of seconds greater than 0, or None")
        if not isinstance(requests, Iterable | AsyncIterable):
            raise OptionsError(f"requests must be an iterable of asyncdl.Request, not {type(requests).__name__}")
        batch = Batch(
            requests,
            self._bring,
            files=self._files,
            connections=self._commons.slots.most,
            large=self._options.chunk_size.__lt__,
            total=total,
        )
        self._batches = [*(each for each in self._batches if not each.ended), batch]
        return batch

    async def _bring(self, request: Request, admit: Callable[[], bool], aside: Aside, deadline: float | None) -> Result:
        """The result for one file; `HeldOverError` if it is not admitted."""
        clock, download, held_over = self._clock, None, False
        began = clock.monotonic()

        def admitted() -> bool:
            nonlocal held_over
            held_over = not admit()
            return not held_over

        def progressed(progress: Progress) -> None:
            if self._on_progress is not None and not held_over:
                self._on_progress(request, progress)

        reporter = self._nobody if self._on_progress is None else Reporter(progressed, clock)
        try:
            with reporter.to_the_end():
                bound, until = self._time_for_one(began, deadline)
                async with bound:
                    download = download_of(
                        checked(request),
                        self._options,
                        self._timeouts,
                        self._retry,
                        self._commons,
                        clock=clock,
                        deadline=until,
                        admit=admitted,
                        aside=aside,
                    )
                    return await download.run(reporter)
        except HeldOverError:
            raise
        except asyncio.CancelledError:
            if is_cancelled():
                raise
            # Nobody cancelled this task: let through, there would be no result.
            error = TransferError("the download was cancelled by something it waited for")
            return download.failed(error) if download else failed(request, error, clock.monotonic() - began)
        except Exception as error:  # noqa: BLE001  # whatever it is, it is this file's, and the others go on
            return download.failed(error) if download else failed(request, error, clock.monotonic() - began)

    def _time_for_one(
        self, began: float, deadline: float | None
    ) -> tuple[AbstractAsyncContextManager[object], float | None]:
        """A bound for what is done for one file; and when that is, on the clock."""
        total = self._timeouts.total
        if deadline is None or (total is not None and began + total <= deadline):
            bound = within(total, hint="raise Timeouts.total (--max-time)")
        else:
            total = max(0.0, deadline - began)
            bound = within(total, what="the time for the batch was over: the file is", hint="allow the batch more time")
        return bound, None if total is None else began + total
