"""One fetcher alone: which tries it makes, how long it waits between them, and that no byte is lost or comes twice."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest

from asyncdl import receiver, watch
from asyncdl.errors import (
    ConnectError,
    DeadlineError,
    ForbiddenError,
    HttpStatusError,
    IntegrityError,
    RemoteChangedError,
    ResponseMismatchError,
    StallError,
    TransferError,
)
from asyncdl.fetcher import Fetcher
from asyncdl.job import Job
from asyncdl.model import Chunk, RemoteObject
from asyncdl.options import Retry, Timeouts
from asyncdl.rules.pace import Pace, PaceKeeper
from asyncdl.rules.parts import Claim
from tests.support.clock import ManualClock
from tests.support.fakes import Call, Reply, ScriptedTransport, honest
from tests.support.job import CONTENT, Lender, joined, make_job, queued, turns
from tests.support.urls import Signer, date

SIZE = len(CONTENT)
KNOWN = RemoteObject(SIZE, '"fake"')
#: A queue that a whole test fits into.
ROOMY = 4000
BROKEN = ConnectError("the connection broke", retryable=True)
SILENT = StallError("no response headers", retryable=True)
REFUSED = ConnectError("no such certificate")
POISON = b"no part of the object"


def shortened(length: int) -> Callable[[Call], Reply]:
    """A connection that breaks after so many bytes of the honest answer."""

    def reply(call: Call) -> Reply:
        whole = honest(CONTENT, call, piece=length)
        return replace(whole, pieces=whole.pieces[:1], end="broken")

    return reply


def quiet(length: int) -> Callable[[Call], Reply]:
    """The same, but the connection goes quiet instead."""
    return lambda call: replace(shortened(length)(call), end="silent")


def overloaded(**headers: str) -> Reply:
    """503 with these headers."""
    pairs = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    return Reply(status=503, headers=pairs, pieces=(POISON,))


def whole(call: Call) -> Reply:
    """200, whatever was asked for."""
    return Reply(status=200, headers=(("Content-Length", str(SIZE)), ("ETag", '"fake"')), pieces=(CONTENT,))


def elsewhere(call: Call) -> Reply:
    """206 for a range that was not asked for."""
    return honest(CONTENT, replace(call, start=call.start + 8))


def hollow(call: Call) -> Reply:
    """206 in chunks, whose last one comes before any data."""
    content_range, *_ = honest(CONTENT, call).headers
    return Reply(headers=(content_range, ("Transfer-Encoding", "chunked"), ("ETag", '"fake"')))


class TestWithoutFaults:
    async def test_one_part(self) -> None:
        """The bytes of a claim come to the queue in order, each once."""
        transport = ScriptedTransport(CONTENT, chunk_size=1000)
        job = make_job(transport, queue_depth=ROOMY)

        await Fetcher(job).run()
        chunks = queued(job)

        assert CONTENT == joined(chunks)
        assert sorted(chunk.offset for chunk in chunks) == [chunk.offset for chunk in chunks]
        assert (SIZE, 1, 0) == (job.counters.fetched, job.counters.requests, job.counters.retries)

    async def test_part_after_part(self) -> None:
        """An idle fetcher takes whatever the planner has, until there is nothing left."""
        transport = ScriptedTransport(CONTENT)
        job = make_job(transport, part_size=5000, queue_depth=ROOMY)

        await Fetcher(job).run()

        assert CONTENT == joined(queued(job))
        assert list(range(0, SIZE, 5000)) == [call.start for call in transport.calls]
        assert [min(at + 5000, SIZE) for at in range(0, SIZE, 5000)] == [call.stop for call in transport.calls]

    async def test_given_claim_comes_first(self) -> None:
        """The probe's fetcher goes on with the planner's parts."""
        transport = ScriptedTransport(CONTENT)
        job = make_job(transport, part_size=SIZE, queue_depth=ROOMY)

        await Fetcher(job).run(Claim(100, 200))

        assert [(100, 200), (0, SIZE)] == [(call.start, call.stop) for call in transport.calls]

    async def test_nothing_to_do(self) -> None:
        """No planner, no claim, no request."""
        transport = ScriptedTransport(CONTENT)

        await Fetcher(make_job(transport, size=None)).run()

        assert [] == transport.calls

    async def test_short_range_is_taken_up(self) -> None:
        """A 206 may bring less than was asked for: the rest is another request, and no retry."""
        transport = ScriptedTransport(CONTENT)
        transport.script(lambda call: honest(CONTENT, replace(call, stop=500)))
        job = make_job(transport, queue_depth=ROOMY)

        await Fetcher(job).run()

        assert CONTENT == joined(queued(job))
        assert [0, 500] == [call.start for call in transport.calls]
        assert (0, 2) == (job.counters.retries, job.counters.requests)


LIMITS = {
    "nobody ever answered": (Reply(error=BROKEN), False, 4),
    "the connection breaks": (Reply(error=BROKEN), True, 6),
    "no headers at first": (Reply(error=SILENT), False, 6),
    "no headers later": (Reply(error=SILENT), True, 6),
    "overloaded": (overloaded(), False, 6),
    "chunks without data": (hollow, False, 6),
    "another range": (elsewhere, False, 3),
    "another range later": (elsewhere, True, 3),
    "no certificate": (Reply(error=REFUSED), False, 1),
    "not found": (Reply(status=404, pieces=(POISON,)), False, 1),
    "encoded": (lambda call: replace(honest(CONTENT, call), headers=(("Content-Encoding", "gzip"),)), False, 1),
}


class TestAttempts:
    @pytest.mark.parametrize(("reply", "known", "limit"), LIMITS.values(), ids=LIMITS.keys())
    async def test_limit(self, reply: Reply | Callable[[Call], Reply], known: bool, limit: int) -> None:
        """Each kind of fault is tried again as often as that may help, and the error says how often that was."""
        transport = ScriptedTransport(CONTENT)
        transport.script(*[reply] * 20)
        job = make_job(transport, retry=Retry(attempts=6))
        job.remote = KNOWN if known else None

        with pytest.raises(TransferError) as caught:
            await Fetcher(job).run(Claim(100, 200))

        assert limit == len(transport.calls) == job.counters.requests
        assert limit == caught.value.attempts
        assert limit - 1 == job.counters.retries
        assert (100, 200) == caught.value.part
        assert 0 == transport.in_flight
        assert [] == queued(job)

    @pytest.mark.parametrize("reply", [Reply(error=BROKEN), elsewhere], ids=["broken", "another range"])
    async def test_fewer_attempts_than_the_limit_of_the_kind(self, reply: Reply | Callable[[Call], Reply]) -> None:
        """The caller's number is never exceeded."""
        transport = ScriptedTransport(CONTENT)
        transport.script(*[reply] * 20)

        with pytest.raises(TransferError):
            await Fetcher(make_job(transport, retry=Retry(attempts=2))).run()

        assert 2 == len(transport.calls)

    async def test_limit_of_a_kind_counts_its_own(self) -> None:
        """One answer to another question, after a row of 503, is the first of its kind."""
        transport = ScriptedTransport(CONTENT)
        transport.script(*[overloaded()] * 4, elsewhere, overloaded(), elsewhere)
        job = make_job(transport, queue_depth=ROOMY)

        await Fetcher(job).run()

        assert CONTENT == joined(queued(job))
        assert 7 == job.counters.retries

    async def test_crowded_out(self) -> None:
        """Who is told to slow down while others are served is not at its end, however often; the budget bounds it."""
        transport = ScriptedTransport(CONTENT)
        job = make_job(transport, retry=Retry(attempts=3, budget=40), queue_depth=ROOMY)

        def served_elsewhere(call: Call) -> Reply:
            job.gate.succeeded()
            return overloaded()

        transport.script(*[served_elsewhere] * 30, overloaded())

        await Fetcher(job).run()

        assert CONTENT == joined(queued(job))
        assert 31 == job.counters.retries

    async def test_crowded_out_until_nobody_is_served(self) -> None:
        """Without a byte for anyone, the attempts count; and so they do for other faults than crowds."""
        for reply in (overloaded(), Reply(error=BROKEN), Reply(status=500)):
            transport = ScriptedTransport(CONTENT)
            job = make_job(transport, retry=Retry(attempts=3))
            job.remote = KNOWN
            job.begun.set()
            crowded = reply.status == 503

            def served_elsewhere(call: Call, job: Job = job, reply: Reply = reply, crowded: bool = crowded) -> Reply:
                if not crowded:
                    job.gate.succeeded()
                return reply

            transport.script(*[served_elsewhere] * 9)
            with pytest.raises(TransferError):
                await Fetcher(job).run()

            assert 3 == len(transport.calls)

    async def test_kinds_together_have_the_callers_number(self) -> None:
        """Changing faults do not last longer than one that stays the same."""
        transport = ScriptedTransport(CONTENT)
        for _ in range(9):
            transport.script(overloaded(), elsewhere, Reply(error=SILENT))

        with pytest.raises(HttpStatusError) as caught:
            await Fetcher(make_job(transport, retry=Retry(attempts=4))).run()

        assert 4 == len(transport.calls) == caught.value.attempts

    async def test_new_bytes_start_the_count_anew(self) -> None:
        """However often it breaks: who gets on may go on."""
        transport = ScriptedTransport(CONTENT)
        transport.script(*[shortened(8)] * 100)
        job = make_job(transport, retry=Retry(attempts=2, budget=5), queue_depth=ROOMY)

        await Fetcher(job).run()

        assert CONTENT == joined(queued(job))
        assert list(range(0, 808, 8)) == [call.start for call in transport.calls]
        assert 100 == job.counters.retries
        assert SIZE == job.counters.fetched

    async def test_position_of_the_failure(self) -> None:
        """The error names what was still missing of the part, and the tries since its last byte."""
        transport = ScriptedTransport(CONTENT)
        transport.script(Reply(error=BROKEN), shortened(64), *[Reply(error=BROKEN)] * 9)
        job = make_job(transport, retry=Retry(attempts=3), queue_depth=ROOMY)
        job.remote = KNOWN
        job.begun.set()

        with pytest.raises(ConnectError) as caught:
            await Fetcher(job).run(Claim(0, 1000))

        assert (64, 1000) == caught.value.part
        assert 3 == caught.value.attempts
        assert [0, 0, 64, 64] == [call.start for call in transport.calls]

    async def test_each_part_has_its_own_attempts(self) -> None:
        """Faults of one part are not held against the next."""
        transport = ScriptedTransport(CONTENT)
        job = make_job(transport, retry=Retry(attempts=3), part_size=SIZE // 8, queue_depth=ROOMY)
        for _ in range(8):
            transport.script(overloaded(), overloaded(), lambda call: honest(CONTENT, call))

        await Fetcher(job).run()

        assert CONTENT == joined(queued(job))
        assert 16 == job.counters.retries

    async def test_renewals_are_no_attempts(self) -> None:
        """A URL that is renewed costs no retry: the refresher bounds that."""
        transport = ScriptedTransport(CONTENT)
        expired = Reply(
            status=403,
            pieces=(b"<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>",),
        )
        transport.script(expired, shortened(8), expired, expired, shortened(8), expired)
        job = make_job(transport, source=Signer(), retry=Retry(attempts=2), queue_depth=ROOMY)

        await Fetcher(job).run()

        assert CONTENT == joined(queued(job))
        assert (4, 2) == (job.refresher.refreshes, job.counters.retries)


class TestBackOff:
    async def test_full_jitter_with_the_largest_die(self) -> None:
        """Base, doubled each time, up to the cap; from the start again after a new byte."""
        clock = ManualClock(jitter=1.0)
        transport = ScriptedTransport(CONTENT)
        transport.script(*[overloaded()] * 5, shortened(8), overloaded())
        job = make_job(transport, clock=clock, retry=Retry(base=0.5, cap=3), queue_depth=ROOMY)

        await Fetcher(job).run()

        assert [0.5, 1.0, 2.0, 3.0, 3.0, 0.5, 1.0] == clock.slept

    async def test_jitter_is_rolled(self) -> None:
        """The die decides between nothing and that."""
        clock = ManualClock(jitter=0.25)
        transport = ScriptedTransport(CONTENT)
        transport.script(*[overloaded()] * 3)

        await Fetcher(make_job(transport, clock=clock, retry=Retry(base=1, cap=30), queue_depth=ROOMY)).run()

        assert [0.25, 0.5, 1.0] == clock.slept

    @pytest.mark.parametrize(("asked", "waited"), [("7", 7.0), ("0", 0.5), ("9999", 60.0)])
    async def test_retry_after(self, asked: str, waited: float) -> None:
        """The server's wish is a lower bound, up to a cap."""
        clock = ManualClock()
        transport = ScriptedTransport(CONTENT)
        transport.script(overloaded(Retry_After=asked))

        await Fetcher(make_job(transport, clock=clock, retry=Retry(retry_after_cap=60), queue_depth=ROOMY)).run()

        assert [waited] == clock.slept

    async def test_retry_after_as_a_date(self) -> None:
        """Measured against the Date of the same response."""
        clock = ManualClock()
        transport = ScriptedTransport(CONTENT)
        transport.script(overloaded(Retry_After=date(11), Date=date()))

        await Fetcher(make_job(transport, clock=clock, queue_depth=ROOMY)).run()

        assert [11.0] == clock.slept

    async def test_retry_after_beyond_the_deadline(self) -> None:
        """Nobody waits for what comes too late; the server's words are told."""
        clock = ManualClock()
        transport = ScriptedTransport(CONTENT)
        transport.script(overloaded(Retry_After="60"))
        job = make_job(transport, clock=clock, deadline=clock.monotonic() + 60)

        with pytest.raises(DeadlineError, match="503") as caught:
            await Fetcher(job).run()

        assert isinstance(caught.value.__cause__, HttpStatusError)
        assert [] == clock.slept
        assert 0 == job.counters.retries

    async def test_nothing_is_open_while_it_waits(self) -> None:
        """Neither between two tries nor during a renewal does a fetcher hold a connection."""
        transport = ScriptedTransport(CONTENT)
        expired = Reply(
            status=403,
            pieces=(b"<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>",),
        )
        transport.script(overloaded(), expired)
        clock, provider = ManualClock(parks=True), Signer()
        job = make_job(transport, source=provider, clock=clock, queue_depth=ROOMY)
        fetching = asyncio.create_task(Fetcher(job).run())
        await turns()

        assert (1, 0) == (clock.sleepers, transport.in_flight)
        provider.gate = asyncio.Event()
        clock.advance(10)
        await turns()

        assert (1, 0) == (provider.running, transport.in_flight)
        provider.gate.set()
        await fetching

        assert CONTENT == joined(queued(job))


class TestBudget:
    async def test_it_is_shared(self) -> None:
        """Two fetchers that get nowhere have together what one would have alone."""
        transport = ScriptedTransport(CONTENT)
        transport.script(*[overloaded()] * 100)
        job = make_job(transport, retry=Retry(attempts=50, budget=7), part_size=SIZE // 2)

        ended = await asyncio.gather(Fetcher(job).run(), Fetcher(job).run(), return_exceptions=True)

        assert [HttpStatusError] * 2 == [type(error) for error in ended]
        assert 7 == job.counters.retries
        assert 2 + 7 == len(transport.calls)

    async def test_none_at_all(self) -> None:
        """0 means that nothing is tried again."""
        transport = ScriptedTransport(CONTENT)
        transport.script(overloaded())

        with pytest.raises(HttpStatusError):
            await Fetcher(make_job(transport, retry=Retry(budget=0))).run()

        assert 1 == len(transport.calls)

    async def test_a_break_after_new_bytes_gives_one_back(self) -> None:
        """Such a retry costs nothing in the end."""
        transport = ScriptedTransport(CONTENT)
        transport.script(*[shortened(8)] * 50)
        job = make_job(transport, retry=Retry(budget=1), queue_depth=ROOMY)

        await Fetcher(job).run()

        assert 50 == job.counters.retries
        assert 1 == job.budget.left

    async def test_success_gives_one_back(self) -> None:
        """A server that refuses every other request still brings a file of any size."""
        transport = ScriptedTransport(CONTENT)
        job = make_job(transport, retry=Retry(budget=1), part_size=SIZE // 32, queue_depth=ROOMY)
        for _ in range(32):
            transport.script(overloaded(), lambda call: honest(CONTENT, call))

        await Fetcher(job).run()

        assert CONTENT == joined(queued(job))
        assert 32 == job.counters.retries
        assert 1 == job.budget.left

    async def test_never_more_than_at_first(self) -> None:
        """Successes are no savings."""
        job = make_job(ScriptedTransport(CONTENT), retry=Retry(budget=3), part_size=SIZE // 32, queue_depth=ROOMY)

        await Fetcher(job).run()

        assert 3 == job.budget.left


class TestStalls:
    #: Long enough for a busy machine to do what takes microseconds, short enough to wait for.
    QUICK = Timeouts(stall=0.1, low_speed=None)

    async def test_silence_in_mid_body(self) -> None:
        """The server goes quiet: the connection is given up, and the rest asked for on another."""
        transport = ScriptedTransport(CONTENT)
        transport.script(quiet(800))
        job = make_job(transport, timeouts=self.QUICK, queue_depth=ROOMY)

        await Fetcher(job).run()

        assert CONTENT == joined(queued(job))
        assert [0, 800] == [call.start for call in transport.calls]
        assert 1 == job.counters.retries
        assert 0 == transport.in_flight

    async def test_silence_for_good(self) -> None:
        """The error says how long nothing came."""
        transport = ScriptedTransport(CONTENT)
        transport.script(quiet(8))
        job = make_job(transport, timeouts=self.QUICK, retry=Retry(attempts=1), queue_depth=ROOMY)

        with pytest.raises(StallError, match=r"sent nothing for 0\.1 s") as caught:
            await Fetcher(job).run()

        assert (8, SIZE) == caught.value.part

    async def test_too_slow(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Bytes that come too slowly are named with the speed that was asked for."""
        monkeypatch.setattr(PaceKeeper, "sample", lambda *_: Pace.SLOW)
        transport = ScriptedTransport(CONTENT)
        transport.script(quiet(8))
        timeouts = Timeouts(stall=30, low_speed=(500.0, 0.04))
        job = make_job(transport, timeouts=timeouts, retry=Retry(attempts=1), queue_depth=ROOMY)

        with pytest.raises(StallError, match=r"less than 500 bytes/s for 0\.04 s"):
            await Fetcher(job).run()

    async def test_our_own_full_queue_is_not_the_servers_fault(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """However long the disk takes, a parked connection is neither stalled nor slow."""
        long_enough, looks = asyncio.Event(), 0
        real = PaceKeeper.sample

        def sample(keeper: PaceKeeper, now: float, received: int) -> Pace:
            nonlocal looks
            looks += keeper.parked
            if looks >= 12:  # three times as long as a stall takes
                long_enough.set()
            return real(keeper, now, received)

        monkeypatch.setattr(PaceKeeper, "sample", sample)
        transport = ScriptedTransport(CONTENT, chunk_size=4096)
        job = make_job(transport, timeouts=Timeouts(stall=0.04, low_speed=(1e9, 0.04)), queue_depth=2)
        fetching = asyncio.create_task(Fetcher(job).run())
        await long_enough.wait()

        assert not fetching.done()
        chunks = []
        while not fetching.done() or not job.queue.empty():
            chunks += queued(job)
            await asyncio.sleep(0)
        await fetching

        assert CONTENT == joined(chunks)
        assert 1 == len(transport.calls)

    async def test_a_later_look_is_not_left_behind(self) -> None:
        """A body that has ended is not looked at any more."""
        transport = ScriptedTransport(CONTENT)
        job = make_job(transport, timeouts=self.QUICK, queue_depth=ROOMY)
        loop = asyncio.get_running_loop()

        await Fetcher(job).run()
        pending = [handle for handle in loop._scheduled if not handle.cancelled()]  # type: ignore[attr-defined]

        assert [] == [handle for handle in pending if "_look" in repr(handle)]


class TestNoChunkIsLost:
    """A stall that strikes while a chunk waits for room in the queue."""

    @staticmethod
    async def parked(monkeypatch: pytest.MonkeyPatch) -> tuple[asyncio.Task[None], Job, Lender, Callable[[], None]]:
        """A fetcher that waits for room, and what makes its watch end the wait."""
        watches: list[watch.Watch] = []

        class Watch(watch.Watch):
            def __init__(self, *arguments: object) -> None:
                super().__init__(*arguments)  # type: ignore[arg-type]
                watches.append(self)

        monkeypatch.setattr(receiver, "Watch", Watch)
        lender = Lender(ScriptedTransport(CONTENT, chunk_size=4096))
        job = make_job(lender, queue_depth=2)
        fetching = asyncio.create_task(Fetcher(job).run())
        await turns()

        assert job.queue.full()
        assert watches[0].keeper.parked

        def strike() -> None:
            watches[0]._pace = Pace.STALLED
            watches[0].bound.reschedule(asyncio.get_running_loop().time())

        return fetching, job, lender, strike

    @pytest.mark.parametrize("order", ["room first", "stall first", "stall alone"])
    @pytest.mark.parametrize("between", [0, 1, 2])
    async def test_stall_while_putting(self, monkeypatch: pytest.MonkeyPatch, order: str, between: int) -> None:
        """Whichever comes first, and however close: each byte enters the queue once, each buffer comes back once."""
        fetching, job, lender, strike = await self.parked(monkeypatch)
        chunks: list[Chunk] = []
        if order == "room first":
            chunks += queued(job)
            await turns(between)
        strike()
        if order == "stall first":
            await turns(between)
            chunks += queued(job)
        while not fetching.done() or not job.queue.empty():
            await turns(3)
            chunks += queued(job)
        await fetching
        content = joined(chunks)
        for chunk in chunks:
            chunk.release()

        assert CONTENT == content
        assert set() == lender.out
        assert {1} == set(lender.returned.values())
        assert SIZE == job.counters.fetched

    async def test_cancelled_while_putting(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The chunk in hand is given back; what is in the queue is the writer's business."""
        fetching, job, lender, _ = await self.parked(monkeypatch)

        fetching.cancel()
        with pytest.raises(asyncio.CancelledError):
            await fetching

        assert 1 == job.queue.qsize()
        assert {0} == lender.out
        assert {1: 1} == lender.returned


class TestVerdicts:
    async def test_refused_bytes_never_enter_the_queue(self) -> None:
        """Bodies of refusals and of answers to another question are no data."""
        transport = ScriptedTransport(CONTENT)
        transport.script(
            overloaded(),
            lambda call: replace(elsewhere(call), pieces=(POISON,)),
            lambda call: replace(honest(CONTENT, call), headers=(), pieces=(POISON,)),
        )
        job = make_job(transport, queue_depth=ROOMY)

        await Fetcher(job).run()

        assert CONTENT == joined(queued(job))

    async def test_ranges_ignored_three_times(self) -> None:
        """200 to a later range is no data; after three of them the whole object is taken as one stream."""
        transport = ScriptedTransport(CONTENT)
        transport.script(*[whole] * 4)
        job = make_job(transport, queue_depth=ROOMY)
        other = asyncio.create_task(asyncio.Event().wait())
        job.fetchers += [other]

        await Fetcher(job).run(Claim(1000, 2000))
        await asyncio.wait({other})

        assert job.sequential
        assert other.cancelled()
        assert job.scheduler.planner is not None
        assert job.scheduler.planner.claim() is None
        assert [1000, 1000, 1000, 0] == [call.start for call in transport.calls]
        assert CONTENT == joined(queued(job))

    async def test_stream_that_breaks_begins_again(self) -> None:
        """Without ranges everything comes once more, from the start; what is fetched twice counts twice."""
        transport = ScriptedTransport(CONTENT)
        transport.script(lambda call: replace(whole(call), pieces=(CONTENT[:800],), end="broken"), whole)
        job = make_job(transport, queue_depth=ROOMY)

        await Fetcher(job).run()
        first, *again = queued(job)

        assert CONTENT[:800] == first.data
        assert CONTENT == joined(again)
        assert [0, 800] == [call.start for call in transport.calls]
        assert 800 + SIZE == job.counters.fetched

    async def test_object_of_another_size(self) -> None:
        """A size that the caller declared is checked before a byte is taken."""
        transport = ScriptedTransport(CONTENT)
        job = make_job(transport, size=SIZE - 1)

        with pytest.raises(IntegrityError, match=f"has {SIZE} bytes, not the {SIZE - 1} declared"):
            await Fetcher(job).run()

        assert [] == queued(job)
        assert 1 == len(transport.calls)

    async def test_object_that_changed(self) -> None:
        """Another entity tag ends it, at once."""
        transport = ScriptedTransport(CONTENT)
        transport.script(shortened(800), lambda call: honest(CONTENT, call, etag='"other"'))
        job = make_job(transport, queue_depth=ROOMY)

        with pytest.raises(RemoteChangedError, match="entity tag"):
            await Fetcher(job).run()

        assert CONTENT[:800] == joined(queued(job))
        assert 2 == len(transport.calls)

    async def test_empty_object(self) -> None:
        """416 for the first byte of an object without bytes is its end, not a fault."""
        transport = ScriptedTransport(b"")
        job = make_job(transport, size=None)

        await Fetcher(job).run(Claim(0, 100))

        assert RemoteObject(0) == job.remote
        assert [] == queued(job)

    async def test_refusal_for_good(self) -> None:
        """The server's words and status reach the caller."""
        transport = ScriptedTransport(CONTENT)
        transport.script(
            Reply(status=403, pieces=(b"<Error><Code>SignatureDoesNotMatch</Code><Message>no</Message></Error>",))
        )

        with pytest.raises(ForbiddenError, match=r"403 Forbidden: SignatureDoesNotMatch: no") as caught:
            await Fetcher(make_job(transport, source=Signer())).run()

        assert 403 == caught.value.status

    async def test_mismatch_says_what_came(self) -> None:
        """Half-open, as everywhere."""
        transport = ScriptedTransport(CONTENT)
        transport.script(*[elsewhere] * 3)

        with pytest.raises(ResponseMismatchError, match="asked for bytes 0 to 100, got bytes 8 to 100"):
            await Fetcher(make_job(transport)).run(Claim(0, 100))
