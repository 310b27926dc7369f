"""How the parts of an object, in whatever order they come, add up to the checksum of the whole.

Rule: a CRC of neighbours follows from theirs, so no order matters to it; a hash takes the bytes from the first one on.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from functools import lru_cache
from typing import Final

from asyncdl.model import Part
from asyncdl.rules.parts import Coverage

#: The polynomials of the CRCs that combine, as (bits, coefficients with that of x^0 in the highest bit); the leading
#: one is implied. All of them start from, and end with, all bits turned over.
#: CRC-32: RFC 1952 section 8. CRC-32C: RFC 3720 section 12.1, there 0x11EDC6F41. CRC-64/NVME: NVM Express, NVM Command
#: Set Specification, 64b CRC, there 0xAD93D23594C93659.
_POLYNOMIALS: Final = {
    "crc32": (32, 0xEDB88320),
    "crc32c": (32, 0x82F63B78),
    "crc64nvme": (64, 0x9A6C9329AC4BC9B5),
}
#: The algorithms that `combine` and `PartSums` know.
COMBINABLE: Final = frozenset(_POLYNOMIALS)


def combine(algorithm: str, crc1: int, crc2: int, length2: int) -> int:
    """The CRC of two neighbours from theirs: `crc1` of the first, `crc2` of the `length2` bytes that follow.

    Takes about 10 microseconds for a length that was combined with lately, and up to 100 for another one.

    Raises:
        ValueError: an algorithm that is not `COMBINABLE`, a CRC that it cannot have, or a negative length.
    """
    if algorithm not in _POLYNOMIALS:
        raise ValueError(f"values of {algorithm} cannot be combined")
    bits = _POLYNOMIALS[algorithm][0]
    if not (0 <= crc1 < 1 << bits and 0 <= crc2 < 1 << bits):
        raise ValueError(f"a value of {algorithm} has {bits} bits")
    if length2 < 0:
        raise ValueError("no length is negative")
    # Appending bytes multiplies what was there by x^8 for each; the two inversions cancel out.
    return _multiply(algorithm, _power(algorithm, length2), crc1) ^ crc2


# Parts have few different lengths, so that nearly every power asked for is a known one.
@lru_cache(maxsize=1024)
def _power(algorithm: str, length: int) -> int:
    """x^(8 * length) modulo the polynomial."""
    product = 1 << (_POLYNOMIALS[algorithm][0] - 1)
    for position, byte in enumerate(length.to_bytes((length.bit_length() + 7) // 8, "little")):
        if byte:
            product = _multiply(algorithm, product, _byte_power(algorithm, position, byte))
    return product


# All there can be for lengths up to 2^64: 256 for each of 8 positions, for each algorithm.
@lru_cache(maxsize=3 * 8 * 256)
def _byte_power(algorithm: str, position: int, byte: int) -> int:
    """x^(8 * byte * 256^position) modulo the polynomial."""
    product = 1 << (_POLYNOMIALS[algorithm][0] - 1)
    for bit in range(8):
        if byte >> bit & 1:
            product = _multiply(algorithm, product, _square(algorithm, 8 * position + bit))
    return product


@lru_cache(maxsize=1024)
def _square(algorithm: str, exponent: int) -> int:
    """x^(8 * 2^exponent) modulo the polynomial: x^8, squared so many times."""
    if exponent == 0:
        return 1 << (_POLYNOMIALS[algorithm][0] - 1 - 8)
    root = _square(algorithm, exponent - 1)
    return _multiply(algorithm, root, root)


def _multiply(algorithm: str, first: int, second: int) -> int:
    bits, polynomial = _POLYNOMIALS[algorithm]
    highest = 1 << (bits - 1)
    product = 0
    while first:
        if first & highest:
            product ^= second
            first ^= highest
        first <<= 1
        second = second >> 1 ^ polynomial if second & 1 else second >> 1
    return product


class PartSums:
    """The CRCs of disjoint spans of an object, joined where they touch.

    Attributes:
        algorithm: whose values they are.

    Raises:
        ValueError: `algorithm` is not `COMBINABLE`.
    """

    algorithm: str

    def __init__(self, algorithm: str) -> None:
        if algorithm not in COMBINABLE:
            raise ValueError(f"values of {algorithm} cannot be combined")
        self.algorithm = algorithm
        self._starts: list[int] = []
        self._stops: list[int] = []
        self._crcs: list[int] = []

    def add(self, start: int, stop: int, crc: int) -> None:
        """The bytes `[start, stop)`, of which none was added before, have this CRC.

        Raises:
            ValueError: no span of an object, one that was added in part, or a value that is no CRC. Nothing was added.
        """
        if not 0 <= start < stop:
            raise ValueError("not a span of an object")
        first = bisect_left(self._stops, start)
        last = bisect_right(self._starts, stop)
        left = first < last and self._stops[first] == start
        right = first < last and self._starts[last - 1] == stop
        if last - first > left + right:
            raise ValueError("some of these bytes have been added before")
        before, before_crc = (self._starts[first], self._crcs[first]) if left else (start, 0)
        crc = combine(self.algorithm, before_crc, crc, stop - start)
        if right:
            crc = combine(self.algorithm, crc, self._crcs[last - 1], self._stops[last - 1] - stop)
            stop = self._stops[last - 1]
        self._replace(first, last, [(before, stop, crc)])

    def discard(self, start: int, stop: int) -> None:
        """The bytes `[start, stop)` have been, or will be, written anew: forget every joined span with one of them.

        No CRC can be cut, so that more may be forgotten than was rewritten: `missing` says what to read back.
        """
        if start < stop:
            self._replace(bisect_right(self._stops, start), bisect_left(self._starts, stop), [])

    def _replace(self, first: int, last: int, spans: list[tuple[int, int, int]]) -> None:
        self._starts[first:last] = [start for start, _, _ in spans]
        self._stops[first:last] = [stop for _, stop, _ in spans]
        self._crcs[first:last] = [crc for _, _, crc in spans]

    @property
    def spans(self) -> list[tuple[Part, int]]:
        """The joined spans in order, each with its CRC."""
        return [
            (Part(start, stop), crc) for start, stop, crc in zip(self._starts, self._stops, self._crcs, strict=True)
        ]

    def missing(self, size: int) -> Iterator[Part]:
        """The spans of `[0, size)` that no CRC is known of."""
        coverage = Coverage()
        for part, _ in self.spans:
            coverage.add(*part)
        return coverage.missing(size)

    def whole(self, size: int) -> int | None:
        """The CRC of the object of `size` bytes, or None while it is not known of all of them, or of others too."""
        if size == 0 and not self._starts:
            return 0
        if self._starts == [0] and self._stops == [size]:
            return self._crcs[0]
        return None


class Prefix:
    """How far a hash has come that takes an object's bytes in order, and which ones it may take now.

    Whoever writes bytes before `hashed` anew, and not the same ones, begins with another hash and another `Prefix`.

    Attributes:
        hashed: the bytes `[0, hashed)` have been taken.
    """

    hashed: int

    def __init__(self, hashed: int = 0) -> None:
        self.hashed = hashed

    def in_hand(self, start: int, stop: int) -> Part | None:
        """Which of the bytes `[start, stop)`, still in memory, come next; None if an earlier one has to be awaited."""
        return Part(self.hashed, stop) if start <= self.hashed < stop else None

    def on_disk(self, written: Coverage) -> Part | None:
        """Which of the bytes `written` come next and have to be read back, or None.

        They came out of order, and what was missing before them has arrived since.
        """
        for start, stop in written.spans:
            if start <= self.hashed < stop:
                return Part(self.hashed, stop)
        return None

    def advance(self, part: Part) -> None:
        """The hash has taken `part`.

        Raises:
            ValueError: `part` was not what comes next.
        """
        if part.start != self.hashed or part.stop < part.start:
            raise ValueError("a hash takes the bytes in order, each once")
        self.hashed = part.stop
