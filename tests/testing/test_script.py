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


async def test_conditions_on_the_connection(origin: Origin) -> None:
    """Connections count from 0 in the order accepted, whatever is asked on them."""
    origin.script(Fault(connection=1, status=500), Fault(connection=range(3, 9), status=501))
    statuses = [(await ask(origin.url("/f"), span=(0, 1))).status for _ in range(5)]

    assert [206, 500, 206, 501, 501] == statuses


async def test_conditions_on_the_method(origin: Origin) -> None:
    """HEAD is refused until a fault names it: then it gets what the fault says, and is no data request."""
    origin.script(Fault(method="GET", status=500, times=1), Fault(method="HEAD", start=0, times=1))
    origin.script(Fault(method="HEAD", path="/f", status=405, times=1), Fault(request=0, status=501))
    url = origin.url("/f")
    replies = [await ask(url, method=method) for method in ("HEAD", "GET", "HEAD", "HEAD")]
    replies.append(await ask(origin.url("/unknown"), method="HEAD"))

    assert [200, 500, 405, 403, 403] == [reply.status for reply in replies]
    assert (str(3 << 20), b"") == (replies[0].headers.get("Content-Length"), replies[0].body)
    assert [False, False, False, True, True] == [record.refused for record in origin.ledger.requests]
    assert [1] == [record.number for record in origin.ledger.data_requests()]


@pytest.mark.parametrize(("age", "hit"), [(0.0, False), (1.9, False), (2.0, True), (50.0, True)])
def test_conditions_on_the_time(age: float, hit: bool) -> None:
    """A fault with `after` hits whoever comes so long after the first."""
    record = RequestRecord(number=0, connection=0, method="GET", path="/f", raw_target="/f", index=0, age=age)

    assert hit is Fault(after=2.0).matches(record, 10)


async def test_the_age_of_a_request(origin: Origin) -> None:
    """It is counted from the first data request of its path."""
    origin.add("/g", 10)
    for path in ("/f", "/f", "/g", "/f"):
        await ask(origin.url(path), span=(0, 1))
    f, f_later, g, f_last = origin.ledger.requests

    assert (0.0, 0.0) == (f.age, g.age)
    assert (f_later.started - f.started, f_last.started - f.started) == (f_later.age, f_last.age)
    assert 0 < f_later.age < f_last.age


async def test_uses_are_counted(origin: Origin) -> None:
    """The script knows how often each fault was applied, and how often any was."""
    faults = Fault(request=0, status=500), Fault(request={1, 2}, status=501)
    origin.script(*faults)
    for _ in range(4):
        await ask(origin.url("/f"), span=(0, 1))

    assert (1, 2, 3) == (*map(origin.faults.applied, faults), origin.faults.uses)


def test_a_response_ends_once() -> None:
    """Two ends for one response are refused when written, not when served."""
    with pytest.raises(OptionsError, match="drop_after and reset_after"):
        Fault(drop_after=0, reset_after=1)


@pytest.mark.parametrize("size", [0, 1, len(POISON), 1000])
def test_poison_has_any_size(size: int) -> None:
    """Poison is as long as asked for, and begins like itself."""
    assert size == len(poison(size))
    assert poison(1000).startswith(poison(size))
