"""Scenario of many small files, P8: to a tmpfs, where nothing is ever durable, and to a disk, where each is flushed."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from pathlib import Path

from asyncdl.testing import Content
from benchmarks.clients import NAMES
from benchmarks.measure import RunError, Sample, run
from benchmarks.nginx import serving
from benchmarks.rounds import Results, Row, interleave
from benchmarks.settings import Settings

FILE = 100_000
#: Requests at once; the threaded baseline gets what it had.
AT_ONCE = 16
_THREADS = 64
DURABLE = ", durable"
#: What aiohttp and the disk take by themselves.
LIMIT = "limit: aiohttp + fsync"

#: A command line out of: a list of URLs, a directory to fill.
_Command = Callable[[Path, Path], list[str]]


def _child(client: str, at_once: int) -> _Command:
    return lambda urls, into: [sys.executable, "-m", "benchmarks.many", client, str(urls), str(into), str(at_once)]


def _aria2c(urls: Path, into: Path) -> list[str]:
    fixed = ["--no-conf", "-q", "--file-allocation=none", "--allow-overwrite=true", f"-j{AT_ONCE}", "-x1"]
    return ["aria2c", *fixed, "-i", str(urls), "-d", str(into)]


def _wget2(urls: Path, into: Path) -> list[str]:
    return ["wget2", "-q", "--no-config", "--no-hsts", f"--max-threads={AT_ONCE}", "-i", str(urls), "-P", str(into)]


def _curl(urls: Path, into: Path) -> list[str]:
    # Without --remote-name-all its list would have to name every file a second time.
    words = [
        "curl",
        "-sSf",
        "--parallel",
        "--parallel-max",
        str(AT_ONCE),
        "--remote-name-all",
        "--output-dir",
        str(into),
    ]
    return ["sh", "-c", f"sed 's/^/url = /' {shlex.quote(str(urls))} | {shlex.join([*words, '-K', '-'])}"]


_COMMANDS: dict[str, _Command] = {
    "asyncdl": _child("asyncdl", AT_ONCE),
    "threaded baseline": _child("threaded", _THREADS),
    "curl": _curl,
    "aria2c": _aria2c,
    "wget2": _wget2,
    LIMIT: _child("aiohttp", AT_ONCE),
}
#: These make each file durable by themselves.
_FLUSHING = frozenset({"asyncdl", LIMIT})


def many(settings: Settings) -> Results:
    """P8."""
    count = max(1, settings.size // FILE) if settings.size else settings.either(1_000, 10_000)
    rounds = settings.times(3, 5)
    with settings.place() as place, settings.place(on_disk=True) as disk, serving(place) as site:
        content = Content(1, count * FILE)
        names = [f"{number:06}.bin" for number in range(count)]
        for number, name in enumerate(names):
            (site.root / name).write_bytes(content.read(number * FILE, (number + 1) * FILE))
        listed = place / "urls.txt"
        listed.write_text("".join(site.url(name) + "\n" for name in names))
        rows = []
        for name, command in _COMMANDS.items():
            if _missing(name) is None and settings.wanted(name):
                rows.append(_row(name, command, listed, site.root))
                durable = command if name in _FLUSHING else _flushed(command)
                rows.append(_row(name + DURABLE, durable, listed, site.root, where=disk))
        results = interleave(rows, rounds, place, settings.tell)
    results.left_out |= {name: why for name in _COMMANDS if (why := _missing(name)) is not None}
    results.facts |= {"files": count, "bytes each": FILE, "rounds": rounds, "at once": AT_ONCE}
    return results


def _missing(name: str) -> str | None:
    return None if name == LIMIT else NAMES[name].missing()


def _flushed(command: _Command) -> _Command:
    """The same, and then a flush of each file and of the directory, which asyncdl and the limit do by themselves."""

    def flushed(urls: Path, into: Path) -> list[str]:
        folder = shlex.quote(str(into))
        return ["sh", "-c", f"{shlex.join(command(urls, into))} && find {folder} | xargs sync"]

    return flushed


def _row(name: str, command: _Command, listed: Path, root: Path, *, where: Path | None = None) -> Row:
    def action(directory: Path) -> Sample:
        expected = {path.name: path for path in root.iterdir()}
        sample = run(command(listed, directory), size=len(expected) * FILE)
        found = {path.name: path for path in directory.iterdir()}
        if expected.keys() != found.keys():
            raise RunError(f"left {len(found)} files, and not the {len(expected)} that there are")
        for each, path in expected.items():
            if path.read_bytes() != found[each].read_bytes():
                raise RunError("brought wrong bytes")
        facts = {**sample.facts, "files/s": len(expected) / sample.wall}
        return Sample(wall=sample.wall, cpu=sample.cpu, peak=sample.peak, size=sample.size, facts=facts)

    return Row(name=name, run=action, where=where)
