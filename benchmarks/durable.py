"""Scenario of a real disk, P14: one large file with its final flush, and what of it is left in the page cache."""

from __future__ import annotations

import ctypes
import mmap
import os
import shlex
from collections.abc import Callable
from pathlib import Path

from benchmarks.clients import LIMIT as UNSYNCED
from benchmarks.clients import NAMES, Task
from benchmarks.measure import RunError, Sample, run, same
from benchmarks.nginx import fill, serving
from benchmarks.rounds import Results, Row, interleave
from benchmarks.settings import GIB, MIB, Settings

OURS, CURL, LIMIT = "asyncdl", "curl + sync", f"{UNSYNCED} + sync"


def durable(settings: Settings) -> Results:
    """P14."""
    size, rounds = settings.sized(GIB // 2, 4 * GIB), settings.times(5, 5)
    with settings.place() as place, settings.place(on_disk=True) as disk, serving(place) as site:
        source = fill(site.root / "object.bin", size)
        url = site.url(source.name)
        rows = [
            _row(OURS, NAMES["asyncdl"].command, source, url, disk),
            *(_row(name, _then_sync(client), source, url, disk) for name, client in _SYNCED.items()),
        ]
        results = interleave(rows, rounds, place, settings.tell)
    results.facts |= {"size": size, "rounds": rounds}
    return results


def resident(path: Path) -> int:
    """Bytes of a file that are in the page cache (mincore(2)); 0 where the system cannot say."""
    size = path.stat().st_size
    libc = ctypes.CDLL(None, use_errno=True)
    if not size or not hasattr(libc, "mincore"):
        return 0
    pages = -(-size // mmap.PAGESIZE)
    found = (ctypes.c_ubyte * pages)()
    with path.open("rb") as file, mmap.mmap(file.fileno(), size, access=mmap.ACCESS_COPY) as mapped:
        # A private mapping that is never touched: only so can its address be had.
        view = ctypes.c_char.from_buffer(mapped)
        try:
            if libc.mincore(ctypes.c_void_p(ctypes.addressof(view)), ctypes.c_size_t(size), found):
                raise OSError(ctypes.get_errno(), "mincore")
        finally:
            del view
    return (pages - bytes(found).translate(_LOWEST_BIT).count(0)) * mmap.PAGESIZE


#: mincore(2): only the least significant bit of each byte says something.
_LOWEST_BIT = bytes(number & 1 for number in range(256))


#: What is followed by a sync of its file.
_SYNCED = {CURL: "curl", LIMIT: UNSYNCED}


def _then_sync(client: str) -> Callable[[Task], list[str]]:
    return lambda task: [
        "sh",
        "-c",
        f"{shlex.join(NAMES[client].command(task))} && sync {shlex.quote(str(task.dest))}",
    ]


def _row(name: str, command: Callable[[Task], list[str]], source: Path, url: str, disk: Path) -> Row:
    def action(directory: Path) -> Sample:
        task, size = Task(url=url, dest=directory / "download.bin"), source.stat().st_size
        # Once before, not measured: how a client writes decides which memory it gets for the page cache, and a virtual
        # machine that has given that back has to get it again, for several times as long as the run takes.
        run(command(task), size=size)
        task.dest.unlink()
        os.sync()  # what others left to be written is not for this run to wait for
        sample = run(command(task), size=size)
        cached = resident(task.dest)
        if not same(source, task.dest):
            raise RunError("brought wrong bytes")
        facts = {**sample.facts, "cached MiB": cached / MIB}
        return Sample(wall=sample.wall, cpu=sample.cpu, peak=sample.peak, size=sample.size, facts=facts)

    return Row(name=name, run=action, where=disk)
