"""One deadline over everything: whatever goes on inside, it ends in time and says so."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import asyncdl
from asyncdl.edge import threads
from asyncdl.testing import Fault, Origin, origin_process
from tests.support.flow import PART, small
from tests.support.stopwatch import Stopwatch

TOTAL = 2.0
#: What may come on top: closing connections.
GRACE = 0.5
#: A file call that is under way is waited for this long, and no longer.
DISK_GRACE = threads.GRACE + GRACE
SIZE = 8 * PART


async def run(source: asyncdl.model.Source, dest: Path, grace: float) -> asyncdl.DeadlineError:
    """The deadline's error, raised within `TOTAL` + `grace`."""
    began = time.monotonic()
    async with Stopwatch() as watch:
        with pytest.raises(asyncdl.DeadlineError) as caught:
            await asyncdl.download(
                source,
                dest,
                options=small(4),
                timeouts=asyncdl.Timeouts(total=TOTAL, low_speed=None),
                retry=asyncdl.Retry(attempts=10_000, base=0.01, cap=0.05, budget=10_000),
            )

    assert TOTAL - 0.1 <= time.monotonic() - began
    assert watch.seconds <= TOTAL + grace
    assert not dest.exists()
    return caught.value


SERVERS = {
    "retries": Fault(status=503),
    "stalls in the headers": Fault(stall_headers=True),
    "stalls in the body": Fault(stall_after=1000),
    "drips": Fault(drip=(10, 0.01)),
    "drops after each byte": Fault(drop_after=1, delay=0.02),
}


@pytest.mark.parametrize("fault", SERVERS.values(), ids=SERVERS.keys())
async def test_server_that_takes_its_time(origin: Origin, tmp_path: Path, no_leaks: object, fault: Fault) -> None:
    """C1, C4: retries, stalls and slow bodies are inside the deadline; nothing is left open after it."""
    origin.add("/object", SIZE)
    origin.script(fault)

    error = await run(origin.url("/object"), tmp_path / "file", GRACE)
    await origin.aclose()

    assert "2 s" in str(error)


async def test_provider_that_hangs(tmp_path: Path, no_leaks: object) -> None:
    """C1: a refresh is inside the deadline too."""

    async def provider(rejected: asyncdl.SignedUrl | None) -> str:
        await asyncio.Event().wait()
        raise AssertionError

    await run(provider, tmp_path / "file", GRACE)

    assert [] == os.listdir(tmp_path)


async def test_refreshing_for_ever(origin: Origin, tmp_path: Path, no_leaks: object) -> None:
    """C1: URLs that die after every response cannot add to it."""
    origin.add("/object", 20 * SIZE)
    provider = origin.provider("/object", ttl=3600, delay=0.2)

    async def dying(rejected: asyncdl.SignedUrl | None) -> str:
        url = await provider(rejected)
        asyncio.get_running_loop().call_later(0.3, origin.expire, url)
        return url

    origin.script(Fault(rate=4 * PART))

    await run(dying, tmp_path / "file", GRACE)
    await origin.aclose()

    assert provider.calls >= 2


async def _slow_disk(monkeypatch: pytest.MonkeyPatch, name: str, seconds: float) -> None:
    real: Callable[..., object] = getattr(os, name)

    def slow(*arguments: object) -> object:
        time.sleep(seconds)
        return real(*arguments)

    monkeypatch.setattr(os, name, slow)


@pytest.mark.parametrize(("call", "seconds"), [("pwritev", 0.6), ("fsync", 3.0), ("pwritev", 10.0)], ids=str)
async def test_slow_disk(
    origin: Origin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, seconds: float
) -> None:
    """C1: a write or fsync under way is waited for, but not longer than the grace for file calls."""
    origin.add("/object", SIZE)
    await _slow_disk(monkeypatch, call, seconds)

    await run(origin.url("/object"), tmp_path / "file", DISK_GRACE)

    assert (tmp_path / "file.part").exists()


async def test_slow_disk_is_not_the_servers_stall(
    origin: Origin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """C3: while our own queue is full, the stall and low-speed timers are parked."""
    content = origin.add("/object", SIZE)
    await _slow_disk(monkeypatch, "pwritev", 0.15)

    result = await asyncdl.download(
        origin.url("/object"),
        tmp_path / "file",
        options=small(2, queue_depth=4),
        timeouts=asyncdl.Timeouts(stall=0.1, low_speed=(20 * PART, 0.1)),
    )

    assert content.first_difference(tmp_path / "file") is None
    assert 0 == result.retries


async def test_no_deadline_means_none(origin: Origin, tmp_path: Path) -> None:
    """Without `total` a download that makes progress goes on."""
    content = origin.add("/object", SIZE)
    origin.script(Fault(rate=PART))

    await asyncdl.download(origin.url("/object"), tmp_path / "file", options=small(8), size=SIZE)

    assert content.first_difference(tmp_path / "file") is None


async def test_blocked_loop_is_not_the_servers_stall(tmp_path: Path) -> None:
    """C3: an answer that came while the caller's own code held the loop is taken, not timed out."""
    async with origin_process(size=SIZE, latency=0.1) as origin:
        loop = asyncio.get_running_loop()
        loop.call_later(0.05, time.sleep, 0.9)

        result = await asyncdl.download(
            origin.url,
            tmp_path / "file",
            options=small(1),
            timeouts=asyncdl.Timeouts(response=0.5),
            retry=asyncdl.Retry(attempts=1),
        )

    assert SIZE == result.size
    assert 0 == result.retries
