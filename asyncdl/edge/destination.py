"""The destination before anything is downloaded to it: whether it can be one, and what is there already."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import aiofiles.os

from asyncdl.edge import hashing, opening
from asyncdl.edge.disk import Disk
from asyncdl.edge.refusals import exists, no_path, refuse_odd, storage_error
from asyncdl.edge.threads import Worker
from asyncdl.errors import StorageError
from asyncdl.model import DIGEST_SIZES, Checksum, IfExists
from asyncdl.rules.checksums import COMBINABLE

#: Bytes read and added up in one go; a cancellation waits for no more.
_BLOCK = 8 * 1024 * 1024


async def existing_size(dest: Path, if_exists: IfExists, disk: Disk) -> int | None:
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
        parent = await aiofiles.os.wrap(disk.stat)(dest.parent)
    except OSError as error:
        raise storage_error(error, "use the directory", dest.parent) from error
    if not stat.S_ISDIR(parent.st_mode):
        raise StorageError(f"{dest.parent} is not a directory", errno=errno.ENOTDIR)
    try:
        status = await aiofiles.os.wrap(disk.status)(dest)
    except OSError as error:
        raise storage_error(error, "use", dest) from error
    if status is None:
        return None
    refuse_odd(dest, status.st_mode)
    if if_exists == "error":
        raise exists(dest, "it is there already")
    return status.st_size


async def sum_of(dest: Path, algorithm: str, disk: Disk) -> Checksum:
    """The checksum of the whole file at `dest`; about a second for each GiB.

    Raises:
        StorageError: it cannot be read.
    """
    descriptor = -1
    worker = Worker(lambda: disk.close(descriptor) if descriptor >= 0 else None)
    value, position = 0, 0
    hashed = None if algorithm in COMBINABLE else hashing.new_hash(algorithm)

    def begin() -> None:
        nonlocal descriptor
        descriptor = disk.open(dest, write=False)

    def add() -> int:
        nonlocal value
        block = disk.read(descriptor, _BLOCK, position)
        if hashed is None:
            value = hashing.crc(algorithm, block, value)
        else:
            hashed.update(block)
        return len(block)

    try:
        await worker.run(begin)
        while length := await worker.run(add):
            position += length
    except OSError as error:
        raise storage_error(error, "read", dest) from error
    finally:
        await worker.aclose()
    digest = value.to_bytes(DIGEST_SIZES[algorithm], "big") if hashed is None else hashed.digest()
    return Checksum(algorithm, digest)


async def sweep(dest: Path, disk: Disk) -> None:
    """Remove what a download that is complete may have left. Raises nothing."""
    await aiofiles.os.wrap(opening.sweep)(disk, dest)
