"""What was there already, and what is given up again: parts of many gaps, and a coverage that shrinks."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncdl.model import Part
from asyncdl.options import MAX_PARTS
from asyncdl.rules.held import Held
from asyncdl.rules.parts import Coverage, Planner, choose_part_size

OFFSETS = st.integers(0, 60)
SPANS = st.lists(st.tuples(OFFSETS, OFFSETS), max_size=12)


def offsets(coverage: Coverage) -> set[int]:
    return {offset for span in coverage.spans for offset in range(*span)}


def walk(planner: Planner) -> list[Part]:
    return [Part(claim.start, claim.stop or -1) for claim in iter(planner.claim, None)]


@given(steps=st.lists(st.tuples(st.booleans(), OFFSETS, OFFSETS), max_size=30), start=OFFSETS, stop=OFFSETS)
def test_coverage_that_shrinks(steps: list[tuple[bool, int, int]], start: int, stop: int) -> None:
    """Added and removed in whatever order, it is what a set of all offsets would be."""
    coverage, model = Coverage(), set[int]()
    for adds, low, high in steps:
        span = set(range(low, high))
        if adds:
            assert len(span - model) == coverage.add(low, high)
            model |= span
        else:
            coverage.remove(low, high)
            model -= span

        assert model == offsets(coverage)
        assert max(model, default=-1) + 1 == coverage.stop
        assert all(left.stop < right.start for left, right in itertools.pairwise(coverage.spans))
        assert all(span.length > 0 for span in coverage.spans)

    assert bool(model & set(range(start, stop))) == coverage.has_some(start, stop)


@pytest.mark.parametrize(
    ("removed", "left"),
    [
        pytest.param((0, 10), [(20, 30)], id="one whole span"),
        pytest.param((12, 18), [(0, 10), (20, 30)], id="nothing, between two"),
        pytest.param((10, 20), [(0, 10), (20, 30)], id="nothing, exactly between two"),
        pytest.param((0, 30), [], id="everything"),
        pytest.param((4, 6), [(0, 4), (6, 10), (20, 30)], id="the middle of one: two are left"),
        pytest.param((9, 21), [(0, 9), (21, 30)], id="the ends of two"),
        pytest.param((0, 1), [(1, 10), (20, 30)], id="the first byte"),
        pytest.param((29, 99), [(0, 10), (20, 29)], id="the last byte, and beyond"),
        pytest.param((5, 5), [(0, 10), (20, 30)], id="no byte"),
        pytest.param((9, 5), [(0, 10), (20, 30)], id="less than none"),
    ],
)
def test_removing(removed: tuple[int, int], left: list[tuple[int, int]]) -> None:
    """Just these bytes are gone."""
    coverage = Coverage([Part(0, 10), Part(20, 30)])

    coverage.remove(*removed)

    assert left == coverage.spans


@pytest.mark.parametrize(
    ("span", "expected"),
    [((0, 10), False), ((9, 11), True), ((19, 20), True), ((20, 30), False), ((0, 99), True), ((15, 15), False)],
)
def test_has_some(span: tuple[int, int], expected: bool) -> None:
    """One common byte is enough; to touch is not."""
    assert expected is Coverage([Part(10, 20)]).has_some(*span)


def test_coverage_of_what_was_held() -> None:
    """Anything with a start and a stop will do, in any order; what touches is one."""
    coverage = Coverage([Held(20, 30), Held(0, 10), Held(10, 12)])

    assert [(0, 12), (20, 30)] == coverage.spans
    assert 30 == coverage.stop


@given(spans=SPANS, size=OFFSETS, part_size=st.integers(1, 20))
def test_parts_of_gaps(spans: list[tuple[int, int]], size: int, part_size: int) -> None:
    """What is missing is claimed, all of it, in order, once, in parts that are not too long and cross nothing."""
    there = Coverage(Part(*span) for span in spans)
    planner = Planner(there.missing(size), part_size)
    counted = planner.unclaimed

    parts = walk(planner)

    assert counted == len(parts)
    assert sorted(set(range(size)) - offsets(there)) == [offset for part in parts for offset in range(*part)]
    assert all(0 < part.length <= part_size for part in parts)
    # As few as can be: only the last part of a gap is shorter.
    assert all(
        part.length == part_size or there.has_some(part.stop, part.stop + 1) for part in parts if part.stop < size
    )
    assert planner.claim() is None


def test_gaps_of_nothing() -> None:
    """Empty gaps are none."""
    planner = Planner([Part(3, 3), Part(5, 6), Part(8, 8)], 10)

    assert 1 == planner.unclaimed
    assert [Part(5, 6)] == walk(planner)


def test_closed_between_two_gaps() -> None:
    """Nothing more is handed out, neither of this gap nor of the next."""
    planner = Planner([Part(0, 20), Part(30, 40)], 10)
    planner.claim()

    planner.close()

    assert (None, 0) == (planner.claim(), planner.unclaimed)


@given(size=st.integers(1, 10**13), gaps=st.integers(1, 2000), data=st.data())
def test_never_more_parts_than_allowed(size: int, gaps: int, data: st.DataObject) -> None:
    """Every gap may end in a part that is not full; where their number is allowed for, there are not too many parts."""
    gaps = min(gaps, size)
    cuts = sorted(data.draw(st.sets(st.integers(0, size), min_size=2, max_size=40)) | {0, size})
    spans = [Part(*pair) for pair in itertools.pairwise(cuts)][: gaps + 1]
    part_size = choose_part_size(size, connections=8, wanted=1, most_parts=MAX_PARTS - len(spans))

    assert Planner(spans, part_size).unclaimed <= MAX_PARTS
