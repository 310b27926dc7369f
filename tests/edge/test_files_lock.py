"""One destination, one download: the `.part` file's lock, and file systems and systems without one."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from asyncdl.edge import disk, files
from asyncdl.edge.disk import FileName, OsDisk
from asyncdl.edge.files import PartFile
from asyncdl.edge.journal_file import JournalFile
from asyncdl.errors import DestinationBusyError, StorageError
from asyncdl.model import Chunk
from asyncdl.rules.head import Head
from asyncdl.rules.held import Held
from asyncdl.rules.journal import State
from tests.support.disks import Elsewhere
from tests.support.leaks import _descriptors
from tests.support.partfiles import CONTENT, blocked, part_of, piece, written

#: A process that holds the destination named first, until its standard input closes.
HOLDER = """
import asyncio, sys
from pathlib import Path
from asyncdl.edge.files import PartFile
async def main():
    file = await PartFile.create(Path(sys.argv[1]), if_exists="skip")
    print("held", flush=True)
    await asyncio.to_thread(sys.stdin.read)
asyncio.run(main())
"""


@pytest.fixture
def dest(tmp_path: Path) -> Path:
    """A destination in a directory of its own."""
    return tmp_path / "file"


HEAD = Head(size=1000, etag='"one"')


def unsupported(*_: object) -> None:
    raise OSError(errno.ENOLCK, "No locks available")


@pytest.mark.usefixtures("no_leaks")
class TestLock:
    async def test_two_in_one_process(self, dest: Path) -> None:
        """The second is refused, and the first not disturbed."""
        first = await written(dest)
        with pytest.raises(DestinationBusyError):
            await PartFile.create(dest, if_exists="skip")
        await first.publish(1000)

        assert CONTENT.read(0, 1000) == dest.read_bytes()

    async def test_two_processes(self, dest: Path) -> None:
        """A living process keeps its `.part`; a dead one's is replaced."""
        with subprocess.Popen(
            [sys.executable, "-c", HOLDER, str(dest)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as holder:
            assert holder.stdout is not None
            assert b"held\n" == holder.stdout.readline()
            with pytest.raises(DestinationBusyError):
                await PartFile.create(dest, if_exists="skip")
            holder.kill()
            holder.wait(60)

        assert part_of(dest).exists()
        file = await written(dest)
        await file.publish(1000)
        assert 1000 == dest.stat().st_size

    async def test_left_behind(self, dest: Path) -> None:
        """Nothing of an old `.part` gets into the new file."""
        part_of(dest).write_bytes(b"\xff" * 5000)
        file = await PartFile.create(dest, if_exists="skip")

        assert 0 == part_of(dest).stat().st_size
        await file.abandon()

    async def test_not_removed_by_the_one_that_lost(self, dest: Path) -> None:
        """Who was refused leaves the winner's file alone when it goes."""
        winner = await PartFile.create(dest, if_exists="skip")
        with pytest.raises(DestinationBusyError):
            await PartFile.create(dest, if_exists="skip")

        assert part_of(dest).exists()
        await winner.abandon()
        assert not part_of(dest).exists()

    async def test_taken_for_left_behind(self, dest: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A file that another download removed before it was locked is not written into; a new one is made."""
        real, removed = OsDisk.lock, list[bool]()

        def late(disk: OsDisk, descriptor: int) -> bool | None:
            if not removed:
                part_of(dest).unlink()
                removed.append(True)
            return real(disk, descriptor)

        monkeypatch.setattr(OsDisk, "lock", late)
        file = await written(dest)
        await file.publish(1000)

        assert CONTENT.read(0, 1000) == dest.read_bytes()

    async def test_gone_before_it_was_looked_at(self, dest: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A `.part` that its owner renames just now is no obstacle."""
        part_of(dest).write_bytes(b"just going")
        real, gone = os.open, list[bool]()

        def late(path: Any, flags: int, *rest: Any, **named: Any) -> int:
            if path == part_of(dest) and not flags & os.O_CREAT and not gone:
                gone.append(True)
                part_of(dest).unlink()
            return real(path, flags, *rest, **named)

        monkeypatch.setattr(os, "open", late)
        file = await written(dest)
        await file.publish(1000)

        assert CONTENT.read(0, 1000) == dest.read_bytes()

    async def test_no_descriptor_lost_on_the_way(self, dest: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A system that fails between opening and locking gets its descriptor back."""

        def fail(*_: object) -> bool:
            raise OSError(errno.EIO, "Input/output error")

        monkeypatch.setattr("asyncdl.edge.opening.is_named", fail)
        with pytest.raises(StorageError):
            await PartFile.create(dest, if_exists="skip")

    async def test_lost_every_race(self, dest: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Who loses again and again stops trying, and keeps no descriptor."""
        monkeypatch.setattr(OsDisk, "lock", lambda *_: False)

        with pytest.raises(DestinationBusyError):
            await PartFile.create(dest, if_exists="skip")

    @pytest.mark.parametrize("journal", [True, False])
    async def test_file_system_without_locks(self, dest: Path, monkeypatch: pytest.MonkeyPatch, journal: bool) -> None:
        """Where nobody can tell by a lock whether a `.part` is alive, whoever shows signs of life keeps it."""
        monkeypatch.setattr(files, "BEAT", 0.3)
        monkeypatch.setattr(fcntl, "flock", unsupported)
        first = await written(dest)
        if journal:
            await first.begin(HEAD)
            await first.write([piece(0, 1000)])
        second = asyncio.create_task(PartFile.create(dest, if_exists="skip", disk=Elsewhere()))
        while not second.done():
            await asyncio.sleep(0.01)
            if journal:
                await first.beat()
            else:
                await first.write([piece(0, 1000)])

        with pytest.raises(DestinationBusyError):
            await second
        await first.publish(1000)
        assert CONTENT.read(0, 1000) == dest.read_bytes()

    async def test_dead_download_without_locks(self, dest: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Whoever shows none for three beats is taken for dead, and what it left is gone on with."""
        monkeypatch.setattr(files, "BEAT", 0.02)
        monkeypatch.setattr(fcntl, "flock", unsupported)
        first = await written(dest)
        await first.begin(HEAD)
        await first.write([piece(0, 1000)])
        await first.commit([Held(0, 1000)])
        began = time.monotonic()
        second = await PartFile.create(dest, if_exists="skip", resume=True, disk=Elsewhere())
        waited = time.monotonic() - began

        assert waited >= 3 * 0.02
        assert second.prior is not None
        await second.begin(HEAD, second.prior.held)
        with pytest.raises(DestinationBusyError):
            await first.commit([Held(0, 1000)])
        with pytest.raises(DestinationBusyError):
            await first.publish(1000)
        await first.abandon()
        await second.publish(1000)
        assert CONTENT.read(0, 1000) == dest.read_bytes()

    @pytest.mark.parametrize("size", [0, 1000])
    async def test_lock_that_everybody_gets(self, dest: Path, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
        """Where locks are granted to all (some network file systems), the loser never publishes the other's bytes."""
        monkeypatch.setattr(OsDisk, "lock", lambda *_: True)
        loser = await PartFile.create(dest, if_exists="replace")
        winner = await PartFile.create(dest, if_exists="replace", disk=Elsewhere())
        if size:
            await loser.write([Chunk(0, b"\xff" * size)])
        with pytest.raises(DestinationBusyError):
            await loser.publish(size)
        await loser.abandon()

        assert not dest.exists()
        assert part_of(dest).exists()
        await winner.write([piece(0, 1000)])
        await winner.publish(1000)
        assert CONTENT.read(0, 1000) == dest.read_bytes()

    async def test_taken_over_between_the_look_and_the_rename(
        self, dest: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The last moment at which a liar's lock can hurt: the other's half file has the `.part` name by then."""
        monkeypatch.setattr(OsDisk, "lock", lambda *_: True)
        loser = await written(dest)
        await loser.begin(HEAD)
        await loser.write([piece(0, 1000)])
        real = OsDisk.replace
        taken: list[bool] = []

        def late(disk: OsDisk, source: FileName, target: FileName) -> None:
            if Path(source) == part_of(dest) and not taken:
                taken.append(True)
                Path(source).unlink()
                Path(source).write_bytes(b"half")
            real(disk, source, target)

        monkeypatch.setattr(OsDisk, "replace", late)
        with pytest.raises(DestinationBusyError):
            await loser.publish(1000)
        await loser.abandon()

        assert taken
        assert not dest.exists()

    async def test_one_process_without_locks(self, dest: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Two downloads of one process do not need any to see each other."""
        monkeypatch.setattr(OsDisk, "lock", lambda *_: True)
        first = await written(dest)
        with pytest.raises(DestinationBusyError):
            await PartFile.create(dest, if_exists="skip")
        await first.publish(1000)

        assert CONTENT.read(0, 1000) == dest.read_bytes()


@pytest.mark.usefixtures("no_leaks")
class TestWindows:
    """By switching off what Windows does not have."""

    @pytest.fixture(autouse=True)
    def windows(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """No locks, no modes, no directories to open, and no rename or removal of what is open."""
        real_replace, real_unlink = os.replace, os.unlink

        def held(path: FileName) -> bool:
            return any(target == str(path) for target in _descriptors().values())

        def replace(path: FileName, target: FileName) -> None:
            if held(path) or held(target):
                raise blocked(32)
            real_replace(path, target)

        def unlink(path: FileName) -> None:
            if held(path):
                raise blocked(32)
            real_unlink(path)

        monkeypatch.setattr(disk, "fcntl", None)
        monkeypatch.setattr(disk, "RENAME_PATIENCE", 0.2)
        monkeypatch.setattr(files, "BEAT", 0.02)
        monkeypatch.setattr(os, "replace", replace)
        monkeypatch.setattr(os, "unlink", unlink)
        for name in ("O_DIRECTORY", "O_NOFOLLOW", "O_CLOEXEC", "O_NONBLOCK", "fchmod", "pwritev"):
            monkeypatch.delattr(os, name)

    async def test_publishes(self, dest: Path) -> None:
        """The file is closed before it is renamed."""
        file = await written(dest)
        await file.publish(1000)

        assert CONTENT.read(0, 1000) == dest.read_bytes()

    @pytest.mark.parametrize("size", [0, 1000])
    async def test_abandons(self, dest: Path, size: int) -> None:
        """An empty `.part` goes after it was closed, a written one stays."""
        file = await PartFile.create(dest, if_exists="skip")
        if size:
            await file.write([piece(0, size)])
        await file.abandon()

        assert (size > 0) == part_of(dest).exists()

    async def test_left_behind(self, dest: Path) -> None:
        """A `.part` that nobody has open is replaced."""
        part_of(dest).write_bytes(b"stale")
        file = await written(dest)
        await file.publish(1000)

        assert CONTENT.read(0, 1000) == dest.read_bytes()

    async def test_busy(self, dest: Path) -> None:
        """A `.part` that somebody has open is not."""
        first = await written(dest)
        with pytest.raises(DestinationBusyError):
            await PartFile.create(dest, if_exists="skip")
        await first.publish(1000)

        assert CONTENT.read(0, 1000) == dest.read_bytes()

    async def test_busy_elsewhere(self, dest: Path) -> None:
        """Without signs of life it counts as dead, and yet nobody removes a file that is open."""
        first = await written(dest)
        with pytest.raises(DestinationBusyError):
            await PartFile.create(dest, if_exists="skip", disk=Elsewhere())
        await first.publish(1000)

        assert CONTENT.read(0, 1000) == dest.read_bytes()

    @pytest.mark.parametrize("kept", [True, False])
    async def test_goes_on(self, dest: Path, kept: bool) -> None:
        """What a dead download left is gone on with, or cleared away after it was closed, and begun anew."""
        first = await written(dest)
        await first.begin(HEAD)
        await first.write([Chunk(0, b"\xff" * 1000)])
        await first.commit([Held(0, 500)])
        await first.abandon()
        second = await PartFile.create(dest, if_exists="skip", resume=True)
        assert second.prior is not None
        await second.begin(HEAD, second.prior.held if kept else ())
        there = part_of(dest).stat().st_size
        await second.write([piece(0, 1000)])
        await second.publish(1000)

        assert (1000 if kept else 0) == there
        assert CONTENT.read(0, 1000) == dest.read_bytes()
        assert [dest] == list(dest.parent.iterdir())

    async def test_long_journal(self, dest: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """It is written anew, and what is claimed afterwards is appended to the new one."""
        monkeypatch.setattr("asyncdl.edge.journal_file._LONG", 300)
        file = await PartFile.create(dest, if_exists="skip")
        await file.begin(HEAD)
        await file.write([piece(0, 1000)])
        for start in range(0, 1000, 20):
            await file.commit([Held(start, start + 10)])
        await file.abandon()
        file = await PartFile.create(dest, if_exists="skip", resume=True)

        assert file.prior is not None
        assert tuple((start, start + 10) for start in range(0, 1000, 20)) == file.prior.spans
        assert dest.with_name("file.part.journal").stat().st_size < 2000
        await file.abandon()

    @pytest.mark.parametrize("ours", [True, False])
    async def test_on_the_way_to_its_name(self, dest: Path, ours: bool) -> None:
        """A complete file that got no further is taken back, or removed, after it was closed."""
        file = await PartFile.create(dest, if_exists="skip")
        await file.begin(HEAD)
        await file.write([piece(0, 1000)])
        await file.commit([Held(0, 1000)])
        await file.abandon()
        part_of(dest).rename(dest.with_name("file.part.done"))
        if not ours:
            dest.with_name("file.part.journal").unlink()
        file = await PartFile.create(dest, if_exists="skip", resume=True)
        await file.abandon()

        assert ours is (file.prior is not None)
        assert not dest.with_name("file.part.done").exists()
        assert ours is part_of(dest).exists()

    async def test_journal_that_cannot_be_begun(self, dest: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """It is removed after it was closed."""

        def fail(*_: object) -> None:
            raise OSError(errno.EIO, "Input/output error")

        file = await PartFile.create(dest, if_exists="skip")
        monkeypatch.setattr(OsDisk, "sync", fail)
        with pytest.raises(StorageError):
            await file.begin(HEAD)
        await file.abandon()

        assert [] == list(dest.parent.iterdir())

    async def test_journal_that_was_replaced_at_once(self, dest: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """While it is closed to be renamed another takes the name: what is opened then is the other's."""
        winner, real = JournalFile(Elsewhere(), dest.with_name("file.part.journal"), "winner"), OsDisk.replace

        def late(disk: OsDisk, source: Path, target: Path) -> None:
            real(disk, source, target)
            monkeypatch.setattr(OsDisk, "replace", real)
            winner.begin(State(head=HEAD, owner="x"))

        file = await PartFile.create(dest, if_exists="skip")
        monkeypatch.setattr(OsDisk, "replace", late)
        with pytest.raises(DestinationBusyError):
            await file.begin(HEAD)
        await file.abandon()
        winner.close()

        assert [dest.with_name("file.part.journal")] == list(dest.parent.iterdir())
