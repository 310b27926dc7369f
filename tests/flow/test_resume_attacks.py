"""What lies beside the destination, or goes wrong, so that a careless resume would deliver other bytes."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import threading
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

import asyncdl
from asyncdl import writer
from asyncdl.edge.disk import OsDisk
from asyncdl.rules.head import Head
from asyncdl.rules.held import Held
from asyncdl.rules.journal import Encoder, State, replay
from asyncdl.testing import Content, Fault, Origin
from asyncdl.testing.objects import etag_of
from tests.support.flow import PART, absent, fetch, holds, small

SIZE = 12 * PART + 999
ROOT = hasattr(os, "geteuid") and os.geteuid() == 0


async def begun(origin: Origin, dest: Path, *, parts: int = 8, **changes: Any) -> None:
    """Let a download fail after some parts of twelve."""
    origin.script(Fault(start=parts * PART, status=451, times=1))
    with pytest.raises(asyncdl.HttpStatusError):
        await fetch(origin.url("/object"), dest, **({"options": small(1)} | changes))
    assert absent(dest)


def checksum(content: Content, algorithm: str) -> str:
    data = content.read(0, content.size)
    digest = f"{zlib.crc32(data):08x}" if algorithm == "crc32" else hashlib.sha256(data).hexdigest()
    return f"{algorithm}:{digest}"


def claimed(dest: Path) -> list[tuple[int, int]]:
    state = replay(dest.with_name(dest.name + ".part.journal").read_bytes()).state
    return [(held.start, held.stop) for held in state.held] if state else []


class TestDamagedBetweenRuns:
    @pytest.mark.parametrize("algorithm", ["crc32", "sha256"])
    @pytest.mark.parametrize("place", [3 * PART, 9 * PART], ids=["what the probe asks for", "the second run's"])
    async def test_part(self, origin: Origin, tmp_path: Path, algorithm: str, place: int) -> None:
        """With a checksum wanted, bytes that the journal speaks of are looked at, and only the bad span comes again."""
        content, dest = origin.add("/object", SIZE), tmp_path / "file"
        wanted = checksum(content, algorithm)
        await begun(origin, dest, checksum=wanted)
        await begun(origin, dest, parts=10, checksum=wanted)
        with dest.with_name("file.part").open("r+b") as file:
            file.seek(place)
            file.write(b"rotten")
        result = await fetch(origin.url("/object"), dest, checksum=wanted)

        assert holds(dest, content)
        assert 0 < result.resumed
        assert wanted == str(result.checksum)


class FailingSync(OsDisk):
    """Loses what is written when the second flush of the partial file fails, and says afterwards that all is well."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number
        self.dirty: list[tuple[int, int]] = []
        self.lost: list[tuple[int, int]] = []
        self.flushes = 0
        self.more_was_written = threading.Event()
        self.failing = threading.Event()

    def write(self, descriptor: int, buffers: Sequence[bytes | memoryview], offset: int) -> int:
        written = super().write(descriptor, buffers, offset)
        if not bytes(buffers[0][:7]).startswith((b"asyncdl", b"claim", b"owner", b"reset")):
            self.dirty.append((offset, offset + written))
            if self.failing.is_set():
                self.more_was_written.set()
        return written

    def sync_data(self, descriptor: int) -> None:
        if not str(Path(f"/proc/self/fd/{descriptor}").readlink()).endswith(".part"):
            return super().sync_data(descriptor)
        self.flushes += 1
        if self.flushes == 2:
            self.failing.set()
            self.more_was_written.wait(3.0)
            self.lost, self.dirty = self.lost + self.dirty, []
            raise OSError(self.number, os.strerror(self.number))
        self.dirty = []
        return None


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc to tell descriptors apart")
@pytest.mark.parametrize("refused", [False, True], ids=["alone", "after a refusal"])
@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC, errno.EDQUOT])
async def test_failed_flush(
    origin: Origin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, refused: bool
) -> None:
    """What a failed fdatasync may have dropped is never claimed, whatever ended the download."""
    origin.add("/object", 64 * PART)
    disk = FailingSync(number)
    monkeypatch.setattr(writer, "FLUSH_MOST", 4 * PART)
    monkeypatch.setattr("asyncdl.engine.OsDisk", lambda: disk)
    if refused:
        origin.script(Fault(start=12 * PART, status=451, times=1))
    with pytest.raises(asyncdl.AsyncdlError):
        await fetch(origin.url("/object"), tmp_path / "file", options=small(1))

    assert 2 == disk.flushes
    assert disk.lost
    claims = claimed(tmp_path / "file")
    assert [] == [(a, b) for a, b in disk.lost for start, stop in claims if a < stop and start < b]


class FullDisk(OsDisk):
    """Has room for `room` bytes of the partial file."""

    def __init__(self, room: int) -> None:
        super().__init__()
        self.room = room

    def write(self, descriptor: int, buffers: Sequence[bytes | memoryview], offset: int) -> int:
        if offset >= self.room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return super().write(descriptor, buffers, offset)


async def test_full_disk(origin: Origin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was written before it was full is claimed, and does not come again."""
    content = origin.add("/object", SIZE)
    with monkeypatch.context() as patch:
        patch.setattr("asyncdl.engine.OsDisk", lambda: FullDisk(6 * PART))
        with pytest.raises(asyncdl.DiskFullError):
            await fetch(origin.url("/object"), tmp_path / "file", options=small(1))
    result = await fetch(origin.url("/object"), tmp_path / "file")

    assert holds(tmp_path / "file", content)
    assert 5 * PART <= result.resumed


async def test_cancelled_while_a_flush_fails(origin: Origin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever cancels sees a cancelled task, although the disk failed meanwhile."""
    origin.add("/object", 64 * PART)
    origin.rate = 20.0 * PART
    flushing, cancelled = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    class Failing(OsDisk):
        def sync_data(self, _: int) -> None:
            loop.call_soon_threadsafe(flushing.set)
            cancelled.wait(3.0)
            raise OSError(errno.EIO, "dropped")

    monkeypatch.setattr(writer, "FLUSH_MOST", 4 * PART)
    monkeypatch.setattr("asyncdl.engine.OsDisk", Failing)
    # The journal's own sync at the beginning is let through.
    monkeypatch.setattr("asyncdl.edge.journal_file.JournalFile.begin", lambda *_: None)
    task = asyncio.create_task(fetch(origin.url("/object"), tmp_path / "file", options=small(1)))
    await flushing.wait()
    task.cancel()
    cancelled.set()
    await asyncio.wait({task})

    assert task.cancelled()


async def test_login_page(origin: Origin, tmp_path: Path) -> None:
    """A page without an entity tag that comes in place of the object costs nothing of what is there."""
    content, dest = origin.add("/object", SIZE), tmp_path / "file"
    await begun(origin, dest)
    origin.add("/login", 700, etag=None, last_modified=None)
    origin.ranges = False
    with pytest.raises(asyncdl.RemoteChangedError, match="no entity tag"):
        await fetch(origin.url("/login"), dest)
    origin.ranges = True
    result = await fetch(origin.url("/object"), dest)

    assert holds(dest, content)
    assert 8 * PART == result.resumed


@pytest.mark.skipif(not ROOT, reason="only root can give files away")
async def test_journal_of_somebody_else(origin: Origin, tmp_path: Path) -> None:
    """In a shared directory anyone can lay a journal beside a partial file that has lost its own."""
    content, dest = origin.add("/object", SIZE), tmp_path / "file"
    part, journal = tmp_path / "file.part", tmp_path / "file.part.journal"
    part.write_bytes(bytes(SIZE))
    part.chmod(0o600)
    head = Head(size=SIZE, etag=etag_of(content), inode=part.stat().st_ino)
    journal.write_bytes(Encoder().snapshot(State(head=head, owner="other", held=(Held(0, SIZE),))))
    os.chown(journal, 65534, 65534)
    result = await fetch(origin.url("/object"), dest)

    assert holds(dest, content)
    assert 0 == result.resumed


async def test_another_file_with_the_same_number(origin: Origin, tmp_path: Path) -> None:
    """A file system gives the number of a removed file to the next one, whoever makes it."""
    content, dest = origin.add("/object", SIZE), tmp_path / "file"
    await begun(origin, dest)
    part = tmp_path / "file.part"
    descriptor = os.open(part, os.O_RDONLY)
    tells = OsDisk().generation(descriptor) is not None
    os.close(descriptor)
    number = part.stat().st_ino
    part.unlink()
    part.write_bytes(bytes(SIZE))
    part.chmod(0o600)
    again = number == part.stat().st_ino
    result = await fetch(origin.url("/object"), dest)

    assert holds(dest, content) or (again and not tells)
    assert 0 == result.resumed or (again and not tells)


async def test_many_gaps(origin: Origin, tmp_path: Path) -> None:
    """More gaps than there may be parts: each is a part."""
    content, dest = origin.add("/object", SIZE), tmp_path / "file"
    part, journal = tmp_path / "file.part", tmp_path / "file.part.journal"
    part.write_bytes(content.read(0, SIZE))
    part.chmod(0o600)
    head = Head(size=SIZE, etag=etag_of(content), inode=part.stat().st_ino)
    held = (*(Held(2 * index, 2 * index + 1) for index in range(10_100)), Held(20_300, SIZE))
    journal.write_bytes(Encoder().snapshot(State(head=head, owner="me", held=held)))
    # The first gaps are enough: ten thousand requests would take long.
    origin.script(Fault(start=201, status=451, times=1))
    with pytest.raises(asyncdl.HttpStatusError):
        await fetch(origin.url("/object"), dest, options=small(4))

    assert absent(dest)


async def test_found_complete(origin: Origin, tmp_path: Path) -> None:
    """What is left of a download of a file that came by another way goes when the file is found."""
    content, dest = origin.add("/object", SIZE), tmp_path / "file"
    await begun(origin, dest)
    dest.write_bytes(content.read(0, SIZE))
    result = await fetch(origin.url("/object"), dest)

    assert asyncdl.Outcome.SKIPPED == result.outcome
    assert ["file"] == sorted(path.name for path in tmp_path.iterdir())
