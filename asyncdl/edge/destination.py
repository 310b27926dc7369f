"""The destination before anything is downloaded to it: whether it can be one, and what is there already."""

from __future__ import annotations

import concurrent.futures.thread  # noqa: F401  # a loop loads it late, when there may be no descriptor left to do so
import errno
import os
import stat
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import aiofiles.os

from asyncdl.edge import hashing, opening
from asyncdl.edge.disk import Disk, Place
from asyncdl.edge.errands import errand
from asyncdl.edge.refusals import busy, exists, no_path, refuse_odd, storage_error
from asyncdl.edge.threads import Worker
from asyncdl.errors import OptionsError, StorageError
from asyncdl.model import DIGEST_SIZES, Checksum, IfExists
from asyncdl.rules.checksums import COMBINABLE

#: Bytes read and added up in one go; a cancellation waits for no more.
_BLOCK = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What was found.

    Attributes:
        size: of the file at the destination, in bytes; None where there is none.
        mode: its permissions.
        names: of the files of a download to it.
        place: where it is, by any name of its directory.
        clear: nothing of an earlier download is beside it, and its directory can be written to.
    """

    size: int | None = None
    mode: int | None = None
    names: opening.Names
    place: Place
    clear: bool


async def look(dest: Path, if_exists: IfExists, disk: Disk, *, algorithm: str | None = None) -> Look:
    """See what is there; asked before the first byte goes over the network.

    Args:
        algorithm: of the checksum that will be wanted.

    Raises:
        OptionsError: that checksum cannot be computed here.
        DestinationExistsError: the destination is there, and `if_exists` is "error".
        StorageError: it is no regular file, or its directory is missing or no directory.
    """
    return await errand(partial(_look, dest, if_exists, disk, algorithm))


def _look(dest: Path, if_exists: IfExists, disk: Disk, algorithm: str | None) -> Look:
    if algorithm is not None and not hashing.available(algorithm):
        raise OptionsError(
            f"{algorithm} cannot be computed here",
            hint="install asyncdl[checksums], which brings awscrt",
        )
    text = str(dest)
    try:
        usable = "\0" not in text and (text.isascii() or bool(os.fsencode(text)))
    except UnicodeEncodeError:
        usable = False
    if not usable:
        raise no_path(dest)
    names = opening.Names.of(dest)
    try:
        parent = disk.stat(names.folder)
    except OSError as error:
        raise storage_error(error, "use the directory", dest.parent) from error
    if not stat.S_ISDIR(parent.st_mode):
        raise StorageError(f"{names.folder} is not a directory", errno=errno.ENOTDIR)
    try:
        status = disk.status(names.target)
    except OSError as error:
        raise storage_error(error, "use", dest) from error
    place = (parent.st_dev, parent.st_ino, dest.name)
    clear = opening.is_clear(disk, names) and disk.may_create(names.folder)
    if status is None:
        return Look(names=names, place=place, clear=clear)
    refuse_odd(dest, status.st_mode)
    if if_exists == "error":
        raise exists(dest, "it is there already")
    return Look(size=status.st_size, mode=status.st_mode & 0o777, names=names, place=place, clear=clear)


class Taken:
    """While its context lasts no other download of this process is let to the destination.

    A lock shows only once there is a file.

    Raises:
        DestinationBusyError: upon entering; one is at it.
    """

    __slots__ = ("_disk", "_found")

    def __init__(self, found: Look, disk: Disk) -> None:
        self._found, self._disk = found, disk

    def __enter__(self) -> None:
        if not opening.take(self._disk, self._found.place):
            raise busy(self._found.names.part)

    def __exit__(self, *_: object) -> None:
        opening.let_go(self._disk, self._found.place)


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
