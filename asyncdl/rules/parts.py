"""From a size to the range requests that fetch it, and back: what has been written and what is missing.

Rule: parts are disjoint, in order, and cover the span exactly; none is listed before it is claimed.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

from asyncdl.model import Part
from asyncdl.options import MAX_PARTS, MIB, PART_SIZE_STEP

#: Without a wish from the caller: small enough that every connection gets several parts, large enough that the wait
#: for a response's first byte is a small share of the part.
SMALLEST_DEFAULT_PART = 8 * MIB
LARGEST_DEFAULT_PART = 64 * MIB
PARTS_PER_CONNECTION = 4
#: Seconds that a part should last once it is known how fast its bytes come: few requests, and yet none that holds on to
#: a URL or a server for long.
PART_SECONDS = 4.0
#: A part lasts so many times longer than the wait for its first byte: less than 2 % of the time is spent waiting. Only
#: for this may parts be larger than the largest default, up to what 100 ms ask for at 50 MB/s.
LATENCIES_PER_PART = 50
LARGEST_MEASURED_PART = 256 * MIB
#: Near the end all connections are to stop together. What each still has to bring is cut smaller and smaller, so that
#: what was misjudged can be evened out, but not below what lasts 0.3 s or twenty waits for a first byte, for each cut
#: costs one; and into nothing that is less than a request is worth.
SHARE_AT_A_TIME = 2 / 3
LAST_PART_SECONDS = 0.3
LAST_PART_LATENCIES = 20
SMALLEST_LAST_PART = 1 * MIB


def choose_part_size(size: int, *, connections: int, wanted: int | None = None, most_parts: int = MAX_PARTS) -> int:
    """Bytes per part for an object of `size` bytes: `wanted`, or a default; larger where 10,000 parts would not do.

    A grown part size is the smallest multiple of 4096 with which at most 10,000 parts cover the object.
    """
    if wanted is None:
        share = size // (connections * PARTS_PER_CONNECTION)
        share -= share % PART_SIZE_STEP
        wanted = min(max(share, SMALLEST_DEFAULT_PART), LARGEST_DEFAULT_PART)
    if wanted * most_parts >= size:
        return wanted
    return -(-size // (most_parts * PART_SIZE_STEP)) * PART_SIZE_STEP


def measured_part_size(rest: int, owed: int, *, connections: int, rate: float, latency: float) -> int:
    """Bytes of the next part when `rest` bytes are unclaimed, by what has been measured; a multiple of 4096.

    Args:
        owed: bytes that are claimed and have not come.
        connections: that are at work, the next part's included.
        rate: bytes per second of one connection; more than 0.
        latency: seconds from a request to its first byte.
    """
    lasting = min(max(rate * PART_SECONDS, SMALLEST_DEFAULT_PART), LARGEST_DEFAULT_PART)
    lasting = max(lasting, min(rate * latency * LATENCIES_PER_PART, LARGEST_MEASURED_PART))
    share = (rest + owed) / connections
    least = rate * max(LAST_PART_SECONDS, latency * LAST_PART_LATENCIES)
    size = min(lasting, max(share * SHARE_AT_A_TIME, min(share, least)))
    return -(-max(int(size), SMALLEST_LAST_PART) // PART_SIZE_STEP) * PART_SIZE_STEP


@dataclass(slots=True)
class Claim:
    """A part that one fetcher is working on: `[start, stop)`, `stop` None while nobody knows where the object ends.

    `position` is the next byte to receive. It falls back when a stream without ranges starts again; `furthest` does
    not, and only a byte beyond it is progress.
    """

    start: int
    stop: int | None
    position: int = -1
    furthest: int = -1

    def __post_init__(self) -> None:
        self.position = max(self.position, self.start)
        self.furthest = max(self.furthest, self.position)

    @property
    def done(self) -> bool:
        return self.stop is not None and self.position >= self.stop

    def advance(self, position: int) -> None:
        """All bytes before `position` have been received."""
        self.position = position
        self.furthest = max(self.furthest, position)


class Planner:
    """Hands out the parts of `spans` one at a time, in order but for what is given back.

    Args:
        part_size: bytes of a part where nothing has been measured.
        measured: who claims a part may say how large it should be.
        most_parts: what is said is obeyed as far as so many parts will do, or as many as there are spans.

    Attributes:
        part_size, measured: as given.
        rest: bytes that are still to be claimed.
    """

    def __init__(
        self, spans: Iterable[Part], part_size: int, *, measured: bool = False, most_parts: int = MAX_PARTS
    ) -> None:
        self._spans = deque(span for span in spans if span.length > 0)
        self._most_parts, self._closed = most_parts, False
        self.part_size: int = part_size
        self.measured: bool = measured
        self.rest: int = sum(span.length for span in self._spans)

    def claim(self, part_size: int | None = None) -> Claim | None:
        """The next part nobody has claimed, or None when all are taken.

        Args:
            part_size: bytes it should have, if the planner was made for that; None for what it was made with.
        """
        if not self._spans:
            return None
        size = self._allowed(part_size or self.part_size) if self.measured else self.part_size
        span = self._spans.popleft()
        claim = Claim(span.start, min(span.start + size, span.stop))
        if claim.start + size < span.stop:
            self._spans.appendleft(Part(claim.start + size, span.stop))
        self.rest -= min(size, span.length)
        self._most_parts -= 1
        return claim

    def give_back(self, span: Part) -> None:
        """Bytes that were claimed are to be claimed again, before all others; not where nothing more is handed out."""
        if self._closed:
            return
        self._spans.appendleft(span)
        self.rest += span.length

    def _allowed(self, part_size: int) -> int:
        """`part_size`, or more where the parts that are left to hand out would not do."""
        full = self._most_parts - len(self._spans)  # every span may end in a part that is not
        if full < 1:
            return self.rest
        return max(part_size, -(-self.rest // (full * PART_SIZE_STEP)) * PART_SIZE_STEP)

    @property
    def unclaimed(self) -> int:
        """How many parts are still to be claimed, if nobody says how large they should be."""
        return sum(-(-span.length // self.part_size) for span in self._spans)

    def close(self) -> None:
        """Hand out nothing more."""
        self._closed = True
        self._spans.clear()
        self.rest = 0


class Span(Protocol):
    """Anything from `start` up to, but not including, `stop`."""

    @property
    def start(self) -> int: ...

    @property
    def stop(self) -> int: ...


class Coverage:
    """The set of offsets that have been written, as disjoint half-open spans.

    Parts are claimed in order and each grows from its start, so there are never many more spans than connections.
    """

    def __init__(self, spans: Iterable[Span] = ()) -> None:
        self._starts: list[int] = []
        self._stops: list[int] = []
        for span in spans:
            self.add(span.start, span.stop)

    def add(self, start: int, stop: int) -> int:
        """Mark `[start, stop)` as written; the number of bytes that were not before."""
        if start >= stop:
            return 0
        first = bisect_left(self._stops, start)
        last = bisect_right(self._starts, stop)
        if last - first == 1 and self._stops[first] == start:
            self._stops[first] = stop  # as nearly always: what follows a span, and touches no other
            return stop - start
        known = sum(
            max(0, min(stop, self._stops[index]) - max(start, self._starts[index])) for index in range(first, last)
        )
        fresh = stop - start - known
        if first < last:
            start, stop = min(start, self._starts[first]), max(stop, self._stops[last - 1])
        self._starts[first:last] = [start]
        self._stops[first:last] = [stop]
        return fresh

    def has_some(self, start: int, stop: int) -> bool:
        """Whether any byte of `[start, stop)` is marked."""
        return start < stop and bisect_right(self._stops, start) < bisect_left(self._starts, stop)

    def remove(self, start: int, stop: int) -> None:
        """Mark `[start, stop)` as not written."""
        if not self.has_some(start, stop):
            return
        first, last = bisect_right(self._stops, start), bisect_left(self._starts, stop)
        rest = [(self._starts[first], start), (stop, self._stops[last - 1])]
        rest = [span for span in rest if span[0] < span[1]]
        self._starts[first:last] = [span[0] for span in rest]
        self._stops[first:last] = [span[1] for span in rest]

    @property
    def stop(self) -> int:
        """The end of the last span; 0 if there is none."""
        return self._stops[-1] if self._stops else 0

    @property
    def spans(self) -> list[Part]:
        return [Part(*span) for span in zip(self._starts, self._stops, strict=True)]

    def missing(self, size: int) -> Iterator[Part]:
        """The spans of `[0, size)` that have not been written."""
        position = 0
        for start, stop in zip(self._starts, self._stops, strict=True):
            if start >= size:
                break
            if position < start:
                yield Part(position, start)
            position = max(position, stop)
        if position < size:
            yield Part(position, size)
