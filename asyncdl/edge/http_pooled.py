"""The receive path without a new object for each read: from the socket straight into buffers that are used again.

aiohttp sends the request and parses the head as ever. Then the protocol of the connection, which is one that the event
loop asks for a buffer before each read, hands out room in a pooled buffer, and counts; at the last byte aiohttp is
told that the body has ended, and takes the connection back into its pool. A `bytes` object of 256 KiB for each read is
a fresh mapping each time (glibc's malloc maps what is larger than 128 KiB): its page faults are what is saved.

This leans on what aiohttp keeps to itself. Where any of it is not as expected, `pooled_body` says so by None, and the
body comes the plain way.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from typing import Final

import aiohttp

from asyncdl.edge.buffers import Buffer, BufferPool, HeadBuffer, Kept
from asyncdl.edge.http_connections import HEAD_END, HeadFirst
from asyncdl.errors import ConnectError, TransferError
from asyncdl.model import Chunk

#: Bytes within which the end of a head is looked for; one that is longer costs a copy.
_USUAL_HEAD: Final = 8 * 1024


class PooledHandler(HeadFirst, asyncio.BufferedProtocol):
    """aiohttp's protocol, as one that the event loop asks for a buffer.

    What was read together with a head is held back from the parser until `take_held` or `parse_held`, or until anything
    else happens on the connection: all of a small body is there, and who wants it as it is saves the parser's copy.

    Attributes:
        body: takes what is read; None while aiohttp's parser does.
        asked: the event loop does ask; uvloop, for one, does not.
        held: of a body whose head the parser has had.
    """

    body: PooledBody | None = None
    asked: bool = False
    held: Kept | None = None

    def __init__(self, loop: asyncio.AbstractEventLoop, head: HeadBuffer) -> None:
        super().__init__(loop)
        self._head = head

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002
        if self.body is not None:
            return self.body.room()
        self.asked = True
        return self._head.room

    def buffer_updated(self, nbytes: int) -> None:
        if self.body is not None:
            self.body.filled(nbytes)
            return
        if self.held is not None:
            self.parse_held()
        # What is cut off here need not be copied once more to be cut off a `bytes`.
        head = self._head
        end = head.data.find(HEAD_END, 0, min(nbytes, _USUAL_HEAD)) + len(HEAD_END)
        if not len(HEAD_END) <= end < nbytes:
            self.data_received(bytes(head.room[:nbytes]))
            return
        first, rest = bytes(head.room[:end]), head.keep(end, nbytes)  # before anything else is read into that
        self.data_received(first)
        self.held = rest
        # A body may hold what ends a head: behind what the parser has had of it, nothing may be held back.
        if self._payload is None or self._payload.is_eof() or self._payload.total_bytes:
            self.parse_held()

    def parse_held(self) -> None:
        """Let the parser have what is held back."""
        held, self.held = self.held, None
        if held is None:
            return
        data, transport = bytes(held.view), self.transport
        held.release()
        if transport is None or not transport.is_closing():
            self.data_received(data)
            return
        # What came before the end counts; a parser that finds fault with it is not to close once more what is closed.
        self.transport = None
        try:
            self.data_received(data)
        finally:
            self.transport = transport

    def take_held(self, raw: aiohttp.ClientResponse, length: int) -> Kept | None:
        """All of a body of `length` bytes, of which the parser will have none; None where that is not what is held."""
        held = self.held
        if held is None or len(held.view) != length or not self.may_hand_over(raw, length):
            return None
        self.held = None
        self.end_body(more=False)
        return held

    def eof_received(self) -> None:
        self.parse_held()
        super().eof_received()
        # asyncio's TLS fills one more buffer when the other side has closed, and forgets what else it holds.
        secure = None if self.transport is None else self.transport.get_extra_info("ssl_object")
        with contextlib.suppress(OSError):  # one of them says that there is no more
            while secure is not None and self.body is not None:
                room = self.body.room()
                count = secure.read(len(room), room)
                if not count:
                    break
                self.body.filled(count)

    def connection_lost(self, exc: BaseException | None) -> None:
        self.parse_held()
        body, self.body = self.body, None
        if body is not None:
            body.lost(exc)
        super().connection_lost(exc)

    def may_hand_over(self, raw: aiohttp.ClientResponse, length: int) -> bool:
        """Whether aiohttp is as it is expected to be, in the middle of a body of `length` bytes."""
        try:
            as_expected = (
                self.asked
                and self.body is None
                and self._payload is raw.content
                and self._parser is not None
                and self._payload_parser is None
                and not (self._upgraded or self._tail)
            )
        except AttributeError:
            return False
        # The end of a body that has a length of its own, or is chunked, or has come, is for the parser to find.
        declared = raw.headers.get("Content-Length") == str(length) and "Transfer-Encoding" not in raw.headers
        return as_expected and declared and not raw.content.is_eof()

    def end_body(self, *, more: bool) -> None:
        """What the head declared is there; `more`: and so is something else, so that nothing may follow."""
        self.body = None
        # A parser is made for each response; what this one was still to be given it must not wait for.
        payload, self._payload, self._parser = self._payload, None, None
        if more:
            self.force_close()
        if payload is not None:
            payload.feed_eof()


def handlers(chunk_size: int, loop: asyncio.AbstractEventLoop) -> Callable[[], PooledHandler]:
    """What makes the protocols of one connector; they share the buffer for heads.

    Args:
        chunk_size: most bytes that a chunk may take.
    """
    head = HeadBuffer(chunk_size)
    return lambda: PooledHandler(loop, head)


class PooledBody:
    """A body of known length, read into pooled buffers; made by `pooled_body`.

    Attributes:
        left: bytes that have not been read yet.
    """

    def __init__(
        self,
        handler: PooledHandler,
        start: int,
        stop: int,
        pool: BufferPool,
        translate: Callable[[Exception], TransferError],
    ) -> None:
        self._handler, self._pool, self._translate = handler, pool, translate
        self._position = start
        self.received: int = 0
        self.left: int = stop - start
        self._ready: deque[tuple[memoryview, Buffer]] = deque()
        self._buffer: Buffer | None = None
        self._begin = self._fill = 0  # what of the buffer has been read and is not among the ready
        self._fault: TransferError | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._paused = False
        self._loop = asyncio.get_running_loop()

    def room(self) -> memoryview:
        """Where the next read goes."""
        if self._buffer is None:
            self._buffer, self._begin, self._fill = self._pool.take(), 0, 0
        end = self._fill + self.left
        return self._buffer.view[self._fill : end + 1 if end <= self._pool.size else self._pool.size]

    def filled(self, count: int) -> None:
        """So much has been read into it."""
        mine = min(count, self.left)
        self._note(mine)
        if not self.left:
            self._handler.end_body(more=count > mine)
        elif self._buffer is None:
            self._pause_unless_taken()

    def feed(self, data: bytes | memoryview) -> None:
        """Take what aiohttp has read already."""
        view = memoryview(data)[: self.left]
        while view:
            room = self.room()[: min(len(view), self.left)]
            room[:] = view[: len(room)]
            view = view[len(room) :]
            self._note(len(room))

    def _note(self, count: int) -> None:
        self._fill += count
        self.left -= count
        self.received += count
        if not self.left or self._fill == self._pool.size:
            self._put_by()

    def lost(self, error: BaseException | None, fault: TransferError | None = None) -> None:
        """The connection has ended before the body did."""
        if fault is None and isinstance(error, Exception):
            fault = self._translate(error)
        self._fault = fault or ConnectError("the connection ended before the body did", retryable=True)
        self._put_by()

    def close(self) -> None:
        """Nobody wants the rest."""
        if self._handler.body is self:
            self._handler.body = None
        self._drop_buffer()
        while self._ready:
            _, buffer = self._ready.popleft()
            buffer.release()

    async def receive(self) -> Chunk | None:
        while not self._ready:
            if not self.left:
                return None
            if self._fault:
                raise self._fault
            self._resume()
            await self._news()
            if not self._ready:
                self._put_by()
        view, buffer = self._ready.popleft()
        data = view[: self._pool.chunk_size]
        if len(data) < len(view):
            self._ready.appendleft((view[len(data) :], buffer))
            buffer.lend()
        chunk = Chunk(self._position, data, buffer.release)
        self._position = chunk.stop
        return chunk

    def _put_by(self) -> None:
        """Whoever receives may have what has been read."""
        buffer = self._buffer
        if buffer is not None and self._begin < self._fill:
            buffer.lend()
            self._ready.append((buffer.view[self._begin : self._fill], buffer))
            self._begin = self._fill
        if self._fill == self._pool.size or not self.left or self._fault:
            self._drop_buffer()
        self.ring()

    def _drop_buffer(self) -> None:
        buffer, self._buffer = self._buffer, None
        self._begin = self._fill = 0
        if buffer is not None:
            buffer.release()

    async def _news(self) -> None:
        """Wait until something is ready, but not for long."""
        self._waiter = self._loop.create_future()
        self._pool.patience.add(self)
        try:
            await self._waiter
        finally:
            self._pool.patience.drop(self)
            self._waiter = None

    def ring(self) -> None:
        """Whoever waits has waited for long enough, or something is ready."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _pause_unless_taken(self) -> None:
        """A connection holds one full buffer and no more, or the memory of a download would have no bound."""
        transport = self._handler.transport
        if self._waiter is None or (transport is not None and transport.get_extra_info("sslcontext") is not None):
            self._pause()  # TLS reads on before anybody else has a turn, and there a pause is only a flag
        else:
            # Behind the one that has just been woken: if it asks again, the event loop was told nothing in vain.
            self._loop.call_soon(self._pause_unless_asked)

    def _pause_unless_asked(self) -> None:
        if self._waiter is None:
            self._pause()

    def _pause(self) -> None:
        transport = self._handler.transport
        if self._handler.body is self and transport is not None and not self._paused:
            self._paused = True
            transport.pause_reading()

    def _resume(self) -> None:
        transport = self._handler.transport
        if self._paused and transport is not None:
            self._paused = False
            transport.resume_reading()


def pooled_body(
    raw: aiohttp.ClientResponse,
    start: int,
    stop: int,
    pool: BufferPool,
    translate: Callable[[Exception], TransferError],
) -> PooledBody | None:
    """Take over a response's body from aiohttp, or None where that cannot be done, or would be no gain.

    Args:
        start, stop: its place in the object.
        translate: makes a transfer error of whatever ended the connection.
    """
    handler = raw.connection.protocol if raw.connection is not None else None
    if not isinstance(handler, PooledHandler):
        return None
    if (handler.held is not None and len(handler.held.view) >= stop - start) or not handler.may_hand_over(
        raw, stop - start
    ):
        handler.parse_held()
        return None
    body, fault = PooledBody(handler, start, stop, pool, translate), None
    if handler.held is not None:
        held, handler.held = handler.held, None
        body.feed(held.view)
        held.release()
    try:
        while data := raw.content.read_nowait(-1):  # each makes room for what the parser had put aside
            body.feed(data)
    except Exception as error:  # noqa: BLE001  # whatever the parser found wrong in what came after
        fault = translate(error)
    if fault is None and body.left and handler.transport is not None:
        handler.body = body
    elif body.left:
        body.lost(None, fault)
    return body
