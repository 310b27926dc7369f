"""Files of the disk in memory without their names, and the numbers that they get."""

from __future__ import annotations

import heapq
import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass, field

from asyncdl.edge.disk import FileName

#: ext4 gives the first file of a user this number; the ones below are its own.
FIRST_NUMBER = 12
_DEVICE = 2049


@dataclass(slots=True, eq=False)
class Inode:
    """One file.

    Attributes:
        id: never given to another file; `number` is, when this one is gone.
        allocated: bytes that it takes of the disk's capacity.
        named: whether it has a name.
        descriptors: those that are open; `locked_by` is one of them, or None.
        changes: counts up with every change, as a time of modification does.
    """

    id: int
    number: int
    mode: int
    data: bytearray = field(default_factory=bytearray)
    allocated: int = 0
    named: bool = True
    descriptors: set[int] = field(default_factory=set)
    locked_by: int | None = None
    changes: int = 0

    @property
    def status(self) -> os.stat_result:
        plain = (stat.S_IFREG | self.mode, self.number, _DEVICE, int(self.named), os.geteuid(), os.getegid())
        further = {"st_blocks": -(-self.allocated // 512), "st_mtime_ns": self.changes}
        return os.stat_result((*plain, len(self.data), 0, 0, 0), further)

    @property
    def gone(self) -> bool:
        """Whether nothing leads to it any more."""
        return not self.named and not self.descriptors

    def resize(self, size: int) -> None:
        self.changes += 1
        del self.data[size:]
        self.data.extend(bytes(size - len(self.data)))

    def put(self, data: bytes, offset: int) -> None:
        stop = offset + len(data)
        self.data.extend(bytes(max(0, stop - len(self.data))))
        self.data[offset:stop] = data
        self.allocated = max(self.allocated, stop)
        self.changes += 1


class Numbers:
    """File numbers, the lowest free one first, as ext4 gives them."""

    def __init__(self, taken: Iterable[int]) -> None:
        used = set(taken)
        self._next = max(used, default=FIRST_NUMBER - 1) + 1
        self._free = sorted(set(range(FIRST_NUMBER, self._next)) - used)

    def take(self) -> int:
        if self._free:
            return heapq.heappop(self._free)
        self._next += 1
        return self._next - 1

    def give_back(self, number: int) -> None:
        heapq.heappush(self._free, number)


def status_of_folder() -> os.stat_result:
    """Of the one directory."""
    return os.stat_result((stat.S_IFDIR | 0o755, 2, _DEVICE, 2, os.geteuid(), os.getegid(), 4096, 0, 0, 0))


def refusal(number: int, path: FileName | None = None) -> OSError:
    """What the system would raise."""
    return OSError(number, os.strerror(number), *([] if path is None else [str(path)]))
