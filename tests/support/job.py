"""A job whose transport plays a script and whose time is made by hand: what one fetcher needs to work alone."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from asyncdl.edge.transport import Body, Response, Transport
from asyncdl.job import Commons, Job
from asyncdl.model import Checksum, Chunk, HeaderPairs, Part, RemoteObject, SignedUrl, SingleSource
from asyncdl.options import Options, Retry, Timeouts
from asyncdl.refresher import UrlRefresher
from asyncdl.rules.parts import Claim, Planner
from asyncdl.rules.urls import Origin
from tests.support.clock import ManualClock
from tests.support.fakes import ScriptedTransport

SOURCE = "https://bucket.example/object"
#: Every 8 bytes say where they are.
CONTENT = b"".join(at.to_bytes(8, "big") for at in range(0, 8 * 4096, 8))


def make_job(
    transport: Transport,
    *,
    source: SingleSource = SOURCE,
    size: int | None = len(CONTENT),
    part_size: int | None = None,
    retry: Retry = Retry(),
    timeouts: Timeouts = Timeouts(),
    clock: ManualClock | None = None,
    deadline: float | None = None,
    **options: Any,
) -> Job:
    """A job over an object of `size` bytes, cut into parts of `part_size` unless the size is None."""
    settings, clock = Options(**options), clock or ManualClock()

    def begin(remote: RemoteObject, claim: Claim, promises: Sequence[Checksum]) -> None:
        """Nothing is to be done when the object is known."""
        job.begun.set()

    job = Job(
        options=settings,
        timeouts=timeouts,
        retry=retry,
        clock=clock,
        commons=Commons.of_one(transport, settings, clock, retry),
        refresher=UrlRefresher(source, settings, timeouts, clock),
        headers=(),
        declared_size=size,
        deadline=deadline,
        on_remote=begin,
    )
    if size is not None:
        job.scheduler.planner = Planner([Part(0, size)], part_size or size)
    return job


def queued(job: Job) -> list[Chunk]:
    """What is in the queue, taken out."""
    return [item for _ in range(job.queue.qsize()) if (item := job.queue.get_nowait()) is not None]


def joined(chunks: list[Chunk]) -> bytes:
    """The bytes of chunks that are to follow each other without gap or overlap."""
    ordered = sorted(chunks, key=lambda chunk: chunk.offset)
    for before, after in itertools.pairwise(ordered):
        assert before.stop == after.offset
    return b"".join(chunk.data for chunk in ordered)


class Lender:
    """A transport whose chunks are lent buffers; `lent` and `returned` count them by their number.

    Args:
        inner: what brings the bytes.
    """

    def __init__(self, inner: ScriptedTransport) -> None:
        self._inner = inner
        self.lent = 0
        self.returned: Counter[int] = Counter()

    @property
    def connection_limit(self) -> int | None:
        return self._inner.connection_limit

    async def aclose(self) -> None:
        await self._inner.aclose()

    @asynccontextmanager
    async def open(
        self, url: SignedUrl, start: int, stop: int | None, *, headers: HeaderPairs, home: Origin
    ) -> AsyncIterator[Response]:
        async with self._inner.open(url, start, stop, headers=headers, home=home) as response:
            yield _Lending(response, self)

    def lend(self, chunk: Chunk) -> Chunk:
        """The chunk, with a buffer that is to be given back."""
        number = self.lent
        self.lent += 1
        return Chunk(chunk.offset, chunk.data, on_release=lambda: self.returned.update([number]))

    @property
    def out(self) -> set[int]:
        """Buffers that have not come back."""
        return set(range(self.lent)) - set(self.returned)


class _Lending:
    def __init__(self, inner: Response, lender: Lender) -> None:
        self._inner, self._lender = inner, lender
        self.status, self.headers, self.hops = inner.status, inner.headers, inner.hops
        self.secrets = inner.secrets

    def at_hand(self, start: int, stop: int) -> Chunk | None:
        return None

    def body(self, start: int, stop: int | None) -> Body:
        return _LendingBody(self._inner.body(start, stop), self._lender)

    async def excerpt(self, limit: int) -> bytes:
        return await self._inner.excerpt(limit)


class _LendingBody:
    def __init__(self, inner: Body, lender: Lender) -> None:
        self._inner, self._lender = inner, lender

    @property
    def received(self) -> int:
        return self._inner.received

    async def receive(self) -> Chunk | None:
        chunk = await self._inner.receive()
        return None if chunk is None else self._lender.lend(chunk)


async def turns(number: int = 20) -> None:
    """Let everything happen that can happen without time passing."""
    for _ in range(number):
        await asyncio.sleep(0)
