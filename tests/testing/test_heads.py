"""Faults in the head of a response: its bytes are those of the script, and come when the script says."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from asyncdl.testing import ENDLESS, Fault, Origin
from tests.support.rawanswer import answer_bytes, head_lines
from tests.support.rawclient import BOUND, ask, connected, request_bytes

SIZE = 5000


@pytest.fixture
async def origin() -> AsyncIterator[Origin]:
    """An origin with one object, `/f`."""
    async with Origin() as running:
        running.add("/f", SIZE)
        yield running


async def lines_of(origin: Origin, fault: Fault) -> list[bytes]:
    """The lines of the head with which bytes 1000 to 2000 come."""
    origin.script(fault)
    return head_lines(await answer_bytes(origin.url("/f"), span=(1000, 2000)))


@pytest.mark.parametrize(
    ("fault", "line"),
    [
        (Fault(reason="Nearly There"), b"HTTP/1.1 206 Nearly There"),
        (Fault(reason=""), b"HTTP/1.1 206 "),
        (Fault(status=599), b"HTTP/1.1 599 Unknown"),
        (Fault(status=503, reason="\xe9\x00"), b"HTTP/1.1 503 \xe9\x00"),
    ],
    ids=["other", "none", "unknown", "no-text"],
)
async def test_status_line(origin: Origin, fault: Fault, line: bytes) -> None:
    """The phrase is the script's, or what the status is called, or that it has no name."""
    assert line == (await lines_of(origin, fault))[0]


async def test_headers_as_given(origin: Origin) -> None:
    """A folded header, odd case, a name with a space, no value, and any byte: nothing is mended."""
    given = (("X-Fold", "one\r\n two"), ("eTaG", '"x"'), ("Bad Name", "1"), ("Empty", ""), ("Any", "\x00\xff"))
    lines = await lines_of(origin, Fault(drop_headers=("ETag",), headers=given))

    place = lines.index(b"X-Fold: one")
    assert [b" two", b'eTaG: "x"', b"Bad Name: 1", b"Empty: ", b"Any: \x00\xff"] == lines[place + 1 : place + 6]
    assert 1 == sum(line.lower().startswith(b"etag:") for line in lines)


async def test_a_flood_of_headers(origin: Origin) -> None:
    """Ten thousand headers and one of 100 kB are sent like any other."""
    flood = tuple((f"X-{number}", "v") for number in range(10_000))
    lines = await lines_of(origin, Fault(headers=(*flood, ("X-Long", "v" * 100_000))))

    assert {f"X-{number}: v".encode() for number in range(10_000)} <= set(lines)
    assert b"X-Long: " + b"v" * 100_000 in lines


async def test_headers_the_framing_makes_can_be_dropped(origin: Origin) -> None:
    """Date, Connection and the framing's own headers go like those of the object."""
    names = ("date", "connection", "transfer-encoding")
    answer = await lines_of(origin, Fault(chunked=True, close=True, drop_headers=names))

    assert [] == [line for line in answer if line.lower().startswith(tuple(f"{name}:".encode() for name in names))]


@pytest.mark.parametrize("value", ["-1", "banana", "99999999999999999999", "", 17])
async def test_declared_length(origin: Origin, value: str | int) -> None:
    """Content-Length is what the script says, once; the data are the honest ones."""
    origin.script(Fault(length=value))
    answer = await answer_bytes(origin.url("/f"), span=(1000, 2000))

    lengths = [line for line in head_lines(answer) if line.startswith(b"Content-Length")]
    assert [f"Content-Length: {value}".encode()] == lengths
    assert origin.content("/f").read(1000, 2000) == answer.partition(b"\r\n\r\n")[2]


@pytest.mark.parametrize(
    ("fault", "value"), [(Fault(last_modified="yesterday"), b"yesterday"), (Fault(last_modified=""), None)]
)
async def test_last_modified(origin: Origin, fault: Fault, value: bytes | None) -> None:
    """Last-Modified is replaced or taken away."""
    lines = await lines_of(origin, fault)

    found = [line.partition(b": ")[2] for line in lines if line.startswith(b"Last-Modified")]
    assert ([] if value is None else [value]) == found


async def test_another_seed(origin: Origin) -> None:
    """An object that was replaced has other bytes and another entity tag, the same ones each time."""
    before = await ask(origin.url("/f"), span=(1000, 2000))
    origin.script(Fault(seed=9))
    first, second = [await ask(origin.url("/f"), span=(1000, 2000)) for _ in range(2)]
    other = origin.add("/g", SIZE, seed=9)

    assert other.read(1000, 2000) == first.body == second.body
    assert before.headers.get("ETag") != first.headers.get("ETag") == second.headers.get("ETag")


@pytest.mark.parametrize("count", [1, 3, 450])
async def test_informational_responses(origin: Origin, count: int) -> None:
    """So many 1xx responses precede the one that counts."""
    origin.script(Fault(informational=count))
    answer = await answer_bytes(origin.url("/f"), span=(1000, 2000))

    interim = b"HTTP/1.1 103 Early Hints\r\n\r\n" * count
    assert interim == answer[: len(interim)]
    assert answer[len(interim) :].startswith(b"HTTP/1.1 206 Partial Content\r\n")


async def test_another_informational_status(origin: Origin) -> None:
    """Any 1xx can be sent, also one that means an end of HTTP."""
    assert [b"HTTP/1.1 101 Switching Protocols"] == await lines_of(
        origin, Fault(informational=1, informational_status=101)
    )


async def test_endless_informational_responses(origin: Origin) -> None:
    """A flood goes on for as long as the client takes it, and ends when the client leaves."""
    origin.script(Fault(informational=ENDLESS))
    one = b"HTTP/1.1 103 Early Hints\r\n\r\n"
    async with connected(origin.base_url) as (reader, writer), asyncio.timeout(BOUND):
        writer.write(request_bytes("/f", {}))
        flood = await reader.readexactly(len(one) * 50_000)
    await origin.ledger.until(lambda: not origin.ledger.in_flight)

    assert one * 50_000 == flood
    assert [0] == [record.status for record in origin.ledger.requests]


async def test_dripping_head(origin: Origin) -> None:
    """The head comes a few bytes at a time, 1xx included, and the body at once."""
    origin.script(Fault(informational=1, head_drip=(20, 0.01)))
    started = time.monotonic()
    answer = await answer_bytes(origin.url("/f"), span=(1000, 2000))
    elapsed = time.monotonic() - started

    head = len(answer) - 1000
    assert origin.content("/f").read(1000, 2000) == answer[head:]
    assert elapsed >= head // 20 * 0.01


async def test_dripping_head_byte_by_byte(origin: Origin) -> None:
    """Between two bytes of the head there is the pause asked for."""
    origin.script(Fault(head_drip=(1, 30.0)))
    async with connected(origin.base_url) as (reader, writer), asyncio.timeout(BOUND):
        writer.write(request_bytes("/f", {}))

        assert await reader.read(100) == b"H"
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await reader.read(100)


async def test_line_breaks_in_a_redirect(origin: Origin) -> None:
    """A Location may hold CR LF, by which a header is added, or be raw bytes altogether."""
    origin.script(
        Fault(redirect="/x\r\nSet-Cookie: a=b", times=1), Fault(raw=b"HTTP/1.1 302 Found\r\nLocation: /\r/\n/\r\n\r\n")
    )
    first = await answer_bytes(origin.url("/f"))
    second = await answer_bytes(origin.url("/f"))

    assert b"Location: /x\r\nSet-Cookie: a=b\r\n" in first
    assert b"HTTP/1.1 302 Found\r\nLocation: /\r/\n/\r\n\r\n" == second


async def test_half_close(origin: Origin) -> None:
    """FIN after the response, unannounced, and what the client still sends is taken without an answer."""
    origin.script(Fault(half_close=True, request=0))
    async with connected(origin.base_url) as (reader, writer), asyncio.timeout(BOUND):
        writer.write(request_bytes("/f", {}))
        answer = await reader.read()
        for _ in range(3):
            writer.write(request_bytes("/f", {}))
            await writer.drain()
        open_connections = origin.ledger.open_connections

    assert SIZE == len(answer.partition(b"\r\n\r\n")[2])
    assert b"Connection:" not in answer
    assert (1, [False]) == (open_connections, [record.aborted for record in origin.ledger.requests])


async def test_half_close_in_mid_body(origin: Origin) -> None:
    """Together with `drop_after`, the body breaks off and the connection stays half open."""
    origin.script(Fault(half_close=True, drop_after=70))
    async with connected(origin.base_url) as (reader, writer), asyncio.timeout(BOUND):
        writer.write(request_bytes("/f", {}))
        answer = await reader.read()
        open_connections = origin.ledger.open_connections

    assert (70, 1) == (len(answer.partition(b"\r\n\r\n")[2]), open_connections)
