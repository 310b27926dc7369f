"""Waits and budgets: never negative, never endless, never above the cap."""

from __future__ import annotations

from math import isfinite

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncdl.options import Retry
from asyncdl.rules.retry import RetryBudget, backoff, delay, parse_retry_after

DATE = "Fri, 20 Nov 2026 10:00:00 GMT"
SECONDS = st.floats(min_value=0, max_value=1e12)
RETRIES = st.builds(Retry, base=SECONDS, cap=SECONDS, retry_after_cap=SECONDS)
JITTERS = st.floats(min_value=0, max_value=1)


@pytest.mark.parametrize(
    ("attempt", "jitter", "expected"),
    [
        (0, 1.0, 0.5),
        (1, 1.0, 1.0),
        (2, 1.0, 2.0),
        (2, 0.5, 1.0),
        (3, 0.0, 0.0),
        (6, 1.0, 30.0),
        (10**6, 1.0, 30.0),
        (-1, 1.0, 0.5),
    ],
)
def test_backoff_doubles_up_to_the_cap(attempt: int, jitter: float, expected: float) -> None:
    """The wait doubles with each failure, is scaled by the jitter, and stops growing at the cap."""
    assert expected == backoff(Retry(base=0.5, cap=30.0), attempt, jitter)


@given(retry=RETRIES, attempt=st.integers(min_value=0, max_value=10**9), jitter=JITTERS)
def test_backoff_stays_within_the_cap(retry: Retry, attempt: int, jitter: float) -> None:
    """No schedule leaves the interval from zero to the cap."""
    assert 0 <= backoff(retry, attempt, jitter) <= retry.cap


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("7", 7.0),
        (" 7\t", 7.0),
        ("0", 0.0),
        ("000", 0.0),
        ("1000000000000", 1e12),
        ("9" * 16, 1e15),
        ("9" * 10_000, 1e15),
        ("0" * 10_000 + "5", 5.0),
        ("Fri, 20 Nov 2026 10:00:07 GMT", 7.0),
        ("Friday, 20-Nov-26 10:00:07 GMT", 7.0),
        ("Fri Nov 20 10:00:07 2026", 7.0),
        ("Fri, 20 Nov 2026 09:00:00 GMT", 0.0),
        ("Fri, 32 Nov 2026 09:00:00 GMT", None),
        ("-7", None),
        ("+7", None),
        ("7.5", None),
        ("1e3", None),
        ("٧", None),
        ("soon", None),
        ("", None),
        (None, None),
    ],
)
def test_parse_retry_after(value: str | None, expected: float | None) -> None:
    """Seconds and dates are understood, a date that passed is zero, and garbage is as if nothing was said."""
    assert expected == parse_retry_after(value, date=DATE)


@pytest.mark.parametrize("date", [None, "", "today"])
def test_retry_after_date_needs_the_server_clock(date: str | None) -> None:
    """A date is not measured against a clock of ours; seconds need none."""
    assert parse_retry_after("Fri, 20 Nov 2026 10:00:07 GMT", date=date) is None
    assert parse_retry_after("7", date=date) == 7.0


@given(value=st.one_of(st.none(), st.text(), st.from_regex(r"-?[0-9]+", fullmatch=True)), date=st.none() | st.text())
def test_any_retry_after_is_a_wait_or_nothing(value: str | None, date: str | None) -> None:
    """Whatever stands in the header gives a finite wait or None."""
    wait = parse_retry_after(value, date=date)
    assert wait is None or (wait >= 0 and isfinite(wait))


@pytest.mark.parametrize(("retry_after", "expected"), [(None, 2.0), (1.0, 2.0), (7.0, 7.0), (1e15, 120.0)])
def test_delay_honours_the_server_up_to_a_cap(retry_after: float | None, expected: float) -> None:
    """The server's wish counts when it is longer than the backoff, and no further than the cap."""
    assert expected == delay(Retry(base=0.5, retry_after_cap=120.0), 2, 1.0, retry_after)


@given(retry=RETRIES, attempt=st.integers(0, 10**6), jitter=JITTERS, retry_after=st.none() | SECONDS)
def test_delay_stays_within_both_caps(retry: Retry, attempt: int, jitter: float, retry_after: float | None) -> None:
    """No wait is longer than the longer of the two caps, nor shorter than the backoff."""
    wait = delay(retry, attempt, jitter, retry_after)
    assert backoff(retry, attempt, jitter) <= wait <= max(retry.cap, retry.retry_after_cap)


def test_budget_runs_out_and_is_refunded() -> None:
    """Each retry takes a token, an empty budget gives none, and a refund gives one more."""
    budget = RetryBudget(2)
    assert [True, True, False] == [budget.take() for _ in range(3)]
    budget.refund()
    assert budget.left == 1
    assert [True, False] == [budget.take() for _ in range(2)]


@pytest.mark.parametrize("tokens", [0, -1])
def test_empty_budget(tokens: int) -> None:
    """A budget of nothing allows nothing, also after refunds."""
    budget = RetryBudget(tokens)
    budget.refund()
    assert not budget.take()
    assert budget.left == 0


@given(tokens=st.integers(0, 20), steps=st.lists(st.booleans()))
def test_budget_keeps_its_bounds(tokens: int, steps: list[bool]) -> None:
    """However takes and refunds follow each other, what is left is from zero to the start, and takes are counted."""
    budget, left = RetryBudget(tokens), tokens
    for take in steps:
        if take:
            assert (left > 0) == budget.take()
            left = max(0, left - 1)
        else:
            budget.refund()
            left = min(tokens, left + 1)
        assert left == budget.left
