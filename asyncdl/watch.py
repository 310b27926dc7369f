"""Looks at the body of one response every now and then, and ends the wait for it when it should end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Self

from asyncdl.edge.transport import Body
from asyncdl.errors import StallError
from asyncdl.options import Timeouts
from asyncdl.rules.pace import Pace, PaceKeeper


class Watch:
    """Watches while its context lasts; what waits for the body does so within `bound`.

    Attributes:
        looked: called after each look at a body that is alive.
    """

    def __init__(self, timeouts: Timeouts, body: Body) -> None:
        self._loop = asyncio.get_running_loop()
        self._timeouts, self._body = timeouts, body
        self.began: float = self._loop.time()
        self.keeper: PaceKeeper = PaceKeeper(timeouts.stall, timeouts.low_speed, self.began)
        self.bound: asyncio.Timeout = asyncio.timeout(None)
        self.looked: Callable[[], object] = bool
        self._pace = Pace.ALIVE
        self._timer = self._loop.call_later(self.keeper.interval, self._look)

    @property
    def received(self) -> int:
        """Bytes of the body so far."""
        return self._body.received

    @property
    def age(self) -> float:
        """Seconds."""
        return self._loop.time() - self.began

    @property
    def rate(self) -> float | None:
        """Bytes per second lately; None while nobody can tell."""
        return self.keeper.rate_at(self._loop.time(), self._body.received)

    def interrupt(self) -> None:
        """End the wait for the body at once, although the server is not to blame."""
        if not self.bound.expired():
            self.bound.reschedule(self._loop.time())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()

    def fault(self) -> StallError:
        """What the server is to blame for."""
        if self._pace is Pace.STALLED or self._timeouts.low_speed is None:
            return StallError(f"the server sent nothing for {self._timeouts.stall:g} s", retryable=True)
        rate, seconds = self._timeouts.low_speed
        return StallError(f"the server sent less than {rate:g} bytes/s for {seconds:g} s", retryable=True)

    def _look(self) -> None:
        self._pace = self.keeper.sample(self._loop.time(), self._body.received)
        if self._pace is Pace.ALIVE:
            self._timer = self._loop.call_later(self.keeper.interval, self._look)
            self.looked()
        else:
            self.interrupt()
