"""Limits of an origin: connections, requests and bytes per second, and how long a connection is kept."""

from __future__ import annotations

import asyncio
import time

import pytest

from asyncdl.errors import OptionsError
from asyncdl.testing import Fault, Limits, Origin
from asyncdl.testing.limits import Bucket
from tests.support.rawclient import BOUND, ask, connected, read_reply, request_bytes
from tests.support.stopwatch import Stopwatch


async def test_requests_per_connection() -> None:
    """After so many responses the connection is closed, and none of them says so."""
    async with Origin(requests_per_connection=2) as origin:
        origin.add("/f", 10)
        async with connected(origin.base_url) as (reader, writer), asyncio.timeout(BOUND):
            writer.write(request_bytes("/f", {}) * 2)
            replies = [await read_reply(reader) for _ in range(2)]
            rest = await reader.read()

    assert [(200, None)] * 2 == [(reply.status, reply.headers.get("Connection")) for reply in replies]
    assert b"" == rest


async def test_idle_connections_are_closed() -> None:
    """A kept-alive connection ends some time after its last response, unannounced; a new one is waited for."""
    async with Origin(idle=0.1) as origin:
        origin.add("/f", 10)
        async with connected(origin.base_url) as (reader, writer), asyncio.timeout(BOUND):
            await asyncio.sleep(0.2)
            asked = time.monotonic()
            writer.write(request_bytes("/f", {}))
            reply = await read_reply(reader)
            rest = await reader.read()

    assert (200, None, b"") == (reply.status, reply.headers.get("Connection"), rest)
    assert time.monotonic() - asked >= 0.09


async def test_max_connections() -> None:
    """A connection too many gets 503 and FIN; when others have ended there is room again."""
    async with Origin(max_connections=2, retry_after=3) as origin:
        origin.add("/f", 10)
        async with connected(origin.base_url), connected(origin.base_url):
            await origin.ledger.until(lambda: origin.ledger.open_connections == 2)
            refused = await ask(origin.url("/f"), headers={"Connection": "keep-alive"})
        await origin.ledger.until(lambda: origin.ledger.open_connections == 0)
        admitted = await ask(origin.url("/f"))

    assert (503, "close", "3", "fin") == (
        refused.status,
        refused.headers.get("Connection"),
        refused.headers.get("Retry-After"),
        refused.end,
    )
    assert 200 == admitted.status
    assert [0] == [record.number for record in origin.ledger.limited]
    assert [1] == [record.number for record in origin.ledger.data_requests()]


async def test_max_rate() -> None:
    """More requests than that get S3's SlowDown and keep their connection; they count as no data requests."""
    async with Origin(max_rate=0.01) as origin:
        origin.add("/f", 10)
        async with connected(origin.base_url) as (reader, writer):
            writer.write(request_bytes("/f", {}) * 3)
            replies = [await read_reply(reader) for _ in range(3)]

    assert [200, 503, 503] == [reply.status for reply in replies]
    assert b"<Code>SlowDown</Code><Message>Please reduce your request rate.</Message>" in replies[-1].body
    assert None is replies[-1].headers.get("Retry-After")
    assert (1, 2) == (len(origin.ledger.data_requests()), len(origin.ledger.limited))


@pytest.mark.parametrize(
    ("rate", "moments", "admitted"),
    [
        (3.0, [0.0, 0.0, 0.0, 0.0], [True, True, True, False]),
        (3.0, [0.0, 0.0, 0.0, 0.3, 0.34, 0.4], [True, True, True, False, True, False]),
        (0.5, [0.0, 1.9, 2.1, 100.0, 100.0], [True, False, True, True, False]),
    ],
    ids=["burst", "refill", "less-than-one"],
)
def test_bucket(rate: float, moments: list[float], admitted: list[bool]) -> None:
    """A second's worth passes at once, then one whenever there was time for one."""
    bucket = Bucket(rate)

    assert admitted == [bucket.admits(1000 + moment) for moment in moments]


async def test_limits_change() -> None:
    """A limit that is set or taken away counts for what comes then."""
    async with Origin() as origin:
        origin.add("/f", 10)
        url, statuses = origin.url("/f"), []
        for rate in (None, 0.001, 0.002, None):
            origin.limits.max_rate = rate
            statuses += [(await ask(url)).status for _ in range(2)]

    assert [200, 200, 200, 503, 200, 503, 200, 200] == statuses


async def test_total_rate() -> None:
    """Four connections together get what one alone would."""
    async with Origin(total_rate=200_000) as origin:
        origin.add("/f", 10_000)
        started = time.monotonic()
        replies = await asyncio.gather(*(ask(origin.url("/f")) for _ in range(4)))
        elapsed = time.monotonic() - started

    assert [10_000] * 4 == [len(reply.body) for reply in replies]
    assert 0.17 <= elapsed


@pytest.mark.parametrize("rates", [{1: 2000.0}, lambda number: 2000.0 if number == 1 else None])
async def test_one_slow_connection(rates: object) -> None:
    """One connection has its own rate, its neighbours go as fast as ever."""
    async with Origin(connection_rates=rates) as origin:  # type: ignore[arg-type]  # both forms of it
        origin.add("/f", 2000)
        seconds, ours = [], []
        for _ in range(3):
            started = time.monotonic()
            async with Stopwatch() as watch:
                await ask(origin.url("/f"))
            seconds.append(time.monotonic() - started)
            ours.append(watch.seconds)

    assert seconds[1] >= 0.9
    assert max(ours[0], ours[2]) < 0.9


async def test_rate_of_a_fault_goes_before_that_of_its_connection() -> None:
    """What the script says about one response counts."""
    async with Origin(connection_rates={0: 1.0}) as origin:
        origin.add("/f", 2000)
        origin.script(Fault(rate=1e9))

        assert 2000 == len((await ask(origin.url("/f"))).body)


@pytest.mark.parametrize("name", ["max_connections", "max_rate", "total_rate"])
def test_a_limit_of_nothing(name: str) -> None:
    """A limit that nobody could keep is refused."""
    with pytest.raises(OptionsError, match=name):
        Limits(**{name: 0})  # type: ignore[arg-type]  # that is the test
