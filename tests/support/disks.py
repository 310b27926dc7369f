"""Disks to test with: one that notes what is done to it, and one that another process would see."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from asyncdl.edge.disk import FileName, OsDisk


class Elsewhere(OsDisk):
    """The same files, seen from another process."""

    def __init__(self) -> None:
        super().__init__()
        self.holders = set()


class NotingDisk(Elsewhere):
    """The system's own files.

    Attributes:
        notes: what was done, in order, as "call name": what follows the destination's name stands for a file, and
            names of a file that is open are those it was opened by.
        before: called with each note before it is carried out; may raise what the system could.
    """

    def __init__(self, dest: Path) -> None:
        super().__init__()
        self._dest = dest
        self._open: dict[int, str] = {}
        self.notes: list[str] = []
        self.before: Callable[[str], object] = lambda _: None

    def _name(self, path: FileName) -> str:
        return Path(path).name.removeprefix(self._dest.name) or "dest"

    def _note(self, doing: str, *names: str) -> None:
        note = " ".join([doing, *names])
        self.before(note)
        self.notes.append(note)

    def create(self, path: FileName, mode: int) -> int:
        self._note("create", self._name(path))
        descriptor = super().create(path, mode)
        self._open[descriptor] = self._name(path)
        return descriptor

    def open(self, path: FileName, *, write: bool = True) -> int:
        descriptor = super().open(path, write=write)
        self._open[descriptor] = self._name(path)
        return descriptor

    def reserve(self, descriptor: int, size: int) -> None:
        self._note("reserve", self._open[descriptor])
        super().reserve(descriptor, size)

    def truncate(self, descriptor: int, size: int) -> None:
        self._note("truncate", self._open[descriptor])
        super().truncate(descriptor, size)

    def set_mode(self, descriptor: int, mode: int) -> None:
        self._note("mode", self._open[descriptor])
        super().set_mode(descriptor, mode)

    def write(self, descriptor: int, buffers: Sequence[bytes | memoryview], offset: int) -> int:
        kind = bytes(buffers[0][:6]) if "journal" in self._open[descriptor] else b""
        self._note("write", self._open[descriptor], *([kind.decode().split()[0]] if kind else []))
        return super().write(descriptor, buffers, offset)

    def sync_data(self, descriptor: int) -> None:
        self._note("sync data", self._open[descriptor])
        super().sync_data(descriptor)

    def sync(self, descriptor: int) -> None:
        self._note("sync", self._open[descriptor])
        super().sync(descriptor)

    def replace(self, source: FileName, target: FileName) -> None:
        self._note("rename", self._name(source), self._name(target))
        super().replace(source, target)

    def unlink(self, path: FileName) -> None:
        if os.path.lexists(path):
            self._note("unlink", self._name(path))
        super().unlink(path)

    def sync_directory(self, path: FileName) -> None:
        self._note("sync directory")
        super().sync_directory(path)
