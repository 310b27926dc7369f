"""Which part gets help and from where on: never before its next byte, never to nobody's gain, and not for ever."""

from __future__ import annotations

from itertools import pairwise
from math import inf

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from asyncdl.options import KIB, MIB
from asyncdl.rules.stealing import (
    FAR_BELOW,
    LEAST_GAIN,
    PATIENCE,
    SMALLEST_HALF,
    Standing,
    place_to_cut,
    slowest_first,
)

RATES = st.floats(0, 1e10, allow_subnormal=False)
STANDINGS = st.builds(
    lambda position, rest, rate, age, replaced: Standing(
        position=position, stop=position + rest, rate=rate, age=age, replaced=replaced
    ),
    st.integers(0, 2**60),
    st.integers(0, 2**40),
    RATES,
    st.floats(0, 1e6),
    st.integers(0, 5000),
)
USUAL = st.floats(1e-3, 1e10)
#: Where help is likely: a slow part with much to do.
NEEDY = st.builds(
    lambda rest, rate, age: Standing(position=1000, stop=1000 + rest, rate=rate, age=age),
    st.integers(256 * KIB, 2**40),
    st.floats(0, 1e5),
    st.floats(0, 100),
)
LATENCY = st.floats(0, 100)


def standing(rest: int, rate: float, *, age: float = 60.0, replaced: int = 0) -> Standing:
    """A part whose next byte is the thousandth."""
    return Standing(position=1000, stop=1000 + rest, rate=rate, age=age, replaced=replaced)


def taken(rest: int, rate: float, *, usual: float = MIB, latency: float = 0.1, **more: float) -> int | None:
    """How many bytes of the rest an idle connection should take, or None."""
    part = standing(rest, rate, **more)  # type: ignore[arg-type]  # the one int among them is given as one
    place = place_to_cut(part, usual=usual, latency=latency)
    return None if place is None else part.stop - place


@pytest.mark.parametrize(
    ("rest", "rate", "expected"),
    [
        pytest.param(8 * MIB, MIB, 4 * MIB, id="as fast as the others, and much to do: half"),
        pytest.param(8 * MIB, MIB / 4, 4 * MIB, id="four times slower: half"),
        pytest.param(8 * MIB + 1, MIB, 4 * MIB, id="the odd byte stays where it is"),
        pytest.param(8 * MIB, MIB / FAR_BELOW, 8 * MIB, id="far below the others: all of it"),
        pytest.param(8 * MIB, 0.0, 8 * MIB, id="nothing comes any more: all of it"),
        pytest.param(1, 0.0, 1, id="the last byte of a dead connection"),
        pytest.param(MIB, MIB, None, id="done in a second: a new request gains too little"),
        pytest.param(100, 200.0, None, id="far below, but done before a new request would be"),
        pytest.param(0, 0.0, None, id="nothing left"),
        pytest.param(0, MIB, None, id="nothing left of a good one"),
    ],
)
def test_what_is_taken(rest: int, rate: float, expected: int | None) -> None:
    """Among connections of 1 MiB/s that answer after a tenth of a second."""
    assert expected == taken(rest, rate)


def test_smallest_half() -> None:
    """A few bytes are not worth a request of their own, however long they take."""
    usual, rate = 4 * KIB, KIB

    assert taken(2 * SMALLEST_HALF - 1, rate, usual=usual) is None
    assert SMALLEST_HALF == taken(2 * SMALLEST_HALF, rate, usual=usual)


def test_requests_that_cost_more() -> None:
    """Where every request waits three seconds for its first byte, less is worth one."""
    assert 4 * MIB == taken(8 * MIB, MIB, latency=3.0)
    assert taken(6 * MIB, MIB, latency=3.0) is None


@pytest.mark.parametrize(
    ("replaced", "seconds"), [(0, PATIENCE), (1, 2 * PATIENCE), (5, 32 * PATIENCE), (10, 1024 * PATIENCE)]
)
def test_the_next_one_is_given_twice_as_long(replaced: int, seconds: float) -> None:
    """A server that is slow at everything is not asked again every second."""
    assert taken(8 * MIB, 0.0, replaced=replaced, age=seconds - 0.01) is None
    assert 8 * MIB == taken(8 * MIB, 0.0, replaced=replaced, age=seconds)


def test_a_slow_one_without_its_time_is_not_halved_either() -> None:
    """Nobody waits for the first half of what is to be taken away altogether."""
    assert taken(8 * MIB, 1.0, age=0.5) is None


def test_time_has_no_say_in_halves() -> None:
    """A connection that does well is helped from its first moment."""
    assert 4 * MIB == taken(8 * MIB, MIB, age=0.1, replaced=3)


def test_however_often_it_was_replaced() -> None:
    """There is no number of replacements that the arithmetic does not bear."""
    assert taken(8 * MIB, 0.0, replaced=10**9, age=1e9) is None


@given(part=STANDINGS, usual=USUAL, latency=LATENCY)
def test_never_outside_of_what_is_left(part: Standing, usual: float, latency: float) -> None:
    """The cut is at a byte that has not come, or at none."""
    place = place_to_cut(part, usual=usual, latency=latency)

    assert place is None or part.position <= place < part.stop


@given(part=st.one_of(NEEDY, NEEDY, STANDINGS), usual=st.floats(1e3, 1e8), latency=st.floats(0, 3))
def test_never_slower_than_leaving_it_alone(part: Standing, usual: float, latency: float) -> None:
    """Both halves are there before the whole would have been, by the same figures."""
    place = place_to_cut(part, usual=usual, latency=latency)
    event("help" if place is not None else "none")
    if place is None:
        return
    kept = (place - part.position) / part.rate if place > part.position else 0.0

    assert max(kept, latency + (part.stop - place) / usual) < part.to_go
    assert latency + (part.stop - place) / usual + LEAST_GAIN <= part.to_go * (1 + 1e-9)


@given(part=STANDINGS, usual=USUAL, latency=LATENCY)
def test_only_one_far_below_loses_everything(part: Standing, usual: float, latency: float) -> None:
    """A connection is given up only for being many times slower, and after its time."""
    place = place_to_cut(part, usual=usual, latency=latency)
    if place == part.position:
        assert part.rate * FAR_BELOW <= usual
        assert part.age >= PATIENCE * min(2.0**part.replaced if part.replaced < 1000 else inf, 1e6)
    elif place is not None:
        assert part.stop - place >= SMALLEST_HALF
        assert place - part.position >= SMALLEST_HALF


@given(rest=st.integers(1, 2**40), rate=st.floats(1, 1e9), usual=USUAL, latency=LATENCY)
def test_halving_comes_to_an_end(rest: int, rate: float, usual: float, latency: float) -> None:
    """Help on help on help makes no more requests than the logarithm of the bytes."""
    cuts = 0
    while (place := place_to_cut(standing(rest, rate), usual=usual, latency=latency)) is not None and place > 1000:
        rest = place - 1000
        cuts += 1

    assert cuts <= 25


def test_a_dead_server_costs_few_requests() -> None:
    """In an hour in which no connection brings a byte, a part is asked for a dozen times, not 3600 times."""
    replaced, now, began = 0, 0.0, 0.0
    while now < 3600:
        now += 0.25
        if taken(8 * MIB, 0.0, replaced=replaced, age=now - began) is not None:
            replaced, began = replaced + 1, now

    assert 11 == replaced


@given(parts=st.lists(STANDINGS, max_size=30))
def test_order_of_need(parts: list[Standing]) -> None:
    """Who will be the last to end comes first, and nobody is left out."""
    ordered = slowest_first(parts)

    assert all(before.to_go >= after.to_go for before, after in pairwise(ordered))
    assert sorted(map(repr, parts)) == sorted(map(repr, ordered))


def test_a_silent_one_is_the_slowest() -> None:
    """Whatever little is left of it."""
    silent, crawling = standing(1, 0.0), standing(8 * MIB, 1.0)

    assert inf == silent.to_go
    assert [silent, crawling] == slowest_first([crawling, silent])
