"""A server without a network: one object in small pieces, with or without ranges."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from asyncdl.edge.transport import Body, Response
from asyncdl.errors import ConnectError
from asyncdl.model import Chunk, HeaderPairs, Headers, SignedUrl
from asyncdl.rules.urls import Origin


@dataclass(frozen=True, slots=True)
class Object:
    """One version of what is served.

    Attributes:
        etag: strong entity tag with its quotes, or None.
        ranges: whether the server knows them; one that does not sends everything, every time.
        says_size: whether it tells how long the object is.
    """

    data: bytes
    etag: str | None = '"1"'
    ranges: bool = True
    says_size: bool = True


class ObjectTransport:
    """Serves one object.

    Args:
        piece: bytes that come at a time.
        rng: of how many turns of the loop each piece takes; None for none.
        breaks: number, from 0, of the piece of all before which the connection breaks, once; None for none.
    """

    def __init__(
        self,
        served: Object,
        *,
        piece: int = 8192,
        rng: random.Random | None = None,
        breaks: int | None = None,
    ) -> None:
        self.object, self.piece, self._rng, self._breaks = served, piece, rng, breaks
        self._pieces = 0

    @property
    def connection_limit(self) -> int | None:
        return None

    async def aclose(self) -> None:
        """Nothing is open."""

    @asynccontextmanager
    async def open(
        self, url: SignedUrl, start: int, stop: int | None, *, headers: HeaderPairs, home: Origin
    ) -> AsyncIterator[Response]:
        await self.turn()
        yield _Response(self, start, stop)

    async def turn(self) -> None:
        """Let others go on."""
        for _ in range(self._rng.randrange(4) if self._rng else 0):
            await asyncio.sleep(0)

    async def next(self) -> None:
        """Wait for the next piece.

        Raises:
            ConnectError: the connection breaks before it.
        """
        await self.turn()
        number, self._pieces = self._pieces, self._pieces + 1
        if number == self._breaks:
            raise ConnectError("the connection broke", retryable=True)


class _Response:
    def __init__(self, transport: ObjectTransport, start: int, stop: int | None) -> None:
        served, size = transport.object, len(transport.object.data)
        self._transport = transport
        pairs = [] if served.etag is None else [("ETag", served.etag)]
        if not served.ranges:
            self.status, start, stop = 200, 0, size
        elif start >= size:
            self.status, stop = 416, start
            pairs.append(("Content-Range", f"bytes */{size}"))
        else:
            self.status, stop = 206, size if stop is None else min(stop, size)
            pairs.append(("Content-Range", f"bytes {start}-{stop - 1}/{size}"))
        if served.says_size:
            pairs.append(("Content-Length", str(stop - start)))
        else:
            pairs.append(("Transfer-Encoding", "chunked"))
        self._start, self._stop = start, stop
        self.headers = Headers(pairs)
        self.hops = 0
        self.secrets = ()

    def at_hand(self, start: int, stop: int) -> Chunk | None:
        return None

    def body(self, start: int, stop: int | None) -> Body:
        return _Body(self._transport, self._start, self._stop)

    async def excerpt(self, limit: int) -> bytes:
        return b""


class _Body:
    def __init__(self, transport: ObjectTransport, start: int, stop: int) -> None:
        self._transport, self._position, self._stop = transport, start, stop
        self.received = 0

    async def receive(self) -> Chunk | None:
        if self._position >= self._stop:
            return None
        at, stop = self._position, min(self._position + self._transport.piece, self._stop)
        await self._transport.next()
        self._position = stop
        self.received += stop - at
        return Chunk(at, self._transport.object.data[at:stop])
