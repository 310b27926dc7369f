"""Parts cover an object exactly, however large, and what is written plus what is missing is all of it."""

from __future__ import annotations

import itertools
import sys
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncdl.model import Part
from asyncdl.options import GIB, KIB, MAX_PARTS, MIB, PART_SIZE_STEP
from asyncdl.rules.parts import (
    LARGEST_DEFAULT_PART,
    SMALLEST_DEFAULT_PART,
    Claim,
    Coverage,
    Planner,
    choose_part_size,
)

TIB = 1024 * GIB
#: The largest object that S3 holds (S3 user guide, "multipart upload limits").
LARGEST_OBJECT = 5 * TIB

SIZES = st.one_of(st.integers(0, 64 * KIB), st.integers(0, LARGEST_OBJECT))
PART_SIZES = st.none() | st.integers(1, 64 * KIB) | st.integers(1, GIB)
CONNECTIONS = st.integers(1, 256)


@pytest.mark.parametrize(
    ("size", "connections", "wanted", "expected"),
    [
        pytest.param(0, 8, None, 8 * MIB, id="nothing is known: the smallest default"),
        pytest.param(16 * MIB, 8, None, 8 * MIB, id="small: not below the smallest default"),
        pytest.param(1 * GIB, 8, None, 32 * MIB, id="between: four parts for each connection"),
        pytest.param(1 * GIB + 4096 * 32 - 1, 8, None, 32 * MIB, id="between: rounded down to a page"),
        pytest.param(1 * GIB + 4096 * 32, 8, None, 32 * MIB + 4096, id="between: the next page"),
        pytest.param(100 * GIB, 8, None, 64 * MIB, id="large: not above the largest default"),
        pytest.param(470 * 10**9, 32, None, 64 * MIB, id="a model of 470 GB"),
        pytest.param(100, 8, 7, 7, id="what the caller wants, however odd"),
        pytest.param(2 * GIB, 8, 100 * MIB, 100 * MIB, id="what the caller wants"),
        pytest.param(10_000, 1, 1, 1, id="exactly 10,000 parts"),
        pytest.param(10_001, 1, 1, 4096, id="one part too many: the first multiple of 4096"),
        pytest.param(10_000 * 4096 + 1, 1, 4095, 8192, id="just too large for parts of 4096"),
        pytest.param(LARGEST_OBJECT, 8, 100 * MIB, 549_756_928, id="5 TiB do not fit 10,000 parts of 100 MiB"),
        pytest.param(LARGEST_OBJECT, 8, None, 549_756_928, id="nor of 64 MiB"),
        pytest.param(LARGEST_OBJECT, 8, 5 * GIB, 5 * GIB, id="5 TiB in parts of 5 GiB"),
    ],
)
def test_part_size(size: int, connections: int, wanted: int | None, expected: int) -> None:
    """The wish is granted unless 10,000 parts would not do."""
    assert expected == choose_part_size(size, connections=connections, wanted=wanted)


@given(size=SIZES, connections=CONNECTIONS, wanted=PART_SIZES)
def test_part_size_is_wished_or_smallest(size: int, connections: int, wanted: int | None) -> None:
    """At most 10,000 parts; a grown size is a multiple of 4096, and no smaller one would do."""
    part_size = choose_part_size(size, connections=connections, wanted=wanted)
    grown = part_size != wanted and not (wanted is None and part_size <= LARGEST_DEFAULT_PART)

    assert part_size >= 1
    assert part_size * MAX_PARTS >= size
    if grown:
        assert 0 == part_size % PART_SIZE_STEP
        assert (part_size - PART_SIZE_STEP) * MAX_PARTS < size
    if wanted is None:
        assert part_size >= SMALLEST_DEFAULT_PART
        assert 0 == part_size % PART_SIZE_STEP


def walk(planner: Planner) -> list[Part]:
    parts = []
    while (claim := planner.claim()) is not None:
        assert claim.stop is not None
        parts.append(Part(claim.start, claim.stop))
    return parts


@given(
    start=st.integers(0, 10_000),
    length=st.integers(0, 10_000),
    part_size=st.integers(1, 500),
)
def test_parts_cover_the_span(start: int, length: int, part_size: int) -> None:
    """Parts are in order, without gap or overlap, none empty, none too long, and `unclaimed` counts them."""
    planner = Planner([Part(start, start + length)], part_size)
    counted = planner.unclaimed

    parts = walk(planner)

    assert counted == len(parts)
    assert 0 == planner.unclaimed
    assert [start, *(part.stop for part in parts)] == [*(part.start for part in parts), start + length]
    assert all(0 < part.length <= part_size for part in parts)
    assert all(part.length == part_size for part in parts[:-1])


@given(size=SIZES, connections=CONNECTIONS, wanted=PART_SIZES)
def test_parts_of_huge_objects(size: int, connections: int, wanted: int | None) -> None:
    """The count is right and at most 10,000, and the ends are where they belong, up to 5 TiB."""
    part_size = choose_part_size(size, connections=connections, wanted=wanted)
    planner = Planner([Part(0, size)], part_size)

    assert -(-size // part_size) == planner.unclaimed
    assert planner.unclaimed <= MAX_PARTS
    first = planner.claim()
    assert (None if size == 0 else (0, min(part_size, size))) == (first and (first.start, first.stop))

    last_start = (size - 1) // part_size * part_size if size else 0
    last = Planner([Part(last_start, size)], part_size).claim()
    assert (None if size == 0 else (last_start, size)) == (last and (last.start, last.stop))


def test_all_parts_of_the_largest_object() -> None:
    """5 TiB are walked from end to end in 10,000 parts."""
    size = LARGEST_OBJECT
    parts = walk(Planner([Part(0, size)], choose_part_size(size, connections=64)))

    assert (0, size) == (parts[0].start, parts[-1].stop)
    assert all(left.stop == right.start for left, right in itertools.pairwise(parts))
    assert 10_000 == len(parts)


def test_planner_needs_no_memory() -> None:
    """Planning and walking 5 TiB takes as little as planning one byte: nothing is listed up front."""
    small, large = Planner([Part(0, 1)], 1), Planner([Part(0, LARGEST_OBJECT)], 549_756_928)
    tracemalloc.start()
    while large.claim() is not None:
        pass
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert sys.getsizeof(small) == sys.getsizeof(large)
    assert peak < 16 * KIB


def test_closed_planner_hands_out_nothing() -> None:
    """After `close` nobody gets a part any more."""
    planner = Planner([Part(0, 100)], 10)
    planner.claim()

    planner.close()

    assert planner.claim() is None
    assert 0 == planner.unclaimed


def test_closed_planner_takes_nothing_back() -> None:
    """Whoever brings everything brings that too."""
    planner = Planner([Part(0, 100)], 10)
    planner.close()

    planner.give_back(Part(3, 10))

    assert planner.claim() is None
    assert 0 == planner.rest


def test_what_is_given_back_comes_first() -> None:
    """In parts of the usual size, and then the others."""
    planner = Planner([Part(0, 100)], 40)
    planner.claim()
    planner.claim()

    planner.give_back(Part(5, 55))

    assert (70, 3) == (planner.rest, planner.unclaimed)
    assert [(5, 45), (45, 55), (80, 100)] == [(part.start, part.stop) for part in walk(planner)]
    assert 0 == planner.rest


def test_claims_of_a_span_that_starts_later() -> None:
    """The rest of an object after its probe is cut from where the probe ended."""
    planner = Planner([Part(8, 21)], 5)

    assert [Part(8, 13), Part(13, 18), Part(18, 21)] == walk(planner)


def test_claim_begins_at_its_start() -> None:
    """A new claim has received nothing: its position is its start, not the object's."""
    claim = Claim(100, 200)

    assert (100, 100) == (claim.position, claim.furthest)
    assert not claim.done


def test_claim_goes_on() -> None:
    """A claim is done when its last byte is there, and not one byte earlier."""
    claim = Claim(100, 200)

    done = []
    for position in (199, 200):
        claim.advance(position)
        done.append(claim.done)

    assert [False, True] == done
    assert (200, 200) == (claim.position, claim.furthest)


def test_claim_that_falls_back() -> None:
    """A stream that starts again is no progress until it is beyond where it was."""
    claim = Claim(0, None)
    claim.advance(70)

    claim.position = 0
    claim.advance(30)
    assert (30, 70) == (claim.position, claim.furthest)
    claim.advance(71)
    assert (71, 71) == (claim.position, claim.furthest)


def test_claim_without_an_end_is_never_done() -> None:
    """While nobody knows where the object ends, no position is its end."""
    claim = Claim(0, None)
    claim.advance(LARGEST_OBJECT)

    assert not claim.done


def test_empty_claim_is_done() -> None:
    """Nothing is to be fetched of nothing."""
    assert Claim(5, 5).done


@pytest.mark.parametrize(
    ("added", "fresh", "spans"),
    [
        pytest.param([(0, 10)], [10], [(0, 10)], id="one"),
        pytest.param([(0, 10), (10, 20)], [10, 10], [(0, 20)], id="neighbours become one"),
        pytest.param([(10, 20), (0, 10)], [10, 10], [(0, 20)], id="neighbours in the other order"),
        pytest.param([(0, 10), (11, 20)], [10, 9], [(0, 10), (11, 20)], id="one byte between them"),
        pytest.param([(0, 10), (20, 30), (10, 20)], [10, 10, 10], [(0, 30)], id="a gap is filled"),
        pytest.param([(0, 10), (20, 30), (5, 25)], [10, 10, 10], [(0, 30)], id="a gap is overfilled"),
        pytest.param([(5, 6), (8, 9), (0, 20)], [1, 1, 18], [(0, 20)], id="several are swallowed"),
        pytest.param([(0, 20), (5, 6)], [20, 0], [(0, 20)], id="known already"),
        pytest.param([(0, 20), (0, 20)], [20, 0], [(0, 20)], id="the same again"),
        pytest.param([(0, 10), (5, 15)], [10, 5], [(0, 15)], id="overlap at the end"),
        pytest.param([(5, 15), (0, 10)], [10, 5], [(0, 15)], id="overlap at the start"),
        pytest.param([(7, 7)], [0], [], id="nothing"),
        pytest.param([(9, 7)], [0], [], id="less than nothing"),
    ],
)
def test_coverage_adds(added: list[tuple[int, int]], fresh: list[int], spans: list[tuple[int, int]]) -> None:
    """Each addition says how many of its bytes are new, and spans that touch are one."""
    coverage = Coverage()

    assert fresh == [coverage.add(*span) for span in added]
    assert spans == coverage.spans


SMALL_SPANS = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), max_size=30)


@given(spans=SMALL_SPANS, size=st.integers(0, 70))
def test_coverage_is_a_set_of_offsets(spans: list[tuple[int, int]], size: int) -> None:
    """Whatever is added in whatever order, it is what a set of all offsets would be."""
    coverage, model = Coverage(), set[int]()
    for start, stop in spans:
        new = set(range(start, stop)) - model

        assert len(new) == coverage.add(start, stop)
        model |= new

    assert sorted(model) == [offset for span in coverage.spans for offset in range(*span)]
    assert all(left.stop < right.start for left, right in itertools.pairwise(coverage.spans))
    missing = list(coverage.missing(size))
    assert sorted(set(range(size)) - model) == [offset for span in missing for offset in range(*span)]
    assert all(left.stop < right.start for left, right in itertools.pairwise(missing))
    assert all(span.length > 0 for span in missing)


@pytest.mark.parametrize(
    ("spans", "size", "expected"),
    [
        pytest.param([], 0, [], id="nothing of nothing"),
        pytest.param([], 5, [(0, 5)], id="all"),
        pytest.param([(0, 5)], 5, [], id="nothing is missing"),
        pytest.param([(0, 4)], 5, [(4, 5)], id="the last byte"),
        pytest.param([(1, 5)], 5, [(0, 1)], id="the first byte"),
        pytest.param([(1, 2), (3, 4)], 5, [(0, 1), (2, 3), (4, 5)], id="between"),
        pytest.param([(0, 9)], 5, [], id="more than there is"),
        pytest.param([(7, 9)], 5, [(0, 5)], id="only beyond the end"),
        pytest.param([(0, 2), (4, 9)], 5, [(2, 4)], id="across the end"),
    ],
)
def test_missing(spans: list[tuple[int, int]], size: int, expected: list[tuple[int, int]]) -> None:
    """What is missing is told by its spans, and nothing beyond the size is."""
    coverage = Coverage()
    for span in spans:
        coverage.add(*span)

    assert expected == list(coverage.missing(size))


@given(seed=st.randoms(use_true_random=False), workers=st.integers(1, 16), size=st.integers(1, 3000))
def test_spans_stay_few(seed: object, workers: int, size: int) -> None:
    """With parts claimed in order and each growing from its start, spans are no more than workers and one."""
    pick = seed.choice  # type: ignore[attr-defined]
    planner, coverage = Planner([Part(0, size)], 37), Coverage()
    claims = [claim for _ in range(workers) if (claim := planner.claim()) is not None]
    written = 0
    while claims:
        claim = pick(claims)
        assert claim.stop is not None
        stop = min(claim.position + 10, claim.stop)
        written += coverage.add(claim.position, stop)
        claim.advance(stop)
        if claim.done:
            claims.remove(claim)
            following = planner.claim()
            claims += [following] if following else []

        assert len(coverage.spans) <= workers + 1

    assert size == written
    assert [(0, size)] == coverage.spans
