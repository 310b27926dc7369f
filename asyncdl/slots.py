"""Lets only so many requests of all downloads be in flight at once, and no kind of them crowd out the other."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from enum import Enum


class Kind(Enum):
    """What a request is for."""

    FIRST = "the first response of a file that may be small, and is all of it then"
    PART = "a part of a large file"


class Lines:
    """Who waits, in a line for each kind, and how many of each kind are not waiting any more."""

    def __init__(self) -> None:
        self.busy: dict[Kind, int] = dict.fromkeys(Kind, 0)
        self._waiting: dict[Kind, deque[asyncio.Future[None]]] = {kind: deque() for kind in Kind}
        self._last = Kind.PART

    @property
    def total(self) -> int:
        return sum(self.busy.values())

    def empty(self, *kinds: Kind) -> bool:
        """Whether nobody waits, of these kinds."""
        return not any(self._waiting[kind] for kind in kinds)

    def enter(self, kind: Kind) -> None:
        """One of this kind is busy from now on."""
        self.busy[kind] += 1
        self._last = kind

    async def wait(self, kind: Kind) -> None:
        """Stand in line until called; who has been called counts as busy, and is so after a cancellation no more."""
        waiter = asyncio.get_running_loop().create_future()
        self._waiting[kind].append(waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            if not waiter.cancelled():  # it had been called already
                self.busy[kind] -= 1
            elif waiter in self._waiting[kind]:
                self._waiting[kind].remove(waiter)
            raise

    def call(self, kinds: Iterable[Kind]) -> bool:
        """Call one of these kinds, if any waits: of that which has fewer, and if they are even, not of the last one."""
        kinds = [kind for kind in kinds if self._waiting[kind]]
        while kinds:
            kind = min(kinds, key=lambda kind: (self.busy[kind], kind is self._last))
            waiter = self._waiting[kind].popleft()
            if not waiter.done():
                waiter.set_result(None)
                self.enter(kind)
                return True
            kinds = [kind for kind in kinds if self._waiting[kind]]
        return False


class Place:
    """What a request has while it is in flight.

    Args:
        lines: where it is counted.
    """

    __slots__ = ("_lines", "kind")

    def __init__(self, kind: Kind, lines: Lines) -> None:
        self.kind: Kind = kind
        self._lines = lines

    def is_of(self, kind: Kind) -> None:
        """It turned out to be of this kind."""
        self._lines.busy[self.kind] -= 1
        self._lines.busy[kind] += 1
        self.kind = kind


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
        self._lines = Lines()

    @property
    def busy(self) -> int:
        """Places taken."""
        return self._lines.total

    def turn(self, kind: Kind) -> SlotTurn:
        """Wait for a place, and have it until the context ends.

        What is waited for are requests of other downloads, which have bounds of their own.
        """
        return SlotTurn(self, Place(kind, self._lines))

    def leave(self, kind: Kind) -> None:
        """One of this kind has ended."""
        self._lines.busy[kind] -= 1
        self._call()

    async def enter(self, kind: Kind) -> None:
        """Wait for a place; `leave` must follow."""
        if self._lines.empty(kind) and self._has_room(kind):
            self._lines.enter(kind)
            return
        try:
            await self._lines.wait(kind)
        except asyncio.CancelledError:
            self._call()
            raise

    def _has_room(self, kind: Kind) -> bool:
        return self.busy < self.most and self._lines.busy[kind] < self._most_of[kind]

    def _call(self) -> None:
        """Give away the places that are free."""
        while not self._lines.empty(*Kind) and self._lines.call(kind for kind in Kind if self._has_room(kind)):
            pass


class SlotTurn:
    """One request's turn: an async context manager, whose value is its place."""

    __slots__ = ("_place", "_slots")

    def __init__(self, slots: Slots, place: Place) -> None:
        self._slots, self._place = slots, place

    async def __aenter__(self) -> Place:
        await self._slots.enter(self._place.kind)
        return self._place

    async def __aexit__(self, *_: object) -> None:
        self._slots.leave(self._place.kind)
