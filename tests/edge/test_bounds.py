"""Timeouts that share a timer: each rings when it is due, and none that was dropped."""

from __future__ import annotations

import asyncio
import time

import pytest

from asyncdl.edge import waits
from asyncdl.edge.waits import Bound, Row

BOUND = 5.0

pytestmark = pytest.mark.usefixtures("no_leaks")


async def waited(bound: Bound) -> float:
    """Seconds until it ended a wait."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    with pytest.raises(TimeoutError):
        async with bound.timeout:
            await asyncio.Event().wait()
    assert bound.timeout.expired()
    return loop.time() - began


def timers(row: Row) -> int:
    """Timers of the loop that a row has."""
    return sum(getattr(handle, "_callback", None) == row._ring for handle in scheduled())


def scheduled() -> list[asyncio.TimerHandle]:
    """What the loop will call later."""
    handles: list[asyncio.TimerHandle] = asyncio.get_running_loop()._scheduled  # type: ignore[attr-defined]
    return [handle for handle in handles if not handle.cancelled()]


async def test_each_in_its_time() -> None:
    """One after another, as they came, and with one timer for all."""
    row = Row(0.2)
    tasks = []
    for _ in range(4):
        tasks.append(asyncio.create_task(waited(Bound(row))))
        await asyncio.sleep(0.03)
    with_one = timers(row)
    took = await asyncio.wait_for(asyncio.gather(*tasks), BOUND)

    assert 1 == with_one
    assert 0 == timers(row)
    assert all(seconds >= 0.19 for seconds in took)


async def test_dropped() -> None:
    """One that was cancelled never rings, and does not keep the others from it."""
    row = Row(0.05)
    gone, there = Bound(row), Bound(row)
    gone.cancel()
    async with gone.timeout:
        await asyncio.wait_for(waited(there), BOUND)

    assert not gone.timeout.expired()


async def test_moved() -> None:
    """Into a row with more time it rings later, into one with less time sooner."""
    short, long = Row(0.05), Row(BOUND)
    later, sooner = Bound(short), Bound(long)
    later.move(long)
    sooner.move(short)
    async with later.timeout:
        assert await asyncio.wait_for(waited(sooner), BOUND) < 1.0

    assert not later.timeout.expired()
    later.cancel()
    for row in (short, long):
        row.close()


async def test_second_chance() -> None:
    """What arrived while the loop was blocked is looked at before the server is blamed."""
    row = Row(0.05)
    bound = Bound(row)
    loop = asyncio.get_running_loop()
    arrived = loop.create_future()
    async with bound.timeout:
        loop.call_later(0.06, arrived.set_result, None)
        time.sleep(0.05 + waits._LATE * 2)  # a loop that is blocked is what this is about
        await arrived

    assert not bound.timeout.expired()
    bound.cancel()
    row.close()


async def test_no_third_chance() -> None:
    """It rings all the same where nothing comes."""
    row = Row(0.02)
    bound = Bound(row)
    time.sleep(0.02 + waits._LATE * 2)  # a loop that is blocked is what this is about

    assert await asyncio.wait_for(waited(bound), BOUND) < 1.5


async def test_closed() -> None:
    """Nothing rings any more, and nothing is left in the loop."""
    row = Row(0.02)
    bound = Bound(row)
    row.close()
    async with bound.timeout:
        await asyncio.sleep(0.06)

    assert not bound.timeout.expired()
    assert 0 == timers(row)


async def test_cancelled_in_its_second_chance() -> None:
    """A bound that was late once, and has been cancelled since, does not ring."""
    row = Row(0.01)
    bound = Bound(row)
    time.sleep(0.01 + waits._LATE * 2)  # a loop that is blocked is what this is about
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    bound.cancel()
    async with bound.timeout:
        await asyncio.sleep(0.4)

    assert not bound.timeout.expired()
