"""Lets only as many requests be in flight at once as the server bears, and none while it asks for peace."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from asyncdl.edge.clock import Clock
from asyncdl.rules.throttle import Allowance


class Turn:
    """One request's leave to go."""

    def __init__(self, gate: Gate, epoch: int) -> None:
        self._gate, self._epoch = gate, epoch

    def throttled(self, wait: float) -> None:
        """The server asked for fewer requests, and for none at all during the next `wait` seconds."""
        self._gate.throttled(self._epoch, wait)


class Gate:
    """What all fetchers of a download pass before each request.

    Args:
        most: requests in flight at once, as long as the server says nothing.
    """

    def __init__(self, most: int, clock: Clock) -> None:
        self._allowance, self._clock = Allowance(most), clock
        self._busy = 0
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
        """A request was served to its end."""
        self._allowance.succeeded()
        self._wake()

    def throttled(self, epoch: int, wait: float) -> None:
        """See `Turn.throttled`."""
        self._allowance.throttled(epoch)
        self._quiet_until = max(self._quiet_until, self._clock.monotonic() + wait)

    async def _enter(self) -> None:
        while True:
            if self._busy >= self.limit:
                await self._room()
            elif (pause := self._quiet_until - self._clock.monotonic()) > 0:
                await self._clock.sleep(pause)
            else:
                return

    async def _room(self) -> None:
        waiter = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():
                self._wake()  # it was this one's turn; the next in line must not miss it
            raise
        finally:
            if not waiter.done() or waiter.cancelled():
                self._waiting.remove(waiter)

    def _wake(self) -> None:
        room = self.limit - self._busy
        while room > 0 and self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(None)
                room -= 1
