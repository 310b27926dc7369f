"""One connection of the origin: reads request heads, sends responses, well or badly framed; it decides nothing."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from asyncdl.model import Headers
from asyncdl.testing.content import BLOCK
from asyncdl.testing.response import cut
from asyncdl.testing.wire import chunk_line, head_bytes, interim_bytes, trailer_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable

    from asyncdl.testing.ledger import Ledger, RequestRecord
    from asyncdl.testing.limits import Budget
    from asyncdl.testing.response import Response

#: Most bytes of a request head, and of anything a client sends ahead.
MAX_HEAD = 1 << 16
#: Seconds between two looks at a paced response: short enough to be smooth, long enough to cost nothing.
_TICK = 0.02
#: Seconds until a connection that was told to close is cut off.
_CLOSE_WAIT = 1.0
#: Looks, 10 ms apart, at whether the peer has acknowledged everything: 5 s, after which it will not.
_LOOKS = 500
#: Informational responses sent at a time: a flood is to cost the client more than it costs the origin.
_FLOOD = 200


class GoneError(Exception):
    """The client left, or sent something that is no HTTP request."""


@dataclass(frozen=True, slots=True)
class RequestHead:
    """Request line and headers, as sent."""

    method: str
    target: str
    version: str
    headers: Headers

    @property
    def keeps_alive(self) -> bool:
        """Whether the client means to send another request on this connection (RFC 9112 section 9.3)."""
        return self.version == "HTTP/1.1" and (self.headers.get("Connection") or "").lower() != "close"


def parse_head(head: bytes) -> RequestHead:
    """A request head without its final empty line.

    Raises:
        GoneError: it is none.
    """
    first, *lines = head.decode("latin-1").split("\r\n")
    parts = first.split(" ")
    if len(parts) != 3 or not parts[2].startswith("HTTP/"):  # method, target, version
        raise GoneError
    pairs = [line.partition(":") for line in lines]
    return RequestHead(parts[0], parts[1], parts[2], Headers((name.strip(), value.strip()) for name, _, value in pairs))


class Connection:
    """Reads and writes of one client; every wait for the client also ends when it leaves.

    Attributes:
        number: in the order accepted, from 0.
        budget: bytes per second shared with other connections, or None.

    Raises:
        GoneError: from every method, when the client is no longer there.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, ledger: Ledger) -> None:
        self.number: int = ledger.opened()
        self.budget: Budget | None = None
        self._reader = reader
        self._writer = writer
        self._ledger = ledger
        self._ahead = bytearray()
        # A low mark of 0 makes `drain` wait until the socket took everything: what was drained was sent.
        writer.transport.set_write_buffer_limits(high=1, low=0)

    async def request(self, idle: float | None = None) -> RequestHead:
        """The next request head; waits for as long as the client keeps the connection open, or `idle` seconds."""
        try:
            async with asyncio.timeout(idle):
                while (end := self._ahead.find(b"\r\n\r\n")) < 0:
                    await self._more()
        except TimeoutError as error:
            raise GoneError from error
        head = bytes(self._ahead[:end])
        del self._ahead[: end + 4]
        return parse_head(head)

    async def pause(self, seconds: float) -> None:
        """Let time pass."""
        if seconds <= 0:
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.silence()

    async def held(self, gate: asyncio.Event) -> None:
        """Wait for what only the test that set the gate up knows."""
        while not gate.is_set():
            await self.pause(_TICK)

    async def silence(self) -> None:
        """Say nothing until the client leaves."""
        while True:
            await self._more()

    async def send(self, response: Response, record: RequestRecord | None, *, head_only: bool = False) -> None:
        """Send a response and note in `record` what was sent."""
        if response.raw is not None:
            size = response.drip[0] if response.drip else BLOCK
            await self._paced(response, None, cut(response.raw, size))
            return
        await self._interim(response)
        if record is not None:
            record.status = response.status
            record.body_start = response.body_start
        await self._head(response, head_bytes(response))
        if not head_only:
            await self._body(response, record)
        await self._drain()

    async def close(self) -> None:
        """Close by FIN, after what was written; by force when the client does not take it."""
        self._writer.close()
        try:
            async with asyncio.timeout(_CLOSE_WAIT):
                await self._writer.wait_closed()
        except (OSError, TimeoutError):
            self.abort()

    def abort(self) -> None:
        """Drop the connection and whatever was not sent yet."""
        self._writer.transport.abort()

    async def half_close(self) -> None:
        """Send FIN after what was written, and go on reading; TLS is not told (no close_notify)."""
        handle: socket.socket | None = self._writer.get_extra_info("socket")
        if handle is None or self._writer.transport.is_closing():
            raise GoneError
        if self._writer.can_write_eof():
            self._writer.write_eof()
            return
        await self._delivered(handle.fileno())
        with contextlib.suppress(OSError):
            handle.shutdown(socket.SHUT_WR)

    async def reset(self) -> None:
        """Close by RST, after what was written has left this end."""
        handle: socket.socket | None = self._writer.get_extra_info("socket")
        if handle is not None:
            await self._delivered(handle.fileno())
            # struct linger {on, 0 s}: close() then discards and resets (socket(7), SO_LINGER).
            kind = "hh" if sys.platform == "win32" else "ii"
            handle.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack(kind, 1, 0))
        self.abort()

    async def _interim(self, response: Response) -> None:
        """Informational responses, in batches; none goes out before the client's side took the batch before it."""
        left, one = response.interim, interim_bytes(response)
        while left > 0:
            count = int(min(left, _FLOOD))
            await self._head(response, one * count)
            left -= count
            # A drain that need not wait does not let others run, not even the one that notices an end.
            await asyncio.sleep(0)

    async def _head(self, response: Response, head: bytes) -> None:
        if response.head_drip is None:
            self._write(head)
            await self._drain()
            return
        for piece in cut(head, response.head_drip[0]):
            self._write(piece)
            await self._drain()
            await self.pause(response.head_drip[1])

    async def _body(self, response: Response, record: RequestRecord | None) -> None:
        rates = [rate for rate in (response.rate, self.budget and self.budget.rate) if rate]
        size = max(1, min(BLOCK, *(int(rate * _TICK) for rate in rates))) if rates else BLOCK
        size = response.drip[0] if response.drip else size
        chunks = await self._paced(response, record, response.blocks(size))
        if response.chunked and response.limit is None and response.last_chunk:
            self._write(chunk_line(response, chunks, 0) + trailer_bytes(response))

    async def _paced(self, response: Response, record: RequestRecord | None, blocks: Iterable[memoryview]) -> int:
        """Send blocks, in chunks where the response is; returns how many there were."""
        clock = asyncio.get_running_loop().time
        started, sent, number = clock(), 0, 0
        chunked = response.chunked and response.raw is None
        for number, block in enumerate(blocks, 1):
            if self.budget is not None:
                await self.pause(self.budget.take(len(block), clock()))
            if chunked:
                self._write(chunk_line(response, number - 1, len(block)))
            self._write(block)
            if chunked:
                self._write(b"\r\n")
            await self._count(record, len(block))
            sent += len(block)
            if response.drip:
                await self.pause(response.drip[1])
            elif response.rate:
                await self.pause(started + sent / response.rate - clock())
        return number

    async def _count(self, record: RequestRecord | None, size: int) -> None:
        queued = min(size, self._writer.transport.get_write_buffer_size())
        if record is None:
            await self._drain()
            return
        record.sent += size - queued
        await self._drain()
        record.sent += queued
        self._ledger.changed()

    def _write(self, data: bytes | memoryview) -> None:
        if self._writer.transport.is_closing():
            raise GoneError
        self._writer.write(data)

    async def _drain(self) -> None:
        try:
            await self._writer.drain()
        except OSError as error:
            raise GoneError from error

    async def _more(self) -> None:
        try:
            data = await self._reader.read(MAX_HEAD)
        except OSError as error:
            raise GoneError from error
        self._ahead += data
        if not data or len(self._ahead) > MAX_HEAD:
            raise GoneError

    async def _delivered(self, descriptor: int) -> None:
        await self._drain()
        # TLS keeps a buffer that nobody can ask about; between two looks it would have refilled the socket's.
        wanted, empty = (1 if self._writer.can_write_eof() else 2), 0
        for _ in range(_LOOKS):
            empty = 0 if _queued(descriptor) else empty + 1
            if empty == wanted:
                return
            await self.pause(0.01)


def _queued(descriptor: int) -> int:
    """Bytes the peer has not acknowledged yet (tcp(7), SIOCOUTQ); 0 where the system cannot say."""
    if sys.platform == "win32":
        return 0
    import fcntl  # noqa: PLC0415  # there is none on Windows
    import termios  # noqa: PLC0415

    try:
        return int.from_bytes(fcntl.ioctl(descriptor, termios.TIOCOUTQ, bytes(4)), sys.byteorder)
    except OSError:
        return 0
