"""Downloads drawn at random: any object, any settings, any faults; whole bytes or a named error, and always an end."""

from __future__ import annotations

import asyncio
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, event, example, given, settings
from hypothesis import strategies as st

import asyncdl
from asyncdl import refresher
from asyncdl.edge import provider as provider_edge
from asyncdl.testing import POISON, Fault, Origin
from tests.support.flow import KIB, fetch, holds, small

PART = 8 * KIB
#: Seconds: far more than any of these needs; who reaches it hangs.
FOR_EVER = 15.0
#: Times the profile's number of examples: one takes some milliseconds, and a stall 0.15 s.
MANY = 4
TIMEOUTS = asyncdl.Timeouts(connect=2, response=0.15, stall=0.15, low_speed=None, refresh=2)
RETRY = asyncdl.Retry(attempts=5, base=0.001, cap=0.002)
_EXPIRED = b"<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>"


def _faults() -> st.SearchStrategy[Fault]:
    """One fault that wears off. Lies that no client could notice without a checksum are not among them."""
    places = st.integers(0, 3 * PART)
    what: list[st.SearchStrategy[dict[str, Any]]] = [
        st.fixed_dictionaries({"status": st.sampled_from([204, 308, 400, 404, 408, 410, 425, 429, 500, 503])}),
        st.just({"status": 403, "body": _EXPIRED + POISON}),
        st.just({"status": 403, "body": POISON}),
        st.just({"status": 401}),
        st.fixed_dictionaries({"drop_after": places}),
        st.fixed_dictionaries({"reset_after": places}),
        st.fixed_dictionaries({"stall_after": places}),
        st.just({"stall_headers": True}),
        st.fixed_dictionaries({"short": st.integers(1, PART)}),
        st.just({"extra": POISON}),
        st.just({"ignore_range": True}),
        st.just({"ignore_range": True, "chunked": True}),
        st.fixed_dictionaries({"ignore_range": st.just(True), "drop_after": places}),
        st.fixed_dictionaries({"shift": st.sampled_from([-1, 1, 7])}),
        st.fixed_dictionaries({"shift_header": st.sampled_from([-1, 1, 7])}),
        st.just({"drop_headers": ("Content-Range",)}),
        st.just({"drop_headers": ("ETag",)}),
        st.fixed_dictionaries({"content_range": st.sampled_from(["bytes banana", "bytes 0-0/*", "", "bytes */9"])}),
        st.fixed_dictionaries({"total": st.sampled_from(["*", 1, 10**6])}),
        st.fixed_dictionaries({"etag": st.sampled_from(['"v2"', 'W/"weak"', ""])}),
        st.just({"headers": {"Content-Encoding": "gzip"}}),
        st.just({"raw": b"SSH-2.0-OpenSSH_9.2\r\n"}),
        st.just({"chunked": True}),
        st.just({"no_length": True}),
        st.just({"close": True}),
        st.fixed_dictionaries({"delay": st.floats(0, 0.01)}),
        st.just({"redirect": "/object"}),
    ]
    when = st.fixed_dictionaries(
        {"times": st.integers(1, 3)}, optional={"request": st.one_of(st.integers(0, 9), st.just(range(1, 99)))}
    )
    return st.builds(lambda fault, condition: Fault(**fault, **condition), st.one_of(what), when)


@dataclass(frozen=True, slots=True, kw_only=True)
class Draw:
    """One download."""

    size: int
    known: bool = False
    ranges: bool = True
    provider: bool = False
    connections: int = 4
    part_size: int = PART
    chunk_size: int = 1 * KIB
    queue_depth: int = 4
    faults: tuple[Fault, ...] = ()


DRAWS = st.builds(
    Draw,
    size=st.one_of(st.integers(0, 12 * PART), st.sampled_from([0, 1, PART - 1, PART, PART + 1, 2 * PART])),
    known=st.booleans(),
    ranges=st.sampled_from([True, True, True, False]),
    provider=st.booleans(),
    connections=st.integers(1, 8),
    part_size=st.integers(1 * KIB, 4 * PART),
    chunk_size=st.integers(100, 8 * KIB),
    queue_depth=st.integers(2, 12),
    faults=st.lists(_faults(), max_size=6).map(tuple),
    # A 200 says nothing of where its bytes begin: shifted ones are another object, as far as anybody can tell.
).filter(lambda draw: draw.ranges or not any(fault.shift for fault in draw.faults))


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second between two calls of a provider is tested elsewhere."""
    monkeypatch.setattr(refresher, "_SHORTEST_INTERVAL", 0.001)
    monkeypatch.setattr(provider_edge, "_SECOND_TRY_AFTER", 0.001)


async def attempt(draw: Draw, directory: Path) -> str:
    """Carry out one draw; how it ended."""
    dest, others = directory / "file", asyncio.all_tasks()
    async with Origin(ranges=draw.ranges) as origin:
        content = origin.add("/object", draw.size)
        origin.script(*draw.faults)
        source = origin.provider("/object", ttl=3600) if draw.provider else origin.url("/object")
        options = small(
            draw.connections,
            part_size=draw.part_size,
            parallel_threshold=2 * draw.part_size,
            chunk_size=draw.chunk_size,
            queue_depth=draw.queue_depth,
            reuse_window=0,
        )
        ended = "complete"
        try:
            async with asyncio.timeout(FOR_EVER):
                result = await fetch(
                    source,
                    dest,
                    size=draw.size if draw.known else None,
                    options=options,
                    timeouts=TIMEOUTS,
                    retry=RETRY,
                )
        except asyncdl.AsyncdlError as error:
            ended = type(error).__name__

            assert not dest.exists()
        else:
            assert holds(dest, content)
            assert draw.size == result.size
            assert result.fetched >= draw.size
            assert ["file"] == [path.name for path in directory.iterdir()]
    for left in directory.iterdir():
        assert POISON not in left.read_bytes()
    assert set() == {task for task in asyncio.all_tasks() - others if not task.done()}
    return ended


@pytest.fixture(scope="module")
def directories(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where each draw gets a directory of its own."""
    return tmp_path_factory.mktemp("draws")


@pytest.mark.timeout(300)
# The fixtures hold for all examples alike.
@settings(
    max_examples=MANY * settings().max_examples,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(draw=DRAWS)
@example(draw=Draw(size=0))
@example(draw=Draw(size=12 * PART, faults=(Fault(request=range(1, 99), ignore_range=True, times=3),)))
@example(draw=Draw(size=12 * PART, ranges=False, known=True, faults=(Fault(drop_after=PART, times=3),)))
@example(draw=Draw(size=12 * PART, provider=True, connections=8, faults=(Fault(status=403, body=_EXPIRED, times=8),)))
def test_ends_well_or_by_name(directories: Path, draw: Draw) -> None:
    """Every byte as it is on the server, or an error of ours and nothing at the destination."""
    with tempfile.TemporaryDirectory(dir=directories) as directory:
        event(asyncio.run(attempt(draw, Path(directory))))
