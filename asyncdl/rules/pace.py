"""Whether a connection is alive: no byte for too long, or too few over a window. Samples in, a verdict out.

Rule: only time in which the server could have sent counts. Time parked in our own queue does not, and a sample that
comes late (a blocked loop, a suspended machine) counts for no more than twice the interval between samples, and tells
nothing of the rate.
"""

from __future__ import annotations

import enum
from collections import deque

#: Seconds: looking more often would cost more than it could tell.
_SHORTEST_INTERVAL = 0.01
#: Points kept of one window, however long it is.
_WINDOW_POINTS = 60
#: Seconds after which what a connection brought counts for half of `rate`.
_RATE_MEMORY = 1.0
#: Seconds after which a rate can be told before the first sample: some round trips of any but the farthest servers.
_EARLIEST = 0.25
#: Intervals since the last sample from which on one is late: of the time that we did not run nothing has been read yet.
_LATE = 1.25


class Pace(enum.Enum):
    """What the samples say about a connection."""

    ALIVE = "alive"
    STALLED = "stalled"
    SLOW = "slow"


class PaceKeeper:
    """Judges one response body.

    Args:
        stall: seconds without a byte that make it STALLED.
        low_speed: `(bytes_per_second, seconds)`; fewer bytes than that over a full window make it SLOW. None: never.
        now: any monotonic clock, in seconds.
    """

    def __init__(self, stall: float, low_speed: tuple[float, float] | None, now: float) -> None:
        window = low_speed[1] if low_speed else stall
        self.interval: float = max(_SHORTEST_INTERVAL, min(1.0, stall / 4, window / 4))
        self._stall, self._low_speed = stall, low_speed
        self._last_sample, self._last_received = now, 0
        self._quiet = self._active = 0.0
        self._window: deque[tuple[float, int]] = deque([(0.0, 0)])
        self._parked_since_sample = False
        self.parked: bool = False
        #: Bytes per second lately; None while we were too slow ourselves to tell.
        self.rate: float | None = None

    def park(self) -> None:
        """Our own queue is full from now on: the server is not to blame."""
        self.parked = self._parked_since_sample = True

    def unpark(self) -> None:
        self.parked = False

    def sample(self, now: float, received: int) -> Pace:
        """The verdict at `now`, with `received` bytes of the body there in all. Call every `interval` seconds."""
        late = now - self._last_sample > _LATE * self.interval
        elapsed = min(now - self._last_sample, 2 * self.interval)
        fresh = received - self._last_received
        self._last_sample, self._last_received = now, received
        parked, self._parked_since_sample = self._parked_since_sample, self.parked
        if parked:
            self._quiet = 0.0
        else:
            self._active += elapsed
            self._quiet = 0.0 if fresh else self._quiet + elapsed
            self._note_rate(fresh, elapsed)
        if parked or late:
            self.rate = None  # what was lately is long past by the time that we are ready again
        if self._quiet >= self._stall:
            return Pace.STALLED
        return Pace.SLOW if self._too_slow(received) else Pace.ALIVE

    @property
    def held_up(self) -> bool:
        """Whether we were not ready to take what the server has, now or since the last sample."""
        return self.parked or self._parked_since_sample

    def rate_at(self, now: float, received: int) -> float | None:
        """`rate`, or before there is one what the time since the last sample says; None while that is too short."""
        elapsed = now - self._last_sample
        if self.rate is not None or self.held_up or elapsed < _EARLIEST:
            return self.rate
        return (received - self._last_received) / elapsed

    def _note_rate(self, fresh: int, elapsed: float) -> None:
        if elapsed <= 0:
            return
        share = 1.0 if self.rate is None else elapsed / (elapsed + _RATE_MEMORY)
        self.rate = (self.rate or 0.0) + share * (fresh / elapsed - (self.rate or 0.0))

    def _too_slow(self, received: int) -> bool:
        if self._low_speed is None:
            return False
        rate, seconds = self._low_speed
        while len(self._window) > 1 and self._window[1][0] <= self._active - seconds:
            self._window.popleft()
        began, before = self._window[0]
        latest = self._window[-1][0]
        if self._active == latest:
            # Parked: what came meanwhile is from before the time that counts.
            self._window[-1] = (self._active, received)
        elif self._active - latest >= seconds / _WINDOW_POINTS:
            self._window.append((self._active, received))
        return self._active - began >= seconds and received - before < rate * (self._active - began)
