"""Servers and networks that fail: bounded in time, named for what they are, and with no secret in the words."""

from __future__ import annotations

import asyncio
import socket
import time
from typing import Any

import pytest

from asyncdl.errors import ConnectError, ResponseMismatchError, StallError, TransferError
from asyncdl.model import SignedUrl
from asyncdl.options import Timeouts
from asyncdl.rules.urls import origin_of
from asyncdl.testing import Content, Fault, Origin
from tests.support.http import PATIENT, QUICK, SECRET, ask, transport, words_of
from tests.support.process import free_port

SIZE = 300_000
CONTENT = Content(1, SIZE)
#: Seconds after which a test has failed: only what hangs takes so long.
BOUND = 100.0
pytestmark = pytest.mark.usefixtures("no_leaks")


def raw(*fields: bytes, body: bytes = b"") -> bytes:
    """A 206 with these header fields."""
    lines = (b"HTTP/1.1 206 Partial Content", b"Content-Range: bytes 0-99/300000", *fields)
    return b"\r\n".join((*lines, b"", body))


async def fault_of(
    origin: Origin, fault: Fault | None, stop: int | None = 100, *, timeouts: Timeouts = PATIENT
) -> TransferError:
    """What a request ends in, within the bound; it is clean, and so are its causes."""
    origin.add("/f", SIZE)
    if fault is not None:
        origin.script(fault)
    url = origin.url("/f").replace("//", f"//user:{SECRET}@") + f"?X-Signature={SECRET}"
    async with transport(timeouts=timeouts) as over, asyncio.timeout(BOUND):
        with pytest.raises(TransferError) as caught:
            await ask(over, url, 0, stop, headers=(("X-Api-Key", SECRET),))

    assert SECRET not in words_of(caught.value)
    return caught.value


class TestBeforeTheResponse:
    async def test_refused(self) -> None:
        """Nobody listens."""
        origin = Origin(port=free_port())
        error = await fault_of(origin, None)

        assert (ConnectError, True, f"cannot connect to 127.0.0.1:{origin.port}: connection refused") == (
            type(error),
            error.retryable,
            error.message,
        )

    async def test_no_such_host(self) -> None:
        """A name that means nothing is a connection that cannot be made."""
        async with transport(timeouts=QUICK) as over, asyncio.timeout(BOUND):
            with pytest.raises(TransferError) as caught:
                await ask(over, f"http://no-such-host.invalid/f?{SECRET}")

        assert isinstance(caught.value, ConnectError | StallError)
        assert caught.value.retryable
        assert SECRET not in words_of(caught.value)

    async def test_nobody_accepts(self) -> None:
        """A connection that is never established is given up after `connect`."""
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen(0)
            fillers = [socket.socket() for _ in range(3)]
            for filler in fillers:
                filler.setblocking(False)
                filler.connect_ex(listener.getsockname())
            origin = Origin(port=listener.getsockname()[1])
            began = time.monotonic()
            error = await fault_of(origin, None, timeouts=QUICK)
            took = time.monotonic() - began
            for filler in fillers:
                filler.close()

        assert isinstance(error, ConnectError | StallError)
        assert error.retryable
        assert took < PATIENT.connect

    @pytest.mark.parametrize(
        "fault",
        [
            Fault(stall_headers=True),
            Fault(raw=b"HTTP/1.1 206 Partial Content\r\n" * 1 + b"X-Slow: 1\r\n" * 1000, drip=(1, 0.01)),
            Fault(raw=b"HTTP/1.1 100 Continue\r\n\r\n" * 1000, drip=(25, 0.1)),
            Fault(delay=5),
        ],
        ids=["silence", "one byte at a time", "endless 100", "late"],
    )
    async def test_no_headers_in_time(self, origin: Origin, fault: Fault) -> None:
        """However a server spends the time, it has `response` seconds for its headers."""
        began = time.monotonic()
        error = await fault_of(origin, fault, timeouts=QUICK)

        assert (StallError, True) == (type(error), error.retryable)
        assert f"{QUICK.response:g} s" in error.message
        assert time.monotonic() - began >= QUICK.response

    @pytest.mark.parametrize(
        "fault", [Fault(raw=b""), Fault(raw=b"HTTP/1.1 206 Par")], ids=["at once", "in the headers"]
    )
    async def test_closed_before_the_end_of_the_headers(self, origin: Origin, fault: Fault) -> None:
        """A server that hangs up on us."""
        error = await fault_of(origin, fault)

        assert error.retryable

    async def test_reset_before_the_response(self) -> None:
        """A server that resets."""

        def reset(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            handle = writer.get_extra_info("socket")
            handle.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            writer.transport.abort()

        async with await asyncio.start_server(reset, "127.0.0.1", 0) as server:
            error = await fault_of(Origin(port=server.sockets[0].getsockname()[1]), None)

        assert (ConnectError, True) == (type(error), error.retryable)

    @pytest.mark.parametrize(
        "words",
        [
            b"\x00\x01\x02\x03\r\n\r\n",
            b"SSH-2.0-OpenSSH_9.2\r\n",
            b"HTTP/9.9 206 Hm\r\n\r\n",
            b"HTTP/1.1 2x6 Hm\r\n\r\n",
            b"<html>" * 10_000,
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            b"\x16\x03\x01\x02\x00\x01\x00",
        ],
        ids=["binary", "ssh", "version", "status", "html", "http2", "tls"],
    )
    async def test_no_http(self, origin: Origin, words: bytes) -> None:
        """Whatever that is, it is not HTTP; it may be another time."""
        error = await fault_of(origin, Fault(raw=words))

        assert isinstance(error, ResponseMismatchError | ConnectError)
        assert error.retryable

    @pytest.mark.parametrize(
        "head",
        [
            raw(b"X: " + b"a" * 200_000),
            raw(*(b"X-%d: a" % number for number in range(50_000))),
            raw(*(b"Set-Cookie: c%d=v" % number for number in range(50_000))),
            b"HTTP/1.1 206 " + b"a" * 200_000 + b"\r\n\r\n",
        ],
        ids=["one long line", "very many", "cookies", "status line"],
    )
    async def test_flood_of_headers(self, origin: Origin, head: bytes) -> None:
        """Headers without end are cut off."""
        error = await fault_of(origin, Fault(raw=head))

        assert (ResponseMismatchError, True) == (type(error), error.retryable)

    @pytest.mark.parametrize(
        "length", [b"-5", b"abc", b"5, 6", b"1e3", b"0x10", b"+5"], ids=lambda value: value.decode()
    )
    async def test_length_that_is_none(self, origin: Origin, length: bytes) -> None:
        """A Content-Length that is no number is no response."""
        error = await fault_of(origin, Fault(raw=raw(b"Content-Length: " + length, body=b"hello")))

        assert error.retryable

    async def test_length_and_chunks(self, origin: Origin) -> None:
        """Two ways to say where a body ends are one too many (RFC 9112 section 6.3)."""
        head = raw(b"Content-Length: 5", b"Transfer-Encoding: chunked", body=b"5\r\nhello\r\n0\r\n\r\n")
        error = await fault_of(origin, Fault(raw=head))

        assert error.retryable


class TestInTheBody:
    @pytest.mark.parametrize("stop", [200_000, None])
    @pytest.mark.parametrize(
        "fault",
        [
            Fault(drop_after=70_000),
            Fault(reset_after=70_000),
            Fault(drop_after=70_000, chunked=True),
            Fault(reset_after=70_000, chunked=True),
        ],
        ids=["FIN", "RST", "FIN in chunks", "RST in chunks"],
    )
    async def test_what_came_before_is_kept(self, origin: Origin, fault: Fault, stop: int | None) -> None:
        """Every byte that arrived is handed out, even to a reader who comes after the break."""
        origin.add("/f", SIZE)
        origin.script(fault)
        data = bytearray()
        async with transport() as over:
            url = SignedUrl(origin.url("/f"))
            async with over.open(url, 0, stop, headers=(), home=origin_of(url.url)) as response:
                await origin.ledger.until(lambda: not origin.ledger.open_connections)
                await asyncio.sleep(0.05)  # the break is in our socket now; nothing announces that it was read
                body = response.body(0, stop)
                with pytest.raises(ConnectError) as caught:
                    await _take(body, data)

        assert caught.value.retryable
        assert CONTENT.read(0, 70_000)[: len(data)] == bytes(data)
        if fault.reset_after is None:
            assert 70_000 == len(data)

    @pytest.mark.parametrize("stop", [100, None])
    async def test_length_was_a_lie(self, origin: Origin, stop: int | None) -> None:
        """Fewer bytes than declared are a broken connection."""
        error = await fault_of(origin, Fault(short=10), stop)

        assert (ConnectError, True) == (type(error), error.retryable)

    async def test_end_without_a_length(self, origin: Origin) -> None:
        """Where nothing but the connection says where the end is, a stop that was not reached does."""
        origin.add("/f", SIZE)
        origin.script(Fault(no_length=True, drop_after=50))
        async with transport() as over:
            whole = await ask(over, origin.url("/f"), 0, None)
            with pytest.raises(ConnectError):
                await ask(over, origin.url("/f"), 0, 100)

        assert CONTENT.read(0, 50) == whole.body

    @pytest.mark.parametrize("fault", [Fault(chunked=True), Fault(no_length=True)], ids=["chunks", "no length"])
    @pytest.mark.parametrize("stop", [100, 250_000])
    async def test_other_framings(self, origin: Origin, fault: Fault, stop: int) -> None:
        """In chunks, or without a length: the bytes of the range come out, and the next request gets its own."""
        origin.add("/f", SIZE)
        origin.script(fault)
        async with transport() as over:
            answer = await ask(over, origin.url("/f"), 0, stop)
            again = await ask(over, origin.url("/f"), 5, 50)

        assert (CONTENT.read(0, stop), CONTENT.read(5, 50)) == (answer.body, again.body)

    async def test_more_than_declared(self, origin: Origin) -> None:
        """Bytes behind the declared end are nobody's; the next request may have to be repeated because of them."""
        origin.add("/f", SIZE)
        origin.script(Fault(extra=b"!" * 1000))
        bodies: list[bytes] = []
        faults: list[TransferError] = []
        async with transport() as over:
            for _ in range(6):
                try:
                    bodies.append((await ask(over, origin.url("/f"), 0, 250_000)).body)
                except TransferError as error:
                    faults.append(error)

        assert {CONTENT.read(0, 250_000)} == set(bodies)
        assert all(error.retryable for error in faults)

    @pytest.mark.parametrize(
        "body",
        [
            b"5\r\nhello\r\nZZ\r\nxx\r\n",
            b"5\r\nhello\r\n-1\r\n",
            b"5\r\nhelloXX5\r\n",
            b"5\r\nhello\r\n" + b"f" * 50 + b"\r\n",
        ],
        ids=["no number", "negative", "no line end", "beyond all numbers"],
    )
    @pytest.mark.parametrize("drip", [None, (20, 0.01)], ids=["at once", "slowly"])
    async def test_bad_chunks(self, origin: Origin, body: bytes, drip: tuple[int, float] | None) -> None:
        """A broken chunk ends the body at once, with a fault that may pass; nobody waits for the rest."""
        error = await fault_of(origin, Fault(raw=raw(b"Transfer-Encoding: chunked", body=body), drip=drip))

        assert error.retryable
        assert not isinstance(error, StallError)

    async def test_bad_chunk_read_late(self, origin: Origin) -> None:
        """The same for a reader who comes after the connection was closed over it."""
        origin.add("/f", SIZE)
        body = b"5\r\nhello\r\nZZ\r\nxx\r\n"
        origin.script(Fault(raw=raw(b"Transfer-Encoding: chunked", body=body), drip=(20, 0.005)))
        url = SignedUrl(origin.url("/f"))
        data = bytearray()
        async with (
            transport() as over,
            over.open(url, 0, 100, headers=(), home=origin_of(url.url)) as response,
        ):
            await origin.ledger.until(lambda: not origin.ledger.open_connections)
            await asyncio.sleep(0.05)  # nothing announces that our side has seen it
            with pytest.raises(ConnectError):
                await _take(response.body(0, 100), data)

        assert b"hello" == bytes(data)

    async def test_trailers_without_end(self, origin: Origin) -> None:
        """What comes after the last chunk is bounded too."""
        trailers = b"".join(b"X-%d: a\r\n" % number for number in range(50_000))
        body = b"5\r\nhello\r\n0\r\n" + trailers + b"\r\n"
        error = await fault_of(origin, Fault(raw=raw(b"Transfer-Encoding: chunked", body=body)))

        assert error.retryable

    async def test_a_response_to_another_request(self, origin: Origin) -> None:
        """Bytes after a response are not taken for the next one."""
        origin.add("/f", SIZE)
        smuggled = b"HTTP/1.1 206 Partial Content\r\nContent-Length: 3\r\n\r\nbad"
        origin.script(Fault(raw=raw(b"Content-Length: 5", body=b"hello" + smuggled), times=1))
        async with transport() as over:
            with pytest.raises(ConnectError):
                await ask(over, origin.url("/f"))
            answer = await ask(over, origin.url("/f"))

        assert CONTENT.read(0, 100) == answer.body


class TestWordsOfARefusal:
    async def test_bounded_in_size(self, origin: Origin) -> None:
        """So many bytes are read and the connection is left, however long the server goes on."""
        origin.add("/f", 1 << 30)
        origin.script(Fault(ignore_range=True))
        url = SignedUrl(origin.url("/f"))
        async with transport() as over, over.open(url, 5, 9, headers=(), home=origin_of(url.url)) as response:
            words = await response.excerpt(1000)

        assert 1000 == len(words)
        assert origin.ledger.bytes_sent() < 64 << 20

    @pytest.mark.parametrize("drip", [None, (1, 0.01)], ids=["silence", "one byte at a time"])
    async def test_bounded_in_time(self, origin: Origin, drip: tuple[int, float] | None) -> None:
        """Words that never end are cut after `response` seconds; what came is kept."""
        origin.add("/f", SIZE)
        origin.script(Fault(status=403, body=b"denied " * 1000, stall_after=None if drip else 7, drip=drip))
        async with transport(timeouts=QUICK) as over, asyncio.timeout(BOUND):
            answer = await ask(over, origin.url("/f"))

        assert answer.body.startswith(b"denied ")
        assert len(answer.body) < 7000

    async def test_bad_chunks(self, origin: Origin) -> None:
        """A refusal that is badly framed is still a refusal."""
        origin.add("/f", SIZE)
        head = b"HTTP/1.1 403 No\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"
        origin.script(Fault(raw=head + b"ZZ\r\n", drip=(len(head), 0.02)))
        async with transport() as over, asyncio.timeout(BOUND):
            answer = await ask(over, origin.url("/f"))

        assert (403, b"hello") == (answer.status, answer.body)


async def _take(body: Any, into: bytearray) -> None:
    while (chunk := await body.receive()) is not None:
        into += chunk.data


async def test_cancelled_at_the_headers(origin: Origin) -> None:
    """A request that is cancelled while it waits for its answer leaves nothing behind."""
    origin.add("/f", SIZE)
    origin.script(Fault(stall_headers=True))
    async with transport() as over:
        task = asyncio.create_task(ask(over, origin.url("/f")))
        await origin.ledger.until(lambda: bool(origin.ledger.requests))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await origin.ledger.until(lambda: not origin.ledger.open_connections)
