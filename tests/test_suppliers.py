"""Which of several places the next request goes to, when one is given up, and how long one is waited for."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any, cast

import pytest

from asyncdl.edge.clock import Clock
from asyncdl.edge.transport import Response
from asyncdl.errors import ConnectError, ForbiddenError, IntegrityError, RemoteChangedError, StallError
from asyncdl.hosts import Hosts
from asyncdl.mirrored import patiently
from asyncdl.model import Checksum, RemoteObject
from asyncdl.options import Options, Retry, Timeouts
from asyncdl.refresher import UrlRefresher
from asyncdl.rules.head import Head
from asyncdl.rules.rejection import Refusal, RefusalKind
from asyncdl.rules.urls import origin_of
from asyncdl.suppliers import PassedOverError, Supplier, Suppliers
from tests.support.clock import ManualClock

SIZE = 1 << 20
TAGGED = RemoteObject(SIZE, '"a"')


def make(
    number: int = 3, *, clock: Clock | None = None, pinned: Checksum | None = None, known: bool = True
) -> Suppliers:
    """So many places; with `known` the first one has said what the object is."""
    clock = clock or ManualClock()
    options = Options()
    refreshers = [UrlRefresher(f"https://{name}.example/", options, Timeouts(), clock) for name in "abcdefgh"[:number]]
    made = Suppliers(refreshers, Hosts(8, clock, Retry()), clock, pinned=pinned, declared_size=None)
    if known:
        made.accepted(made.all[0], TAGGED, (), None)
    return made


async def chosen(suppliers: Suppliers, times: int = 1) -> list[int]:
    """Where so many requests go that are all still under way."""
    found = []
    for _ in range(times):
        supplier = await suppliers.choose()
        supplier.busy += 1
        found.append(supplier.number)
    return found


class TestChoice:
    async def test_all_alike(self) -> None:
        """In turn, as long as nothing is known of any."""
        assert [0, 1, 2, 0, 1, 2] == await chosen(make(), 6)

    async def test_first_one_says_what_the_object_is(self) -> None:
        """Before anybody has said it, nobody else is asked, unless it fails."""
        suppliers = make(known=False)

        assert [0, 0, 0] == await chosen(suppliers, 3)
        suppliers.all[0].blame(ConnectError, 0.0, 0.0)
        assert [1, 1] == await chosen(suppliers, 2)

    async def test_by_speed(self) -> None:
        """Three times as quick, three times as many requests; what nobody has measured counts as quick."""
        clock = ManualClock()
        suppliers = make(2, clock=clock)
        for supplier, rate in zip(suppliers.all, (300, 100), strict=True):
            supplier.note(rate, 1.0, clock.monotonic())

        assert 6 == (await chosen(suppliers, 8)).count(0)
        suppliers = make(2, clock=clock)
        suppliers.all[0].note(100, 1.0, clock.monotonic())
        assert [0, 1] == await chosen(suppliers, 2)

    async def test_speed_is_forgotten(self) -> None:
        """A place that was slow half a minute ago, and has been left alone, is tried again."""
        clock = ManualClock()
        suppliers = make(2, clock=clock)
        suppliers.all[0].note(10_000, 1.0, clock.monotonic())
        suppliers.all[1].note(1, 1.0, clock.monotonic())

        assert [0] * 5 == await chosen(suppliers, 5)
        clock.advance(31)
        assert [1] == await chosen(suppliers)

    async def test_failing_one_is_left_alone_for_a_while(self) -> None:
        """Then one request at a time finds out whether it is well."""
        clock = ManualClock()
        suppliers = make(2, clock=clock)
        suppliers.all[0].blame(ConnectError, clock.monotonic(), clock.monotonic())
        suppliers.all[0].quiet_until = clock.monotonic() + 5

        assert [1, 1] == await chosen(suppliers, 2)
        clock.advance(5)
        assert [0, 1, 1, 1] == await chosen(suppliers, 4)

    async def test_all_failing(self) -> None:
        """The one whose pause ends first is waited for."""
        clock = ManualClock(parks=True)
        suppliers = make(2, clock=clock)
        suppliers.all[0].quiet_until = clock.monotonic() + 5
        suppliers.all[1].quiet_until = clock.monotonic() + 3
        task = asyncio.create_task(chosen(suppliers))
        await asyncio.sleep(0)

        assert not task.done()
        clock.advance(3)
        assert [1] == await task

    async def test_host_that_asks_for_peace(self) -> None:
        """Requests go to hosts whose gates let them pass."""
        suppliers = make(2)
        async with suppliers.all[0].host.gate.turn() as turn:
            turn.throttled(60)

            assert [1, 1, 1] == await chosen(suppliers, 3)


class TestGivenUp:
    def test_not_the_last(self) -> None:
        """The last one's error is the download's."""
        suppliers = make(2)
        one, two = suppliers.all
        error = ForbiddenError("no", status=403)

        assert (True, True, False) == tuple(suppliers.give_up(each, error) for each in (one, one, two))
        assert (two, False) == (suppliers.only, suppliers.several)

    def test_limits_are_those_of_who_is_left(self) -> None:
        """The others' gates do not count any more."""
        suppliers = make(3)
        before = suppliers.limit
        suppliers.give_up(suppliers.all[1], ConnectError("no"))

        assert (24, 16) == (before, suppliers.limit)

    def test_what_befalls_several_at_once_is_one_fault(self) -> None:
        """Of requests that were on their way together only the first counts."""
        (supplier,) = make(1).all
        for asked, now in ((1.0, 5.0), (1.0, 5.1), (4.0, 5.2), (5.5, 6.0)):
            supplier.blame(ConnectError, asked, now)

        assert 2 == supplier.tries.total()


class TestPatience:
    def test_alone(self) -> None:
        """Where nobody else would answer, the timeouts alone bound the wait."""
        suppliers = make(2)

        assert suppliers.patience(suppliers.all[0]) is None
        assert 2.0 == suppliers.patience(suppliers.all[1])

    def test_grows(self) -> None:
        """With what is usual, and with each time that it was not enough."""
        suppliers = make(2)
        suppliers.all[0].latency = 1.0
        slow = suppliers.all[1]
        slow.blame(ConnectError, 0.0, 1.0)
        slow.blame(ConnectError, 1.0, 2.0)

        assert 32.0 == suppliers.patience(slow)

    def test_first_answer(self) -> None:
        """Another one may say as well what the object is."""
        suppliers = make(2, known=False)

        assert 2.0 == suppliers.patience(suppliers.all[0])


class TestVetting:
    MD5 = Checksum("md5", bytes(16))
    OTHER = Checksum("md5", bytes([1] * 16))

    def test_contradicts_the_caller(self) -> None:
        """Before it could say what the object is."""
        suppliers = make(pinned=self.MD5, known=False)

        with pytest.raises(IntegrityError):
            suppliers.vet(suppliers.all[0], TAGGED, (self.OTHER,))

    @pytest.mark.parametrize("remote", [RemoteObject(SIZE), RemoteObject(SIZE, '"b"'), RemoteObject(SIZE - 1, '"a"')])
    def test_not_proven(self, remote: RemoteObject) -> None:
        """Size alone, another tag, another size."""
        suppliers = make()

        with pytest.raises(RemoteChangedError):
            suppliers.vet(suppliers.all[1], remote, ())

    def test_who_only_has_the_size_vouches_for_nobody(self) -> None:
        """Under a checksum of the caller's, what such a place says further is not held against others."""
        suppliers = make(pinned=Checksum("sha256", bytes(32)), known=False)
        one, two, three = suppliers.all
        suppliers.accepted(one, TAGGED, (), None)
        suppliers.vet(two, RemoteObject(SIZE, '"b"'), (self.OTHER,))
        suppliers.accepted(two, RemoteObject(SIZE, '"b"'), (self.OTHER,), TAGGED)

        suppliers.vet(three, RemoteObject(SIZE, '"c"'), (self.MD5,))

    def test_size_comes_later(self) -> None:
        """What a stream did not say, another one's answer does."""
        suppliers = make(known=False)
        unknown = suppliers.accepted(suppliers.all[0], RemoteObject(None, '"a"'), (), None)

        assert RemoteObject(None, '"a"') == unknown
        assert RemoteObject(SIZE, '"a"') == suppliers.accepted(suppliers.all[1], TAGGED, (), unknown)

    def test_expected(self) -> None:
        """Tags are compared with those of the same place alone, sizes with everybody's."""
        suppliers = make()
        one, two, _ = suppliers.all
        suppliers.accepted(two, RemoteObject(SIZE, '"b"'), (), TAGGED)

        assert [TAGGED, RemoteObject(SIZE, '"b"'), RemoteObject(SIZE), None] == [
            suppliers.expected(one, TAGGED),
            suppliers.expected(two, TAGGED),
            suppliers.expected(suppliers.all[2], TAGGED),
            suppliers.expected(two, None),
        ]

    def test_better_one_is_asked_first(self) -> None:
        """Whose tag the journal has, or who sends ranges; each is passed over once, and the last one is taken."""
        suppliers = make(known=False)
        suppliers.prior = Head(size=SIZE, etag='"c"')
        one, two, three = suppliers.all

        passed = [each.number for each in (one, two, three) if not self._taken(suppliers, each)]

        assert [0, 1] == passed

    def test_passed_over_when_others_fail(self) -> None:
        """Nobody is waited for who has failed already."""
        suppliers = make(2, known=False)
        suppliers.prior = Head(size=SIZE, etag='"c"')
        suppliers.all[1].blame(ConnectError, 0.0, 0.0)

        assert self._taken(suppliers, suppliers.all[0])

    @staticmethod
    def _taken(suppliers: Suppliers, supplier: Supplier) -> bool:
        try:
            suppliers.vet(supplier, TAGGED, ())
        except PassedOverError:
            return False
        return True


class TestAnswer:
    ANSWER = cast("Response", SimpleNamespace())

    @asynccontextmanager
    async def opening(self, answered: asyncio.Event) -> AsyncIterator[Response]:
        await answered.wait()
        yield self.ANSWER

    async def test_silence(self) -> None:
        """Another place's answer would come."""
        with pytest.raises(StallError, match="another mirror does"):
            async with patiently(self.opening(asyncio.Event()), 0.01):
                pass

    @pytest.mark.parametrize("seconds", [None, 60.0])
    async def test_answer(self, seconds: float | None) -> None:
        """What it goes on to say has bounds of its own, and what goes wrong with it is not silence."""
        answered = asyncio.Event()
        answered.set()

        async def take() -> None:
            async with patiently(self.opening(answered), seconds) as response:
                assert response is self.ANSWER
                raise TimeoutError

        with pytest.raises(TimeoutError) as caught:
            await take()

        assert not isinstance(caught.value, StallError)
        pending: list[Any] = asyncio.get_running_loop()._scheduled  # type: ignore[attr-defined]
        assert [] == [handle for handle in pending if not handle.cancelled() and "_ring" in repr(handle)]

    async def test_answer_that_comes_while_we_are_held_up(self) -> None:
        """The caller's own code held the loop for longer than the answer had: it is taken all the same."""
        answered, loop = asyncio.Event(), asyncio.get_running_loop()

        def hold() -> None:
            time.sleep(0.5)
            loop.call_soon(loop.call_soon, answered.set)  # what has arrived takes a turn or two to be read

        loop.call_later(0.01, hold)
        async with patiently(self.opening(answered), 0.2) as response:
            assert response is self.ANSWER

    async def test_answer_in_the_last_moment(self) -> None:
        """It may be taken or not; what is taken is not given up a moment later."""
        answered, loop = asyncio.Event(), asyncio.get_running_loop()

        def hold() -> None:
            time.sleep(0.05)  # not long enough to count as held up
            loop.call_soon(answered.set)

        loop.call_later(0, hold)
        async with patiently(self.opening(answered), 0.01) as response:
            await asyncio.sleep(0.01)
            assert response is self.ANSWER


async def test_host_of_the_present_url() -> None:
    """What is known of a host goes with the URL: another one, another host; back again, the first one."""
    clock, answers = ManualClock(), iter(["https://a.example/1", "https://b.example/2", "https://a.example/3"])
    refresher = UrlRefresher(lambda _: next(answers), Options(reuse_window=0), Timeouts(), clock)
    hosts = Hosts(8, clock, Retry())
    supplier = Supplier(0, refresher, hosts)
    before = supplier.host
    seen = []
    for _ in range(3):
        lease = await refresher.lease()
        seen.append(supplier.host)
        refresher.brought(lease)
        refusal = Refusal(
            kind=RefusalKind.EXPIRED,
            status=403,
            code=None,
            message=None,
            excerpt="expired",
            retry_after=None,
            hint=None,
        )
        if len(seen) < 3:
            assert await refresher.rejected(lease, refusal, redirected=False)

    assert hosts.of(None) is before
    assert [hosts.of(origin_of(f"https://{name}.example/")) for name in "aba"] == seen
    assert seen[0] is seen[2] is supplier.host
