"""Who fetches what: every byte is brought by one claim, help goes where it is needed, and the idle ones go home."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncdl import scheduler as module
from asyncdl.gate import Gate
from asyncdl.model import Chunk, Part
from asyncdl.options import GIB, KIB, MIB, Retry
from asyncdl.rules.parts import Claim, Coverage, Planner
from asyncdl.scheduler import Scheduler, Transfer
from asyncdl.watch import Watch
from tests.support.clock import ManualClock
from tests.support.job import turns


@dataclass(eq=False)
class Watched:
    """Stands in for a `Watch`: how a body gets on, and when it is looked at, is what the test says."""

    received: int = 0
    age: float = 0.0
    rate: float | None = None
    held_up: bool = False
    interrupts: int = 0
    looked: Callable[[], object] = bool
    keeper: SimpleNamespace = field(init=False)

    def __post_init__(self) -> None:
        self.keeper = SimpleNamespace(rate=self.rate, held_up=self.held_up)

    def interrupt(self) -> None:
        self.interrupts += 1


def make_scheduler(size: int | None = None, part_size: int = MIB, *, usual: float = MIB) -> Scheduler:
    """A scheduler over an object of `size` bytes whose connections usually bring `usual` bytes per second."""
    gate = Gate(16, ManualClock(), Retry())
    scheduler = Scheduler(gate)
    if size is not None:
        scheduler.planner = Planner([Part(0, size)], part_size)
    if usual:
        with receiving(scheduler, Claim(0, 0), received=int(100 * usual), age=100.0):
            pass
    return scheduler


@contextmanager
def receiving(
    scheduler: Scheduler, claim: Claim, *, divisible: bool = True, **state: Any
) -> Iterator[tuple[Transfer, Watched]]:
    """A transfer with a watch that the test writes."""
    watch = Watched(**state)
    with scheduler.receiving(claim, cast("Watch", watch), divisible=divisible) as transfer:
        yield transfer, watch


SLOW: dict[str, Any] = {"received": 1, "age": 10.0, "rate": 100.0}
GOOD: dict[str, Any] = {"received": 10 * MIB, "age": 10.0, "rate": float(MIB)}


async def claimed(scheduler: Scheduler) -> Claim:
    """What there is to fetch at once."""
    async with asyncio.timeout(60):
        claim = await scheduler.next()
    assert claim is not None
    return claim


@contextmanager
def idle(scheduler: Scheduler, number: int = 1) -> Iterator[list[asyncio.Task[Claim | None]]]:
    """Fetchers that ask for something to do."""
    tasks = [asyncio.create_task(scheduler.next()) for _ in range(number)]
    yield tasks
    for task in tasks:
        task.cancel()


class TestWithoutHelp:
    async def test_parts_in_order(self) -> None:
        """As long as the planner has parts, they are handed out; then nothing is left."""
        scheduler = make_scheduler(5 * MIB, 2 * MIB)
        spans = []
        for _ in range(3):
            claim = await claimed(scheduler)
            spans.append((claim.start, claim.stop))
            scheduler.end(claim)

        assert [(0, 2 * MIB), (2 * MIB, 4 * MIB), (4 * MIB, 5 * MIB)] == spans
        assert await scheduler.next() is None

    async def test_nothing_at_all(self) -> None:
        """Without parts and without a claim under way there is nothing to wait for."""
        assert await make_scheduler().next() is None

    @pytest.mark.parametrize("number", [1, 15])
    async def test_idle_ones_go_when_everything_is_brought(self, number: int) -> None:
        """All of them, and at once: not at their next look."""
        scheduler = make_scheduler()
        claim = Claim(0, 100)
        scheduler.begin(claim)
        with idle(scheduler, number) as tasks:
            await turns()
            assert not any(task.done() for task in tasks)
            scheduler.end(claim)
            await turns()

            assert [None] * number == [task.result() for task in tasks]

    async def test_the_planner_comes_later(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Whoever was idle before there was a size finds the parts at the next look."""
        monkeypatch.setattr(module, "_POLL", 0.01)
        scheduler = make_scheduler()
        scheduler.begin(Claim(0, 100))
        with idle(scheduler) as (task,):
            await turns()
            scheduler.planner = Planner([Part(100, 200)], 100)

            assert Claim(100, 200) == await task

    async def test_idle_ones_go_where_one_stream_brings_all(self) -> None:
        """Nothing is handed out beside it, and its end is everybody's."""
        scheduler = make_scheduler(5 * MIB)
        other, stream = await claimed(scheduler), await claimed(scheduler)
        scheduler.only(stream)
        with idle(scheduler, 3) as tasks:
            await turns()
            scheduler.end(other)
            await turns()
            assert not any(task.done() for task in tasks)
            scheduler.end(stream)
            await turns()

            assert [None] * 3 == [task.result() for task in tasks]

    async def test_only_before_there_are_parts(self) -> None:
        """A stream may be all there ever is."""
        scheduler = make_scheduler()
        stream = Claim(0, None)
        scheduler.begin(stream)
        scheduler.only(stream)
        scheduler.end(stream)

        assert await scheduler.next() is None

    async def test_cancelled_while_idle(self) -> None:
        """It ends as cancelled, and takes nothing along."""
        scheduler = make_scheduler()
        scheduler.begin(Claim(0, 8 * MIB))
        with idle(scheduler) as (task,):
            await turns()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        assert 1 == len(scheduler._open)

    async def test_claims_alike_are_not_the_same(self) -> None:
        """Two connections that were replaced before their first byte leave claims of equal figures."""
        scheduler = make_scheduler()
        first, second = Claim(0, 0), Claim(0, 0)
        scheduler.begin(first)
        scheduler.begin(second)
        scheduler.end(second)
        scheduler.end(second)

        assert [id(first)] == list(scheduler._open)

    async def test_idling_is_cheap(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """An idle fetcher looks once in a while, also when claims end all the time."""
        monkeypatch.setattr(module, "_POLL", 0.05)
        scheduler, looks = make_scheduler(), 0
        scheduler.begin(Claim(0, 100))

        def look() -> None:
            nonlocal looks
            looks += 1

        monkeypatch.setattr(scheduler, "_take_over", look)
        with idle(scheduler, 4):
            for _ in range(10):
                await turns(100)
                scheduler.end(Claim(0, 0))
            await turns(100)
            ends = looks
            await asyncio.sleep(0.26)

        assert 4 <= ends <= 4 * 11 + 4 * 10
        assert 4 <= looks - ends <= 4 * 6

    async def test_every_quarter_of_a_second(self) -> None:
        """Often enough to help soon, seldom enough to cost nothing."""
        assert 0.25 == module._POLL


class TestHelp:
    async def test_second_half_of_a_good_one(self) -> None:
        """Its connection goes on with the first half."""
        scheduler = make_scheduler(8 * MIB, 8 * MIB)
        claim = await claimed(scheduler)
        with receiving(scheduler, claim, **GOOD) as (transfer, watch):
            assert Claim(4 * MIB, 8 * MIB) == await claimed(scheduler)
            assert (4 * MIB, 0) == (claim.stop, watch.interrupts)
            assert (True, False) == (transfer.cut, transfer.over)

    async def test_all_of_a_slow_one(self) -> None:
        """Its connection is interrupted, and has nothing left to do."""
        scheduler = make_scheduler(8 * MIB, 8 * MIB)
        claim = await claimed(scheduler)
        claim.advance(1000)
        with receiving(scheduler, claim, **SLOW) as (transfer, watch):
            assert Claim(1000, 8 * MIB) == await claimed(scheduler)
            assert (1000, 1) == (claim.stop, watch.interrupts)
            assert transfer.over
            assert claim.done

    async def test_again_and_again(self) -> None:
        """A part that was cut may be cut once more; the one whose end is farthest off comes first."""
        scheduler = make_scheduler(32 * MIB, 32 * MIB)
        claim = await claimed(scheduler)
        with receiving(scheduler, claim, **GOOD):
            spans = [await claimed(scheduler) for _ in range(4)]

        assert [(16 * MIB, 32 * MIB), (8 * MIB, 16 * MIB), (4 * MIB, 8 * MIB), (2 * MIB, 4 * MIB)] == [
            (span.start, span.stop) for span in spans
        ]
        assert 2 * MIB == claim.stop

    async def test_two_idle_ones_take_two_halves(self) -> None:
        """In one turn of the loop, and no byte goes to both."""
        scheduler = make_scheduler(16 * MIB, 8 * MIB)
        one, two = await claimed(scheduler), await claimed(scheduler)
        with receiving(scheduler, one, **GOOD), receiving(scheduler, two, **GOOD), idle(scheduler, 2) as tasks:
            await turns()
            spans = sorted((task.result() or Claim(0, 0)).start for task in tasks)

        assert [4 * MIB, 12 * MIB] == spans
        assert (4 * MIB, 12 * MIB) == (one.stop, two.stop)

    async def test_the_slowest_cannot_be_helped_yet(self) -> None:
        """Then the next one is: a young connection that brings nothing does not keep help from the others."""
        scheduler = make_scheduler(16 * MIB, 8 * MIB)
        one, two = await claimed(scheduler), await claimed(scheduler)
        with (
            receiving(scheduler, one, received=0, age=0.1, rate=0.0),
            receiving(scheduler, two, **GOOD),
        ):
            assert Claim(12 * MIB, 16 * MIB) == await claimed(scheduler)

    @pytest.mark.parametrize(
        ("state", "why"),
        [
            pytest.param({"rate": None}, "nobody has looked at it yet", id="new"),
            pytest.param({"rate": 0.0, "held_up": True}, "it waits for our own disk", id="parked"),
            pytest.param({"rate": 0.0, "age": 0.5}, "it has not had its time", id="young"),
            pytest.param({"rate": 9.0 * MIB}, "it is done before help would be", id="fast"),
        ],
    )
    async def test_left_alone(self, state: dict[str, Any], why: str) -> None:
        """Who is not slow, or not known to be, keeps what it has."""
        scheduler = make_scheduler(8 * MIB, 8 * MIB)
        claim = await claimed(scheduler)
        with (
            receiving(scheduler, claim, **(SLOW | state)) as (transfer, watch),
            idle(scheduler) as (task,),
        ):
            await turns()

            assert (False, False, 0) == (task.done(), transfer.cut, watch.interrupts), why
            assert 8 * MIB == claim.stop

    @pytest.mark.parametrize("stop", [None, 8 * MIB])
    async def test_a_stream_is_never_cut(self, stop: int | None) -> None:
        """Whatever cannot be taken up elsewhere: without a length, or without ranges."""
        scheduler = make_scheduler()
        claim = Claim(0, stop)
        scheduler.begin(claim)
        with (
            receiving(scheduler, claim, divisible=stop is None, **SLOW) as (transfer, watch),
            idle(scheduler) as (task,),
        ):
            await turns()

            assert (False, False, 0, stop) == (task.done(), transfer.cut, watch.interrupts, claim.stop)

    async def test_without_experience(self) -> None:
        """Nobody says that it is slow before another connection has been faster."""
        scheduler = make_scheduler(8 * MIB, 8 * MIB, usual=0)
        claim = await claimed(scheduler)
        with receiving(scheduler, claim, **SLOW), idle(scheduler) as (task,):
            await turns()

            assert not task.done()

    async def test_not_while_the_gate_is_shut(self) -> None:
        """Where a new request would only wait, nothing is taken from one that gets on; a dead one frees its place."""
        gate = Gate(1, ManualClock(), Retry())
        scheduler = make_scheduler(16 * MIB, 8 * MIB)
        scheduler._gate = gate
        one, two = await claimed(scheduler), await claimed(scheduler)
        async with gate.turn() as turn:
            with receiving(scheduler, one, **GOOD):
                assert scheduler._take_over() is None
                with receiving(scheduler, two, **SLOW):
                    assert Claim(8 * MIB, 16 * MIB) == scheduler._take_over()
                with receiving(scheduler, two, **SLOW):
                    two.stop = 16 * MIB
                    turn.throttled(5.0)
                    assert scheduler._take_over() is None

    async def test_a_part_that_nobody_brings(self) -> None:
        """Each time the next connection is given twice as long: in ten minutes nine of them, not six hundred."""
        scheduler = make_scheduler(8 * MIB, 8 * MIB)
        claim = await claimed(scheduler)
        ages = []
        for _ in range(9):
            with receiving(scheduler, claim, received=0, age=0.0, rate=0.0) as (_, watch):
                while (taken := scheduler._take_over()) is None:
                    watch.age += 0.5
            ages.append(watch.age)
            claim = taken

        assert [1, 2, 4, 8, 16, 32, 64, 128, 256] == ages

    async def test_another_part_begins_anew(self) -> None:
        """What one part's connections were like is not held against another's."""
        scheduler = make_scheduler(16 * MIB, 8 * MIB)
        one, two = await claimed(scheduler), await claimed(scheduler)
        for claim in (one, two):
            with receiving(scheduler, claim, received=0, age=1.0, rate=0.0):
                assert scheduler._take_over() is not None


class TestGivingUp:
    async def test_while_there_are_parts(self) -> None:
        """One that is far below the others is not kept until they are idle: what it has not brought comes first."""
        scheduler = make_scheduler(24 * MIB, 8 * MIB)
        claim = await claimed(scheduler)
        claim.advance(MIB)
        with receiving(scheduler, claim, **SLOW) as (transfer, watch):
            watch.looked()

            assert (transfer.over, watch.interrupts) == (True, 1)
            scheduler.end(claim)
        spans = [await claimed(scheduler) for _ in range(3)]

        assert [(MIB, 8 * MIB), (8 * MIB, 16 * MIB), (16 * MIB, 24 * MIB)] == [(one.start, one.stop) for one in spans]

    async def test_several_bring_the_rest(self) -> None:
        """Where parts are as large as is measured, the idle ones share what one of them is relieved of."""
        scheduler = make_scheduler(usual=MIB)
        scheduler.planner = Planner([Part(0, 96 * MIB)], 96 * MIB, measured=True)
        scheduler.expected = 4
        claim = scheduler.planner.claim(96 * MIB)
        assert claim is not None
        scheduler.begin(claim)
        with receiving(scheduler, claim, **SLOW), idle(scheduler, 4) as tasks:
            await turns()
            spans = sorted((one.start, one.stop) for task in tasks if (one := task.result()))

        assert (0, 0) == (claim.stop, spans[0][0])
        assert all(before[1] == after[0] for before, after in pairwise(spans))
        assert all(8 * MIB <= (stop or 0) - start <= 24 * MIB for start, stop in spans)

    async def test_who_is_idle_is_told(self) -> None:
        """At once, not at the next look."""
        scheduler = make_scheduler(8 * MIB, 8 * MIB)
        claim = await claimed(scheduler)
        with receiving(scheduler, claim, received=0, age=0.5, rate=0.0) as (_, watch), idle(scheduler) as (task,):
            await turns()
            watch.age = 2.0
            watch.looked()
            await turns()

            assert Claim(0, 8 * MIB) == task.result()

    @pytest.mark.parametrize(
        "state",
        [GOOD, SLOW | {"age": 0.5}, SLOW | {"held_up": True}, SLOW | {"rate": None}, SLOW | {"rate": MIB / 7}],
        ids=["good", "young", "it waits for our disk", "nobody knows", "not that slow"],
    )
    async def test_left_alone(self, state: dict[str, Any]) -> None:
        """Nobody else is given up, nor is anything cut without somebody to bring it."""
        scheduler = make_scheduler(16 * MIB, 8 * MIB)
        claim = await claimed(scheduler)
        with receiving(scheduler, claim, **state) as (transfer, watch):
            watch.looked()

            assert (False, 0, 8 * MIB) == (transfer.cut, watch.interrupts, claim.stop)

    async def test_not_before_there_is_a_plan(self) -> None:
        """Nobody else could bring it."""
        scheduler = make_scheduler()
        with receiving(scheduler, Claim(0, 8 * MIB), **SLOW) as (transfer, watch):
            watch.looked()

            assert (False, 0) == (transfer.cut, watch.interrupts)

    async def test_what_has_ended_is_let_go(self) -> None:
        """At once, with its body and all: not when the garbage collector comes by, which a caller may have stopped."""
        scheduler, watch = make_scheduler(), Watched()
        kept = weakref.ref(watch)
        with scheduler.receiving(Claim(0, MIB), cast("Watch", watch), divisible=True):
            del watch

        assert kept() is None

    async def test_each_of_its_pieces_is_given_more_time(self) -> None:
        """However they are cut: a server that is slow at these bytes is asked for them ever more rarely."""
        scheduler = make_scheduler(8 * MIB, 8 * MIB)
        with receiving(scheduler, await claimed(scheduler), received=0, age=1.0, rate=0.0) as (transfer, watch):
            watch.looked()
            assert transfer.over
        for start in range(0, 8 * MIB, MIB):
            piece = Claim(start, start + MIB)
            with receiving(scheduler, piece, received=0, age=1.5, rate=0.0) as (transfer, watch):
                watch.looked()
                assert not transfer.cut
                watch.age = 2.0
                watch.looked()
                assert transfer.over


class TestExperience:
    async def usual(self, scheduler: Scheduler, *transfers: tuple[int, float]) -> float:
        for received, age in transfers:
            with receiving(scheduler, Claim(0, 1), received=received, age=age):
                pass
        return scheduler._usual

    async def test_of_one(self) -> None:
        """The first connection is the usual one."""
        assert MIB == await self.usual(make_scheduler(usual=0), (8 * MIB, 8.0))

    async def test_follows(self) -> None:
        """After a dozen connections at another speed, that is the usual one."""
        scheduler = make_scheduler()

        assert 9 * MIB < await self.usual(scheduler, *[(100 * MIB, 10.0)] * 12) < 10 * MIB
        assert 1.2 * MIB > await self.usual(scheduler, *[(100 * MIB, 100.0)] * 12) > MIB

    async def test_scraps_say_little(self) -> None:
        """A few bytes that came with their headers, in no time, are not a thousandfold speed; nor do drops slow it."""
        scheduler = make_scheduler(usual=0)
        scheduler.note_latency(0.05)
        expected = await self.usual(scheduler, (8 * MIB, 8.0))

        assert await self.usual(scheduler, (999, 1e-6), (16 * KIB, 1e-5)) == pytest.approx(expected, rel=0.01)
        assert await self.usual(scheduler, (100, 30.0), (8 * KIB, 60.0)) == pytest.approx(expected, rel=0.01)

    async def test_waiting_is_not_being_slow(self) -> None:
        """What a connection brings is told by its body's time alone, where that is longer than the wait for it."""
        scheduler = make_scheduler(usual=0)
        scheduler.note_latency(4.0)

        assert MIB == await self.usual(scheduler, (5 * MIB, 5.0))

    async def test_nothing_says_nothing(self) -> None:
        """Neither a body without a byte nor one without time, where there is no latency yet."""
        assert 0.0 == await self.usual(make_scheduler(usual=0), (0, 10.0), (5, 0.0))

    async def test_latency(self) -> None:
        """The first is the usual one; the next ones change it by degrees."""
        scheduler = make_scheduler()
        scheduler.note_latency(0.0)
        assert 0.0 == scheduler._latency
        scheduler.note_latency(1.0)
        assert 0.3 == scheduler._latency
        scheduler.note_latency(1.0)
        assert 0.51 == pytest.approx(scheduler._latency)


class TestKeeps:
    @pytest.mark.parametrize(
        ("cut", "stop", "span", "kept"),
        [
            pytest.param(False, 100, (0, 200), 200, id="not cut: its length is somebody else's business"),
            pytest.param(True, 100, (0, 100), 100, id="ends where it is cut"),
            pytest.param(True, 100, (50, 101), 50, id="one byte too many"),
            pytest.param(True, 100, (99, 300), 1, id="all but the first"),
            pytest.param(True, None, (0, 300), 300, id="no end"),
        ],
    )
    def test_what_it_keeps(self, cut: bool, stop: int | None, span: tuple[int, int], kept: int) -> None:
        """A chunk is left what comes before the cut."""
        transfer = Transfer(Claim(0, stop, span[0]), cast("Watch", Watched()), cut)
        chunk = Chunk(span[0], bytes(span[1] - span[0]))

        assert transfer.keeps(chunk)
        assert (span[0], kept) == (chunk.offset, len(chunk.data))

    def test_nothing(self) -> None:
        """A chunk that comes when everything has been taken over goes back to whoever lent it."""
        returned: list[int] = []
        transfer = Transfer(Claim(0, 100, 100), cast("Watch", Watched()), cut=True)
        chunk = Chunk(100, b"late", on_release=lambda: returned.append(1))

        assert not transfer.keeps(chunk)
        assert [1] == returned


@dataclass(eq=False)
class Model:
    """Fetchers in the hands of a test, and which bytes they brought."""

    scheduler: Scheduler
    size: int
    idle: list[asyncio.Task[Claim | None]] = field(default_factory=list)
    at_work: list[tuple[Claim, ExitStack, Watched | None, Transfer | None]] = field(default_factory=list)
    brought: Coverage = field(default_factory=Coverage)

    async def settle(self) -> None:
        """Let everyone who can get something get it."""
        await turns()
        for task in [task for task in self.idle if task.done()]:
            self.idle.remove(task)
            claim = task.result()
            if claim is not None:
                self.at_work.append((claim, ExitStack(), None, None))

    def ask(self, _: int) -> None:
        self.idle.append(asyncio.create_task(self.scheduler.next()))

    def open(self, number: int) -> None:
        """A fetcher's response begins, at any speed."""
        if self.at_work:
            index = number % len(self.at_work)
            claim, stack, watch, _ = self.at_work[index]
            if watch is None:
                rate = (None, 0.0, 10.0, float(MIB), 100.0 * MIB)[number % 5]
                context = receiving(self.scheduler, claim, received=1, age=float(number), rate=rate)
                transfer, watch = stack.enter_context(context)
                self.at_work[index] = claim, stack, watch, transfer

    def receive(self, number: int) -> None:
        """A chunk comes, of a length that does not care for cuts."""
        if self.at_work:
            claim, _, watch, transfer = self.at_work[number % len(self.at_work)]
            if watch is not None and transfer is not None and claim.stop is not None:
                length = min(self.size - claim.position, 1 + number * 16 * KIB)
                chunk = Chunk(claim.position, bytes(length))
                if not transfer.cut:
                    chunk.data = chunk.data[: claim.stop - claim.position]
                if transfer.keeps(chunk):
                    self.write(claim, chunk.stop)

    def write(self, claim: Claim, stop: int) -> None:
        assert max(0, stop - claim.position) == self.brought.add(claim.position, stop)
        claim.advance(stop)

    def lose(self, number: int) -> None:
        """A connection breaks; its fetcher asks again."""
        if self.at_work:
            claim, stack, _, _ = self.at_work[number % len(self.at_work)]
            stack.close()
            self.at_work[number % len(self.at_work)] = claim, ExitStack(), None, None

    def finish(self, number: int) -> None:
        """A fetcher brings all it owes, and is idle."""
        if self.at_work:
            claim, stack, _, _ = self.at_work.pop(number % len(self.at_work))
            assert claim.stop is not None
            self.write(claim, max(claim.stop, claim.position))
            stack.close()
            self.scheduler.end(claim)
            self.ask(0)

    def check(self) -> None:
        """No byte is in two open claims, or in one and brought already; every byte is somewhere."""
        spans = [(claim.position, claim.stop or 0) for claim in self.scheduler._open.values()]
        assert all(0 <= start <= stop <= self.size for start, stop in spans)
        spans = sorted(span for span in (*spans, *self.brought.spans) if span[0] < span[1])
        # Without gaps as well: what is left is the planner's, one piece at the end.
        assert all(before[1] == after[0] for before, after in pairwise([(0, 0), *spans]))


MOVES = st.tuples(
    st.sampled_from(["ask", "ask", "open", "open", "open", "receive", "receive", "lose", "finish"]), st.integers(0, 40)
)


@given(moves=st.lists(MOVES, max_size=60), parts=st.integers(1, 4))
def test_every_byte_once(moves: list[tuple[str, int]], parts: int) -> None:
    """Whatever is begun, cut, taken over, broken and ended in whatever order."""

    async def scenario() -> None:
        size = 4 * MIB - 5
        model = Model(make_scheduler(size, size // parts), size)
        for name, number in moves:
            move: Callable[[int], None] = getattr(model, name)
            move(number)
            if number % 2:
                await model.settle()
            model.check()
        model.ask(0)
        await model.settle()
        while model.at_work:
            model.finish(0)
            await model.settle()
            model.check()

        assert [] == model.idle
        assert {} == model.scheduler._open
        assert [] == model.scheduler._transfers
        assert [Part(0, size)] == model.brought.spans

    asyncio.run(scenario())


class TestEnough:
    async def test_one_too_many_goes_home(self) -> None:
        """Who would have one claim more than is wanted gets none, although there are parts."""
        scheduler = make_scheduler(5 * MIB, usual=0)
        claims = [await claimed(scheduler) for _ in range(3)]
        scheduler.most = 2
        scheduler.end(claims[0])

        assert await scheduler.next() is None

    async def test_the_others_bring_everything(self) -> None:
        """Those that remain get the rest, part by part."""
        scheduler = make_scheduler(5 * MIB, usual=0)
        claims = [await claimed(scheduler) for _ in range(2)]
        scheduler.most = 1
        scheduler.end(claims[0])
        assert await scheduler.next() is None
        scheduler.end(claims[1])
        starts = []
        while (claim := await scheduler.next()) is not None:
            starts.append(claim.start)
            scheduler.end(claim)

        assert [2 * MIB, 3 * MIB, 4 * MIB] == starts

    async def test_who_waits_to_help_goes_home_too(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """At its next look."""
        monkeypatch.setattr(module, "_POLL", 0.01)
        scheduler = make_scheduler()
        scheduler.begin(Claim(0, 100))
        with idle(scheduler) as (task,):
            await turns()
            scheduler.most = 1

            assert await task is None


class TestMeasured:
    async def test_parts_follow_the_speed(self) -> None:
        """Before anything is known a part is as planned; then as large as what was measured asks for."""
        scheduler = make_scheduler(usual=0)
        scheduler.planner = Planner([Part(0, 10 * GIB)], 8 * MIB, measured=True)
        first = await claimed(scheduler)
        with receiving(scheduler, Claim(0, 0), received=100 * MIB, age=25.0):
            pass
        second = await claimed(scheduler)

        assert [8 * MIB, 16 * MIB] == [(claim.stop or 0) - claim.start for claim in (first, second)]

    @pytest.mark.parametrize(("presumed", "expected"), [(16 * MIB, 64), (3 * MIB, 12), (KIB, 9)])
    async def test_before_a_part_has_ended(self, presumed: float, expected: int) -> None:
        """What the first bytes say makes parts larger than planned, and never smaller: it may only have begun."""
        scheduler = make_scheduler(usual=0)
        scheduler.planner = Planner([Part(0, 10 * GIB)], 9 * MIB, measured=True)
        scheduler.presumed = presumed

        claim = await claimed(scheduler)

        assert expected * MIB == claim.stop

    async def test_near_the_end_by_who_is_at_work(self) -> None:
        """What is left is divided among those that are."""
        scheduler = make_scheduler(usual=MIB)
        scheduler.planner = Planner([Part(0, 8 * MIB)], 8 * MIB, measured=True)
        scheduler.begin(Claim(100 * MIB, 200 * MIB, 198 * MIB))
        scheduler.begin(Claim(200 * MIB, None))

        claim = await claimed(scheduler)

        assert 10 * MIB // 3 // 3 * 2 <= (claim.stop or 0) < 10 * MIB // 3 // 3 * 2 + 8192

    async def test_near_the_end_by_who_is_to_come(self) -> None:
        """The first of several that are expected leaves the others their share."""
        scheduler = make_scheduler(8 * MIB, usual=100 * MIB)
        scheduler.planner = Planner([Part(0, 80 * MIB)], 8 * MIB, measured=True)
        scheduler.expected = 4

        claim = await claimed(scheduler)

        assert 20 * MIB == claim.stop

    async def test_a_wish_is_a_wish(self) -> None:
        """Parts whose size the caller has chosen have it, however fast they are."""
        scheduler = make_scheduler(10 * GIB, MIB, usual=100 * MIB)

        assert MIB == (await claimed(scheduler)).stop


class TestHowItGetsOn:
    def test_what_has_come(self) -> None:
        """Of bodies that have ended and of those under way, divisible or not."""
        scheduler = make_scheduler(usual=0)
        with receiving(scheduler, Claim(0, 100), received=70, divisible=False):
            with receiving(scheduler, Claim(100, 200), received=20) as (_, watch):
                assert (90, 2) == (scheduler.received, scheduler.bodies)
                watch.received = 30
            assert (100, 1) == (scheduler.received, scheduler.bodies)

        assert (100, 0) == (scheduler.received, scheduler.bodies)

    @pytest.mark.parametrize(
        ("parked", "expected"),
        [([], False), ([False], False), ([True], True), ([True, False], True), ([1, 0, 0], False)],
    )
    def test_held_up(self, parked: list[bool], expected: bool) -> None:
        """Half of them wait for us, and there are some."""
        scheduler = make_scheduler(usual=0)
        with ExitStack() as stack:
            for one in parked:
                _, watch = stack.enter_context(receiving(scheduler, Claim(0, 100)))
                watch.keeper.parked = one

            assert expected is scheduler.held_up
