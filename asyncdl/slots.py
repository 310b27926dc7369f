"""Lets only so many requests of all downloads be in flight at once, and no kind of them crowd out the other."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from enum import IntEnum
from typing import Final, Self


class Kind(IntEnum):
    """What a request is for: the first response of a file that may be small and is all of it then, or part of a file.

    A number, since the hash of any other enumeration is made anew each time that it is asked for.
    """

    FIRST = 1
    PART = 2


_KINDS: Final = tuple(Kind)


class Lines:
    """Who waits, in a line for each kind, and how many of each kind are not waiting any more.

    Attributes:
        busy: of each kind, who is not waiting any more.
        total: of them, of all kinds.
        waiting: those who wait, of all kinds.
    """

    __slots__ = ("_last", "_waiting", "busy", "total", "waiting")

    def __init__(self) -> None:
        self.busy: dict[Kind, int] = dict.fromkeys(_KINDS, 0)
        self.total: int = 0
        self.waiting: int = 0
        self._waiting: dict[Kind, deque[asyncio.Future[None]]] = {kind: deque() for kind in _KINDS}
        self._last = Kind.PART

    def empty(self, kind: Kind) -> bool:
        """Whether nobody of this kind waits."""
        return not self._waiting[kind]

    def enter(self, kind: Kind) -> None:
        """One of this kind is busy from now on."""
        self.busy[kind] += 1
        self.total += 1
        self._last = kind

    def leave(self, kind: Kind) -> int:
        """One of this kind is busy no more; how many wait."""
        self.busy[kind] -= 1
        self.total -= 1
        return self.waiting

    async def wait(self, kind: Kind) -> None:
        """Stand in line until called; who has been called counts as busy, and is so after a cancellation no more."""
        waiter = asyncio.get_running_loop().create_future()
        self._waiting[kind].append(waiter)
        self.waiting += 1
        try:
            await waiter
        except asyncio.CancelledError:
            if not waiter.cancelled():  # it had been called already
                self.leave(kind)
            elif waiter in self._waiting[kind]:
                self._waiting[kind].remove(waiter)
                self.waiting -= 1
            raise

    def call(self, kinds: Iterable[Kind]) -> bool:
        """Call one of these kinds, if any waits: of that which has fewer, and if they are even, not of the last one."""
        kinds = [kind for kind in kinds if self._waiting[kind]]
        while kinds:
            kind = min(kinds, key=lambda kind: (self.busy[kind], kind is self._last))
            waiter = self._waiting[kind].popleft()
            self.waiting -= 1
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
        self.lines: Lines = Lines()

    @property
    def busy(self) -> int:
        """Places taken."""
        return self.lines.total

    def turn(self, kind: Kind) -> SlotTurn:
        """Wait for a place, and have it until the context ends.

        What is waited for are requests of other downloads, which have bounds of their own.
        """
        return SlotTurn(self, kind)

    def leave(self, kind: Kind) -> None:
        """One of this kind has ended."""
        if self.lines.leave(kind):
            self._call()

    def may_go(self, kind: Kind) -> bool:
        """Whether one of this kind can have a place at once."""
        return self.lines.empty(kind) and self._has_room(kind)

    async def wait(self, kind: Kind) -> None:
        """Wait for a place, and take it; `leave` must follow."""
        try:
            await self.lines.wait(kind)
        except asyncio.CancelledError:
            self._call()
            raise

    def _has_room(self, kind: Kind) -> bool:
        lines = self.lines
        return lines.total < self.most and lines.busy[kind] < self._most_of[kind]

    def _call(self) -> None:
        """Give away the places that are free."""
        while self.lines.waiting and self.lines.call(kind for kind in _KINDS if self._has_room(kind)):
            pass


class SlotTurn(Place):
    """One request's turn: an async context manager, and its place while that lasts."""

    __slots__ = ("_slots",)

    def __init__(self, slots: Slots, kind: Kind) -> None:
        self.kind: Kind = kind
        self._lines: Lines = slots.lines
        self._slots = slots

    async def __aenter__(self) -> Self:
        slots = self._slots
        if slots.may_go(self.kind):
            slots.lines.enter(self.kind)
        else:
            await slots.wait(self.kind)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._slots.leave(self.kind)
