"""One connection of the origin: reads request heads, sends responses, well or badly framed; it decides nothing."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import sys
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

from asyncdl.model import Headers
from asyncdl.testing.content import BLOCK

if TYPE_CHECKING:
    from collections.abc import Iterable

    from asyncdl.testing.ledger import Ledger, RequestRecord
    from asyncdl.testing.response import Response

#: Most bytes of a request head, and of anything a client sends ahead.
MAX_HEAD = 1 << 16
#: Seconds between two looks at a paced response: short enough to be smooth, long enough to cost nothing.
_TICK = 0.02
#: Seconds until a connection that was told to close is cut off.
_CLOSE_WAIT = 1.0


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

    Raises:
        GoneError: from every method, when the client is no longer there.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, ledger: Ledger) -> None:
        self._reader = reader
        self._writer = writer
        self._ledger = ledger
        self._ahead = bytearray()
        # A low mark of 0 makes `drain` wait until the socket took everything: what was drained was sent.
        writer.transport.set_write_buffer_limits(high=1, low=0)

    async def request(self) -> RequestHead:
        """The next request head; waits for as long as the client keeps the connection open."""
        while (end := self._ahead.find(b"\r\n\r\n")) < 0:
            await self._more()
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

    async def silence(self) -> None:
        """Say nothing until the client leaves."""
        while True:
            await self._more()

    async def send(self, response: Response, record: RequestRecord | None, *, head_only: bool = False) -> None:
        """Send a response and note in `record` what was sent."""
        if response.raw is not None:
            view, size = memoryview(response.raw), response.drip[0] if response.drip else BLOCK
            await self._paced(response, None, (view[at : at + size] for at in range(0, len(view), size)))
            return
        if record is not None:
            record.status = response.status
            record.body_start = response.span[0] if response.span else None
        self._write(head_bytes(response))
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

    async def reset(self) -> None:
        """Close by RST, after what was written has left this end."""
        handle: socket.socket | None = self._writer.get_extra_info("socket")
        if handle is not None:
            await self._delivered(handle.fileno())
            # struct linger {on, 0 s}: close() then discards and resets (socket(7), SO_LINGER).
            kind = "hh" if sys.platform == "win32" else "ii"
            handle.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack(kind, 1, 0))
        self.abort()

    async def _body(self, response: Response, record: RequestRecord | None) -> None:
        size = max(1, int(response.rate * _TICK)) if response.rate else BLOCK
        size = response.drip[0] if response.drip else min(size, BLOCK)
        await self._paced(response, record, response.blocks(size))
        if response.chunked and response.limit is None:
            self._write(b"0\r\n\r\n")

    async def _paced(self, response: Response, record: RequestRecord | None, blocks: Iterable[memoryview]) -> None:
        clock = asyncio.get_running_loop().time
        started, sent = clock(), 0
        for block in blocks:
            if response.chunked:
                self._write(b"%x\r\n" % len(block))
            self._write(block)
            if response.chunked:
                self._write(b"\r\n")
            await self._count(record, len(block))
            sent += len(block)
            if response.drip:
                await self.pause(response.drip[1])
            elif response.rate:
                await self.pause(started + sent / response.rate - clock())

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
        for _ in range(50):
            if not _queued(descriptor):
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


def head_bytes(response: Response) -> bytes:
    """Status line and headers, with the empty line that ends them."""
    try:
        reason = HTTPStatus(response.status).phrase
    except ValueError:
        reason = "Unknown"
    pairs = list(response.headers)
    if response.length is not None:
        pairs.append(("Content-Length", str(response.length)))
    if response.chunked:
        pairs.append(("Transfer-Encoding", "chunked"))
    if response.ending == "fin" and response.limit is None:
        pairs.append(("Connection", "close"))
    lines = [f"HTTP/1.1 {response.status} {reason}", *(f"{name}: {value}" for name, value in pairs)]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")
