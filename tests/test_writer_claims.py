"""What the writer claims, and when: only what a flush that began later has made durable, and nothing twice."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable, Sequence

import pytest

from asyncdl import writer as module
from asyncdl.errors import DiskFullError
from asyncdl.model import Chunk, Part
from asyncdl.rules.held import Held, spans_of
from asyncdl.verifier import Verifier
from asyncdl.writer import Writer
from tests.support.clock import ManualClock
from tests.support.fakes import RecordingSink
from tests.support.job import CONTENT

PIECE = 64
BOUND = 60.0


class SlowFlushes(RecordingSink):
    """Flushes end when they are let; each notes how many pieces it is to claim."""

    def __init__(self) -> None:
        super().__init__()
        self.let = asyncio.Event()
        self.begun: list[int] = []

    async def commit(self, held: Sequence[Held]) -> None:
        self.begun.append(sum(one.stop - one.start for one in held) // PIECE)
        await self.let.wait()
        await super().commit(held)


class Desk:
    """A writer, what it writes to, and pieces for it."""

    def __init__(self, sink: RecordingSink | None = None, *, one_stream: bool = False, batch: int = 1) -> None:
        self.sink = sink or RecordingSink()
        self.queue: asyncio.Queue[Chunk | None] = asyncio.Queue()
        self.writer = Writer(self.sink, self.queue, batch, ManualClock(), one_stream=lambda: one_stream)

    def put(self, *numbers: int) -> None:
        for number in numbers:
            at = number * PIECE
            self.queue.put_nowait(Chunk(at, CONTENT[at : at + PIECE]))

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(BOUND):
            while not condition():  # noqa: ASYNC110  # there is no event for what a fake was told
                await asyncio.sleep(0)

    @property
    def claimed(self) -> list[Part]:
        return list(spans_of(sorted(self.sink.claimed, key=lambda held: held.start)))


def pieces(*spans: tuple[int, int]) -> list[Part]:
    return [Part(start * PIECE, stop * PIECE) for start, stop in spans]


@pytest.fixture(autouse=True)
def small_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FLUSH_MOST", 4 * PIECE)


async def test_everything_in_the_end() -> None:
    """Also what fills no window; once."""
    desk = Desk()
    desk.put(0, 1, 2, 7, 5)
    desk.queue.put_nowait(None)

    await desk.writer.run()

    assert pieces((0, 3), (5, 6), (7, 8)) == desk.claimed
    assert ["write"] * 5 == [event for event in desk.sink.events if event == "write"]
    assert 5 * PIECE == sum(held.stop - held.start for held in desk.sink.claimed)


async def test_writing_goes_on_under_a_flush() -> None:
    """Up to one more window; what is written meanwhile waits for the next flush."""
    sink = SlowFlushes()
    desk = Desk(sink)
    desk.put(*range(20))
    task = asyncio.create_task(desk.writer.run())
    await desk.until(lambda: len(sink.writes) == 8)
    for _ in range(50):
        await asyncio.sleep(0)

    assert 8 == len(sink.writes)
    assert [4] == sink.begun
    sink.let.set()
    desk.queue.put_nowait(None)
    await task
    assert pieces((0, 20)) == desk.claimed
    assert [4, 4] == sink.begun[:2]


async def test_claims_what_was_written_before_the_flush() -> None:
    """The first claim holds exactly the first window."""
    sink = SlowFlushes()
    desk = Desk(sink)
    desk.put(*range(6))
    task = asyncio.create_task(desk.writer.run())
    await desk.until(lambda: len(sink.writes) == 6)
    sink.let.set()
    await desk.until(lambda: bool(sink.claimed))

    assert pieces((0, 4)) == desk.claimed
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_little_that_is_old(monkeypatch: pytest.MonkeyPatch) -> None:
    """A window that does not fill is claimed after some seconds, while nothing comes."""
    monkeypatch.setattr(module, "FLUSH_SECONDS", 0.01)
    desk = Desk()
    desk.put(0)
    task = asyncio.create_task(desk.writer.run())
    await desk.until(lambda: len(desk.sink.writes) == 1)
    assert isinstance(desk.writer._clock, ManualClock)
    desk.writer._clock.advance(1)
    await desk.until(lambda: desk.claimed == pieces((0, 1)))

    desk.queue.put_nowait(None)
    await task
    assert 1 == len(desk.sink.claimed)


async def test_enough_but_too_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is worth a flush waits until the last one is a second old."""
    monkeypatch.setattr(module, "FLUSH_BYTES", 2 * PIECE)
    desk = Desk()
    clock = desk.writer._clock
    assert isinstance(clock, ManualClock)
    task = asyncio.create_task(desk.writer.run())
    desk.put(0, 1)
    await desk.until(lambda: len(desk.sink.writes) == 2)
    clock.advance(0.9)
    desk.put(2)
    await desk.until(lambda: len(desk.sink.writes) == 3)
    assert [] == desk.claimed
    clock.advance(0.1)
    desk.put(6)
    await desk.until(lambda: desk.claimed == pieces((0, 3), (6, 7)))

    desk.queue.put_nowait(None)
    await task


@pytest.mark.parametrize("one_stream", [True, False])
async def test_bytes_that_come_again(one_stream: bool) -> None:
    """They are given up before they are written: all from there on, if one stream brings them all."""
    desk = Desk(one_stream=one_stream)
    desk.put(0, 1, 2, 3, 4, 5, 1, 2)
    desk.queue.put_nowait(None)

    await desk.writer.run()

    last = len(desk.sink.events) - 1 - desk.sink.events[::-1].index("forget")
    assert "write" in desk.sink.events[last:]
    if one_stream:
        assert pieces((1, 6)) == desk.sink.forgotten
        assert pieces((0, 3)) == desk.writer.coverage.spans
    else:
        assert pieces((1, 2), (2, 3)) == desk.sink.forgotten
        assert pieces((0, 6)) == desk.writer.coverage.spans
    assert 6 * PIECE == desk.writer.written


async def test_bytes_that_come_again_under_a_flush() -> None:
    """They are given up only after the flush has claimed them: the other way round the claim would outlive them."""
    sink = SlowFlushes()
    desk = Desk(sink)
    desk.put(0, 1, 2, 3)
    task = asyncio.create_task(desk.writer.run())
    await desk.until(lambda: len(sink.begun) == 1)
    desk.put(1)
    for _ in range(20):
        await asyncio.sleep(0)
    before = list(sink.events)
    sink.let.set()
    desk.queue.put_nowait(None)
    await task

    assert "forget" not in before
    assert ["commit", "forget", "write", "commit"] == sink.events[-4:]
    assert pieces((1, 2)) == sink.forgotten


async def test_the_same_byte_twice_in_one_batch() -> None:
    """It is written twice, in the order in which it came."""
    desk = Desk(batch=8)
    desk.put(0, 1)
    desk.queue.put_nowait(Chunk(0, b"\xff" * PIECE))
    desk.queue.put_nowait(None)

    await desk.writer.run()

    assert b"\xff" * PIECE + CONTENT[PIECE : 2 * PIECE] == bytes(desk.sink.data)
    assert [[(0, PIECE), (PIECE, 2 * PIECE)], [(0, PIECE)]] == desk.sink.writes


async def test_what_was_there_already() -> None:
    """It counts as written from the beginning, and no more as found once it is given up."""
    desk = Desk()
    held = [Held(0, 2 * PIECE), Held(5 * PIECE, 6 * PIECE)]
    desk.writer.begin(Verifier(None, desk.sink.examine), held)
    before = desk.writer.written, desk.writer.resumed
    await desk.writer.forget(pieces((1, 6)))

    assert (3 * PIECE, 3 * PIECE) == before
    assert (3 * PIECE, PIECE) == (desk.writer.written, desk.writer.resumed)
    assert pieces((0, 1)) == desk.writer.coverage.spans


async def test_failed_write_is_not_claimed() -> None:
    """A disk that fills up: what was written before is claimed in the end, and nothing of what failed."""
    desk = Desk(RecordingSink(fail={2: OSError(errno.ENOSPC, "No space left on device")}))
    desk.put(0, 1, 2, 3)
    with pytest.raises(DiskFullError):
        await desk.writer.run()
    await desk.writer.settle()

    assert pieces((0, 2)) == desk.claimed


class TestWindingUp:
    async def test_what_is_in_the_queue(self) -> None:
        """It is written and claimed."""
        desk = Desk()
        running = asyncio.create_task(desk.writer.run())
        await asyncio.sleep(0)
        desk.put(0, 1, 2)

        await desk.writer.wind_up(running)

        assert running.done()
        assert pieces((0, 3)) == desk.claimed

    async def test_disk_that_takes_too_long(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """It is not waited for."""
        monkeypatch.setattr(module, "_LAST_FLUSH", 0.05)
        desk = Desk(RecordingSink(gate=asyncio.Event()))
        desk.put(0)
        running = asyncio.create_task(desk.writer.run())

        async with asyncio.timeout(BOUND):
            await desk.writer.wind_up(running)
            assert not running.done()
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running

    async def test_writer_that_failed_before_a_full_queue(self) -> None:
        """Nobody takes anything out of it any more: there is nothing to wait for."""
        desk = Desk(RecordingSink(fail={0: OSError(errno.ENOSPC, "No space left on device")}))
        desk.queue = asyncio.Queue(1)
        desk.writer._queue = desk.queue
        desk.put(0)
        running = asyncio.create_task(desk.writer.run())
        await asyncio.wait({running})
        desk.put(1)
        loop = asyncio.get_running_loop()
        began = loop.time()

        await desk.writer.wind_up(running)

        assert loop.time() - began < module._LAST_FLUSH / 2
        assert isinstance(running.exception(), DiskFullError)

    async def test_settling_takes_no_longer_either(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A flush that hangs is left behind."""
        monkeypatch.setattr(module, "_LAST_FLUSH", 0.05)
        desk = Desk(SlowFlushes())
        desk.put(0)
        running = asyncio.create_task(desk.writer.run())
        await desk.until(lambda: len(desk.sink.writes) == 1)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

        async with asyncio.timeout(BOUND):
            await desk.writer.settle()
        assert [] == desk.claimed
