"""Which ranges of an object are held, and the checksum of each where one is known.

Rule: the ranges are disjoint and in order, and ranges without a checksum are joined where they touch.
Rule: a checksum stands for exactly its range; what cuts or overwrites the range takes the checksum away.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from asyncdl.model import Part
from asyncdl.rules.ranges import MAX_SIZE

#: Checksums whose values for neighbouring ranges can be combined, and their width in bits.
CRC_BITS: Final = {"crc32": 32, "crc32c": 32, "crc64nvme": 64}


@dataclass(frozen=True, slots=True)
class Crc:
    """A checksum of the bytes of one range.

    Attributes:
        algorithm: `crc32` (zlib), `crc32c` (RFC 3720 appendix B.4) or `crc64nvme` (NVM Command Set specification,
            64b CRC).
        value: as an unsigned number.

    Raises:
        ValueError: an unknown algorithm, or a value wider than it has bits.
    """

    algorithm: str
    value: int

    def __post_init__(self) -> None:
        if self.algorithm not in CRC_BITS or not 0 <= self.value < 1 << CRC_BITS[self.algorithm]:
            raise ValueError("not a checksum of an algorithm whose values can be combined")

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.value:0{CRC_BITS[self.algorithm] // 4}x}"


@dataclass(frozen=True, slots=True)
class Held:
    """The bytes `[start, stop)` are held; `crc` is of exactly them.

    Raises:
        ValueError: no byte is in the range, or one beyond `MAX_SIZE`.
    """

    start: int
    stop: int
    crc: Crc | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.start < self.stop <= MAX_SIZE:
            raise ValueError("not a range of a file")


class Holdings:
    """A growing and sometimes shrinking set of `Held` ranges."""

    __slots__ = ("_items",)

    def __init__(self, items: Iterable[Held] = ()) -> None:
        self._items: list[Held] = []
        for item in items:
            self.put(item)

    def __len__(self) -> int:
        return len(self._items)

    @property
    def items(self) -> tuple[Held, ...]:
        """The ranges in order."""
        return tuple(self._items)

    def put(self, item: Held) -> None:
        """These bytes are held. Whatever was known of the same bytes is known no more: they may be new ones."""
        self._splice(item.start, item.stop, [item])

    def drop(self, start: int, stop: int) -> None:
        """Of `[start, stop)` nothing is held."""
        if start < stop:
            self._splice(start, stop, [])

    def _splice(self, start: int, stop: int, new: list[Held]) -> None:
        items = self._items
        first = bisect_right(items, start, key=lambda item: item.stop)
        last = bisect_left(items, stop, key=lambda item: item.start)
        left = [Held(item.start, start) for item in items[first:last][:1] if item.start < start]
        right = [Held(stop, item.stop) for item in items[first:last][-1:] if item.stop > stop]
        # The neighbours take part: a range that lost its checksum may touch one that has none.
        low, high = max(0, first - 1), last + 1
        items[low:high] = _joined([*items[low:first], *left, *new, *right, *items[last:high]], _both_bare)


def spans_of(items: Iterable[Held]) -> tuple[Part, ...]:
    """The bytes held, as the fewest ranges. `items` are disjoint and in order."""
    return tuple(Part(item.start, item.stop) for item in _joined(items, lambda _first, _second: True))


def _both_bare(first: Held, second: Held) -> bool:
    return first.crc is None and second.crc is None


def _joined(items: Iterable[Held], may_join: Callable[[Held, Held], bool]) -> list[Held]:
    joined: list[Held] = []
    for item in items:
        if joined and joined[-1].stop == item.start and may_join(joined[-1], item):
            joined[-1] = Held(joined[-1].start, item.stop)
        else:
            joined.append(item)
    return joined
