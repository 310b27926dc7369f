"""One response of aiohttp's: its head, its body by the fastest way there is, and what becomes of its connection."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeAlias

import aiohttp

from asyncdl.edge.buffers import BufferPool
from asyncdl.edge.http_faults import translate
from asyncdl.edge.http_pooled import PooledBody, PooledHandler, pooled_body
from asyncdl.edge.stream import StreamBody
from asyncdl.edge.transport import Body
from asyncdl.model import Chunk, Headers

#: The first response that is no redirect, the URLs that redirects led to, and the given header values sent.
Followed: TypeAlias = tuple[aiohttp.ClientResponse, list[str], list[str]]


class Exchange:
    """One request, sent when the context is entered; its response, until it is left.

    Args:
        send: does so, and follows redirects.
        patience: seconds for an excerpt of the body.
    """

    __slots__ = ("_patience", "_pool", "_response", "_send")

    def __init__(self, send: Callable[[], Awaitable[Followed]], pool: BufferPool, patience: float) -> None:
        self._send, self._pool, self._patience = send, pool, patience
        self._response: AiohttpResponse

    async def __aenter__(self) -> AiohttpResponse:
        raw, trail, values = await self._send()
        self._response = AiohttpResponse(raw, len(trail), (*trail, *values), self._pool, self._patience)
        return self._response

    async def __aexit__(self, *_: object) -> None:
        self._response.close()


class AiohttpResponse:
    """See `transport.Response`."""

    __slots__ = (
        "_closed",
        "_handler",
        "_patience",
        "_pool",
        "_pooled",
        "_protocol",
        "_raw",
        "headers",
        "hops",
        "secrets",
        "status",
    )

    def __init__(
        self, raw: aiohttp.ClientResponse, hops: int, secrets: tuple[str, ...], pool: BufferPool, patience: float
    ) -> None:
        self._raw, self._pool, self._patience = raw, pool, patience
        self.hops: int = hops
        self.secrets: tuple[str, ...] = secrets
        self.status: int = raw.status
        self.headers: Headers = Headers(raw.headers.items())
        self._pooled: PooledBody | None = None
        self._closed: asyncio.Future[None] | None = None
        self._protocol = None if raw.connection is None else raw.connection.protocol
        self._handler = self._protocol if isinstance(self._protocol, PooledHandler) else None

    def _expect_loss(self) -> None:
        """End the wait for a body whose connection is gone: where aiohttp's parser gives it up, its reader waits on."""
        protocol = self._protocol
        if protocol is None or self._closed is not None:
            return
        self._closed = closed = protocol.closed
        if closed is not None:
            # Once for each connection, however many responses come over it.
            closed.remove_done_callback(_seen)
            closed.add_done_callback(_seen)
            closed.add_done_callback(self._lost)
        elif not protocol.is_connected():
            self._lost(None)  # it was lost before the head had been read

    def _lost(self, _: object) -> None:
        content = self._raw.content
        if not content.is_eof() and content.exception() is None:
            content.set_exception(aiohttp.ClientPayloadError("the connection was lost"))

    def at_hand(self, start: int, stop: int) -> Chunk | None:
        content, handler = self._raw.content, self._handler
        if handler is not None and handler.held is not None:
            held = handler.take_held(self._raw, stop - start)
            return None if held is None else Chunk(start, held.view, held.release)
        whole = content.is_eof() and content.exception() is None and content.total_bytes == stop - start
        data = content.read_nowait(-1) if whole else b""
        return Chunk(start, data) if data else None

    def body(self, start: int, stop: int | None) -> Body:
        self._expect_loss()
        if stop is not None:
            self._pooled = pooled_body(self._raw, start, stop, self._pool, translate)
        else:
            self._let_parse()
        return self._pooled or StreamBody(self._raw.content, start, stop, self._pool.chunk_size, translate)

    def _let_parse(self) -> None:
        # What is held back of a body that has not ended is of this one: no connection has two at a time.
        if self._handler is not None and self._handler.held is not None and not self._raw.content.is_eof():
            self._handler.parse_held()

    async def excerpt(self, limit: int) -> bytes:
        words = bytearray()
        self._expect_loss()
        self._let_parse()
        try:
            async with asyncio.timeout(self._patience):
                while len(words) < limit and (data := await self._raw.content.readany()):
                    words += data
        except Exception:  # noqa: BLE001, S110  # half an explanation is better than none
            pass
        return bytes(words[:limit])

    def close(self) -> None:
        """Nothing more of the body is read: the connection goes back to the pool, or is closed if more would come."""
        if self._closed is not None:
            self._closed.remove_done_callback(self._lost)
        if self._pooled is not None:
            self._pooled.close()
        self._let_parse()
        if not self._raw.content.at_eof():
            self._raw.close()
        elif not self._raw.closed:
            self._raw.release()


def let_parse(raw: aiohttp.ClientResponse) -> None:
    """Let aiohttp read the body of a response, wherever a part of it is now."""
    handler = None if raw.connection is None else raw.connection.protocol
    if isinstance(handler, PooledHandler):
        handler.parse_held()


def _seen(closed: asyncio.Future[None]) -> None:
    """Keep asyncio from reporting how a connection ended that nobody waited for."""
    if not closed.cancelled():
        closed.exception()
