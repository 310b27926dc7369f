"""Downloads drawn at random: any settings, anything that goes wrong at any time; whole bytes or an error that fits."""

from __future__ import annotations

import asyncio
import random
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, event, example, find, given, seed, settings

import asyncdl.fetcher
from asyncdl import refresher
from asyncdl.edge import provider as provider_edge
from asyncdl.model import Headers, Part, RemoteObject
from asyncdl.rules import ranges
from asyncdl.rules.retry import RetryBudget
from tests.support import programs
from tests.support.plans import PART, PASSING_PLANS, PLANS, SMALL_PLANS, Event, Plan, Spoil, Step
from tests.support.programs import carry_out

#: Times the profile's number of examples: one takes some tens of milliseconds.
MANY = 1
#: Plans tried to find a planted bug and to make its plan small.
MOST_TRIED = 400
#: Seconds; what hangs is found out by the single program.
PATIENCE = 600 + 10 * settings().max_examples


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second between two calls of a provider is tested elsewhere."""
    monkeypatch.setattr(refresher, "_SHORTEST_INTERVAL", 0.001)
    monkeypatch.setattr(provider_edge, "_SECOND_TRY_AFTER", 0.001)


@pytest.fixture(scope="module")
def directories(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where each plan gets a directory of its own."""
    return tmp_path_factory.mktemp("plans")


def run(plan: Plan, directories: Path) -> str:
    with tempfile.TemporaryDirectory(dir=directories) as directory:
        return asyncio.run(carry_out(plan, Path(directory)))


def often(share: float = 1.0) -> settings:
    # The fixtures hold for all examples alike.
    return settings(
        max_examples=int(share * MANY * settings().max_examples),
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )


def at(after: int, action: Spoil | Event) -> Step:
    return Step(after=after, action=action)


@pytest.mark.timeout(PATIENCE)
@often()
@given(plan=PLANS)
@example(plan=Plan(size=0))
@example(plan=Plan(size=12 * PART, steps=(at(0, Spoil(how="ignores the range", times=3)),)))
@example(
    plan=Plan(size=12 * PART, known=True, steps=(at(0, Event(what="ranges off")), at(0, Spoil(how="drops", n=PART))))
)
@example(plan=Plan(size=12 * PART, source="provider", connections=8, steps=(at(0, Spoil(how="expired", times=3)),)))
@example(plan=Plan(size=12 * PART, connections=2, steps=(at(3, Event(what="replace")),)))
def test_ends_well_or_by_name(directories: Path, plan: Plan) -> None:
    """Every byte of one version as it is on the server, or an error that fits, and nothing left anywhere."""
    event(run(plan, directories))


@pytest.mark.timeout(PATIENCE)
@often(0.5)
@given(plan=PASSING_PLANS)
def test_what_passes_is_got_over(directories: Path, plan: Plan) -> None:
    """However many faults there are, and whatever they are: those that wear off cost time, and no download."""
    assert plan.may_end_in == frozenset() or plan.ttl < 60
    ended = run(plan, directories)

    assert "complete" == ended or plan.ttl < 60


def test_one_seed_one_row_of_plans() -> None:
    """A plan is data: the same seed draws the same plans, so that a failure seen once is seen again."""

    def drawn(number: int) -> list[Plan]:
        plans: list[Plan] = []

        @seed(number)
        @settings(max_examples=30, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
        @given(PLANS)
        def collect(plan: Plan) -> None:
            plans.append(plan)

        collect()
        return plans

    assert drawn(1) == drawn(1)
    assert drawn(1) != drawn(2)


def trusts_any_200(status: int, headers: Headers, asked: ranges.Asked) -> ranges.Verdict:
    """A judge that takes the whole object for the range."""
    verdict = ranges.judge(status, headers, asked)
    if isinstance(verdict, ranges.RangeIgnored) and asked.stop is not None:
        return ranges.Accept(Part(asked.start, asked.stop), verdict.remote)
    return verdict


def sees_no_other_version(status: int, headers: Headers, asked: ranges.Asked) -> ranges.Verdict:
    """A judge that forgot to compare tags and dates."""
    size = asked.remote.size if asked.remote else None
    remote = asked.remote and RemoteObject(size)
    return ranges.judge(status, headers, ranges.Asked(asked.start, asked.stop, remote, asked.declared_size))


def plant_judge(judge: Callable[..., ranges.Verdict]) -> Callable[[pytest.MonkeyPatch], None]:
    return lambda patch: patch.setattr(asyncdl.fetcher, "judge", judge)


BUGS: dict[str, Callable[[pytest.MonkeyPatch], None]] = {
    "a 200 passes for a 206": plant_judge(trusts_any_200),
    "versions are mixed": plant_judge(sees_no_other_version),
    "nothing is tried again": lambda patch: patch.setattr(RetryBudget, "take", lambda self: False),
}


def is_broken(plan: Plan, directories: Path) -> bool:
    try:
        run(plan, directories)
    except AssertionError:
        return True
    return False


@pytest.mark.timeout(900)
@pytest.mark.parametrize("plant", BUGS.values(), ids=BUGS.keys())
def test_a_planted_bug_is_found_and_shrunk(
    directories: Path, monkeypatch: pytest.MonkeyPatch, plant: Callable[[pytest.MonkeyPatch], None]
) -> None:
    """A bug in the judge or the retries shows within some hundred plans, and at most two steps are left of its plan."""
    plant(monkeypatch)
    # What is tried here by the hundred is to fail: who is given up too early on a busy machine does no harm.
    hasty = asyncdl.Timeouts(connect=30, response=0.15, stall=0.15, low_speed=(2000, 0.2), refresh=30)
    monkeypatch.setattr(programs, "TIMEOUTS", hasty)

    known: dict[Plan, bool] = {}

    def breaks(plan: Plan) -> bool:
        # Hypothesis would go on shrinking for minutes; what was tried before, the end among it, keeps its answer.
        if plan not in known and len(known) < MOST_TRIED:
            known[plan] = is_broken(plan, directories)
        return known.get(plan, False)

    quickly = settings(max_examples=MOST_TRIED, deadline=None, database=None, phases=[Phase.generate, Phase.shrink])
    found = find(SMALL_PLANS, breaks, settings=quickly, random=random.Random(1))

    assert len(found.steps) <= 2
    assert found.connections <= 2
    monkeypatch.undo()
    assert not is_broken(found, directories)
