"""Bodies that come in one read with their heads: whoever wants all of one has it at once, and nobody else misses it."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from asyncdl.edge.buffers import HEAD_BUFFER, HeadBuffer
from asyncdl.edge.http import AiohttpTransport
from asyncdl.edge.transport import Response
from asyncdl.errors import ConnectError
from asyncdl.model import Chunk, SignedUrl
from asyncdl.rules.urls import origin_of
from asyncdl.testing import Fault, Origin
from tests.support.bodies import CONTENT, Parts, close, drained, handler_of, is_right, rest, then, until
from tests.support.http import answering, ask, transport

START = 4711
CHUNK = HEAD_BUFFER
pytestmark = pytest.mark.usefixtures("no_leaks")


@pytest.fixture
async def over(ca_file: Path) -> AsyncIterator[AiohttpTransport]:
    """A transport whose chunks may be as large as what is read at a time."""
    async with transport(chunk_size=CHUNK, ca_file=ca_file) as opened:
        yield opened


class TestAllOfIt:
    """The whole body is there."""

    @pytest.mark.parametrize("length", [1, 1000, HEAD_BUFFER // 4, 100_000])
    async def test_taken(self, over: AiohttpTransport, context: ssl.SSLContext | None, length: int) -> None:
        """In one chunk; the connection is free at once, and one is enough for many."""
        async with Parts(ahead=length, secure=context) as server:
            for number in range(5):
                start = START + number * length
                async with server.asked(over, start, start + length) as (response, _):
                    chunk = await at_hand(response, start, start + length)
                    assert (start, length, True) == (chunk.offset, len(chunk.data), is_right(chunk))
                    assert response._raw.connection is None  # type: ignore[attr-defined]
                chunk.release()

            assert 1 == server.accepted

    async def test_stays_as_it_is(self, over: AiohttpTransport) -> None:
        """What is read later, over this connection or another, goes elsewhere until it is released."""
        async with Parts(ahead=100_000) as server:
            kept = []
            for number in range(6):
                start = START + number * 100_000
                async with server.asked(over, start, start + 100_000) as (response, _):
                    kept.append(await at_hand(response, start, start + 100_000))

            assert all(is_right(chunk) for chunk in kept)
            for chunk in kept:
                chunk.release()

    async def test_once(self, over: AiohttpTransport) -> None:
        """It is taken once; what is asked afterwards finds the end."""
        async with Parts(ahead=1000) as server, server.asked(over, START, START + 1000) as (response, _):
            chunk = await at_hand(response, START, START + 1000)
            assert response.at_hand(START, START + 1000) is None
            assert b"" == await response.excerpt(100)
            chunk.release()

    async def test_not_pooled(self) -> None:
        """Where aiohttp's parser has had it, it is had from there."""
        async with (
            Parts(ahead=1000) as server,
            transport(pooled_buffers=False) as over,
            server.asked(over, START, START + 1000) as (response, _),
        ):
            chunk = await at_hand(response, START, START + 1000)
            assert is_right(chunk)
            assert response.at_hand(START, START + 1000) is None

    async def test_session_of_the_callers(self) -> None:
        """Nor does it matter whose connection it is."""
        async with (
            Parts(ahead=1000) as server,
            aiohttp.ClientSession() as session,
            transport(session=session) as over,
            server.asked(over, START, START + 1000) as (response, _),
        ):
            assert is_right(await at_hand(response, START, START + 1000))


class TestNotAllOfIt:
    """Then nothing has been taken, and the body comes as ever."""

    @pytest.mark.parametrize("ahead", [0, 1, 70_000])
    async def test_half(self, over: AiohttpTransport, context: ssl.SSLContext | None, ahead: int) -> None:
        """The rest is still to come."""
        stop = START + 200_000
        async with (
            Parts(ahead=ahead, secure=context) as server,
            server.asked(over, START, stop) as (response, gate),
        ):
            assert response.at_hand(START, stop) is None
            body = response.body(START, stop)
            gate.set()
            data = b"".join([piece async for piece in drained(body, START)])

        assert CONTENT.read(START, stop) == data

    async def test_more_comes_before_anybody_asks(self, over: AiohttpTransport) -> None:
        """What was held back is parsed first, and then what came after it."""
        stop = START + 200_000
        async with Parts(ahead=70_000) as server, server.asked(over, START, stop) as (response, gate):
            gate.set()
            await until(lambda: handler_of(response).held is None)
            body = response.body(START, stop)
            data = b"".join([piece async for piece in drained(body, START)])

        assert CONTENT.read(START, stop) == data

    @pytest.mark.parametrize("asked", [999, 1001])
    async def test_another_length(self, over: AiohttpTransport, asked: int) -> None:
        """Another length than was asked for is for others to judge."""
        async with Parts(ahead=1000) as server, server.asked(over, START, START + 1000) as (response, _):
            assert response.at_hand(START, START + asked) is None
            assert CONTENT.read(START, START + 1000) == await response.excerpt(5000)

    async def test_goes_on_behind_its_end(self, over: AiohttpTransport) -> None:
        """What is followed by something that nobody asked for is not taken, and its connection is not used again."""
        part = b"HTTP/1.1 206 P\r\nContent-Range: bytes 0-4/10\r\nContent-Length: 5\r\n\r\nright"
        smuggled = b"HTTP/1.1 206 P\r\nContent-Range: bytes 0-4/10\r\nContent-Length: 5\r\n\r\nWRONG"
        async with answering(part + smuggled, stay=True) as server:
            url = SignedUrl(server.url())
            for _ in range(2):
                async with over.open(url, 0, 5, headers=(), home=origin_of(url.url)) as response:
                    assert response.at_hand(0, 5) is None
                    assert b"right" == await response.excerpt(100)

            assert 2 == server.accepted

    @pytest.mark.parametrize("framing", ["Transfer-Encoding: chunked\r\n", "Content-Length: 0{length}\r\n"])
    async def test_odd_framing(self, over: AiohttpTransport, framing: str) -> None:
        """Where the end is for the parser to find, the parser looks for it."""
        async with Parts(ahead=1000, framing=framing) as server, server.asked(over, START, START + 900) as (found, _):
            assert found.at_hand(START, START + 900) is None

    async def test_connection_that_is_lost(self, over: AiohttpTransport) -> None:
        """What had come of the body before that is handed out."""
        async with (
            Parts(then(0, close), ahead=1000) as server,
            server.asked(over, START, START + 5000) as (response, gate),
        ):
            gate.set()
            handler = handler_of(response)
            await until(lambda: handler.transport is None)
            data = bytearray()
            with pytest.raises(ConnectError):
                await rest(response.body(START, START + 5000), data)

        assert CONTENT.read(START, START + 1000) == bytes(data)

    async def test_connection_that_is_being_lost(self, over: AiohttpTransport) -> None:
        """Nobody has been told yet that it is."""
        async with Parts(ahead=1000) as server, server.asked(over, START, START + 5000) as (response, _):
            handler = handler_of(response)
            assert handler.transport is not None
            handler.transport.abort()
            words = await response.excerpt(5000)

        assert CONTENT.read(START, START + 1000) == words


async def test_nobody_wants_it(over: AiohttpTransport) -> None:
    """The connection is used again all the same."""
    async with Parts(ahead=1000) as server:
        for _ in range(3):
            async with server.asked(over, START, START + 1000):
                pass
            await asyncio.sleep(0)

        assert 1 == server.accepted


async def test_words_of_an_error(over: AiohttpTransport) -> None:
    """They come with the head, and are read by whoever looks for them."""
    async with Origin() as origin:
        origin.add("/f", 1000)
        origin.script(*[Fault(status=404, body=b"there is no such thing")] * 3)
        answers = [await ask(over, origin.url("/f")) for _ in range(3)]

        assert [b"there is no such thing"] * 3 == [answer.body for answer in answers]
        assert 1 == origin.ledger.connections


async def test_redirects_with_a_body(over: AiohttpTransport) -> None:
    """What comes with a redirect is read away, and its connection used again."""
    async with Origin() as origin:
        content = origin.add("/f", 1000)
        for _ in range(3):
            origin.script(Fault(redirect="/f?2", body=b"it has moved", times=1))
            answer = await ask(over, origin.url("/f"), 0, 1000)
            assert (content.read(0, 1000), 1) == (answer.body, answer.hops)

        assert 1 == origin.ledger.connections


class TestBuffer:
    """Where heads are read into."""

    def test_kept(self) -> None:
        """The buffer itself, which comes back when it is released and not before."""
        buffer = HeadBuffer(CHUNK)
        first = buffer.data
        kept = buffer.keep(100, HEAD_BUFFER)
        second = buffer.data
        buffer.keep(0, HEAD_BUFFER).release()

        assert (HEAD_BUFFER - 100, True) == (len(kept.view), kept.view.obj is first)
        assert second is not first
        kept.release()
        buffer.keep(0, HEAD_BUFFER)
        assert buffer.data is first

    @pytest.mark.parametrize(("chunk_size", "length"), [(CHUNK, HEAD_BUFFER // 4 - 1), (CHUNK - 1, HEAD_BUFFER)])
    def test_copied(self, chunk_size: int, length: int) -> None:
        """Little of it, and what would be larger than a chunk may be, is copied; nothing is to be given back."""
        buffer = HeadBuffer(chunk_size)
        buffer.data[:3] = b"abc"
        kept = buffer.keep(0, length)
        buffer.data[:3] = b"xyz"
        kept.release()

        assert b"abc" == bytes(kept.view[:3])
        assert kept.view.obj is not buffer.data


async def at_hand(response: Response, start: int, stop: int) -> Chunk:
    """The body, as soon as it is there."""
    chunk: Chunk | None = None
    async with asyncio.timeout(5):
        while chunk is None:
            chunk = response.at_hand(start, stop)
            await asyncio.sleep(0)
    return chunk
