"""Connections are added while they bring more bytes, let go where they do not, and trials become few."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count, pairwise
from math import inf, log2
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncdl.rules.growth import (
    LONGEST_WINDOW,
    REST,
    SETTLED_AFTER,
    SHORTEST_WINDOW,
    WINDOW_BYTES,
    Growth,
    Situation,
    is_enough,
)

TICK = 0.05
MB = 1e6
#: Bytes per second that so many connections bring together.
Network = Callable[[int], float]


def each(rate: float) -> Network:
    """A server that holds every connection to a rate."""
    return lambda connections: connections * rate


def shared(rate: float) -> Network:
    """A link that one connection fills."""
    return lambda _: rate


def play(
    network: Network,
    *,
    first: int = 4,
    most: int = 64,
    seconds: float = 10.0,
    noise: Callable[[], float] = lambda: 1.0,
    held_up: bool = False,
) -> list[tuple[float, int]]:
    """What is wanted, as pairs of the second it began and how many; connections come and go at once."""
    growth, received, now = Growth(first, 0.0), 0.0, 0.0
    wanted = [(0.0, first)]
    while now < seconds:
        now += TICK
        received += network(growth.wanted) * TICK * noise()
        at = Situation(now=now, received=int(received), receiving=growth.wanted, most=most, held_up=held_up)
        if growth.look(at) != wanted[-1][1]:
            wanted.append((now, growth.wanted))
    return wanted


def counts(wanted: list[tuple[float, int]]) -> list[int]:
    return [number for _, number in wanted]


def noisy(seed: int, share: float) -> Callable[[], float]:
    """Up to `share` more or less, for some looks in a row, so that it does not average out within a window."""
    chance = Random(seed)
    return (one for _ in count() for one in [1 + chance.uniform(-share, share)] * chance.randint(1, 20)).__next__


def test_doubles_while_each_brings_its_own() -> None:
    """Four of 50 MB/s are eight within half a second, and sixty-four within one and a half."""
    wanted = play(each(50 * MB))

    assert [4, 8, 16, 32, 64] == counts(wanted)
    assert wanted[1][0] <= 0.5
    assert wanted[-1][0] <= 1.5


def test_the_last_step_ends_at_the_most() -> None:
    """What the caller allows is reached also where it is no power of two times the first."""
    assert [3, 6, 11] == counts(play(each(50 * MB), first=3, most=11))


@given(first=st.integers(1, 64), most=st.integers(1, 256), rate=st.floats(10 * MB, 500 * MB))
def test_reaches_the_most_in_few_windows(first: int, most: int, rate: float) -> None:
    """Where throughput scales, every window doubles."""
    first = min(first, most)
    wanted = play(each(rate), first=first, most=most, seconds=10.0)
    steps = len(wanted) - 1

    assert most == wanted[-1][1]
    assert steps <= 1 + log2(most / first)
    assert wanted[-1][0] <= (steps + 1) * (SHORTEST_WINDOW + 3 * TICK)


@given(seed=st.integers(0), first=st.integers(1, 16), rate=st.floats(10 * MB, 500 * MB))
def test_flat_with_noise(seed: int, first: int, rate: float) -> None:
    """Noise of 10 % is no gain: every trial is taken back, and there are few of them."""
    seconds = 120.0
    wanted = play(shared(rate), first=first, seconds=seconds, noise=noisy(seed, 0.1))
    trials = [now for now, number in wanted if number > first]
    longest = REST * LONGEST_WINDOW

    assert {first, 2 * first} == set(counts(wanted))
    assert len(trials) <= 6 + seconds / longest
    gaps = [after - before for before, after in pairwise(trials)]
    assert all(after >= before - 3 * TICK for before, after in pairwise(gaps))


@given(seed=st.integers(0), cap=st.integers(1, 20))
def test_stops_where_it_does_not_help(seed: int, cap: int) -> None:
    """A link that `cap` connections fill: at least as many are kept as come near it, and at most twice too many."""
    wanted = play(lambda count: min(count, cap) * 50 * MB, seconds=30.0, noise=noisy(seed, 0.05))
    kept = [number for (began, number), (ended, _) in pairwise([*wanted, (30.0, 0)]) if ended - began > 3.0]

    assert kept
    assert all(max(4, 0.75 * cap) <= number <= max(4, 2 * cap) for number in kept)


@given(
    looks=st.lists(
        st.tuples(st.floats(0, 3), st.integers(0, 1 << 30), st.integers(0, 70), st.integers(1, 64), st.booleans()),
        max_size=100,
    ),
    first=st.integers(1, 64),
)
def test_stays_within_bounds(looks: list[tuple[float, int, int, int, bool]], first: int) -> None:
    """Whatever happens: never below the first, at most doubled at a time, and never raised above what is allowed."""
    growth, now, received = Growth(first, 0.0), 0.0, 0
    for elapsed, fresh, receiving, most, held_up in looks:
        now, received, before = now + elapsed, received + fresh, growth.wanted
        wanted = growth.look(Situation(now=now, received=received, receiving=receiving, most=most, held_up=held_up))

        assert first <= wanted <= 2 * before
        assert wanted <= max(before, most)


def test_a_slow_link_is_measured_for_longer() -> None:
    """A window has bytes enough to mean something: at 1 MB/s in all that takes half a second, and not a tick less."""
    wanted = play(each(MB / 4))

    assert wanted[1][0] >= 4 * WINDOW_BYTES / MB
    assert [4, 8, 16, 32, 64] == counts(wanted)


def test_nothing_comes_nothing_grows() -> None:
    """Without bytes nothing is concluded, however long it takes."""
    assert [4] == counts(play(each(0.0), seconds=100.0))


def test_nothing_is_tried_while_we_are_slow_ourselves() -> None:
    """Where the disk is behind, more connections would only wait for it."""
    assert [4] == counts(play(each(50 * MB), held_up=True, seconds=60.0))


@pytest.mark.parametrize("most", [1, 4])
def test_no_room(most: int) -> None:
    """With all there may be from the start there is nothing to find out."""
    assert [most] == counts(play(each(50 * MB), first=most, most=most, seconds=60.0))


def test_new_connections_are_given_time_to_begin() -> None:
    """What is measured begins when all of them bring something, or when some have not for a second."""
    growth = Growth(1, 0.0)

    def look(now: float, received: float, receiving: int) -> int:
        return growth.look(Situation(now=now, received=int(received), receiving=receiving, most=8))

    assert [1, 2] == [look(0.0, 0, 1), look(0.2, 10 * MB, 1)]
    # The second one connects; meanwhile the first alone brings what it did.
    assert [2] * 3 == [look(0.2 + late, 10 * MB * (1 + 5 * late), 1) for late in (0.1, 0.5, SETTLED_AFTER - 0.01)]
    assert [2, 4] == [look(1.3, 70 * MB, 2), look(1.5, 90 * MB, 2)]
    # Of four only two ever begin: after a second it counts as it is, and was for nothing.
    assert [4, 2] == [look(2.5, 190 * MB, 2), look(2.7, 210 * MB, 2)]


def test_throttled_in_a_trial() -> None:
    """A server that will not bear so many has answered: they are let go, and tried again only after a rest."""
    growth = Growth(4, 0.0)
    growth.look(Situation(now=0.0, received=0, receiving=4, most=16))
    assert 8 == growth.look(Situation(now=0.2, received=40_000_000, receiving=4, most=16))

    assert 4 == growth.look(Situation(now=0.3, received=60_000_000, receiving=8, most=4))
    assert growth.resting(0.3)
    assert growth.resting(0.3 + REST * SHORTEST_WINDOW - 0.01)
    assert not growth.resting(0.3 + REST * SHORTEST_WINDOW)


def test_throttled_outside_of_a_trial() -> None:
    """What is there stays: how many may be in flight is for others to say."""
    growth = Growth(4, 0.0)
    growth.look(Situation(now=0.0, received=0, receiving=4, most=2))

    assert 4 == growth.look(Situation(now=1.0, received=200_000_000, receiving=2, most=2))


def test_finds_out_later() -> None:
    """A server that gets tight in mid-download is noticed at a later trial."""
    growth, received, now = Growth(4, 0.0), 0.0, 0.0
    while now < 120.0:
        now += TICK
        received += (200 * MB if now < 60 else growth.wanted * 10 * MB) * TICK
        growth.look(Situation(now=now, received=int(received), receiving=growth.wanted, most=16))

    assert 16 == growth.wanted


@pytest.mark.parametrize(
    ("received", "seconds", "worked", "expected"),
    [
        (0, 0.01, 0.0, False),
        (3_999_999, 0.01, 0.0, False),
        (4_000_000, 0.01, 0.0, True),
        (4_000_000, 0.011, 0.0, False),
        (1_000_000, 0.01, 0.0079, False),
        (1_000_000, 0.01, 0.008, True),
        (999_999, 0.01, 0.01, False),
        (1, 0.0, 0.0, False),
    ],
)
def test_one_is_enough(received: int, seconds: float, worked: float, expected: bool) -> None:
    """From some gigabits on, or less where that is all the event loop can take; not before any time has passed."""
    assert expected is is_enough(received, seconds, worked)


def test_no_time_is_no_sign() -> None:
    """Nor is one that has not begun."""
    assert not is_enough(1 << 40, -inf)
