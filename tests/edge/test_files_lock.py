"""One destination, one download: the `.part` file's lock, and file systems and systems without one."""

from __future__ import annotations

import errno
import fcntl
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from asyncdl.edge import files
from asyncdl.edge.files import PartFile
from asyncdl.errors import DestinationBusyError, StorageError
from asyncdl.model import Chunk
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
            holder.wait(10)

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
        real, removed = files._lock, list[bool]()

        def late(descriptor: int) -> bool | None:
            if not removed:
                part_of(dest).unlink()
                removed.append(True)
            return real(descriptor)

        monkeypatch.setattr(files, "_lock", late)
        file = await written(dest)
        await file.publish(1000)

        assert CONTENT.read(0, 1000) == dest.read_bytes()

    async def test_gone_before_it_was_looked_at(self, dest: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A `.part` that its owner renames just now is no obstacle."""
        part_of(dest).write_bytes(b"just going")
        real = os.open

        def late(path: Any, flags: int, *rest: Any, **named: Any) -> int:
            if path == part_of(dest) and not flags & os.O_CREAT:
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

        monkeypatch.setattr(files, "_is_named", fail)
        with pytest.raises(StorageError):
            await PartFile.create(dest, if_exists="skip")

    async def test_lost_every_race(self, dest: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Who loses again and again stops trying, and keeps no descriptor."""
        monkeypatch.setattr(files, "_lock", lambda _: False)

        with pytest.raises(DestinationBusyError):
            await PartFile.create(dest, if_exists="skip")

    async def test_file_system_without_locks(self, dest: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where nobody can tell whether a `.part` is alive, it is left alone, and the error says what to do."""

        def unsupported(*_: object) -> None:
            raise OSError(errno.ENOLCK, "No locks available")

        monkeypatch.setattr(fcntl, "flock", unsupported)
        first = await written(dest)
        with pytest.raises(DestinationBusyError) as caught:
            await PartFile.create(dest, if_exists="skip")
        await first.publish(1000)

        assert "remove the file" in str(caught.value.hint)
        assert CONTENT.read(0, 1000) == dest.read_bytes()

    @pytest.mark.parametrize("size", [0, 1000])
    async def test_lock_that_everybody_gets(self, dest: Path, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
        """Where locks are granted to all (some network file systems), the loser never publishes the other's bytes."""
        monkeypatch.setattr(files, "_lock", lambda _: True)
        loser = await PartFile.create(dest, if_exists="replace")
        winner = await PartFile.create(dest, if_exists="replace")
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


@pytest.mark.usefixtures("no_leaks")
class TestWindows:
    """By switching off what Windows does not have."""

    @pytest.fixture(autouse=True)
    def windows(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """No locks, no modes, no directories to open, and no rename or removal of what is open."""
        real_replace, real_unlink = Path.replace, Path.unlink

        def held(path: Path) -> bool:
            return any(target == str(path) for target in _descriptors().values())

        def replace(path: Path, target: Path) -> Path:
            if held(path):
                raise blocked(32)
            return real_replace(path, target)

        def unlink(path: Path, *, missing_ok: bool = False) -> None:
            if held(path):
                raise blocked(32)
            real_unlink(path, missing_ok=missing_ok)

        monkeypatch.setattr(files, "fcntl", None)
        monkeypatch.setattr(files, "RENAME_PATIENCE", 0.2)
        monkeypatch.setattr(Path, "replace", replace)
        monkeypatch.setattr(Path, "unlink", unlink)
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
