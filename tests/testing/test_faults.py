"""Scripted faults: every action can be seen from outside, and hits the requests it was written for."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest

from asyncdl.testing import POISON, Fault, Origin
from tests.support.rawclient import Reply, ask

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

SIZE = 3 << 20
#: Seconds without a byte after which a test takes the server for silent.
SILENCE = 1.0


@pytest.fixture
async def origin() -> AsyncIterator[Origin]:
    """An origin with one object, `/f`."""
    async with Origin() as running:
        running.add("/f", SIZE)
        yield running


async def hit(origin: Origin, fault: Fault, *, patience: float = 20.0) -> Reply:
    """The answer to a request for bytes 1000 to 2000 under a fault."""
    origin.script(fault)
    return await ask(origin.url("/f"), span=(1000, 2000), patience=patience)


async def test_status(origin: Origin) -> None:
    """A status brings a poisoned body, added headers, and no validators."""
    reply = await hit(origin, Fault(status=503, headers={"Retry-After": "7"}))

    assert (503, "7", None) == (reply.status, reply.headers.get("Retry-After"), reply.headers.get("ETag"))
    assert POISON in reply.body
    assert 0 == origin.ledger.bytes_sent("/f")


async def test_status_with_a_body(origin: Origin) -> None:
    """The body given is sent as it is."""
    reply = await hit(origin, Fault(status=400, body=b"<Error><Code>RequestTimeout</Code></Error>"))

    assert (400, b"<Error><Code>RequestTimeout</Code></Error>") == (reply.status, reply.body)


async def test_body_in_place_of_the_object(origin: Origin) -> None:
    """A page with status 200, as a captive portal sends it."""
    reply = await hit(origin, Fault(body=b"<html>login</html>"))

    assert (200, b"<html>login</html>", "18") == (reply.status, reply.body, reply.headers.get("Content-Length"))


async def test_another_success(origin: Origin) -> None:
    """A status in 2xx without a body keeps the object's bytes."""
    reply = await hit(origin, Fault(status=203))

    assert (203, origin.content("/f").read(1000, 2000)) == (reply.status, reply.body)


async def test_headers_added_and_dropped(origin: Origin) -> None:
    """Headers go and come; one name may be there twice."""
    fault = Fault(drop_headers=("content-range", "Content-Length"), headers=(("Content-Length", "5"), ("X", "1")))
    reply = await hit(origin, fault)

    assert (206, None, ["5"]) == (
        reply.status,
        reply.headers.get("Content-Range"),
        reply.headers.all("content-length"),
    )


async def test_two_lengths(origin: Origin) -> None:
    """An added Content-Length does not replace the true one."""
    reply = await hit(origin, Fault(headers={"Content-Length": "5"}))

    assert ["5", "1000"] == reply.headers.all("Content-Length")


@pytest.mark.parametrize(("etag", "seen"), [('"other"', '"other"'), ('W/"weak"', 'W/"weak"'), ("", None)])
async def test_etag(origin: Origin, etag: str, seen: str | None) -> None:
    """The entity tag is replaced or taken away, the data are not."""
    reply = await hit(origin, Fault(etag=etag))

    assert (206, seen) == (reply.status, reply.headers.get("ETag"))


async def test_redirect(origin: Origin) -> None:
    """A redirect to a fixed place, or to one made from the request."""
    fixed = await hit(origin, Fault(redirect="http://other.test/x?y=%2F", times=1))
    made = await hit(origin, Fault(redirect=lambda record: record.path + "/next", status=307))

    assert (302, "http://other.test/x?y=%2F") == (fixed.status, fixed.headers.get("Location"))
    assert (307, "/f/next") == (made.status, made.headers.get("Location"))


async def test_raw(origin: Origin) -> None:
    """Any bytes at all can be the response."""
    reply = await hit(origin, Fault(raw=b"HTTP/1.1 206 Odd\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"))

    assert (206, b"zz\r\n", "fin") == (reply.status, reply.body, reply.end)


async def test_ignored_range(origin: Origin) -> None:
    """The whole object with status 200."""
    reply = await hit(origin, Fault(ignore_range=True))

    assert (200, None, str(SIZE)) == (
        reply.status,
        reply.headers.get("Content-Range"),
        reply.headers.get("Content-Length"),
    )
    assert origin.content("/f").read(0, SIZE) == reply.body


@pytest.mark.parametrize(
    ("fault", "claimed", "sent"),
    [
        (Fault(shift=3), (1003, 2003), (1003, 2003)),
        (Fault(shift=-1), (999, 1999), (999, 1999)),
        (Fault(shift_header=1), (1001, 2001), (1000, 2000)),
        (Fault(shift_data=1), (1000, 2000), (1001, 2001)),
    ],
    ids=["both", "both-early", "header", "data"],
)
async def test_shift(origin: Origin, fault: Fault, claimed: tuple[int, int], sent: tuple[int, int]) -> None:
    """Header and data move together, or one of them alone; the ledger tells what was really sent."""
    reply = await hit(origin, fault)

    assert f"bytes {claimed[0]}-{claimed[1] - 1}/{SIZE}" == reply.headers.get("Content-Range")
    assert origin.content("/f").read(*sent) == reply.body
    assert [sent] == origin.ledger.coverage("/f")


@pytest.mark.parametrize(
    ("fault", "value"),
    [
        (Fault(content_range="bytes 0-0/*"), "bytes 0-0/*"),
        (Fault(total="*"), "bytes 1000-1999/*"),
        (Fault(total=SIZE + 1), f"bytes 1000-1999/{SIZE + 1}"),
    ],
    ids=["raw", "unknown-total", "wrong-total"],
)
async def test_content_range(origin: Origin, fault: Fault, value: str) -> None:
    """Content-Range is what the script says."""
    assert value == (await hit(origin, fault)).headers.get("Content-Range")


async def test_short(origin: Origin) -> None:
    """Fewer bytes than declared, then FIN."""
    reply = await hit(origin, Fault(short=10))

    assert ("1000", 990, "fin") == (reply.headers.get("Content-Length"), len(reply.body), reply.end)
    assert [True] == [record.aborted for record in origin.ledger.requests]


async def test_extra(origin: Origin) -> None:
    """More bytes than declared."""
    reply = await hit(origin, Fault(extra=b"surplus"))

    assert ("1000", b"surplus") == (reply.headers.get("Content-Length"), reply.body[1000:])


async def test_chunked(origin: Origin) -> None:
    """Chunked coding in place of a length."""
    reply = await hit(origin, Fault(chunked=True))
    content = origin.content("/f").read(1000, 2000)

    assert (None, "chunked") == (reply.headers.get("Content-Length"), reply.headers.get("Transfer-Encoding"))
    assert b"3e8\r\n" + content + b"\r\n0\r\n\r\n" == reply.body


async def test_chunked_without_an_end(origin: Origin) -> None:
    """A chunked body that breaks off has no last chunk."""
    reply = await hit(origin, Fault(chunked=True, drop_after=500))

    assert b"1f4\r\n" + origin.content("/f").read(1000, 1500) + b"\r\n" == reply.body


async def test_no_length(origin: Origin) -> None:
    """Only the connection's end tells the body's."""
    reply = await hit(origin, Fault(no_length=True))

    assert (None, None, 1000) == (
        reply.headers.get("Content-Length"),
        reply.headers.get("Transfer-Encoding"),
        len(reply.body),
    )


async def test_close(origin: Origin) -> None:
    """The server ends the connection although the client would keep it."""
    origin.script(Fault(close=True))
    reply = await ask(origin.url("/f"), span=(0, 10), headers={"Connection": "keep-alive"})

    assert ("close", 10, "fin") == (reply.headers.get("Connection"), len(reply.body), reply.end)


async def test_delay(origin: Origin) -> None:
    """Nothing comes before its time."""
    started = time.monotonic()
    reply = await hit(origin, Fault(delay=0.1))

    assert 206 == reply.status
    assert time.monotonic() - started >= 0.1


async def test_stalled_headers(origin: Origin) -> None:
    """No response at all; the request ends when the client leaves."""
    reply = await hit(origin, Fault(stall_headers=True), patience=SILENCE)
    await origin.ledger.until(lambda: not origin.ledger.in_flight)

    assert (0, "silence") == (reply.status, reply.end)
    assert [True] == [record.aborted for record in origin.ledger.requests]


async def test_stall(origin: Origin) -> None:
    """Some bytes, then silence."""
    reply = await hit(origin, Fault(stall_after=700), patience=SILENCE)

    assert (206, 700, "silence") == (reply.status, len(reply.body), reply.end)


@pytest.mark.parametrize("count", [0, 1, 999, 1000])
async def test_drop(origin: Origin, count: int) -> None:
    """So many bytes, then FIN."""
    reply = await hit(origin, Fault(drop_after=count))

    assert (206, count, "fin") == (reply.status, len(reply.body), reply.end)
    assert count == origin.ledger.bytes_sent("/f")


@pytest.mark.parametrize("count", [0, 1, 999])
async def test_reset(origin: Origin, count: int) -> None:
    """So many bytes, then RST."""
    reply = await hit(origin, Fault(reset_after=count))

    assert (206, count, "reset") == (reply.status, len(reply.body), reply.end)


async def test_reset_after_much(origin: Origin) -> None:
    """Bytes before the reset arrive even if they are many: the reset waits until they were taken."""
    origin.script(Fault(reset_after=SIZE - 1))
    reply = await ask(origin.url("/f"))

    assert (SIZE - 1, "reset") == (len(reply.body), reply.end)


async def test_drip(origin: Origin) -> None:
    """A few bytes at a time, with pauses."""
    started = time.monotonic()
    reply = await hit(origin, Fault(drip=(250, 0.03)))

    assert 1000 == len(reply.body)
    assert time.monotonic() - started >= 3 * 0.03


async def test_rate(origin: Origin) -> None:
    """A slow response takes its time, to the tick."""
    started = time.monotonic()
    reply = await hit(origin, Fault(rate=10_000))

    assert 1000 == len(reply.body)
    assert time.monotonic() - started >= 0.095


async def test_leaving_ends_a_pause(origin: Origin) -> None:
    """A client that goes away during a delay leaves nothing behind."""
    origin.script(Fault(delay=3600))
    task = asyncio.create_task(ask(origin.url("/f")))
    await origin.ledger.until(lambda: origin.ledger.in_flight == 1)
    task.cancel()
    await origin.ledger.until(lambda: origin.ledger.open_connections == 0)

    assert [True] == [record.aborted for record in origin.ledger.requests]


async def test_gate(origin: Origin) -> None:
    """Nothing comes before the test says so; that the request is there is known at once."""
    gate = asyncio.Event()
    origin.script(Fault(gate=gate))
    task = asyncio.create_task(ask(origin.url("/f")))
    await origin.ledger.until(lambda: len(origin.ledger.data_requests()) == 1)
    before = origin.ledger.requests[0].status
    gate.set()
    reply = await task

    assert (0, 200, SIZE) == (before, reply.status, len(reply.body))


async def test_leaving_ends_the_wait_at_a_gate(origin: Origin) -> None:
    """One that never opens keeps nothing behind."""
    origin.script(Fault(gate=asyncio.Event()))
    task = asyncio.create_task(ask(origin.url("/f")))
    await origin.ledger.until(lambda: origin.ledger.in_flight == 1)
    task.cancel()
    await origin.ledger.until(lambda: origin.ledger.open_connections == 0)

    assert [True] == [record.aborted for record in origin.ledger.requests]
