"""Telling the caller how far a download is: a callback at intervals, or a stream of events."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TypeAlias

from asyncdl.edge.clock import Clock
from asyncdl.model import Phase, Progress
from asyncdl.rules.meter import Meter, eta

ProgressCallback: TypeAlias = Callable[[Progress], object]

#: Seconds between two calls: often enough for a smooth bar, seldom enough to cost nothing.
INTERVAL = 0.1

_NOTHING = nullcontext()

_logger = logging.getLogger("asyncdl")


class Reporter:
    """Calls back every `INTERVAL` seconds, and once when the download has ended, however it ended.

    A callback that raises is reported to the log once and does not disturb the download.

    Attributes:
        wanted: whether anybody listens.
        state: gives `(done, total, resumed, retries, refreshes)` at the moment; set by whoever knows.
    """

    def __init__(self, callback: ProgressCallback | None, clock: Clock) -> None:
        self._callback, self._clock = callback, clock
        self.wanted: bool = callback is not None
        self.state: Callable[[], tuple[int, int | None, int, int, int]] = lambda: (0, None, 0, 0, 0)
        self._began = clock.monotonic()
        self._meter = Meter(self._began)
        self._complained = False

    async def run(self) -> None:
        """Report until cancelled."""
        while self.wanted:
            self.report(Phase.DOWNLOADING)
            await asyncio.sleep(INTERVAL)

    def to_the_end(self) -> AbstractContextManager[None]:
        """Report the end of the block as the end of the download: a reader waits for it, however early it comes."""
        return self._to_the_end() if self.wanted else _NOTHING

    @contextmanager
    def _to_the_end(self) -> Iterator[None]:
        phase = Phase.FAILED
        try:
            yield
            phase = Phase.FINISHED
        finally:
            self.report(phase)

    def report(self, phase: Phase) -> None:
        """Report once."""
        if self._callback is None:
            return
        now = self._clock.monotonic()
        done, total, resumed, retries, refreshes = self.state()
        rate = self._meter.add(now, done - resumed)
        elapsed = now - self._began
        if phase is Phase.FINISHED and elapsed > 0:
            rate = (done - resumed) / elapsed
        progress = Progress(
            done=done,
            total=total,
            rate=rate,
            eta=eta(done, total, rate),
            elapsed=elapsed,
            resumed=resumed,
            retries=retries,
            refreshes=refreshes,
            phase=phase,
        )
        try:
            self._callback(progress)
        except Exception as error:  # noqa: BLE001  # a display must not cost anybody a file
            if not self._complained:
                self._complained = True
                _logger.warning("the progress callback raised %s; the download goes on", type(error).__name__)


class ProgressStream:
    """Progress as an async iterator: give it as `on_progress` and iterate over it elsewhere.

    Keeps only the latest event, so that a slow reader costs no memory; ends after the event whose phase is FINISHED
    or FAILED.

        events = asyncdl.ProgressStream()
        task = asyncio.create_task(asyncdl.download(url, "model.bin", on_progress=events))
        async for progress in events:
            print(progress.done, progress.total)
        result = await task
    """

    def __init__(self) -> None:
        self._latest: Progress | None = None
        self._news = asyncio.Event()

    def __call__(self, progress: Progress) -> None:
        self._latest = progress
        self._news.set()

    async def __aiter__(self) -> AsyncIterator[Progress]:
        ended = False
        while not ended:
            await self._news.wait()
            latest = self._latest
            assert latest is not None  # noqa: S101  # set before the event is
            ended = latest.phase is not Phase.DOWNLOADING
            if not ended:  # the end stays news for every other reader
                self._news.clear()
            yield latest
