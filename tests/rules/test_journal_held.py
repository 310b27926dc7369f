"""Ranges that are held: joined, cut, overwritten, and the checksum only where it still stands for exactly its range."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncdl.model import Part
from asyncdl.rules.held import Crc, Held, Holdings, spans_of
from asyncdl.rules.ranges import MAX_SIZE
from tests.support.journals import ranges

A, B = Crc("crc32c", 0xE3069283), Crc("crc64nvme", 0xAE8B14860A799888)


@pytest.mark.parametrize(
    ("put", "expected"),
    [
        pytest.param([Held(0, 4), Held(4, 8)], [Held(0, 8)], id="neighbours are joined"),
        pytest.param([Held(4, 8), Held(0, 4)], [Held(0, 8)], id="in either order"),
        pytest.param([Held(0, 4), Held(8, 9), Held(4, 8)], [Held(0, 9)], id="a gap is filled"),
        pytest.param([Held(5, 6), Held(0, 4)], [Held(0, 4), Held(5, 6)], id="a gap of one byte stays"),
        pytest.param([Held(0, 4, A), Held(4, 8, B)], [Held(0, 4, A), Held(4, 8, B)], id="each keeps its checksum"),
        pytest.param([Held(0, 4, A), Held(4, 8)], [Held(0, 4, A), Held(4, 8)], id="nor is one joined to a bare one"),
        pytest.param([Held(0, 4, A), Held(0, 4, B)], [Held(0, 4, B)], id="the later checksum counts"),
        pytest.param([Held(0, 4, A), Held(0, 4)], [Held(0, 4)], id="or none, if the later one has none"),
        pytest.param([Held(0, 4, A), Held(3, 5, B)], [Held(0, 3), Held(3, 5, B)], id="an overwritten end costs it"),
        pytest.param([Held(2, 5, A), Held(1, 3)], [Held(1, 5)], id="and so does an overwritten beginning"),
        pytest.param(
            [Held(0, 9, A), Held(4, 5, B)], [Held(0, 4), Held(4, 5, B), Held(5, 9)], id="a middle makes three of one"
        ),
        pytest.param([Held(1, 2, A), Held(3, 4), Held(0, 9, B)], [Held(0, 9, B)], id="what is covered is gone"),
    ],
)
def test_put(put: list[Held], expected: list[Held]) -> None:
    """What is held after these, in this order."""
    assert tuple(expected) == Holdings(put).items


@pytest.mark.parametrize(
    ("held", "drop", "expected"),
    [
        pytest.param([Held(0, 9)], (3, 5), [Held(0, 3), Held(5, 9)], id="a hole"),
        pytest.param([Held(0, 9, A)], (3, 5), [Held(0, 3), Held(5, 9)], id="a hole costs the checksum"),
        pytest.param([Held(0, 4, A), Held(4, 9)], (2, 4), [Held(0, 2), Held(4, 9)], id="up to a neighbour"),
        pytest.param([Held(0, 4), Held(4, 9, A)], (8, 9), [Held(0, 8)], id="a lost checksum joins with a bare one"),
        pytest.param([Held(0, 4, A), Held(6, 9, B)], (4, 6), [Held(0, 4, A), Held(6, 9, B)], id="what is not held"),
        pytest.param([Held(0, 4, A), Held(6, 9, B)], (0, 9), [], id="everything"),
        pytest.param([Held(0, 4, A)], (2, 2), [Held(0, 4, A)], id="no byte"),
    ],
)
def test_drop(held: list[Held], drop: tuple[int, int], expected: list[Held]) -> None:
    """What is left after a range was dropped."""
    holdings = Holdings(held)
    holdings.drop(*drop)

    assert tuple(expected) == holdings.items
    assert len(expected) == len(holdings)


def test_spans_are_the_fewest() -> None:
    """Whose checksum it is does not matter to which bytes are there."""
    assert (Part(0, 9), Part(10, 11)) == spans_of([Held(0, 4, A), Held(4, 6), Held(6, 9, B), Held(10, 11)])


@given(changes=st.lists(st.tuples(st.booleans(), ranges()), max_size=12))
def test_like_a_set_of_bytes(changes: list[tuple[bool, Held]]) -> None:
    """Whatever comes in whatever order: the bytes of a set, the checksums that nobody touched, and no more ranges."""
    holdings = Holdings()
    held: set[int] = set()
    intact: set[Held] = set()
    for is_put, item in changes:
        touched = set(range(item.start, item.stop))
        intact = {other for other in intact if touched.isdisjoint(range(other.start, other.stop))}
        if is_put:
            holdings.put(item)
            held |= touched
            intact |= {item} if item.crc else set()
        else:
            holdings.drop(item.start, item.stop)
            held -= touched

    items = holdings.items
    assert sorted(held) == [at for item in items for at in range(item.start, item.stop)]
    assert intact == {item for item in items if item.crc}
    assert all(first.stop < second.start or first.crc or second.crc for first, second in pairwise(items))
    assert items == Holdings(items).items


@pytest.mark.parametrize(("start", "stop"), [(0, 0), (5, 4), (-1, 4), (0, MAX_SIZE + 1)])
def test_no_range(start: int, stop: int) -> None:
    """An empty range, a backward one and one that no file has are none."""
    with pytest.raises(ValueError, match="range"):
        Held(start, stop)


@pytest.mark.parametrize(
    ("algorithm", "value"), [("sha256", 1), ("crc32", -1), ("crc32c", 2**32), ("crc64nvme", 2**64)]
)
def test_no_crc(algorithm: str, value: int) -> None:
    """A digest that cannot be combined, and a value that is too wide, are none."""
    with pytest.raises(ValueError, match="checksum"):
        Crc(algorithm, value)


def test_crc_is_written_with_all_its_digits() -> None:
    """As many digits as the algorithm has, so that each value has one spelling."""
    assert ["crc32:00000000", "crc32c:e3069283", "crc64nvme:000000000000000a"] == [
        str(crc) for crc in (Crc("crc32", 0), A, Crc("crc64nvme", 10))
    ]
