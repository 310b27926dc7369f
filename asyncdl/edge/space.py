"""Disk space taken without writing it: the system call itself, where Python's wrapper would fake it.

glibc's posix_fallocate writes one byte into every block where the file system cannot reserve space (fallocate(2),
posix_fallocate(3)): hours for a large file on NFS, 9p or FUSE. Nothing of it is needed, so that answer is passed on.
"""

from __future__ import annotations

import ctypes
import errno
import sys
from collections.abc import Callable
from functools import cache


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

    def reserve(descriptor: int, size: int) -> int:
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
