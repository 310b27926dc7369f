"""The file system: `.part` beside the destination, positional writes, fsync, rename, lock; the one owner of `os`.

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

from asyncdl.edge.refusals import busy, exists, no_path, refuse_odd, storage_error
from asyncdl.edge.space import fallocate
from asyncdl.edge.threads import Worker
from asyncdl.errors import StorageError
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
#: What "this file system has no such thing" looks like: macOS, NFS, FUSE, FAT, odd devices.
_UNSUPPORTED = frozenset({errno.EOPNOTSUPP, errno.EINVAL, errno.ENODEV, errno.ENOSYS, errno.ENOTSUP})

#: ERROR_ACCESS_DENIED and ERROR_SHARING_VIOLATION (Windows system error codes).
_HELD_BY_ANOTHER = frozenset({5, 32})


class FileSink(Protocol):
    """Where the writer puts bytes, and what the engine finishes or gives up."""

    async def reserve(self, size: int) -> None:
        """Take `size` bytes on the disk, where that can be done without writing them."""

    async def write(self, chunks: Sequence[Chunk]) -> None:
        """Write every chunk at its offset, completely."""

    async def publish(self, size: int) -> None:
        """Make exactly `size` bytes durable under the destination's name."""

    async def abandon(self) -> None:
        """Close; what has been written stays in `.part`, an empty `.part` goes."""


class PartFile:
    """One `.part` file on the local disk; made by `create`."""

    def __init__(self, dest: Path, *, if_exists: IfExists) -> None:
        self._dest, self._part = dest, dest.with_name(dest.name + PART_SUFFIX)
        self._if_exists: IfExists = if_exists
        self._descriptor = -1
        self._mode = 0
        self._worth_keeping = False
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
            await file.abandon()
            raise
        return file

    def _open(self) -> None:
        old = _status(self._dest)
        if old is not None and not stat.S_ISREG(old.st_mode):
            old = None
        # The old file may be private: nobody else may open its successor, not even before the next call.
        self._descriptor = _open_locked(self._part, 0o666 if old is None else 0o600)
        self._mode = (old or os.fstat(self._descriptor)).st_mode & 0o777
        _chmod(self._descriptor, 0o600)

    async def reserve(self, size: int) -> None:
        await self._call("reserve space for", lambda: _reserve(self._descriptor, size))

    async def write(self, chunks: Sequence[Chunk]) -> None:
        self._worth_keeping = True
        await self._call("write", lambda: write_all(self._descriptor, chunks))

    async def publish(self, size: int) -> None:
        """Truncate to `size`, set the final mode, fsync, rename over the destination, fsync the directory.

        Raises:
            DestinationExistsError: something took the destination's name meanwhile and is not to be replaced.
            DestinationBusyError: another download took the `.part` name meanwhile (file systems without locks).
            StorageError: the system refused; after a failed fsync nothing is tried again.
        """

        def make_durable() -> None:
            os.ftruncate(self._descriptor, size)
            _chmod(self._descriptor, self._mode)
            os.fsync(self._descriptor)

        # Two calls, so that a cancellation during a long fsync still keeps the file from appearing.
        await self._call("flush", make_durable)
        await self._call("rename", self._rename)

    def _rename(self) -> None:
        status = _status(self._dest)
        if status is not None:
            refuse_odd(self._dest, status.st_mode)
            if self._if_exists != "replace":
                raise exists(self._dest, "it appeared while the download ran")
        if not _is_named(self._descriptor, self._part):
            raise busy(self._part)
        if not _has_locks():  # Windows renames no file that is open
            self._worth_keeping = True
            self._release()
        _replace(self._part, self._dest)
        _sync_directory(self._dest.parent)
        self._worker.close()

    async def abandon(self) -> None:
        await self._worker.aclose()

    async def _call(self, doing: str, call: Callable[[], T]) -> T:
        try:
            return await self._worker.run(call)
        except StorageError:
            raise
        except OSError as error:
            raise storage_error(error, doing, self._part) from error

    def _release(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor < 0:
            return
        # Whatever goes wrong here changes nothing: what must last has been through fsync.
        with contextlib.suppress(OSError):
            if not self._worth_keeping and _has_locks() and _is_named(descriptor, self._part):
                self._part.unlink()
        with contextlib.suppress(OSError):
            os.close(descriptor)
            if not self._worth_keeping and not _has_locks():
                self._part.unlink(missing_ok=True)


async def existing_size(dest: Path, if_exists: IfExists) -> int | None:
    """Size of the file at `dest`, None if there is none; asked before the first byte goes over the network.

    Raises:
        DestinationExistsError: it is there, and `if_exists` is "error".
        StorageError: it is no regular file, or its directory is missing or no directory.
    """
    try:
        usable = b"\0" not in os.fsencode(dest)
    except UnicodeEncodeError:
        usable = False
    if not usable:
        raise no_path(dest)
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
    refuse_odd(dest, status.st_mode)
    if if_exists == "error":
        raise exists(dest, "it is there already")
    return status.st_size


def _status(path: Path) -> os.stat_result | None:
    try:
        return os.lstat(path)
    except FileNotFoundError:
        return None


def _is_named(descriptor: int, path: Path) -> bool:
    """Whether `path` is still the name of the open file."""
    status = _status(path)
    return status is not None and os.path.samestat(os.fstat(descriptor), status)


def _open_locked(part: Path, mode: int) -> int:
    """A descriptor of a new, empty, locked file at `part`, made with `mode` less the umask."""
    flags = os.O_CREAT | os.O_EXCL | os.O_RDWR | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
    for _ in range(3):  # whoever wins the race for the name has shown himself by then
        try:
            descriptor = os.open(part, flags, mode)
        except FileExistsError:
            _clear_stale(part)
            continue
        with contextlib.ExitStack() as undo:
            undo.callback(os.close, descriptor)
            # Before the lock was ours, another download may have taken this file for one left behind, and removed it.
            if _lock(descriptor) is not False and _is_named(descriptor, part):
                undo.pop_all()
                return descriptor
    raise busy(part)


def _clear_stale(part: Path) -> None:
    """Remove a `.part` that no living download holds."""
    try:
        descriptor = os.open(part, os.O_RDWR | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    except FileNotFoundError:
        return
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise StorageError(f"{part} is in the way and no regular file", errno=errno.EEXIST)
        ours = _lock(descriptor)
        if ours is False:
            raise busy(part)
        if ours is None and _has_locks():
            raise busy(part, hint="this file system has no locks: remove the file if no download is running")
        # Between open and lock the name may have passed to a new download's file.
        if ours and _is_named(descriptor, part):
            part.unlink(missing_ok=True)
    finally:
        os.close(descriptor)
    if ours is None:
        try:
            part.unlink(missing_ok=True)
        except PermissionError as error:  # Windows removes no file that is open, which is as good as a lock
            raise busy(part) from error


def _has_locks() -> bool:
    return fcntl is not None


def _lock(descriptor: int) -> bool | None:
    """Whether the file's lock is ours; None where the system, or the file system, has none to give."""
    if not _has_locks():
        return None
    assert fcntl is not None  # noqa: S101  # mypy and pyright disagree on what `_has_locks` leaves open
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def _reserve(descriptor: int, size: int) -> None:
    number = fallocate(descriptor, size) if size else errno.ENOSYS
    if number in _UNSUPPORTED:
        os.ftruncate(descriptor, size)
    elif number:
        os.ftruncate(descriptor, 0)
        raise OSError(number, os.strerror(number))


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
        left = len(buffers)
        written = _pwritev(descriptor, buffers, offset)
        offset += written
        while buffers and written >= len(buffers[0]):
            written -= len(buffers.pop(0))
        if not written and left == len(buffers):
            raise OSError(errno.EIO, "the system took no byte")
        if written:
            buffers[0] = memoryview(buffers[0])[written:]


def _pwritev(descriptor: int, buffers: list[bytes | memoryview], offset: int) -> int:
    if hasattr(os, "pwritev"):
        return os.pwritev(descriptor, buffers, offset)
    # No positional writes here: a file's calls run one at a time, which makes seek and write one step.
    os.lseek(descriptor, offset, os.SEEK_SET)
    return os.write(descriptor, buffers[0])


def _chmod(descriptor: int, mode: int) -> None:
    """Set permissions, where the file system has them (FAT and SMB shares may have one mode for all)."""
    try:
        if hasattr(os, "fchmod"):
            os.fchmod(descriptor, mode)
    except OSError as error:
        if error.errno not in _UNSUPPORTED | {errno.EPERM}:
            raise


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
    """Make a rename durable, where the system lets us: not on Windows, nor in a directory we may not read."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    try:
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except PermissionError:
        return
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise
    finally:
        os.close(descriptor)
