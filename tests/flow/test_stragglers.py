"""Connections that fall behind the others: an idle one takes over, and where nobody falls behind nothing is touched."""

from __future__ import annotations

import os
from pathlib import Path
from time import sleep
from typing import Any

import pytest

import asyncdl
from asyncdl import crew
from asyncdl.edge import disk, files
from asyncdl.testing import Fault, Origin
from tests.support.flow import KIB, PART, fetch, holds, small

#: Bytes per second and connection: slow enough for sixteen of them to be no work for this machine.
RATE = 1024 * KIB
#: What goes quiet is a stall only after the test has been given up.
PATIENT = asyncdl.Timeouts(connect=300, response=300, stall=300, low_speed=None)


def options(connections: int, parts_of: int) -> asyncdl.Options:
    """Parts that take a second or so each."""
    return small(connections, part_size=parts_of, parallel_threshold=1, chunk_size=64 * KIB, queue_depth=32)


def counted_once(origin: Origin, result: asyncdl.Result, size: int) -> bool:
    """Whether what was fetched is the object, and what was sent in vain is no more than what a socket holds."""
    wasted = origin.ledger.bytes_sent("/object") - size
    return size == result.fetched and 0 <= wasted <= 4 * len(origin.ledger.requests) * 1024 * KIB


@pytest.mark.parametrize("connections", [4, 16])
async def test_one_at_a_thousandth(tmp_path: Path, no_leaks: object, connections: int) -> None:
    """One connection of many crawls: the download takes little longer than without it, and no byte comes twice."""
    part = 512 * KIB
    size = 2 * connections * part - 7
    async with Origin(rate=RATE) as origin:
        content = origin.add("/object", size)
        origin.script(Fault(request=2, rate=RATE / 1000))
        seen: list[asyncdl.Progress] = []

        result = await fetch(
            origin.url("/object"),
            tmp_path / "file",
            size=size,
            options=options(connections, part),
            timeouts=PATIENT,
            on_progress=seen.append,
        )

        assert holds(tmp_path / "file", content)
        assert counted_once(origin, result, size)
    # Alone it would take 500 s.
    assert result.elapsed < 100
    assert 0 == result.retries
    assert 2 * connections < result.requests <= 4 * connections
    assert all(progress.done <= size for progress in seen)
    assert ["file"] == os.listdir(tmp_path)


@pytest.mark.parametrize("connections", [4, 16])
async def test_last_part_that_stalls(tmp_path: Path, no_leaks: object, connections: int) -> None:
    """What goes quiet is taken over by those who are done, long before it would count as stalled."""
    size = connections * PART * 4
    async with Origin() as origin:
        content = origin.add("/object", size)
        stall = Fault(start=size - 1, times=1, stall_after=1000)
        origin.script(stall)

        result = await fetch(
            origin.url("/object"), tmp_path / "file", size=size, options=options(connections, PART), timeouts=PATIENT
        )

        assert 1 == origin.faults.applied(stall)
        assert holds(tmp_path / "file", content)
        assert counted_once(origin, result, size)
    assert (0, connections * 4 + 1) == (result.retries, result.requests)


async def test_first_of_all_stalls_at_the_last_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where one connection has begun all parts before others are looked for, there is one to take over all the same."""
    monkeypatch.setattr(crew, "FIRST_LOOK", 1.0)  # in which one connection brings all that comes
    size = 4 * PART
    async with Origin() as origin:
        content = origin.add("/object", size)
        stall = Fault(start=size - 1, times=1, stall_after=1000)
        origin.script(stall)

        result = await fetch(
            origin.url("/object"), tmp_path / "file", size=size, options=options(4, PART), timeouts=PATIENT
        )

        assert 1 == origin.faults.applied(stall)
        assert holds(tmp_path / "file", content)
    assert (0, 5) == (result.retries, result.requests)


async def test_what_nobody_can_bring(tmp_path: Path, no_leaks: object) -> None:
    """Bytes that no connection gets are found out by the stall: idle fetchers do not pass them round for ever."""
    size = 16 * PART
    async with Origin() as origin:
        origin.add("/object", size)
        origin.script(Fault(start=size - 1, stall_after=0), Fault(start=size - PART - 1, stall_after=0))

        with pytest.raises(asyncdl.StallError, match=r"sent nothing for 2\.5 s"):
            await fetch(
                origin.url("/object"),
                tmp_path / "file",
                size=size,
                options=options(4, PART),
                timeouts=asyncdl.Timeouts(connect=3, response=3, stall=2.5, low_speed=None),
                retry=asyncdl.Retry(attempts=2, base=0.01, cap=0.02),
            )

        assert len(origin.ledger.requests) <= 16 + 2 * (2 + 2)


async def test_nobody_waits_for_the_end_to_replace_it(tmp_path: Path, no_leaks: object) -> None:
    """A connection that goes silent is given up while there are parts left, and its bytes are asked for again first."""
    size = 40 * PART
    async with Origin(rate=4.0 * PART) as origin:
        content = origin.add("/object", size)
        silent = Fault(start=PART, times=1, stall_after=PART // 2)
        origin.script(silent)

        result = await fetch(
            origin.url("/object"),
            tmp_path / "file",
            size=size,
            options=options(2, PART),
            timeouts=asyncdl.Timeouts(connect=60, response=60, stall=60, low_speed=None),
        )
        starts = [request.range[0] for request in origin.ledger.data_requests() if request.range]

        assert holds(tmp_path / "file", content)
        assert 1 == origin.faults.applied(silent)
    again = starts.index(PART + PART // 2)
    assert 0 < len(starts) - 1 - again
    assert max(starts[:again]) < starts[-1] == size - PART
    assert (size, 0) == (result.fetched, result.retries)


@pytest.mark.parametrize("connections", [4, 16])
@pytest.mark.parametrize("rate", [None, 4 * RATE])
async def test_equals_are_left_alone(tmp_path: Path, connections: int, rate: float | None) -> None:
    """Where all are as fast as each other there is one request for each part and none more."""
    size = 6 * connections * PART
    async with Origin(rate=rate) as origin:
        content = origin.add("/object", size)

        result = await fetch(origin.url("/object"), tmp_path / "file", size=size, options=options(connections, PART))

        assert holds(tmp_path / "file", content)
        assert 0 == origin.ledger.repeated("/object")
    assert (6 * connections, 0) == (result.requests, result.retries)


async def test_a_slow_disk_is_nobodys_fault(
    origin: Origin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, may_block: None
) -> None:
    """Connections that wait for our own writer are not taken for slow ones."""
    real = disk.write_all

    def slow(*arguments: Any) -> None:
        sleep(0.25)
        real(*arguments)

    monkeypatch.setattr(files, "write_all", slow)
    size = 12 * PART
    content = origin.add("/object", size)

    result = await fetch(
        origin.url("/object"),
        tmp_path / "file",
        size=size,
        options=small(4, queue_depth=2, chunk_size=32 * KIB),
        timeouts=asyncdl.Timeouts(stall=0.8, low_speed=None),
    )

    assert holds(tmp_path / "file", content)
    assert result.elapsed > 3
    assert (12, 0) == (result.requests, result.retries)


async def test_a_stream_is_left_alone(tmp_path: Path) -> None:
    """Where there are no ranges, nobody can help, however slow it is."""
    async with Origin(ranges=False, rate=PART) as origin:
        content = origin.add("/object", 3 * PART)

        result = await fetch(origin.url("/object"), tmp_path / "file", options=options(4, PART), timeouts=PATIENT)

        assert holds(tmp_path / "file", content)
    assert 1 == result.requests


async def test_a_stream_that_goes_on_with_ranges_is_left_alone(tmp_path: Path) -> None:
    """A server that ignored ranges, and no longer does, stalls: nobody else brings the rest of the only stream."""
    part = 512 * KIB
    async with Origin(rate=8 * RATE) as origin:
        content = origin.add("/object", 4 * part)
        origin.script(
            Fault(request={1, 2, 3}, ignore_range=True),
            Fault(request=4, ignore_range=True, drop_after=part),
            Fault(request=5, stall_after=0),
        )

        result = await fetch(
            origin.url("/object"),
            tmp_path / "file",
            options=options(1, part),
            timeouts=asyncdl.Timeouts(connect=30, response=30, stall=4, low_speed=None),
        )

        assert holds(tmp_path / "file", content)
    assert 7 == result.requests


async def test_half_of_what_is_left(tmp_path: Path) -> None:
    """One connection has much more to do than the others, at the same speed: the idle ones take their share."""
    size = 8 * 1024 * KIB
    async with Origin(rate=RATE) as origin:
        content = origin.add("/object", size)
        origin.script(Fault(start=0, rate=RATE / 3))

        result = await fetch(
            origin.url("/object"), tmp_path / "file", size=size, options=options(4, 2048 * KIB), timeouts=PATIENT
        )

        assert holds(tmp_path / "file", content)
        assert size == result.fetched
        # Alone it takes three times as long as the others: the half of what it had left then is a third of all.
        assert origin.ledger.asked(0)[0].sent < 1536 * KIB
    assert 4 < result.requests <= 20


async def test_a_session_that_has_few_connections(tmp_path: Path) -> None:
    """Whoever takes over waits for the connection that is given up, and for no other."""
    aiohttp = pytest.importorskip("aiohttp")
    size = 12 * PART
    async with Origin() as origin:
        content = origin.add("/object", size)
        origin.script(Fault(start=size - 1, times=1, stall_after=1000))
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=2)) as session:
            result = await fetch(
                origin.url("/object"),
                tmp_path / "file",
                size=size,
                options=options(8, PART),
                timeouts=PATIENT,
                session=session,
            )

        assert holds(tmp_path / "file", content)
        assert origin.ledger.max_open <= 3
    assert (0, 13) == (result.retries, result.requests)


async def test_two_that_crawl_one_after_the_other(tmp_path: Path) -> None:
    """What was taken over from one slow connection is taken over from the next, which is given more time."""
    size = 16 * PART
    async with Origin() as origin:
        content = origin.add("/object", size)
        crawl = Fault(start=size - 1, times=2, drip=(10, 0.05))
        origin.script(crawl)

        result = await fetch(
            origin.url("/object"), tmp_path / "file", size=size, options=options(4, PART), timeouts=PATIENT
        )

        assert 2 == origin.faults.applied(crawl)
        assert holds(tmp_path / "file", content)
    assert size == result.fetched
    assert (0, 18) == (result.retries, result.requests)
