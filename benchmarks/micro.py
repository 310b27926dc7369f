"""Micro-benchmarks of what is done for every chunk, part or record, and a guard against what makes them dearer.

A cost is a multiple of a calibration loop's, and never seconds. Instructions are counted where perf or valgrind can
count them; elsewhere the times of both loops in one process are compared, the smallest of many turns.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from asyncdl.model import Chunk, Headers, Part, RemoteObject
from asyncdl.rules.head import Head
from asyncdl.rules.held import Crc, Held
from asyncdl.rules.journal import Encoder, replay
from asyncdl.rules.parts import Coverage, Planner
from asyncdl.rules.ranges import Accept, Asked, judge

STORED = Path(__file__).with_name("micro.json")
#: A cost that is so many times the stored one fails the check.
TOLERANCE = 1.3
CALIBRATION = "calibration"
#: Repetitions whose instructions are counted; twice as many less these is what they cost without the start of Python.
_COUNTED = 1_024
#: Turns of a timed loop, and repetitions in each.
_TURNS, _TIMED = 25, 1_024
_MIB = 1 << 20
_PERF = ("perf", "stat", "-x,", "-e", "instructions:u")
_VALGRIND = ("valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null")

_RANGES = [
    Held(number * _MIB, (number + 1) * _MIB, Crc("crc32c", number * 2654435761 % 2**32)) for number in range(256)
]
_JOURNAL_RECORDS = 256


def calibration(times: int) -> None:
    """What the others are measured in: integers, a list, a dict and a call."""
    found: dict[int, int] = {}
    for number in range(times):
        for turn in range(10):
            found[turn] = max(number * 3 % 7, turn)


def queue_hop(times: int) -> None:
    """One chunk from one task to another, over a queue as deep as a download's."""

    async def hop() -> None:
        queue: asyncio.Queue[Chunk | None] = asyncio.Queue(24)

        async def take() -> None:
            while (chunk := await queue.get()) is not None:
                chunk.release()

        async with asyncio.TaskGroup() as group:
            group.create_task(take())
            for number in range(times):
                await queue.put(Chunk(number, b""))
            await queue.put(None)

    asyncio.run(hop())


def judging(times: int) -> None:
    """One response judged: what S3 says of one part."""
    pairs = [
        ("Date", "Thu, 01 Jan 2026 00:00:00 GMT"),
        ("Last-Modified", "Thu, 01 Jan 2026 00:00:00 GMT"),
        ("ETag", '"9b2cf535f27731c974343645a3985328"'),
        ("Accept-Ranges", "bytes"),
        ("Content-Range", "bytes 8388608-16777215/4294967296"),
        ("Content-Length", "8388608"),
        ("Content-Type", "application/octet-stream"),
        ("Server", "AmazonS3"),
    ]
    asked = Asked(8 * _MIB, 16 * _MIB, RemoteObject(4 << 30, etag='"9b2cf535f27731c974343645a3985328"'))
    for _ in range(times):
        assert isinstance(judge(206, Headers(pairs), asked), Accept)


def journal_encode(times: int) -> None:
    """One record that claims one window."""
    encoder = Encoder()
    encoder.head(Head(size=4 << 30), "owner")
    for number in range(times):
        encoder.claim([_RANGES[number % len(_RANGES)]])


def journal_decode(times: int) -> None:
    """One record of a journal read back."""
    encoder = Encoder()
    data = encoder.head(Head(size=4 << 30), "owner") + b"".join(encoder.claim([one]) for one in _RANGES)
    for _ in range(times // _JOURNAL_RECORDS):
        assert replay(data).usable


def planner_claim(times: int) -> None:
    """One part claimed."""
    planner = Planner([Part(0, times * _MIB)], _MIB)
    while planner.claim():
        pass


def coverage_add(times: int) -> None:
    """One chunk marked as written, eight connections at a time."""
    coverage, lanes = Coverage(), 8
    for number in range(times):
        step, lane = divmod(number, lanes)
        start = (lane * times + step) * _MIB
        coverage.add(start, start + _MIB)


BENCHMARKS: dict[str, Callable[[int], None]] = {
    function.__name__: function
    for function in (calibration, queue_hop, judging, journal_encode, journal_decode, planner_claim, coverage_add)
}


def by_time() -> dict[str, float]:
    """Costs by time; every turn runs all of them, and each keeps its best."""
    best = dict.fromkeys(BENCHMARKS, float("inf"))
    for _ in range(_TURNS):
        for name, function in BENCHMARKS.items():
            began = time.perf_counter_ns()
            function(_TIMED)
            best[name] = min(best[name], time.perf_counter_ns() - began)
    return _relative(best)


def by_perf() -> dict[str, float]:
    """Costs by instructions, a process for each count.

    Raises:
        CannotCountError: there is no perf, or the machine has no such counter.
    """
    counts = {}
    for name in BENCHMARKS:
        said = [_said(_PERF, [f"{name}:{_COUNTED * factor}"]) for factor in (1, 2)]
        once, twice = (_numbers(r"^(\d+),.*instructions", words, 1)[0] for words in said)
        counts[name] = float(twice - once)
    return _relative(counts)


def by_valgrind() -> dict[str, float]:
    """Costs by instructions, in one process and its forks: each tells what it counted, from the fork or the start on.

    Raises:
        CannotCountError: there is no valgrind.
    """
    tasks = [f"{name}:{_COUNTED * factor}" for name in BENCHMARKS for factor in (1, 2)]
    # The last is of the process that forked.
    found = _numbers(r"Collected : (\d+)", _said(_VALGRIND, tasks), len(tasks) + 1)
    pairs = zip(BENCHMARKS, found[:-1:2], found[1::2], strict=True)
    return _relative({name: float(twice - once) for name, once, twice in pairs})


def counted() -> dict[str, float] | None:
    """Costs by instructions, or None where nothing counts them."""
    for count in (by_perf, by_valgrind):
        try:
            return count()
        except CannotCountError:
            continue
    return None


class CannotCountError(Exception):
    """Instructions cannot be counted in this way here."""


def _relative(costs: dict[str, float]) -> dict[str, float]:
    return {name: round(cost / costs[CALIBRATION], 4) for name, cost in costs.items() if name != CALIBRATION}


def _said(words: Sequence[str], tasks: Sequence[str]) -> str:
    if shutil.which(words[0]) is None:
        raise CannotCountError(words[0])
    # Without randomness in hashes, the same work is the same number of instructions.
    env = {**os.environ, "PYTHONHASHSEED": "0", "PYTHONPATH": str(Path(__file__).parents[1])}
    command = [*words, sys.executable, "-m", "benchmarks.micro", *tasks]
    return subprocess.run(command, env=env, capture_output=True, check=True, timeout=300).stderr.decode()


def _numbers(pattern: str, words: str, count: int) -> list[int]:
    found = [int(number) for number in re.findall(pattern, words, re.MULTILINE)]
    if len(found) != count:
        raise CannotCountError(words[-200:])
    return found


def _carry_out(tasks: Sequence[str]) -> None:
    """`NAME:TIMES` each; several in a fork each, so that whoever counts tells them apart."""
    for task in tasks:
        name, _, times = task.partition(":")
        if len(tasks) == 1:
            BENCHMARKS[name](int(times))
        elif not (pid := os.fork()):
            BENCHMARKS[name](int(times))
            os._exit(0)
        elif os.waitpid(pid, 0)[1]:
            raise SystemExit(f"{name} failed")


def dearer(costs: dict[str, float], stored: dict[str, float]) -> Iterator[str]:
    """What costs more than it may, in words."""
    for name, cost in costs.items():
        if name not in stored:
            yield f"{name} has no stored figure"
        elif cost > stored[name] * TOLERANCE:
            yield f"{name} costs {cost:.3f}, and not {stored[name]:.3f} as stored"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes, and that `main` carries it out."""
    parser.add_argument("--check", action="store_true", help=f"fail where a cost is {TOLERANCE} times what is stored")
    parser.add_argument("--store", action="store_true", help="store the costs as what is right from now on")
    parser.add_argument("--method", choices=["auto", "instructions", "time"], default="auto")
    parser.set_defaults(call=main)


def main(options: argparse.Namespace) -> None:
    """Measure, print, and check or store.

    Raises:
        SystemExit: something is dearer than it may be, or cannot be measured in the way that was asked for.
    """
    costs = None if options.method == "time" else counted()
    if costs is None and options.method == "instructions":
        raise SystemExit("neither perf nor valgrind counts instructions here")
    method = "time" if costs is None else "instructions"
    costs = costs or by_time()
    # The same source takes other instructions on another version of Python.
    key = f"{method}, Python {sys.version_info.major}.{sys.version_info.minor}"
    stored: dict[str, dict[str, float]] = json.loads(STORED.read_text()) if STORED.exists() else {}
    before = stored.get(key, {})
    print(f"by {method}; times the calibration loop")
    for name, cost in costs.items():
        print(f"{name:<16}{cost:>9.3f}{before.get(name, float('nan')):>9.3f} stored")
    if options.store:
        STORED.write_text(json.dumps({**stored, key: costs}, indent=1) + "\n")
    elif options.check and not before:
        print(f"nothing is stored for {key}: nothing is checked")
    elif options.check and (found := list(dearer(costs, before))):
        raise SystemExit("\n".join(found))


if __name__ == "__main__":
    _carry_out(sys.argv[1:])
