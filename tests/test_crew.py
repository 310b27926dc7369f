"""How many fetchers a download begins with: one where that is plenty, and no backlog is mistaken for speed."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from asyncdl.crew import Crew
from asyncdl.job import Job
from asyncdl.options import Options
from asyncdl.rules.growth import FAST
from tests.support.clock import ManualClock

MB = 1e6


class Coming:
    """Stands in for a scheduler: with each look so many bytes more have come, and so many seconds have passed."""

    def __init__(self, clock: ManualClock, looks: list[tuple[float, ...]]) -> None:
        self._clock, self._looks = clock, iter(looks)
        self.received, self.presumed, self.expected = 0, 0.0, 0
        self.most: int | None = None

    async def look(self, *_: Any, **__: Any) -> None:
        seconds, received, *work = next(self._looks)
        self._clock.advance(seconds)
        self._clock.work += sum(work)
        self.received += int(received)


@pytest.fixture
def clock() -> ManualClock:
    """By hand."""
    return ManualClock()


async def begin(
    clock: ManualClock, looks: list[tuple[float, ...]], monkeypatch: pytest.MonkeyPatch, *, ago: float = 0.0
) -> tuple[int, float]:
    """How many there are to be after those looks, and the rate that is presumed."""
    coming = Coming(clock, looks)
    job = SimpleNamespace(
        options=Options(connections=16, first_connections=8),
        clock=clock,
        scheduler=coming,
        fetchers=[],
        learnt=clock.monotonic() - ago,
    )
    crew = Crew(cast("Job", job), asyncio.create_task, 16)
    monkeypatch.setattr(asyncio, "wait", coming.look)
    return await crew._number_to_begin_with(), coming.presumed


@pytest.mark.parametrize(
    ("looks", "ago", "expected"),
    [
        pytest.param([(0.01, 0.5 * MB)], 0.0, 8, id="an ordinary one"),
        pytest.param([(0.01, 0.0)], 0.0, 8, id="one that has not begun"),
        pytest.param([(0.01, 8 * MB)], 0.0, 1, id="a fast one"),
        pytest.param([(0.01, 6 * MB), (0.01, 0.5 * MB)], 0.1, 8, id="a backlog"),
        pytest.param([(0.01, 6 * MB), (0.01, 8 * MB)], 0.1, 1, id="a backlog of a fast one"),
        pytest.param([(0.01, 0.5 * MB)], 0.1, 8, id="an ordinary one, later"),
        pytest.param([(0.01, 2 * MB, 0.009), (0.01, 2 * MB, 0.009)], 0.0, 1, id="all that the loop can take"),
        pytest.param([(0.01, 2 * MB, 0.009), (0.01, 2 * MB, 0.004)], 0.0, 8, id="the loop was busy for a moment"),
        pytest.param([(0.01, 2 * MB, 0.004)], 0.0, 8, id="the loop has time left"),
        pytest.param([(0.01, 0.5 * MB, 0.01)], 0.0, 8, id="the loop is busy with something else"),
        pytest.param([(0.01, 6 * MB), (0.01, 0.0)], float("-inf"), 8, id="no response yet"),
        pytest.param([(0.01, 0.1 * MB)], -0.0099, 8, id="the response and what came along with it"),
    ],
)
async def test_how_many(
    clock: ManualClock,
    monkeypatch: pytest.MonkeyPatch,
    looks: list[tuple[float, ...]],
    ago: float,
    expected: int,
) -> None:
    """One is enough where it alone is fast; bytes that stood in a buffer are no sign of that."""
    assert expected == (await begin(clock, looks, monkeypatch, ago=ago))[0]


async def test_what_is_presumed_of_the_others(clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the first brought since its response; nothing before there is one."""
    _, presumed = await begin(clock, [(0.01, MB)], monkeypatch, ago=0.09)
    assert 10 * MB == pytest.approx(presumed)
    assert presumed < FAST

    assert (await begin(clock, [(0.01, 0.0)], monkeypatch, ago=float("-inf")))[1] == 0.0


async def test_a_moment_tells_nothing(clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """What came along with a response that has just come is not multiplied to a rate that no network has."""
    _, presumed = await begin(clock, [(0.01, 0.1 * MB)], monkeypatch, ago=-0.0099)
    assert 10 * MB == pytest.approx(presumed)


@pytest.mark.parametrize(
    ("at_work", "wanted", "sequential", "expected"),
    [
        pytest.param(1, 4, False, 1, id="alone"),
        pytest.param(1, 1, False, 0, id="alone, and no other is wanted"),
        pytest.param(1, 4, True, 0, id="the only stream"),
        pytest.param(2, 4, False, 0, id="two"),
    ],
)
async def test_company(
    clock: ManualClock,
    monkeypatch: pytest.MonkeyPatch,
    at_work: int,
    wanted: int,
    sequential: bool,
    expected: int,
) -> None:
    """Where all parts have been begun, a fetcher that is alone gets one who could take over, and no more than one."""
    job = SimpleNamespace(
        options=Options(),
        scheduler=SimpleNamespace(planner=None),
        fetchers=[asyncio.get_running_loop().create_future() for _ in range(at_work)],
        sequential=sequential,
    )
    crew = Crew(cast("Job", job), asyncio.create_task, 16)
    begun: list[object] = []
    monkeypatch.setattr(crew, "begin", begun.append)

    assert not crew._send(wanted)
    assert [None] * expected == begun
