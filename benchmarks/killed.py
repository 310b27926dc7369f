"""Scenario of a process killed again and again within one download, P12."""

from __future__ import annotations

import random
from pathlib import Path

from asyncdl import Options
from asyncdl.writer import FLUSH_BYTES
from benchmarks.clients import NAMES, Task
from benchmarks.measure import RunError, Sample, run, same
from benchmarks.nginx import fill
from benchmarks.paced import Paced, pacing
from benchmarks.rounds import Results, Row, interleave
from benchmarks.settings import GIB, MIB, Settings

KILLS = 20
CONNECTIONS = 8
#: Bytes per second of one connection, and the seconds between which each life's length is drawn, start-up included.
RATE = 16e6
_LIVES = (0.6, 1.4)
KILLED = "asyncdl, killed 20 times"
#: One window of the journal: what is written while one flush waits and another gathers, as docs/journal.md has it.
WINDOW = 2 * FLUSH_BYTES


def killed(settings: Settings) -> Results:
    """P12: the origin counts what it sent, so that what was on its way at a kill counts as fetched again."""
    size, rounds = settings.sized(3 * GIB // 2, 4 * GIB), settings.times(1, 3)
    with settings.place() as place, pacing(fill(place / "object.bin", size)) as origin:
        seeds = iter(range(rounds))
        rows = [Row(name=KILLED, run=lambda directory: _lives(directory, place / "object.bin", origin, next(seeds)))]
        results = interleave(rows, rounds, place, settings.tell)
    results.facts |= {"size": size, "rounds": rounds, "rate": RATE, "connections": CONNECTIONS}
    return results


def _lives(directory: Path, source: Path, origin: Paced, seed: int) -> Sample:
    origin.set(rate=RATE)
    draw = random.Random(seed)
    task = Task(url=origin.url, dest=directory / "download.bin", connections=CONNECTIONS)
    command = NAMES["asyncdl"].command(task)
    lives: list[Sample] = []
    while len(lives) < KILLS and not task.dest.exists():
        lives.append(run(command, kill_after=draw.uniform(*_LIVES)))
    kills = sum("killed" in life.facts for life in lives)
    if not task.dest.exists():
        lives.append(run(command))
    if not same(source, task.dest):
        raise RunError("brought wrong bytes")
    size = source.stat().st_size
    again = origin.counts()["sent"] - size
    allowed = kills * (WINDOW + Options(connections=CONNECTIONS).memory_bound)
    facts = {"kills": kills, "again MiB": again / MIB, "allowed MiB": allowed / MIB, "share": again / max(1, allowed)}
    wall, cpu = sum(life.wall for life in lives), sum(life.cpu for life in lives)
    return Sample(wall=wall, cpu=cpu, peak=max(life.peak for life in lives), size=size, facts=facts)
