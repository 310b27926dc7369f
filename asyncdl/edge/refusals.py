"""What the local file system refuses, in words: one error for each thing that can be in the way; touches no file."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from asyncdl.errors import DestinationBusyError, DestinationExistsError, DiskFullError, JournalError, StorageError

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_HINTS = {
    errno.ENOSPC: "free some space, or choose another destination",
    errno.EDQUOT: "free some space, or choose another destination",
    errno.ENAMETOOLONG: "choose a shorter name or directory",
}
_KINDS = {
    stat.S_IFDIR: "a directory",
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def storage_error(error: OSError, doing: str, path: Path) -> StorageError:
    """The storage error for what the system said while `doing` something to `path`."""
    kind = DiskFullError if error.errno in _FULL else StorageError
    reason = error.strerror or type(error).__name__
    return kind(f"cannot {doing} {path}: {reason}", errno=error.errno, hint=_HINTS.get(error.errno or 0))


def refuse_odd(dest: Path, mode: int) -> None:
    """Only a regular file may be replaced: nothing is ever written through a link or into a device.

    Raises:
        StorageError: `mode` is that of something else.
    """
    kind = _KINDS.get(stat.S_IFMT(mode))
    if kind is not None:
        hint = "give the path the link points to" if kind == "a symbolic link" else "give the path of a file"
        raise StorageError(f"cannot download to {dest}: it is {kind}", errno=errno.EEXIST, hint=hint)


def exists(dest: Path, why: str) -> DestinationExistsError:
    """The error for a destination that is there and is not to be replaced."""
    hint = 'remove it, or set if_exists="replace" (--if-exists replace)'
    return DestinationExistsError(f"cannot download to {dest}: {why}", errno=errno.EEXIST, hint=hint)


def busy(part: Path, *, hint: str | None = None) -> DestinationBusyError:
    """The error for a `.part` that somebody else holds."""
    return DestinationBusyError(f"another download is writing {part}", errno=errno.EBUSY, hint=hint)


def too_large(path: Path, needed: int, free: int) -> DiskFullError:
    """The error for an object that the disk has no room for."""
    return DiskFullError(
        f"cannot download to {path}: {os.strerror(errno.ENOSPC)}, {needed} bytes are needed and {free} are free",
        errno=errno.ENOSPC,
        hint="free some space, choose another destination, or set check_space=False (--no-check-space)",
    )


def unusable_journal(path: Path, version: int | None) -> JournalError:
    """The error for a journal that we must neither believe nor remove. `version` is that of a later format."""
    if version is None:
        return JournalError(f"{path} is not a journal of asyncdl", hint="move the file away, or choose another name")
    return JournalError(
        f"{path} was written by a later release of asyncdl (format {version})",
        hint="go on with that release, or remove the file and begin anew",
    )


def no_path(path: Path) -> StorageError:
    """The error for text that no file can be named."""
    # ASCII: what cannot be a file name cannot be printed either.
    return StorageError(f"{str(path)!a} cannot be the path of a file", errno=errno.EINVAL)
