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
#: Bytes per second of one connection.
RATE = 16e6
#: What a life brings before it is killed, as shares of the size over the kills; on average so much that the last kill
#: comes when three quarters have been sent.
_LIVES = (0.1, 1.4)
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
    size, lives = source.stat().st_size, list[Sample]()
    # By bytes and not by seconds: a process that is killed while it starts shows nothing.
    for _ in range(KILLS):
        until = origin.counts()["sent"] + draw.uniform(*_LIVES) * size / KILLS
        lives.append(run(command, kill_when=lambda until=until: origin.counts()["sent"] >= until))  # type: ignore[misc]
    kills = sum("killed" in life.facts for life in lives)
    if kills < KILLS:
        raise RunError(f"was complete after {kills} kills")
    lives.append(run(command))
    if not same(source, task.dest):
        raise RunError("brought wrong bytes")
    again = origin.counts()["sent"] - size
    allowed = kills * (WINDOW + Options(connections=CONNECTIONS).memory_bound)
    facts = {"kills": kills, "again MiB": again / MIB, "allowed MiB": allowed / MIB, "share": again / max(1, allowed)}
    wall, cpu = sum(life.wall for life in lives), sum(life.cpu for life in lives)
    return Sample(wall=wall, cpu=cpu, peak=max(life.peak for life in lives), size=size, facts=facts)
