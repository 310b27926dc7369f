"""The one writer task: takes chunks off the queue, puts them on the disk, and claims in the journal what is durable.

Rule: a byte is claimed only by a flush that began after it was written; what is to be written anew is given up before.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from asyncdl.edge.clock import Clock
from asyncdl.edge.sink import FileSink
from asyncdl.edge.waits import first_cause
from asyncdl.model import Chunk, Part
from asyncdl.options import MIB
from asyncdl.rules.held import Held, Holdings
from asyncdl.rules.parts import Coverage
from asyncdl.rules.ranges import MAX_SIZE
from asyncdl.verifier import Verifier

#: Bytes that are worth a flush, if the last one began `FLUSH_PAUSE` seconds ago: a file system writes its own journal
#: at each, and on a fast link every 32 MiB would be many times a second.
FLUSH_BYTES: Final = 32 * MIB
FLUSH_PAUSE: Final = 1.0
#: Bytes that are not left for later. While a flush runs, as many again may be written: what a crash costs is at most
#: twice this much, and what was on its way.
FLUSH_MOST: Final = 256 * MIB
#: Seconds after which a flush begins, however little there is.
FLUSH_SECONDS: Final = 5.0
#: Written bytes from which on memory is left to others: a file this large is not read again from there soon.
_LARGE: Final = 1024 * MIB
#: Seconds that a download which ends early has left to write what it has, and again to claim it.
_LAST_FLUSH: Final = 1.0


class Writer:
    """Consumes the queue until it finds None.

    Attributes:
        coverage: what is in the file and good.
        written: how many offsets were ever written, each counted once, or found in the file at the beginning.
        verifier: adds up what is written.
        reserving: takes the space; nothing is written before it has ended.

    Args:
        batch: most chunks taken to the disk in one go.
        one_stream: whether one response brings everything now: then all that follows a byte which comes again does too.
    """

    coverage: Coverage
    written: int
    verifier: Verifier
    reserving: asyncio.Task[None] | None

    def __init__(
        self,
        sink: FileSink,
        queue: asyncio.Queue[Chunk | None],
        batch: int,
        clock: Clock,
        *,
        one_stream: Callable[[], bool] = lambda: False,
    ) -> None:
        self._sink, self._queue, self._batch, self._clock = sink, queue, batch, clock
        self._one_stream = one_stream
        self.reserving = None
        self.coverage, self._ever = Coverage(), Coverage()
        self.written = 0
        self._found = Coverage()
        self.verifier = Verifier(None, sink.examine)
        self._unclaimed = 0
        self._oldest = self._flushed = clock.monotonic()
        self._cached: list[Part] = []  # durable, and yet to be read by the verifier
        self._flushing: asyncio.Task[None] | None = None

    def begin(self, verifier: Verifier, keep: Sequence[Held]) -> None:
        """The bytes of `keep` are in the file already; `verifier` knows of them."""
        self.verifier = verifier
        for held in keep:
            self.coverage.add(held.start, held.stop)
            self.written += self._ever.add(held.start, held.stop)
        self._found = Coverage(keep)
        verifier.written(self.coverage)

    @property
    def resumed(self) -> int:
        """How many bytes were found in the file at the beginning, and have not been given up since."""
        return sum(span.length for span in self._found.spans)

    async def run(self) -> None:
        """Write until the end, and claim everything.

        Raises:
            StorageError: the disk refused; nothing is tried again.
        """
        try:
            async with asyncio.TaskGroup() as group:
                await self._consume(group)
        except BaseExceptionGroup as group:
            first = first_cause(group)
        else:
            return
        raise first

    async def _consume(self, group: asyncio.TaskGroup) -> None:
        ended = False
        while not ended:
            chunks: list[Chunk] = []
            ended = self._take(await self._next(group), chunks)
            while not ended and len(chunks) < self._batch and not self._queue.empty():
                ended = self._take(self._queue.get_nowait(), chunks)
            for batch in _without_repetition(chunks):
                await self._write(batch)
            await self._flush_if_due(group)
        if self._flushing:
            await self._flushing
        await self._flush(self.verifier.claims())

    async def _next(self, group: asyncio.TaskGroup) -> Chunk | None:
        while self._queue.empty():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(FLUSH_SECONDS):
                    return await self._queue.get()
            await self._flush_if_due(group)
        return self._queue.get_nowait()

    @staticmethod
    def _take(item: Chunk | None, chunks: list[Chunk]) -> bool:
        if item is None:
            return True
        chunks.append(item)
        return False

    async def _write(self, chunks: list[Chunk]) -> None:
        if self.reserving:
            await self.reserving
            self.reserving = None
        again = [Part(chunk.offset, chunk.stop) for chunk in chunks if self.coverage.has_some(chunk.offset, chunk.stop)]
        if again:
            # Once for all of a stream that began again, not once for each chunk of it.
            await self.forget([Part(min(again).start, self.coverage.stop)] if self._one_stream() else again)
        if not self._unclaimed:
            self._oldest = self._clock.monotonic()
        await self._sink.write(chunks, self.verifier.summing(chunks))
        for chunk in chunks:
            self.written += self._ever.add(chunk.offset, chunk.stop)
            self._unclaimed += self.coverage.add(chunk.offset, chunk.stop)
            chunk.release()
        self.verifier.written(self.coverage)

    async def forget(self, spans: Sequence[Part]) -> None:
        """Give up bytes that will be written anew; when this returns, no crash brings them back."""
        spans = [span for span in spans if span.length > 0]
        if self._flushing:
            await self._flushing
        for span in spans:
            self.coverage.remove(*span)
            self._found.remove(*span)
        if spans:
            await self._sink.forget(spans)
            await self.verifier.forget(spans)

    async def _flush_if_due(self, group: asyncio.TaskGroup) -> None:
        now = self._clock.monotonic()
        most = self._unclaimed >= FLUSH_MOST
        if self._flushing and (most or self._flushing.done()):
            await self._flushing
            self._flushing = None
        if self._flushing or not self._unclaimed:
            return
        much = self._unclaimed >= FLUSH_BYTES and now - self._flushed >= FLUSH_PAUSE
        if most or much or now - self._oldest >= FLUSH_SECONDS:
            self._flushed = now
            # All that has been taken is written: only this task writes, and it is here.
            held, self._unclaimed = self.verifier.claims(), 0
            self._flushing = group.create_task(self._flush(held))

    async def _flush(self, held: Sequence[Held]) -> None:
        if held:
            await self._sink.commit(held)
        if self.written >= _LARGE:
            needed = self.verifier.reads_from
            self._cached += [Part(span.start, span.stop) for span in held]
            unneeded = [span for span in self._cached if needed is None or span.stop <= needed]
            self._cached = [span for span in self._cached if needed is not None and span.stop > needed]
            await self._sink.drop_cache(unneeded)

    async def wind_up(self, running: asyncio.Task[None]) -> None:
        """Let `running`, the task of `run`, write what is in the queue, if that does not take long. Raises nothing."""
        # Whatever ended the download, what has come is worth keeping.
        end = asyncio.ensure_future(self._queue.put(None))
        try:
            async with asyncio.timeout(_LAST_FLUSH):
                # A writer that has failed takes nothing out of a queue that is full.
                await asyncio.wait({running, end}, return_when=asyncio.FIRST_COMPLETED)
                await asyncio.wait({running})
        except TimeoutError:
            pass
        finally:
            end.cancel()

    async def settle(self) -> None:
        """After a download that ended early: claim what there is, if that does not take long. Raises nothing."""
        written = Holdings(self.verifier.claims())
        for gap in self.coverage.missing(MAX_SIZE):
            written.drop(*gap)
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(_LAST_FLUSH):
                await self._flush(written.items)


def _without_repetition(chunks: Sequence[Chunk]) -> Iterator[list[Chunk]]:
    """The same chunks in the same order, in batches that have no byte twice."""
    if len(chunks) == 1:
        yield list(chunks)
        return
    batch: list[Chunk] = []
    spans = Coverage()
    for chunk in chunks:
        if spans.has_some(chunk.offset, chunk.stop):
            yield batch
            batch, spans = [], Coverage()
        batch.append(chunk)
        spans.add(chunk.offset, chunk.stop)
    if batch:
        yield batch
