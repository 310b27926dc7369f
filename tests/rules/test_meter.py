"""Rates follow the last seconds, and an estimate is only given where there is one."""

from __future__ import annotations

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncdl.rules.meter import WINDOW, Meter, eta

#: A clock that does not begin at zero: none does.
BEGAN = 1000.0


def rates(*samples: tuple[float, int]) -> list[float]:
    meter = Meter(BEGAN)
    return [meter.add(BEGAN + seconds, done) for seconds, done in samples]


@pytest.mark.parametrize(
    ("samples", "expected"),
    [
        pytest.param([(0, 0)], [0.0], id="no time has passed: no rate, and no division by zero"),
        pytest.param([(0, 100)], [0.0], id="bytes in no time"),
        pytest.param([(2, 100)], [50.0], id="from the beginning"),
        pytest.param([(1, 100), (2, 300)], [100.0, 150.0], id="shorter than the window: all of it"),
        pytest.param([(1, 0), (5, 500), (6, 500)], [0.0, 100.0, 100.0], id="what left the window no longer counts"),
        pytest.param([(1, 900), (7, 1500)], [900.0, 100.0], id="the window starts at the last sample before it"),
        pytest.param([(1, 500), (11, 500)], [500.0, 0.0], id="nothing for longer than the window"),
        pytest.param([(100, 1000)], [10.0], id="one late sample counts over all its time"),
        pytest.param([(1, 10), (1, 10)], [10.0, 10.0], id="two samples at one time"),
    ],
)
def test_rate(samples: list[tuple[float, int]], expected: list[float]) -> None:
    """Bytes per second over the last `WINDOW` seconds."""
    assert expected == rates(*samples)


def test_rate_forgets_the_past() -> None:
    """After one window at a new speed the old one is forgotten."""
    slow = [(float(second), second) for second in range(1, 11)]
    fast = [(float(10 + second), 10 + second * 1000) for second in range(1, int(WINDOW) + 1)]

    assert 1000.0 == rates(*slow, *fast)[-1]


def test_meter_keeps_one_window() -> None:
    """A long download needs no more memory than a short one."""
    meter = Meter(BEGAN)
    for tick in range(10_000):
        meter.add(BEGAN + tick / 10, tick)

    assert len(meter._samples) <= WINDOW * 10 + 2


@given(steps=st.lists(st.tuples(st.floats(0, 1e6), st.integers(0, 2**43)), min_size=1))
def test_rate_is_finite_and_not_negative(steps: list[tuple[float, int]]) -> None:
    """Whatever the clock and the bytes do, as long as neither goes back, a rate is one."""
    meter, now, done = Meter(0.0), 0.0, 0
    for elapsed, fresh in steps:
        now, done = now + elapsed, done + fresh

        assert 0 <= meter.add(now, done) <= inf


@pytest.mark.parametrize(
    ("done", "total", "rate", "expected"),
    [
        pytest.param(50, 100, 10.0, 5.0, id="half way"),
        pytest.param(0, 100, 0.5, 200.0, id="less than a byte a second"),
        pytest.param(0, 100, 0.0, None, id="no rate, no estimate"),
        pytest.param(0, 100, -1.0, None, id="no estimate from a rate that is none"),
        pytest.param(50, None, 10.0, None, id="the end is unknown"),
        pytest.param(100, 100, 0.0, 0.0, id="there already, at any rate"),
        pytest.param(0, 0, 0.0, 0.0, id="nothing to fetch"),
        pytest.param(101, 100, 10.0, 0.0, id="never less than nothing to go"),
    ],
)
def test_eta(done: int, total: int | None, rate: float, expected: float | None) -> None:
    """Seconds to go, where anybody can tell."""
    assert expected == eta(done, total, rate)
