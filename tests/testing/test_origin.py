"""The origin without faults: ranges, conditions, keep-alive, pace, ledger, TLS, and an end that leaves nothing."""

from __future__ import annotations

import asyncio
import gc
import socket
import ssl
import time
from email.utils import parsedate_to_datetime

import pytest
import trustme

from asyncdl.errors import OptionsError
from asyncdl.testing import Fault, Origin
from tests.support.rawclient import ask, connected, read_reply, request_bytes
from tests.support.stopwatch import Stopwatch

SIZE = 2_000_003


@pytest.mark.parametrize(
    ("asked", "status", "content_range", "span"),
    [
        ("bytes=0-0", 206, f"bytes 0-0/{SIZE}", (0, 1)),
        ("bytes=100-1099", 206, f"bytes 100-1099/{SIZE}", (100, 1100)),
        ("bytes=1999990-", 206, f"bytes 1999990-{SIZE - 1}/{SIZE}", (1999990, SIZE)),
        ("bytes=-5", 206, f"bytes {SIZE - 5}-{SIZE - 1}/{SIZE}", (SIZE - 5, SIZE)),
        (f"bytes=0-{SIZE * 2}", 206, f"bytes 0-{SIZE - 1}/{SIZE}", (0, SIZE)),
        ("bytes=0-1,5-6", 200, None, (0, SIZE)),
        ("bytes=9-5", 200, None, (0, SIZE)),
        ("bytes=-", 200, None, (0, SIZE)),
        ("pages=1-2", 200, None, (0, SIZE)),
    ],
)
async def test_ranges(asked: str, status: int, content_range: str | None, span: tuple[int, int]) -> None:
    """One range of bytes is honoured in each of its forms, anything else is ignored (RFC 9110 section 14.2)."""
    async with Origin() as origin:
        content = origin.add("/f", SIZE)
        reply = await ask(origin.url("/f"), headers={"Range": asked})

    assert (status, content_range) == (reply.status, reply.headers.get("Content-Range"))
    assert str(span[1] - span[0]) == reply.headers.get("Content-Length")
    assert content.read(*span) == reply.body


@pytest.mark.parametrize(("size", "asked"), [(10, "bytes=10-"), (10, "bytes=11-12"), (0, "bytes=0-"), (0, "bytes=-1")])
async def test_unsatisfiable_ranges(size: int, asked: str) -> None:
    """A range behind the end is answered with the size (RFC 9110 section 15.5.17)."""
    async with Origin() as origin:
        origin.add("/f", size)
        reply = await ask(origin.url("/f"), headers={"Range": asked})

    assert (416, f"bytes */{size}") == (reply.status, reply.headers.get("Content-Range"))


async def test_no_ranges() -> None:
    """A server without ranges says so and sends everything."""
    async with Origin(ranges=False) as origin:
        origin.add("/f", 100)
        reply = await ask(origin.url("/f"), span=(5, 10))

    assert (200, ["none"], 100) == (reply.status, reply.headers.all("Accept-Ranges"), len(reply.body))


async def test_far_into_a_huge_object() -> None:
    """Five TiB cost neither disk nor memory."""
    async with Origin() as origin:
        content = origin.add("/f", 5 << 40)
        reply = await ask(origin.url("/f"), span=((5 << 40) - 100, 5 << 40))

    assert content.read((5 << 40) - 100, 5 << 40) == reply.body


@pytest.mark.parametrize(
    ("name", "value", "status"),
    [
        ("If-Match", '"one"', 206),
        ("If-Match", '"x", "one"', 206),
        ("If-Match", "*", 206),
        ("If-Match", '"two"', 412),
        ("If-None-Match", '"one"', 304),
        ("If-None-Match", '"two"', 206),
        ("If-Range", '"one"', 206),
        ("If-Range", '"two"', 200),
        ("If-Range", "Wed, 01 Jan 2025 00:00:00 GMT", 206),
    ],
)
async def test_conditions(name: str, value: str, status: int) -> None:
    """Preconditions are compared with the entity tag (RFC 9110 section 13.1)."""
    async with Origin() as origin:
        origin.add("/f", 100, etag='"one"')
        reply = await ask(origin.url("/f"), span=(0, 10), headers={name: value})

    assert (status, '"one"') == (reply.status, reply.headers.get("ETag"))


async def test_validators() -> None:
    """Entity tags follow the content; either validator can be left out."""
    async with Origin() as origin:
        origin.add("/a", 10)
        first = (await ask(origin.url("/a"))).headers
        origin.add("/a", 10, seed=2)
        second = (await ask(origin.url("/a"))).headers
        origin.add("/a", 10, etag=None, last_modified=None)
        none = (await ask(origin.url("/a"))).headers

    assert first.get("ETag") != second.get("ETag")
    assert "Wed, 01 Jan 2025 00:00:00 GMT" == second.get("Last-Modified")
    assert (None, None) == (none.get("ETag"), none.get("Last-Modified"))


async def test_clock_offset() -> None:
    """The Date header shows the server's clock."""
    async with Origin(clock_offset=3600) as origin:
        origin.add("/f", 1)
        date = (await ask(origin.url("/f"))).headers.get("Date")

    assert pytest.approx(time.time() + 3600, abs=10) == parsedate_to_datetime(date or "").timestamp()


async def test_other_methods_and_paths() -> None:
    """What is not served is refused: other methods, unknown paths, unusable ones."""
    async with Origin() as origin:
        origin.add("/f", 1)
        statuses = [(await ask(origin.url("/f"), method=method)).status for method in ("HEAD", "POST", "PUT")]
        unknown = await ask(origin.url("/g"))
        with pytest.raises(OptionsError):
            origin.add("f", 1)

    assert [403, 405, 405] == statuses
    assert 404 == unknown.status


async def test_keep_alive() -> None:
    """Several requests go over one connection, pipelined ones too."""
    async with Origin() as origin:
        content = origin.add("/f", SIZE)
        async with connected(origin.base_url) as (reader, writer):
            requests = [request_bytes("/f", {"Range": f"bytes={start}-{start + 9}"}) for start in (0, 50, 70)]
            writer.write(requests[0])
            bodies = [(await read_reply(reader)).body]
            writer.write(requests[1] + requests[2])
            bodies += [(await read_reply(reader)).body for _ in range(2)]

        assert [content.read(start, start + 10) for start in (0, 50, 70)] == bodies
        assert {0} == {record.connection for record in origin.ledger.requests}


@pytest.mark.parametrize("garbage", [b"\x16\x03\x01 hello\r\n\r\n", b"GET /\r\n\r\n", b"x" * 70_000])
async def test_garbage_is_hung_up_on(garbage: bytes) -> None:
    """What is no request, or has no end, costs the connection and nothing else."""
    async with Origin() as origin:
        async with connected(origin.base_url) as (reader, writer):
            writer.write(garbage)
            try:
                answer = await reader.read()
            except ConnectionResetError:
                answer = b""

        assert b"" == answer
        assert [] == origin.ledger.requests


async def test_ledger() -> None:
    """Every figure of the ledger, on a known series of requests."""
    async with Origin() as origin:
        origin.add("/f", 1000)
        url = origin.url("/f")
        for span in ((0, 100), (50, 200), (500, 600), (50, 60)):
            await ask(url, span=span, headers={"Authorization": "none"})
        await ask(origin.base_url + "/f?X-Amz-Signature=0000", headers={"X-Seen": "here"})
        await origin.ledger.until(lambda: origin.ledger.open_connections == 0)
        ledger = origin.ledger

        assert [(0, 200), (500, 600)] == ledger.coverage("/f")
        assert (360, 360, 60) == (ledger.bytes_sent("/f"), ledger.bytes_sent(), ledger.repeated("/f"))
        assert [0, 1, 2, 3] == [record.index for record in ledger.data_requests("/f")]
        assert [4] == [record.number for record in ledger.refused]
        assert (5, 1, 5, 0) == (ledger.connections, ledger.max_open, len(ledger.requests), ledger.in_flight)
        assert (["here"], 4) == (ledger.headers_seen("x-seen"), len(ledger.headers_seen("Authorization")))
        assert "X-Amz" not in repr(ledger.requests)


async def test_ledger_waits() -> None:
    """`until` wakes when its condition comes true, and gives up in time."""
    async with Origin() as origin:
        origin.add("/f", 1000)
        waiter = asyncio.create_task(origin.ledger.until(lambda: origin.ledger.bytes_sent("/f") == 1000))
        await ask(origin.url("/f"))
        await waiter
        with pytest.raises(TimeoutError):
            await origin.ledger.until(lambda: False, timeout=0.01)


async def test_a_slow_reader_stops_the_server() -> None:
    """A client that does not read leaves the server with what fits into sockets, not with the object."""
    async with Origin() as origin:
        origin.add("/f", 1 << 40)
        async with connected(origin.base_url) as (_, writer):
            writer.write(request_bytes("/f", {}))
            await origin.ledger.until(lambda: origin.ledger.bytes_sent("/f") > 0)
            sent = -1
            while sent != origin.ledger.bytes_sent("/f"):
                sent = origin.ledger.bytes_sent("/f")
                await asyncio.sleep(0.05)

            assert 0 < sent < 64 << 20
        await origin.ledger.until(lambda: origin.ledger.in_flight == 0)

        assert [True] == [record.aborted for record in origin.ledger.requests]


async def test_rate_is_per_connection() -> None:
    """Two connections at a capped rate take as long as one."""
    async with Origin(rate=200_000, latency=0.01) as origin:
        origin.add("/f", 20_000)
        started = time.monotonic()
        await asyncio.gather(ask(origin.url("/f")), ask(origin.url("/f")))
        elapsed = time.monotonic() - started

    assert 0.1 <= elapsed


async def test_https() -> None:
    """The same server behind TLS."""
    authority = trustme.CA()
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("127.0.0.1").configure_cert(server)
    authority.configure_trust(client)
    async with Origin(ssl=server) as origin:
        content = origin.add("/f", SIZE)
        origin.script(Fault(request=1, reset_after=10))
        whole = await ask(origin.presign("/f", ttl=60), ssl=client)
        broken = await ask(origin.url("/f"), ssl=client)

        assert origin.base_url.startswith("https://127.0.0.1:")
        assert content.read(0, SIZE) == whole.body
        assert (10, "reset") == (len(broken.body), broken.end)
        assert SIZE + 10 == origin.ledger.bytes_sent("/f")


async def test_ipv6() -> None:
    """An address with colons is written in brackets."""
    if not socket.has_ipv6:
        pytest.skip("this machine has no IPv6")
    try:
        async with Origin(host="::1") as origin:
            origin.add("/f", 5)
            reply = await ask(origin.url("/f"))
    except OSError:
        pytest.skip("this machine has no IPv6 loopback")

    assert 5 == len(reply.body)


async def test_the_end_leaves_nothing() -> None:
    """Closing with idle, stalled, paced and unread connections leaves no task, no socket and no warning."""
    before = asyncio.all_tasks()
    async with Origin(rate=1000) as origin:
        origin.add("/f", 1 << 40)
        origin.script(Fault(request=0, stall_headers=True), Fault(request=1, stall_after=10))
        async with connected(origin.base_url), connected(origin.base_url) as (_, idle):
            asks = [asyncio.create_task(ask(origin.url("/f"))) for _ in range(3)]
            idle.write(b"GET /f HT")
            await origin.ledger.until(lambda: len(origin.ledger.requests) == 3 and origin.connections == 5)
            async with Stopwatch() as watch:
                await origin.aclose()

            assert watch.seconds < 2
        replies = await asyncio.gather(*asks, return_exceptions=True)
        port = origin.port
    gc.collect()

    assert 3 == len(replies)
    assert before == asyncio.all_tasks()
    assert (0, 0) == (origin.connections, origin.ledger.open_connections)
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)


async def test_a_defect_in_a_script_is_not_hidden() -> None:
    """A condition that raises ends the test, not only the connection."""

    async def use() -> None:
        async with Origin() as origin:
            origin.add("/f", 1)
            origin.script(Fault(when=lambda _: bool(1 / 0)))
            await ask(origin.url("/f"))

    with pytest.raises(RuntimeError, match="origin itself failed") as caught:
        await use()

    assert isinstance(caught.value.__cause__, ZeroDivisionError)
