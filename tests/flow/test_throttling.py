"""Servers that ask for less: the number they bear is found, their pauses are everybody's, and the file is whole."""

from __future__ import annotations

import asyncio
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

import asyncdl
from asyncdl.gate import Gate, Turn
from asyncdl.testing import Fault, Origin
from asyncdl.testing.ledger import RequestRecord
from tests.support.flow import EAGER, PART, fetch, holds, small

SLOW_DOWN = b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"
RATE = 2_000_000.0


def crowded(origin: Origin, most: int) -> Fault:
    """503 SlowDown for every request beyond so many at once."""
    return Fault(when=lambda _: served_now(origin) > most, status=503, body=SLOW_DOWN)


def served_now(origin: Origin) -> int:
    """Requests in progress, the one that has just come included."""
    return sum(record.finished is None for record in origin.ledger.requests)


@pytest.mark.parametrize("most", [1, 2, 5])
async def test_as_many_as_the_server_bears(tmp_path: Path, no_leaks: object, most: int) -> None:
    """Sixteen connections where few are allowed: it ends whole, and most requests come when they are welcome."""
    parts = 60
    async with Origin(rate=RATE) as origin:
        content = origin.add("/object", parts * PART)
        fault = crowded(origin, most)
        origin.script(fault)

        result = await fetch(
            origin.url("/object"),
            tmp_path / "file",
            size=parts * PART,
            options=small(16),
            retry=asyncdl.Retry(base=0.1, cap=0.5),
        )
        refused = origin.faults.applied(fault)

        assert holds(tmp_path / "file", content)
    assert parts * PART == result.fetched
    assert 0 < refused == result.retries
    # The first sixteen come together; later on, one too many now and then is how the limit is found.
    assert refused <= 16 + 16 + parts
    late = [record for record in origin.ledger.requests if record.status == 503][40 + 16 :]
    assert len(late) <= parts


async def test_one_for_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Retry-After in one answer of many holds every new request back."""
    parts = 24
    told, let_go = [], []
    throttled, enter = Gate.throttled, Turn.__aenter__

    def note_told(gate: Gate, *arguments: Any, **more: Any) -> None:
        throttled(gate, *arguments, **more)
        told.append(monotonic())

    async def note_let_go(turn: Turn) -> Turn:
        await enter(turn)
        let_go.append(monotonic())
        return turn

    # At the gate, and not where they arrive: what is on its way when the answer is read is nobody's fault.
    monkeypatch.setattr(Gate, "throttled", note_told)
    monkeypatch.setattr(Turn, "__aenter__", note_let_go)
    async with Origin(rate=RATE) as origin:
        content = origin.add("/object", parts * PART)
        origin.script(Fault(request=5, status=429, headers={"Retry-After": "1"}))

        result = await fetch(origin.url("/object"), tmp_path / "file", size=parts * PART, options=small(4))

        assert holds(tmp_path / "file", content)
    (moment,) = told
    assert [] == [at for at in let_go if moment < at < moment + 0.95]
    assert [] != [at for at in let_go if moment < at]
    assert 1 == result.retries


async def test_longer_than_there_is_time(tmp_path: Path) -> None:
    """Nobody sleeps until a deadline that is certain to pass."""
    async with Origin() as origin:
        origin.add("/object", 8 * PART)
        origin.script(Fault(request=range(3, 1000), status=429, headers={"Retry-After": "30"}))

        # When a deadline has come, the words are others.
        with pytest.raises(asyncdl.DeadlineError, match="30 s, which is past the deadline"):
            await fetch(
                origin.url("/object"),
                tmp_path / "file",
                size=8 * PART,
                timeouts=asyncdl.Timeouts(total=25),
            )

    assert len(origin.ledger.requests) <= 3 + 4


async def test_deadline_while_all_are_held_back(tmp_path: Path, no_leaks: object) -> None:
    """The deadline ends the wait at the gate, for all who stand there, with its own error."""
    async with Origin(rate=RATE / 20) as origin:
        origin.add("/object", 16 * PART)
        # The first one is told to wait a little; the rest never gets a turn in time.
        origin.script(Fault(request=range(1000), status=503, headers={"Retry-After": "1"}))

        with pytest.raises(asyncdl.DeadlineError):
            await fetch(
                origin.url("/object"),
                tmp_path / "file",
                size=16 * PART,
                options=small(16),
                timeouts=asyncdl.Timeouts(total=2.5),
            )


async def test_cancelled_at_the_gate(tmp_path: Path, no_leaks: object) -> None:
    """Fetchers in flight, in a pause and in line end together; the one error is the one that ended them."""
    async with Origin(rate=RATE / 20) as origin:
        origin.add("/object", 40 * PART)
        origin.script(
            Fault(request=range(14), status=503),
            Fault(request=range(60, 1000), status=404),
            Fault(when=lambda _: served_now(origin) > 2, status=503),
        )

        with pytest.raises(asyncdl.DeadlineError):
            await fetch(
                origin.url("/object"),
                tmp_path / "file",
                size=40 * PART,
                options=small(16),
                timeouts=asyncdl.Timeouts(total=1.0),
                retry=asyncdl.Retry(attempts=50, base=0.01, cap=0.02),
            )


async def test_throttled_for_good(tmp_path: Path) -> None:
    """Whoever refuses everything for ever is asked a bounded number of times, and quoted."""
    async with Origin() as origin:
        origin.add("/object", 40 * PART)
        origin.script(Fault(status=503, body=SLOW_DOWN))

        with pytest.raises(asyncdl.HttpStatusError, match="SlowDown: Please reduce") as caught:
            await fetch(
                origin.url("/object"),
                tmp_path / "file",
                size=40 * PART,
                options=small(16),
                retry=asyncdl.Retry(attempts=4, base=0.005, cap=0.01),
            )

    assert 503 == caught.value.status
    assert len(origin.ledger.requests) <= 16 * 4


async def test_rate_of_requests(tmp_path: Path) -> None:
    """A server that counts requests per second is served at its pace."""
    parts = 40
    allowed: list[float] = []

    def too_many(record: RequestRecord) -> bool:
        if sum(record.started - 1 < earlier for earlier in allowed) >= 20:
            return True
        allowed.append(record.started)
        return False

    async with Origin(latency=0.02) as origin:
        content = origin.add("/object", parts * PART)
        fault = Fault(when=too_many, status=429, headers={"Retry-After": "1"})
        origin.script(fault)

        result = await fetch(
            origin.url("/object"), tmp_path / "file", size=parts * PART, options=small(16), retry=EAGER
        )

        assert holds(tmp_path / "file", content)
        assert origin.faults.applied(fault) <= 40
    assert 1 < result.elapsed


@pytest.mark.parametrize("connections", [4, 16])
async def test_renewal_behind_a_narrow_gate(tmp_path: Path, no_leaks: object, connections: int) -> None:
    """URLs die while only one request at a time is allowed: nobody waits for a place held by who waits for the URL."""
    parts = 12
    async with Origin(rate=RATE / 4) as origin:
        content = origin.add("/object", parts * PART)
        origin.script(crowded(origin, 1))
        provider = origin.provider("/object", ttl=3600, delay=0.05)

        async def expiries() -> None:
            for number, brought in enumerate((3, 7)):
                await origin.ledger.until(lambda: origin.ledger.bytes_sent() >= brought * PART)  # noqa: B023  # awaited
                origin.expire(provider.urls[number])

        async with asyncio.TaskGroup() as group:
            group.create_task(expiries())
            result = await fetch(
                provider,
                tmp_path / "file",
                size=parts * PART,
                options=small(connections, reuse_window=0.1, refresh_margin=0.1),
                retry=asyncdl.Retry(attempts=50, base=0.02, cap=0.1),
            )

        assert holds(tmp_path / "file", content)
    assert 2 == result.refreshes
    assert parts * PART == result.fetched


async def test_server_that_turns_everybody_away_is_given_up(origin: Origin, tmp_path: Path) -> None:
    """After a row of attempts in all, not in each of the parts one after the other."""
    origin.add("/object", 40 * PART)
    origin.script(Fault(request=range(3, 10_000), status=503))

    with pytest.raises(asyncdl.HttpStatusError, match="503"):
        await fetch(
            origin.url("/object"),
            tmp_path / "file",
            options=small(8),
            retry=asyncdl.Retry(base=0.005, cap=0.3),
        )

    assert len(origin.ledger.requests) <= 48
