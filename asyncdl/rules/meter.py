"""From byte counts over time to a rate and an estimate of the time to go."""

from __future__ import annotations

from collections import deque

#: Seconds over which the rate is averaged: long enough to be steady, short enough to follow a change.
WINDOW = 5.0


class Meter:
    """Averages over the last `WINDOW` seconds.

    Args:
        now: any monotonic clock, in seconds.
    """

    def __init__(self, now: float) -> None:
        self._samples: deque[tuple[float, int]] = deque([(now, 0)])

    def add(self, now: float, done: int) -> float:
        """Note that `done` bytes are there at `now`; the rate in bytes per second."""
        self._samples.append((now, done))
        while len(self._samples) > 2 and self._samples[1][0] <= now - WINDOW:
            self._samples.popleft()
        began, before = self._samples[0]
        return (done - before) / (now - began) if now > began else 0.0


def eta(done: int, total: int | None, rate: float) -> float | None:
    """Seconds to go, or None while nobody can tell."""
    if total is None:
        return None
    if done >= total:
        return 0.0
    return (total - done) / rate if rate > 0 else None
