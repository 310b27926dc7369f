"""Lets only as many requests be in flight at once as the server bears, and none while it asks for peace."""

from __future__ import annotations

import asyncio
from typing import Self

from asyncdl.edge.clock import Clock
from asyncdl.options import Retry
from asyncdl.rules.retry import delay
from asyncdl.rules.throttle import Allowance
from asyncdl.slots import Kind, Lines, Place


class Turn(Place):
    """One request's leave to go: an async context manager, and the request is in flight until it ends."""

    __slots__ = ("_epoch", "_gate")

    def __init__(self, gate: Gate, kind: Kind) -> None:
        self.kind: Kind = kind
        self._lines: Lines = gate.lines
        self._gate, self._epoch = gate, 0

    async def __aenter__(self) -> Self:
        gate = self._gate
        if gate.may_go(self.kind):
            gate.lines.enter(self.kind)
        else:
            await gate.wait(self.kind)
        self._epoch = gate.epoch
        return self

    async def __aexit__(self, *_: object) -> None:
        self._gate.leave(self.kind)

    def throttled(self, retry_after: float | None, *, certain: bool = True) -> None:
        """The server asked for fewer requests, and for none at all during the next `retry_after` seconds."""
        self._gate.throttled(self._epoch, retry_after, certain=certain)


class Gate:
    """What all fetchers pass before each request to a host, those of a kind in the order they come.

    Where both kinds wait, it is the turn of the one that has fewer in flight.

    Args:
        most: requests in flight at once, as long as the server says nothing.
        retry: bounds the pauses.
        kept: as many of them are for first requests alone; of fewer, in proportion.

    Attributes:
        served: requests that brought something.
        in_vain: requests turned away in a row since only one at a time is let through.
    """

    def __init__(self, most: int, clock: Clock, retry: Retry, *, kept: int = 0) -> None:
        self._allowance, self._clock, self._retry = Allowance(most), clock, retry
        self.served: int = 0
        self.in_vain: int = 0
        self._most, self._kept = most, kept
        self._quiet_until = 0.0
        # Who has been called is busy: else whoever ends one request and begins the next would always be first.
        self.lines: Lines = Lines()

    @property
    def limit(self) -> int:
        """Requests that may be in flight at once now."""
        return self._allowance.limit

    def turn(self, kind: Kind = Kind.PART) -> Turn:
        """Wait until a request may go; it is in flight until the context ends.

        What is waited for are requests of other fetchers, each with its own bounds, and at most `retry_after_cap`.
        """
        return Turn(self, kind)

    @property
    def epoch(self) -> int:
        """Of a turn that begins now."""
        return self._allowance.epoch

    def may_go(self, kind: Kind) -> bool:
        """Whether a turn of this kind can begin at once."""
        if self._quiet_until and self.pause > 0:
            return False
        if kind is Kind.FIRST:
            return self.lines.total < self._allowance.limit
        return self._free(kind) > 0

    def leave(self, kind: Kind) -> None:
        """A turn of this kind is over."""
        if self.lines.leave(kind):
            self._wake()

    def succeeded(self) -> None:
        """A request was served, if only in part."""
        self.served += 1
        self.in_vain = 0
        self._allowance.succeeded()
        if self.lines.waiting:
            self._wake()

    def passes(self, *, freed: int = 0) -> bool:
        """Whether a request could go at once, were it not for `freed` of those in flight."""
        return self._free(Kind.PART) + freed > 0 and not self.lines.waiting and self.pause <= 0

    def throttled(self, epoch: int, retry_after: float | None, *, certain: bool = True) -> None:
        """See `Turn.throttled`."""
        wait = min(retry_after or 0.0, self._retry.retry_after_cap)
        if self.limit == 1:  # fewer at once there cannot be: then fewer in a row, or all would come and be refused
            wait = delay(self._retry, self.in_vain, self._clock.jitter(), retry_after)
            self.in_vain += 1
        self._allowance.throttled(epoch, certain=certain)
        self._quiet_until = max(self._quiet_until, self._clock.monotonic() + wait)

    def _free(self, kind: Kind) -> int:
        lines, limit = self.lines, self._allowance.limit
        free = limit - lines.total
        if kind is Kind.PART:
            free = min(free, limit - self._kept * limit // self._most - lines.busy[kind])
        return free

    @property
    def pause(self) -> float:
        """Seconds for which no request may go, if more than 0."""
        return self._quiet_until - self._clock.monotonic() if self._quiet_until else 0.0

    async def wait(self, kind: Kind) -> None:
        """Wait for a turn, and begin it; `leave` must follow."""
        called = False
        try:
            while True:
                if called:
                    self.lines.leave(kind)
                    called = False
                if self._free(kind) <= 0:
                    await self.lines.wait(kind)
                    called = True
                elif self.pause > 0:
                    await self._clock.sleep(self.pause)
                else:
                    self.lines.enter(kind)
                    return
        except asyncio.CancelledError:
            self._wake()  # it may have been this one's turn; the next in line must not miss it
            raise

    def _wake(self) -> None:
        while self.lines.waiting and self.lines.call(kind for kind in Kind if self._free(kind) > 0):
            pass
