"""Memory that all downloads share for what is on its way to the disks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from asyncdl.model import Chunk


class Room:
    """Places for chunks.

    Args:
        most: chunks in all queues, and with all writers, at once.
    """

    def __init__(self, most: int) -> None:
        self._places = asyncio.Semaphore(most)

    @property
    def full(self) -> bool:
        """Whether whoever wants a place has to wait."""
        return self._places.locked()

    async def take(self) -> None:
        """Wait for a place: for a writer, of whichever download, that writes or fails."""
        await self._places.acquire()

    def give_back(self) -> None:
        self._places.release()


class Share:
    """The way into one download's queue, for as many chunks as there is room for.

    Args:
        queue: has a bound of its own.
    """

    def __init__(self, queue: asyncio.Queue[Chunk | None], room: Room) -> None:
        self._queue, self._room = queue, room
        self._taken = 0

    def full(self) -> bool:
        """Whether `put` would wait."""
        return self._queue.full() or self._room.full

    async def put(self, item: Chunk, /) -> None:
        await self._room.take()
        self._taken += 1
        lent = item.on_release
        item.on_release = lambda: self._released(lent)
        try:
            await self._queue.put(item)
        except BaseException:
            item.on_release = lent
            self._give_back()
            raise

    def close(self) -> None:
        """Give back what chunks have that nobody will release: those of a download that failed."""
        while self._taken:
            self._give_back()

    def _released(self, lent: Callable[[], None] | None) -> None:
        self._give_back()
        if lent is not None:
            lent()

    def _give_back(self) -> None:
        if self._taken:
            self._taken -= 1
            self._room.give_back()
