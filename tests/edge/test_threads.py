"""Blocking calls under cancellation: a descriptor outlives the call that uses it, and nobody waits for ever."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from asyncdl.edge import threads
from asyncdl.edge.files import PartFile
from asyncdl.edge.threads import Worker
from tests.support.leaks import Snapshot
from tests.support.partfiles import part_of, piece

#: Seconds after which a test has failed.
BOUND = 60.0


class Call:
    """A blocking call that says when it has begun, and ends when it is let go."""

    def __init__(self, result: object = None) -> None:
        self.begun, self.go, self.ended = threading.Event(), threading.Event(), threading.Event()
        self._result = result

    def __call__(self) -> object:
        self.begun.set()
        assert self.go.wait(BOUND)
        self.ended.set()
        if isinstance(self._result, Exception):
            raise self._result
        return self._result

    async def wait_begun(self) -> None:
        assert await asyncio.to_thread(self.begun.wait, BOUND)


@pytest.fixture
def releases() -> list[str]:
    """The names of the threads that released."""
    return []


@pytest.fixture
def worker(releases: list[str]) -> Worker:
    """A worker that writes down who released."""
    return Worker(lambda: releases.append(threading.current_thread().name))


@pytest.fixture
def call() -> Iterator[Call]:
    """A blocking call, let go when the test ends."""
    blocking = Call("done")
    yield blocking
    blocking.go.set()


@pytest.fixture
def short_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes the patience with a stuck call short."""
    monkeypatch.setattr(threads, "GRACE", 0.1)


async def test_result(worker: Worker) -> None:
    """What the call returns, from another thread than the loop's."""
    assert threading.main_thread() is not await worker.run(threading.current_thread)


async def test_error(worker: Worker) -> None:
    """What the call raises."""
    with pytest.raises(ZeroDivisionError):
        await worker.run(lambda: 1 // 0)


async def test_one_at_a_time(worker: Worker) -> None:
    """Calls never overlap, and run in the order they were asked for."""
    order: list[int] = []
    busy = threading.Lock()

    def count(number: int) -> None:
        assert busy.acquire(blocking=False)
        order.append(number)
        time.sleep(0.001)
        busy.release()

    await asyncio.gather(*(worker.run(lambda number=number: count(number)) for number in range(20)))  # type: ignore[misc]

    assert list(range(20)) == order


async def test_cancelled_waits_for_the_call(worker: Worker, call: Call) -> None:
    """A cancelled task ends only when the call has."""
    task = asyncio.create_task(worker.run(call))
    await call.wait_begun()
    task.cancel()
    await asyncio.sleep(0.02)

    assert not task.done()
    call.go.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert call.ended.is_set()


async def test_cancelled_again_and_again(worker: Worker, call: Call) -> None:
    """Further cancellations do not shorten the wait, and end as one."""
    task = asyncio.create_task(worker.run(call))
    await call.wait_begun()
    for _ in range(5):
        task.cancel()
        await asyncio.sleep(0.005)

    assert not task.done()
    call.go.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert 5 == task.cancelling()


@pytest.mark.usefixtures("short_grace")
async def test_grace(worker: Worker, call: Call) -> None:
    """A call that does not end is waited for so long and no longer, however often one is cancelled."""
    task = asyncio.create_task(worker.run(call))
    await call.wait_begun()
    began = time.monotonic()
    task.cancel()
    await asyncio.sleep(0.05)
    task.cancel()
    async with asyncio.timeout(BOUND):
        with pytest.raises(asyncio.CancelledError):
            await task

    assert time.monotonic() - began >= 0.1
    assert not call.ended.is_set()


async def test_cancellation_wins_over_the_error(worker: Worker) -> None:
    """What a call raises after the cancellation is nobody's business, and not reported as lost."""
    failing = Call(ValueError("late"))
    reported: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
    task = asyncio.create_task(worker.run(failing))
    await failing.wait_begun()
    task.cancel()
    failing.go.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    del task
    gc.collect()
    await asyncio.sleep(0)

    assert [] == reported


@pytest.mark.usefixtures("short_grace")
async def test_late_error_is_not_reported(worker: Worker) -> None:
    """Nor is that of a call which outlasted the grace."""
    failing = Call(ValueError("late"))
    reported: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
    task = asyncio.create_task(worker.run(failing))
    await failing.wait_begun()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    failing.go.set()
    await worker.run(lambda: None)
    del task
    gc.collect()
    await asyncio.sleep(0)

    assert [] == reported


async def test_timeout_around(worker: Worker, call: Call) -> None:
    """A deadline around a call becomes a TimeoutError once the call has ended."""
    asyncio.get_running_loop().call_later(0.05, call.go.set)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await worker.run(call)

    assert call.ended.is_set()


async def test_close_when_idle(worker: Worker, releases: list[str]) -> None:
    """With nothing under way, closing releases at once, and once."""
    await worker.run(lambda: None)
    worker.close()
    worker.close()

    assert [threading.main_thread().name] == releases


async def test_aclose_releases_in_a_thread(worker: Worker, releases: list[str]) -> None:
    """The asynchronous way keeps the loop free, and is over when it is over."""
    await worker.aclose()
    await worker.aclose()

    assert 1 == len(releases)
    assert threading.main_thread().name not in releases


@pytest.mark.parametrize("asynchronous", [False, True])
@pytest.mark.usefixtures("short_grace")
async def test_close_under_a_call(worker: Worker, call: Call, releases: list[str], asynchronous: bool) -> None:
    """A call that is still running keeps what it uses; its thread releases it, once."""
    task = asyncio.create_task(worker.run(call))
    await call.wait_begun()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with asyncio.timeout(BOUND):
        await worker.aclose() if asynchronous else worker.close()

    assert [] == releases
    call.go.set()
    await worker.run(lambda: None)  # after the call, as calls run one at a time
    assert 1 == len(releases)
    assert threading.main_thread().name not in releases


async def test_aclose_cancelled(worker: Worker, releases: list[str]) -> None:
    """A cancellation of the closing closes all the same."""
    task = asyncio.create_task(worker.aclose())
    await asyncio.sleep(0)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task

    assert 1 == len(releases)


class SlowDisk:
    """os.pwritev that waits in the middle, and looks whether its descriptor is still the file's."""

    def __init__(self, part: Path) -> None:
        self.call, self._part, self._real = Call(), part, os.pwritev
        self.still_ours: bool | None = None

    def __call__(self, descriptor: int, *arguments: Any) -> int:
        self.call()
        with contextlib.suppress(OSError):
            self.still_ours = os.path.samestat(os.fstat(descriptor), self._part.stat())
        return self._real(descriptor, *arguments)


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SlowDisk]:
    """A disk on which writes wait until they are let go."""
    slow = SlowDisk(part_of(tmp_path / "file"))
    monkeypatch.setattr(os, "pwritev", slow)
    yield slow
    slow.call.go.set()


@pytest.mark.parametrize("cancellations", [1, 2])
async def test_no_close_under_a_write(tmp_path: Path, disk: SlowDisk, no_leaks: Snapshot, cancellations: int) -> None:
    """A write that is under way when its task is cancelled lands in its own file, and the descriptor closes after."""
    file = await PartFile.create(tmp_path / "file", if_exists="skip")

    async def write() -> None:
        try:
            await file.write([piece(0, 1000)])
        finally:
            await file.abandon()

    task = asyncio.create_task(write())
    await disk.call.wait_begun()
    for _ in range(cancellations):
        task.cancel()
        await asyncio.sleep(0.01)
    disk.call.go.set()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert disk.still_ours
    assert 1000 == part_of(tmp_path / "file").stat().st_size


@pytest.mark.usefixtures("short_grace")
async def test_write_that_outlasts_the_grace(tmp_path: Path, disk: SlowDisk, no_leaks: Snapshot) -> None:
    """Nobody waits for a stuck write; its descriptor stays open for it, and closes when it ends."""
    file = await PartFile.create(tmp_path / "file", if_exists="skip")
    descriptor = file._descriptor
    task = asyncio.create_task(file.write([piece(0, 1000)]))
    await disk.call.wait_begun()
    task.cancel()
    async with asyncio.timeout(BOUND):
        with pytest.raises(asyncio.CancelledError):
            await task
        await file.abandon()

    assert os.path.samestat(os.fstat(descriptor), part_of(tmp_path / "file").stat())
    disk.call.go.set()
    assert [] == await no_leaks.settled(BOUND)
    assert disk.still_ours


@pytest.mark.usefixtures("short_grace")
async def test_giving_up_under_a_stuck_reservation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_leaks: Snapshot, call: Call
) -> None:
    """Giving up does not wait behind a call that is stuck; the empty file goes when that ends."""
    monkeypatch.setattr("asyncdl.edge.disk.fallocate", lambda *_: call() and 0)
    file = await PartFile.create(tmp_path / "file", if_exists="skip")
    task = asyncio.create_task(file.reserve(1000))
    await call.wait_begun()
    task.cancel()
    async with asyncio.timeout(BOUND):
        with pytest.raises(asyncio.CancelledError):
            await task
        await file.abandon()
    call.go.set()

    assert [] == await no_leaks.settled(BOUND)
    assert [] == list(tmp_path.iterdir())


async def test_cancelled_while_creating(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_leaks: Snapshot, call: Call
) -> None:
    """A download that is cancelled before its file was open leaves no file."""
    real = os.open

    def slow(path: Any, *arguments: Any, **named: Any) -> int:
        if str(path).endswith(".part"):
            call()
        return real(path, *arguments, **named)

    monkeypatch.setattr(os, "open", slow)
    task = asyncio.create_task(PartFile.create(tmp_path / "file", if_exists="skip"))
    await call.wait_begun()
    task.cancel()
    call.go.set()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert [] == await no_leaks.settled(BOUND)
    assert [] == list(tmp_path.iterdir())


async def test_cancelled_during_fsync(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_leaks: Snapshot, call: Call
) -> None:
    """A cancellation during the last fsync keeps the destination from appearing."""
    real = os.fsync

    def slow(descriptor: int) -> None:
        call()
        real(descriptor)

    monkeypatch.setattr(os, "fsync", slow)
    file = await PartFile.create(tmp_path / "file", if_exists="skip")
    await file.write([piece(0, 1000)])
    task = asyncio.create_task(file.publish(1000))
    await call.wait_begun()
    task.cancel()
    call.go.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    await file.abandon()

    assert [part_of(tmp_path / "file")] == list(tmp_path.iterdir())


@pytest.mark.usefixtures("short_grace")
def test_loop_that_ends_under_a_write(tmp_path: Path, disk: SlowDisk) -> None:
    """A loop that is closed while a write is stuck leaves the descriptor to the write's thread."""
    before = Snapshot.take()

    async def main() -> None:
        file = await PartFile.create(tmp_path / "file", if_exists="skip")
        task = asyncio.create_task(file.write([piece(0, 1000)]))
        await disk.call.wait_begun()
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        await file.abandon()

    asyncio.run(main())
    disk.call.go.set()
    for thread in set(threading.enumerate()) - before.threads:
        thread.join(BOUND)

    assert [] == before.new_since()
    assert disk.still_ours


async def test_called_off_before_its_turn(worker: Worker, call: Call, releases: list[str]) -> None:
    """A loop that ends cancels every task at once: what has not begun never does, and all is given back."""
    calls: list[bool] = []
    begun = asyncio.create_task(worker.run(call))
    await call.wait_begun()
    waiting = asyncio.create_task(worker.run(lambda: calls.append(True)))
    await asyncio.sleep(0)

    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    worker.close()
    assert [] == releases
    call.go.set()

    assert "done" == await begun
    assert [] == calls
    assert 1 == len(releases)


@pytest.mark.usefixtures("short_grace")
async def test_lane_of_a_stuck_call_stays_taken(worker: Worker, call: Call) -> None:
    """Whoever waited for a call may have given up: the next of its lane does not begin beside it."""
    stuck = asyncio.create_task(worker.run(call))
    await call.wait_begun()
    stuck.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stuck

    following = asyncio.create_task(worker.run(call.ended.is_set))
    assert "beside it" == await worker.run(lambda: "beside it", lane="other")
    assert not following.done()
    call.go.set()

    assert await asyncio.wait_for(following, BOUND)


async def test_no_thread_to_be_had(monkeypatch: pytest.MonkeyPatch, worker: Worker, releases: list[str]) -> None:
    """A call that could not be begun keeps neither its lane nor what it would have used."""

    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError, match="can't start"):
            await worker.run(lambda: "done")

    assert "done" == await asyncio.wait_for(worker.run(lambda: "done"), BOUND)
    worker.close()
    assert 1 == len(releases)
