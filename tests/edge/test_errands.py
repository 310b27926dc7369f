"""Short blocking calls: one thread while they are short, others where one is not, and no outcome lost."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from asyncdl.edge import errands
from asyncdl.edge.errands import Joint, errand, long_errand
from tests.support.bodies import until

BOUND = 60.0

pytestmark = pytest.mark.usefixtures("no_leaks")


class Stuck:
    """A call that ends when it is told to."""

    def __init__(self) -> None:
        self.begun, self.go, self.ended = threading.Event(), threading.Event(), threading.Event()

    def __call__(self) -> str:
        self.begun.set()
        self.go.wait(BOUND)
        self.ended.set()
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


@pytest.mark.parametrize("begin", [errand, long_errand])
async def test_stop_iteration(begin: Callable[[Callable[[], str]], asyncio.Future[str]]) -> None:
    """What no future takes reaches whoever waits all the same, and keeps nothing from the others."""

    def stop() -> str:
        raise StopIteration("no more")

    stopped, other = begin(stop), begin(lambda: "other")

    with pytest.raises(RuntimeError, match="StopIteration") as raised:
        await asyncio.wait_for(stopped, BOUND)
    assert isinstance(raised.value.__cause__, StopIteration)
    assert "other" == await asyncio.wait_for(other, BOUND)


@pytest.mark.parametrize("begin", [errand, long_errand])
@pytest.mark.timeout(20)
async def test_call_of_a_finalizer(
    monkeypatch: pytest.MonkeyPatch, begin: Callable[[Callable[[], str]], asyncio.Future[str]]
) -> None:
    """The collector may run while a thread is begun, and with it the cleanup of a task that a closed loop left."""
    real, nested = threading.Thread.start, list[asyncio.Future[str]]()

    class Left:
        def __init__(self) -> None:
            self.itself = self

        def __del__(self) -> None:
            nested.append(begin(lambda: "nested"))

    def start(self: threading.Thread) -> None:
        gc.collect()
        real(self)

    monkeypatch.setattr(threading.Thread, "start", start)
    Left()
    outcome = begin(lambda: "outer")

    assert "outer" == await asyncio.wait_for(outcome, BOUND)
    assert ["nested"] == [await asyncio.wait_for(one, BOUND) for one in nested]


async def test_one_thread_for_short_calls() -> None:
    """Calls that are made in one turn of the loop are done by one thread."""
    names = await asyncio.gather(*(errand(lambda: threading.current_thread().name) for _ in range(50)))

    assert 1 == len(set(names))


async def test_the_thread_waits_for_the_next_call() -> None:
    """Calls that follow each other are done by one thread, which costs less than a new turn of the pool."""
    names = [await errand(threading.get_ident) for _ in range(50)]

    assert len(set(names)) < len(names)


class Steps:
    """Last steps, and what had been done when each was taken."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.taken: list[tuple[str, list[str]]] = []

    def joint(self, name: str, key: str, fault: OSError | None = None) -> str | Joint[str]:
        self.done.append(name)

        def step() -> None:
            self.taken.append((key, list(self.done)))
            if fault is not None:
                raise fault

        return Joint(key=key, step=step, failed=lambda error: ValueError(f"{name}: {error.strerror}"), result=name)


async def test_last_steps_are_taken_together() -> None:
    """Calls that wait together share the step of each key, which is taken when all of theirs has been done."""
    steps, names = Steps(), [f"{number}" for number in range(40)]
    results = await asyncio.gather(
        *(errand(lambda name=name: steps.joint(name, "odd" if int(name) % 2 else "even")) for name in names)  # type: ignore[misc]
    )

    assert names == results
    assert len(steps.taken) < len(names)
    for name in names:
        key = "odd" if int(name) % 2 else "even"
        assert any(key == taken and name in done for taken, done in steps.taken)


async def test_last_step_that_fails() -> None:
    """Everyone who shares it fails, in words of his own, and nobody else does."""
    steps, fault = Steps(), OSError(5, "no")
    calls = [("a", "bad", fault), ("b", "good", None), ("c", "bad", fault)]
    outcomes = await asyncio.gather(
        *(errand(lambda call=call: steps.joint(*call)) for call in calls),  # type: ignore[misc]
        return_exceptions=True,
    )

    assert ["a: no", "b", "c: no"] == [str(outcome) for outcome in outcomes]


async def test_last_step_does_not_wait_for_a_call_that_takes_long() -> None:
    """What has been done is told although another call is stuck."""
    steps, stuck = Steps(), Stuck()
    first = errand(lambda: steps.joint("first", "key"))
    last = errand(stuck)

    assert "first" == await asyncio.wait_for(first, BOUND)
    stuck.go.set()
    assert "stuck" == await last


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


def test_loop_that_ends_before_a_call() -> None:
    """A disk that hangs does not keep the loop of whoever gave up on it from ending; the call harms nobody later."""
    stuck = Stuck()

    async def leave() -> None:
        outcome = errand(stuck)
        await begun(stuck)
        outcome.cancel()

    asyncio.run(leave())
    ended = stuck.ended.is_set()
    stuck.go.set()

    assert not ended
    assert stuck.ended.wait(BOUND)


def test_loop_is_let_go() -> None:
    """What is kept for a loop ends with it, also where a call was still waiting for its turn."""
    loops: list[weakref.ref[asyncio.AbstractEventLoop]] = []

    async def use() -> None:
        loops.append(weakref.ref(asyncio.get_running_loop()))
        assert [1, 2, 3] == await asyncio.gather(*(errand(lambda number=n: number) for n in (1, 2, 3)))  # type: ignore[misc]

    for _ in range(3):
        asyncio.run(use())
    gc.collect()

    assert [None, None, None] == [loop() for loop in loops]


@pytest.mark.parametrize("begin", [errand, long_errand])
def test_loop_is_let_go_before_it_is_told(
    monkeypatch: pytest.MonkeyPatch, begin: Callable[[Callable[[], str]], asyncio.Future[str]]
) -> None:
    """The same where a call ends after the last turn of its loop, which is closed then."""
    monkeypatch.setattr(errands, "_IDLE", 0.5)  # it is closed well before
    threads = set(threading.enumerate())

    def use() -> weakref.ref[asyncio.AbstractEventLoop]:
        stuck, told, loop = Stuck(), threading.Event(), asyncio.new_event_loop()
        soon = loop.call_soon_threadsafe

        async def leave() -> None:
            outcome = begin(stuck)
            await begun(stuck)
            await loop.shutdown_default_executor()
            assert not outcome.done()

        def tell(*arguments: Any) -> None:
            soon(*arguments)
            told.set()

        loop.run_until_complete(leave())
        with monkeypatch.context() as patch:
            patch.setattr(loop, "call_soon_threadsafe", tell)
            stuck.go.set()
            assert told.wait(BOUND)
        loop.close()
        return weakref.ref(loop)

    kept = use()
    for thread in set(threading.enumerate()) - threads:
        thread.join(BOUND)
    gc.collect()

    assert kept() is None


async def test_threads_are_few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where every call hangs, more and more help is not sent for; those that waited get their turn all the same."""
    monkeypatch.setattr(errands, "_PATIENCE", 0.0)
    stuck = [Stuck() for _ in range(40)]
    outcomes = [errand(one) for one in stuck]
    loop = asyncio.get_running_loop()
    asked: list[object] = []
    later = loop.call_later

    def note(*arguments: Any) -> asyncio.TimerHandle:
        asked.append(arguments)
        return later(*arguments)

    monkeypatch.setattr(loop, "call_later", note)
    for _ in range(200):
        await asyncio.sleep(0)
    await begun(stuck[1])
    asked.clear()
    for _ in range(50):
        await asyncio.sleep(0)
    still_asked = len(asked)
    several = sum(one.begun.is_set() for one in stuck)
    for one in stuck:
        one.go.set()

    assert 0 == still_asked
    assert 1 < several < len(stuck)
    assert ["stuck"] * len(stuck) == await asyncio.wait_for(asyncio.gather(*outcomes), BOUND)


async def test_no_thread_to_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call that could not be begun is not done later, when everybody has been told that it failed."""
    done: list[str] = []

    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError, match="can't start"):
            await errand(lambda: done.append("first"))
    await errand(lambda: done.append("second"))

    assert ["second"] == done


async def test_no_further_thread_to_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever is at work does what waits, if nobody can help."""
    stuck = Stuck()
    first = errand(stuck)
    await begun(stuck)

    def refuse(self: threading.Thread) -> None:
        refused.set()
        raise RuntimeError("can't start new thread")

    refused = asyncio.Event()
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        second = errand(lambda: "second")
        await asyncio.wait_for(refused.wait(), BOUND)
        stuck.go.set()

        assert "second" == await asyncio.wait_for(second, BOUND)
    assert "stuck" == await first


async def test_thread_that_waits_is_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls one after another are done by one thread, which keeps nothing of them meanwhile."""
    monkeypatch.setattr(errands, "_IDLE", BOUND)

    class Outcome:
        pass

    def work() -> tuple[threading.Thread, Outcome]:
        return threading.current_thread(), Outcome()

    first, kept = await errand(work)
    kept_by_nobody = weakref.ref(kept)
    del kept
    await until(lambda: len(errands._of_loops[asyncio.get_running_loop()]._bells) == 1)
    await until(lambda: kept_by_nobody() is None)
    second, _ = await errand(work)

    assert first is second


async def test_threads_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread with nothing to do goes; the next call has another."""
    monkeypatch.setattr(errands, "_IDLE", 0.0)
    thread = await errand(threading.current_thread)
    await asyncio.to_thread(thread.join, BOUND)

    assert not thread.is_alive()
    assert 1 == await asyncio.wait_for(errand(lambda: 1), BOUND)
