"""The content oracle: any byte of an object of any size, computed from (seed, offset); no disk, no clock, no network.

Rule: the bytes are a function of (seed, offset) alone, so two objects of one seed agree wherever both have bytes.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

#: Bytes of the random template; each span of this size is a copy of it, turned by an amount of its own.
SPAN = 1 << 20
#: Bytes between two stamps of the page number: every window of `PAGE + 7` bytes holds a whole one.
PAGE = 1 << 12
_PAGES = SPAN // PAGE
_STAMP = 8
_PAGE_NUMBERS = bytes(range(_PAGES))
#: Bytes handed out at a time: large enough to make the cost per call vanish, small enough to stay in a CPU's cache.
BLOCK = 1 << 18


@lru_cache(maxsize=8)
def _template(seed: int) -> memoryview:
    """The template twice in a row, so that a turned copy is one slice."""
    once = hashlib.shake_128(b"asyncdl content %d" % seed).digest(SPAN)
    return memoryview(once + once)


@lru_cache(maxsize=4096)
def _turn(seed: int, span: int) -> int:
    # A hash, not a multiple of the span: with equal steps one single wrong shift would fit everywhere.
    digest = hashlib.blake2b(b"%d turn %d" % (seed, span), digest_size=8).digest()
    return int.from_bytes(digest, "big") % SPAN


@lru_cache(maxsize=8)
def _key(seed: int) -> int:
    return int.from_bytes(hashlib.blake2b(b"%d stamp" % seed, digest_size=_STAMP).digest(), "big") & ~(_PAGES - 1)


def _pages(seed: int, span: int, first: int, last: int) -> bytearray:
    """Pages `[first, last)` of one span."""
    turn = _turn(seed, span)
    data = bytearray(_template(seed)[turn + first * PAGE : turn + last * PAGE])
    high = (span * _PAGES ^ _key(seed)).to_bytes(_STAMP, "big")
    for place in range(_STAMP - 1):
        data[place::PAGE] = high[place : place + 1] * (last - first)
    data[_STAMP - 1 :: PAGE] = _PAGE_NUMBERS[first:last]
    return data


@lru_cache(maxsize=16)
def _sha256(seed: int, size: int) -> str:
    digest = hashlib.sha256()
    for block in Content(seed, size).blocks(0, size):
        digest.update(block)
    return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class Content:
    """The bytes of an object of `size` bytes, wherever they are asked for, at memory speed and in constant memory.

    Any window of 4 KiB occurs at one offset only: data written a single byte, or a whole part, beside its place shows.

        content = Content(seed=1, size=5 << 40)
        content.read(1 << 40, (1 << 40) + 16)       # 16 bytes from the middle of 5 TiB
        assert content.first_difference(path) is None

    Args:
        seed: objects of different seeds have nothing in common.
        size: in bytes.
    """

    seed: int
    size: int

    def read(self, start: int, stop: int) -> bytes:
        """Bytes `[start, stop)`, cut at the end of the object."""
        return b"".join(self.blocks(start, stop, block=SPAN))

    def blocks(self, start: int, stop: int, block: int = BLOCK) -> Iterator[memoryview]:
        """Bytes `[start, stop)` in views of at most `block` bytes (and at most 1 MiB).

        A view stays valid, and its bytes stay the same, for as long as the caller keeps it.
        """
        place, stop = max(start, 0), min(stop, self.size)
        while place < stop:
            span, offset = divmod(place, SPAN)
            length = min(block, SPAN - offset, stop - place)
            first, last = offset // PAGE, -(-(offset + length) // PAGE)
            inner = offset - first * PAGE
            yield memoryview(_pages(self.seed, span, first, last))[inner : inner + length]
            place += length

    def first_difference(self, path: str | os.PathLike[str]) -> int | None:
        """The first offset at which the file is not this object, or None if it is, to the last byte.

        A file that is too short differs at its length, one that is too long at the object's. Reads the whole file and
        blocks meanwhile: call it through `asyncio.to_thread` for a large one.

        Raises:
            OSError: the file cannot be read.
        """
        buffer = bytearray(SPAN)
        view = memoryview(buffer)
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123  # str is welcome too
            place = 0
            for expected in self.blocks(0, self.size, block=SPAN):
                found = 0
                while found < len(expected) and (count := file.readinto(view[found : len(expected)])):
                    found += count
                # bytearray on the left: its comparison is memcmp, that of two memoryviews goes item by item.
                if found < len(expected) or (buffer if found == SPAN else buffer[:found]) != expected:
                    return place + _first_unequal(bytes(view[:found]), bytes(expected))
                place += found
            return self.size if file.read(1) else None

    def sha256(self) -> str:
        """The SHA-256 of the whole object as hexadecimal digits; computed once per seed and size."""
        return _sha256(self.seed, self.size)


def _first_unequal(found: bytes, expected: bytes) -> int:
    low, high = 0, min(len(found), len(expected))
    if found[:high] == expected[:high]:
        return high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if found[low:middle] != expected[low:middle] else (middle, high)
    return low


def merged(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Half-open ranges, sorted and joined where they touch or overlap."""
    ordered = sorted(span for span in spans if span[0] < span[1])
    reach = accumulate((stop for _, stop in ordered), max)
    result: list[tuple[int, int]] = []
    for (start, _), stop in zip(ordered, reach, strict=True):
        if result and start <= result[-1][1]:
            result[-1] = (result[-1][0], stop)
        else:
            result.append((start, stop))
    return result
