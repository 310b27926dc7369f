"""A clock that a test moves by hand: nothing waits for real time, and every wait is on record."""

from __future__ import annotations

import asyncio

from asyncdl.edge.clock import Clock

#: 2023-11-14T22:13:20Z: any moment will do, as long as it looks like one.
EPOCH = 1_700_000_000.0


class ManualClock(Clock):
    """Time and chance by hand; the two clocks have nothing to do with each other but that `advance` moves both.

    Args:
        parks: `sleep` waits for `advance`; else it advances the clock itself.
        jitter: what every roll of the die gives.

    Attributes:
        slept: seconds of each `sleep`, in order.
        work: what `worked` says.
    """

    def __init__(self, *, parks: bool = False, jitter: float = 1.0) -> None:
        self._now, self._wall = 1000.0, EPOCH
        self._parks, self._jitter = parks, jitter
        self._sleepers: list[tuple[float, asyncio.Future[None]]] = []
        self.slept: list[float] = []
        self.work = 0.0

    @property
    def sleepers(self) -> int:
        """Tasks that wait for `advance`."""
        return len(self._sleepers)

    def monotonic(self) -> float:
        return self._now

    def worked(self) -> float:
        return self.work

    def wall(self) -> float:
        return self._wall

    def jitter(self) -> float:
        return self._jitter

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        if not self._parks:
            self.advance(max(0.0, seconds))
            await asyncio.sleep(0)
            return
        sleeper = (self._now + seconds, asyncio.get_running_loop().create_future())
        self._sleepers.append(sleeper)
        try:
            await sleeper[1]
        finally:
            self._sleepers.remove(sleeper)

    def advance(self, seconds: float) -> None:
        """Let time pass; whoever has slept long enough wakes up."""
        self._now += seconds
        self._wall += seconds
        for until, woken in self._sleepers:
            if until <= self._now and not woken.done():
                woken.set_result(None)

    def jump(self, seconds: float) -> None:
        """Set the wall clock, as an administrator or NTP does; the monotonic clock does not know."""
        self._wall += seconds
