"""Disk space taken without writing it: the system call itself, where Python's wrapper would fake it.

glibc's posix_fallocate writes one byte into every block where the file system cannot reserve space (fallocate(2),
posix_fallocate(3)): hours for a large file on NFS, 9p or FUSE. Nothing of it is needed, so that answer is passed on.

A tmpfs takes its memory page by page, for as long as the writes would, which wait for it; and no file lies the better
there for it. So it counts as one that cannot.
"""

from __future__ import annotations

import ctypes
import errno
import sys
from collections.abc import Callable
from functools import cache
from typing import Final

#: What statfs(2) calls a tmpfs.
_TMPFS_MAGIC: Final = 0x01021994
#: More than a `struct statfs` has anywhere.
_STATFS_LONGS: Final = 64


@cache
def _fallocate() -> Callable[[int, int], int] | None:
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None, use_errno=True)
    # The 64-bit one has a name of its own in glibc, and is the only one in musl.
    call = getattr(libc, "fallocate64", None) or getattr(libc, "fallocate", None)
    if call is None:
        return None
    call.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)
    call.restype = ctypes.c_int
    status = getattr(libc, "fstatfs", None)

    def is_tmpfs(descriptor: int) -> bool:
        found = (ctypes.c_long * _STATFS_LONGS)()  # the type comes first
        return status is not None and status(descriptor, found) == 0 and found[0] == _TMPFS_MAGIC

    def reserve(descriptor: int, size: int) -> int:
        if is_tmpfs(descriptor):
            return errno.EOPNOTSUPP
        while call(descriptor, 0, 0, size) != 0:
            number = ctypes.get_errno()
            if number != errno.EINTR:
                return number
        return 0

    return reserve


def fallocate(descriptor: int, size: int) -> int:
    """Reserve `size` bytes of a file; 0, or the system's error number. ENOSYS where there is no such call. Blocks."""
    call = _fallocate()
    return errno.ENOSYS if call is None else call(descriptor, size)
