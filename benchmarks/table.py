"""The frozen table of scenarios, P1 to P14: what each is, what it has to show, and what runs it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from benchmarks import goals, large, network
from benchmarks.goals import Goal
from benchmarks.rounds import Results
from benchmarks.settings import Settings

#: Who may be first in P1 and P2.
FIELD = ("curl", "aria2c", "hf_transfer", "wandb", "obstore")
LIMIT = "limit: recv_into"
OURS = "asyncdl"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One row of the table.

    Attributes:
        goal: in words.
        how: what is run, and how the goal is computed, for the documentation.
        run: carries it out; None where it only reads what others found.
        needs: the scenarios whose samples its goals read, besides its own.
    """

    id: str
    title: str
    goal: str
    how: str
    goals: tuple[Goal, ...]
    run: Callable[[Settings], Results] | None = None
    needs: tuple[str, ...] = ()


def _p1() -> Scenario:
    return Scenario(
        id="P1",
        title="one large file, http, loopback",
        goal="at least as fast as the fastest of curl, aria2c, hf_transfer, wandb, obstore; 0.85 of the limit",
        how="nginx on loopback, the destination on a tmpfs, whole processes. Ratios of throughput, round by round, to "
        "the peer with the smallest median time, and to one thread that does nothing but recv_into and pwrite.",
        run=large.one_file,
        goals=(
            Goal(
                words="throughput over the fastest peer's",
                bound=1.0,
                sense="at least",
                ratios=lambda found: goals.speed(found, "P1", OURS, FIELD),
            ),
            Goal(
                words="throughput over the limit's",
                bound=0.85,
                sense="at least",
                ratios=lambda found: goals.speed(found, "P1", OURS, [LIMIT]),
            ),
        ),
    )


def _p2() -> Scenario:
    return Scenario(
        id="P2",
        title="the same, https",
        goal="at least as fast as the fastest peer",
        how="As P1, with a certificate of an authority of our own.",
        run=large.one_file_https,
        goals=(
            Goal(
                words="throughput over the fastest peer's",
                bound=1.0,
                sense="at least",
                ratios=lambda found: goals.speed(found, "P2", OURS, FIELD),
            ),
        ),
    )


def _p3() -> Scenario:
    return Scenario(
        id="P3",
        title="CPU seconds per byte, http and https",
        goal="at most curl's",
        how="From the samples of P1 and P2: user and system time of the process and its children, over curl's.",
        needs=("P1", "P2"),
        goals=tuple(
            Goal(
                words=f"CPU seconds over curl's, {scheme}",
                bound=1.0,
                sense="at most",
                ratios=partial(goals.cpu, scenario=scenario, name=OURS, other="curl"),
            )
            for scenario, scheme in (("P1", "http"), ("P2", "https"))
        ),
    )


def _p5() -> Scenario:
    return Scenario(
        id="P5",
        title="an origin that gives each connection 50 MB/s",
        goal="0.95 of min(connections x 50 MB/s, what 8 connections bring without a cap)",
        how="An origin of our own that paces each connection. Throughput over the smaller of connections x 50 MB/s and "
        "that of the same round's run without a cap.",
        run=network.capped,
        goals=tuple(
            Goal(
                words=f"share of what {count} connections could bring",
                bound=0.95,
                sense="at least",
                ratios=partial(
                    goals.capped_share,
                    scenario="P5",
                    name=network.with_count(count),
                    cap=count * network.RATE,
                    free=network.FREE,
                ),
            )
            for count in network.COUNTS
        ),
    )


SCENARIOS: tuple[Scenario, ...] = (_p1(), _p2(), _p3(), _p5())
BY_ID = {scenario.id: scenario for scenario in SCENARIOS}
