"""One owner of the URL: one call for many waiters, bounded renewals, early renewal, and holders that are cancelled."""

from __future__ import annotations

import asyncio

import pytest

from asyncdl.errors import ForbiddenError, OptionsError, RefreshError, UrlExpiredError
from asyncdl.model import SignedUrl, Source
from asyncdl.options import Options, Timeouts
from asyncdl.refresher import Lease, UrlRefresher
from asyncdl.rules.rejection import Refusal, RefusalKind
from asyncdl.rules.urls import Origin
from tests.support.clock import EPOCH, ManualClock
from tests.support.urls import Signer, date, refusal, signed

EXPIRED = refusal(RefusalKind.EXPIRED)
PRESUMED = refusal(RefusalKind.PRESUMED_EXPIRED)
AMBIGUOUS = refusal(RefusalKind.AMBIGUOUS)
SKEW = refusal(RefusalKind.CLOCK_SKEW)
WAITERS = 100


def refresher(source: Source, clock: ManualClock | None = None, **options: float) -> UrlRefresher:
    """A refresher with the default options but these."""
    return UrlRefresher(source, Options(**options), Timeouts(refresh=5), clock or ManualClock())  # type: ignore[arg-type]


async def refuse(urls: UrlRefresher, lease: Lease, why: object = EXPIRED) -> bool:
    return await urls.rejected(lease, why, redirected=False)  # type: ignore[arg-type]


async def all_of(*tasks: asyncio.Task[bool]) -> list[bool | BaseException]:
    return await asyncio.gather(*tasks, return_exceptions=True)


class TestSingleFlight:
    async def test_first_lease_of_many_is_one_call(self) -> None:
        """A hundred fetchers that start at once ask for the first URL once."""
        provider = Signer()
        urls = refresher(provider)

        leases = await asyncio.gather(*(urls.lease() for _ in range(WAITERS)))

        assert {Lease(SignedUrl(signed(0)), 0)} == set(leases)
        assert 1 == provider.calls
        assert 0 == urls.refreshes

    async def test_refusals_of_many_are_one_call(self) -> None:
        """A hundred fetchers that are refused at once get one new URL between them."""
        provider = Signer()
        urls = refresher(provider)
        lease = await urls.lease()

        answers = await asyncio.gather(*(refuse(urls, lease) for _ in range(WAITERS)))
        new = await urls.lease()

        assert [True] * WAITERS == answers
        assert 2 == provider.calls
        assert 1 == provider.most_running
        assert [None, lease.url] == provider.rejected
        assert Lease(SignedUrl(signed(1)), 1) == new
        assert 1 == urls.refreshes

    async def test_late_refusal_costs_nothing(self) -> None:
        """Who comes late with an old generation finds a new URL there: no call, and nothing held against it."""
        provider = Signer()
        urls = refresher(provider)
        old = await urls.lease()
        await refuse(urls, old)

        answers = [await refuse(urls, old, why) for why in (EXPIRED, AMBIGUOUS, SKEW, PRESUMED) for _ in range(5)]

        assert [True] * 20 == answers
        assert 2 == provider.calls
        assert Lease(SignedUrl(signed(1)), 1) == await urls.lease()

    async def test_failure_is_shared_by_all_in_line(self) -> None:
        """A provider that fails is not asked once more by each of those who waited for it."""
        calls = 0

        async def provider(rejected: SignedUrl | None) -> str:
            nonlocal calls
            calls += 1
            await asyncio.sleep(0)
            raise LookupError("no such bucket")

        urls = refresher(provider)

        failures = await asyncio.gather(*(urls.lease() for _ in range(WAITERS)), return_exceptions=True)

        assert {RefreshError} == {type(failure) for failure in failures}
        assert 2 == calls  # the first try and the second

    async def test_no_more_than_one_call_a_second(self) -> None:
        """However often a server refuses, the provider is left a second between two calls."""
        clock = ManualClock()
        urls = refresher(Signer(), clock)
        for _ in range(5):
            lease = await urls.lease()
            urls.brought(lease)
            clock.advance(0.25)
            await refuse(urls, lease)

        assert [0.75] * 5 == clock.slept

    async def test_no_pause_after_a_second(self) -> None:
        """A URL that lasted longer is replaced at once."""
        clock = ManualClock()
        urls = refresher(Signer(), clock)
        lease = await urls.lease()
        clock.advance(1.0)

        await refuse(urls, lease)

        assert [] == clock.slept


class TestCancellation:
    async def test_next_in_line_calls_the_provider_itself(self) -> None:
        """A holder that is cancelled takes nobody with it."""
        provider = Signer(gate=asyncio.Event())
        urls = refresher(provider)
        holder, waiter = asyncio.create_task(urls.lease()), asyncio.create_task(urls.lease())
        await provider.asked.wait()
        provider.asked.clear()

        holder.cancel()
        await provider.asked.wait()
        provider.gate.set()  # type: ignore[union-attr]
        lease = await waiter

        assert holder.cancelled()
        assert 2 == provider.calls
        assert 1 == provider.most_running
        assert 0 == lease.generation

    async def test_lock_is_free_afterwards(self) -> None:
        """Also when nobody waited: the next one to come is served."""
        provider = Signer(gate=asyncio.Event())
        urls = refresher(provider)
        holder = asyncio.create_task(urls.lease())
        await provider.asked.wait()
        holder.cancel()
        with pytest.raises(asyncio.CancelledError):
            await holder

        provider.gate.set()  # type: ignore[union-attr]
        lease = await urls.lease()

        assert 0 == lease.generation

    async def test_cancelled_twice(self) -> None:
        """A provider that takes its time to clean up is cancelled again; the lock is free all the same."""
        cleaning, calls = asyncio.Event(), 0

        async def provider(rejected: SignedUrl | None) -> str:
            nonlocal calls
            calls += 1
            if calls > 1:
                return signed(calls)
            try:
                await asyncio.Event().wait()
            finally:
                cleaning.set()
                await asyncio.Event().wait()
            raise AssertionError

        urls = refresher(provider)
        holder = asyncio.create_task(urls.lease())
        waiter = asyncio.create_task(urls.lease())
        await asyncio.sleep(0)
        holder.cancel()
        await cleaning.wait()
        holder.cancel()

        assert signed(2) == (await waiter).url.url
        assert holder.cancelled()

    @pytest.mark.parametrize("why", [EXPIRED, AMBIGUOUS], ids=["expired", "ambiguous"])
    async def test_cancelled_renewals_are_not_held_against_the_url(self, why: object) -> None:
        """Three holders are cancelled in a row: nothing was renewed, so the fourth may renew."""
        provider = Signer()
        urls = refresher(provider)
        lease = await urls.lease()
        provider.gate = asyncio.Event()
        tasks = [asyncio.create_task(refuse(urls, lease, why)) for _ in range(4)]
        for task in tasks[:3]:
            provider.asked.clear()
            await provider.asked.wait()
            task.cancel()

        provider.gate.set()
        answers = await all_of(*tasks)

        assert answers[3] is True
        assert 5 == provider.calls
        assert 1 == provider.most_running
        assert 1 == (await urls.lease()).generation

    async def test_cancelled_in_line(self) -> None:
        """Whoever gives up waiting for the lock leaves the line, and the rest of it moves on."""
        provider = Signer(gate=asyncio.Event())
        urls = refresher(provider)
        tasks = [asyncio.create_task(urls.lease()) for _ in range(5)]
        await provider.asked.wait()

        tasks[1].cancel()
        tasks[3].cancel()
        provider.gate.set()  # type: ignore[union-attr]
        ended = await asyncio.gather(*tasks, return_exceptions=True)

        assert [False, True, False, True, False] == [isinstance(end, asyncio.CancelledError) for end in ended]
        assert 1 == provider.calls

    async def test_cancelled_while_it_waits_for_the_second_to_pass(self) -> None:
        """No call was made, so none is counted."""
        clock = ManualClock(parks=True)
        provider = Signer()
        urls = refresher(provider, clock)
        lease = await urls.lease()
        task = asyncio.create_task(refuse(urls, lease))
        await asyncio.sleep(0)
        await asyncio.sleep(0)

        assert 1 == clock.sleepers
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

        assert (1, 0) == (provider.calls, urls.refreshes)
        assert lease == await urls.lease()


class TestReuseWindow:
    async def test_young_url_that_worked_waits_for_the_window(self) -> None:
        """Refused without the word "expired", but it just worked: renewed by one for all, when the window is over."""
        clock = ManualClock()
        provider = Signer()
        urls = refresher(provider, clock, reuse_window=5)
        lease = await urls.lease()
        urls.accepted(lease)
        clock.advance(4.0)

        assert all(await asyncio.gather(*(refuse(urls, lease, PRESUMED) for _ in range(64))))
        assert [1.0] == clock.slept
        assert 2 == provider.calls

    async def test_young_static_url_that_worked_is_tried_again(self) -> None:
        """Where nothing can be renewed, the same URL may work again."""
        urls = refresher(signed(0), ManualClock(), reuse_window=5)
        lease = await urls.lease()
        urls.accepted(lease)

        assert not await refuse(urls, lease, PRESUMED)
        assert lease == await urls.lease()

    async def test_old_url_is_renewed(self) -> None:
        """After the window it is presumed dead."""
        clock = ManualClock()
        urls = refresher(Signer(), clock, reuse_window=5)
        lease = await urls.lease()
        urls.accepted(lease)
        clock.advance(5)

        assert await refuse(urls, lease, PRESUMED)
        assert 1 == urls.refreshes

    async def test_url_that_never_worked_is_renewed(self) -> None:
        """Youth speaks for a URL only if it ever worked."""
        urls = refresher(Signer(), reuse_window=5)
        lease = await urls.lease()

        assert await refuse(urls, lease, PRESUMED)
        assert 1 == urls.refreshes

    async def test_work_of_the_url_before_does_not_count(self) -> None:
        """A renewed URL has to prove itself."""
        urls = refresher(Signer(), reuse_window=5)
        first = await urls.lease()
        urls.accepted(first)
        await refuse(urls, first)
        second = await urls.lease()
        urls.accepted(first)

        assert await refuse(urls, second, PRESUMED)
        assert 2 == urls.refreshes

    async def test_expired_is_renewed_regardless(self) -> None:
        """The server's word weighs more than the URL's youth."""
        urls = refresher(Signer(), reuse_window=5)
        lease = await urls.lease()
        urls.accepted(lease)

        assert await refuse(urls, lease, EXPIRED)
        assert 1 == urls.refreshes

    async def test_known_to_be_dead_is_renewed_regardless(self) -> None:
        """So does its own end, by the server's clock."""
        urls = refresher(Signer(lambda number: signed(number, dies=2 + 1000 * number)), reuse_window=5)
        lease = await urls.lease()
        urls.accepted(lease)
        urls.note_date(date(2))

        assert await refuse(urls, lease, PRESUMED)
        assert 1 == urls.refreshes

    async def test_window_of_nothing(self) -> None:
        """0 switches it off."""
        urls = refresher(Signer(), reuse_window=0)
        lease = await urls.lease()
        urls.accepted(lease)

        assert await refuse(urls, lease, PRESUMED)
        assert 1 == urls.refreshes


class TestBounds:
    @pytest.mark.parametrize(
        ("why", "allowed", "error"),
        [
            (EXPIRED, 2, UrlExpiredError),
            (PRESUMED, 2, UrlExpiredError),
            (AMBIGUOUS, 1, ForbiddenError),
            (SKEW, 1, ForbiddenError),
        ],
        ids=["expired", "presumed expired", "ambiguous", "clock skew"],
    )
    async def test_renewed_urls_that_bring_nothing(
        self, why: object, allowed: int, error: type[UrlExpiredError | ForbiddenError]
    ) -> None:
        """So many renewals in a row may be in vain; then it ends with the server's words."""
        provider = Signer()
        urls = refresher(provider, reuse_window=0)
        for _ in range(allowed):
            assert await refuse(urls, await urls.lease(), why)
        last = await urls.lease()

        with pytest.raises(error, match="Request has expired") as caught:
            await refuse(urls, last, why)

        assert 1 + allowed == provider.calls
        assert 403 == caught.value.status
        assert "Request has expired" == caught.value.body_excerpt
        assert "look here" == caught.value.hint
        assert f"after {allowed} refreshes" in str(caught.value)

    @pytest.mark.parametrize("why", [EXPIRED, AMBIGUOUS, SKEW], ids=["expired", "ambiguous", "clock skew"])
    async def test_a_byte_starts_the_count_anew(self, why: object) -> None:
        """As long as each URL brings something there is no bound: a long download outlives any number of URLs."""
        urls = refresher(Signer())
        for _ in range(20):
            lease = await urls.lease()
            urls.brought(lease)
            await refuse(urls, lease, why)

        assert 20 == urls.refreshes

    async def test_failures_before_a_byte_are_forgotten(self) -> None:
        """Two more renewals may be in vain after it, whatever there was before."""
        urls = refresher(Signer())
        for brings in [False, False, True, False, False]:
            lease = await urls.lease()
            if brings:
                urls.brought(lease)

            assert await refuse(urls, lease)
        with pytest.raises(UrlExpiredError):
            await refuse(urls, await urls.lease())

    async def test_a_byte_over_the_url_before_does_not(self) -> None:
        """A body still running over the old URL says nothing about the new one."""
        urls = refresher(Signer())
        first = await urls.lease()
        await refuse(urls, first, AMBIGUOUS)
        urls.brought(first)

        with pytest.raises(ForbiddenError):
            await refuse(urls, await urls.lease(), AMBIGUOUS)

    async def test_being_accepted_is_not_enough(self) -> None:
        """A 206 without a byte is no progress."""
        urls = refresher(Signer(), reuse_window=0)
        for _ in range(2):
            lease = await urls.lease()
            urls.accepted(lease)
            await refuse(urls, lease)
        lease = await urls.lease()
        urls.accepted(lease)

        with pytest.raises(UrlExpiredError):
            await refuse(urls, lease)

    @pytest.mark.parametrize("source", [signed(0), SignedUrl(signed(0))], ids=["str", "SignedUrl"])
    @pytest.mark.parametrize(
        ("why", "error"), [(EXPIRED, UrlExpiredError), (AMBIGUOUS, ForbiddenError)], ids=["expired", "ambiguous"]
    )
    async def test_url_that_nobody_can_renew(
        self, source: Source, why: object, error: type[UrlExpiredError | ForbiddenError]
    ) -> None:
        """Without a provider the first refusal is the last."""
        urls = refresher(source)
        lease = await urls.lease()
        urls.brought(lease)

        with pytest.raises(error, match=r"status 403: Request has expired"):
            await refuse(urls, lease, why)

    async def test_redirect_is_asked_anew(self) -> None:
        """Where a plain URL redirects to signed ones, asking it again is the renewal; within the same bounds."""
        urls = refresher("https://front.example/object")
        for generation in range(2):
            lease = await urls.lease()

            assert Lease(SignedUrl("https://front.example/object"), generation) == lease
            assert await urls.rejected(lease, EXPIRED, redirected=True)
        with pytest.raises(UrlExpiredError):
            await urls.rejected(await urls.lease(), EXPIRED, redirected=True)

        assert 0 == urls.refreshes


class TestEarlyRenewal:
    @staticmethod
    def lived(seconds: float) -> Signer:
        """A provider of URLs that live so long, one after the other."""
        return Signer(lambda number: signed(number, dies=seconds * (number + 1)))

    @pytest.mark.parametrize(
        ("life", "margin"),
        [(3600, 6.0), (200, 6.0), (100, 5.0), (40, 2.0)],
        ids=["an hour", "200 s", "100 s", "40 s"],
    )
    async def test_margin(self, life: int, margin: float) -> None:
        """A URL is renewed `refresh_margin` seconds before its end, or a 20th of its life if that is less.

        A Date has whole seconds, so its server may be one ahead: the margin has one more.
        """
        clock = ManualClock()
        provider = self.lived(life)
        urls = refresher(provider, clock, refresh_margin=5, reuse_window=0)
        await urls.lease()
        urls.note_date(date())

        clock.advance(life - margin - 0.5)
        before = await urls.lease()
        clock.advance(1.0)
        after = await urls.lease()

        assert (0, 1) == (before.generation, after.generation)
        assert 2 == provider.calls
        assert [None, before.url] == provider.rejected

    async def test_many_at_once_renew_once(self) -> None:
        """The moment before the end strikes all fetchers together."""
        clock = ManualClock()
        provider = self.lived(100)
        urls = refresher(provider, clock)
        await urls.lease()
        urls.note_date(date())
        clock.advance(99)

        leases = await asyncio.gather(*(urls.lease() for _ in range(WAITERS)))

        assert {1} == {lease.generation for lease in leases}
        assert 2 == provider.calls

    async def test_who_was_in_line_takes_what_is_there(self) -> None:
        """A renewed URL that dies before the next in line wakes up costs no call of its own: a request comes first."""
        clock = ManualClock()
        provider = self.lived(100)
        urls = refresher(provider, clock)
        await urls.lease()
        urls.note_date(date())
        clock.advance(100)

        async def first() -> Lease:
            lease = await urls.lease()
            clock.advance(100)  # something held up the loop
            return lease

        leases = await asyncio.gather(first(), *(urls.lease() for _ in range(WAITERS)))

        assert {1} == {lease.generation for lease in leases}
        assert 2 == provider.calls

    async def test_never_without_the_servers_clock(self) -> None:
        """Our own clock may be wrong by hours, so it does not say when a URL dies."""
        clock = ManualClock()
        urls = refresher(self.lived(100), clock)
        await urls.lease()
        clock.advance(10_000)

        assert 0 == (await urls.lease()).generation

    @pytest.mark.parametrize("header", [None, "", "yesterday"])
    async def test_date_that_says_nothing(self, header: str | None) -> None:
        """A response without a usable Date teaches nothing."""
        clock = ManualClock()
        urls = refresher(self.lived(100), clock)
        await urls.lease()
        urls.note_date(header)
        clock.advance(10_000)

        assert 0 == (await urls.lease()).generation

    @pytest.mark.parametrize("jump", [3600, -3600])
    async def test_jumps_of_the_wall_clock_change_nothing(self, jump: float) -> None:
        """Time is measured from the server's Date with the monotonic clock."""
        clock = ManualClock()
        provider = self.lived(600)
        urls = refresher(provider, clock)
        await urls.lease()
        urls.note_date(date())

        clock.jump(jump)
        clock.advance(590)
        before = await urls.lease()
        clock.jump(jump)
        clock.advance(5)
        after = await urls.lease()

        assert (0, 1) == (before.generation, after.generation)

    @pytest.mark.parametrize("offset", [-7200, 7200])
    async def test_clock_of_the_server_is_the_one_that_counts(self, offset: float) -> None:
        """A server that is hours off judges its URLs by its own clock, and so do we."""
        clock = ManualClock()
        urls = refresher(Signer(lambda number: signed(number, dies=offset + 600 * (number + 1))), clock)
        await urls.lease()
        urls.note_date(date(offset))

        clock.advance(590)
        before = await urls.lease()
        clock.advance(5)
        after = await urls.lease()

        assert (0, 1) == (before.generation, after.generation)

    async def test_expires_at_overrides_what_the_url_says(self) -> None:
        """A provider may know better: a session token may die before the signature does."""
        clock = ManualClock()
        urls = refresher(
            Signer(lambda number: SignedUrl(signed(number, dies=3600), expires_at=EPOCH + 100 * (number + 1))), clock
        )
        await urls.lease()
        urls.note_date(date())
        clock.advance(97)

        assert EPOCH + 100 == urls.expires_at
        assert 1 == (await urls.lease()).generation
        assert EPOCH + 200 == urls.expires_at

    async def test_not_while_young(self) -> None:
        """A provider whose URLs hardly live is not asked before every request."""
        clock = ManualClock()
        provider = Signer(lambda number: signed(number, dies=4 * (number + 1)))
        urls = refresher(provider, clock, reuse_window=5)
        await urls.lease()
        urls.note_date(date())
        clock.advance(3.9)

        assert 0 == (await urls.lease()).generation
        clock.advance(0.2)
        assert 1 == (await urls.lease()).generation

    async def test_same_url_again_is_kept(self) -> None:
        """A provider that caches has nothing newer yet: the URL still lives, and is used to its end."""
        clock = ManualClock()
        provider = Signer(lambda number: signed(0, dies=100))
        urls = refresher(provider, clock)
        await urls.lease()
        urls.note_date(date())
        clock.advance(96)

        leases = [await urls.lease() for _ in range(10)]

        assert {signed(0, dies=100)} == {lease.url.url for lease in leases}
        assert 2 == provider.calls

    async def test_static_url_is_never_renewed(self) -> None:
        """Where nobody can renew it, its end is left to the server."""
        clock = ManualClock()
        urls = refresher(signed(0, dies=100), clock)
        urls.note_date(date())
        clock.advance(10_000)

        assert 0 == (await urls.lease()).generation


class TestAnswersThatAreRefused:
    async def renewed(self, answer: object, *, first: str | None = None) -> Lease:
        """What a refusal leads to when the provider's second answer is `answer`."""
        answers = [first or signed(0), answer]
        urls = refresher(Signer(lambda number: answers[number]))  # type: ignore[arg-type,return-value]
        urls.note_date(date())
        await refuse(urls, await urls.lease())
        return await urls.lease()

    async def test_the_url_that_was_refused(self) -> None:
        """It would be refused again."""
        with pytest.raises(RefreshError, match="the same URL that was refused"):
            await self.renewed(signed(0))

    async def test_http_after_https(self) -> None:
        """Nobody may take the encryption away in mid-download."""
        with pytest.raises(RefreshError, match="an http URL after an https one"):
            await self.renewed(signed(1, scheme="http"))

    async def test_https_after_http(self) -> None:
        """The other way round is fine."""
        lease = await self.renewed(signed(1), first=signed(0, scheme="http"))

        assert signed(1) == lease.url.url

    @pytest.mark.parametrize(
        "answer", [signed(1, dies=-1), SignedUrl(signed(1, dies=3600), expires_at=EPOCH - 1)], ids=["its own", "given"]
    )
    @pytest.mark.parametrize("why", [EXPIRED, PRESUMED], ids=["expired", "presumed"])
    async def test_already_expired(self, answer: str | SignedUrl, why: Refusal) -> None:
        """A URL whose end has passed is tried, for a date may mean something else; refused, it is the provider's."""
        answers: list[str | SignedUrl] = [signed(0), answer]
        urls = refresher(Signer(lambda number: answers[number]))
        urls.note_date(date())
        await refuse(urls, await urls.lease())
        lease = await urls.lease()

        assert 1 == lease.generation
        with pytest.raises(RefreshError, match="already expired"):
            await refuse(urls, lease, why)

    async def test_dead_url_of_nobodys(self) -> None:
        """Where a URL past its end redirects, asking it again is no provider's fault: it expired."""
        urls = refresher(SignedUrl("https://front.example/object", expires_at=EPOCH - 1))
        urls.note_date(date())
        for _ in range(2):
            assert await urls.rejected(await urls.lease(), EXPIRED, redirected=True)

        with pytest.raises(UrlExpiredError, match="Request has expired"):
            await urls.rejected(await urls.lease(), EXPIRED, redirected=True)

    @pytest.mark.parametrize(
        "answer", [None, 7, b"https://host/", "", "ftp://host/x", "https://ho st/?sig=secret-of-mine", object()]
    )
    async def test_no_url_at_all(self, answer: object) -> None:
        """Whatever it is, it is the provider's fault, and is not repeated to the reader."""
        with pytest.raises(RefreshError, match="unusable") as caught:
            await self.renewed(answer)

        assert "secret-of-mine" not in str(caught.value)

    async def test_headers_that_cannot_be_sent(self) -> None:
        """They are checked like the caller's."""
        with pytest.raises(RefreshError, match="control character"):
            await self.renewed(SignedUrl(signed(1), headers=(("X-Token", "a\r\nHost: evil"),)))

    @pytest.mark.parametrize("source", [7, None, b"https://host/"])
    def test_source_that_is_neither_url_nor_callable(self, source: object) -> None:
        """A source that cannot work is refused before anything begins."""
        with pytest.raises(OptionsError, match=r"a source is a URL or a callable|a URL must be a str"):
            refresher(source)  # type: ignore[arg-type]


async def test_home_is_the_first_urls_origin() -> None:
    """The caller's headers belong to the first origin, wherever later URLs lead."""
    answers = ["https://one.example/x", "https://two.example/x"]
    urls = refresher(Signer(lambda number: answers[number]))
    lease = await urls.lease()
    await refuse(urls, lease)

    assert "https://two.example/x" == (await urls.lease()).url.url
    assert Origin("https", "one.example", 443) == urls.home
