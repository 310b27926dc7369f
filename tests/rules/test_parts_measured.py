"""Parts by what was measured: long enough for the latency, ending together, never too many, and never a byte twice."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncdl.model import Part
from asyncdl.options import GIB, KIB, MAX_PARTS, MIB, PART_SIZE_STEP
from asyncdl.rules.parts import (
    LARGEST_DEFAULT_PART,
    LARGEST_MEASURED_PART,
    SMALLEST_LAST_PART,
    Planner,
    measured_part_size,
)

TIB = 1024 * GIB
MB = 1e6
PLENTY = 5 * TIB
RATES = st.floats(1.0, 1e10)
LATENCIES = st.floats(0.0, 100.0)


def walk(planner: Planner, sizes: list[int | None]) -> list[Part]:
    """All parts, asked for in these sizes in turn."""
    parts: list[Part] = []
    for size in itertools.cycle(sizes):
        if (claim := planner.claim(size)) is None:
            return parts
        assert claim.stop is not None
        parts.append(Part(claim.start, claim.stop))
    raise AssertionError


@pytest.mark.parametrize(
    ("rest", "owed", "connections", "rate", "latency", "expected"),
    [
        pytest.param(PLENTY, 0, 8, 50 * MB, 0.001, 64 * MIB, id="fast and near: the largest default"),
        pytest.param(PLENTY, 0, 8, 4 * MIB, 0.001, 16 * MIB, id="four seconds"),
        pytest.param(PLENTY, 0, 8, 100 * KIB, 0.001, 8 * MIB, id="slow: the smallest default"),
        pytest.param(PLENTY, 0, 8, 25 * MIB, 0.1, 125 * MIB, id="far: fifty times the latency"),
        pytest.param(PLENTY, 0, 8, 500 * MB, 0.1, 256 * MIB, id="far and fast: the largest"),
        pytest.param(240 * MIB, 120 * MIB, 8, 50 * MIB, 0.001, 30 * MIB, id="near the end: two thirds of a share"),
        pytest.param(60 * MIB, 30 * MIB, 2, 50 * MIB, 0.001, 30 * MIB, id="near the end: fewer connections"),
        pytest.param(80 * MIB, 40 * MIB, 8, 40 * MIB, 0.001, 12 * MIB, id="at the end: 0.3 seconds"),
        pytest.param(160 * MIB, 80 * MIB, 8, 14 * MIB, 0.1, 28 * MIB, id="at the end: twenty latencies"),
        pytest.param(10 * MIB, 70 * MIB, 8, 50 * MIB, 0.001, 10 * MIB, id="at the end: all of a share"),
        pytest.param(20 * MIB, 0, 64, 1 * MIB, 0.001, 1 * MIB, id="at the end: what a request is worth"),
        pytest.param(0, 0, 8, 50 * MB, 0.001, 1 * MIB, id="nothing is left"),
    ],
)
def test_measured_part_size(rest: int, owed: int, connections: int, rate: float, latency: float, expected: int) -> None:
    """By the speed, the latency and what is left."""
    assert expected == measured_part_size(rest, owed, connections=connections, rate=rate, latency=latency)


@given(
    rest=st.integers(0, PLENTY),
    owed=st.integers(0, PLENTY),
    connections=st.integers(1, 256),
    rate=RATES,
    latency=LATENCIES,
)
def test_bounds_of_the_measured_size(rest: int, owed: int, connections: int, rate: float, latency: float) -> None:
    """In pages, within bounds, never beyond the common end, and little waiting as long as enough is left for that."""
    size = measured_part_size(rest, owed, connections=connections, rate=rate, latency=latency)

    assert 0 == size % PART_SIZE_STEP
    assert SMALLEST_LAST_PART <= size <= LARGEST_MEASURED_PART
    assert size <= max(SMALLEST_LAST_PART, (rest + owed) / connections + PART_SIZE_STEP)
    if size > LARGEST_DEFAULT_PART:
        assert size <= rate * latency * 50 + PART_SIZE_STEP
    if rest >= 2 * connections * LARGEST_MEASURED_PART:
        assert size >= min(int(rate * latency * 50), LARGEST_MEASURED_PART)


SPANS = st.lists(st.tuples(st.integers(0, 400), st.integers(1, 400)), min_size=1, max_size=12)


@given(
    lengths=SPANS,
    sizes=st.lists(st.none() | st.integers(1, 300), min_size=1, max_size=20),
    most=st.integers(1, 60),
)
def test_parts_of_changing_sizes(lengths: list[tuple[int, int]], sizes: list[int | None], most: int) -> None:
    """Whatever sizes are asked for: every byte is claimed once, in order, and there are at most so many parts."""
    spans, position = [], 0
    for gap, length in lengths:
        spans.append(Part(position + gap, position + gap + length))
        position += gap + length
    planner = Planner(spans, 50, measured=True, most_parts=most)
    total = sum(span.length for span in spans)
    assert total == planner.rest

    parts = walk(planner, sizes)

    assert [offset for span in spans for offset in range(*span)] == [
        offset for part in parts for offset in range(*part)
    ]
    assert all(part.length > 0 for part in parts)
    assert len(parts) <= max(most, len(spans))
    assert (0, 0) == (planner.rest, planner.unclaimed)


@given(size=st.integers(1, PLENTY), sizes=st.lists(st.integers(1, LARGEST_MEASURED_PART), min_size=1, max_size=20))
def test_never_too_many_parts_of_huge_objects(size: int, sizes: list[int]) -> None:
    """The smallest sizes of all do not make more than 10,000 parts of 5 TiB; a page more than asked is in vain."""
    planner = Planner([Part(0, size)], LARGEST_DEFAULT_PART, measured=True)
    parts = walk(planner, list(sizes))

    assert len(parts) <= MAX_PARTS
    assert (0, size) == (parts[0].start, parts[-1].stop)
    assert all(left.stop == right.start for left, right in itertools.pairwise(parts))


def test_asked_for_is_had() -> None:
    """Where there is room, a part is as large as was asked for; None is what the planner was made with."""
    planner = Planner([Part(0, GIB)], 8 * MIB, measured=True)

    parts = walk(planner, [MIB, None, 100 * MIB])

    assert [MIB, 8 * MIB, 100 * MIB, MIB] == [part.length for part in parts[:4]]


def test_a_wish_of_the_caller_goes_before() -> None:
    """A planner that was not made for it takes no notice."""
    planner = Planner([Part(0, 20)], 10)

    assert [10, 10] == [part.length for part in walk(planner, [3])]


@pytest.mark.parametrize(("latency", "most"), [(0.002, 1.01), (0.05, 1.06), (0.1, 1.09)])
def test_equal_connections_end_together(latency: float, most: float) -> None:
    """Eight equally fast ones: little time is lost in waiting, and little because some end before others."""
    rate, number = 50 * MB, 8
    until, planner, requests = [0.0] * number, Planner([Part(0, GIB)], 32 * MIB, measured=True), 0
    while planner.rest:
        index = until.index(min(until))
        now = until[index]
        owed = sum(int((end - now) * rate) for end in until)
        size = measured_part_size(planner.rest, owed, connections=number, rate=rate, latency=latency)
        claim = planner.claim(None if requests < number else size)
        assert claim is not None
        assert claim.stop is not None
        until[index] = now + latency + (claim.stop - claim.start) / rate
        requests += 1

    assert max(until) <= most * (latency + GIB / (number * rate))
    assert requests <= 40
