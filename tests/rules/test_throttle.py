"""How many requests a server bears: halved when it throttles, once for all who met it; slowly more otherwise."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncdl.rules.throttle import Allowance


def throttle(allowance: Allowance, times: int) -> list[int]:
    """The limits after each of so many separate overloads."""
    limits = []
    for _ in range(times):
        allowance.throttled(allowance.epoch)
        limits.append(allowance.limit)
    return limits


def served(allowance: Allowance) -> int:
    """The limit after one round of requests that were served."""
    for _ in range(allowance.limit):
        allowance.succeeded()
    return allowance.limit


@pytest.mark.parametrize("most", [1, 2, 16])
def test_begins_with_all(most: int) -> None:
    """Nobody is slowed down before the server has said anything."""
    assert most == Allowance(most).limit


def test_halves_down_to_one() -> None:
    """There is always one request: without any, nobody would learn that the server has recovered."""
    assert [8, 4, 2, 1, 1, 1] == throttle(Allowance(16), 6)


def test_once_for_all_that_were_under_way_together() -> None:
    """Sixteen requests that meet one overload are one reason to halve, not sixteen."""
    allowance = Allowance(16)
    begun = [allowance.epoch] * 16

    for epoch in begun:
        allowance.throttled(epoch)

    assert 8 == allowance.limit


def test_begun_after_the_last_time() -> None:
    """Who was sent when there were fewer already, and is throttled, says that there are still too many."""
    allowance = Allowance(16)
    late = allowance.epoch
    allowance.throttled(late)
    early = allowance.epoch

    allowance.throttled(early)
    allowance.throttled(late)

    assert 4 == allowance.limit


def test_grows_by_one_for_every_round() -> None:
    """Additive increase: as many successes as there are requests at once make one more."""
    allowance = Allowance(16)
    throttle(allowance, 1)

    assert [8, 9, 10, 11, 12, 13] == [served(allowance) for _ in range(6)]


def test_hesitates_before_what_was_too_much() -> None:
    """Eight rounds with one fewer than that; then it is tried, and after that it goes on as before."""
    allowance = Allowance(16)
    throttle(allowance, 2)
    limits = [served(allowance) for _ in range(20)]

    assert [4, 5, 6, *[7] * 8, *range(8, 17)] == limits


def test_one_is_all_it_bears() -> None:
    """A second request at once is refused one time in a dozen, not every other time."""
    allowance, refused = Allowance(16), 0
    throttle(allowance, 4)
    for _ in range(90):
        if allowance.limit > 1:
            refused += 1
            allowance.throttled(allowance.epoch)
        allowance.succeeded()

    assert 7 == refused


def test_even_one_is_too_much() -> None:
    """Who is throttled with a single request is not the quicker to make two of them."""
    allowance = Allowance(2)
    throttle(allowance, 3)

    assert [*[1] * 11, 2] == [served(allowance) for _ in range(12)]


@given(
    most=st.integers(1, 100),
    events=st.lists(st.one_of(st.just("succeeded"), st.integers(0, 5)), max_size=300),
)
def test_stays_within_bounds(most: int, events: list[str | int]) -> None:
    """Whatever happens: from 1 to all; at least half of what there was, and at most one more."""
    allowance = Allowance(most)
    for event in events:
        before, epoch = allowance.limit, allowance.epoch
        if isinstance(event, int):
            allowance.throttled(epoch - event)
            assert (epoch + 1 if event == 0 else epoch) == allowance.epoch
            assert before // 2 <= allowance.limit <= before
            if event:
                assert before == allowance.limit
        else:
            allowance.succeeded()
            assert before <= allowance.limit <= before + 1
        assert 1 <= allowance.limit <= most


@given(most=st.integers(1, 100), halvings=st.integers(1, 10))
def test_finds_back(most: int, halvings: int) -> None:
    """However deep it fell, enough successes bring it back to all: to each limit as many as it is, and some."""
    allowance = Allowance(most)
    throttle(allowance, halvings)

    for _ in range(most * (most + 10)):
        allowance.succeeded()

    assert most == allowance.limit


def test_one_failure_without_a_word_is_let_pass() -> None:
    """A bare 503 now and then halves nothing; a second within one round of requests does."""
    allowance = Allowance(8)

    allowance.throttled(allowance.epoch, certain=False)
    served(allowance)
    limits = [allowance.limit]
    for _ in range(8):
        served(allowance)
    allowance.throttled(allowance.epoch, certain=False)
    limits.append(allowance.limit)
    allowance.throttled(allowance.epoch, certain=False)
    limits.append(allowance.limit)

    assert [8, 8, 4] == limits
