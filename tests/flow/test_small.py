"""Objects that fit in one chunk: one request, two visits to a thread, no task, no journal; all else holds as ever."""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import errno
import hashlib
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import asyncdl
from asyncdl.edge import errands
from asyncdl.edge.clock import Clock
from asyncdl.edge.disk import FileName
from asyncdl.engine import FileDownload
from asyncdl.job import Commons
from asyncdl.model import Request
from asyncdl.progress import Reporter
from asyncdl.testing import Content, Fault, Origin
from tests.support.disks import Elsewhere, NotingDisk
from tests.support.fakes import ScriptedTransport, honest
from tests.support.flow import EAGER, KIB, QUICK, fetch, holds, small

#: Of one item of the queue, in these tests.
CHUNK = 64 * KIB
SIZE = CHUNK - 1
#: Only what hangs takes so long.
BOUND = 60.0
OPTIONS = small(chunk_size=CHUNK, part_size=4 * CHUNK)
DATA = Content(1, SIZE).read(0, SIZE)

pytestmark = pytest.mark.usefixtures("no_leaks")


async def brought(
    disk: NotingDisk | Elsewhere, dest: Path, *, transport: ScriptedTransport | None = None, **changes: Any
) -> asyncdl.Result:
    """One download on this disk, from a server without a network."""
    request = Request("https://host.example/object", dest, **changes)
    clock = Clock()
    commons = Commons.of_one(transport or ScriptedTransport(DATA, chunk_size=CHUNK), OPTIONS, clock, EAGER)
    download = FileDownload(request, OPTIONS, QUICK, EAGER, commons, clock=clock, disk=disk)
    return await download.run(Reporter(None, clock))


def names(dest: Path) -> list[str]:
    return sorted(path.name for path in dest.parent.iterdir())


def counting(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is run beside the caller's task, as it comes: a list that grows."""
    begun: list[str] = []
    run = errands.Errands.run

    def visit(self: errands.Errands, call: Callable[[], Any]) -> asyncio.Future[Any]:
        begun.append("visit")
        return run(self, call)

    def task(loop: asyncio.AbstractEventLoop, work: Any, **arguments: Any) -> asyncio.Task[Any]:
        code = getattr(work, "cr_code", None)
        if code is not None and f"{os.sep}asyncdl{os.sep}edge" in code.co_filename.replace("engine", "edge"):
            begun.append("task")
        return asyncio.Task(work, loop=loop, **arguments)

    monkeypatch.setattr(errands.Errands, "run", visit)
    asyncio.get_running_loop().set_task_factory(task)
    return begun


@pytest.mark.parametrize("size", [None, SIZE])
async def test_costs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int | None) -> None:
    """One look before the request, and one visit for all that is to be done on the disk; no other task."""
    begun = counting(monkeypatch)

    result = await brought(Elsewhere(), tmp_path / "file", size=size)
    asyncio.get_running_loop().set_task_factory(None)

    assert ["visit", "visit"] == begun
    assert 1 == result.requests
    assert (tmp_path / "file").read_bytes() == DATA


async def test_order(tmp_path: Path) -> None:
    """Data, sync, the name by way of one that nobody takes for his own, sync of the directory; no journal."""
    dest = tmp_path / "file"
    disk = NotingDisk(dest)

    await brought(disk, dest)

    renamed = ["rename .part .part.done", "rename .part.done dest", "sync directory"]
    assert ["create .part", "write .part", "sync .part", *renamed] == disk.notes
    assert ["file"] == names(dest)


@pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1])
@pytest.mark.parametrize("told", [True, False], ids=["size given", "size not given"])
@pytest.mark.parametrize("ranges", [True, False], ids=["ranges", "no ranges"])
async def test_sizes(tmp_path: Path, size: int, told: bool, ranges: bool) -> None:
    """Up to a chunk and beyond it: one request brings it, and the file is right."""
    async with Origin(ranges=ranges) as origin:
        content = origin.add("/object", size)
        result = await fetch(origin.url("/object"), tmp_path / "file", size=size if told else None, options=OPTIONS)

    assert holds(tmp_path / "file", content)
    assert (size, size, 1) == (result.size, result.fetched, result.requests)
    assert ["file"] == names(tmp_path / "file")


async def test_body_that_breaks_is_gone_on_with(origin: Origin, tmp_path: Path) -> None:
    """The rest is asked for, and no byte twice."""
    content = origin.add("/object", SIZE)
    origin.script(Fault(request=0, drop_after=20_000))

    result = await fetch(origin.url("/object"), tmp_path / "file", options=OPTIONS)

    assert holds(tmp_path / "file", content)
    assert (SIZE, 2) == (result.fetched, result.requests)


async def test_stream_that_begins_again(tmp_path: Path) -> None:
    """Without ranges everything comes once more, and takes the place of what had come."""
    async with Origin(ranges=False) as origin:
        content = origin.add("/object", SIZE)
        origin.script(Fault(request={0, 1}, drop_after=20_000))
        await fetch(origin.url("/object"), tmp_path / "file", options=OPTIONS)

    assert holds(tmp_path / "file", content)


async def test_checksum(origin: Origin, tmp_path: Path) -> None:
    """It is verified before there is a file: with a wrong one nothing appears, and nothing is left."""
    content = origin.add("/object", SIZE)
    right = asyncdl.Checksum("sha256", hashlib.sha256(content.read(0, SIZE)).digest())

    with pytest.raises(asyncdl.IntegrityError, match="the checksum of the object is sha256"):
        await fetch(origin.url("/object"), tmp_path / "file", checksum="sha256:" + "0" * 64, options=OPTIONS)
    left = names(tmp_path / "file")
    result = await fetch(origin.url("/object"), tmp_path / "file", checksum=right, options=OPTIONS)

    assert [] == left
    assert right == result.checksum
    assert holds(tmp_path / "file", content)


@pytest.mark.parametrize("renames_open_files", [True, False])
@pytest.mark.parametrize("call", ["create .part", "write", "sync .part", "rename .part ", "rename .part.done", "mode"])
async def test_disk_that_refuses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, renames_open_files: bool
) -> None:
    """Whatever the system refuses before the file has its name leaves what was there, and nothing else."""
    monkeypatch.setattr(NotingDisk, "renames_open_files", renames_open_files)
    dest = tmp_path / "file"
    dest.write_bytes(b"old")
    disk = NotingDisk(dest)

    def refuse(note: str) -> None:
        if note.startswith(call):
            raise OSError(errno.EIO, "no")

    disk.before = refuse

    with pytest.raises(asyncdl.StorageError, match="no"):
        await brought(disk, dest, if_exists="replace")

    assert ["file"] == names(dest)
    assert b"old" == dest.read_bytes()


@pytest.mark.parametrize("twice", [False, True])
async def test_cancelled_during_the_sync(tmp_path: Path, twice: bool) -> None:
    """The thread is waited for; the file does not appear, and nothing is left."""
    dest = tmp_path / "file"
    disk = NotingDisk(dest)
    begun, go = threading.Event(), threading.Event()

    def wait(note: str) -> None:
        if note == "sync .part":
            begun.set()
            assert go.wait(BOUND)

    disk.before = wait
    task = asyncio.create_task(brought(disk, dest))
    assert await asyncio.to_thread(begun.wait, BOUND)
    task.cancel()
    await asyncio.sleep(0)
    if twice:
        task.cancel()
        await asyncio.sleep(0)
    waited = not task.done()
    go.set()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert waited
    assert [] == names(dest)


@pytest.mark.parametrize(
    ("appeared", "if_exists", "end"),
    [
        (b"x" * SIZE, "skip", asyncdl.Outcome.SKIPPED),
        (b"x" * 7, "skip", asyncdl.DestinationExistsError),
        (b"x" * SIZE, "error", asyncdl.DestinationExistsError),
        (b"x" * 7, "replace", asyncdl.Outcome.DOWNLOADED),
    ],
)
async def test_destination_that_appears_meanwhile(tmp_path: Path, appeared: bytes, if_exists: Any, end: Any) -> None:
    """It is looked at once more before the rename, and is what it would have been before the request."""
    dest = tmp_path / "file"
    disk = NotingDisk(dest)
    disk.before = lambda note: dest.write_bytes(appeared) if note == "write .part" else None

    if isinstance(end, type):
        with pytest.raises(end):
            await brought(disk, dest, if_exists=if_exists)
    else:
        assert end is (await brought(disk, dest, if_exists=if_exists)).outcome

    assert dest.read_bytes() == (DATA if end is asyncdl.Outcome.DOWNLOADED else appeared)
    assert ["file"] == names(dest)


@pytest.mark.parametrize("then", [None, b"x" * 7], ids=["gone", "another"])
async def test_file_that_does_not_stay_as_it_appeared(tmp_path: Path, then: bytes | None) -> None:
    """What was taken for the object is gone at the next look: nobody is told that the object is there."""
    dest = tmp_path / "file"

    class Fleeting(NotingDisk):
        def status(self, path: FileName) -> os.stat_result | None:
            found = super().status(path)
            if Path(path) == dest and found is not None and found.st_size == SIZE:
                dest.unlink()
                if then is not None:
                    dest.write_bytes(then)
            return found

    disk = Fleeting(dest)
    disk.before = lambda note: dest.write_bytes(b"x" * SIZE) if note == "write .part" else None

    with pytest.raises(asyncdl.DestinationExistsError):
        await brought(disk, dest)

    assert then == (dest.read_bytes() if dest.exists() else None)


@pytest.mark.parametrize("right", [True, False])
async def test_file_that_appears_is_held_against_the_promise(tmp_path: Path, right: bool) -> None:
    """What the server promised of the object is known by then, and counts as for a file that was there before."""
    dest = tmp_path / "file"
    digest = hashlib.sha256(DATA).digest()
    promise = ("Repr-Digest", f"sha-256=:{base64.b64encode(digest).decode()}:")
    disk, transport = NotingDisk(dest), ScriptedTransport(DATA, chunk_size=CHUNK)
    transport.script(lambda call: dataclasses.replace(reply := honest(DATA, call), headers=(*reply.headers, promise)))
    appeared = DATA if right else b"x" * SIZE
    disk.before = lambda note: dest.write_bytes(appeared) if note == "write .part" else None

    if right:
        result = await brought(disk, dest, transport=transport)
        assert (asyncdl.Outcome.SKIPPED, asyncdl.Checksum("sha256", digest)) == (result.outcome, result.checksum)
    else:
        with pytest.raises(asyncdl.DestinationExistsError, match="sha256"):
            await brought(disk, dest, transport=transport)

    assert appeared == dest.read_bytes()
    assert ["file"] == names(dest)


async def test_mode_of_what_is_replaced(tmp_path: Path) -> None:
    """A private file stays private, at every moment."""
    dest = tmp_path / "file"
    dest.write_bytes(b"old")
    dest.chmod(0o640)
    disk = NotingDisk(dest)
    seen: list[int] = []
    disk.before = lambda note: (
        seen.append((tmp_path / "file.part").stat().st_mode & 0o777) if note == "write .part" else None
    )

    await brought(disk, dest, if_exists="replace")

    assert [0o600] == seen
    assert 0o640 == dest.stat().st_mode & 0o777


async def test_part_that_somebody_else_made_meanwhile(tmp_path: Path) -> None:
    """The name is theirs: it is left alone, and told."""
    dest = tmp_path / "file"
    disk = NotingDisk(dest)
    disk.before = lambda note: (tmp_path / "file.part").write_bytes(b"theirs") if note == "create .part" else None

    with pytest.raises(asyncdl.DestinationBusyError):
        await brought(disk, dest)

    assert b"theirs" == (tmp_path / "file.part").read_bytes()


@pytest.mark.parametrize("left", [".part", ".part.journal", ".part.journal.new", ".part.done"])
async def test_what_was_left_behind_is_cleared_away(origin: Origin, tmp_path: Path, left: str) -> None:
    """Whatever an earlier download left goes, as if the object were large."""
    content = origin.add("/object", SIZE)
    (tmp_path / f"file{left}").write_bytes(b"")

    await fetch(origin.url("/object"), tmp_path / "file", options=OPTIONS)

    assert holds(tmp_path / "file", content)
    assert ["file"] == names(tmp_path / "file")


async def test_two_processes(tmp_path: Path) -> None:
    """Of two that begin at once, one brings the file; the other finds it there, or is told that somebody is at it."""
    dest = tmp_path / "file"
    ends = await asyncio.gather(*(brought(Elsewhere(), dest) for _ in range(6)), return_exceptions=True)

    outcomes = [end.outcome for end in ends if isinstance(end, asyncdl.Result)]
    assert 1 == outcomes.count(asyncdl.Outcome.DOWNLOADED)
    assert all(isinstance(end, asyncdl.Result | asyncdl.DestinationBusyError) for end in ends)
    assert dest.read_bytes() == DATA
    assert ["file"] == names(dest)


async def test_second_of_one_process_makes_no_request(origin: Origin, tmp_path: Path) -> None:
    """It is told at once, although the first has made no file yet; afterwards the place is free again."""
    origin.add("/object", SIZE)
    origin.script(Fault(delay=0.3, times=1))
    first = asyncio.create_task(fetch(origin.url("/object"), tmp_path / "file", options=OPTIONS))
    await origin.ledger.until(lambda: len(origin.ledger.requests) > 0)

    with pytest.raises(asyncdl.DestinationBusyError):
        await fetch(origin.url("/object"), tmp_path / "file", options=OPTIONS)
    await first

    assert 1 == len(origin.ledger.requests)
    assert asyncdl.Outcome.SKIPPED is (await fetch(origin.url("/object"), tmp_path / "file", options=OPTIONS)).outcome


async def test_progress_ends_with_all_bytes(origin: Origin, tmp_path: Path) -> None:
    """The last event has every byte, as for any other object."""
    origin.add("/object", SIZE)
    events: list[asyncdl.Progress] = []

    await fetch(origin.url("/object"), tmp_path / "file", options=OPTIONS, on_progress=events.append)

    assert (SIZE, SIZE, asyncdl.Phase.FINISHED) == (events[-1].done, events[-1].total, events[-1].phase)
