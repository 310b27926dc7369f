"""Which part under way an idle connection should help with, and from which byte on.

Rule: help that would not be quicker is not given: its own estimate is compared with what a new request costs.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import inf

#: Seconds that help must gain at least: below that, a broken connection and a new request cost more than they bring.
LEAST_GAIN = 0.5
#: Bytes; less is not worth a request of its own while its connection is as good as others.
SMALLEST_HALF = 64 * 1024
#: A connection this many times slower than is usual is not helped but replaced.
FAR_BELOW = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A part under way.

    Attributes:
        position: the next byte it receives.
        stop: where it ends.
        rate: bytes per second lately.
    """

    position: int
    stop: int
    rate: float

    @property
    def rest(self) -> int:
        return self.stop - self.position

    @property
    def to_go(self) -> float:
        """Seconds at the present rate."""
        return self.rest / self.rate if self.rate > 0 else inf


def place_to_cut(standing: Standing, *, usual: float, latency: float) -> int | None:
    """The first byte that an idle connection should take from a part, or None for leaving it alone.

    Args:
        usual: bytes per second of a connection of this download, by experience.
        latency: seconds from a request to its first byte, by experience.
    """
    alone = latency + standing.rest / usual
    if standing.rest and standing.rate * FAR_BELOW <= usual and alone + LEAST_GAIN < standing.to_go:
        return standing.position
    half = standing.rest // 2
    if half < SMALLEST_HALF or latency + half / usual + LEAST_GAIN >= standing.to_go:
        return None
    return standing.stop - half


def slowest(standings: Iterable[Standing]) -> Standing | None:
    """The part that will be the last to end."""
    return max(standings, key=lambda standing: standing.to_go, default=None)
