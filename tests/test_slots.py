"""Places for requests: never more than there are, first come first served, and neither kind crowded out."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncdl.slots import Kind, Slots

BOUND = 60.0


class Stage:
    """Requests that take a place and keep it until told."""

    def __init__(self, slots: Slots) -> None:
        self.slots = slots
        self.order: list[tuple[Kind, int]] = []
        self.tasks: dict[tuple[Kind, int], asyncio.Task[None]] = {}
        self.ends: dict[tuple[Kind, int], asyncio.Event] = {}
        self._count = Counter[Kind]()

    async def ask(self, kind: Kind) -> tuple[Kind, int]:
        """One more that wants a place; its name."""
        name = (kind, self._count[kind])
        self._count[kind] += 1
        self.ends[name] = asyncio.Event()
        self.tasks[name] = asyncio.create_task(self._work(name))
        await settle()
        return name

    async def _work(self, name: tuple[Kind, int]) -> None:
        async with self.slots.turn(name[0]):
            self.order.append(name)
            await self.ends[name].wait()

    async def end(self, name: tuple[Kind, int]) -> None:
        """It gives its place back."""
        self.ends[name].set()
        await self.tasks.pop(name)
        await settle()

    async def cancel(self, name: tuple[Kind, int]) -> None:
        """It is cancelled."""
        task = self.tasks.pop(name)
        task.cancel()
        await asyncio.wait({task}, timeout=BOUND)
        await settle()

    @property
    def inside(self) -> list[tuple[Kind, int]]:
        """Those that have a place."""
        return [name for name in self.order if name in self.tasks]

    async def clear(self) -> None:
        """End them all."""
        for task in self.tasks.values():
            task.cancel()
        if self.tasks:
            await asyncio.wait(self.tasks.values(), timeout=BOUND)


async def settle() -> None:
    """Let everybody who can go on do so."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_first_come_first_served() -> None:
    """Of one kind, those that came first have their turn first."""
    stage = Stage(Slots(2))
    names = [await stage.ask(Kind.PART) for _ in range(5)]

    assert names[:2] == stage.inside
    await stage.end(names[1])
    assert [names[0], names[2]] == stage.inside
    await stage.end(names[0])
    await stage.end(names[2])
    assert names[3:] == stage.inside
    await stage.clear()
    assert 0 == stage.slots.busy


async def test_places_that_are_kept() -> None:
    """Parts of large files leave the places alone that are kept; first requests may have every place."""
    stage = Stage(Slots(4, kept=1))
    for _ in range(6):
        await stage.ask(Kind.PART)

    assert 3 == len(stage.inside)
    first = await stage.ask(Kind.FIRST)
    assert first in stage.inside
    await stage.clear()
    for _ in range(6):
        await stage.ask(Kind.FIRST)
    assert 4 == stage.slots.busy
    await stage.clear()


async def test_neither_crowds_out_the_other() -> None:
    """Where both kinds wait, what becomes free goes to the one that has less."""
    stage = Stage(Slots(4))
    for _ in range(8):
        await stage.ask(Kind.PART)
    for _ in range(8):
        await stage.ask(Kind.FIRST)
    for _ in range(2):
        await stage.end(stage.inside[0])

    assert {Kind.PART: 2, Kind.FIRST: 2} == Counter(kind for kind, _ in stage.inside)
    await stage.end(next(name for name in stage.inside if name[0] is Kind.FIRST))
    assert {Kind.PART: 2, Kind.FIRST: 2} == Counter(kind for kind, _ in stage.inside)
    await stage.clear()


async def test_cancelled_at_the_very_moment() -> None:
    """One that is cancelled when its turn has just come passes it on."""
    stage = Stage(Slots(1))
    holder, called, last = [await stage.ask(Kind.FIRST) for _ in range(3)]
    stage.ends[holder].set()
    await asyncio.wait({stage.tasks[holder]}, timeout=BOUND)
    await stage.cancel(called)

    assert [last] == [name for name in stage.inside if name != holder]
    await stage.end(last)
    assert 0 == stage.slots.busy


@given(
    st.integers(1, 6),
    st.lists(st.tuples(st.sampled_from(["first", "part", "end", "cancel"]), st.integers(0, 30)), max_size=60),
)
def test_whatever_happens(most: int, steps: list[tuple[str, int]]) -> None:
    """In any order of coming, ending and being cancelled: never too many, none idle while somebody could go."""

    async def play() -> None:
        kept = most // 3
        stage = Stage(Slots(most, kept=kept))
        for what, which in steps:
            if what in {"first", "part"}:
                await stage.ask(Kind.FIRST if what == "first" else Kind.PART)
            elif what == "end" and stage.inside:
                await stage.end(stage.inside[which % len(stage.inside)])
            elif what == "cancel" and stage.tasks:
                await stage.cancel(list(stage.tasks)[which % len(stage.tasks)])
            inside, count = stage.inside, Counter(kind for kind, _ in stage.inside)
            waiting = {name[0] for name in stage.tasks if name not in inside}
            assert len(inside) == stage.slots.busy <= most
            assert count[Kind.PART] <= most - kept
            assert Kind.FIRST not in waiting or len(inside) == most
            assert Kind.PART not in waiting or len(inside) == most or count[Kind.PART] == most - kept
        await stage.clear()
        assert 0 == stage.slots.busy

    asyncio.run(play())


@pytest.mark.parametrize("kind", list(Kind))
async def test_a_place_comes_back_after_an_error(kind: Kind) -> None:
    """However the request ends, its place is free again."""
    slots = Slots(1)

    async def fail() -> None:
        async with slots.turn(kind):
            assert 1 == slots.busy
            raise LookupError

    for _ in range(3):
        with pytest.raises(LookupError):
            await fail()
    assert 0 == slots.busy


@pytest.mark.parametrize("kind", list(Kind))
async def test_cancelled_together(kind: Kind) -> None:
    """Who waits, and is cancelled together with who goes, is cancelled, and nothing else happens to it."""
    stage = Stage(Slots(1))
    names = [await stage.ask(kind) for _ in range(3)]
    tasks = [stage.tasks.pop(name) for name in names]
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks, timeout=BOUND)

    assert [True] * 3 == [task.cancelled() for task in tasks]
    assert 0 == stage.slots.busy


async def test_turns_where_there_is_one_place() -> None:
    """With a single place both kinds have their turn, however many of the other wait."""
    stage = Stage(Slots(1))
    for kind in (Kind.FIRST, Kind.FIRST, Kind.FIRST, Kind.FIRST, Kind.PART, Kind.PART):
        await stage.ask(kind)
    for _ in range(3):
        await stage.end(stage.inside[0])

    assert {Kind.FIRST: 2, Kind.PART: 2} == Counter(kind for kind, _ in stage.order)
    await stage.clear()


async def test_one_that_turns_out_to_be_a_part() -> None:
    """A first request of which it is known by now that it brings a part counts as one."""
    slots = Slots(4, kept=1)
    async with slots.turn(Kind.FIRST) as first, slots.turn(Kind.PART), slots.turn(Kind.PART):
        first.is_of(Kind.PART)
        part = asyncio.create_task(slots.turn(Kind.PART).__aenter__())
        await settle()
        assert not part.done()
        async with asyncio.timeout(BOUND), slots.turn(Kind.FIRST):
            assert 4 == slots.busy
        part.cancel()
        await settle()
    assert 0 == slots.busy
