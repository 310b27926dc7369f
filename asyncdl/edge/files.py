"""The file system: `.part` beside the destination, positional writes, fsync, rename, lock. The only module that names os.

Every call that may block runs in a worker thread, one at a time for each file.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol, TypeAlias, TypeVar

import aiofiles.os

from asyncdl.edge.threads import Worker
from asyncdl.errors import DestinationBusyError, DestinationExistsError, DiskFullError, StorageError
from asyncdl.model import Chunk, IfExists

try:
    import fcntl
except ImportError:  # Windows: no advisory locks, O_EXCL alone keeps two downloads apart
    fcntl = None  # type: ignore[assignment]

T = TypeVar("T")
AnyPath: TypeAlias = str | os.PathLike[str]

PART_SUFFIX = ".part"
#: Seconds for which a rename that another program blocks is tried again (virus scanners on Windows).
RENAME_PATIENCE = 10.0
#: Buffers in one writev call (POSIX guarantees 16; Linux, macOS and the BSDs have 1024).
_MOST_BUFFERS = 1024
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
#: What "this file system cannot reserve space" looks like: macOS and old NFS, FUSE, odd devices.
_CANNOT_RESERVE = frozenset({errno.EOPNOTSUPP, errno.EINVAL, errno.ENODEV, errno.ENOSYS, errno.ENOTSUP})

#: ERROR_ACCESS_DENIED and ERROR_SHARING_VIOLATION (Windows system error codes).
_HELD_BY_ANOTHER = frozenset({5, 32})


class FileSink(Protocol):
    """Where the writer puts bytes, and what the engine finishes or gives up."""

    async def reserve(self, size: int) -> None:
        """Take `size` bytes on the disk, where that can be done without writing them."""
        ...

    async def write(self, chunks: Sequence[Chunk]) -> None:
        """Write every chunk at its offset, completely."""
        ...

    async def publish(self, size: int) -> None:
        """Make exactly `size` bytes durable under the destination's name."""
        ...

    async def abandon(self) -> None:
        """Close; what has been written stays in `.part`, an empty `.part` goes."""
        ...


def storage_error(error: OSError, doing: str, path: Path) -> StorageError:
    """The storage error for what the system said while `doing` something to `path`."""
    reason = error.strerror or type(error).__name__
    if error.errno in _FULL:
        hint = "free some space, or choose another destination" if error.errno != errno.EFBIG else None
        return DiskFullError(f"cannot {doing} {path}: {reason}", errno=error.errno, hint=hint)
    return StorageError(f"cannot {doing} {path}: {reason}", errno=error.errno)


class PartFile:
    """One `.part` file on the local disk; made by `create`."""

    def __init__(self, dest: Path, *, if_exists: IfExists) -> None:
        self._dest, self._part = dest, dest.with_name(dest.name + PART_SUFFIX)
        self._if_exists: IfExists = if_exists
        self._descriptor = -1
        self._mode = 0
        self._written = False
        self._worker = Worker(self._release)

    @classmethod
    async def create(cls, dest: Path, *, if_exists: IfExists) -> PartFile:
        """Open and lock an empty `.part` beside `dest`; one that a dead download left behind is replaced.

        Raises:
            DestinationBusyError: a living download holds it.
            StorageError: the directory is missing or not writable, or something odd has the `.part` name.
        """
        file = cls(dest, if_exists=if_exists)
        try:
            await file._call("create", file._open)
        except BaseException:
            file._close()
            raise
        return file

    def _open(self) -> None:
        self._descriptor = _open_locked(self._part)
        self._mode = _permissions(os.fstat(self._descriptor))
        with contextlib.suppress(FileNotFoundError):
            self._mode = _permissions(os.lstat(self._dest))
        _chmod(self._descriptor, 0o600)

    async def reserve(self, size: int) -> None:
        await self._call("reserve space for", lambda: _reserve(self._descriptor, size))

    async def write(self, chunks: Sequence[Chunk]) -> None:
        self._written = True
        await self._call("write", lambda: write_all(self._descriptor, chunks))

    async def publish(self, size: int) -> None:
        """Truncate to `size`, set the final mode, fsync, rename over the destination, fsync the directory.

        Raises:
            DestinationExistsError: something took the destination's name meanwhile and is not to be replaced.
            StorageError: the system refused; after a failed fsync nothing is tried again.
        """

        def make_durable() -> None:
            os.ftruncate(self._descriptor, size)
            _chmod(self._descriptor, self._mode)
            os.fsync(self._descriptor)

        def rename() -> None:
            status = _status(self._dest)
            if status is not None:
                _refuse_odd(self._dest, status)
                if self._if_exists != "replace":
                    raise _exists(self._dest, "it appeared while the download ran")
            _replace(self._part, self._dest)
            _sync_directory(self._dest.parent)

        # Two calls, so that a cancellation during a long fsync still keeps the file from appearing.
        await self._call("flush", make_durable)
        await self._call("rename", rename)
        self._close()

    async def abandon(self) -> None:
        try:
            if not self._written:
                await self._call("remove", lambda: self._part.unlink(missing_ok=True))
        finally:
            self._close()

    async def _call(self, doing: str, call: Callable[[], T]) -> T:
        try:
            return await self._worker.run(call)
        except StorageError:
            raise
        except OSError as error:
            raise storage_error(error, doing, self._part) from error

    def _close(self) -> None:
        self._worker.close()

    def _release(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)


async def existing_size(dest: Path, if_exists: IfExists) -> int | None:
    """Size of the file at `dest`, None if there is none; asked before the first byte goes over the network.

    Raises:
        DestinationExistsError: it is there, and `if_exists` is "error".
        StorageError: it is no regular file, or its directory is missing or no directory.
    """
    try:
        parent = await aiofiles.os.stat(dest.parent)
    except OSError as error:
        raise storage_error(error, "use the directory", dest.parent) from error
    if not stat.S_ISDIR(parent.st_mode):
        raise StorageError(f"{dest.parent} is not a directory", errno=errno.ENOTDIR)
    try:
        status = await aiofiles.os.stat(dest, follow_symlinks=False)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise storage_error(error, "use", dest) from error
    _refuse_odd(dest, status)
    if if_exists == "error":
        raise _exists(dest, "it is there already")
    return status.st_size


def _status(path: Path) -> os.stat_result | None:
    try:
        return os.lstat(path)
    except FileNotFoundError:
        return None


def _permissions(status: os.stat_result) -> int:
    return stat.S_IMODE(status.st_mode) & 0o777


def _refuse_odd(dest: Path, status: os.stat_result) -> None:
    """Only a regular file may be replaced: nothing is ever written through a link or into a device."""
    kinds = {
        stat.S_IFDIR: "a directory",
        stat.S_IFLNK: "a symbolic link",
        stat.S_IFIFO: "a FIFO",
        stat.S_IFSOCK: "a socket",
        stat.S_IFCHR: "a device",
        stat.S_IFBLK: "a device",
    }
    kind = kinds.get(stat.S_IFMT(status.st_mode))
    if kind is not None:
        hint = "give the path the link points to" if kind == "a symbolic link" else "give the path of a file"
        raise StorageError(f"cannot download to {dest}: it is {kind}", errno=errno.EEXIST, hint=hint)


def _exists(dest: Path, why: str) -> DestinationExistsError:
    return DestinationExistsError(
        f"cannot download to {dest}: {why}", errno=errno.EEXIST, hint='remove it, or set if_exists="replace"'
    )


def _open_locked(part: Path) -> int:
    """A descriptor of a new, empty, locked file at `part`; its mode is what the umask gives."""
    flags = os.O_CREAT | os.O_EXCL | os.O_RDWR | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
    for _ in range(3):
        try:
            descriptor = os.open(part, flags, 0o666)
        except FileExistsError:
            _clear_stale(part)
            continue
        if not _lock(descriptor):
            os.close(descriptor)
            break
        return descriptor
    raise DestinationBusyError(f"another download is writing {part}", errno=errno.EBUSY)


def _clear_stale(part: Path) -> None:
    """Remove a `.part` that no living download holds."""
    try:
        descriptor = os.open(part, os.O_RDWR | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    except FileNotFoundError:
        return
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise StorageError(f"{part} is in the way and no regular file", errno=errno.EEXIST)
        if not _lock(descriptor):
            raise DestinationBusyError(f"another download is writing {part}", errno=errno.EBUSY)
        # Between open and lock the name may have passed to a new download's file.
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(status, os.lstat(part)):
                part.unlink()
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> bool:
    if fcntl is None:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True  # a file system without locks; O_EXCL has kept live downloads apart already
    return True


def _reserve(descriptor: int, size: int) -> None:
    reserve = getattr(os, "posix_fallocate", None)
    if reserve is not None and size:
        try:
            reserve(descriptor, 0, size)
        except OSError as error:
            if error.errno not in _CANNOT_RESERVE:
                os.ftruncate(descriptor, 0)
                raise
        else:
            return
    os.ftruncate(descriptor, size)


def write_all(descriptor: int, chunks: Sequence[Chunk]) -> None:
    """Write chunks at their offsets, neighbours in one call, however little the system takes at a time."""
    run: list[bytes | memoryview] = []
    start = stop = -1
    for chunk in sorted(chunks, key=lambda chunk: chunk.offset):
        if chunk.offset != stop or len(run) == _MOST_BUFFERS:
            _write_run(descriptor, run, start)
            run, start = [], chunk.offset
        run.append(chunk.data)
        stop = chunk.stop
    _write_run(descriptor, run, start)


def _write_run(descriptor: int, buffers: list[bytes | memoryview], offset: int) -> None:
    while buffers:
        written = _pwritev(descriptor, buffers, offset)
        offset += written
        while buffers and written >= len(buffers[0]):
            written -= len(buffers.pop(0))
        if written:
            buffers[0] = memoryview(buffers[0])[written:]


def _pwritev(descriptor: int, buffers: list[bytes | memoryview], offset: int) -> int:
    if hasattr(os, "pwritev"):
        return os.pwritev(descriptor, buffers, offset)
    # No positional writes here: a file's calls run one at a time, which makes seek and write one step.
    os.lseek(descriptor, offset, os.SEEK_SET)
    return os.write(descriptor, buffers[0])


def _chmod(descriptor: int, mode: int) -> None:
    if hasattr(os, "fchmod"):
        os.fchmod(descriptor, mode)


def _replace(part: Path, dest: Path) -> None:
    """Rename; on Windows a program that holds the file open for a moment (a virus scanner) is outwaited."""
    until = time.monotonic() + RENAME_PATIENCE
    while True:
        try:
            part.replace(dest)
        except PermissionError as error:
            if getattr(error, "winerror", None) not in _HELD_BY_ANOTHER or time.monotonic() > until:
                raise
            time.sleep(0.1)
        else:
            return


def _sync_directory(directory: Path) -> None:
    if not hasattr(os, "O_DIRECTORY"):
        return  # Windows: directories cannot be opened
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
