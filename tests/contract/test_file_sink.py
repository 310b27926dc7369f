"""What every sink promises: run against a `.part` file on the disk, and against the stand-in that keeps its bytes."""

from __future__ import annotations

import asyncio
import errno
import itertools
import os
from pathlib import Path
from typing import Any, Protocol

import pytest

from asyncdl.edge.files import PartFile
from asyncdl.edge.sink import FileSink
from asyncdl.errors import DestinationExistsError, DiskFullError, StorageError
from asyncdl.model import Chunk, IfExists
from asyncdl.testing import Content
from tests.support.fakes import RecordingSink

CONTENT = Content(1, 50_000)


class Bench(Protocol):
    """Makes sinks for one destination and looks at it from outside."""

    async def sink(self, if_exists: IfExists = "skip") -> FileSink: ...
    def found(self) -> bytes | None: ...
    def put(self, data: bytes) -> None: ...
    def fail_next_write(self, error: OSError) -> None: ...


class DiskBench:
    """A real directory."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._dest, self._monkeypatch = folder / "file", monkeypatch

    async def sink(self, if_exists: IfExists = "skip") -> FileSink:
        return await PartFile.create(self._dest, if_exists=if_exists)

    def found(self) -> bytes | None:
        return self._dest.read_bytes() if self._dest.exists() else None

    def put(self, data: bytes) -> None:
        self._dest.write_bytes(data)

    def fail_next_write(self, error: OSError) -> None:
        real = os.pwritev

        def once(*arguments: Any) -> int:
            self._monkeypatch.setattr(os, "pwritev", real)
            raise error

        self._monkeypatch.setattr(os, "pwritev", once)


class FakeBench:
    """A dictionary."""

    def __init__(self) -> None:
        self._dest, self._disk, self._last = Path("file"), dict[Path, bytes](), RecordingSink()

    async def sink(self, if_exists: IfExists = "skip") -> FileSink:
        self._last = RecordingSink(self._dest, if_exists=if_exists, disk=self._disk)
        return self._last

    def found(self) -> bytes | None:
        return self._disk.get(self._dest)

    def put(self, data: bytes) -> None:
        self._disk[self._dest] = data

    def fail_next_write(self, error: OSError) -> None:
        self._last.fail[len(self._last.writes)] = error


@pytest.fixture(params=["PartFile", "RecordingSink"])
def bench(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_leaks: object) -> Bench:
    """A bench of either kind; no descriptor of it is left afterwards."""
    return DiskBench(tmp_path, monkeypatch) if request.param == "PartFile" else FakeBench()


def chunks(*spans: tuple[int, int]) -> list[Chunk]:
    """Pieces of the content at their places."""
    return [Chunk(start, memoryview(CONTENT.read(start, stop))) for start, stop in spans]


async def test_pieces_in_any_order(bench: Bench) -> None:
    """Wherever a piece comes in the line, it lands at its own place."""
    sink = await bench.sink()
    await sink.write(chunks((40_000, 50_000), (0, 10_000)))
    await sink.write(chunks((20_000, 40_000)))
    await sink.write(chunks((10_000, 20_000)))
    await sink.publish(50_000)

    assert CONTENT.read(0, 50_000) == bench.found()


async def test_neighbours_in_one_call(bench: Bench) -> None:
    """Many pieces that touch, among them one of a single byte and an empty one."""
    sink = await bench.sink()
    places = [0, 1, 2, 100, 100, 4096, 49_999, 50_000]
    await sink.write(chunks(*itertools.pairwise(places)))
    await sink.publish(50_000)

    assert CONTENT.read(0, 50_000) == bench.found()


async def test_bytes_and_views(bench: Bench) -> None:
    """Any buffer will do; a view may be of a part of another."""
    sink = await bench.sink()
    whole = memoryview(bytearray(CONTENT.read(0, 3000)))
    await sink.write([Chunk(0, bytes(whole[:1000])), Chunk(1000, whole[1000:2000]), Chunk(2000, whole[2000:])])
    await sink.publish(3000)

    assert CONTENT.read(0, 3000) == bench.found()


@pytest.mark.parametrize("reserved", [None, 0, 10, 50_000])
async def test_reserving_changes_no_byte(bench: Bench, reserved: int | None) -> None:
    """Whatever was reserved, the file has the size it is published with."""
    sink = await bench.sink()
    if reserved is not None:
        await sink.reserve(reserved)
    await sink.write(chunks((0, 5000)))
    await sink.publish(5000)

    assert CONTENT.read(0, 5000) == bench.found()


async def test_an_empty_object(bench: Bench) -> None:
    """Nothing written is a file all the same."""
    sink = await bench.sink()
    await sink.publish(0)

    assert b"" == bench.found()


async def test_nothing_to_write(bench: Bench) -> None:
    """A call without pieces does nothing."""
    sink = await bench.sink()
    await sink.write([])
    await sink.write(chunks((7, 7)))
    await sink.publish(0)

    assert b"" == bench.found()


async def test_not_there_before_it_is_complete(bench: Bench) -> None:
    """Nobody sees half a file under the destination's name."""
    sink = await bench.sink()
    await sink.reserve(50_000)
    await sink.write(chunks((0, 40_000)))

    assert bench.found() is None
    await sink.abandon()
    assert bench.found() is None


@pytest.mark.parametrize("written", [True, False])
async def test_abandoning_again(bench: Bench, written: bool) -> None:
    """Giving up twice is giving up."""
    sink = await bench.sink()
    if written:
        await sink.write(chunks((0, 10)))
    await sink.abandon()
    await sink.abandon()

    assert bench.found() is None


@pytest.mark.parametrize("size", [0, 500])
async def test_abandoning_after_publishing(bench: Bench, size: int) -> None:
    """What is published stays."""
    sink = await bench.sink()
    if size:
        await sink.write(chunks((0, size)))
    await sink.publish(size)
    await sink.abandon()

    assert CONTENT.read(0, size) == bench.found()


@pytest.mark.parametrize("closed_by", ["abandon", "publish"])
async def test_no_write_after_the_end(bench: Bench, closed_by: str) -> None:
    """A sink that is closed takes nothing: its descriptor may be another file's by now."""
    sink = await bench.sink()
    await sink.write(chunks((0, 10)))
    await (sink.abandon() if closed_by == "abandon" else sink.publish(10))

    with pytest.raises(StorageError):
        await sink.write(chunks((10, 20)))


async def test_it_appeared_meanwhile(bench: Bench) -> None:
    """A file that took the name in the meantime is left alone."""
    sink = await bench.sink("skip")
    await sink.write(chunks((0, 10)))
    bench.put(b"somebody else's")

    with pytest.raises(DestinationExistsError):
        await sink.publish(10)
    await sink.abandon()
    assert b"somebody else's" == bench.found()


async def test_it_is_to_be_replaced(bench: Bench) -> None:
    """The old file is there until the new one is complete."""
    bench.put(b"old")
    sink = await bench.sink("replace")
    await sink.write(chunks((0, 10)))

    assert b"old" == bench.found()
    await sink.publish(10)
    assert CONTENT.read(0, 10) == bench.found()


@pytest.mark.parametrize(
    ("number", "kind"), [(errno.ENOSPC, DiskFullError), (errno.EDQUOT, DiskFullError), (errno.EIO, StorageError)]
)
async def test_a_write_that_fails(bench: Bench, number: int, kind: type[StorageError]) -> None:
    """The system's refusal comes out typed, with its number and its cause, and nothing is published."""
    sink = await bench.sink()
    error = OSError(number, os.strerror(number))
    bench.fail_next_write(error)

    with pytest.raises(StorageError) as caught:
        await sink.write(chunks((0, 10)))
    await sink.abandon()

    assert (kind, number) == (type(caught.value), caught.value.errno)
    assert error is caught.value.__cause__
    assert bench.found() is None


async def test_a_write_that_fails_may_be_repeated(bench: Bench) -> None:
    """One refusal does not close the sink."""
    sink = await bench.sink()
    bench.fail_next_write(OSError(errno.ENOSPC, "No space left on device"))
    with pytest.raises(DiskFullError):
        await sink.write(chunks((0, 10)))
    await sink.write(chunks((0, 10)))
    await sink.publish(10)

    assert CONTENT.read(0, 10) == bench.found()


async def test_writes_at_the_same_time(bench: Bench) -> None:
    """Calls that overlap are carried out one after the other."""
    sink = await bench.sink()
    await asyncio.gather(*(sink.write(chunks((at, at + 1000))) for at in range(0, 50_000, 1000)))
    await sink.publish(50_000)

    assert CONTENT.read(0, 50_000) == bench.found()
