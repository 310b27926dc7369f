"""The calls that touch a disk, one method each: what a download does to its files goes through here, and nothing else.

Behind `Disk` fits whatever keeps files: the system's own, or one that records every call and can lose power.
Every method but `close` may block. Where a system lacks a call, its method does the next best thing.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import struct
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol, TypeAlias

from asyncdl.edge.space import fallocate
from asyncdl.model import Chunk

try:
    import fcntl
except ImportError:  # Windows: no advisory locks
    fcntl = None  # type: ignore[assignment]

#: Seconds for which a rename that another program blocks is tried again (virus scanners on Windows).
RENAME_PATIENCE = 10.0
#: Buffers in one writev call (POSIX guarantees 16; Linux, macOS and the BSDs have 1024).
_MOST_BUFFERS = 1024
#: What "this file system has no such thing" looks like: macOS, NFS, FUSE, FAT, odd devices.
UNSUPPORTED = frozenset({errno.EOPNOTSUPP, errno.EINVAL, errno.ENODEV, errno.ENOSYS, errno.ENOTSUP})
#: ERROR_ACCESS_DENIED and ERROR_SHARING_VIOLATION (Windows system error codes).
_HELD_BY_ANOTHER = frozenset({5, 32})
#: FS_IOC_GETVERSION, `_IOR('v', 1, long)` of linux/fs.h, as most processors number their requests.
_GET_VERSION = 2 << 30 | struct.calcsize("l") << 16 | ord("v") << 8 | 1
_FLAGS = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)


#: Reads from an offset (first) of one file at most so many bytes (second); blocks.
Reader: TypeAlias = Callable[[int, int], bytes]


#: A file's name. For each of many files a string costs far less than a path does.
FileName: TypeAlias = "str | Path"
#: A file, by its device and number; or the place of one that is to be made, by those of its directory, and its name.
Place: TypeAlias = tuple[int, int] | tuple[int, int, str]


class Disk(Protocol):
    """Files by path and by descriptor. Whatever the system refuses is raised as OSError."""

    @property
    def renames_open_files(self) -> bool:
        """Whether a file may be renamed, and its name removed, while it is open."""
        ...

    @property
    def holders(self) -> set[Place]:
        """What downloads of this process hold, whatever locks are worth here."""
        ...

    def status(self, path: FileName) -> os.stat_result | None:
        """Of the name itself, not of what a link leads to; None where there is none."""
        ...

    def stat(self, path: FileName) -> os.stat_result:
        """Of what the name leads to."""
        ...

    def fstat(self, descriptor: int) -> os.stat_result: ...

    def generation(self, descriptor: int) -> int | None:
        """What tells the file from an earlier one that had its number; None where the file system does not say."""
        ...

    def may_create(self, directory: FileName) -> bool:
        """Whether a file can probably be made in the directory; what the system says then counts."""
        ...

    def create(self, path: FileName, mode: int) -> int:
        """A descriptor of a new file, for reading and writing, made with `mode` less the umask."""
        ...

    def open(self, path: FileName, *, write: bool = True) -> int:
        """A descriptor of an existing file, for reading, and writing unless told otherwise; links are not followed."""
        ...

    def lock(self, descriptor: int) -> bool | None:
        """Whether the file's lock is ours; None where the system, or the file system, has none to give."""
        ...

    def reserve(self, descriptor: int, size: int) -> None:
        """Take `size` bytes of space, where that can be done without writing them; the file has that length then."""
        ...

    def free(self, descriptor: int, path: FileName) -> int | None:
        """Bytes that can still be written to the file system; None where nobody can tell."""
        ...

    def truncate(self, descriptor: int, size: int) -> None: ...

    def set_mode(self, descriptor: int, mode: int) -> None:
        """Set permissions, where the file system has them (FAT and SMB shares may have one mode for all)."""
        ...

    def write(self, descriptor: int, buffers: Sequence[bytes | memoryview], offset: int) -> int:
        """Write at an offset; how many bytes were taken, which may be fewer than there are."""
        ...

    def read(self, descriptor: int, length: int, offset: int) -> bytes:
        """At most `length` bytes from an offset; fewer, down to none, at the end of the file."""
        ...

    def sync_data(self, descriptor: int) -> None:
        """When this returns, all bytes written before it are durable."""
        ...

    def sync(self, descriptor: int) -> None:
        """As `sync_data`, and the length and permissions are."""
        ...

    def drop_cache(self, descriptor: int, start: int, stop: int) -> None:
        """These bytes, which are durable, will not be read again soon: memory need not keep them."""
        ...

    def replace(self, source: FileName, target: FileName) -> None:
        """Rename in one step; a program that blocks it for a moment is outwaited."""
        ...

    def unlink(self, path: FileName) -> None:
        """Remove a name, if it is there."""
        ...

    def sync_directory(self, path: FileName) -> None:
        """Make names durable, where the system lets us: not on Windows, nor in a directory we may not read."""
        ...

    def close(self, descriptor: int) -> None: ...


class OsDisk:
    """The system's own files."""

    #: One for the process, as the file system is.
    holders: set[Place] = set()  # noqa: RUF012

    def __init__(self) -> None:
        # Where there are no positional calls, seek and write have to be one step.
        self._position = threading.Lock()

    @property
    def renames_open_files(self) -> bool:
        return fcntl is not None

    def status(self, path: FileName) -> os.stat_result | None:
        try:
            return os.lstat(path)
        except FileNotFoundError:
            return None

    def stat(self, path: FileName) -> os.stat_result:
        return os.stat(path)  # noqa: PTH116  # of a Path it would be slower

    def fstat(self, descriptor: int) -> os.stat_result:
        return os.fstat(descriptor)

    def generation(self, descriptor: int) -> int | None:
        if fcntl is None or sys.platform != "linux":
            return None
        try:
            found = fcntl.ioctl(descriptor, _GET_VERSION, bytes(struct.calcsize("l")))
        except OSError:
            return None
        return int.from_bytes(found[:4], sys.byteorder)  # the kernel writes an int, whatever the request's number says

    def may_create(self, directory: FileName) -> bool:
        return os.access(directory, os.W_OK | os.X_OK)

    def create(self, path: FileName, mode: int) -> int:
        return os.open(path, _FLAGS | os.O_RDWR | os.O_CREAT | os.O_EXCL, mode)

    def open(self, path: FileName, *, write: bool = True) -> int:
        # A FIFO in the way must not make us wait for a reader.
        return os.open(path, (os.O_RDWR if write else os.O_RDONLY) | _FLAGS | getattr(os, "O_NONBLOCK", 0))

    def lock(self, descriptor: int) -> bool | None:
        if not self.renames_open_files:
            return None
        assert fcntl is not None  # noqa: S101  # that is what the property says
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:
            return None
        return True

    def reserve(self, descriptor: int, size: int) -> None:
        length = os.fstat(descriptor).st_size
        number = fallocate(descriptor, size) if size else errno.ENOSYS
        if number in UNSUPPORTED:
            os.ftruncate(descriptor, size)
        elif number:
            os.ftruncate(descriptor, length)
            raise OSError(number, os.strerror(number))

    def free(self, descriptor: int, path: FileName) -> int | None:
        try:
            if hasattr(os, "fstatvfs"):
                found = os.fstatvfs(descriptor)
                return found.f_bavail * found.f_frsize
            return shutil.disk_usage(os.path.dirname(path) or os.curdir).free  # noqa: PTH120
        except OSError:
            return None

    def truncate(self, descriptor: int, size: int) -> None:
        os.ftruncate(descriptor, size)

    def set_mode(self, descriptor: int, mode: int) -> None:
        try:
            if hasattr(os, "fchmod"):
                os.fchmod(descriptor, mode)
        except OSError as error:
            if error.errno not in UNSUPPORTED | {errno.EPERM}:
                raise

    def write(self, descriptor: int, buffers: Sequence[bytes | memoryview], offset: int) -> int:
        if hasattr(os, "pwritev"):
            return os.pwritev(descriptor, buffers, offset)
        with self._position:
            os.lseek(descriptor, offset, os.SEEK_SET)
            return os.write(descriptor, buffers[0])

    def read(self, descriptor: int, length: int, offset: int) -> bytes:
        if hasattr(os, "pread"):
            return os.pread(descriptor, length, offset)
        with self._position:
            os.lseek(descriptor, offset, os.SEEK_SET)
            return os.read(descriptor, length)

    def sync_data(self, descriptor: int) -> None:
        getattr(os, "fdatasync", os.fsync)(descriptor)

    def sync(self, descriptor: int) -> None:
        os.fsync(descriptor)

    def drop_cache(self, descriptor: int, start: int, stop: int) -> None:
        if hasattr(os, "posix_fadvise"):
            with contextlib.suppress(OSError):
                os.posix_fadvise(descriptor, start, stop - start, os.POSIX_FADV_DONTNEED)

    def replace(self, source: FileName, target: FileName) -> None:
        until = time.monotonic() + RENAME_PATIENCE
        while True:
            try:
                os.replace(source, target)  # noqa: PTH105  # of a Path it would be slower
            except PermissionError as error:
                if getattr(error, "winerror", None) not in _HELD_BY_ANOTHER or time.monotonic() > until:
                    raise
                time.sleep(0.1)
            else:
                return

    def unlink(self, path: FileName) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)  # noqa: PTH108  # of a Path it would be slower

    def sync_directory(self, path: FileName) -> None:
        if not hasattr(os, "O_DIRECTORY"):
            return
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except PermissionError:
            return
        try:
            os.fsync(descriptor)
        except OSError as error:
            if error.errno not in UNSUPPORTED:
                raise
        finally:
            os.close(descriptor)

    def close(self, descriptor: int) -> None:
        os.close(descriptor)


def is_named(disk: Disk, descriptor: int, path: FileName) -> bool:
    """Whether `path` is the name of the open file."""
    status = disk.status(path)
    return status is not None and os.path.samestat(disk.fstat(descriptor), status)


def write_all(disk: Disk, descriptor: int, chunks: Sequence[Chunk]) -> None:
    """Write chunks at their offsets, neighbours in one call, however little the system takes at a time."""
    if len(chunks) == 1:
        write_run(disk, descriptor, [chunks[0].data], chunks[0].offset)
        return
    run: list[bytes | memoryview] = []
    start = stop = -1
    for chunk in sorted(chunks, key=lambda chunk: chunk.offset):
        if chunk.offset != stop or len(run) == _MOST_BUFFERS:
            write_run(disk, descriptor, run, start)
            run, start = [], chunk.offset
        run.append(chunk.data)
        stop = chunk.stop
    write_run(disk, descriptor, run, start)


def write_run(disk: Disk, descriptor: int, buffers: list[bytes | memoryview], offset: int) -> None:
    """Write buffers one behind the other from `offset` on, all of them. Empties the list."""
    while buffers:
        left = len(buffers)
        written = disk.write(descriptor, buffers, offset)
        offset += written
        while buffers and written >= len(buffers[0]):
            written -= len(buffers.pop(0))
        if not written and left == len(buffers):
            raise OSError(errno.EIO, "the system took no byte")
        if written:
            buffers[0] = memoryview(buffers[0])[written:]
