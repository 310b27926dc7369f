"""In what order a partial file's bytes, its journal and its names reach the disk, and what a failure between leaves."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from asyncdl.edge.files import PartFile
from asyncdl.edge.journal_file import load
from asyncdl.errors import DiskFullError, StorageError
from asyncdl.model import Part
from asyncdl.rules.head import Head
from asyncdl.rules.held import Held
from tests.support.disks import NotingDisk
from tests.support.partfiles import CONTENT, part_of, piece

HEAD = Head(size=1000, etag='"one"')

pytestmark = pytest.mark.usefixtures("no_leaks")


@pytest.fixture
def dest(tmp_path: Path) -> Path:
    return tmp_path / "file"


@pytest.fixture
def disk(dest: Path) -> NotingDisk:
    return NotingDisk(dest)


async def begun(dest: Path, disk: NotingDisk) -> PartFile:
    """A file of which everything is written and half is claimed; nothing is noted yet."""
    file = await PartFile.create(dest, if_exists="replace", disk=disk)
    await file.begin(HEAD)
    await file.reserve(1000)
    await file.write([piece(0, 1000)])
    await file.commit([Held(0, 500)])
    disk.notes.clear()
    return file


def claimed(dest: Path, disk: NotingDisk) -> tuple[Part, ...] | None:
    journal = load(disk, dest.with_name(dest.name + ".part.journal"))
    return None if journal is None or journal.state is None else journal.state.spans


async def test_begin(dest: Path, disk: NotingDisk) -> None:
    """The journal is whole and durable under another name before it has its own; only then may there be bytes."""
    file = await PartFile.create(dest, if_exists="skip", disk=disk)
    disk.notes.clear()
    await file.begin(HEAD)
    await file.abandon()

    new = ".part.journal.new"
    renamed = [f"rename {new} .part.journal", "sync directory"]
    assert [f"create {new}", f"mode {new}", f"write {new} asyncd", f"sync {new}", *renamed] == disk.notes[:6]


async def test_commit(dest: Path, disk: NotingDisk) -> None:
    """Data, then its fdatasync, then the claim, then the claim's."""
    file = await begun(dest, disk)
    await file.commit([Held(500, 1000)])

    expected = ["sync data .part", "write .part.journal.new claim", "sync data .part.journal.new"]
    assert expected == disk.notes
    await file.abandon()


async def test_forget(dest: Path, disk: NotingDisk) -> None:
    """What is to be written anew is given up durably first; nothing at all costs nothing."""
    file = await begun(dest, disk)
    await file.forget([])
    await file.forget([Part(100, 200)])

    assert ["write .part.journal.new reset", "sync data .part.journal.new"] == disk.notes
    assert (Part(0, 100), Part(200, 500)) == claimed(dest, disk)
    await file.abandon()


async def test_publish(dest: Path, disk: NotingDisk) -> None:
    """Length, mode, fsync, the two steps of the rename, fsync of the directory, and the journal goes last."""
    file = await begun(dest, disk)
    await file.publish(1000)

    assert [
        "truncate .part",
        "mode .part",
        "sync .part",
        "rename .part .part.done",
        "rename .part.done dest",
        "sync directory",
        "unlink .part.journal",
    ] == disk.notes


async def test_before_it_began(dest: Path, disk: NotingDisk) -> None:
    """Without a journal there is nothing to claim, to forget or to show; the bytes are made durable all the same."""
    file = await PartFile.create(dest, if_exists="skip", disk=disk)
    await file.write([piece(0, 1000)])
    disk.notes.clear()
    await file.commit([Held(0, 1000)])
    await file.forget([Part(0, 500)])
    await file.beat()

    assert ["sync data .part"] == disk.notes
    await file.publish(1000)


async def test_begun_in_vain(dest: Path, disk: NotingDisk) -> None:
    """No byte came: nothing is left, and the journal goes before the file that it speaks of."""
    file = await PartFile.create(dest, if_exists="skip", disk=disk)
    await file.begin(HEAD)
    await file.reserve(1000)
    disk.notes.clear()
    await file.abandon()

    assert ["unlink .part.journal", "unlink .part"] == disk.notes
    assert [] == list(dest.parent.iterdir())


async def test_reading_back(dest: Path, disk: NotingDisk, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was written can be read while the file grows; memory is told what will not be."""
    dropped: list[tuple[int, int]] = []
    monkeypatch.setattr(NotingDisk, "drop_cache", lambda _, __, start, stop: dropped.append((start, stop)))
    file = await begun(dest, disk)
    read = await file.examine(lambda read: (read(100, 50), read(990, 50), read(2000, 1)))
    await file.drop_cache([])
    await file.drop_cache([Part(0, 500), Part(600, 700)])
    await file.abandon()

    assert (CONTENT.read(100, 150), CONTENT.read(990, 1000), b"") == read
    assert [(0, 500), (600, 700)] == dropped
    assert [] == disk.notes


async def test_begin_anew(dest: Path, disk: NotingDisk) -> None:
    """Nothing is kept: the old journal is gone durably before the new file can be taken for the one it speaks of."""
    await (await begun(dest, disk)).abandon()
    file = await PartFile.create(dest, if_exists="replace", resume=True, disk=disk)
    assert file.prior is not None
    disk.notes.clear()
    await file.begin(HEAD, ())
    await file.abandon()

    assert ["unlink .part.journal", "sync directory", "unlink .part", "create .part"] == disk.notes[:4]


async def test_go_on(dest: Path, disk: NotingDisk) -> None:
    """What is kept is kept in one step: the old journal or the new one is there, and both say it."""
    await (await begun(dest, disk)).abandon()
    file = await PartFile.create(dest, if_exists="replace", resume=True, disk=disk)
    assert file.prior is not None
    disk.notes.clear()
    await file.begin(HEAD, file.prior.held)
    await file.abandon()

    assert not [note for note in disk.notes if note.startswith(("unlink", "truncate", "write .part "))]
    assert 1 == disk.notes.count("rename .part.journal.new .part.journal")
    assert (Part(0, 500),) == claimed(dest, disk)


class TestFailures:
    """One call fails; `EIO` stands for whatever a disk can say."""

    @staticmethod
    def fail(disk: NotingDisk, doing: str, number: int = errno.EIO) -> None:
        def before(note: str) -> None:
            if note.startswith(doing):
                raise OSError(number, os.strerror(number))

        disk.before = before

    async def test_data_that_is_not_durable(self, dest: Path, disk: NotingDisk) -> None:
        """B07: after a failed fdatasync nothing is claimed, and what was claimed before still is."""
        file = await begun(dest, disk)
        self.fail(disk, "sync data .part")
        with pytest.raises(StorageError):
            await file.commit([Held(500, 1000)])
        await file.abandon()

        assert [] == disk.notes
        assert (Part(0, 500),) == claimed(dest, disk)

    @pytest.mark.parametrize("doing", ["truncate", "mode .part", "sync .part", "rename .part .part.done"])
    async def test_before_the_rename(self, dest: Path, disk: NotingDisk, doing: str) -> None:
        """The old destination stays, and so does what is there of the new one, to be gone on with."""
        dest.write_bytes(b"old")
        file = await begun(dest, disk)
        self.fail(disk, doing)
        with pytest.raises(StorageError):
            await file.publish(1000)
        await file.abandon()

        assert b"old" == dest.read_bytes()
        assert CONTENT.read(0, 1000) == part_of(dest).read_bytes()
        assert (Part(0, 500),) == claimed(dest, disk)

    async def test_between_the_renames(self, dest: Path, disk: NotingDisk) -> None:
        """The next download finds the complete file, and goes on with it."""
        dest.write_bytes(b"old")
        file = await begun(dest, disk)
        self.fail(disk, "rename .part.done dest")
        with pytest.raises(StorageError):
            await file.publish(1000)
        await file.abandon()
        disk.before = lambda _: None

        assert b"old" == dest.read_bytes()
        file = await PartFile.create(dest, if_exists="replace", resume=True, disk=disk)
        assert file.prior is not None
        await file.begin(HEAD, file.prior.held)
        await file.publish(1000)
        assert [dest] == list(dest.parent.iterdir())
        assert CONTENT.read(0, 1000) == dest.read_bytes()

    async def test_directory_that_is_not_durable(self, dest: Path, disk: NotingDisk) -> None:
        """No success is reported, and the journal stays until the name is certain."""
        file = await begun(dest, disk)
        self.fail(disk, "sync directory")
        with pytest.raises(StorageError):
            await file.publish(1000)
        await file.abandon()

        assert CONTENT.read(0, 1000) == dest.read_bytes()
        assert claimed(dest, disk) is not None

    @pytest.mark.parametrize(
        "doing", ["create .part.journal", "mode .part.journal", "write", "sync .part.j", "rename", "sync directory"]
    )
    @pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC])
    async def test_journal_that_cannot_be_begun(self, dest: Path, disk: NotingDisk, doing: str, number: int) -> None:
        """Nothing is left of a download that could not begin; at most a journal that claims nothing."""
        file = await PartFile.create(dest, if_exists="skip", disk=disk)
        self.fail(disk, doing, number)
        with pytest.raises(DiskFullError if number == errno.ENOSPC else StorageError):
            await file.begin(HEAD)
        disk.before = lambda _: None
        await file.abandon()

        left = [".part.journal"] if doing == "sync directory" else []
        assert left == [path.name.removeprefix("file") for path in dest.parent.iterdir()]
        assert (() if left else None) == claimed(dest, disk)

    @pytest.mark.parametrize("doing", ["create .part.journal", "write", "sync .part.journal", "rename"])
    async def test_journal_that_cannot_be_taken_over(self, dest: Path, disk: NotingDisk, doing: str) -> None:
        """What an earlier download left is as it was, however often a later one fails to begin."""
        await (await begun(dest, disk)).abandon()
        for _ in range(2):
            file = await PartFile.create(dest, if_exists="replace", resume=True, disk=disk)
            assert file.prior is not None
            assert (Part(0, 500),) == file.prior.spans
            self.fail(disk, doing)
            with pytest.raises(StorageError):
                await file.begin(HEAD, file.prior.held)
            disk.before = lambda _: None
            await file.abandon()

        names = {path.name.removeprefix("file") for path in dest.parent.iterdir()}
        assert {".part", ".part.journal"} == names
        assert CONTENT.read(0, 1000) == part_of(dest).read_bytes()
