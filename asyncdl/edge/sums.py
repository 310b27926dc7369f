"""What the threads of a verifier add up: spans with their CRCs, and a hash that goes on wherever it can.

Rule: nothing here is for the event loop but what takes no time; who calls in which order is the verifier's business.
"""

from __future__ import annotations

import errno
import threading
from collections.abc import Iterable, Iterator
from operator import attrgetter
from typing import Final

from asyncdl.edge import hashing
from asyncdl.edge.disk import Reader
from asyncdl.model import Chunk, Part
from asyncdl.options import MIB
from asyncdl.rules.checksums import Prefix
from asyncdl.rules.held import Crc, Held, Holdings
from asyncdl.rules.ranges import MAX_SIZE

#: Bytes in one read.
BLOCK: Final = MIB
#: Spans beyond which neighbours are joined, and how long a joined one may be at first. What turns out to be damaged is
#: fetched again by spans, so that they should stay short; and objects of many terabytes must not fill the memory.
MOST_SPANS: Final = 4096
JOINED: Final = 64 * MIB


class Window:
    """The spans taken since the last claim, each growing at its end: to go on with a CRC costs nothing."""

    def __init__(self) -> None:
        self._growing: dict[int, tuple[int, Crc | None]] = {}  # by where they end

    def add(self, algorithm: str | None, chunk: Chunk) -> None:
        """Take one chunk."""
        if chunk.offset == chunk.stop:
            return
        start, crc = self._growing.pop(chunk.offset, (chunk.offset, None))
        if algorithm is not None:
            crc = Crc(algorithm, hashing.crc(algorithm, chunk.data, crc.value if crc else 0))
        self._growing[chunk.stop] = start, crc

    def close(self) -> list[Held]:
        """The spans in order, neighbours as one; there are none afterwards."""
        spans = sorted(
            (Held(start, stop, crc) for stop, (start, crc) in self._growing.items()), key=attrgetter("start")
        )
        self._growing.clear()
        return joined(spans, MAX_SIZE)


class Sums:
    """The CRCs of everything, by spans; not more of them than a few thousand where they touch."""

    def __init__(self, held: Iterable[Held]) -> None:
        self._holdings = Holdings(held)
        self._joined, self._most = JOINED, MOST_SPANS

    @property
    def items(self) -> tuple[Held, ...]:
        return self._holdings.items

    def put(self, held: Held) -> None:
        self._holdings.put(held)

    def drop(self, start: int, stop: int) -> None:
        self._holdings.drop(start, stop)

    def shorten(self) -> None:
        """Join neighbours if there are many spans."""
        if len(self._holdings) <= self._most:
            return
        spans = joined(self._holdings.items, self._joined)
        while len(spans) > MOST_SPANS // 2 and len(fewer := joined(spans, 2 * self._joined)) < len(spans):
            spans, self._joined = fewer, 2 * self._joined
        self._holdings = Holdings(spans)
        # Spans that do not touch stay as many as they are: not to be gone through again with each chunk.
        self._most = max(MOST_SPANS, 2 * len(spans))


class RunningHash:
    """A hash, and how far it has come; whichever of two threads comes first may go on with it."""

    def __init__(self, algorithm: str) -> None:
        self._algorithm = algorithm
        self._hash = hashing.new_hash(algorithm)
        self._lock = threading.Lock()
        self.prefix: Prefix = Prefix()

    def anew(self) -> RunningHash:
        """One that has taken nothing. A thread that is still at work changes only the old one."""
        return RunningHash(self._algorithm)

    def in_hand(self, chunks: Iterable[Chunk]) -> None:
        """Take what comes next of these chunks; nothing while somebody is reading back, who will read them too."""
        if not self._lock.acquire(blocking=False):
            return
        try:
            for chunk in sorted(chunks, key=attrgetter("offset")):
                part = self.prefix.in_hand(chunk.offset, chunk.stop)
                if part is not None:
                    self._hash.update(memoryview(chunk.data)[part.start - chunk.offset :])
                    self.prefix.advance(part)
        finally:
            self._lock.release()

    def read_on(self, stop: int, read: Reader) -> None:
        """Read back what is missing before `stop`, and take it."""
        with self._lock:
            for block in blocks(read, self.prefix.hashed, stop):
                self._hash.update(block)
                self.prefix.advance(Part(self.prefix.hashed, self.prefix.hashed + len(block)))

    def digest(self) -> bytes:
        return self._hash.digest()


def blocks(read: Reader, start: int, stop: int) -> Iterator[bytes]:
    """The bytes `[start, stop)`, read back.

    Raises:
        OSError: the file ends before.
    """
    while start < stop:
        block = read(start, min(BLOCK, stop - start))
        if not block:
            raise OSError(errno.EIO, "the file is shorter than what was written")
        yield block
        start += len(block)


def joined(spans: Iterable[Held], most: int = MAX_SIZE) -> list[Held]:
    """The same bytes, neighbours as one where both have a CRC or neither has, up to `most` bytes."""
    joined: list[Held] = []
    for span in spans:
        last = joined[-1] if joined else span
        if last.stop != span.start or span.stop - last.start > most or _algorithm(last) != _algorithm(span):
            joined.append(span)
            continue
        crc = span.crc
        if last.crc is not None and crc is not None:
            value = hashing.combine(crc.algorithm, last.crc.value, crc.value, span.stop - span.start)
            crc = Crc(crc.algorithm, value)
        joined[-1] = Held(last.start, span.stop, crc)
    return joined


def _algorithm(span: Held) -> str | None:
    return None if span.crc is None else span.crc.algorithm
