"""The command itself, killed, terminated and interrupted in mid-download, once and twice; and started again."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from asyncdl.options import MIB
from asyncdl.testing import Origin
from tests.kill.evidence import look
from tests.kill.lives import ROOT

#: Enough for several connections.
SIZE = 17 * MIB + 5
#: Bytes a second of one connection: time enough to be killed in, several times.
RATE = 6.0 * MIB
_WITHIN = 150.0
#: The command as it is, but for claims after less than it has in earnest, and the last one however busy the disk is.
_COMMAND = """
import runpy, signal, sys
from asyncdl import writer
signal.signal(signal.SIGINT, signal.default_int_handler)
writer.FLUSH_MOST = 512 * 1024
writer._LAST_FLUSH = 60.0
runpy.run_module("asyncdl", run_name="__main__", alter_sys=True)
"""


class Command:
    """One run, read event by event."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.last: dict[str, object] = {}

    async def reach(self, done: int) -> bool:
        """Read on until so many bytes are done; False when it ended first."""
        assert self._process.stdout is not None
        async with asyncio.timeout(_WITHIN):
            while line := await self._process.stdout.readline():
                self.last = json.loads(line)
                found = self.last.get("done")
                if isinstance(found, int) and found >= done:
                    return True
        return False

    def send(self, *signals: signal.Signals) -> None:
        for number in signals:
            self._process.send_signal(number)

    async def end(self, *signals: signal.Signals) -> int:
        """Send signals without a pause, and wait; the exit code."""
        self.send(*signals)
        await self.reach(1 << 60)
        async with asyncio.timeout(_WITHIN):
            return await self._process.wait()


@asynccontextmanager
async def command(url: str, dest: Path, *more: str) -> AsyncIterator[Command]:
    argv = (url, "-o", str(dest), "--json", "--part-size", "1M", *more)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ASYNCDL_")}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", _COMMAND, *argv),
        env={**environment, "PYTHONPATH": str(ROOT), "NO_PROXY": "127.0.0.1"},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        yield Command(process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


async def test_killed(tmp_path: Path) -> None:
    """B27: SIGKILL at whatever it has shown, again and again; every run has a URL and settings of its own."""
    rng = random.Random(4)
    dest, kills, fetched = tmp_path / "file", 0, ""
    async with Origin(rate=RATE) as origin:
        content = origin.add("/object", SIZE)
        code = -9
        while code == -9:
            before = look(dest, [content]).claimed
            url = origin.presign("/object", ttl=60)
            async with command(url, dest, "-x", str(rng.randrange(1, 4))) as run:
                living = kills < 4 and await run.reach(before + rng.randrange(2 * MIB, 4 * MIB))
                code = await run.end(*[signal.SIGKILL] * living)
                fetched = str(run.last.get("fetched"))
            kills += living
            look(dest, [content])

    assert (0, 4) == (code, kills)
    assert content.first_difference(dest) is None
    assert ["file"] == os.listdir(tmp_path)
    assert int(fetched) < SIZE // 2


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("times", [1, 2, 3])
async def test_interrupted(number: signal.Signals, code: int, times: int, tmp_path: Path) -> None:
    """B36: once, it claims what it has; more often, it ends at once; either way the next run goes on, and is right."""
    dest = tmp_path / "file"
    async with Origin(rate=RATE) as origin:
        content = origin.add("/object", SIZE)
        async with command(origin.presign("/object", ttl=60), dest, "-x", "2") as run:
            assert await run.reach(SIZE // 3)
            ended = await run.end(*[number] * times)
        found = look(dest, [content])
        async with command(origin.presign("/object", ttl=60), dest, "-x", "3") as last:
            await last.reach(1 << 60)
            finished = await last.end()

    assert (code, 0) == (ended, finished)
    assert content.first_difference(dest) is None
    assert ["file"] == os.listdir(tmp_path)
    if times == 1:
        assert found.claimed >= SIZE // 3
        # The byte that proves which object it is comes again.
        assert SIZE - found.claimed == last.last["fetched"]


async def test_second_process(tmp_path: Path) -> None:
    """B15: a destination that a living process is at work on is refused at once, and the first is not disturbed."""
    dest = tmp_path / "file"
    async with Origin(rate=RATE) as origin:
        content = origin.add("/object", SIZE)
        async with command(origin.presign("/object", ttl=60), dest) as first:
            assert await first.reach(SIZE // 4)
            # However long the second takes to begin, the first is still at it.
            first.send(signal.SIGSTOP)
            async with command(origin.presign("/object", ttl=60), dest) as second:
                refused = await second.end()
            ended = await first.end(signal.SIGCONT)

    assert (9, 0) == (refused, ended)
    assert "destination-busy" == second.last["code"]
    assert content.first_difference(dest) is None
    assert ["file"] == os.listdir(tmp_path)
