"""Short blocking calls: one thread while they are short, others where one is not, and no outcome lost."""

from __future__ import annotations

import asyncio
import threading

import pytest

from asyncdl.edge.errands import errand

BOUND = 5.0

pytestmark = pytest.mark.usefixtures("no_leaks")


class Stuck:
    """A call that ends when it is told to."""

    def __init__(self) -> None:
        self.begun, self.go = threading.Event(), threading.Event()

    def __call__(self) -> str:
        self.begun.set()
        self.go.wait(BOUND)
        return "stuck"


async def begun(stuck: Stuck) -> None:
    assert await asyncio.to_thread(stuck.begun.wait, BOUND)


async def test_outcomes() -> None:
    """Each gets its own, in whatever order they come; an error is one."""

    def fail() -> None:
        raise OSError(5, "no")

    several = [errand(lambda number=number: number) for number in range(100)]  # type: ignore[misc]
    failed = errand(fail)

    assert list(range(100)) == await asyncio.gather(*several)
    with pytest.raises(OSError, match="no"):
        await failed


async def test_one_thread_for_short_calls() -> None:
    """Calls that are made in one turn of the loop are done by one thread."""
    names = await asyncio.gather(*(errand(lambda: threading.current_thread().name) for _ in range(50)))

    assert 1 == len(set(names))


async def test_another_helps() -> None:
    """A call that takes long keeps the others waiting for a moment only."""
    slow = [Stuck(), Stuck()]
    waiting = [errand(one) for one in slow]
    for one in slow:
        await begun(one)
    quick = await asyncio.wait_for(errand(lambda: "quick"), BOUND)
    for one in slow:
        one.go.set()

    assert "quick" == quick
    assert ["stuck", "stuck"] == await asyncio.gather(*waiting)


async def test_cancelled_before_it_began() -> None:
    """What nobody waits for any more is not begun."""
    done: list[str] = []
    stuck = Stuck()
    first = errand(stuck)
    await begun(stuck)
    second = errand(lambda: done.append("second"))
    second.cancel()
    stuck.go.set()
    await first
    await errand(lambda: done.append("third"))

    assert ["third"] == done


async def test_cancelled_after_it_began() -> None:
    """A call goes on, and its outcome is nobody's."""
    stuck = Stuck()
    outcome = errand(stuck)
    await begun(stuck)
    outcome.cancel()
    stuck.go.set()

    assert 1 == await asyncio.wait_for(errand(lambda: 1), BOUND)
    with pytest.raises(asyncio.CancelledError):
        await outcome


def test_loop_that_ends() -> None:
    """A call that outlives its loop harms nobody; the next loop has threads of its own."""
    stuck = Stuck()

    async def leave() -> None:
        outcome = errand(stuck)
        await begun(stuck)
        outcome.cancel()
        stuck.go.set()

    asyncio.run(leave())

    async def again() -> int:
        return await errand(lambda: 2)

    assert 2 == asyncio.run(again())
