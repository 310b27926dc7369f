"""The soak for ten seconds; and its eyes: a leak is a slope, noise and a single step are none."""

from __future__ import annotations

import asyncio
import json
import random
import subprocess
import sys
from pathlib import Path

import pytest

from tests.soak.lanes import Tally
from tests.soak.origin import FAULTS, Dice
from tests.soak.trend import Sample, slope, trends

ROOT = Path(__file__).parents[2]


def samples(**grow: float) -> list[Sample]:
    """Two minutes of samples, a second apart, with some noise and so much growth a minute."""
    rng = random.Random(1)
    still = {"rss": 100.0, "descriptors": 20.0, "threads": 8.0, "tasks": 1.0}
    return [
        Sample(
            seconds=float(second),
            **{
                name: value + (rng.random() if name == "rss" else 0.0) + grow.get(name, 0.0) * second / 60
                for name, value in still.items()
            },
        )
        for second in range(120)
    ]


def test_slope() -> None:
    """The line through points on a line is that line; one point has none."""
    assert 2.5 == pytest.approx(slope([(x, 2.5 * x + 7) for x in range(10)]))
    assert 0 == slope([(3, 9)]) == slope([])


@pytest.mark.parametrize(("name", "amount"), [("rss", 18.0), ("descriptors", 3.0), ("threads", 10.0), ("tasks", 1.0)])
def test_growth_is_a_leak(name: str, amount: float) -> None:
    """What grows steadily is named, and nothing else is."""
    found = [trend.name for trend in trends(samples(**{name: amount})) if trend.leaks]

    assert [name] == found


def test_what_is_level_is_no_leak() -> None:
    """Noise is no growth, nor is what grew during the warm-up."""
    level = samples()
    warming = [Sample(seconds=at, rss=20 + at, descriptors=9, threads=2, tasks=1) for at in range(30)] + level[30:]

    assert [] == [trend.name for trend in trends(level) if trend.leaks]
    assert [] == [trend.name for trend in trends(warming) if trend.leaks]


def test_verdict() -> None:
    """A soak that downloaded nothing, or failed once, is not well."""
    good = {"seed": 1, "samples": samples()}

    assert Tally(**good, downloads=1).well  # type: ignore[arg-type]  # as named
    assert not Tally(**good).well  # type: ignore[arg-type]  # as named
    assert not Tally(**good, downloads=1, failures=["one"]).well  # type: ignore[arg-type]  # as named


def test_dice_are_loaded() -> None:
    """One seed, one fate of each request; about the share asked for goes wrong, in every way."""
    from asyncdl.testing import RequestRecord

    records = [
        RequestRecord(number=0, connection=0, method="GET", path="/1", raw_target="/1", generation=0, index=index)
        for index in range(20_000)
    ]
    first, again, other = ([Dice(seed, 0.02).fault(record) for record in records] for seed in (1, 1, 2))

    assert first == again != other
    assert 300 < sum(fault is not None for fault in first) < 500
    dice = Dice(1, 0.02)
    assert set(FAULTS) == {dice.fault(record) for record in records} - {None}


@pytest.mark.slow
@pytest.mark.timeout(400)
async def test_ten_seconds() -> None:
    """Every file as it should be under faults, and nothing that grows, in a process that does nothing else."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.soak", "--seconds", "10", "--seed", "1", "--faults", "0.03", "--json"),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    async with asyncio.timeout(300):
        out, errors = await process.communicate()
    found = json.loads(out or b"{}")

    assert (0, b"") == (process.returncode, errors), found.get("failures") or found.get("trends")
    assert found["well"]
    assert found["downloads"] > 10
    assert found["retries"] > 0
    assert found["refreshes"] > 0
    assert sum(found["faults"].values()) > 0
