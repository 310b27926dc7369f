"""Scenarios of memory, P4 and P13: peaks that must not grow with the file, nor with the number of its parts."""

from __future__ import annotations

import sys
from pathlib import Path

from benchmarks.clients import NAMES
from benchmarks.marked import Marked
from benchmarks.measure import RunError, Sample, run
from benchmarks.nginx import fill, serving
from benchmarks.rounds import Results, Row, interleave
from benchmarks.settings import GIB, KIB, MIB, Settings, row

#: P4: connections, and the rows.
COUNTS = (1, 8, 64)
TINY, SINK_SMALL, SINK_LARGE = "next to no data", "discarded, small", "discarded, large"
WANDB, CURL = "wandb", "curl"
#: P13: the object, one a thousand times smaller, and the connections.
HUGE = 5 << 40
_SMALL = 5 << 30
MANY = 64
PLAN_HUGE, PLAN_SMALL = "planned, 5 TiB", "planned, 5 GiB"
REAL, REAL_SMALL = "downloaded, 5 TiB, first seconds", "downloaded, 64 GiB, first seconds"


def with_count(count: int) -> str:
    return f"asyncdl -x{count}"


def peaks(settings: Settings) -> Results:
    """P4."""
    size, rounds = settings.sized(GIB // 2, 4 * GIB), settings.times(2, 3)
    small, large = settings.size or GIB, settings.sized(8 * GIB, 200 * GIB)
    with settings.place() as place, serving(place) as site:
        source = fill(site.root / "object.bin", size)
        ours, url = NAMES["asyncdl"], site.url(source.name)
        # All code is loaded and all threads are there, as they are not for a file of a few bytes.
        few = {"chunk_size": 64 * KIB, "queue_depth": 2, "part_size": MIB}
        tiny = fill(site.root / "tiny.bin", 32 * MIB)
        rows = [row(TINY, ours, tiny, site.url(tiny.name), connections=1, options=few)]
        rows += [row(with_count(count), ours, source, url, connections=count) for count in COUNTS]
        rows += [row(name, NAMES[name], source, url) for name in (WANDB, CURL) if NAMES[name].missing() is None]
        for name, length in ((SINK_SMALL, small), (SINK_LARGE, large)):
            path = Marked(length).write(site.root / f"{name}.bin".replace(" ", ""))
            rows.append(_discarding(name, site.url(path.name), length, 8))
        results = interleave([one for one in rows if settings.wanted(one.name)], rounds, place, settings.tell)
    results.facts |= {"size": size, "rounds": rounds, "discarded": large}
    return results


def huge(settings: Settings) -> Results:
    """P13."""
    rounds, seconds = settings.times(2, 3), settings.either(3.0, 10.0)
    with settings.place() as place, serving(place) as site:
        rows = [_planning(name, size) for name, size in ((PLAN_HUGE, HUGE), (PLAN_SMALL, _SMALL))]
        for name, size in ((REAL, HUGE), (REAL_SMALL, 64 * GIB)):
            path = Marked(size).write(site.root / f"{size}.bin")
            rows.append(_discarding(name, site.url(path.name), size, MANY, seconds=seconds))
        results = interleave(rows, rounds, place, settings.tell)
    results.facts |= {"size": HUGE, "rounds": rounds, "connections": MANY, "seconds": seconds}
    return results


def _discarding(name: str, url: str, size: int, connections: int, *, seconds: float | None = None) -> Row:
    def action(directory: Path) -> Sample:
        words = [url, str(directory / "download.bin"), str(connections), str(size)]
        limit = [] if seconds is None else [str(seconds)]
        sample = run([sys.executable, "-m", "benchmarks.discard", *words, *limit], size=size, patience=3600)
        brought = int(sample.facts["bytes"])
        if not brought:
            raise RunError("brought nothing")
        return Sample(wall=sample.wall, cpu=sample.cpu, peak=sample.peak, size=brought, facts=sample.facts)

    return Row(name=name, run=action)


def _planning(name: str, size: int) -> Row:
    command = [sys.executable, "-m", "benchmarks.planned", str(size), str(MANY)]
    return Row(name=name, run=lambda _: run(command))
