"""Memory that bytes are received into, and that is used again when they have been written."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

#: Bytes of the smallest buffer: less at a time would cost more system calls than the copy it saves.
SMALLEST: Final = 64 * 1024
#: Bytes that the buffers of all connections may take, before each gets a smaller one: 64 connections with 1 MiB each
#: would be more than all else of the process.
ALL_CONNECTIONS: Final = 32 * 1024 * 1024


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
    """

    def __init__(self, chunk_size: int, connections: int) -> None:
        self.size: int = max(min(chunk_size, ALL_CONNECTIONS // connections), SMALLEST)
        self.chunk_size: int = chunk_size
        self._free: list[Buffer] = []

    def take(self) -> Buffer:
        # One byte more than is ever used: there a body shows that it goes on where it should have ended.
        buffer = self._free.pop() if self._free else Buffer(self.size + 1, self._free.append)
        buffer.lend()
        return buffer
