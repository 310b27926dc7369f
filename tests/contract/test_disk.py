"""What every disk promises: run against the system's own files, and against the one in memory that crashes."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from asyncdl.edge.disk import Disk, OsDisk, is_named, write_all
from asyncdl.model import Chunk
from tests.crash.simdisk import FOLDER, SimDisk
from tests.crash.trace import File, Image


@pytest.fixture(params=["system", "memory"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def folder(kind: str, tmp_path: Path) -> Path:
    return tmp_path if kind == "system" else FOLDER


@pytest.fixture
def disk(kind: str) -> Iterator[Disk]:
    """A disk whose files are made with the usual umask."""
    before = os.umask(0o022)
    yield OsDisk() if kind == "system" else SimDisk()
    os.umask(before)


def number_of(raised: pytest.ExceptionInfo[OSError]) -> int | None:
    return raised.value.errno


def put(disk: Disk, path: Path, data: bytes) -> None:
    """A closed file of these bytes."""
    descriptor = disk.create(path, 0o666)
    write_all(disk, descriptor, [Chunk(0, data)])
    disk.close(descriptor)


def found(disk: Disk, path: Path) -> bytes:
    """The bytes of a file."""
    descriptor = disk.open(path)
    try:
        return disk.read(descriptor, 1 << 20, 0)
    finally:
        disk.close(descriptor)


def test_what_is_not_there(disk: Disk, folder: Path) -> None:
    """A name without a file has no status, cannot be opened or renamed, and can be removed."""
    absent = folder / "absent"

    assert disk.status(absent) is None
    with pytest.raises(FileNotFoundError):
        disk.stat(absent)
    with pytest.raises(FileNotFoundError):
        disk.open(absent)
    with pytest.raises(FileNotFoundError):
        disk.replace(absent, folder / "other")
    with pytest.raises(FileNotFoundError):
        disk.create(folder / "no folder" / "file", 0o666)
    disk.unlink(absent)


def test_a_folder(disk: Disk, folder: Path) -> None:
    """The directory says that it is one, and is no file."""
    status = disk.status(folder)

    assert status is not None
    assert stat.S_ISDIR(status.st_mode)
    assert stat.S_ISDIR(disk.stat(folder).st_mode)
    with pytest.raises(IsADirectoryError):
        disk.open(folder)
    disk.sync_directory(folder)


def test_a_new_file(disk: Disk, folder: Path) -> None:
    """It is empty, has the mode less the umask, is ours alone, and keeps others from taking the name."""
    descriptor = disk.create(folder / "file", 0o666)
    status = disk.fstat(descriptor)

    assert stat.S_IFREG | 0o644 == status.st_mode
    assert (0, 1, os.geteuid()) == (status.st_size, status.st_nlink, status.st_uid)
    assert is_named(disk, descriptor, folder / "file")
    with pytest.raises(FileExistsError):
        disk.create(folder / "file", 0o666)
    disk.close(descriptor)


def test_bytes_at_their_places(disk: Disk, folder: Path) -> None:
    """What is written is read back; what lies between is zeros; behind the end there is nothing."""
    descriptor = disk.create(folder / "file", 0o600)

    assert 6 == disk.write(descriptor, [b"abc", memoryview(b"def")], 10)
    assert 2 == disk.write(descriptor, [b"XY"], 12)
    assert bytes(10) + b"abXYef" == disk.read(descriptor, 100, 0)
    assert b"XY" == disk.read(descriptor, 2, 12)
    assert b"" == disk.read(descriptor, 5, 16)
    assert 16 == disk.fstat(descriptor).st_size
    disk.drop_cache(descriptor, 0, 16)
    disk.close(descriptor)


def test_lengths(disk: Disk, folder: Path) -> None:
    """Space that is taken makes a file longer and never shorter; truncating does both."""
    descriptor = disk.create(folder / "file", 0o600)
    write_all(disk, descriptor, [Chunk(0, b"0123456789")])

    disk.reserve(descriptor, 8192)
    assert b"0123456789" + bytes(8182) == disk.read(descriptor, 10_000, 0)
    assert 8192 <= disk.fstat(descriptor).st_blocks * 512
    disk.truncate(descriptor, 4)
    disk.truncate(descriptor, 6)
    assert b"0123\0\0" == disk.read(descriptor, 100, 0)
    disk.close(descriptor)


def test_changes_show(disk: Disk, folder: Path) -> None:
    """A status tells the length and the permissions of now."""
    descriptor = disk.create(folder / "file", 0o666)
    disk.set_mode(descriptor, 0o600)
    write_all(disk, descriptor, [Chunk(3, b"abc")])
    status = disk.status(folder / "file")

    assert status is not None
    assert (6, stat.S_IFREG | 0o600) == (status.st_size, status.st_mode)
    assert os.path.samestat(status, disk.fstat(descriptor))
    disk.sync_data(descriptor)
    disk.sync(descriptor)
    disk.close(descriptor)


def test_renaming(disk: Disk, folder: Path) -> None:
    """A file takes another name with its descriptor open, and whatever had that name has none."""
    put(disk, folder / "old", b"old")
    old = disk.open(folder / "old")
    new = disk.create(folder / "new", 0o600)
    disk.write(new, [b"new"], 0)

    disk.replace(folder / "new", folder / "old")
    assert disk.status(folder / "new") is None
    assert b"new" == found(disk, folder / "old")
    assert is_named(disk, new, folder / "old")
    assert not is_named(disk, old, folder / "old")
    assert (b"old", 0) == (disk.read(old, 10, 0), disk.fstat(old).st_nlink)
    disk.close(new)
    disk.close(old)


def test_renaming_to_itself(disk: Disk, folder: Path) -> None:
    """Nothing happens to a file that is given the name it has."""
    put(disk, folder / "file", b"here")

    disk.replace(folder / "file", folder / "file")
    assert b"here" == found(disk, folder / "file")


def test_removing(disk: Disk, folder: Path) -> None:
    """The name goes at once, the bytes with the last descriptor."""
    put(disk, folder / "file", b"bytes")
    descriptor = disk.open(folder / "file")

    disk.unlink(folder / "file")
    assert disk.status(folder / "file") is None
    assert (b"bytes", 0) == (disk.read(descriptor, 10, 0), disk.fstat(descriptor).st_nlink)
    disk.close(descriptor)


def test_locks(disk: Disk, folder: Path) -> None:
    """A lock is of one opening of the file, can be taken twice there, and goes with the descriptor."""
    if not disk.renames_open_files:
        pytest.skip("no advisory locks here")
    first = disk.create(folder / "file", 0o600)
    second = disk.open(folder / "file")

    assert [True, True, False] == [disk.lock(first), disk.lock(first), disk.lock(second)]
    disk.close(first)
    assert disk.lock(second) is True
    disk.close(second)


def test_locks_are_of_files(disk: Disk, folder: Path) -> None:
    """A new file of the same name has a lock of its own."""
    if not disk.renames_open_files:
        pytest.skip("no advisory locks here")
    old = disk.create(folder / "file", 0o600)
    assert disk.lock(old) is True
    disk.unlink(folder / "file")
    new = disk.create(folder / "file", 0o600)

    assert disk.lock(new) is True
    assert not os.path.samestat(disk.fstat(old), disk.fstat(new))
    disk.close(old)
    disk.close(new)


def test_a_closed_descriptor(disk: Disk, folder: Path) -> None:
    """Every call refuses it."""
    put(disk, folder / "file", b"")
    descriptor = disk.open(folder / "file")
    disk.close(descriptor)

    for call in (disk.fstat, disk.sync, disk.sync_data, disk.close):
        with pytest.raises(OSError, match="descriptor") as raised:
            call(descriptor)
        assert errno.EBADF == number_of(raised)


def test_reading_only(disk: Disk, folder: Path) -> None:
    """A file that is opened to be read is not written to."""
    put(disk, folder / "file", b"bytes")
    descriptor = disk.open(folder / "file", write=False)

    assert b"bytes" == disk.read(descriptor, 10, 0)
    with pytest.raises(OSError, match="descriptor"):
        disk.write(descriptor, [b"x"], 0)
    disk.close(descriptor)


def test_no_lock_to_give() -> None:
    """A disk without locks says so."""
    disk = SimDisk(locks=False)

    assert disk.lock(disk.create(FOLDER / "file", 0o600)) is None


def test_numbers_come_back() -> None:
    """The lowest free number goes to the next file, as on ext4; it is free when name and descriptors are gone."""
    disk = SimDisk(Image(tuple((f"/disk/{name}", File(number, 0o644, b"")) for name, number in (("a", 12), ("c", 14)))))
    opened = disk.open(FOLDER / "a")
    disk.unlink(FOLDER / "a")

    def created(name: str) -> int:
        return disk.fstat(disk.create(FOLDER / name, 0o600)).st_ino

    assert [13, 15] == [created("b"), created("d")]
    disk.close(opened)
    assert [12, 16] == [created("e"), created("f")]


def test_a_full_disk() -> None:
    """As much as fits is written, then nothing; space is taken whole or not at all, and comes back."""
    disk = SimDisk(capacity=1000)
    descriptor = disk.create(FOLDER / "file", 0o600)

    with pytest.raises(OSError, match="space") as raised:
        disk.reserve(descriptor, 1001)
    assert errno.ENOSPC == number_of(raised)
    assert (0, 1000) == (disk.fstat(descriptor).st_size, disk.free(descriptor, FOLDER))
    assert 1000 == disk.write(descriptor, [bytes(1200)], 0)
    with pytest.raises(OSError, match="space"):
        disk.write(descriptor, [b"x"], 1000)
    assert 5 == disk.write(descriptor, [b"again"], 0)
    disk.truncate(descriptor, 100)
    assert 900 == disk.free(descriptor, FOLDER)
