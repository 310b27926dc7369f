"""Work in two parts, each awaited in a place of its own: nothing of it is lost between them."""

from __future__ import annotations

import asyncio
import gc
import weakref

import pytest

from asyncdl.edge.handover import Handover

BOUND = 5.0

pytestmark = pytest.mark.usefixtures("no_leaks")


async def test_all_in_the_first_part() -> None:
    """Work that does not call for a second part ends in the first one, whatever it waits for."""
    done: list[str] = []

    async def work() -> None:
        await asyncio.sleep(0)
        await asyncio.wait_for(asyncio.sleep(0, "x"), BOUND)
        done.append("all")

    assert await Handover(work()).begin()
    assert ["all"] == done


async def test_goes_on_elsewhere() -> None:
    """At its next wait the first part is over; the second begins with that very wait, in the same task."""
    steps: list[tuple[str, asyncio.Task[None] | None]] = []
    awaited: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def work() -> None:
        await asyncio.sleep(0)
        handover.call()
        steps.append(("still the first", asyncio.current_task()))
        steps.append((await awaited, asyncio.current_task()))
        await asyncio.sleep(0)
        steps.append(("the last", asyncio.current_task()))

    handover = Handover(work())
    ended = await handover.begin()
    steps.append(("between", asyncio.current_task()))
    awaited.set_result("what was awaited")  # before anybody waits for it again
    await handover.rest()

    assert not ended
    here = asyncio.current_task()
    words = ["still the first", "between", "what was awaited", "the last"]
    assert [(word, here) for word in words] == steps


async def test_called_without_a_further_wait() -> None:
    """There is no second part where nothing is waited for any more."""

    async def work() -> None:
        handover.call()

    handover = Handover(work())

    assert await handover.begin()


@pytest.mark.parametrize("part", ["first", "second"])
async def test_cancelled(part: str) -> None:
    """A cancellation reaches the work where it waits, and what it makes of it comes out."""
    waits = asyncio.Event()

    async def work() -> None:
        if part == "second":
            handover.call()
        try:
            waits.set()
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise LookupError("made of it") from None

    async def both() -> bool:
        ended = await handover.begin()
        await handover.rest()
        return ended

    handover = Handover(work())
    task = asyncio.create_task(both())
    await waits.wait()
    await asyncio.sleep(0)
    task.cancel()

    with pytest.raises(LookupError, match="made of it"):
        await asyncio.wait_for(task, BOUND)


async def test_cancellation_that_is_outlived() -> None:
    """Work that goes on after one goes on."""

    async def work() -> str | None:
        with pytest.raises(asyncio.CancelledError):
            await asyncio.Event().wait()
        await asyncio.sleep(0)
        return None

    task = asyncio.create_task(_first(Handover(work())))  # type: ignore[arg-type]  # what it returns is of no interest
    await asyncio.sleep(0)
    task.cancel()

    assert await asyncio.wait_for(task, BOUND)


async def test_error_keeps_nothing_alive() -> None:
    """An error leads to the frames that it came through, and none of these back to it."""

    async def seen() -> weakref.ref[BaseException] | None:
        try:
            await Handover(asyncio.sleep(BOUND)).begin()
        except asyncio.CancelledError as error:
            return weakref.ref(error)
        return None

    task = asyncio.create_task(seen())
    await asyncio.sleep(0)
    task.cancel()
    gc.collect()
    gc.disable()
    try:
        gone = await asyncio.wait_for(task, BOUND)
        assert gone is not None
        assert gone() is None
    finally:
        gc.enable()


async def _first(handover: Handover) -> bool:
    return await handover.begin()
