"""A file of any size that takes hardly any space: zeros, and marks that depend on their position; its checksums."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from asyncdl.edge import hashing
from asyncdl.testing import Content

#: Bytes from one mark to the next, of one mark, and where marks end, so that 5 TiB take no more space than 64 MiB.
_EVERY = 16 << 20
_MARK = 4096
_MARKED = 256 << 30


@cache
def algorithm() -> str:
    """The CRC used here: the fastest there is."""
    return hashing.best_crc() or "crc32"


@dataclass(frozen=True, slots=True)
class Marked:
    """The contents, by size."""

    size: int

    def write(self, path: Path) -> Path:
        """Make the file; the path again."""
        with path.open("wb") as file:
            file.truncate(self.size)
            for start in range(0, min(self.size, _MARKED), _EVERY):
                file.seek(start)
                file.write(self._mark(start))
        return path

    def crc(self, start: int, stop: int) -> int:
        """The CRC of bytes `[start, stop)`, in time that depends on the marks and not on the bytes."""
        value = 0
        for first, last, data in self._pieces(start, stop):
            piece = _of_zeros(last - first) if data is None else hashing.crc(algorithm(), data)
            value = hashing.combine(algorithm(), value, piece, last - first)
        return value

    def _mark(self, start: int) -> bytes:
        return Content(1, self.size).read(start, start + _MARK)

    def _pieces(self, start: int, stop: int) -> Iterator[tuple[int, int, bytes | None]]:
        """Marks, or parts of them, and the zeros between them as None."""
        for mark in range(start - start % _EVERY, min(stop, _MARKED), _EVERY):
            first, last = max(start, mark), min(stop, mark + _MARK)
            if first < last:
                yield first, last, self._mark(mark)[first - mark : last - mark]
            first, last = max(start, mark + _MARK), min(stop, mark + _EVERY)
            if first < last:
                yield first, last, None
        if max(start, _MARKED) < stop:
            yield max(start, _MARKED), stop, None


@cache
def _of_zeros(count: int) -> int:
    """The CRC of so many zeros, by doubling."""
    if count <= 1 << 16:
        return hashing.crc(algorithm(), bytes(count))
    half = _of_zeros(count // 2)
    value = hashing.combine(algorithm(), half, half, count // 2)
    return hashing.crc(algorithm(), b"\0", value) if count % 2 else value


class Running:
    """The CRCs of pieces that come in any order, joined wherever two of them touch."""

    def __init__(self) -> None:
        self._by_start: dict[int, tuple[int, int]] = {}
        self._by_stop: dict[int, int] = {}
        self.bytes: int = 0

    def add(self, start: int, data: bytes | memoryview) -> None:
        """Bytes at an offset, for the first time."""
        value, stop = hashing.crc(algorithm(), data), start + len(data)
        self.bytes += len(data)
        if start in self._by_stop:
            before = self._by_stop.pop(start)
            value = hashing.combine(algorithm(), self._by_start.pop(before)[1], value, len(data))
            start = before
        if stop in self._by_start:
            after, behind = self._by_start.pop(stop)
            value = hashing.combine(algorithm(), value, behind, after - stop)
            stop = after
        self._by_start[start] = (stop, value)
        self._by_stop[stop] = start

    def runs(self) -> list[tuple[int, int, int]]:
        """(start, stop, CRC) of what is joined, in order."""
        return sorted((start, stop, value) for start, (stop, value) in self._by_start.items())
