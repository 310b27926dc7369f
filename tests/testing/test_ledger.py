"""The figures of the ledger, each on a series of requests that can be counted by hand."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from asyncdl.testing import Fault, Ledger, Origin, RequestRecord
from tests.support.rawclient import ask

SIZE = 5000


@pytest.fixture
async def origin() -> AsyncIterator[Origin]:
    """An origin with one object, `/f`."""
    async with Origin() as running:
        running.add("/f", SIZE)
        yield running


async def test_requests_by_their_start(origin: Origin) -> None:
    """Who asked for what begins at an offset; a request without a range asked for what begins at 0."""
    origin.add("/g", SIZE)
    for span in ((0, 10), (10, 20), None, (10, 30)):
        await ask(origin.url("/f"), span=span)
    await ask(origin.url("/g"), span=(10, 11))
    ledger = origin.ledger

    assert [0, 2] == [record.number for record in ledger.asked(0)]
    assert [1, 3] == [record.number for record in ledger.asked(10, "/f")]
    assert [1, 3, 4] == [record.number for record in ledger.asked(10)]
    assert [] == ledger.asked(11)


async def test_times_sent(origin: Origin) -> None:
    """How often each byte was sent, as ranges of equal count; what was sent short counts as sent."""
    origin.script(Fault(request=3, drop_after=10))
    for span in ((0, 100), (50, 200), (100, 150), (190, 290), (300, 301)):
        await ask(origin.url("/f"), span=span)

    assert [(0, 50, 1), (50, 150, 2), (150, 190, 1), (190, 200, 2), (300, 301, 1)] == origin.ledger.times_sent("/f")
    assert 110 == origin.ledger.repeated("/f")
    assert [] == origin.ledger.times_sent("/g")


async def test_requests_per_generation(origin: Origin) -> None:
    """Each signed URL has its own count, unsigned requests share one, refused ones have none."""
    urls = [origin.presign("/f", ttl=60) for _ in range(2)]
    origin.revoke(urls[0])
    for url in (urls[0], urls[1], urls[1], origin.url("/f")):
        await ask(url, span=(0, 1))

    assert {1: 2, None: 1} == origin.ledger.per_generation("/f")


async def test_heads_and_what_came_since(origin: Origin) -> None:
    """HEAD requests are kept apart, and a moment divides what came before from what came after."""
    await ask(origin.url("/f"), method="HEAD")
    await ask(origin.url("/f"))
    moment = time.monotonic()
    await ask(origin.url("/unknown"))
    await ask(origin.url("/f"), method="HEAD")

    assert [0, 3] == [record.number for record in origin.ledger.heads]
    assert [2, 3] == [record.number for record in origin.ledger.since(moment)]


async def test_most_in_flight(origin: Origin) -> None:
    """Three at once and two afterwards are three; requests after one another are one."""
    origin.script(Fault(request={0, 1, 2}, stall_headers=True))
    asks = [asyncio.create_task(ask(origin.url("/f"))) for _ in range(3)]
    await origin.ledger.until(lambda: origin.ledger.in_flight == 3)
    while_they_run = origin.ledger.max_in_flight()
    for task in asks:
        task.cancel()
    await origin.ledger.until(lambda: not origin.ledger.in_flight)
    await ask(origin.url("/f"))
    await ask(origin.url("/f"))

    assert (3, 3, 0) == (while_they_run, origin.ledger.max_in_flight("/f"), origin.ledger.max_in_flight("/g"))


@pytest.mark.parametrize(
    ("spans", "most"),
    [([], 0), ([(0.0, 1.0), (1.0, 2.0)], 1), ([(0.0, 3.0), (1.0, 2.0), (2.0, 4.0)], 2), ([(0.0, None), (9.0, 9.5)], 2)],
    ids=["none", "touching", "overlapping", "unfinished"],
)
def test_overlaps(spans: list[tuple[float, float | None]], most: int) -> None:
    """Requests that only touch were not in flight together; one without an end still is."""
    ledger = Ledger()
    ledger.requests = [
        RequestRecord(
            number=number,
            connection=0,
            method="GET",
            path="/f",
            raw_target="/f",
            index=number,
            started=started,
            finished=finished,
        )
        for number, (started, finished) in enumerate(spans)
    ]

    assert most == ledger.max_in_flight()
