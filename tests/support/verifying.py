"""A verifier on a file in memory that counts what is read back, and can block, fail, and have its bits turned over."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from asyncdl.edge import hashing
from asyncdl.edge.disk import Reader
from asyncdl.edge.refusals import storage_error
from asyncdl.edge.threads import Worker
from asyncdl.model import DIGEST_SIZES, Checksum, Chunk, Part
from asyncdl.rules.checksums import COMBINABLE
from asyncdl.rules.held import Crc, Held
from asyncdl.rules.parts import Coverage
from asyncdl.testing import Content
from asyncdl.verifier import Verifier
from tests.support.job import turns

T = TypeVar("T")
#: Seconds after which a test has failed.
_BOUND = 60.0

CONTENT = Content(4, 1 << 16).read(0, 1 << 16)


def chunk(start: int, stop: int, content: bytes = CONTENT) -> Chunk:
    """A chunk of the content."""
    return Chunk(start, memoryview(content)[start:stop])


def held(start: int, stop: int, algorithm: str = "crc32c") -> Held:
    """A span of the content with its CRC."""
    return Held(start, stop, Crc(algorithm, hashing.crc(algorithm, CONTENT[start:stop])))


def checksum(algorithm: str, content: bytes) -> Checksum:
    """What `content` adds up to, all at once."""
    if algorithm in COMBINABLE:
        return Checksum(algorithm, hashing.crc(algorithm, content).to_bytes(DIGEST_SIZES[algorithm], "big"))
    whole = hashing.new_hash(algorithm)
    whole.update(content)
    return Checksum(algorithm, whole.digest())


class File:
    """What `PartFile.examine` is to a verifier.

    Attributes:
        data: its bytes.
        reads: each read, as a span.
        fail: what the system says to every read.
        fail_once: what it says to the next one.
        go: no read ends before this is set.
        begun: a read has begun.
        inside: threads that are reading.
    """

    def __init__(self, data: bytes = b"") -> None:
        self.data = bytearray(data)
        self.reads: list[Part] = []
        self.fail: OSError | None = None
        self.fail_once: OSError | None = None
        self.go, self.begun = threading.Event(), threading.Event()
        self.go.set()
        self.inside = 0
        self._worker = Worker(lambda: None)

    @property
    def read_bytes(self) -> int:
        return sum(span.length for span in self.reads)

    def write(self, chunks: Sequence[Chunk]) -> None:
        for one in chunks:
            self.data.extend(bytes(max(0, one.stop - len(self.data))))
            self.data[one.offset : one.stop] = one.data

    def _read(self, offset: int, length: int) -> bytes:
        self.inside += 1
        try:
            self.begun.set()
            assert self.go.wait(_BOUND)
            error, self.fail_once = self.fail or self.fail_once, None
            if error is not None:
                raise error
            found = bytes(self.data[offset : offset + length])
            self.reads.append(Part(offset, offset + len(found)))
            return found
        finally:
            self.inside -= 1

    async def examine(self, call: Callable[[Reader], T]) -> T:
        try:
            return await self._worker.run(lambda: call(self._read))
        except OSError as error:
            raise storage_error(error, "read", Path("file.part")) from error


class Feed:
    """Brings chunks to a verifier and to its file as the writer does."""

    def __init__(self, algorithm: str | None, *, kept: Sequence[Held] = (), content: bytes = CONTENT) -> None:
        self.content = content
        self.wanted = None if algorithm is None else checksum(algorithm, content)
        self.file = File()
        self.coverage = Coverage(kept)
        for span in kept:
            self.file.write([self.chunk(span.start, span.stop)])
        self.verifier = Verifier(self.wanted, self.file.examine, held=kept)

    def chunk(self, start: int, stop: int) -> Chunk:
        return chunk(start, stop, self.content)

    async def put(self, *spans: tuple[int, int]) -> None:
        """One batch of chunks."""
        chunks = [self.chunk(*span) for span in spans]
        await self.verifier.take(chunks)
        self.file.write(chunks)
        for start, stop in spans:
            self.coverage.add(start, stop)
        self.verifier.written(self.coverage)

    async def forget(self, *spans: Part) -> None:
        for span in spans:
            self.coverage.remove(*span)
        await self.verifier.forget(spans)

    async def finish(self) -> Checksum | None:
        return await self.verifier.finish(len(self.content), self.coverage)

    async def idle(self) -> None:
        """When nothing is being read in the background any more."""
        while self.verifier._background is not None and not self.verifier._background.done():
            await turns(1)
