"""Connections are found by measuring: more where each brings its own, few where they share, none left behind."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

import asyncdl
from asyncdl.edge.clock import Clock
from asyncdl.testing import Origin
from tests.support.flow import PART, fetch, holds, small


def growing(connections: int, first: int, **changes: Any) -> asyncdl.Options:
    """Few to begin with."""
    return small(connections, first_connections=first, **changes)


async def test_more_where_each_has_its_own_rate(tmp_path: Path, no_leaks: object) -> None:
    """A server that holds each connection to a rate is asked over more and more of them, up to what is allowed."""
    async with Origin(rate=8.0 * PART) as origin:
        content = origin.add("/object", 80 * PART)

        await fetch(origin.url("/object"), tmp_path / "file", options=growing(8, 1))

        assert holds(tmp_path / "file", content)
        assert 4 < origin.ledger.connections <= 8
        assert 0 == origin.ledger.repeated("/object")


async def test_no_more_where_it_is_our_own_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An event loop that has no time left is not given more to do, whatever the server would bring."""
    monkeypatch.setattr(Clock, "worked", Clock.monotonic)
    async with Origin(rate=8.0 * PART) as origin:
        content = origin.add("/object", 12 * PART)

        await fetch(origin.url("/object"), tmp_path / "file", options=growing(8, 1))

        assert holds(tmp_path / "file", content)
        assert 1 == origin.ledger.connections


async def test_no_more_where_all_share(tmp_path: Path, no_leaks: object) -> None:
    """A link that is full with two is tried with more now and then, and never with as many as are allowed."""
    async with Origin(total_rate=96.0 * PART) as origin:
        content = origin.add("/object", 288 * PART)

        await fetch(origin.url("/object"), tmp_path / "file", options=growing(64, 2))

        assert holds(tmp_path / "file", content)
        # One trial may succeed by chance where this process gets little of the machine, five in a row do not.
        assert 2 <= origin.ledger.connections < 64


async def test_first_connections_are_there_at_once(tmp_path: Path) -> None:
    """Where the size is known, nobody waits for the first response."""
    async with Origin(rate=PART * 4.0) as origin:
        origin.add("/object", 16 * PART)
        async with asyncio.timeout(10), asyncio.TaskGroup() as group:
            downloading = group.create_task(
                fetch(origin.url("/object"), tmp_path / "file", size=16 * PART, options=growing(8, 4))
            )
            await origin.ledger.until(lambda: len(origin.ledger.data_requests()) >= 4)

            assert 4 == origin.ledger.connections
            assert not downloading.done()


async def test_never_more_than_connections(tmp_path: Path) -> None:
    """The first ones are no more than are allowed in all."""
    async with Origin() as origin:
        content = origin.add("/object", 32 * PART)

        await fetch(origin.url("/object"), tmp_path / "file", options=growing(2, 16))

        assert holds(tmp_path / "file", content)
        assert origin.ledger.connections <= 2


async def test_a_server_that_throttles_is_not_tried_with_more(tmp_path: Path, no_leaks: object) -> None:
    """What it refuses ends the trial; the download goes on with what it bears."""
    async with Origin(rate=8.0 * PART, max_connections=2) as origin:
        content = origin.add("/object", 48 * PART)

        await fetch(origin.url("/object"), tmp_path / "file", options=growing(64, 2), timeouts=asyncdl.Timeouts())

        assert holds(tmp_path / "file", content)
        assert len(origin.ledger.refused) <= 16


async def test_cancelled_while_growing(tmp_path: Path, no_leaks: object) -> None:
    """Nothing is left of those that had just been added, nor of who adds them."""
    async with Origin(rate=8.0 * PART) as origin:
        origin.add("/object", 400 * PART)
        task = asyncio.create_task(fetch(origin.url("/object"), tmp_path / "file", options=growing(16, 1)))
        async with asyncio.timeout(10):
            await origin.ledger.until(lambda: origin.ledger.connections >= 3)
        task.cancel()
        await asyncio.wait({task})

        assert task.cancelled()


async def test_parts_by_what_was_measured(tmp_path: Path, no_leaks: object) -> None:
    """Without a wish for their size parts become smaller towards the end, and none is fetched twice."""
    size = 64 << 20
    async with Origin(rate=100e6) as origin:
        content = origin.add("/object", size)

        result = await fetch(
            origin.url("/object"),
            tmp_path / "file",
            options=small(4, part_size=None, chunk_size=1 << 20, parallel_threshold=1 << 20),
        )
        lengths = [record.sent for record in origin.ledger.data_requests()]

    assert holds(tmp_path / "file", content)
    assert (size, 0) == (sum(lengths), result.retries)
    assert 8 << 20 == lengths[0]
    assert lengths[-1] < max(lengths)
