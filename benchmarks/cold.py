"""Scenario of a cold process, P11: the command for one small file, beside curl and beside what it must import."""

from __future__ import annotations

import sys
from pathlib import Path

from benchmarks.measure import RunError, Sample, run, same
from benchmarks.nginx import fill, serving
from benchmarks.rounds import Results, Row, interleave
from benchmarks.settings import Settings

SIZE = 1_000_000
COMMAND, CURL, PYTHON = "python -m asyncdl", "curl", "python -c pass"
#: Nothing of these is ours: no client over asyncio and aiohttp can be faster than the last.
FLOOR = "aiohttp, 8 lines"
_IMPORTS = ("import asyncio", "import aiohttp", "import asyncdl")
_PLAIN = """
import asyncio, sys
import aiohttp
async def main(url, dest):
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        with open(dest, "wb") as file:
            file.write(await response.read())
asyncio.run(main(*sys.argv[1:]))
"""


def cold(settings: Settings) -> Results:
    """P11."""
    rounds = settings.times(9, 31)
    with settings.place() as place, serving(place) as site:
        source = fill(site.root / "object.bin", SIZE)
        url = site.url(source.name)
        rows = [
            _row(COMMAND, [sys.executable, "-m", "asyncdl", "-q", url, "-o"], source),
            _row(CURL, ["curl", "-sSf", url, "-o"], source),
            _row(FLOOR, [sys.executable, "-c", _PLAIN, url], source),
            *(_start(f"python -c {words!r}", ["-c", words]) for words in _IMPORTS),
            _start("python -m asyncdl --version", ["-m", "asyncdl", "--version"]),
            _start(PYTHON, ["-c", "pass"]),
        ]
        # Once before: afterwards the byte code is written and the files are in memory, as for any second start.
        results = interleave(rows, rounds, place, settings.tell, warm=True)
    results.facts |= {"size": SIZE, "rounds": rounds}
    return results


def _start(name: str, words: list[str]) -> Row:
    return Row(name=name, run=lambda _: run([sys.executable, *words]))


def _row(name: str, command: list[str], source: Path) -> Row:
    def action(directory: Path) -> Sample:
        dest = directory / "download.bin"
        sample = run([*command, str(dest)], size=SIZE)
        if not same(source, dest):
            raise RunError("brought wrong bytes")
        return sample

    return Row(name=name, run=action)
