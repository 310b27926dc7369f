"""Bodies as tests of the receive paths need them: a server that holds them back, and what is to be seen on our side."""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeAlias

import pytest

from asyncdl.edge import buffers, http_pooled
from asyncdl.edge.transport import Body, Response, Transport
from asyncdl.model import Chunk, SignedUrl
from asyncdl.rules.urls import origin_of
from asyncdl.testing import Content
from tests.support.http import Bare

#: What every `Parts` serves.
CONTENT = Content(5, 64 << 20)
#: Seconds after which a wait has failed.
BOUND = 60.0
#: Turns without a change after which something is taken to have come to rest, and seconds for each.
_TURNS, _TURN = 20, 0.002

#: Sends what it is given of a body; the connection stays unless it closes it.
Tell: TypeAlias = Callable[[asyncio.StreamWriter, bytes], Awaitable[None]]


async def tell_all(writer: asyncio.StreamWriter, data: bytes) -> None:
    """Everything at once."""
    writer.write(data)
    await writer.drain()


def in_pieces(sizes: Callable[[int], int]) -> Tell:
    """Sends piece after piece, the `n`-th of them `sizes(n)` bytes, each one on its way before the next is made."""

    async def tell(writer: asyncio.StreamWriter, data: bytes) -> None:
        number = 0
        while data:
            size = sizes(number)
            writer.write(data[:size])
            await writer.drain()
            await asyncio.sleep(0)
            data, number = data[size:], number + 1

    return tell


def then(after: int, end: Callable[[asyncio.StreamWriter], Awaitable[None]]) -> Tell:
    """Sends so many bytes, and comes to an end."""

    async def tell(writer: asyncio.StreamWriter, data: bytes) -> None:
        writer.write(data[:after])
        await writer.drain()
        await end(writer)

    return tell


async def close(writer: asyncio.StreamWriter) -> None:
    """The connection, properly."""
    writer.close()


async def silence(_: asyncio.StreamWriter) -> None:
    """For ever."""
    await asyncio.Event().wait()


class Parts(Bare):
    """A server of parts of `CONTENT`: honest heads, and bodies that are sent as told, and when.

    Args:
        tell: sends the body, or what of it did not come with the head.
        ahead: bytes of each body that are sent in one write with the head.
        framing: header lines instead of the Content-Length; `{length}` in it for the part's.

    Attributes:
        gates: by the first offset asked for; all that is not sent ahead waits for them.
    """

    def __init__(
        self,
        tell: Tell = tell_all,
        *,
        ahead: int = 0,
        framing: str = "Content-Length: {length}\r\n",
        secure: ssl.SSLContext | None = None,
    ) -> None:
        super().__init__(Parts._speak, secure=secure)  # type: ignore[arg-type]  # it is given itself
        self.tell, self.ahead, self.framing = tell, ahead, framing
        self.gates: dict[int, asyncio.Event] = {}

    async def _speak(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await self.head(reader):
            asked = re.search(rb"bytes=(\d+)-(\d+)", head)
            assert asked is not None
            start, stop = int(asked[1]), int(asked[2]) + 1
            data = CONTENT.read(start, stop)
            fields = f"Content-Range: bytes {start}-{stop - 1}/{CONTENT.size}\r\n" + self.framing.format(
                length=len(data)
            )
            ahead = self.ahead
            writer.write(b"HTTP/1.1 206 P\r\n" + fields.encode() + b"\r\n" + data[:ahead])
            if ahead < len(data):
                await self.gates[start].wait()
                await self.tell(writer, data[ahead:])
            if writer.is_closing():
                return

    @asynccontextmanager
    async def asked(
        self, over: Transport, start: int, stop: int, *, gated: bool = True
    ) -> AsyncIterator[tuple[Response, asyncio.Event]]:
        """A response for that part, and what lets its body come; not `gated`: it comes at once."""
        gate = self.gates[start] = asyncio.Event()
        if not gated:
            gate.set()
        url = SignedUrl(self.url())
        async with (
            asyncio.timeout(BOUND),
            over.open(url, start, stop, headers=(), home=origin_of(url.url)) as response,
        ):
            yield response, gate

    @asynccontextmanager
    async def taken(
        self, over: Transport, start: int, stop: int, kind: type[Body] | None = None
    ) -> AsyncIterator[Body]:
        """The body of that part; what is not sent ahead comes once it has been taken. `kind` is what it has to be."""
        async with self.asked(over, start, stop) as (response, gate):
            body = response.body(start, stop)
            assert kind is None or kind is type(body)
            gate.set()
            yield body

    async def fetched(self, over: Transport, start: int, stop: int, kind: type[Body] | None = None) -> bytes:
        """The bytes of that part."""
        async with self.taken(over, start, stop, kind) as body:
            return b"".join([data async for data in drained(body, start)])


async def drained(body: Body, start: int, limit: int = CONTENT.size) -> AsyncIterator[bytes]:
    """What a body brings, each chunk released; they follow each other from `start` on, none larger than `limit`."""
    async for chunk in chunks_of(body, start, limit):
        yield bytes(chunk.data)
        chunk.release()


async def chunks_of(body: Body, start: int, limit: int = CONTENT.size) -> AsyncIterator[Chunk]:
    """The chunks of a body, as `drained` checks them; nobody releases them."""
    place = start
    while (chunk := await body.receive()) is not None:
        assert place == chunk.offset
        assert 0 < len(chunk.data) <= limit
        place = chunk.stop
        yield chunk


async def rest(body: Body, into: bytearray) -> None:
    """Take everything that still comes, for as long as it comes."""
    while (chunk := await body.receive()) is not None:
        into += chunk.data
        chunk.release()


def is_right(chunk: Chunk) -> bool:
    """Whether a chunk holds what belongs where it says it does."""
    return CONTENT.read(chunk.offset, chunk.stop) == chunk.data


def handler_of(response: Response) -> http_pooled.PooledHandler:
    """The protocol of a response's connection, which must be of the kind that can hand bodies over."""
    connection = response._raw.connection  # type: ignore[attr-defined]
    assert isinstance(connection.protocol, http_pooled.PooledHandler)
    return connection.protocol


def reads(body: Body) -> bool:
    """Whether the event loop still reads for it."""
    assert isinstance(body, http_pooled.PooledBody)
    transport = body._handler.transport
    return transport is not None and transport.is_reading()


class Made:
    """The buffers that were made since, and whether they came back."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.buffers: list[buffers.Buffer] = []
        make = buffers.Buffer

        def made(size: int, back: Callable[[buffers.Buffer], None]) -> buffers.Buffer:
            self.buffers.append(make(size, back))
            return self.buffers[-1]

        monkeypatch.setattr(buffers, "Buffer", made)

    def __len__(self) -> int:
        return len(self.buffers)

    def lent(self) -> list[int]:
        """How many users each of those has that are not free."""
        return [buffer._users for buffer in self.buffers if buffer._users]

    def free(self, pool: buffers.BufferPool) -> bool:
        """Whether each of them is in the pool, and only once."""
        return sorted(map(id, self.buffers)) == sorted(map(id, pool._free))


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what nobody announces.

    Raises:
        TimeoutError: it did not come.
    """
    async with asyncio.timeout(BOUND):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0)


async def at_rest(value: Callable[[], int]) -> int:
    """What a number is once it changes no more."""
    seen, turns = value(), 0
    async with asyncio.timeout(BOUND):
        while turns < _TURNS:
            await asyncio.sleep(_TURN)
            now = value()
            seen, turns = now, turns + 1 if now == seen else 0
    return seen
