"""Any interleaving of leases, refusals, bytes, dates, cancellations and failures: one call at a time, and an end."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from asyncdl.errors import AsyncdlError, RefreshError, TransferError
from asyncdl.model import SignedUrl
from asyncdl.options import Options, Timeouts
from asyncdl.refresher import Lease, UrlRefresher
from asyncdl.rules.rejection import RefusalKind
from tests.support.clock import EPOCH, ManualClock
from tests.support.urls import date, refusal, signed

KINDS = [RefusalKind.EXPIRED, RefusalKind.PRESUMED_EXPIRED, RefusalKind.AMBIGUOUS, RefusalKind.CLOCK_SKEW]
#: Turns of the loop after which everything that can happen has happened.
TURNS = 20

EVENTS = st.one_of(
    st.tuples(st.just("lease")),
    st.tuples(st.just("rejected"), st.integers(0, 9), st.sampled_from(KINDS)),
    st.tuples(st.just("accepted"), st.integers(0, 9)),
    st.tuples(st.just("brought"), st.integers(0, 9)),
    st.tuples(st.just("date"), st.integers(-100, 100)),
    st.tuples(st.just("advance"), st.floats(0, 30)),
    st.tuples(st.just("answer"), st.integers(5, 60)),
    st.tuples(st.just("fail")),
    st.tuples(st.just("cancel"), st.integers(0, 9)),
)


class World:
    """A refresher, a provider that answers when told to, and tasks that use them."""

    def __init__(self) -> None:
        self.clock = ManualClock(parks=True)
        self.urls = UrlRefresher(self.provide, Options(reuse_window=2), Timeouts(refresh=60), self.clock)
        self.waiting: list[asyncio.Future[str]] = []
        self.calls = self.running = self.most_running = 0
        self.tasks: list[asyncio.Task[Any]] = []
        self.leases: list[Lease] = []
        self.began: list[float] = []

    async def provide(self, rejected: SignedUrl | None) -> str:
        self.calls += 1
        self.began.append(self.clock.monotonic())
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.waiting.append(answer)
        try:
            return await answer
        finally:
            self.waiting.remove(answer)
            self.running -= 1

    async def take(self) -> None:
        before = max((lease.generation for lease in self.leases), default=-1)
        lease = await self.urls.lease()

        assert lease.generation >= before
        self.leases.append(lease)

    async def refuse(self, lease: Lease, kind: RefusalKind) -> None:
        renewed = await self.urls.rejected(lease, refusal(kind), redirected=False)

        assert not renewed or (await self.urls.lease()).generation > lease.generation

    def do(self, event: tuple[Any, ...]) -> None:
        """One thing happens."""
        match event:
            case ("lease",):
                self.tasks.append(asyncio.create_task(self.take()))
            case ("rejected", which, kind) if self.leases:
                lease = self.leases[which % len(self.leases)]
                self.tasks.append(asyncio.create_task(self.refuse(lease, kind)))
            case ("accepted", which) if self.leases:
                self.urls.accepted(self.leases[which % len(self.leases)])
            case ("brought", which) if self.leases:
                self.urls.brought(self.leases[which % len(self.leases)])
            case ("date", offset):
                self.urls.note_date(date(self.clock.wall() - EPOCH + offset))
            case ("advance", seconds):
                self.clock.advance(seconds)
            case ("answer", life) if self.waiting and not self.waiting[0].done():
                self.waiting[0].set_result(signed(self.calls, dies=self.clock.wall() - EPOCH + life))
            case ("fail",) if self.waiting and not self.waiting[0].done():
                self.waiting[0].set_exception(ConnectionResetError("hiccup"))
            case ("cancel", which) if self.tasks:
                self.tasks[which % len(self.tasks)].cancel()

    async def settle(self) -> None:
        """Answer and let time pass until every task has ended, within a bound that no loop for ever would keep."""
        for _ in range(20 * (len(self.tasks) + 1)):
            if all(task.done() for task in self.tasks):
                return
            self.do(("answer", 1000))
            self.clock.advance(1.0)
            for _ in range(TURNS):
                await asyncio.sleep(0)
        raise AssertionError("somebody waits for ever")


async def _play(events: list[tuple[Any, ...]]) -> World:
    world = World()
    for event in events:
        world.do(event)
        await asyncio.sleep(0)
    await world.settle()
    return world


# The fixture that guards against blocking calls holds for all examples alike.
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(events=st.lists(EVENTS, max_size=60))
def test_any_interleaving(events: list[tuple[Any, ...]]) -> None:
    """Calls never overlap, generations only rise, and every task ends: well, cancelled, or with an error of ours."""
    world = asyncio.run(_play(events))

    assert world.most_running <= 1
    assert 0 == world.running
    assert world.urls.refreshes <= world.calls
    for task in world.tasks:
        error = None if task.cancelled() else task.exception()

        assert error is None or isinstance(error, AsyncdlError), error
    generations = [lease.generation for lease in world.leases]

    assert len({(lease.generation, lease.url) for lease in world.leases}) == len(set(generations))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kinds=st.lists(st.sampled_from(KINDS), min_size=30, max_size=30),
    worked=st.lists(st.booleans(), min_size=30, max_size=30),
)
def test_refusals_without_a_byte_always_end(kinds: list[RefusalKind], worked: list[bool]) -> None:
    """Whatever a server that never sends a byte says: two renewed URLs, and it is over."""

    async def play() -> int:
        world = World()
        lease_task = asyncio.create_task(world.urls.lease())
        world.tasks.append(lease_task)
        await world.settle()
        renewed = 0
        for kind, accepted in zip(kinds, worked, strict=True):
            lease = await world.urls.lease()
            if accepted:
                world.urls.accepted(lease)
            world.clock.advance(3)  # past the window in which a young URL is tried again
            task = asyncio.create_task(world.urls.rejected(lease, refusal(kind), redirected=False))
            world.tasks.append(task)
            await world.settle()
            if task.exception() is not None:
                assert isinstance(task.exception(), TransferError)
                return renewed
            renewed += task.result()
        raise AssertionError("it never ended")

    assert 0 <= asyncio.run(play()) <= 2


@pytest.mark.parametrize("gap", [0.0, 0.5, 0.999])
async def test_calls_are_a_second_apart(gap: float) -> None:
    """Measured from the URL's arrival, over many renewals."""
    world = World()
    for _ in range(5):
        world.tasks.append(asyncio.create_task(world.take()))
        await world.settle()
        lease = world.leases[-1]
        world.urls.brought(lease)
        world.clock.advance(gap)
        world.tasks.append(asyncio.create_task(world.refuse(lease, RefusalKind.EXPIRED)))
        await world.settle()

    assert 6 == world.calls
    assert all(later - earlier >= 1.0 for earlier, later in zip(world.began, world.began[1:], strict=False))


def test_refresh_error_is_final() -> None:
    """After the provider has failed for good nobody asks it again: the download is over."""

    async def play() -> tuple[list[BaseException | None], int]:
        world = World()
        tasks = [asyncio.create_task(world.urls.lease()) for _ in range(3)]
        for _ in range(2):
            for _ in range(TURNS):
                await asyncio.sleep(0)
            world.do(("fail",))
            for _ in range(TURNS):
                await asyncio.sleep(0)
            world.clock.advance(1)
        ended = await asyncio.gather(*tasks, world.urls.lease(), return_exceptions=True)
        return [error if isinstance(error, BaseException) else None for error in ended], world.calls

    ended, calls = asyncio.run(play())

    assert [RefreshError] * 4 == [type(error) for error in ended]
    assert 2 == calls
