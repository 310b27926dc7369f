"""An errand whose task is cancelled: waited for as long as it runs, and not at all if it does not."""

from __future__ import annotations

import asyncio
import threading

import pytest

from asyncdl.edge import errands, threads
from asyncdl.edge.errands import Joint, errand
from asyncdl.edge.threads import Errand

BOUND = 5.0

pytestmark = pytest.mark.usefixtures("no_leaks")


class Stage:
    """A call that says when it begins, and ends when it is let go."""

    def __init__(self, fault: Exception | None = None) -> None:
        self.begun, self.go = threading.Event(), threading.Event()
        self.ended = False
        self.seen: bool | None = None
        self._fault = fault

    def __call__(self, errand: Errand[str]) -> str:
        self.begun.set()
        assert self.go.wait(BOUND)
        self.seen, self.ended = errand.called_off, True
        if self._fault is not None:
            raise self._fault
        return "done"


async def until_begun(stage: Stage) -> None:
    assert await asyncio.to_thread(stage.begun.wait, BOUND)


async def test_result() -> None:
    """What it returns, and it is not told that it was called off."""
    stage = Stage()
    stage.go.set()

    assert "done" == await Errand(stage).run()
    assert stage.seen is False


async def test_error() -> None:
    """What it raises."""
    stage = Stage(LookupError("no"))
    stage.go.set()

    with pytest.raises(LookupError, match="no"):
        await Errand(stage).run()


@pytest.mark.parametrize("fault", [None, LookupError("no")], ids=["returns", "raises"])
async def test_cancelled_while_it_runs(fault: Exception | None) -> None:
    """It is told, and waited for, however often one cancels; what comes of it is of no interest."""
    stage = Stage(fault)
    task = asyncio.create_task(Errand(stage).run())
    await until_begun(stage)
    for _ in range(3):
        task.cancel()
        await asyncio.sleep(0.01)
    waits = not task.done()
    stage.go.set()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, BOUND)

    assert (True, True, True) == (waits, stage.ended, stage.seen)


async def test_one_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is given some time, and then left alone."""
    monkeypatch.setattr(threads, "GRACE", 0.05)
    stage = Stage()
    task = asyncio.create_task(Errand(stage).run())
    await until_begun(stage)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, BOUND)
    before = stage.ended
    stage.go.set()
    assert 1 == await asyncio.wait_for(errand(lambda: 1), BOUND)

    assert not before


async def test_cancelled_before_it_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    """It never runs, and nobody waits for it."""
    monkeypatch.setattr(errands, "MOST", 1)
    blocks, stage = Stage(), Stage()
    first = asyncio.create_task(Errand(blocks).run())
    await until_begun(blocks)
    second = asyncio.create_task(Errand(stage).run())
    await asyncio.sleep(0)
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(second, BOUND)
    blocks.go.set()

    assert "done" == await asyncio.wait_for(first, BOUND)
    assert 1 == await asyncio.wait_for(errand(lambda: 1), BOUND)
    assert not stage.begun.is_set()


async def test_called_off_as_its_thread_begins() -> None:
    """Whoever was cancelled a moment before the thread looks is not worked for."""
    stage = Stage()
    made = Errand(stage)
    made.called_off = True

    with pytest.raises(RuntimeError, match="nobody waits"):
        await made.run()
    assert not stage.begun.is_set()


async def test_its_last_step_is_not_waited_for() -> None:
    """What is left to do after the call owns nothing of the task's."""
    taken, go = threading.Event(), threading.Event()

    def step() -> None:
        taken.set()
        assert go.wait(BOUND)

    def call(_: Errand[str]) -> Joint[str]:
        return Joint(key="k", step=step, failed=lambda error: error, result="done")

    task = asyncio.create_task(Errand(call).run())
    assert await asyncio.to_thread(taken.wait, BOUND)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 0.5)
    go.set()

    assert 1 == await asyncio.wait_for(errand(lambda: 1), BOUND)


def test_loop_that_ends_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call that outlives its loop has nobody to tell, and does not mind."""
    monkeypatch.setattr(threads, "GRACE", 0.05)
    stage = Stage()
    raised: list[object] = []
    monkeypatch.setattr(threading, "excepthook", raised.append)

    async def main() -> None:
        task = asyncio.create_task(Errand(stage).run())
        await until_begun(stage)
        task.cancel()
        await asyncio.wait({task})

    asyncio.run(main())
    stage.go.set()
    for thread in threading.enumerate():
        if thread.name == errands.NAME:
            thread.join(BOUND)

    assert [] == raised
    assert stage.ended
