"""Lets only so many requests of all downloads be in flight at once, and no kind of them crowd out the other."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import Enum


class Kind(Enum):
    """What a request is for."""

    FIRST = "the first response of a file, which for a small one is all of it"
    PART = "a further part of a large file"


class Slots:
    """Places for requests, each kind served in the order it comes.

    Where both kinds wait, a place goes to the one that has fewer of them.

    Args:
        most: requests in flight at once.
        kept: as many of these places are for first requests alone.
    """

    def __init__(self, most: int, *, kept: int = 0) -> None:
        self.most: int = most
        self._most_of = {Kind.FIRST: most, Kind.PART: most - kept}
        self._busy = dict.fromkeys(Kind, 0)
        self._waiting: dict[Kind, deque[asyncio.Future[None]]] = {kind: deque() for kind in Kind}

    @property
    def busy(self) -> int:
        """Places taken."""
        return sum(self._busy.values())

    @asynccontextmanager
    async def turn(self, kind: Kind) -> AsyncIterator[None]:
        """Wait for a place, and have it until the context ends.

        What is waited for are requests of other downloads, which have bounds of their own.
        """
        await self._enter(kind)
        try:
            yield
        finally:
            self._busy[kind] -= 1
            self._call()

    async def _enter(self, kind: Kind) -> None:
        if not self._waiting[kind] and self._has_room(kind):
            self._busy[kind] += 1
            return
        waiter = asyncio.get_running_loop().create_future()
        self._waiting[kind].append(waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.cancelled():
                self._waiting[kind].remove(waiter)
            else:  # it had been called already
                self._busy[kind] -= 1
                self._call()
            raise

    def _has_room(self, kind: Kind) -> bool:
        return self.busy < self.most and self._busy[kind] < self._most_of[kind]

    def _call(self) -> None:
        """Give away the places that are free."""
        while callable_ := [kind for kind in Kind if self._waiting[kind] and self._has_room(kind)]:
            kind = min(callable_, key=self._busy.__getitem__)
            waiter = self._waiting[kind].popleft()
            if not waiter.done():
                waiter.set_result(None)
                self._busy[kind] += 1
