"""Which part under way an idle connection should help with, and from which byte on.

Rule: help that would not be quicker is not given: its own estimate is compared with what a new request costs.
Rule: each time a part's connection is replaced, the next one is given twice as long: whatever a server is slow at, the
requests that are wasted on it grow only with the logarithm of the time.
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
#: Seconds that a part's first connection is given before it may be replaced: one that only starts slowly has begun.
PATIENCE = 1.0
#: Doublings after which no connection lives so long, and 2.0 ** n is still a finite float.
_MOST_DOUBLINGS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A part under way.

    Attributes:
        position: the next byte it receives.
        stop: where it ends.
        rate: bytes per second lately.
        age: seconds since its body began.
        replaced: connections that were given up because they brought these bytes far too slowly.
    """

    position: int
    stop: int
    rate: float
    age: float
    replaced: int = 0

    @property
    def rest(self) -> int:
        return self.stop - self.position

    @property
    def to_go(self) -> float:
        """Seconds at the present rate."""
        return self.rest / self.rate if self.rate > 0 else inf

    @property
    def had_its_time(self) -> bool:
        """Whether it has been given as long as a connection of this part is to be given."""
        return self.age >= PATIENCE * 2.0 ** min(self.replaced, _MOST_DOUBLINGS)


def place_to_cut(standing: Standing, *, usual: float, latency: float) -> int | None:
    """The first byte that an idle connection should take from a part, or None for leaving it alone.

    Args:
        usual: bytes per second of a connection of this download, by experience; more than 0.
        latency: seconds from a request to its first byte, by experience.
    """
    alone = latency + standing.rest / usual
    if standing.rest and standing.rate * FAR_BELOW <= usual and alone + LEAST_GAIN < standing.to_go:
        return standing.position if standing.had_its_time else None
    half = standing.rest // 2
    if half < SMALLEST_HALF or latency + half / usual + LEAST_GAIN >= standing.to_go:
        return None
    return standing.stop - half


def slowest_first(standings: Iterable[Standing]) -> list[Standing]:
    """The parts in the order of need: the one that will be the last to end comes first."""
    return sorted(standings, key=lambda standing: standing.to_go, reverse=True)
