"""Work that shares a task and can be ended without it."""

from __future__ import annotations

import asyncio

import pytest

from asyncdl.edge.waits import Scope

BOUND = 60.0


async def test_ended_by_another() -> None:
    """The work ends, the task goes on, and nobody cancelled it."""
    scope, begun, ended = Scope(), asyncio.Event(), []

    async def work() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("work")

    async def both() -> int:
        await scope.run(work())
        task = asyncio.current_task()
        assert task is not None
        return task.cancelling()

    task = asyncio.create_task(both())
    await begun.wait()
    scope.cancel()

    assert 0 == await asyncio.wait_for(task, BOUND)
    assert ["work"] == ended


async def test_does_not_end_itself() -> None:
    """Who works in it may let all others end, and goes on."""
    scope, ended = Scope(), []

    async def work() -> None:
        scope.cancel()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        ended.append("well")

    await scope.run(work())

    assert ["well"] == ended


async def test_before_and_after() -> None:
    """To end what has not begun, or has ended, does nothing."""
    scope, done = Scope(), []

    async def work() -> None:
        await asyncio.sleep(0)
        done.append(1)

    scope.cancel()
    await scope.run(work())
    scope.cancel()

    assert [1] == done


async def test_task_that_is_cancelled() -> None:
    """That is for the task, also where the work is ended in the same moment."""
    scope, begun = Scope(), asyncio.Event()

    async def work() -> None:
        begun.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(scope.run(work()))
    await begun.wait()
    task.cancel()
    scope.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task


async def test_timeout_of_the_work() -> None:
    """A timeout that the work raises is its own."""

    async def work() -> None:
        raise TimeoutError("mine")

    with pytest.raises(TimeoutError, match="mine"):
        await Scope().run(work())
