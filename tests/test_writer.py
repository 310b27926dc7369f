"""The writer: batches within bounds, buffers given back once and after the write, and an end that is never missed."""

from __future__ import annotations

import asyncio
import errno
import itertools
from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from asyncdl.errors import DiskFullError, StorageError
from asyncdl.job import Job
from asyncdl.model import Chunk, Part
from asyncdl.writer import Writer
from tests.support.clock import ManualClock
from tests.support.fakes import RecordingSink, ScriptedTransport
from tests.support.job import CONTENT, make_job, turns

PIECE = 64


class Desk:
    """A queue, a writer on a recording sink, and chunks that are counted when they come back."""

    def __init__(self, *, batch: int = 4, sink: RecordingSink | None = None) -> None:
        self.sink = sink or RecordingSink()
        self.queue: asyncio.Queue[Chunk | None] = asyncio.Queue()
        self.clock = ManualClock()
        self.writer = Writer(self.sink, self.queue, batch, self.clock)
        self.released: Counter[int] = Counter()

    def put(self, *offsets: int, length: int = PIECE) -> None:
        """Chunks of the content at these offsets."""
        for at in offsets:
            data = CONTENT[at : at + length]
            self.queue.put_nowait(Chunk(at, data, on_release=lambda at=at: self.released.update([at])))  # type: ignore[misc]

    def end(self) -> None:
        self.queue.put_nowait(None)


def places(number: int) -> list[int]:
    """Offsets of the first pieces."""
    return list(range(0, number * PIECE, PIECE))


async def test_everything_is_written_where_it_belongs() -> None:
    """In whatever order it comes."""
    desk = Desk()
    desk.put(*reversed(places(10)))
    desk.end()

    await desk.writer.run()

    assert CONTENT[: 10 * PIECE] == desk.sink.data
    assert 10 * PIECE == desk.writer.written
    assert [Part(0, 10 * PIECE)] == desk.writer.coverage.spans


@pytest.mark.parametrize("batch", [1, 3, 4, 100])
async def test_batches_are_bounded_and_full(batch: int) -> None:
    """What waits is written in one go, but never more than a batch."""
    desk = Desk(batch=batch)
    desk.put(*places(10))
    desk.end()

    await desk.writer.run()
    sizes = [len(spans) for spans in desk.sink.writes]

    assert [min(batch, 10 - done) for done in range(0, 10, batch)] == sizes


@pytest.mark.parametrize(("depth", "batch"), [(2, 1), (3, 1), (7, 1), (8, 2), (32, 8), (500, 125)])
async def test_memory_of_queue_and_batch(depth: int, batch: int) -> None:
    """Queue and writer together hold `queue_depth` chunks, and neither can starve the other."""
    job: Job = make_job(ScriptedTransport(), queue_depth=depth)

    assert batch == job.write_batch
    assert depth - batch == job.queue.maxsize
    assert job.queue.maxsize >= 1


async def test_one_chunk_does_not_wait_for_others() -> None:
    """A batch is what there is, not what there may be."""
    desk = Desk(batch=100)
    writing = asyncio.create_task(desk.writer.run())
    desk.put(0)
    await turns()

    assert [[(0, PIECE)]] == desk.sink.writes
    desk.end()
    await writing


async def test_buffers_come_back_after_the_write() -> None:
    """Not before: a thread may be reading them. And once each."""
    gate = asyncio.Event()
    desk = Desk(sink=RecordingSink(gate=gate))
    desk.put(*places(6))
    desk.end()
    writing = asyncio.create_task(desk.writer.run())
    await turns()

    assert 1 == len(desk.sink.writes)
    assert {} == desk.released
    gate.set()
    await writing

    assert dict.fromkeys(places(6), 1) == desk.released


async def test_progress_counts_after_the_write() -> None:
    """A byte is there when it is on the disk."""
    gate = asyncio.Event()
    desk = Desk(sink=RecordingSink(gate=gate))
    desk.put(0)
    desk.end()
    writing = asyncio.create_task(desk.writer.run())
    await turns()

    assert 0 == desk.writer.written
    gate.set()
    await writing

    assert PIECE == desk.writer.written


@pytest.mark.parametrize("before", [0, 1, 3, 4, 5, 8])
async def test_end(before: int) -> None:
    """All that came before the end is written, wherever in a batch the end lies; what comes after is left."""
    desk = Desk(batch=4)
    desk.put(*places(before))
    desk.end()
    desk.put(4096)

    await desk.writer.run()

    assert before * PIECE == desk.writer.written
    assert 1 == desk.queue.qsize()
    assert all(desk.sink.writes)  # no empty write


async def test_waits_for_the_end() -> None:
    """An empty queue is no end."""
    desk = Desk()
    desk.put(0)
    writing = asyncio.create_task(desk.writer.run())
    await turns()

    assert not writing.done()
    desk.end()
    await writing


async def test_overlaps_count_once() -> None:
    """What a stream without ranges brings again is written again, and counted once."""
    desk = Desk()
    desk.put(0, 64, 128)
    desk.put(32, length=128)
    desk.put(0, 64, 128, 192)
    desk.end()

    await desk.writer.run()

    assert 256 == desk.writer.written
    assert [Part(0, 256)] == desk.writer.coverage.spans
    assert CONTENT[:256] == desk.sink.data


async def test_gaps_show() -> None:
    """Coverage knows what is missing."""
    desk = Desk()
    desk.put(64, 256)
    desk.end()

    await desk.writer.run()

    assert [Part(0, 64), Part(128, 256)] == list(desk.writer.coverage.missing(320))


async def test_failure_ends_it() -> None:
    """The disk's refusal is raised as it is; nothing is tried again, and what was not written is not claimed."""
    full = OSError(errno.ENOSPC, "No space left on device")
    desk = Desk(batch=2, sink=RecordingSink(fail={1: full}))
    desk.put(*places(6))
    desk.end()

    with pytest.raises(DiskFullError) as caught:
        await desk.writer.run()

    assert full is caught.value.__cause__
    assert 2 * PIECE == desk.writer.written
    assert 2 == len(desk.sink.writes)
    assert {0: 1, PIECE: 1} == desk.released


async def test_cancelled_in_mid_write() -> None:
    """The thread may still be at it: no buffer goes back for somebody to fill."""
    desk = Desk(sink=RecordingSink(gate=asyncio.Event()))
    desk.put(*places(3))
    writing = asyncio.create_task(desk.writer.run())
    await turns()

    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing

    assert {} == desk.released
    assert 0 == desk.writer.written


async def test_failure_while_the_queue_is_full() -> None:
    """Whoever waits for room when the writer dies is not left waiting, if both are of one group."""
    job = make_job(ScriptedTransport(), queue_depth=2)
    gate = asyncio.Event()
    sink = RecordingSink(gate=gate, fail={0: OSError(errno.EIO, "I/O error")})
    writer = Writer(sink, job.queue, job.write_batch, job.clock)
    waiting = 0

    async def produce(at: int) -> None:
        nonlocal waiting
        waiting += 1
        for number in range(100):
            await job.queue.put(Chunk(at + number, b"x"))
        raise AssertionError("nobody took them")

    async def download() -> None:
        async with asyncio.timeout(60), asyncio.TaskGroup() as group:
            group.create_task(writer.run())
            for at in range(0, 8000, 1000):
                group.create_task(produce(at))
            await turns()
            assert 8 == waiting
            assert job.queue.full()
            gate.set()

    with pytest.raises(ExceptionGroup) as caught:
        await download()

    assert [StorageError] == [type(error) for error in caught.value.exceptions]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    cuts=st.lists(st.integers(1, len(CONTENT) - 1), max_size=40),
    order=st.randoms(use_true_random=False),
    batch=st.integers(1, 9),
    pauses=st.sets(st.integers(0, 40)),
)
def test_any_cutting_in_any_order(cuts: list[int], order: object, batch: int, pauses: set[int]) -> None:
    """However the content is cut up and mixed, the file is the same, and every buffer comes back once."""
    edges = [0, *sorted(set(cuts)), len(CONTENT)]
    spans = list(itertools.pairwise(edges))
    order.shuffle(spans)  # type: ignore[attr-defined]

    async def play() -> Desk:
        desk = Desk(batch=batch)
        writing = asyncio.create_task(desk.writer.run())
        for number, (start, stop) in enumerate(spans):
            desk.put(start, length=stop - start)
            if number in pauses:
                await turns(3)
        desk.end()
        await writing
        return desk

    desk = asyncio.run(play())

    assert CONTENT == desk.sink.data
    assert len(CONTENT) == desk.writer.written
    assert {1} == set(desk.released.values())
    assert len(spans) == len(desk.released)
