"""A disk whose process dies by SIGKILL at a chosen call: before it, after it, or with some of a write done."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NoReturn, TypeAlias

from asyncdl.edge.disk import FileName, OsDisk

How: TypeAlias = Literal["outside", "byte", "before", "half", "after"]
Locks: TypeAlias = Literal["real", "lying", "none"]
#: Ways in which a download can be wrong, for a test of those who look.
Mutant: TypeAlias = Literal["", "loses writes", "claims nothing"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kill:
    """When a process dies.

    Attributes:
        how: "outside": by its parent, which sees so many bytes in `.part` a moment late. "byte": in the write that
            would reach so many bytes, which are there. The others: around the disk call with this number, from 1;
            "half": with half of its bytes written, if it is a write.
        at: the bytes this process writes into `.part`, or the number of the call.
    """

    how: How
    at: int


class Doomed(OsDisk):
    """The system's files until the end comes.

    Args:
        said: told the name of each call, and the bytes written into `.part` so far, when the call is done.
        locks: what the file system's locks are worth: "lying" grants them to everybody, "none" has no such thing.
    """

    def __init__(self, said: Callable[[str, int], object], kill: Kill | None = None, locks: Locks = "real") -> None:
        super().__init__()
        self._said, self._locks = said, locks
        self._how, self._at = (kill.how, kill.at) if kill else ("outside", 0)
        self._counting = threading.Lock()
        self._calls = self._written = 0
        self._parts: set[int] = set()

    def _count(self) -> int:
        with self._counting:
            self._calls += 1
            return self._calls

    @contextlib.contextmanager
    def _call(self, name: str) -> Iterator[None]:
        number = self._count()
        if (self._how, self._at) in {("before", number), ("half", number)}:
            die()
        try:
            yield
        finally:  # a file that is not there is a call as well
            if (self._how, self._at) == ("after", number):
                die()
            self._said(name, self._written)

    def create(self, path: FileName, mode: int) -> int:
        with self._call("create"):
            return self._noted(super().create(path, mode), path)

    def open(self, path: FileName, *, write: bool = True) -> int:
        with self._call("open"):
            return self._noted(super().open(path, write=write), path)

    def _noted(self, descriptor: int, path: FileName) -> int:
        self._parts.discard(descriptor)
        if Path(path).suffix == ".part":
            self._parts.add(descriptor)
        return descriptor

    def lock(self, descriptor: int) -> bool | None:
        with self._call("lock"):
            return super().lock(descriptor) if self._locks == "real" else True if self._locks == "lying" else None

    def reserve(self, descriptor: int, size: int) -> None:
        with self._call("reserve"):
            super().reserve(descriptor, size)

    def truncate(self, descriptor: int, size: int) -> None:
        with self._call("truncate"):
            super().truncate(descriptor, size)

    def set_mode(self, descriptor: int, mode: int) -> None:
        with self._call("set_mode"):
            super().set_mode(descriptor, mode)

    def write(self, descriptor: int, buffers: Sequence[bytes | memoryview], offset: int) -> int:
        number, length = self._count(), sum(map(len, buffers))
        if (self._how, self._at) == ("before", number):
            die()
        part = descriptor in self._parts
        last = -1
        if (self._how, self._at) == ("half", number):
            last = length // 2
        elif self._how == "byte" and part and self._written + length >= self._at:
            last = self._at - self._written
        if last >= 0:
            super().write(descriptor, [b"".join(buffers)[:last]], offset)
            die()
        taken = super().write(descriptor, buffers, offset)
        if part:
            self._written += taken
        if (self._how, self._at) == ("after", number):
            die()
        self._said("write" if part else "note", self._written)
        return taken

    def sync_data(self, descriptor: int) -> None:
        with self._call("sync_data"):
            super().sync_data(descriptor)

    def sync(self, descriptor: int) -> None:
        with self._call("sync"):
            super().sync(descriptor)

    def replace(self, source: FileName, target: FileName) -> None:
        with self._call("replace"):
            super().replace(source, target)

    def unlink(self, path: FileName) -> None:
        with self._call("unlink"):
            super().unlink(path)

    def sync_directory(self, path: FileName) -> None:
        with self._call("sync_directory"):
            super().sync_directory(path)


class Forgetful(Doomed):
    """Says that it wrote, and keeps every eighth write of `.part` to itself."""

    _kept = 0

    def write(self, descriptor: int, buffers: Sequence[bytes | memoryview], offset: int) -> int:
        if descriptor in self._parts:
            self._kept += 1
            if self._kept % 8 == 0:
                return sum(map(len, buffers))
        return super().write(descriptor, buffers, offset)


def die() -> NoReturn:
    """End this process at once, as the kernel does when memory runs out."""
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError
