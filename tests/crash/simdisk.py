"""A disk in memory that keeps a record of what was done to it, and can be set up as any crash left it."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from asyncdl.edge.disk import FileName, Place
from tests.crash.inodes import Inode, Numbers, refusal, status_of_folder
from tests.crash.trace import (
    NOTHING,
    Create,
    FailedSync,
    File,
    Image,
    Rename,
    Resize,
    SetMode,
    Step,
    Sync,
    SyncDirectory,
    Unlink,
    Write,
)

FOLDER = Path("/disk")
_UMASK = 0o022


class SimDisk:
    """Keeps the promise of `asyncdl.edge.disk.Disk`, for one directory.

    Args:
        image: what is there, durably, at the beginning.
        capacity: bytes that fit, or None.
        locks: whether there are locks; without, `lock` answers None.
        records: whether to keep the trace.

    Attributes:
        trace: every call that changed something or made it last, in order.
        pause: called at the beginning of each call, and in the middle of a sync: another thread may go on there.
        syncs: how many syncs of files were begun; those whose numbers, from 0, are in `failing_syncs` fail,
            with the error `failing_with`.
        dies_at: length of the trace at which the process is killed: from then on no call does anything.
    """

    def __init__(
        self, image: Image = NOTHING, *, capacity: int | None = None, locks: bool = True, records: bool = True
    ) -> None:
        self._capacity, self._locks, self._records = capacity, locks, records
        self.trace: list[Step] = []
        self.pause: Callable[[], None] | None = None
        self.failing_syncs: set[int] = set()
        self.failing_with = errno.EIO
        self.dies_at: int | None = None
        self.syncs = 0
        self._lock = threading.RLock()
        self._holders: set[Place] = set()
        self._open: dict[int, Inode] = {}
        self._read_only: set[int] = set()
        self._next_descriptor = 3
        self._names = {
            name: Inode(place, file.number, file.mode, bytearray(file.data), len(file.data))
            for place, (name, file) in enumerate(image.files)
        }
        self._next_id = len(self._names)
        self._numbers = Numbers(file.number for file in self._names.values())

    @property
    def image(self) -> Image:
        """What a program sees now."""
        found = {name: File(file.number, file.mode, bytes(file.data)) for name, file in self._names.items()}
        return Image(tuple(sorted(found.items())))

    @property
    def descriptors(self) -> int:
        """How many are open."""
        return len(self._open)

    def restart(self) -> None:
        """The process is dead: its descriptors are closed. Another one may go on with what it sees."""
        self.dies_at = None
        self._holders = set()
        for descriptor in list(self._open):
            self.close(descriptor)

    @property
    def renames_open_files(self) -> bool:
        return True

    @property
    def holders(self) -> set[Place]:
        return self._holders

    def status(self, path: FileName) -> os.stat_result | None:
        self._step()
        if Path(path) == FOLDER:
            return status_of_folder()
        file = self._names.get(str(path))
        return None if file is None else file.status

    def stat(self, path: FileName) -> os.stat_result:
        found = self.status(path)
        if found is None:
            raise refusal(errno.ENOENT, path)
        return found

    def fstat(self, descriptor: int) -> os.stat_result:
        self._step()
        return self._file(descriptor).status

    def generation(self, descriptor: int) -> int | None:
        """The worst of all file systems: it does not say."""
        self._file(descriptor)
        return None

    def may_create(self, directory: FileName) -> bool:
        return True

    def create(self, path: FileName, mode: int) -> int:
        self._step()
        with self._lock:
            name = str(path)
            if name in self._names or Path(path) == FOLDER:
                raise refusal(errno.EEXIST, path)
            if Path(path).parent != FOLDER:
                raise refusal(errno.ENOENT, path)
            file = Inode(self._next_id, self._numbers.take(), mode & ~_UMASK)
            self._names[name] = file
            self._next_id += 1
            self._note(Create(name, file.id, file.number, file.mode))
            return self._opened(file)

    def open(self, path: FileName, *, write: bool = True) -> int:
        self._step()
        with self._lock:
            file = self._names.get(str(path))
            if file is None:
                raise refusal(errno.EISDIR if path == FOLDER else errno.ENOENT, path)
            descriptor = self._opened(file)
            if not write:
                self._read_only.add(descriptor)
            return descriptor

    def _opened(self, file: Inode) -> int:
        descriptor, self._next_descriptor = self._next_descriptor, self._next_descriptor + 1
        self._open[descriptor] = file
        file.descriptors.add(descriptor)
        return descriptor

    def lock(self, descriptor: int) -> bool | None:
        self._step()
        with self._lock:
            file = self._file(descriptor)
            if not self._locks:
                return None
            if file.locked_by is None:
                file.locked_by = descriptor
            return file.locked_by == descriptor

    def reserve(self, descriptor: int, size: int) -> None:
        self._step()
        with self._lock:
            file = self._file(descriptor)
            if self._room(file, size) < size:
                raise refusal(errno.ENOSPC)
            file.allocated = max(file.allocated, size)
            self._resize(file, max(size, len(file.data)))

    def free(self, descriptor: int, path: FileName) -> int | None:
        self._step()
        return None if self._capacity is None else self._capacity - self._used()

    def truncate(self, descriptor: int, size: int) -> None:
        self._step()
        with self._lock:
            file = self._file(descriptor)
            file.allocated = min(file.allocated, size)
            self._resize(file, size)

    def _resize(self, file: Inode, size: int) -> None:
        file.resize(size)
        self._note(Resize(file.id, size))

    def set_mode(self, descriptor: int, mode: int) -> None:
        self._step()
        with self._lock:
            file = self._file(descriptor)
            file.mode = mode
            self._note(SetMode(file.id, mode))

    def write(self, descriptor: int, buffers: Sequence[bytes | memoryview], offset: int) -> int:
        self._step()
        with self._lock:
            file = self._file(descriptor)
            if descriptor in self._read_only:
                raise refusal(errno.EBADF)
            data = b"".join(buffers)
            taken = min(len(data), self._room(file, offset + len(data)) - offset)
            if data and taken <= 0:
                raise refusal(errno.ENOSPC)
            file.put(data[:taken], offset)
            self._note(Write(file.id, offset, data[:taken]))
            return taken

    def read(self, descriptor: int, length: int, offset: int) -> bytes:
        self._step()
        return bytes(self._file(descriptor).data[offset : offset + length])

    def sync_data(self, descriptor: int) -> None:
        self._sync(descriptor, everything=False)

    def sync(self, descriptor: int) -> None:
        self._sync(descriptor, everything=True)

    def _sync(self, descriptor: int, *, everything: bool) -> None:
        self._step()
        file, since = self._file(descriptor), len(self.trace)
        number, self.syncs = self.syncs, self.syncs + 1
        self._step()
        with self._lock:
            if number in self.failing_syncs:
                self._note(FailedSync(file.id))
                raise refusal(self.failing_with)
            self._note(Sync(file.id, since, everything))

    def drop_cache(self, descriptor: int, start: int, stop: int) -> None:
        self._step()
        self._file(descriptor)

    def replace(self, source: FileName, target: FileName) -> None:
        self._step()
        with self._lock:
            file, replaced = self._names.get(str(source)), self._names.get(str(target))
            if file is None:
                raise refusal(errno.ENOENT, source)
            if file is replaced:
                return
            del self._names[str(source)]
            self._names[str(target)] = file
            self._note(Rename(str(source), str(target), file.id, None if replaced is None else replaced.id))
            if replaced is not None:
                self._unname(replaced)

    def unlink(self, path: FileName) -> None:
        self._step()
        with self._lock:
            file = self._names.pop(str(path), None)
            if file is not None:
                self._note(Unlink(str(path), file.id))
                self._unname(file)

    def _unname(self, file: Inode) -> None:
        file.named = False
        if file.gone:
            self._numbers.give_back(file.number)

    def sync_directory(self, path: FileName) -> None:
        self._step()
        since = len(self.trace)
        self._step()
        with self._lock:
            self._note(SyncDirectory(since))

    def close(self, descriptor: int) -> None:
        self._step()
        with self._lock:
            file = self._file(descriptor)
            del self._open[descriptor]
            self._read_only.discard(descriptor)
            file.descriptors.remove(descriptor)
            if file.locked_by == descriptor:
                file.locked_by = None
            if file.gone:
                self._numbers.give_back(file.number)

    def note(self, step: Step) -> None:
        """Put into the trace what is no call."""
        self._note(step)

    def _note(self, step: Step) -> None:
        if self._records:
            self.trace.append(step)

    def _step(self) -> None:
        if self.dies_at is not None and len(self.trace) >= self.dies_at:
            raise refusal(errno.EIO)
        if self.pause is not None:
            self.pause()

    def _file(self, descriptor: int) -> Inode:
        try:
            return self._open[descriptor]
        except KeyError:
            raise refusal(errno.EBADF) from None

    def _used(self) -> int:
        return sum(file.allocated for file in {*self._names.values(), *self._open.values()})

    def _room(self, file: Inode, stop: int) -> int:
        """Where the bytes of `file` must end, at most."""
        return stop if self._capacity is None else self._capacity - self._used() + file.allocated
