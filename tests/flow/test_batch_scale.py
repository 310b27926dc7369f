"""Ten thousand files in one run, and a batch that is killed again and again until it is done."""

from __future__ import annotations

import asyncio
import json
import os
import random
import shutil
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from asyncdl.testing import Origin
from tests.support.servers import Sites

KIB, MIB = 1 << 10, 1 << 20
_ROOT = str(Path(__file__).parents[2])


@asynccontextmanager
async def batch(order: dict[str, object], base: str, where: Path) -> AsyncIterator[Process]:
    """One batch in a process of its own, killed at the end of the context if it still runs."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.support.batches", json.dumps(order), base, str(where)),
        env={**os.environ, "PYTHONPATH": _ROOT},
        stdin=DEVNULL,
        stdout=PIPE,
        stderr=PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


@pytest.mark.slow
@pytest.mark.server
@pytest.mark.timeout(900)
async def test_ten_thousand_files(sites: Sites, tmp_path: Path) -> None:
    """10,000 files of 100 kB and 20 large ones in one run: all there, and the last nine tenths cost no more memory."""
    site, small, large, size = sites("nginx"), 10_000, 20, 100_000
    contents = [site.add(f"small-{number}", size, seed=number + 1) for number in range(100)]
    for number in range(100, small):
        os.link(site.file(f"small-{number % 100}"), site.file(f"small-{number}"))
    content = site.add("large-0", 16 * MIB)
    for number in range(1, large):
        os.link(site.file("large-0"), site.file(f"large-{number}"))
    where = tmp_path / "out"
    where.mkdir()
    order: dict[str, object] = {"kinds": {"small": small, "large": large}}
    try:
        async with batch(order, site.url("small-0").rpartition("/")[0], where) as process:
            out, errors = await process.communicate()
        assert (0, b"") == (process.returncode, errors)
        told = json.loads(out)

        assert (small + large, 0) == (told["downloaded"], told["skipped"])
        assert small + large == len(os.listdir(where))
        for number in range(0, small, 97):
            assert contents[number % 100].first_difference(where / f"small-{number}") is None
        assert {size} == {(where / f"small-{number}").stat().st_size for number in range(small)}
        for number in range(large):
            assert content.first_difference(where / f"large-{number}") is None
        assert told["peaks"][-1] <= told["peaks"][0] + 24
    finally:
        shutil.rmtree(where)


async def brought(origin: Origin, begun: int, files: int) -> None:
    """Wait until so many requests since number `begun` got more than a byte."""
    requests = origin.ledger.requests
    await origin.ledger.until(lambda: sum(record.sent > 1 for record in requests[begun:]) >= files, timeout=60)


@pytest.mark.parametrize("sized", [False, True], ids=["sizes unknown", "sizes known"])
async def test_killed_until_done(tmp_path: Path, sized: bool) -> None:
    """SIGKILL at random places: the same batch run again ends whole, and asks for no complete file a second time."""
    small, large, size, chance = 120, 3, 20_000, random.Random(11)  # reproducible
    order: dict[str, object] = {"kinds": {"small": small, "large": large}}
    async with Origin(connection_rates=lambda _: 8e6) as origin:
        contents = {f"/small-{number}": origin.add(f"/small-{number}", size) for number in range(small)}
        contents |= {f"/large-{number}": origin.add(f"/large-{number}", 3 * MIB) for number in range(large)}
        if sized:
            order["sized"] = {"small": size, "large": 3 * MIB}
        kills, out = 0, b""
        base = origin.url("/small-0").rpartition("/")[0]
        complete: set[str] = set()
        while True:
            ledger, begun = origin.ledger, len(origin.ledger.requests)
            async with batch(order, base, tmp_path) as process:
                ended = asyncio.create_task(process.wait())
                dies = asyncio.create_task(brought(origin, begun, chance.randint(15, 60)))
                await asyncio.wait({ended, dies}, return_when=asyncio.FIRST_COMPLETED)
                if ended.done():
                    dies.cancel()
                    out, errors = await process.communicate()
                    assert (0, b"") == (process.returncode, errors)
                    break
                process.kill()
                await ended
                kills += 1
            again = {record.path for record in ledger.requests[begun:] if record.path in complete and record.sent > 1}
            assert set() == again
            if sized:
                assert set() == {record.path for record in ledger.requests[begun:] if record.path in complete}
            complete = {f"/{path.name}" for path in tmp_path.iterdir() if "." not in path.name}

        assert set(contents) == {f"/{path.name}" for path in tmp_path.iterdir()}
        for path, content in contents.items():
            assert content.first_difference(tmp_path / path[1:]) is None
    told = json.loads(out)
    assert small + large == told["downloaded"] + told["skipped"]
    assert told["skipped"] > 0
    assert kills >= 2
