"""The buffers themselves: how many there are, how much is read into them unasked, and that nobody gets one in use."""

from __future__ import annotations

import asyncio
import random
import socket
import ssl
import struct
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from asyncdl.edge.buffers import SMALLEST, BufferPool
from asyncdl.edge.http import AiohttpTransport
from asyncdl.edge.http_pooled import PooledBody
from asyncdl.errors import ConnectError
from asyncdl.model import Chunk
from asyncdl.options import Timeouts
from asyncdl.watch import Watch
from tests.support.bodies import CONTENT, Made, Parts, at_rest, chunks_of, is_right, reads, rest, until
from tests.support.http import transport

MIB = 1 << 20
START = 3 * MIB + 17
CHUNK = SMALLEST
pytestmark = pytest.mark.usefixtures("no_leaks")


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Made:
    """The buffers of this test."""
    return Made(monkeypatch)


@pytest.fixture
async def over(ca_file: Path) -> AsyncIterator[AiohttpTransport]:
    """A transport with the smallest buffers."""
    async with transport(pooled_buffers=True, chunk_size=CHUNK, ca_file=ca_file) as opened:
        yield opened


class TestUnasked:
    """A sender that is faster than whoever receives."""

    async def test_one_buffer(self, over: AiohttpTransport, context: ssl.SSLContext | None, made: Made) -> None:
        """Each time somebody has asked, one buffer is filled and no more; and then nobody reads."""
        async with (
            Parts(secure=context) as server,
            server.taken(over, START, START + 16 * MIB, PooledBody) as body,
        ):
            kept: list[Chunk] = []
            await until(lambda: not reads(body))
            assert CHUNK == await at_rest(lambda: body.received)
            for number in range(1, 6):
                chunk = await body.receive()
                assert chunk is not None
                kept.append(chunk)
                assert (number * CHUNK, False) == (await at_rest(lambda: body.received), reads(body))

            assert number == len(made)
            assert all(map(is_right, kept))

    async def test_what_the_server_could_send(self, over: AiohttpTransport, context: ssl.SSLContext | None) -> None:
        """It is stopped by us, not by the end of the body: a few MiB are with the kernel, the rest it still has."""
        sent = 0

        async def flood(writer: asyncio.StreamWriter, data: bytes) -> None:
            nonlocal sent
            for at in range(0, len(data), CHUNK):
                writer.write(data[at : at + CHUNK])
                await writer.drain()
                sent += CHUNK

        async with (
            Parts(flood, secure=context) as server,
            server.taken(over, START, START + 48 * MIB, PooledBody) as body,
        ):
            await until(lambda: not reads(body))
            before = await at_rest(lambda: sent)
            assert CHUNK == body.received
            assert CHUNK <= before < 24 * MIB
            data = bytearray()
            await rest(body, data)

            assert CONTENT.read(START, START + 48 * MIB) == bytes(data)

    async def test_while_somebody_asks(
        self, over: AiohttpTransport, made: Made, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Who takes each chunk at once and lets it go keeps two buffers busy, and the event loop is told nothing."""
        pauses: list[PooledBody] = []
        monkeypatch.setattr(PooledBody, "_pause", pauses.append)
        async with Parts() as server, server.taken(over, START, START + 8 * MIB, PooledBody) as body:
            data = bytearray()
            await rest(body, data)

        assert CONTENT.read(START, START + 8 * MIB) == bytes(data)
        assert ([], True) == (pauses, len(made) <= 2)


class TestInUse:
    """Chunks that somebody still holds."""

    async def test_all_held(self, over: AiohttpTransport, context: ssl.SSLContext | None, made: Made) -> None:
        """Each in a buffer of its own, untouched by whatever is received afterwards; then all are used again."""
        async with Parts(secure=context) as server:
            async with server.taken(over, START, START + 8 * CHUNK, PooledBody) as body:
                kept = [chunk async for chunk in chunks_of(body, START)]
            assert (8, [1] * 8) == (len(made), made.lent())
            for _ in range(3):
                await server.fetched(over, 0, 4 * CHUNK, PooledBody)
            assert all(map(is_right, kept))
            for chunk in kept:
                chunk.release()
            before = len(made)
            async with server.taken(over, 0, 8 * CHUNK, PooledBody) as body:
                kept = [chunk async for chunk in chunks_of(body, 0)]

            assert (before, [1] * 8, True) == (len(made), made.lent(), all(map(is_right, kept)))
            for chunk in kept:
                chunk.release()
            assert made.free(over._pool)

    @pytest.mark.parametrize("seed", range(3))
    async def test_at_random(self, over: AiohttpTransport, made: Made, seed: int) -> None:
        """Four connections, and six chunks held at most: right until they are let go, and so many buffers."""
        chance = random.Random(seed)
        held: list[Chunk] = []
        wrong = 0

        async def fetch(server: Parts, first: int) -> None:
            nonlocal wrong
            for number in range(8):
                start = (first * 8 + number) * 170_003
                async with server.taken(over, start, start + 170_003, PooledBody) as body:
                    async for chunk in chunks_of(body, start, CHUNK):
                        held.append(chunk)
                        while len(held) > 6:
                            oldest = held.pop(chance.randrange(len(held)))
                            wrong += not is_right(oldest)
                            oldest.release()
                            await asyncio.sleep(0)

        async with Parts() as server:
            await asyncio.gather(*(fetch(server, first) for first in range(4)))

            assert 4 >= server.accepted
        assert (0, True) == (wrong, all(map(is_right, held)))
        # While one waits for its turn to let one go, the others may each have taken one more.
        assert len(made) <= 4 + 6 + 4
        for chunk in held:
            chunk.release()
        assert ([], True) == (made.lent(), made.free(over._pool))

    async def test_many_chunks_of_one_buffer(self, made: Made) -> None:
        """It is free when the last of them is; a chunk that was cut counts once, however often it is released."""
        async with Parts() as server, transport(pooled_buffers=True, chunk_size=1000) as over:
            async with server.taken(over, START, START + CHUNK, PooledBody) as body:
                cut, kept, *others = [chunk async for chunk in chunks_of(body, START, 1000)]
            cut.data = cut.data[:10]
            for chunk in (cut, cut, cut, *others, *others):
                chunk.release()
            assert [1] == made.lent()
            await server.fetched(over, 0, CHUNK, PooledBody)
            assert (2, True) == (len(made), is_right(kept))
            kept.release()
            kept.release()

            assert ([], True) == (made.lent(), made.free(over._pool))

    async def test_the_one_used_last(self) -> None:
        """It is still in the processor's cache."""
        pool = BufferPool(CHUNK, 1)
        first, second = pool.take(), pool.take()
        second.release()
        first.release()

        assert [first, second] == [pool.take(), pool.take()]


class TestGivenBack:
    """However a body ends, no buffer stays with it."""

    @pytest.mark.parametrize("chunks", [0, 1, 3], ids="{} taken".format)
    @pytest.mark.parametrize("chunk_size", [1000, CHUNK])
    async def test_left(self, chunk_size: int, chunks: int, made: Made) -> None:
        """In the middle, with something ready and something half full."""
        async with Parts() as server, transport(pooled_buffers=True, chunk_size=chunk_size) as over:
            async with server.taken(over, START, START + 20 * CHUNK, PooledBody) as body:
                kept = [await body.receive() for _ in range(chunks)]
                await until(lambda: body.received > 0)
                assert isinstance(body, PooledBody)
                handler = body._handler
            assert handler.body is None
            assert all(chunk is not None and is_right(chunk) for chunk in kept)
            for chunk in kept:
                assert chunk is not None
                chunk.release()

            assert ([], True) == (made.lent(), made.free(over._pool))

    @pytest.mark.parametrize("after", [0, 1000, CHUNK, CHUNK + 1000])
    async def test_broken(self, over: AiohttpTransport, after: int, made: Made) -> None:
        """By the server."""

        async def tell(writer: asyncio.StreamWriter, data: bytes) -> None:
            writer.write(data[:after])
            writer.close()

        async with Parts(tell) as server:
            async with server.taken(over, START, START + 4 * CHUNK, PooledBody) as body:
                data = bytearray()
                with pytest.raises(ConnectError):
                    await rest(body, data)

            assert CONTENT.read(START, START + after) == bytes(data)
        assert ([], True) == (made.lent(), made.free(over._pool))

    async def test_reset(self, over: AiohttpTransport) -> None:
        """The error says how the connection ended."""

        async def tell(writer: asyncio.StreamWriter, data: bytes) -> None:
            writer.write(data[:1000])
            await until(lambda: taken.received == 1000)
            server_side = writer.get_extra_info("socket")
            server_side.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.close()

        async with Parts(tell) as server, server.asked(over, START, START + 4 * CHUNK) as (response, gate):
            taken = response.body(START, START + 4 * CHUNK)
            gate.set()
            data = bytearray()
            with pytest.raises(ConnectError, match="the connection broke: connection reset by the other side"):
                await rest(taken, data)

            assert PooledBody is type(taken)
            assert CONTENT.read(START, START + 1000) == bytes(data)

    @pytest.mark.parametrize("context", ["https"], indirect=True)
    @pytest.mark.parametrize("more", [b"", b"junk"])
    async def test_closed_while_nobody_asks(
        self, over: AiohttpTransport, context: ssl.SSLContext | None, made: Made, more: bytes
    ) -> None:
        """What TLS holds by then is more than a buffer: all of it is handed out, and nothing but the body."""
        length = 3 * CHUNK + 1000

        async def tell(writer: asyncio.StreamWriter, data: bytes) -> None:
            writer.write(data + more)
            underneath = writer.transport._ssl_protocol._transport  # type: ignore[attr-defined]
            await until(lambda: not underneath.get_write_buffer_size())
            # Not as asyncio closes TLS, which waits for the other side.
            writer.get_extra_info("socket").shutdown(socket.SHUT_WR)

        async with Parts(tell, secure=context) as server:
            async with server.taken(over, START, START + length, PooledBody) as body:
                assert isinstance(body, PooledBody)
                transport = body._handler.transport
                await until(lambda: transport._ssl_protocol._eof_received)  # type: ignore[union-attr]
                unasked = body.received
                data = bytearray()
                await rest(body, data)

            assert CHUNK == unasked
            assert CONTENT.read(START, START + length) == bytes(data)
        assert ([], True) == (made.lent(), made.free(over._pool))

    async def test_broken_unasked(self, over: AiohttpTransport, context: ssl.SSLContext | None, made: Made) -> None:
        """While nobody waits: what had come is handed out to whoever asks then."""

        async def tell(writer: asyncio.StreamWriter, data: bytes) -> None:
            writer.write(data[:1000])
            writer.close()

        async with Parts(tell, secure=context) as server:
            async with server.taken(over, START, START + 4 * CHUNK, PooledBody) as body:
                assert isinstance(body, PooledBody)
                lost = body
                await until(lambda: lost._handler.transport is None)
                data = bytearray()
                with pytest.raises(ConnectError):
                    await rest(body, data)

            assert CONTENT.read(START, START + 1000) == bytes(data)
        assert ([], True) == (made.lent(), made.free(over._pool))

    async def test_never_asked_for(self, over: AiohttpTransport, made: Made) -> None:
        """A body that is complete, and that nobody has taken anything of."""
        async with Parts() as server:
            async with server.taken(over, START, START + 1000, PooledBody) as body:
                await until(lambda: body.received == 1000)
            await server.fetched(over, START, START + 1000, PooledBody)

            assert 1 == server.accepted
        assert (1, [], True) == (len(made), made.lent(), made.free(over._pool))

    @pytest.mark.parametrize("how", ["cancelled", "watched"])
    async def test_wait_ended(self, over: AiohttpTransport, how: str, made: Made) -> None:
        """By us: nobody reads from the connection any more, and nothing waits."""

        async def tell(writer: asyncio.StreamWriter, data: bytes) -> None:
            writer.write(data[:1000])
            await asyncio.Event().wait()

        async def receive(server: Parts) -> None:
            async with server.taken(over, START, START + 4 * CHUNK, PooledBody) as body:
                assert isinstance(body, PooledBody)
                bodies.append(body)
                with Watch(Timeouts(stall=0.1 if how == "watched" else 60, low_speed=None), body) as watch:
                    async with watch.bound:
                        await rest(body, bytearray())

        bodies: list[PooledBody] = []
        async with Parts(tell) as server:
            task = asyncio.create_task(receive(server))
            if how == "cancelled":
                await until(lambda: bool(bodies) and bodies[0].received == 1000)
                task.cancel()
            with pytest.raises(asyncio.CancelledError if how == "cancelled" else TimeoutError):
                await task

            assert {} == over._pool.patience._dues
            assert (None, False) == (bodies[0]._waiter, reads(bodies[0]))
        assert ([], True) == (made.lent(), made.free(over._pool))
