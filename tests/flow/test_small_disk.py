"""Small objects on a disk that others use too, or that is full: theirs is not touched, and nothing of ours is left."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

import asyncdl
from asyncdl.edge.disk import FileName, OsDisk
from asyncdl.edge.opening import Names
from asyncdl.edge.small_file import SmallFile
from asyncdl.edge.threads import Errand
from asyncdl.model import Chunk
from asyncdl.small import SmallObject
from tests.flow.test_small import DATA, SIZE, brought, names
from tests.support.disks import NotingDisk

pytestmark = pytest.mark.usefixtures("no_leaks")


async def test_part_that_somebody_else_put_in_the_place_of_ours(tmp_path: Path) -> None:
    """It does not become the destination, and is not taken away."""
    dest, part = tmp_path / "file", tmp_path / "file.part"
    disk = NotingDisk(dest)

    def swap(note: str) -> None:
        if note == "sync .part":
            part.unlink()
            part.write_bytes(b"theirs")

    disk.before = swap

    with pytest.raises(asyncdl.DestinationBusyError):
        await brought(disk, dest)

    assert b"theirs" == part.read_bytes()
    assert ["file.part"] == names(dest)


@pytest.mark.parametrize("if_exists", ["skip", "replace"])
async def test_destination_that_becomes_odd(tmp_path: Path, if_exists: Any) -> None:
    """What is no regular file is never replaced, although it was not there at the first look."""
    dest = tmp_path / "file"
    disk = NotingDisk(dest)
    disk.before = lambda note: os.mkfifo(dest) if note == "write .part" else None

    with pytest.raises(asyncdl.StorageError, match="it is a FIFO"):
        await brought(disk, dest, if_exists=if_exists)

    assert dest.is_fifo()
    assert ["file"] == names(dest)


async def test_room_on_the_disk(tmp_path: Path) -> None:
    """Too little is told before a byte is written, and leaves nothing; just enough is enough."""
    dest = tmp_path / "file"

    class Small(NotingDisk):
        room = SIZE - 1

        def free(self, descriptor: int, path: FileName) -> int | None:
            return self.room

    disk = Small(dest)
    with pytest.raises(asyncdl.DiskFullError):
        await brought(disk, dest)
    wrote, left = "write .part" in disk.notes, names(dest)
    Small.room = SIZE
    await brought(Small(dest), dest)

    assert (False, []) == (wrote, left)
    assert DATA == dest.read_bytes()


def test_called_off_before_it_began(tmp_path: Path) -> None:
    """Whoever gave up before there was a thread finds that nothing was done."""
    dest = tmp_path / "file"
    disk, errand = NotingDisk(dest), Errand(lambda _: True)
    errand.called_off = True
    file = SmallFile(Names.of(dest), if_exists="skip", mode=None, check_space=False, disk=disk)

    assert not file.save([Chunk(0, DATA)], SIZE, errand)
    assert [] == disk.notes


async def test_what_is_not_all_of_it_is_not_saved(tmp_path: Path) -> None:
    """However it came about."""
    dest = tmp_path / "file"
    disk = NotingDisk(dest)
    file = SmallFile(Names.of(dest), if_exists="skip", mode=None, check_space=False, disk=disk)
    gathered = SmallObject(SIZE, file, pinned=None, promises=())
    gathered.put_nowait(Chunk(0, DATA[:-3]))

    with pytest.raises(asyncdl.IntegrityError, match="3 of 65535 bytes are missing"):
        await gathered.save()

    assert [] == disk.notes


async def test_part_that_is_locked_before_we_lock_it(tmp_path: Path) -> None:
    """Whoever found it took it for one left behind: it is theirs now."""
    dest = tmp_path / "file"

    class Watched(NotingDisk):
        theirs = -1

        def create(self, path: FileName, mode: int) -> int:
            descriptor = super().create(path, mode)
            self.theirs = os.open(path, os.O_RDWR)
            assert OsDisk().lock(self.theirs)
            return descriptor

    disk = Watched(dest)
    with pytest.raises(asyncdl.DestinationBusyError):
        await brought(disk, dest)
    os.close(disk.theirs)

    assert ["create .part"] == disk.notes


async def test_buffers_go_back_once_they_are_written(tmp_path: Path) -> None:
    """Not before: the thread looks at them."""
    dest = tmp_path / "file"
    disk = NotingDisk(dest)
    file = SmallFile(Names.of(dest), if_exists="skip", mode=None, check_space=False, disk=disk)
    gathered = SmallObject(SIZE, file, pinned=None, promises=())
    for at in (0, 40_000):
        gathered.put_nowait(Chunk(at, DATA[at : at + 40_000], on_release=lambda: disk.notes.append("back")))

    await gathered.save()

    assert ["sync directory", "back", "back"] == disk.notes[-3:]
    assert DATA == dest.read_bytes()
