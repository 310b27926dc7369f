"""Which requests a scripted fault hits, and what cannot be scripted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from asyncdl.errors import OptionsError
from asyncdl.testing import POISON, Fault, Origin, RequestRecord, poison
from tests.support.rawclient import ask

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@pytest.fixture
async def origin() -> AsyncIterator[Origin]:
    """An origin with one object, `/f`."""
    async with Origin() as running:
        running.add("/f", 3 << 20)
        yield running


async def test_conditions_on_the_request(origin: Origin) -> None:
    """Positions count per object; a set hits its members."""
    origin.add("/g", 10)
    origin.script(Fault(path="/f", request={1, 3}, status=500), Fault(path="/g", request=0, status=501))
    f = [(await ask(origin.url("/f"), span=(0, 10))).status for _ in range(5)]
    g = [(await ask(origin.url("/g"))).status for _ in range(2)]

    assert [206, 500, 206, 500, 206] == f
    assert [501, 200] == g


async def test_conditions_on_range_generation_and_times(origin: Origin) -> None:
    """A range holds an offset, a URL has a generation, a fault wears out, a function decides."""
    asked: list[RequestRecord] = []

    def remember(record: RequestRecord) -> bool:
        asked.append(record)
        return False

    origin.script(
        Fault(when=remember, status=599),
        Fault(start=1999, status=500, times=1),
        Fault(generation=1, status=501),
    )
    url = origin.url("/f")
    plain = [(await ask(url, span=span)).status for span in ((0, 1999), (1000, 2000), (1000, 2000))]
    signed = [(await ask(origin.presign("/f", ttl=60), span=(0, 1))).status for _ in range(3)]

    assert [206, 500, 206] == plain
    assert [206, 501, 206] == signed
    assert [(0, 1999), (1000, 2000)] == [record.range for record in asked[:2]]


async def test_refused_requests_are_not_hit(origin: Origin) -> None:
    """A fault waits for a request that reaches the object, and the script counts its uses."""
    fault = Fault(request=0, status=500)
    origin.script(fault)
    dead = origin.presign("/f", ttl=60)
    origin.expire(dead)
    statuses = [(await ask(dead)).status, (await ask(origin.url("/f"), span=(0, 1))).status]

    assert [403, 500] == statuses
    assert 1 == origin.faults.applied(fault)


def test_a_response_ends_once() -> None:
    """Two ends for one response are refused when written, not when served."""
    with pytest.raises(OptionsError, match="drop_after and reset_after"):
        Fault(drop_after=0, reset_after=1)


@pytest.mark.parametrize("size", [0, 1, len(POISON), 1000])
def test_poison_has_any_size(size: int) -> None:
    """Poison is as long as asked for, and begins like itself."""
    assert size == len(poison(size))
    assert poison(1000).startswith(poison(size))
