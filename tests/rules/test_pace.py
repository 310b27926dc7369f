"""A quiet or crawling server is found out in time, and nobody else is blamed; the clock is ours to move."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncdl.options import Timeouts
from asyncdl.rules.pace import Pace, PaceKeeper

ALIVE, STALLED, SLOW = Pace.ALIVE, Pace.STALLED, Pace.SLOW
#: A clock that does not begin at zero: none does.
BEGAN = 5000.0


class Connection:
    """A keeper on a clock that is moved by hand, with what has arrived so far."""

    def __init__(self, stall: float = 30.0, low_speed: tuple[float, float] | None = (1024.0, 30.0)) -> None:
        self.keeper = PaceKeeper(stall, low_speed, BEGAN)
        self.now, self.received = BEGAN, 0

    def after(self, seconds: float, fresh: int) -> Pace:
        self.now += seconds
        self.received += fresh
        return self.keeper.sample(self.now, self.received)

    def run(self, fresh: Iterable[int], *, every: float = 1.0) -> tuple[Pace, float]:
        """The first verdict that is not ALIVE, or ALIVE, and the seconds until then."""
        began = self.now
        for count in fresh:
            pace = self.after(every, count)
            if pace is not ALIVE:
                return pace, self.now - began
        return ALIVE, self.now - began


@pytest.mark.parametrize(
    ("fresh", "expected"),
    [
        pytest.param([0] * 29, (ALIVE, 29), id="quiet for one second less than allowed"),
        pytest.param([0] * 99, (STALLED, 30), id="quiet from the beginning"),
        pytest.param([10**6] * 5 + [0] * 99, (STALLED, 35), id="quiet after a good start"),
        pytest.param([*[0] * 29, 10**6] * 9, (ALIVE, 270), id="a burst just before each stall"),
        pytest.param([1] * 99, (SLOW, 30), id="a drip of one byte a second"),
        pytest.param([1024] * 99, (ALIVE, 99), id="exactly as fast as it must be"),
        pytest.param([1023] * 99, (SLOW, 30), id="one byte a second too slow"),
        pytest.param([1] * 29 + [10**6] * 60, (ALIVE, 89), id="a slow start, then fine"),
        pytest.param([10**6] * 60 + [1] * 99, (SLOW, 90), id="fine, then a drip: slow once the window is over"),
        pytest.param([30 * 1024, *[0] * 28, 1], (ALIVE, 30), id="all of the window's bytes in its first second"),
        pytest.param([0, 30 * 1024 - 1, *[0] * 27, 0], (SLOW, 30), id="one byte short over the first window"),
    ],
)
def test_verdicts_over_time(fresh: list[int], expected: tuple[Pace, float]) -> None:
    """With 30 s without a byte, or less than 1 KiB/s over 30 s, a connection is given up, and not before."""
    assert expected == Connection().run(fresh)


@pytest.mark.parametrize("fresh", [[1] * 5000, [*[0] * 29, 1] * 50], ids=["a drip", "a drop each half minute"])
def test_no_lower_bound(fresh: list[int]) -> None:
    """Without `low_speed` whoever sends anything in time is alive."""
    assert ALIVE is Connection(low_speed=None).run(fresh)[0]


def test_stall_without_lower_bound() -> None:
    """Without `low_speed` a stall is still one."""
    assert (STALLED, 30) == Connection(low_speed=None).run([0] * 99)


@pytest.mark.parametrize(
    ("stall", "low_speed", "expected"),
    [
        pytest.param(30.0, (1024.0, 30.0), 1.0, id="once a second"),
        pytest.param(2.0, (1024.0, 30.0), 0.5, id="four times in a stall"),
        pytest.param(30.0, (1024.0, 2.0), 0.5, id="four times in a window"),
        pytest.param(0.4, None, 0.1, id="four times in a stall, without a window"),
        pytest.param(30.0, (1024.0, 1e-9), 0.01, id="a tiny window does not keep a processor busy"),
        pytest.param(1e-9, None, 0.01, id="nor does a tiny stall"),
    ],
)
def test_interval(stall: float, low_speed: tuple[float, float] | None, expected: float) -> None:
    """Samples are dense enough to be in time, and sparse enough to cost nothing."""
    assert expected == PaceKeeper(stall, low_speed, BEGAN).interval


def test_time_in_our_queue_does_not_count() -> None:
    """However long our disk takes, the server is not to blame; afterwards it has all its time again."""
    connection = Connection(low_speed=None)
    connection.run([10**6] * 3 + [0] * 20)
    connection.keeper.park()
    assert ALIVE is connection.run([0] * 1000)[0]

    connection.keeper.unpark()
    assert ALIVE is connection.after(1, 0)
    assert (STALLED, 30) == connection.run([0] * 99)


def test_parked_between_two_samples() -> None:
    """A wait in our queue that began and ended within one interval excuses that interval, and no other."""
    connection = Connection(low_speed=None)
    connection.run([0] * 29)
    connection.keeper.park()
    connection.keeper.unpark()

    assert ALIVE is connection.after(1, 0)
    assert (STALLED, 30) == connection.run([0] * 99)


def test_parked_time_is_no_part_of_the_window() -> None:
    """A drip is slow by its own seconds: parking stretches the verdict, it does not prevent it."""
    connection = Connection()
    connection.run([1] * 29)
    connection.keeper.park()
    assert ALIVE is connection.run([0] * 100)[0]
    connection.keeper.unpark()

    assert ALIVE is connection.after(1, 1)
    assert SLOW is connection.after(1, 1)


def test_burst_while_parked_is_no_alibi() -> None:
    """Bytes that came in excused time do not make up for a drip in the window after it."""
    connection = Connection()
    connection.keeper.park()
    connection.run([10**9] * 3)
    connection.keeper.unpark()

    assert (SLOW, 31) == connection.run([1] * 99)


@pytest.mark.parametrize("gap", [60.0, 86_400.0], ids=["blocked for a minute", "suspended for a day"])
def test_late_sample(gap: float) -> None:
    """A sample that comes late counts for no more than two intervals: nobody saw what the server did."""
    connection = Connection()
    connection.run([0] * 10)

    assert ALIVE is connection.after(gap, 0)
    assert (STALLED, 18) == connection.run([0] * 99)


def test_late_sample_of_a_short_stall() -> None:
    """Two intervals are two of the keeper's own, not two seconds."""
    connection = Connection(stall=2.0, low_speed=None)

    paces = [connection.after(60, 0) for _ in range(2)]

    assert 0.5 == connection.keeper.interval
    assert [ALIVE, STALLED] == paces


def test_late_sample_in_the_window() -> None:
    """A machine that slept a day finds its connections as fast as they were, less two seconds."""
    connection = Connection()
    connection.run([1100] * 29)

    assert ALIVE is connection.after(86_400, 1100)
    assert ALIVE is connection.run([1100] * 99)[0]


@pytest.mark.parametrize("low_speed", [(1024.0, 30.0), (1.0, 86_400.0)], ids=["half a minute", "a day"])
@pytest.mark.parametrize("parked", [False, True])
def test_memory_is_bounded(low_speed: tuple[float, float], parked: bool) -> None:
    """Days in our queue, or of a window, are not a list of every second."""
    connection = Connection(low_speed=low_speed)
    if parked:
        connection.keeper.park()
    connection.run([2048] * 100_000)

    assert len(connection.keeper._window) < 70


def test_long_window() -> None:
    """A window of a day is judged after a day, to within a sixtieth."""
    connection = Connection(low_speed=(1000.0, 86_400.0))

    assert (SLOW, 86_400) == connection.run([999] * 100_000)


@given(
    stall=st.floats(1.0, 60.0),
    fast=st.integers(0, 100),
    jitters=st.lists(st.floats(0.5, 1.5), min_size=400, max_size=400),
)
def test_stall_is_found_in_time(stall: float, fast: int, jitters: list[float]) -> None:
    """With timers that are early or late, a stall is found after `stall` seconds and soon."""
    connection = Connection(stall=stall, low_speed=(1024.0, 30.0))
    interval = connection.keeper.interval
    for jitter in jitters[:fast]:
        assert ALIVE is connection.after(jitter * interval, 10**6)
    quiet, pace = 0.0, ALIVE
    for jitter in jitters[fast:]:
        quiet += jitter * interval
        pace = connection.after(jitter * interval, 0)
        if pace is not ALIVE:
            break

    assert pace in {STALLED, SLOW}
    if pace is STALLED:
        assert stall - 1e-6 <= quiet <= stall + 1.5 * interval


@given(fresh=st.lists(st.integers(1024, 10**7), max_size=200))
def test_fast_enough_is_never_given_up(fresh: list[int]) -> None:
    """A connection that brings the least it must in each second is alive for ever."""
    assert ALIVE is Connection().run(fresh)[0]


@given(fresh=st.lists(st.integers(0, 5000), max_size=200))
def test_agrees_with_the_definition(fresh: list[int]) -> None:
    """Sample by sample, the verdict is what the words say: no byte for 30 s, or under 30 KiB in 30 s."""
    connection = Connection()
    for second, count in enumerate(fresh, start=1):
        seen = fresh[:second]
        expected = ALIVE
        if second >= 30 and sum(seen[-30:]) < 30 * 1024:
            expected = SLOW
        if second >= 30 and not any(seen[-30:]):
            expected = STALLED

        assert expected is connection.after(1, count)
        if expected is not ALIVE:
            return


def test_rate_needs_a_sample() -> None:
    """Nobody knows how fast a connection is before it has been looked at twice."""
    connection = Connection()

    assert connection.keeper.rate is None
    connection.after(0, 500)
    assert connection.keeper.rate is None
    connection.after(1, 500)
    assert 500 == connection.keeper.rate


def test_rate_before_the_first_sample() -> None:
    """After a quarter of a second the time so far will do, unless it is our own side that is slow."""
    keeper = PaceKeeper(stall=60.0, low_speed=None, now=100.0)

    assert [None, None, 400.0] == [keeper.rate_at(100.0 + seconds, 200) for seconds in (0.0, 0.2, 0.5)]
    keeper.park()
    assert keeper.rate_at(100.5, 200) is None
    keeper.sample(101.0, 1000)
    keeper.unpark()
    assert keeper.rate_at(101.5, 1200) is None
    keeper.sample(102.0, 2000)
    keeper.sample(103.0, 2100)
    assert keeper.rate == keeper.rate_at(103.5, 9999) == 100


def test_rate_follows() -> None:
    """What was a second ago counts for half, and so on: a collapse shows within seconds, a hiccup hardly does."""
    connection = Connection()
    connection.run([8000] * 10)
    rates = []
    for fresh in (0, 0, 0, 8000, 8000):
        connection.after(1, fresh)
        rates.append(connection.keeper.rate)

    assert [4000, 2000, 1000, 4500, 6250] == rates


@pytest.mark.parametrize(("seconds", "expected"), [(1.25, 4000.0), (1.3, None), (2.0, None), (3600.0, None)])
def test_rate_of_a_late_sample(seconds: float, expected: float | None) -> None:
    """Where our own loop did not run, what came is still to be read: nothing is told until the next sample."""
    connection = Connection()
    connection.after(1, 9000)

    connection.after(seconds, 0)
    rates = [connection.keeper.rate]
    connection.after(1, 7000)
    rates.append(connection.keeper.rate)

    assert [expected and pytest.approx(expected), pytest.approx(5500.0 if expected else 7000.0)] == rates


def test_rate_while_we_are_slow() -> None:
    """In our own queue nothing can be told, neither from what comes nor from what came before."""
    connection = Connection(low_speed=None)
    connection.run([0, 0])
    seen = [(connection.keeper.held_up, connection.keeper.rate)]
    connection.keeper.park()
    connection.run([10**6] * 3)
    seen.append((connection.keeper.held_up, connection.keeper.rate))
    connection.keeper.unpark()
    seen.append((connection.keeper.held_up, connection.keeper.rate))
    for fresh in (10**6, 7000):
        connection.after(1, fresh)
        seen.append((connection.keeper.held_up, connection.keeper.rate))

    assert [(False, 0), (True, None), (True, None), (False, None), (False, 7000)] == seen


def test_held_up_between_two_samples() -> None:
    """A wait in our queue that is over already holds up until the next sample."""
    connection = Connection()
    seen = [connection.keeper.held_up]
    connection.keeper.park()
    connection.keeper.unpark()
    seen.append(connection.keeper.held_up)
    connection.after(1, 100)
    seen.append(connection.keeper.held_up)

    assert [False, True, False] == seen


@given(steps=st.lists(st.tuples(st.floats(0, 5), st.integers(0, 10**7), st.booleans()), max_size=100))
def test_rate_is_one_that_was_seen(steps: list[tuple[float, int, bool]]) -> None:
    """Never negative, and never above the fastest sample."""
    connection = Connection()
    fastest = 0.0
    for seconds, fresh, parks in steps:
        if parks:
            connection.keeper.park()
            connection.keeper.unpark()
        connection.after(seconds, fresh)
        # What the clock really says: adding and subtracting loses the last digits.
        elapsed = min(connection.now - (connection.now - seconds), 2 * connection.keeper.interval)
        fastest = max(fastest, fresh / elapsed if elapsed > 0 else 0.0)
        rate = connection.keeper.rate
        assert rate is None or 0 <= rate <= fastest * (1 + 1e-6)


def test_defaults_are_what_is_tested_here() -> None:
    """The figures above are the default timeouts."""
    assert (30.0, (1024.0, 30.0)) == (Timeouts().stall, Timeouts().low_speed)
