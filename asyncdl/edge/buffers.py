"""Memory that bytes are received into, and that is used again when they have been written."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final, NamedTuple

from asyncdl.edge.waits import Row

#: Bytes of the smallest buffer: less at a time would cost more system calls than the copy it saves.
SMALLEST: Final = 64 * 1024
#: Bytes that the buffers of all connections may take, before each gets a smaller one: 64 connections with 1 MiB each
#: would be more than all else of the process.
ALL_CONNECTIONS: Final = 32 * 1024 * 1024
#: As much as asyncio reads at a time where no protocol says otherwise.
HEAD_BUFFER: Final = 256 * 1024
#: Seconds after which what has come is handed on although the buffer is not full: on a slow connection it would keep
#: the disk, the progress and whoever may take over waiting.
PATIENCE: Final = 0.25


class Buffer:
    """Memory lent to a body and to the chunks made of it; it goes back when the last of them is released."""

    __slots__ = ("_back", "_users", "view")

    def __init__(self, size: int, back: Callable[[Buffer], None]) -> None:
        self.view: memoryview = memoryview(bytearray(size))
        self._back, self._users = back, 0

    def lend(self) -> None:
        self._users += 1

    def release(self) -> None:
        self._users -= 1
        if not self._users:
            self._back(self)


class BufferPool:
    """Buffers of one size, the one used last given out first: it is still in the processor's cache.

    How many there are is bounded by who holds them: a connection one, the queue and the writer one for each chunk.

    Args:
        chunk_size: most bytes of one chunk.
        connections: how many will hold one; of many, each has less.

    Attributes:
        patience: rings for whoever waits for a buffer to be full.
    """

    def __init__(self, chunk_size: int, connections: int) -> None:
        self.size: int = max(min(chunk_size, ALL_CONNECTIONS // connections), SMALLEST)
        self.chunk_size: int = chunk_size
        self.patience: Row = Row(PATIENCE)
        self._free: list[Buffer] = []

    def take(self) -> Buffer:
        # One byte more than is ever used: there a body shows that it goes on where it should have ended.
        buffer = self._free.pop() if self._free else Buffer(self.size + 1, self._free.append)
        buffer.lend()
        return buffer


class HeadBuffer:
    """What all connections read into as long as heads are expected: one buffer, which is emptied as it is filled.

    Args:
        chunk_size: most bytes that a chunk may take.

    Attributes:
        data: the buffer.
        room: a view of it.
    """

    def __init__(self, chunk_size: int) -> None:
        # Less, and a copy costs less than what would lie idle around it.
        self._least = HEAD_BUFFER // 4 if chunk_size >= HEAD_BUFFER else HEAD_BUFFER + 1
        self._free: list[bytearray] = []
        self._renew()

    def _renew(self) -> None:
        self.data: bytearray = self._free.pop() if self._free else bytearray(HEAD_BUFFER)
        self.room: memoryview = memoryview(self.data)

    def keep(self, start: int, stop: int) -> Kept:
        """What is there: a copy, or the buffer itself, and then reads go to another one until it is released."""
        if stop - start < self._least:
            return Kept(memoryview(bytes(self.room[start:stop])), _nothing)
        kept = Kept(self.room[start:stop], partial(self._free.append, self.data))
        self._renew()
        return kept


class Kept(NamedTuple):
    """Bytes that have been read; `release` is to be called once, when nobody looks at them any more."""

    view: memoryview
    release: Callable[[], None]


def _nothing() -> None:
    """A copy is nobody's."""
