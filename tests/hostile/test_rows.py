"""Every scenario, over 1, 4 and 16 connections: the right end, and nothing lost, leaked or asked for in vain."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from functools import partial
from pathlib import Path

import pytest

import asyncdl
from asyncdl.testing import Origin
from asyncdl.testing.scenarios import ALL, Scenario, Stage, staged
from tests.support.flow import small

#: For who sends nothing any more, or next to nothing: short enough to wait for a few times, and more than what is sent
#: by others takes on a busy machine.
IMPATIENT = asyncdl.Timeouts(connect=30, response=1, stall=1, low_speed=(2000, 1), refresh=30)
EAGER = asyncdl.Retry(attempts=6, base=0.005, cap=0.02)
#: What a caller may have to say to the first server, and to no other.
HEADERS = {"Authorization": "Bearer let-me-in", "Cookie": "session=let-me-in", "X-Api-Key": "let-me-in"}
#: Seconds within which every scenario must be over.
BOUND = 60.0


async def attempt(stage: Stage, dest: Path, connections: int) -> asyncdl.Result | asyncdl.AsyncdlError:
    """What asyncdl makes of it, in time."""
    try:
        async with asyncio.timeout(BOUND):
            return await asyncdl.download(
                stage.url if stage.scenario.skin is None else stage.provider,
                dest,
                size=stage.declared,
                headers=HEADERS,
                options=small(connections, ca_file=stage.ca_file, reuse_window=1.0),
                timeouts=IMPATIENT,
                retry=EAGER,
            )
    except asyncdl.AsyncdlError as error:
        return error


def asked(stage: Stage) -> int:
    """How often the most wanted range was asked for at one host."""
    counts = Counter(
        (name, record.path, (record.headers.get("Range") or "").partition("-")[0])
        for name, origin in stage.origins.items()
        for record in origin.ledger.requests
    )
    return max(counts.values(), default=0)


def told(stage: Stage) -> set[tuple[str, str]]:
    """Which host was told what it is not to know: the caller's headers abroad, a cookie of a server, where it was."""
    home = next(iter(stage.origins))
    return {
        (name, header)
        for name, origin in stage.origins.items()
        for record in origin.ledger.requests
        for header in (*HEADERS, "Referer")
        for value in record.headers.all(header)
        if name != home or HEADERS.get(header) != value
    }


def everybody_left(origin: Origin) -> bool:
    """Whether no connection is open any more."""
    return 0 == origin.ledger.open_connections


@pytest.mark.parametrize("connections", [1, 4, 16])
@pytest.mark.parametrize("scenario", ALL, ids=str)
async def test_scenario(scenario: Scenario, connections: int, tmp_path: Path, no_leaks: object) -> None:
    """The object byte for byte, or the right error and no destination; within the bounds that the scenario states."""
    folder = tmp_path / "download"
    folder.mkdir()
    dest = folder / "file"

    async with staged(scenario, tmp_path) as stage:
        began = time.monotonic()
        ended = await attempt(stage, dest, connections)
        lasted = time.monotonic() - began

        for origin in stage.origins.values():
            await origin.ledger.until(partial(everybody_left, origin))
        applied = stage.applied
        brought = await asyncio.to_thread(stage.brought, dest)
        poisoned = await asyncio.to_thread(stage.poisoned, folder)
        most = asked(stage)
        leaks = told(stage)
        methods = {record.method for record in stage.requests}

    if scenario.errors:
        assert isinstance(ended, asyncdl.AsyncdlError), ended
        assert ended.code in scenario.errors, repr(ended)
        assert "nothing" == brought
    else:
        assert isinstance(ended, asyncdl.Result), repr(ended)
        assert "whole" == brought
        assert ["file"] == [path.name for path in folder.iterdir()]
        assert stage.size == ended.fetched or scenario.restarts
        assert ended.refreshes <= scenario.refreshes
    assert [] == poisoned
    assert set() == leaks
    assert methods <= {"GET"}
    assert lasted >= scenario.lasts
    assert most <= scenario.asks
    assert stage.provider.calls <= 1 + scenario.refreshes
    assert applied or not scenario.reached
