"""A fetcher from which a part is taken: whatever happens in the same moment, no byte is lost, comes twice or leaks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from asyncdl.edge.transport import Response
from asyncdl.errors import ConnectError
from asyncdl.fetcher import Fetcher
from asyncdl.job import Job
from asyncdl.model import Chunk, HeaderPairs, Headers, SignedUrl
from asyncdl.options import KIB, MIB, Retry
from asyncdl.rules.parts import Claim
from asyncdl.rules.urls import Origin
from asyncdl.scheduler import Transfer
from tests.support.fakes import ScriptedTransport
from tests.support.job import Lender, joined, make_job, queued, turns

SIZE = MIB
#: Every 8 bytes say where they are.
CONTENT = b"".join(at.to_bytes(8, "big") for at in range(0, SIZE, 8))
PIECE = 64 * KIB
ROOMY = 400


class HandFed(ScriptedTransport):
    """A transport whose bodies come when the test says so; `length=False` leaves Content-Length out of responses."""

    def __init__(self, *, length: bool = True) -> None:
        super().__init__(CONTENT)
        self.bodies: list[Body] = []
        self._length = length

    @asynccontextmanager
    async def open(
        self, url: SignedUrl, start: int, stop: int | None, *, headers: HeaderPairs, home: Origin
    ) -> AsyncIterator[Response]:
        body = Body(start, min(stop or SIZE, SIZE), length=self._length)
        self.bodies.append(body)
        self.in_flight += 1
        try:
            yield body
        finally:
            self.in_flight -= 1


class Body(Response):
    """A response and its body in one."""

    def __init__(self, start: int, stop: int, *, length: bool) -> None:
        self._start, self._position, self._stop = start, start, stop
        self._fed, self._broken, self._length = 0, False, length
        self._news = asyncio.Event()
        self.count = 0

    status = 206
    hops = 0
    secrets = ()

    @property
    def headers(self) -> Headers:
        length = [("Content-Length", str(self._stop - self._start))] if self._length else []
        return Headers([*length, ("Content-Range", f"bytes {self._start}-{self._stop - 1}/{SIZE}"), ("ETag", '"x"')])

    def feed(self, length: int = PIECE) -> None:
        """So many bytes arrive."""
        self._fed += length
        self._news.set()

    def feed_all(self) -> None:
        self.feed(self._stop - self._position)

    def break_off(self) -> None:
        """The connection breaks, after what has arrived."""
        self._broken = True
        self._news.set()

    @property
    def received(self) -> int:
        return self.count

    def at_hand(self, start: int, stop: int) -> Chunk | None:
        return None

    def body(self, start: int, stop: int | None) -> Body:
        return self

    async def excerpt(self, limit: int) -> bytes:
        return b""

    async def receive(self) -> Chunk | None:
        while self._position < self._stop:
            if self._fed:
                length = min(self._fed, PIECE, self._stop - self._position)
                chunk = Chunk(self._position, CONTENT[self._position : self._position + length])
                self._fed -= length
                self.count += length
                self._position = chunk.stop
                return chunk
            if self._broken:
                raise ConnectError("the connection broke", retryable=True)
            self._news.clear()
            await self._news.wait()
        return None


class Stage:
    """One fetcher at work on the whole object, and an idle one that may take from it."""

    def __init__(self, *, queue_depth: int = ROOMY, length: bool = True, retry: Retry = Retry()) -> None:
        self.transport = HandFed(length=length)
        self.lender = Lender(self.transport)
        self.job: Job = make_job(self.lender, size=SIZE, queue_depth=queue_depth, retry=retry)
        self.job.scheduler._usual = float(MIB)
        self.chunks: list[Chunk] = []
        self.tasks: list[asyncio.Task[None]] = []

    async def begin(self, pieces: int = 1) -> Body:
        """The first response, and so many pieces of it."""
        self.tasks.append(asyncio.create_task(Fetcher(self.job).run()))
        await turns()
        body = self.transport.bodies[0]
        for _ in range(pieces):
            body.feed()
            await turns()
        return body

    @property
    def transfer(self) -> Transfer:
        return self.job.scheduler._transfers[0]

    def take(self, *, everything: bool) -> Claim | None:
        """What an idle fetcher gets: all that is left, or half of it."""
        watch = self.transfer.watch
        watch.began -= 60
        watch.keeper.rate = 0.0 if everything else MIB / 4
        claim = self.job.scheduler._take_over()
        if claim is not None:
            self.job.scheduler.begin(claim)
            self.tasks.append(asyncio.create_task(self._work(claim)))
        return claim

    async def _work(self, claim: Claim) -> None:
        await Fetcher(self.job).run(claim)

    async def finish(self) -> None:
        """Bring what has been asked for, and look at what came."""
        async with asyncio.timeout(60):
            while not all(task.done() for task in self.tasks) or not self.job.queue.empty():
                self.drain()
                await turns(5)
                for body in self.transport.bodies[1:]:
                    body.feed_all()
                if len(self.transport.bodies) == 1:
                    self.transport.bodies[0].feed_all()
        for task in self.tasks:
            task.result()
        assert CONTENT == joined(self.chunks)
        assert all(chunk.data for chunk in self.chunks)
        for chunk in self.chunks:
            chunk.release()
        assert set() == self.lender.out
        assert {1} == set(self.lender.returned.values())
        assert SIZE == self.job.counters.fetched
        assert 0 == self.transport.in_flight
        assert {} == self.job.scheduler._open
        assert self.job.gate.passes()

    def drain(self) -> None:
        self.chunks += queued(self.job)


@pytest.mark.parametrize("everything", [False, True], ids=["half", "all"])
async def test_taken_while_nothing_happens(everything: bool) -> None:
    """The connection is used up to the cut, or not at all any more; that is no fault and no retry."""
    stage = Stage()
    first = await stage.begin()
    claim = stage.take(everything=everything)
    await turns()
    assert (1 if everything else 2) == stage.transport.in_flight
    for _ in range(20):
        first.feed()
        await turns()
    await stage.finish()

    cut = PIECE if everything else PIECE + (SIZE - PIECE + 1) // 2
    assert claim is not None
    assert cut == claim.start
    assert (0, 2) == (stage.job.counters.retries, stage.job.counters.requests)


@pytest.mark.parametrize("everything", [False, True], ids=["half", "all"])
@pytest.mark.parametrize("happens", ["a chunk", "two chunks", "the end", "a break", "a chunk and a break", "a cancel"])
@pytest.mark.parametrize("order", ["before", "after"])
@pytest.mark.parametrize("between", [0, 1, 2, 3])
async def test_taken_as_something_happens(everything: bool, happens: str, order: str, between: int) -> None:
    """In the same turn of the loop, or a turn or two apart, and whichever came first."""
    stage = Stage()
    body = await stage.begin()

    def happen() -> None:
        if happens == "the end":
            body.feed_all()
        elif happens == "a cancel":
            stage.tasks[0].cancel()
        else:
            body.feed({"a chunk": 1, "two chunks": 2, "a chunk and a break": 1}.get(happens, 0) * PIECE)
            if "break" in happens:
                body.break_off()

    if order == "before":
        happen()
        await turns(between)
    if stage.job.scheduler._transfers:
        stage.take(everything=everything)
    if order == "after":
        await turns(between)
        happen()
    await turns()
    if happens == "a cancel":
        await cancelled(stage)
        return
    await stage.finish()

    # Whoever lost everything has no part left that a break could matter for.
    if everything and order == "after":
        assert 0 == stage.job.counters.retries
    assert stage.job.counters.retries <= ("break" in happens)


async def cancelled(stage: Stage) -> None:
    """A cancellation is never lost in a taking over; the chunks of whoever is cancelled come back."""
    assert stage.tasks[0].cancelled() or (stage.tasks[0].done() and stage.tasks[0].exception() is None)
    for task in stage.tasks:
        task.cancel()
    await asyncio.wait(stage.tasks)
    stage.drain()
    for chunk in stage.chunks:
        chunk.release()

    assert set() == stage.lender.out
    assert 0 == stage.transport.in_flight


async def test_break_of_one_that_lost_everything_costs_no_attempt() -> None:
    """A connection that breaks in the moment it is given up: even the last attempt, of no budget, is not missed."""
    stage = Stage(retry=Retry(attempts=1, budget=0))
    body = await stage.begin()
    body.break_off()
    stage.take(everything=True)
    await stage.finish()

    assert 0 == stage.job.counters.retries


@pytest.mark.parametrize("pieces", [0, 3])
async def test_break_after_the_cut(pieces: int) -> None:
    """What was left to a connection that then breaks is asked for again, up to the cut and not beyond."""
    stage = Stage()
    body = await stage.begin()
    claim = stage.take(everything=False)
    for _ in range(pieces):
        body.feed()
        await turns()
    body.break_off()
    await turns()
    await stage.finish()

    again = next(other for other in stage.transport.bodies[1:] if other._start == PIECE * (1 + pieces))
    assert claim is not None
    assert claim.start == again._stop
    assert (1, 3) == (stage.job.counters.retries, stage.job.counters.requests)


@pytest.mark.parametrize("everything", [False, True], ids=["half", "all"])
async def test_nothing_is_taken_from_one_that_waits_for_the_disk(everything: bool) -> None:
    """A chunk in a full queue: the server is not slow, and the chunk is nobody else's."""
    stage = Stage(queue_depth=3)
    body = await stage.begin(pieces=4)
    assert stage.job.queue.full()
    assert stage.transfer.watch.keeper.parked

    assert stage.take(everything=everything) is None
    body.feed_all()
    await stage.finish()

    assert 1 == stage.job.counters.requests


@pytest.mark.parametrize("between", [0, 1, 2])
async def test_full_queue_after_the_cut(between: int) -> None:
    """The chunk over the cut is shortened before it waits for room, and what another brings never waits here."""
    stage = Stage(queue_depth=3)
    body = await stage.begin(pieces=1)
    assert stage.take(everything=False) is not None
    await turns(between)
    body.feed_all()
    await stage.finish()

    assert (0, 2) == (stage.job.counters.retries, stage.job.counters.requests)


async def test_cut_again_and_again() -> None:
    """Half, half of what is left, and then the rest: three others, and each byte once."""
    stage = Stage()
    body = await stage.begin()
    stage.job.scheduler._latency = 0.0
    for everything in (False, False, True):
        assert stage.take(everything=everything) is not None
        body.feed(KIB)
        await turns()
    await stage.finish()

    assert 4 == stage.job.counters.requests
    assert 0 == stage.job.counters.retries


async def test_taken_and_stalled_in_one_moment() -> None:
    """Whoever is first: a stalled connection that was given up is no fault of the download."""
    stage = Stage(retry=Retry(attempts=1, budget=0))
    await stage.begin()
    watch = stage.transfer.watch
    watch.interrupt()
    await asyncio.sleep(0)
    assert stage.take(everything=True) is not None
    watch.interrupt()
    await stage.finish()

    assert 0 == stage.job.counters.retries


async def test_without_a_length_nothing_is_taken() -> None:
    """A body that ends where its connection ends must be read to that end: it could be another one."""
    stage = Stage(length=False)
    body = await stage.begin()

    assert [False] == [transfer.divisible for transfer in stage.job.scheduler._transfers]
    assert stage.job.scheduler._take_over() is None
    body.feed_all()
    await stage.finish()


async def test_given_up_before_its_first_byte_is_no_success() -> None:
    """The gate does not open wider for a connection that brought nothing."""
    stage = Stage()
    turn = stage.job.gate
    turn.throttled(0, 0.0)
    before = turn._allowance._limit
    await stage.begin(pieces=0)
    assert stage.take(everything=True) is not None
    await turns()

    assert before == turn._allowance._limit
    await stage.finish()
    assert before < turn._allowance._limit
