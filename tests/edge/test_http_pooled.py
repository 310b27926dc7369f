"""Bodies in pooled buffers: every byte at its place, whatever the buffers' size, and handed on in time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from asyncdl.edge import buffers
from asyncdl.edge.buffers import SMALLEST, BufferPool
from asyncdl.edge.http_pooled import PooledBody
from asyncdl.edge.stream import StreamBody
from asyncdl.errors import ConnectError
from tests.support.bodies import CONTENT, Made, Parts, chunks_of, drained, handler_of, is_right, rest, until
from tests.support.http import transport

KIB = 1 << 10
MIB = 1 << 20
#: No part here begins at 0: a body that forgets its offset shows.
START = 3 * MIB + 17
#: Of most tests here: the smallest buffer there is.
CHUNK = SMALLEST
LENGTH = 300_000
pytestmark = pytest.mark.usefixtures("no_leaks")


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Made:
    """The buffers of this test."""
    return Made(monkeypatch)


@pytest.mark.parametrize(
    ("chunk_size", "connections", "size"),
    [
        (1, 8, 64 * KIB),
        (64 * KIB, 8, 64 * KIB),
        (64 * KIB + 1, 8, 64 * KIB + 1),
        (MIB, 1, MIB),
        (MIB, 32, MIB),
        (MIB, 33, 32 * MIB // 33),
        (MIB, 64, MIB // 2),
        (MIB, 512, 64 * KIB),
        (MIB, 10**9, 64 * KIB),
        (1 << 30, 1, 32 * MIB),
    ],
)
def test_size_of_a_buffer(chunk_size: int, connections: int, size: int) -> None:
    """As large as a chunk, but no more than 32 MiB for all connections, and never less than a system call is worth."""
    pool = BufferPool(chunk_size, connections)

    assert (size, size + 1) == (pool.size, len(pool.take().view))


@pytest.mark.parametrize("ahead", [0, 100], ids=["none with the head", "some with the head"])
@pytest.mark.parametrize(
    "length",
    [
        lambda size: 1000,
        lambda size: size - 1,
        lambda size: size,
        lambda size: size + 1,
        lambda size: 2 * size,
        lambda size: 2 * size + 1,
        lambda size: 3 * size - 1,
    ],
    ids=["small", "one less", "equal", "one more", "twice", "twice and one", "one less than three times"],
)
@pytest.mark.parametrize("chunk_size", [1, 1000, 64 * KIB, MIB])
async def test_lengths(chunk_size: int, length: Callable[[int], int], ahead: int, made: Made) -> None:
    """Parts around the size of a buffer, in chunks of all sizes; in the end each buffer is back, and once."""
    stop = START + length(max(chunk_size, SMALLEST))
    async with Parts(ahead=ahead) as server, transport(pooled_buffers=True, chunk_size=chunk_size) as over:
        async with server.taken(over, START, stop, PooledBody) as body:
            data = b"".join([piece async for piece in drained(body, START, chunk_size)])

            assert (None, stop - START) == (await body.receive(), body.received)
        again = await server.fetched(over, 0, 1000, PooledBody)

        assert (CONTENT.read(START, stop), CONTENT.read(0, 1000)) == (data, again)
        assert (1, [], True) == (server.accepted, made.lent(), made.free(over._pool))


async def test_chunks_are_full() -> None:
    """As long as data keep coming, a chunk is a whole buffer, and only the last one is less."""

    async def tell(writer: asyncio.StreamWriter, data: bytes) -> None:
        for at in range(0, len(data), 50_001):
            writer.write(data[at : at + 50_001])
            await writer.drain()

    async with (
        Parts(tell, ahead=777) as server,
        transport(pooled_buffers=True, chunk_size=CHUNK) as over,
        server.taken(over, START, START + 10 * CHUNK + 5, PooledBody) as body,
    ):
        lengths = [len(piece) async for piece in drained(body, START)]

    assert [CHUNK] * 10 + [5] == lengths


@pytest.mark.parametrize("chunk_size", [1000, CHUNK, MIB])
async def test_much_ahead(chunk_size: int, made: Made) -> None:
    """More than aiohttp holds: it has stopped reading, and its parser has put the rest aside."""
    async with (
        Parts(ahead=2 * MIB) as server,
        transport(pooled_buffers=True, chunk_size=chunk_size) as over,
        server.asked(over, START, START + 3 * MIB) as (response, gate),
    ):
        handler = handler_of(response)
        await until(lambda: handler._reading_paused)
        body = response.body(START, START + 3 * MIB)
        gate.set()
        data = b"".join([piece async for piece in drained(body, START, chunk_size)])

        assert PooledBody is type(body)
        assert CONTENT.read(START, START + 3 * MIB) == data
        assert made.free(over._pool)


class TestPatience:
    """A buffer that fills slowly."""

    async def test_is_not_waited_for(self, monkeypatch: pytest.MonkeyPatch, made: Made) -> None:
        """What has come is handed on after a while; what comes after goes behind it, into the same buffer."""
        monkeypatch.setattr(buffers, "PATIENCE", 0.01)
        more = asyncio.Event()

        async def tell(writer: asyncio.StreamWriter, data: bytes) -> None:
            writer.write(data[:1000])
            await more.wait()
            writer.write(data[1000:])

        async with (
            Parts(tell) as server,
            transport(pooled_buffers=True, chunk_size=CHUNK) as over,
            server.taken(over, START, START + LENGTH, PooledBody) as body,
        ):
            first = await body.receive()
            assert first is not None
            assert (START, CONTENT.read(START, START + 1000)) == (first.offset, first.data)
            more.set()
            second = await body.receive()
            assert second is not None
            assert (START + 1000, CHUNK - 1000, 1) == (second.offset, len(second.data), len(made))
            assert is_right(first)
            assert is_right(second)
            first.release()
            second.release()
            rest = [chunk.stop async for chunk in chunks_of(body, START + CHUNK)]

        assert START + LENGTH == rest[-1]

    async def test_is_waited_for_at_first(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Before that, nothing is handed on: small pieces would cost more than they bring."""
        monkeypatch.setattr(buffers, "PATIENCE", 3600)
        more = asyncio.Event()

        async def tell(writer: asyncio.StreamWriter, data: bytes) -> None:
            writer.write(data[:1000])
            await more.wait()
            writer.write(data[1000:])

        async with (
            Parts(tell) as server,
            transport(pooled_buffers=True, chunk_size=CHUNK) as over,
            server.taken(over, START, START + LENGTH, PooledBody) as body,
        ):
            waits = asyncio.create_task(body.receive())
            await until(lambda: body.received == 1000)
            for _ in range(5):
                await asyncio.sleep(0)
            assert not waits.done()
            more.set()
            chunk = await waits

            assert chunk is not None
            assert (START, CHUNK) == (chunk.offset, len(chunk.data))

    async def test_drops(self, monkeypatch: pytest.MonkeyPatch, made: Made) -> None:
        """However many chunks a buffer is handed out in: it is still one, and right to the last byte."""
        monkeypatch.setattr(buffers, "PATIENCE", 0.0)

        async def tell(writer: asyncio.StreamWriter, data: bytes) -> None:
            for at in range(0, len(data), 997):
                writer.write(data[at : at + 997])
                for _ in range(3):
                    await asyncio.sleep(0)

        length = 2 * CHUNK + 5
        async with (
            Parts(tell) as server,
            transport(pooled_buffers=True, chunk_size=CHUNK) as over,
            server.taken(over, START, START + length, PooledBody) as body,
        ):
            kept = [chunk async for chunk in chunks_of(body, START)]

            assert len(kept) > 10
            assert all(map(is_right, kept))
            assert (3, START + length) == (len(made), kept[-1].stop)
            for chunk in kept:
                chunk.release()
            assert ([], True) == (made.lent(), made.free(over._pool))

    async def test_cancelled_with_something_there(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """What had come by then is still there for whoever asks next."""
        monkeypatch.setattr(buffers, "PATIENCE", 3600)
        more = asyncio.Event()

        async def tell(writer: asyncio.StreamWriter, data: bytes) -> None:
            writer.write(data[:1000])
            await more.wait()
            writer.write(data[1000:])

        async with (
            Parts(tell) as server,
            transport(pooled_buffers=True, chunk_size=CHUNK) as over,
            server.taken(over, START, START + LENGTH, PooledBody) as body,
        ):
            waits = asyncio.create_task(body.receive())
            await until(lambda: body.received == 1000)
            waits.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waits
            more.set()

            assert CONTENT.read(START, START + LENGTH) == b"".join([piece async for piece in drained(body, START)])


class TestHandOver:
    """The moment at which a body is taken over from aiohttp."""

    @pytest.mark.parametrize("ahead", [0, 1000])
    async def test_connection_being_lost(self, ahead: int) -> None:
        """Nobody has been told yet: what has come is handed out, then the connection has broken."""
        async with (
            Parts(ahead=ahead) as server,
            transport(pooled_buffers=True, chunk_size=CHUNK) as over,
            server.asked(over, START, START + LENGTH) as (response, _),
        ):
            handler, content = handler_of(response), response._raw.content  # type: ignore[attr-defined]
            await until(lambda: content.total_bytes + len(handler.held.view if handler.held else b"") == ahead)
            assert handler.transport is not None
            handler.transport.abort()
            body = response.body(START, START + LENGTH)
            data = bytearray()
            with pytest.raises(ConnectError) as caught:
                await rest(body, data)

            assert PooledBody is type(body)
            assert caught.value.retryable
            assert CONTENT.read(START, START + ahead) == bytes(data)

    async def test_parser_of_each_response(self) -> None:
        """Bodies taken over and bodies left to aiohttp, one after another, over one connection."""
        async with Parts() as server, transport(pooled_buffers=True, chunk_size=CHUNK) as over:
            for number in range(12):
                kind = StreamBody if number % 3 == 1 else PooledBody
                server.ahead = {0: 0, 1: LENGTH, 2: 10}[number % 3]
                start, length = START + number * 1000, 20_000 + number
                assert CONTENT.read(start, start + length) == await server.fetched(over, start, start + length, kind)

            assert 1 == server.accepted

    @pytest.mark.parametrize("junk", [b"!", b"HTTP/1.1 206 P\r\nContent-Length: 5\r\n\r\nWRONG", bytes(100_000)])
    async def test_junk_on_an_idle_connection(self, junk: bytes) -> None:
        """What comes when a body has long ended belongs to nobody: the connection is not used again."""
        idle = asyncio.Event()

        async def tell(writer: asyncio.StreamWriter, data: bytes) -> None:
            writer.write(data)
            if server.accepted == 1:
                await idle.wait()
                writer.write(junk)

        async with Parts(tell) as server, transport(pooled_buffers=True, chunk_size=CHUNK) as over:
            async with server.asked(over, START, START + 1000) as (response, gate):
                handler = handler_of(response)
                body = response.body(START, START + 1000)
                gate.set()
                assert (PooledBody, 1000) == (
                    type(body),
                    len(b"".join([piece async for piece in drained(body, START)])),
                )
            assert not handler.should_close
            idle.set()
            await until(lambda: handler.should_close)

            assert CONTENT.read(5, 10) == await server.fetched(over, 5, 10)
            assert 2 == server.accepted
