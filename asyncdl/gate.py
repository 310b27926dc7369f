"""Lets only as many requests be in flight at once as the server bears, and none while it asks for peace."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from asyncdl.edge.clock import Clock
from asyncdl.options import Retry
from asyncdl.rules.retry import delay
from asyncdl.rules.throttle import Allowance


class Turn:
    """One request's leave to go."""

    def __init__(self, gate: Gate, epoch: int) -> None:
        self._gate, self._epoch = gate, epoch

    def throttled(self, retry_after: float | None, *, certain: bool = True) -> None:
        """The server asked for fewer requests, and for none at all during the next `retry_after` seconds."""
        self._gate.throttled(self._epoch, retry_after, certain=certain)


class Gate:
    """What all fetchers of a download pass before each request, in the order they come.

    Args:
        most: requests in flight at once, as long as the server says nothing.
        retry: bounds the pauses.

    Attributes:
        served: requests that brought something.
        in_vain: requests turned away in a row since only one at a time is let through.
    """

    def __init__(self, most: int, clock: Clock, retry: Retry) -> None:
        self._allowance, self._clock, self._retry = Allowance(most), clock, retry
        self.served: int = 0
        self.in_vain: int = 0
        self._busy = self._called = 0
        self._quiet_until = 0.0
        self._waiting: deque[asyncio.Future[None]] = deque()

    @property
    def limit(self) -> int:
        """Requests that may be in flight at once now."""
        return self._allowance.limit

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[Turn]:
        """Wait until a request may go; it is in flight until the context ends.

        What is waited for are requests of other fetchers, each with its own bounds, and at most `retry_after_cap`.
        """
        await self._enter()
        self._busy += 1
        try:
            yield Turn(self, self._allowance.epoch)
        finally:
            self._busy -= 1
            self._wake()

    def succeeded(self) -> None:
        """A request was served, if only in part."""
        self.served += 1
        self.in_vain = 0
        self._allowance.succeeded()
        self._wake()

    def passes(self, *, freed: int = 0) -> bool:
        """Whether a request could go at once, were it not for `freed` of those in flight."""
        return self._free + freed > 0 and not self._waiting and self._pause <= 0

    def throttled(self, epoch: int, retry_after: float | None, *, certain: bool = True) -> None:
        """See `Turn.throttled`."""
        wait = min(retry_after or 0.0, self._retry.retry_after_cap)
        if self.limit == 1:  # fewer at once there cannot be: then fewer in a row, or all would come and be refused
            wait = delay(self._retry, self.in_vain, self._clock.jitter(), retry_after)
            self.in_vain += 1
        self._allowance.throttled(epoch, certain=certain)
        self._quiet_until = max(self._quiet_until, self._clock.monotonic() + wait)

    @property
    def _free(self) -> int:
        # Who has been called has a place: else whoever ends one request and begins the next would always be first.
        return self.limit - self._busy - self._called

    @property
    def _pause(self) -> float:
        return self._quiet_until - self._clock.monotonic()

    async def _enter(self) -> None:
        try:
            while True:
                if self._free <= 0:
                    await self._room()
                elif self._pause > 0:
                    await self._clock.sleep(self._pause)
                else:
                    return
        except asyncio.CancelledError:
            self._wake()  # it may have been this one's turn; the next in line must not miss it
            raise

    async def _room(self) -> None:
        waiter = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        try:
            await waiter
        finally:
            if waiter in self._waiting:
                self._waiting.remove(waiter)
            elif not waiter.cancelled():
                self._called -= 1

    def _wake(self) -> None:
        while self._free > 0 and self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(None)
                self._called += 1
