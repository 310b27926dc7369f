"""What every body promises, however it is received: the plain way and into pooled buffers, in plain and over TLS."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from asyncdl.edge.http import AiohttpTransport
from asyncdl.edge.http_pooled import PooledBody
from asyncdl.edge.stream import StreamBody
from asyncdl.edge.transport import Body
from asyncdl.errors import ConnectError, StallError
from asyncdl.model import Chunk
from asyncdl.options import Timeouts
from asyncdl.testing.tls import Authority
from asyncdl.watch import Watch
from tests.support.bodies import (
    CONTENT,
    Parts,
    Tell,
    at_rest,
    chunks_of,
    close,
    drained,
    in_pieces,
    is_right,
    rest,
    silence,
    tell_all,
    then,
    until,
)
from tests.support.http import transport

CHUNK = 65536
#: Where every part here begins: a body that forgets its offset shows.
START = 1_000_003
LENGTH = 300_000
WAYS = [("plain", "http"), ("plain", "https"), ("pooled", "http"), ("pooled", "https")]

#: What a server may send behind a body.
MORE = {"a byte": b"!", "a response": b"HTTP/1.1 206 P\r\nContent-Length: 5\r\n\r\nWRONG", "much": bytes(300_000)}


@dataclass(frozen=True)
class Stage:
    """One way to receive, and a server for it."""

    kind: type[Body]
    context: ssl.SSLContext | None
    ca_file: Path

    def server(self, tell: Tell = tell_all, **arguments: Any) -> Parts:
        return Parts(tell, secure=self.context, **arguments)

    def transport(self) -> AbstractAsyncContextManager[AiohttpTransport]:
        pooled = self.kind is PooledBody
        return transport(chunk_size=CHUNK, ca_file=self.ca_file, pooled_buffers=pooled)


@pytest.fixture(scope="module")
def authority() -> Authority:
    """A certificate authority that nobody knows."""
    return Authority()


@pytest.fixture
def stage(request: pytest.FixtureRequest, authority: Authority, tmp_path: Path) -> Stage:
    """Of the kind that the test is run for."""
    way, scheme = request.param
    context = authority.context() if scheme == "https" else None
    return Stage(PooledBody if way == "pooled" else StreamBody, context, authority.ca_file(tmp_path / "ca.pem"))


@pytest.mark.usefixtures("no_leaks")
@pytest.mark.parametrize("stage", WAYS, ids="-".join, indirect=True)
class TestBody:
    """Servers that behave, and servers that do not."""

    @pytest.mark.parametrize("ahead", [0, 1, 5000], ids="{} with the head".format)
    @pytest.mark.parametrize("length", [1, 4096, CHUNK, LENGTH, 10 * CHUNK + 1])
    async def test_whole(self, stage: Stage, length: int, ahead: int) -> None:
        """All bytes, each at its place, in chunks no larger than agreed; then the end, and it stays the end."""
        async with (
            stage.server(ahead=ahead) as server,
            stage.transport() as over,
            server.taken(over, START, START + length, stage.kind if ahead < length else StreamBody) as body,
        ):
            data = b"".join([piece async for piece in drained(body, START, CHUNK)])

            assert CONTENT.read(START, START + length) == data
            assert ([None, None], length) == ([await body.receive(), await body.receive()], body.received)

    @pytest.mark.parametrize(
        "sizes",
        [lambda _: 7, lambda n: 1 + n * 7919 % 5000, lambda n: CHUNK + (-1, 0, 1)[n % 3]],
        ids=["drops", "odd pieces", "about a chunk"],
    )
    async def test_in_pieces(self, stage: Stage, sizes: Callable[[int], int]) -> None:
        """However it was cut on the way."""
        length = 3000 if sizes(1) == 7 else LENGTH
        async with stage.server(in_pieces(sizes)) as server, stage.transport() as over:
            data = await server.fetched(over, START, START + length, stage.kind)

        assert CONTENT.read(START, START + length) == data

    async def test_all_with_the_head(self, stage: Stage) -> None:
        """There is nothing to wait for."""
        async with stage.server(ahead=LENGTH) as server, stage.transport() as over:
            data = await server.fetched(over, START, START + 1000)

        assert CONTENT.read(START, START + 1000) == data

    @pytest.mark.parametrize("after", [0, 1, 5000, CHUNK, 200_000, LENGTH - 1])
    async def test_ends_early(self, stage: Stage, after: int) -> None:
        """What came is handed out; then the connection has broken, however often one asks."""
        data = bytearray()
        async with (
            stage.server(then(after, close)) as server,
            stage.transport() as over,
            server.taken(over, START, START + LENGTH, stage.kind) as body,
        ):
            for _ in range(2):
                with pytest.raises(ConnectError) as caught:
                    await rest(body, data)

                assert caught.value.retryable
            assert (CONTENT.read(START, START + after), after) == (bytes(data), body.received)

    @pytest.mark.parametrize("after", [1000, 2 * CHUNK + 1])
    async def test_reset(self, stage: Stage, after: int) -> None:
        """So is one that is reset."""
        data, seen = bytearray(), asyncio.Event()

        async def reset(writer: asyncio.StreamWriter) -> None:
            await seen.wait()  # a reset may overtake what was sent
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()

        async with (
            stage.server(then(after, reset)) as server,
            stage.transport() as over,
            server.taken(over, START, START + LENGTH, stage.kind) as body,
        ):
            while len(data) < after:
                chunk = await body.receive()
                assert chunk is not None
                data += chunk.data
                chunk.release()
            seen.set()
            with pytest.raises(ConnectError) as caught:
                await body.receive()

            assert caught.value.retryable
            assert CONTENT.read(START, START + after) == bytes(data)

    @pytest.mark.parametrize("length", [1000, CHUNK - 1, CHUNK, LENGTH])
    @pytest.mark.parametrize("more", MORE)
    async def test_goes_on_behind_its_end(self, stage: Stage, length: int, more: str) -> None:
        """Not a byte of it comes out, and nobody asks again on that connection."""
        start, stop, last = START, START + length, asyncio.Event()

        async def tell(writer: asyncio.StreamWriter, data: bytes) -> None:
            writer.write(data[:-1000])
            await last.wait()  # or what is too much may come by itself, and later
            writer.write(data[-1000:] + MORE[more])

        async with stage.server(tell) as server, stage.transport() as over:
            async with server.taken(over, start, stop, stage.kind) as body:
                nearly = asyncio.create_task(until(lambda: body.received >= length - 1000))
                nearly.add_done_callback(lambda _: last.set())
                data = b"".join([piece async for piece in drained(body, start)])
                await nearly
            second = await server.fetched(over, 5, 10)

            assert (CONTENT.read(start, stop), CONTENT.read(5, 10)) == (data, second)
            assert 2 == server.accepted

    async def test_many_over_one_connection(self, stage: Stage) -> None:
        """Parts of all lengths, what comes with the head changing from one to the next."""
        async with stage.server() as server, stage.transport() as over:
            for number in range(40):
                start, length = START + number * 7001, 1 + number * 7919 % 150_000
                server.ahead = (0, 1 << 20, 500)[number % 3] if length < 60_000 else 0

                assert CONTENT.read(start, start + length) == await server.fetched(over, start, start + length)

            assert 1 == server.accepted

    async def test_connection_closed_between_requests(self, stage: Stage) -> None:
        """The next one goes over another."""
        async with stage.server(then(LENGTH, close)) as server, stage.transport() as over:
            bodies = [await server.fetched(over, at, at + LENGTH, stage.kind) for at in (0, START)]

            assert [CONTENT.read(at, at + LENGTH) for at in (0, START)] == bodies
            assert 2 == server.accepted

    @pytest.mark.parametrize("asked_for", [0, 1, 2], ids="{} chunks taken".format)
    async def test_left_in_the_middle(self, stage: Stage, asked_for: int) -> None:
        """Nobody has to read a body; the next request is not answered with the rest of it."""
        async with stage.server() as server, stage.transport() as over:
            async with server.taken(over, START, START + 30 * CHUNK, stage.kind) as body:
                chunks = [await body.receive() for _ in range(asked_for)]
            data = await server.fetched(over, 7, 77)

            assert (CONTENT.read(7, 77), 2) == (data, server.accepted)
            assert all(chunk is not None and is_right(chunk) for chunk in chunks)

    async def test_cancelled_wait(self, stage: Stage) -> None:
        """It ends at once, as a cancellation; whoever asks afterwards misses nothing."""
        more = asyncio.Event()

        async def tell(writer: asyncio.StreamWriter, data: bytes) -> None:
            await more.wait()
            writer.write(data)

        async with (
            stage.server(tell) as server,
            stage.transport() as over,
            server.taken(over, START, START + LENGTH, stage.kind) as body,
        ):
            for _ in range(3):
                waits = asyncio.create_task(body.receive())
                await asyncio.sleep(0)
                waits.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await waits
            more.set()
            data = b"".join([piece async for piece in drained(body, START)])

            assert CONTENT.read(START, START + LENGTH) == data

    async def test_whole_task_cancelled(self, stage: Stage) -> None:
        """In the middle of a body: the connection is closed, and nothing of it stays."""
        arrived = asyncio.Event()

        async def hold(server: Parts, over: AiohttpTransport) -> None:
            async with server.taken(over, START, START + LENGTH, stage.kind) as body:
                while (chunk := await body.receive()) is not None:
                    chunk.release()
                    arrived.set()

        async with stage.server(then(100_000, silence)) as server, stage.transport() as over:
            task = asyncio.create_task(hold(server, over))
            await arrived.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            server.tell = tell_all

            assert CONTENT.read(0, 10) == await server.fetched(over, 0, 10, stage.kind)
            assert 2 == server.accepted

    async def test_transport_closed(self, stage: Stage) -> None:
        """By somebody else, while a body is waited for: the wait ends, as one for a connection that broke."""
        async with (
            stage.server(then(100_000, silence)) as server,
            stage.transport() as over,
            server.taken(over, START, START + LENGTH, stage.kind) as body,
        ):
            data = bytearray()
            waits = asyncio.create_task(rest(body, data))
            await until(lambda: len(data) == 100_000)
            await over.aclose()
            with pytest.raises(ConnectError):
                await waits

            assert CONTENT.read(START, START + 100_000) == bytes(data)

    async def test_watched(self, stage: Stage) -> None:
        """A server that goes silent is found out by what has been received; what came before was handed out."""
        data = bytearray()
        async with (
            stage.server(then(100_000, silence)) as server,
            stage.transport() as over,
            server.taken(over, START, START + LENGTH, stage.kind) as body,
        ):
            with Watch(Timeouts(stall=2.0, low_speed=None), body) as watch:
                with pytest.raises(TimeoutError):
                    async with watch.bound:
                        await rest(body, data)

                assert isinstance(watch.fault(), StallError)
                assert (100_000, CONTENT.read(START, START + 100_000)) == (watch.received, bytes(data))

    async def test_nobody_asks(self, stage: Stage) -> None:
        """A fast server comes to a halt, at once or after a while, and goes on when somebody asks again."""
        sent = 0
        length = 48 << 20

        async def flood(writer: asyncio.StreamWriter, data: bytes) -> None:
            nonlocal sent
            view = memoryview(data)
            for at in range(0, len(data), CHUNK):
                writer.write(view[at : at + CHUNK])
                await writer.drain()
                sent += CHUNK

        async with (
            stage.server(flood) as server,
            stage.transport() as over,
            server.taken(over, START, START + length, stage.kind) as body,
        ):
            await until(lambda: sent > 0)
            before = await at_rest(lambda: sent)
            first = await body.receive()
            held = await at_rest(lambda: sent)

            # What is between the two is the kernel's: some MiB on either side of a loopback connection.
            assert before <= held < length // 2
            assert first is not None
            assert is_right(first)
            async for chunk in chunks_of(body, first.stop, CHUNK):
                assert is_right(chunk)
                chunk.release()
            assert is_right(first)


@pytest.mark.parametrize("stage", WAYS[:3:2], ids="-".join, indirect=True)
async def test_side_by_side(stage: Stage, no_leaks: object) -> None:
    """Bodies that come at the same time do not mix, and a chunk keeps its bytes until it is released."""
    kept: list[Chunk] = []

    async def fetch(over: AiohttpTransport, server: Parts, start: int) -> None:
        async with server.taken(over, start, start + LENGTH, stage.kind) as body:
            kept.extend([chunk async for chunk in chunks_of(body, start, CHUNK)])

    async with stage.server(in_pieces(lambda n: 1 + n * 7919 % 50_000)) as server, stage.transport() as over:
        await asyncio.gather(*(fetch(over, server, number * LENGTH) for number in range(16)))

        assert 16 * LENGTH == sum(len(chunk.data) for chunk in kept)
        assert all(map(is_right, kept))
