"""An object that fits in one chunk: gathered in memory, its checksum made, and brought to the disk in one visit.

Rule: what is gathered is always the object from its first byte on, each byte once: no more than its size is kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from asyncdl.edge import hashing
from asyncdl.edge.errands import Joint
from asyncdl.edge.small_file import SmallFile
from asyncdl.edge.threads import Errand
from asyncdl.errors import IntegrityError
from asyncdl.model import Checksum, Chunk
from asyncdl.rules.promises import to_verify

#: Bytes from which on a chunk is worth its own overhead. Shorter ones are joined with what is no longer than they are:
#: each byte is copied a few times at most, and there are never many chunks.
_LARGE: Final = 64 * 1024


class SmallObject:
    """Takes what one fetcher brings, in the place of the queue.

    Attributes:
        size: in bytes.
        chunks: what has come, in order and without gaps.
        wanted: the checksum that was verified, once it is saved.
        saved: whether it is where it belongs.

    Args:
        pinned: the checksum that the caller gave.
        promises: those of the server.
    """

    def __init__(self, size: int, file: SmallFile, *, pinned: Checksum | None, promises: Sequence[Checksum]) -> None:
        self.size: int = size
        self.wanted: Checksum | None = None
        self.saved: bool = False
        self._file, self._pinned, self._promises = file, pinned, promises
        self.chunks: list[Chunk] = []

    def full(self) -> bool:
        return False

    async def put(self, item: Chunk, /) -> None:
        self.put_nowait(item)

    def put_nowait(self, item: Chunk, /) -> None:
        # A stream that broke may begin again, anywhere before the place where it did.
        chunks = self.chunks
        while chunks and chunks[-1].offset >= item.offset:
            chunks.pop().release()
        if chunks and chunks[-1].stop > item.offset:
            chunks[-1].data = chunks[-1].data[: item.offset - chunks[-1].offset]
        # A server may send a byte at a time, and a chunk takes far more room than that. Not yet the one that has just
        # come: who brings it still looks at it.
        while len(chunks) > 1 and len(chunks[-2].data) <= len(chunks[-1].data) < _LARGE:
            last, first = chunks.pop(), chunks.pop()
            chunks.append(Chunk(first.offset, b"".join((first.data, last.data))))
            first.release()
            last.release()
        chunks.append(item)

    async def save(self) -> bool:
        """Verify what was gathered, and write it; False if a file that counts for it is there by now.

        Raises:
            IntegrityError: it has not the checksum that it should have, or is not all of the object.
            StorageError: as `SmallFile.save`.
        """
        self.saved = await Errand(self._save).run()
        self.let_go()
        return self.saved

    def _save(self, errand: Errand[bool]) -> bool | Joint[bool]:
        self._verify()
        return self._file.save(self.chunks, self.size, errand)

    def let_go(self) -> None:
        """Give back every buffer."""
        # A thread that is late may still look at the list that there was.
        chunks, self.chunks = self.chunks, []
        for chunk in chunks:
            chunk.release()

    def _verify(self) -> None:
        missing = self.size
        for chunk in self.chunks:
            missing -= len(chunk.data)
        if missing:
            raise IntegrityError(f"{missing} of {self.size} bytes are missing at the end")
        if self._pinned is None and not self._promises:
            return
        able = {promise.algorithm for promise in self._promises if hashing.available(promise.algorithm)}
        self.wanted = wanted = to_verify(self._pinned, self._promises, able)
        if wanted is not None:
            actual = hashing.checksum(wanted.algorithm, (chunk.data for chunk in self.chunks))
            if actual != wanted:
                raise unlike(actual, wanted)


def unlike(actual: Checksum, wanted: Checksum) -> IntegrityError:
    """The error for an object that has not the checksum it should have."""
    return IntegrityError(
        f"the checksum of the object is {actual}, and not {wanted}",
        hint="nothing of it is kept: the next download begins anew",
    )
