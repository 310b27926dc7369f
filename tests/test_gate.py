"""The gate of all requests: no more than the server bears, a pause where it asks for one, and nobody is forgotten."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncdl.gate import Gate
from asyncdl.options import Retry
from asyncdl.slots import Kind
from tests.support.clock import ManualClock
from tests.support.job import turns


def make_gate(most: int, clock: ManualClock, **retry: float) -> Gate:
    """A gate whose pauses are no longer than the server asks for, unless `retry` says otherwise."""
    return Gate(most, clock, Retry(**({"base": 0.0} | retry)))  # type: ignore[arg-type]


@dataclass(eq=False)
class Crowd:
    """Requests of many fetchers at one gate; each is in flight until the test ends it.

    Attributes:
        running: the ends of those in flight, in the order they came in.
        most: in flight at once.
    """

    gate: Gate
    running: list[asyncio.Future[float | None]] = field(default_factory=list)
    tasks: list[asyncio.Task[None]] = field(default_factory=list)
    most: int = 0

    def arrive(self, number: int = 1) -> None:
        self.tasks += [asyncio.create_task(self._request()) for _ in range(number)]

    async def _request(self) -> None:
        end: asyncio.Future[float | None] = asyncio.get_running_loop().create_future()
        async with self.gate.turn() as turn:
            self.running.append(end)
            assert len(self.running) <= self.gate.limit
            self.most = max(self.most, len(self.running))
            try:
                wait = await end
            finally:
                self.running.remove(end)
        if wait is None:
            self.gate.succeeded()
        else:
            turn.throttled(wait)

    def end(self, index: int = 0, *, throttled: float | None = None) -> None:
        """One of those in flight is served, or told to come back after `throttled` seconds."""
        unended = [future for future in self.running if not future.done()]
        if unended:
            unended[index % len(unended)].set_result(throttled)

    def cancel(self, index: int) -> None:
        if self.tasks:
            self.tasks[index % len(self.tasks)].cancel()

    @property
    def waiting(self) -> int:
        """Those that have neither begun nor ended."""
        return sum(not task.done() for task in self.tasks) - len(self.running)

    async def done(self) -> list[BaseException]:
        """Serve everyone; what went wrong."""
        for _ in range(len(self.tasks)):
            if all(task.done() for task in self.tasks):
                break
            await turns()
            for future in self.running:
                if not future.done():
                    future.set_result(None)
        await turns()
        assert all(task.done() for task in self.tasks)
        faults = [task.exception() for task in self.tasks if not task.cancelled()]
        return [fault for fault in faults if fault is not None]


@pytest.fixture
def clock() -> ManualClock:
    """Stands still until it is moved."""
    return ManualClock(parks=True)


class TestRoom:
    async def test_as_many_as_allowed(self, clock: ManualClock) -> None:
        """The others come in one by one as others leave."""
        crowd = Crowd(make_gate(3, clock))
        crowd.arrive(5)
        await turns()

        assert (3, 2) == (len(crowd.running), crowd.waiting)
        crowd.end()
        await turns()
        assert (3, 1) == (len(crowd.running), crowd.waiting)
        assert [] == await crowd.done()
        assert 3 == crowd.most

    async def test_first_come_first_served(self, clock: ManualClock) -> None:
        """Who waits longest comes in first."""
        gate, order = make_gate(1, clock), []

        async def request(number: int) -> None:
            async with gate.turn():
                order.append(number)
                await asyncio.sleep(0)

        await asyncio.gather(*map(request, range(6)))

        assert list(range(6)) == order

    async def test_whoever_comes_back_is_last(self, clock: ManualClock) -> None:
        """A fetcher that ends one request and begins the next in one breath does not keep the others out."""
        gate, order = make_gate(1, clock), []

        async def fetcher(name: str) -> None:
            for _ in range(3):
                async with gate.turn():
                    order.append(name)
                    await asyncio.sleep(0)

        await asyncio.gather(*map(fetcher, "abc"))

        assert "abcabcabc" == "".join(order)

    async def test_halved_for_those_who_wait(self, clock: ManualClock) -> None:
        """After an overload those in flight may end, and no more than half come in."""
        crowd = Crowd(make_gate(8, clock))
        crowd.arrive(20)
        await turns()
        for _ in range(8):
            crowd.end(throttled=0.0)
        await turns()

        assert 4 == crowd.gate.limit == len(crowd.running)
        assert [] == await crowd.done()

    async def test_grows_back_and_lets_more_in(self, clock: ManualClock) -> None:
        """Each request that is served makes a little room, up to all."""
        crowd = Crowd(make_gate(4, clock))
        crowd.arrive(40)
        await turns()
        for _ in range(3):
            crowd.end(throttled=0.0)
            await turns()
        seen = [crowd.gate.limit]
        while crowd.waiting:
            crowd.end()
            await turns()
            seen.append(crowd.gate.limit)
            assert len(crowd.running) == min(crowd.gate.limit, len(crowd.running) + crowd.waiting)

        assert sorted(seen) == seen
        assert (1, 4) == (min(seen[0], 1), seen[-1])
        assert [] == await crowd.done()

    async def test_room_is_given_back_by_a_fault(self, clock: ManualClock) -> None:
        """However a request ends, the next one comes in."""
        gate = make_gate(1, clock)
        with pytest.raises(RuntimeError):
            async with gate.turn():
                raise RuntimeError

        async with asyncio.timeout(60), gate.turn():
            assert not gate.passes()

        assert gate.passes()


class TestPause:
    async def test_for_all(self, clock: ManualClock) -> None:
        """One answer with Retry-After holds back who waits and who comes, exactly so long."""
        crowd = Crowd(make_gate(4, clock))
        crowd.arrive(2)
        await turns()
        crowd.end(throttled=7.0)
        await turns()
        crowd.arrive(3)
        await turns()
        clock.advance(6.9)
        await turns()

        assert (1, 3) == (len(crowd.running), crowd.waiting)
        clock.advance(0.1)
        await turns()
        assert (2, 2) == (len(crowd.running), crowd.waiting)
        assert [] == await crowd.done()

    @pytest.mark.parametrize(("first", "second", "until"), [(7.0, 3.0, 7.0), (3.0, 7.0, 7.0), (2.0, 0.0, 2.0)])
    async def test_the_longer_of_two(self, clock: ManualClock, first: float, second: float, until: float) -> None:
        """A shorter wait does not shorten a longer one."""
        crowd = Crowd(make_gate(8, clock))
        crowd.arrive(2)
        await turns()
        crowd.end(throttled=first)
        crowd.end(throttled=second)
        await turns()
        crowd.arrive(1)
        await turns()
        clock.advance(until - 0.01)
        await turns()

        assert [] == crowd.running
        clock.advance(0.01)
        await turns()
        assert 1 == len(crowd.running)
        assert [] == await crowd.done()

    async def test_prolonged_while_waiting(self, clock: ManualClock) -> None:
        """A request that was in flight says once more that it is too early."""
        crowd = Crowd(make_gate(4, clock))
        crowd.arrive(2)
        await turns()
        crowd.end(throttled=5.0)
        await turns()
        crowd.arrive(1)
        await turns()
        clock.advance(4)
        crowd.end(throttled=5.0)
        await turns()
        clock.advance(1)
        await turns()

        assert [] == crowd.running
        clock.advance(4)
        await turns()
        assert 1 == len(crowd.running)
        assert [] == await crowd.done()

    async def test_no_more_than_the_limit_after_it(self, clock: ManualClock) -> None:
        """The end of the pause is no stampede."""
        crowd = Crowd(make_gate(16, clock))
        crowd.arrive(16)
        await turns()
        crowd.end(throttled=1.0)
        for _ in range(15):
            crowd.end()
        await turns()
        crowd.arrive(30)
        await turns()
        assert [] == crowd.running
        clock.advance(1.0)
        await turns()

        assert crowd.gate.limit == len(crowd.running) < 16
        assert [] == await crowd.done()

    async def test_never_longer_than_the_cap(self, clock: ManualClock) -> None:
        """Whatever a server asks for."""
        crowd = Crowd(make_gate(4, clock, retry_after_cap=9.0))
        crowd.arrive(1)
        await turns()
        crowd.end(throttled=1e9)
        await turns()
        assert not crowd.gate.passes()
        clock.advance(9.0)

        assert crowd.gate.passes()

    async def test_one_at_a_time_and_still_too_many(self, clock: ManualClock) -> None:
        """Where there are no fewer to be had, all wait, twice as long each time, until one is served."""
        crowd = Crowd(make_gate(2, clock, base=0.5, cap=3.0))
        crowd.arrive(12)
        pauses = []
        for throttled in (True, True, True, True, True, False, True, True):
            await turns()
            crowd.end(throttled=0.0 if throttled else None)
            await turns()
            began = clock.monotonic()
            while not crowd.running:
                clock.advance(0.25)
                await turns()
            pauses.append(clock.monotonic() - began)

        # The first refusal is answered by halving.
        assert [0, 0.5, 1.0, 2.0, 3.0, 0, 0.5, 1.0] == pauses
        clock.advance(10)
        assert [] == await crowd.done()


class TestPasses:
    async def test_when_there_is_room(self, clock: ManualClock) -> None:
        """Free places count, also those that are about to be freed; those others wait for do not."""
        crowd = Crowd(make_gate(2, clock))
        crowd.arrive(1)
        await turns()
        assert crowd.gate.passes()
        crowd.arrive(1)
        await turns()
        assert (False, True) == (crowd.gate.passes(), crowd.gate.passes(freed=1))
        crowd.arrive(1)
        await turns()
        assert (False, False) == (crowd.gate.passes(), crowd.gate.passes(freed=1))
        assert [] == await crowd.done()

    async def test_never_during_a_pause(self, clock: ManualClock) -> None:
        """What would only wait does not pass."""
        crowd = Crowd(make_gate(2, clock))
        crowd.arrive(1)
        await turns()
        crowd.end(throttled=3.0)
        await turns()

        assert not crowd.gate.passes(freed=1)
        clock.advance(3.0)
        assert crowd.gate.passes()


class TestCancellation:
    async def test_just_after_it_was_called(self, clock: ManualClock) -> None:
        """The call passes to the next in line."""
        crowd = Crowd(make_gate(1, clock))
        crowd.arrive(3)
        await turns()
        crowd.end()
        await asyncio.sleep(0)
        assert [] == crowd.running  # the first has left; the second has been called, and has not come yet
        crowd.tasks[1].cancel()
        await turns()

        assert 1 == len(crowd.running)
        assert (True, False) == (crowd.tasks[1].cancelled(), crowd.tasks[2].done())
        assert [] == await crowd.done()

    async def test_just_before_it_is_called(self, clock: ManualClock) -> None:
        """Cancelled and called in the same turn of the loop: it ends as cancelled, and the next one is called."""
        crowd = Crowd(make_gate(1, clock))
        crowd.arrive(3)
        await turns()
        crowd.tasks[0].cancel()
        crowd.tasks[1].cancel()
        await turns()

        assert [True, True, False] == [task.cancelled() for task in crowd.tasks]
        assert 1 == len(crowd.running)
        assert [] == await crowd.done()

    async def test_during_a_pause(self, clock: ManualClock) -> None:
        """Who was called and waits for the end of a pause leaves its place to the next."""
        crowd = Crowd(make_gate(1, clock))
        crowd.arrive(3)
        await turns()
        crowd.end(throttled=5.0)
        await turns()
        crowd.tasks[1].cancel()
        await turns()
        clock.advance(5.0)
        await turns()

        assert 1 == len(crowd.running)
        assert [] == await crowd.done()

    async def test_in_flight(self, clock: ManualClock) -> None:
        """Its place is free."""
        crowd = Crowd(make_gate(1, clock))
        crowd.arrive(2)
        await turns()
        crowd.tasks[0].cancel()
        await turns()

        assert 1 == len(crowd.running)
        assert [] == await crowd.done()

    @pytest.mark.parametrize("backwards", [False, True])
    async def test_of_all(self, clock: ManualClock, backwards: bool) -> None:
        """Everyone ends as cancelled, whatever the order, and the gate is as new."""
        crowd = Crowd(make_gate(3, clock))
        crowd.arrive(12)
        await turns()
        for task in crowd.tasks[::-1] if backwards else crowd.tasks:
            task.cancel()
        await asyncio.wait(crowd.tasks)

        assert [True] * 12 == [task.cancelled() for task in crowd.tasks]
        crowd.tasks.clear()
        crowd.arrive(3)
        await turns()
        assert 3 == len(crowd.running)
        assert [] == await crowd.done()


NUMBER = st.integers(0, 30)
ACTIONS = st.one_of(
    st.tuples(st.just("arrive"), st.integers(1, 5)),
    st.tuples(st.just("end"), NUMBER),
    st.tuples(st.just("throttle"), st.sampled_from([0, 0, 1, 5])),
    st.tuples(st.just("cancel"), NUMBER),
    st.tuples(st.just("advance"), st.integers(1, 6)),
    st.tuples(st.just("turns"), st.integers(1, 4)),
)


@given(most=st.integers(1, 6), actions=st.lists(ACTIONS, max_size=60))
def test_nobody_waits_while_there_is_room(most: int, actions: list[tuple[str, int]]) -> None:
    """Whatever happens in one turn of the loop or in several: never too many, never one too few, nobody forgotten."""

    async def scenario() -> None:
        clock = ManualClock(parks=True)
        crowd = Crowd(make_gate(most, clock))
        do: dict[str, Callable[[int], None]] = {
            "arrive": crowd.arrive,
            "end": crowd.end,
            "throttle": lambda wait: crowd.end(wait, throttled=float(wait)),
            "cancel": crowd.cancel,
            "advance": clock.advance,
        }
        for name, number in actions:
            if name == "turns":
                await turns(number)
            else:
                do[name](number)
            assert 1 <= crowd.gate.limit <= most
        await turns()
        clock.advance(100)
        await turns()

        assert 0 == crowd.waiting or len(crowd.running) >= crowd.gate.limit
        assert [] == await crowd.done()
        assert 0 == clock.sleepers
        assert crowd.gate.passes()

    asyncio.run(scenario())


async def test_parts_leave_some_to_first_requests() -> None:
    """Parts, however many wait, leave alone what is kept for first requests; of a lower limit it is less."""
    gate = Gate(8, ManualClock(), Retry(base=0.0), kept=2)
    going: list[Kind] = []

    async def go(kind: Kind) -> None:
        async with gate.turn(kind):
            going.append(kind)
            await asyncio.Event().wait()

    tasks = [asyncio.create_task(go(Kind.PART)) for _ in range(20)]
    await turns()
    assert [Kind.PART] * 6 == going
    tasks += [asyncio.create_task(go(Kind.FIRST)) for _ in range(3)]
    await turns()
    assert [Kind.FIRST] * 2 == going[6:]
    tasks[0].cancel()  # six parts become five
    await turns()
    assert [Kind.FIRST] == going[8:]
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    assert [True] * 23 == [task.cancelled() for task in tasks]
    assert gate.passes()


async def test_both_kinds_pass_where_one_may() -> None:
    """While one request at a time may go, both kinds have their turn."""
    gate, going = Gate(1, ManualClock(), Retry(base=0.0), kept=0), list[Kind]()

    async def go(kind: Kind) -> None:
        async with gate.turn(kind):
            going.append(kind)
            await asyncio.sleep(0)

    kinds = (Kind.FIRST, Kind.FIRST, Kind.FIRST, Kind.FIRST, Kind.PART, Kind.PART)
    await asyncio.gather(*(go(kind) for kind in kinds))
    assert {Kind.FIRST: 2, Kind.PART: 2} == Counter(going[:4])
