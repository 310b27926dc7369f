"""How many connections are worth having: more while that brings more bytes, and no longer those that brought nothing.

Rule: what was tried and brought nothing is let go again: an idle one costs the server and us, and gains nothing.
Rule: each trial that fails doubles the time until the next one, and the time that one measures for: whatever the
network is like, trials become few, and those of a bursty or noisy one come to measure long enough to tell.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

#: Seconds that a measurement takes at least: many round trips of a near server, and a fifth of what a person notices.
SHORTEST_WINDOW: Final = 0.15
#: Bytes for each connection that a measurement takes at least: two of the largest segments that a network card or the
#: loopback hands over at once (64 KiB), so that for four connections one more or less is an eighth, and less for more.
WINDOW_BYTES: Final = 128 * 1024
#: Seconds after which new connections that still bring nothing count as they are.
SETTLED_AFTER: Final = 1.0
#: The share of the gain that would be ideal which has to come. Twice as many connections must bring a quarter more:
#: above what 10 % of noise in both measurements can feign (1.1 / 0.9 = 1.22).
LEAST_SHARE: Final = 0.25
#: Seconds of the first body that are looked at before others are asked for: little beside what a request costs.
FIRST_LOOK: Final = 0.01
#: Bytes per second of one connection, 3.2 Gbit/s, from which on others are had only when they have been seen to help;
#: a fourth of it will do where it is all that the event loop can take.
FAST: Final = 400e6
#: The share of a core from which on it is our own work that takes the time, and more connections make more of it.
BUSY: Final = 0.8
#: Measuring times to rest after a trial that failed, so that trials take a small part of the time.
REST: Final = 8
#: Seconds that a measurement takes at most because others failed; so trials are at most half a minute apart.
LONGEST_WINDOW: Final = 4.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """How a download gets on.

    Attributes:
        now: any monotonic clock, in seconds.
        received: bytes of all bodies so far.
        receiving: connections that a body is coming in over.
        most: connections that the caller and the server allow at this moment.
        held_up: it is our own side that is slow.
    """

    now: float
    received: int
    receiving: int
    most: int
    held_up: bool = False


def is_enough(received: int, seconds: float, worked: float = 0.0) -> bool:
    """Whether one connection that brings so much in so long is enough to begin with.

    Args:
        worked: how much of these seconds the event loop was at work.
    """
    rate = FAST / 4 if is_busy(worked, seconds) else FAST
    return seconds > 0 and received >= rate * seconds


def is_busy(worked: float, seconds: float) -> bool:
    """Whether a thread that worked for so much of these seconds has no time left for more."""
    return worked >= BUSY * seconds


@dataclass(frozen=True, slots=True)
class _Trial:
    """What there was before more connections were tried."""

    connections: int
    rate: float


class Growth:
    """Doubles, measures, and keeps what helps. To be told the situation a few times in each window.

    Args:
        first: connections to begin with, at least 1.

    Attributes:
        wanted: connections to have now.
    """

    def __init__(self, first: int, now: float) -> None:
        self.wanted: int = first
        self._window = SHORTEST_WINDOW
        self._rest_until = now
        self._trial: _Trial | None = None
        self._settling_since: float | None = now
        self._began, self._before = now, 0
        self._held_up = 0

    def resting(self, now: float) -> bool:
        """Whether nothing is measured now."""
        return now < self._rest_until

    def look(self, at: Situation) -> int:
        """What `wanted` is from now on."""
        if self._trial is not None and at.most < self.wanted:
            # A server that throttles during a trial has answered it.
            self._fail(at, self._trial)
        elif not self.resting(at.now) and self._has_settled(at):
            self._held_up += 1 if at.held_up else -1
            fresh = at.received - self._before
            elapsed = at.now - self._began
            if elapsed >= self._window and fresh >= WINDOW_BYTES * self.wanted:
                self._conclude(at, fresh / elapsed)
        return self.wanted

    def _has_settled(self, at: Situation) -> bool:
        if self._settling_since is None:
            return True
        if at.receiving < self.wanted and at.now - self._settling_since < SETTLED_AFTER:
            return False
        self._settling_since = None
        self._measure(at)
        return True

    def _conclude(self, at: Situation, rate: float) -> None:
        trial, self._trial = self._trial, None
        if trial is not None:
            ideal = self.wanted / trial.connections
            if rate < trial.rate * (1 + LEAST_SHARE * (ideal - 1)):
                self._fail(at, trial)
                return
            self._window = SHORTEST_WINDOW
        more = min(2 * self.wanted, at.most)
        if more > self.wanted and self._held_up <= 0:
            self._trial = _Trial(self.wanted, rate)
            self.wanted = more
            self._settling_since = at.now
        else:
            self._measure(at)

    def _fail(self, at: Situation, trial: _Trial) -> None:
        self.wanted, self._trial = trial.connections, None
        self._rest_until = self._settling_since = at.now + REST * self._window
        self._window = min(2 * self._window, LONGEST_WINDOW)

    def _measure(self, at: Situation) -> None:
        self._began, self._before, self._held_up = at.now, at.received, 0
