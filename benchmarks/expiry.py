"""Scenario of URLs that expire in mid-transfer, P10, on the test kit's own origin."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from asyncdl.testing import Content
from benchmarks.clients import Task, child
from benchmarks.measure import RunError, Sample, run
from benchmarks.rounds import Results, Row, interleave
from benchmarks.settings import GIB, MIB, Settings

CONNECTIONS = 16
#: Seconds that a URL lives, and one that lives for ever: S3's longest.
LIFE = 2.0
_FOR_EVER = 604_800.0
#: Parts for each connection, in a transfer that takes a multiple of a URL's life.
_PARTS = 40
FOR_EVER, SHORT = "a URL that lives for ever", "URLs that live 2 s"


def expiring(settings: Settings) -> Results:
    """P10: the origin paces the connections so that the transfer takes the time wanted."""
    size, rounds = settings.sized(GIB // 2, 4 * GIB), settings.times(1, 3)
    seconds = settings.either(20.0, 60.0)
    rate = size / seconds / CONNECTIONS
    with settings.place() as place, origin(size, rate) as base:
        rows = [_row(name, base, size, life) for name, life in ((FOR_EVER, _FOR_EVER), (SHORT, LIFE))]
        results = interleave(rows, rounds, place, settings.tell)
    results.facts |= {"size": size, "rounds": rounds, "seconds": seconds, "rate": rate, "connections": CONNECTIONS}
    return results


@contextlib.contextmanager
def origin(size: int, rate: float) -> Iterator[str]:
    """The test kit's origin in a process of its own: where it is asked for URLs."""
    command = [sys.executable, "-m", "asyncdl.testing", f"--size={size}", f"--rate={rate}"]
    paths = [str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            line = json.loads(process.stdout.readline())
            yield f"{line['url']}/_presign{line['path']}"
        finally:
            process.stdin.close()
            process.wait(10)


def _row(name: str, base: str, size: int, life: float) -> Row:
    def action(directory: Path) -> Sample:
        task = Task(url="", dest=directory / "download.bin")
        # Parts so small that there is always a request about to be sent, and with it a need for a living URL.
        options = {"connections": CONNECTIONS, "part_size": max(MIB, size // (CONNECTIONS * _PARTS))}
        sample = run(child("asyncdl", task, options=options, presign=f"{base}?ttl={life:g}"), size=size)
        if Content(1, size).first_difference(task.dest) is not None:
            raise RunError("brought wrong bytes")
        facts = {**sample.facts, "renewals a life": sample.facts["refreshes"] / -(-sample.wall // LIFE)}
        return Sample(wall=sample.wall, cpu=sample.cpu, peak=sample.peak, size=size, facts=facts)

    return Row(name=name, run=action)
