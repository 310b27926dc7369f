"""Goals as arithmetic on samples: one ratio per round, then the median against a bound. Nothing here measures."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from benchmarks.measure import Sample

#: Samples by row, in the order of the rounds; every row of a scenario has as many.
Rows = Mapping[str, Sequence[Sample]]
#: Rows by scenario.
Found = Mapping[str, Rows]

GIB = 1 << 30
#: Bytes that stacks and the allocator take beside the data, whatever its size.
SLACK = 2 << 20


class NotMeasuredError(Exception):
    """A goal cannot be judged: the message names the row that is missing."""


@dataclass(frozen=True, slots=True)
class Ratios:
    """One number per round, and what it was compared with."""

    values: Sequence[float]
    against: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """What a scenario has to show.

    Attributes:
        words: what the number is.
        bound: of the median. None: the number is nobody's goal, but what the limit's rows come to, beside a goal.
        sense: whether the number has to be at least or at most the bound.
        ratios: the numbers; raises NotMeasuredError.
        unit: of the number, where it is not a ratio.
        full_only: whether it says nothing in quick mode.
    """

    words: str
    bound: float | None
    sense: Literal["at least", "at most"]
    ratios: Callable[[Found], Ratios]
    unit: str = ""
    full_only: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A goal, and what came of it. `met` is None where it is none, or could not be judged; `why` says why."""

    scenario: str
    words: str
    bound: float | None
    sense: str
    unit: str = ""
    against: str = ""
    median: float | None = None
    least: float | None = None
    most: float | None = None
    met: bool | None = None
    why: str = ""


def judge(scenario: str, goal: Goal, found: Found, *, quick: bool = False) -> Verdict:
    """What the samples of a run say about a goal."""
    fixed = {"scenario": scenario, "words": goal.words, "bound": goal.bound, "sense": goal.sense, "unit": goal.unit}
    try:
        if quick and goal.full_only:
            raise NotMeasuredError("says nothing at the sizes of a quick run")
        ratios = goal.ratios(found)
    except NotMeasuredError as error:
        return Verdict(**fixed, why=str(error))  # type: ignore[arg-type]  # of several types, each where it belongs
    median = statistics.median(ratios.values)
    met = None
    if goal.bound is not None:
        met = median >= goal.bound if goal.sense == "at least" else median <= goal.bound
    return Verdict(
        **fixed,  # type: ignore[arg-type]  # as above
        against=ratios.against,
        median=median,
        least=min(ratios.values),
        most=max(ratios.values),
        met=met,
    )


def row(found: Found, scenario: str, name: str) -> Sequence[Sample]:
    """The samples of one row.

    Raises:
        NotMeasuredError: there are none.
    """
    samples = found.get(scenario, {}).get(name)
    if not samples:
        raise NotMeasuredError(f"no row {name!r} in {scenario}")
    return samples


def fastest(found: Found, scenario: str, names: Sequence[str]) -> str:
    """The name with the smallest median of wall times among those that were measured.

    Raises:
        NotMeasuredError: none was.
    """
    there = [name for name in names if found.get(scenario, {}).get(name)]
    if not there:
        raise NotMeasuredError(f"none of {', '.join(names)} in {scenario}")
    return min(there, key=lambda name: statistics.median(one.wall for one in found[scenario][name]))


def speed(found: Found, scenario: str, name: str, others: Sequence[str]) -> Ratios:
    """Throughput of a row over that of the fastest of others, whichever that is by its median."""
    against = fastest(found, scenario, others)
    pairs = zip(row(found, scenario, name), row(found, scenario, against), strict=True)
    return Ratios([other.wall / ours.wall for ours, other in pairs], against)


def time(found: Found, scenario: str, name: str, other: str) -> Ratios:
    """Wall time of a row over that of another."""
    pairs = zip(row(found, scenario, name), row(found, scenario, other), strict=True)
    return Ratios([ours.wall / theirs.wall for ours, theirs in pairs], other)


def call_time(found: Found, scenario: str, name: str, other: str) -> Ratios:
    """Time of the download call of a row over that of another; neither has the start of Python in it."""
    return per_fact(found, scenario, name, "seconds", other)


def cpu(found: Found, scenario: str, name: str, other: str) -> Ratios:
    """CPU seconds per byte of a row over those of another."""
    pairs = zip(row(found, scenario, name), row(found, scenario, other), strict=True)
    return Ratios([(ours.cpu / ours.size) / (theirs.cpu / theirs.size) for ours, theirs in pairs], other)


def peak(found: Found, scenario: str, names: Sequence[str]) -> Ratios:
    """The largest peak of several rows, in MiB."""
    all_rows = [row(found, scenario, name) for name in names]
    return Ratios([max(one.peak for one in samples) / (1 << 20) for samples in zip(*all_rows, strict=True)])


def per_fact(found: Found, scenario: str, name: str, of: str, other: str) -> Ratios:
    """A fact of a row over the same fact of another."""
    pairs = zip(fact(found, scenario, name, of).values, fact(found, scenario, other, of).values, strict=True)
    return Ratios([ours / theirs for ours, theirs in pairs], other)


def peak_over(found: Found, scenario: str, name: str, other: str) -> Ratios:
    """Peak of a row over that of another."""
    pairs = zip(row(found, scenario, name), row(found, scenario, other), strict=True)
    return Ratios([ours.peak / theirs.peak for ours, theirs in pairs], other)


def growth(found: Found, scenario: str, names: Sequence[str], tiny: str) -> Ratios:
    """How much more memory rows take than one without data, over what they say is their bound; the worst of them."""
    base = row(found, scenario, tiny)
    shares = []
    for name in names:
        bounds = fact(found, scenario, name, "bound").values
        samples = row(found, scenario, name)
        shares.append(
            [(one.peak - idle.peak - SLACK) / bound for one, idle, bound in zip(samples, base, bounds, strict=True)]
        )
    return Ratios([max(each) for each in zip(*shares, strict=True)], "Options.memory_bound")


def time_over_sum(found: Found, scenario: str, name: str, others: Sequence[str]) -> Ratios:
    """Wall time of a row over the sum of those of others."""
    theirs = [row(found, scenario, other) for other in others]
    pairs = zip(row(found, scenario, name), zip(*theirs, strict=True), strict=True)
    return Ratios([ours.wall / sum(one.wall for one in each) for ours, each in pairs], " + ".join(others))


def wall(found: Found, scenario: str, name: str) -> Ratios:
    """Seconds."""
    return Ratios([one.wall for one in row(found, scenario, name)])


def fact(found: Found, scenario: str, name: str, of: str, *, divisor: float = 1.0) -> Ratios:
    """A fact of a row, as a number.

    Raises:
        NotMeasuredError: it was not told.
    """
    samples = row(found, scenario, name)
    if any(of not in one.facts for one in samples):
        raise NotMeasuredError(f"{name!r} does not say {of}")
    return Ratios([one.facts[of] / divisor for one in samples])


def capped_share(found: Found, scenario: str, name: str, *, cap: float, free: str) -> Ratios:
    """Throughput of a row's call over the smaller of a cap, in bytes per second, and what a row without one brings."""
    ours, theirs = _rates(found, scenario, name), _rates(found, scenario, free)
    shares = [one / min(cap, most) for one, most in zip(ours, theirs, strict=True)]
    return Ratios(shares, f"min({cap / 1e6:.0f} MB/s, {free})")


def _rates(found: Found, scenario: str, name: str) -> list[float]:
    """Bytes per second of the download calls of a row."""
    times = fact(found, scenario, name, "seconds").values
    return [one.size / seconds for one, seconds in zip(row(found, scenario, name), times, strict=True)]


def pipeline_share(found: Found, scenario: str, name: str, *, plain: str, latency: float, connections: int) -> Ratios:
    """The time of an ideal pipeline over that of the calls of a row in which each response begins `latency` s late.

    The ideal: the time of the same run without latency, and two first latencies that nobody can avoid. Nothing is known
    before the first response, which costs everybody one; only then can the other connections ask, which costs each of
    them one more, and so `(n - 1) / n` of the whole. Every later request would be sent before the body before it ends.
    """
    unavoidable = latency * (1 + (connections - 1) / connections)
    ours = fact(found, scenario, name, "seconds").values
    ideals = [seconds + unavoidable for seconds in fact(found, scenario, plain, "seconds").values]
    return Ratios([ideal / took for ideal, took in zip(ideals, ours, strict=True)], f"{plain} + latencies")
