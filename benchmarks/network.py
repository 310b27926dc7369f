"""Scenarios of an origin that holds back, P5 to P7: a rate for each connection, a late first byte, a collapse."""

from __future__ import annotations

from pathlib import Path

from benchmarks.clients import NAMES, Client, Task
from benchmarks.measure import Sample
from benchmarks.nginx import fill
from benchmarks.paced import Paced, pacing
from benchmarks.rounds import Results, Row, interleave
from benchmarks.settings import GIB, MIB, Settings, bring

#: P5 and P6: bytes per second that a connection gets.
RATE = 50e6
#: P5: connections.
COUNTS = (1, 2, 4, 8)
FREE = "asyncdl, no cap"
#: P6: seconds before the first byte of every response, and connections.
LATENCIES = (0.05, 0.1)
PIPELINE = 8
PLAIN = "asyncdl, no latency"
#: P7: bytes per second that each of so many connections gets, but for the one that collapses.
HEALTHY_RATE = 20e6
MANY = 16
HEALTHY, COLLAPSED = "all healthy", "one collapsed"
#: P7: which of the connections it is.
_VICTIM = 2


def capped(settings: Settings) -> Results:
    """P5: with 1, 2, 4 and 8 connections, and with 8 that nothing holds back."""
    size, rounds = settings.sized(GIB // 2, 2 * GIB), settings.times(2, 5)
    peers = [NAMES[name] for name in ("aria2c", "threaded baseline") if NAMES[name].missing() is None]
    with settings.place() as place, pacing(fill(place / "object.bin", size)) as origin:
        rows = [_paced_row(FREE, NAMES["asyncdl"], place, origin, PIPELINE)]
        rows += [_paced_row(with_count(count), NAMES["asyncdl"], place, origin, count, rate=RATE) for count in COUNTS]
        most = max(COUNTS)
        rows += [_paced_row(f"{peer.name} -x{most}", peer, place, origin, most, rate=RATE) for peer in peers]
        results = interleave([one for one in rows if settings.wanted(one.name)], rounds, place, settings.tell)
    results.facts |= {"size": size, "rounds": rounds, "rate": RATE}
    return results


def late(settings: Settings) -> Results:
    """P6: each response's first byte comes late, the bodies at a rate."""
    size, rounds = settings.sized(GIB // 2, 4 * GIB), settings.times(3, 5)
    client = NAMES["asyncdl"]
    with settings.place() as place, pacing(fill(place / "object.bin", size)) as origin:
        rows = [_paced_row(PLAIN, client, place, origin, PIPELINE, rate=RATE)]
        rows += [
            _paced_row(with_latency(latency), client, place, origin, PIPELINE, rate=RATE, latency=latency)
            for latency in LATENCIES
        ]
        results = interleave(rows, rounds, place, settings.tell)
    results.facts |= {"size": size, "rounds": rounds, "rate": RATE, "connections": PIPELINE}
    return results


def straggler(settings: Settings) -> Results:
    """P7: the third connection that asks for data gets 100 kB/s after its first 4 MiB, until it is closed."""
    size, rounds = settings.sized(GIB, 4 * GIB), settings.times(2, 5)
    client = NAMES["asyncdl"]
    with settings.place() as place, pacing(fill(place / "object.bin", size)) as origin:
        rows = [
            _paced_row(HEALTHY, client, place, origin, MANY, rate=HEALTHY_RATE),
            _paced_row(COLLAPSED, client, place, origin, MANY, rate=HEALTHY_RATE, collapse=_VICTIM),
        ]
        results = interleave(rows, rounds, place, settings.tell)
    results.facts |= {"size": size, "rounds": rounds, "rate": HEALTHY_RATE, "connections": MANY}
    return results


def with_count(count: int) -> str:
    return f"asyncdl -x{count}"


def with_latency(latency: float) -> str:
    return f"asyncdl, {latency * 1000:.0f} ms late"


def _paced_row(
    name: str,
    client: Client,
    place: Path,
    origin: Paced,
    connections: int,
    *,
    rate: float = 0.0,
    latency: float = 0.0,
    collapse: int = -1,
) -> Row:
    def action(directory: Path) -> Sample:
        origin.set(rate=rate, latency=latency, collapse=collapse)
        task = Task(url=origin.url, dest=directory / "download.bin", connections=connections)
        sample = bring(client, place / "object.bin", task)
        counts = origin.counts()
        facts = {**sample.facts, "requests": counts["requests"], "connections": counts["connections"]}
        facts["sent_twice"] = (counts["sent"] - sample.size) / MIB
        return Sample(wall=sample.wall, cpu=sample.cpu, peak=sample.peak, size=sample.size, facts=facts)

    return Row(name=name, run=action)
