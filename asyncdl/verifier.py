"""Adds up an object's bytes while they come in, so that little is left to do when the last one is there.

A CRC is made of every chunk in memory, in whatever order they come. A hash needs them in order: it takes from memory
what comes next, and what came too early it reads back, in the background, as soon as what was missing has arrived.

Rule: no sum is made on the event loop, and no buffer is looked at after `take` has ended.
Rule: a CRC is of the bytes as they came in, never of what the disk says about them.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from operator import attrgetter
from typing import Final, Protocol, TypeVar

from asyncdl.edge import hashing
from asyncdl.edge.disk import Reader
from asyncdl.edge.errands import errand
from asyncdl.edge.sums import RunningHash, Sums, Window, blocks, joined
from asyncdl.edge.threads import Worker
from asyncdl.model import DIGEST_SIZES, Checksum, Chunk, Part
from asyncdl.options import MIB
from asyncdl.rules.checksums import COMBINABLE
from asyncdl.rules.held import Crc, Held, Holdings
from asyncdl.rules.parts import Coverage

T = TypeVar("T")

#: Bytes read back in one visit to the reading thread: 8 to 20 ms of hashing, so that others get their turn and whoever
#: is cancelled waits no longer. A visit itself costs 0.1 to 0.4 ms.
PIECE: Final = 16 * MIB


class Examine(Protocol):
    """Runs a blocking call where it can read the file; one at a time (`PartFile.examine`)."""

    def __call__(self, call: Callable[[Reader], T], /) -> Awaitable[T]: ...


async def computable(algorithms: Iterable[str]) -> frozenset[str]:
    """Which of these can be computed here. Not on the event loop: to say so may mean to load a library."""

    def ask() -> frozenset[str]:
        return frozenset(algorithm for algorithm in algorithms if hashing.available(algorithm))

    return await errand(ask)


class Verifier:
    """The sums of one object.

    The calls come one at a time, from one task or after another; only `aclose` may interrupt.

    Args:
        wanted: what will be verified in the end; None if nothing is, and then nothing is added up.
        examine: reads back.
        held: what an earlier download left in the file.
    """

    def __init__(self, wanted: Checksum | None, examine: Examine, *, held: Sequence[Held] = ()) -> None:
        self._wanted, self._examine = wanted, examine
        self._worker = Worker(lambda: None)
        self._window = Window()
        self._ready = Holdings()  # for the next claim
        self._sums = Sums(held)
        self._hash = None if wanted is None or wanted.algorithm in COMBINABLE else RunningHash(wanted.algorithm)
        self._coverage = Coverage()
        self._unread = Coverage(held)  # of these nobody in this process has seen the bytes
        self._background: asyncio.Task[None] | None = None
        self._paused = False
        self._fault: Exception | None = None

    @property
    def reads_from(self) -> int | None:
        """The bytes from this one on may be read back; None where none will be, unless something is wrong."""
        return None if self._hash is None else self._hash.prefix.hashed

    async def load(self) -> None:
        """Load what the sums need while no byte waits for it: the interpreter does little else meanwhile."""
        if self._wanted is not None:
            with contextlib.suppress(OSError):  # it comes again with the first write, which says of what file
                await errand(hashing.best_crc if self._hash else partial(hashing.available, self._wanted.algorithm))

    def _crc(self) -> str | None:
        """The CRC that is kept. Not on the event loop: it may have to load a library."""
        if self._wanted is None:
            return None
        return self._wanted.algorithm if self._hash is None else hashing.best_crc()

    async def take(self, chunks: Sequence[Chunk]) -> None:
        """Add up chunks that have just come in. None of their bytes was taken before, or else it was forgotten since.

        Raises:
            StorageError: reading back in the background failed.
            OptionsError: there is no library for the checksum wanted.
        """
        work = self.summing(chunks)
        if self._wanted is None:
            work()
        else:
            await self._worker.run(work)

    def summing(self, chunks: Sequence[Chunk]) -> Callable[[], None]:
        """What `take` does, as a blocking call for any one thread: for the one that writes the same chunks.

        A thread's turn costs more than the CRC of some megabytes.
        """
        self._raise_fault()
        return partial(self._add, tuple(chunks))

    def _add(self, chunks: Sequence[Chunk]) -> None:
        algorithm = self._crc()
        self._sums.shorten()
        for chunk in chunks:
            self._window.add(algorithm, chunk)
        if self._hash is not None:
            self._hash.in_hand(chunks)

    def written(self, coverage: Coverage) -> None:
        """`coverage`, which may go on growing, is on the disk now: what the hash is waiting for may be among it."""
        self._coverage = coverage
        idle = self._background is None or self._background.done()
        if idle and not self._paused and self._fault is None and self._next_on_disk() is not None:
            self._background = asyncio.create_task(self._read_behind())

    def _next_on_disk(self) -> Part | None:
        return None if self._hash is None else self._hash.prefix.on_disk(self._coverage)

    async def _read_behind(self) -> None:
        try:
            while not self._paused and self._hash is not None and (part := self._next_on_disk()) is not None:
                await self._read_on(self._hash, part.stop)
        except Exception as error:  # noqa: BLE001  # whatever it is, the next call raises it
            self._fault = error

    async def _read_on(self, running: RunningHash, stop: int) -> None:
        """Let the hash take one piece of what comes next; all before `stop` is on the disk."""
        await self._examine(partial(running.read_on, min(stop, running.prefix.hashed + PIECE)))

    def _raise_fault(self) -> None:
        if self._fault is not None:
            raise self._fault

    def claims(self) -> list[Held]:
        """The spans taken since the last call, neighbours as one, in order; with their CRCs where these are kept."""
        self._close_window()
        ready, self._ready = self._ready, Holdings()
        return list(ready.items)

    def _close_window(self) -> None:
        for held in self._window.close():
            self._ready.put(held)
            self._sums.put(held)

    async def forget(self, spans: Sequence[Part]) -> None:
        """These bytes, taken or not, will be written anew; what is `written` has them no more.

        When this returns nothing reads them.
        """
        self._close_window()
        for span in spans:
            self._ready.drop(*span)
            self._sums.drop(*span)
            self._unread.remove(*span)
        if self._hash is None:
            return
        try:
            await self._pause()
        finally:
            self._paused = False
            if any(span.start < min(span.stop, self._hash.prefix.hashed) for span in spans):
                self._hash = self._hash.anew()

    async def _pause(self) -> None:
        """Let nothing be read in the background, from now until `_paused` is taken back."""
        self._paused = True
        if self._background is not None:
            await asyncio.wait({self._background})

    async def finish(self, size: int, coverage: Coverage) -> Checksum | None:
        """The checksum of the object of `size` bytes, all of them on the disk; None if none is wanted.

        Raises:
            StorageError: the file cannot be read, now or earlier in the background.
            OptionsError: there is no library for the checksum wanted.
            ValueError: some bytes are not on the disk.
        """
        if self._wanted is None:
            return None
        self._raise_fault()
        if next(coverage.missing(size), None) is not None:
            raise ValueError("there is no checksum of what is not there")
        algorithm = self._wanted.algorithm
        if self._hash is None:
            whole = await self._whole_crc(algorithm, size)
            return Checksum(algorithm, whole.to_bytes(DIGEST_SIZES[algorithm], "big"))
        try:
            await self._pause()
            self._raise_fault()
            if self._hash.prefix.hashed > size:
                self._hash = self._hash.anew()
            while self._hash.prefix.hashed < size:
                await self._read_on(self._hash, size)
        finally:
            self._paused = False
        return Checksum(algorithm, self._hash.digest())

    async def _whole_crc(self, algorithm: str, size: int) -> int:
        known = [held for held in self._known(algorithm, size) if not self._unread.has_some(held.start, held.stop)]
        gaps = list(Coverage(known).missing(size))
        read_back = [Held(*gap, Crc(algorithm, await self._crc_on_disk(algorithm, gap))) for gap in gaps]
        spans = sorted([*known, *read_back], key=attrgetter("start"))
        whole = await self._worker.run(partial(joined, spans))
        return next((one.crc.value for one in whole if one.crc), 0)

    def _known(self, algorithm: str, size: int) -> list[Held]:
        self._close_window()
        return [held for held in self._sums.items if held.crc and held.crc.algorithm == algorithm and held.stop <= size]

    async def _crc_on_disk(self, algorithm: str, span: Part) -> int:
        def add(start: int, value: int, read: Reader) -> int:
            for block in blocks(read, start, min(start + PIECE, span.stop)):
                value = hashing.crc(algorithm, block, value)
            return value

        value = 0
        for start in range(span.start, span.stop, PIECE):
            value = await self._examine(partial(add, start, value))
        return value

    async def damaged(self, size: int) -> list[Part]:
        """The spans whose bytes on the disk are not the ones that came in; all that has a CRC is read.

        Raises:
            StorageError: the file cannot be read.
        """
        algorithm = await self._worker.run(self._crc)
        if algorithm is None:
            return []
        known = [(Part(held.start, held.stop), held.crc) for held in self._known(algorithm, size)]
        return [span for span, crc in known if crc and crc.value != await self._crc_on_disk(algorithm, span)]

    async def aclose(self) -> None:
        """Read no more in the background, and wait until nothing does, also where this is cancelled meanwhile."""
        if self._background is None:
            return
        self._background.cancel()
        cancelled: asyncio.CancelledError | None = None
        while not self._background.done():
            try:
                # As long as `examine` takes to end when it is cancelled, which has a bound of its own.
                await asyncio.wait({self._background})
            except asyncio.CancelledError as error:
                cancelled = error
        if cancelled is not None:
            raise cancelled
