"""One direction of a connection through a `Toxics` proxy: what is read is held back until it is due; all bounded."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import struct
import sys
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from asyncdl.testing.toxics import Toxic

#: Bytes read at once, and how many such blocks may be under way in each direction of a connection.
_BLOCK: Final = 1 << 16
_BLOCKS: Final = 16
#: Seconds between two writes of a direction with a rate: smooth, and cheap.
_TICK: Final = 0.02
#: Seconds to let a closing socket flush.
_FLUSH: Final = 1.0


class ClosedError(Exception):
    """This connection is to be closed now."""


class LeftError(Exception):
    """The client of a silent connection has left."""


class Meter:
    """When the next byte may go."""

    def __init__(self) -> None:
        self._free = 0.0

    def wait(self, size: int, rate: float | None) -> float:
        """Seconds from now until bytes after these may go."""
        if rate is None:
            return 0.0
        now = asyncio.get_running_loop().time()
        self._free = max(self._free, now) + size / rate
        return self._free - now


class Flow:
    """One direction of one connection: what is received goes into a bounded queue, what is due comes out of it.

    Args:
        left: set by the direction that reads from the client, when the client has left.
        toxic: what holds now.
        passed: (bytes passed on, rate of all connections) -> seconds to wait before the next ones.
        seed: of the jitter.
    """

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        left: asyncio.Event,
        *,
        toxic: Callable[[], Toxic],
        passed: Callable[[int, float | None], float],
        seed: str,
        to_client: bool,
    ) -> None:
        self._reader, self._writer, self._left, self._to_client = reader, writer, left, to_client
        # What is under way is in the queue: nothing may gather in front of the socket.
        writer.transport.set_write_buffer_limits(high=1, low=0)
        self._toxic, self._passed = toxic, passed
        self._random = random.Random(seed)
        self._queue: asyncio.Queue[tuple[float, bytes | OSError]] = asyncio.Queue(_BLOCKS)
        self._meter = Meter()
        self._sent = 0

    async def receive(self) -> None:
        """Read to the end and note when each block is due."""
        clock, due = asyncio.get_running_loop().time, 0.0
        data: bytes | OSError = b"-"
        while data and not isinstance(data, OSError):
            try:
                data = await self._reader.read(_BLOCK)
            except OSError as error:
                # It takes its place behind what came before it.
                data = error
            if not self._to_client and (not data or isinstance(data, OSError)):
                self._left.set()
            toxic = self._toxic()
            due = max(due, clock() + toxic.latency + self._random.uniform(0.0, toxic.jitter))
            await self._queue.put((due, data))

    async def send(self) -> None:
        """Pass on what is due, to the end of the stream."""
        await self._end_if_due()
        while True:
            due, data = await self._queue.get()
            await asyncio.sleep(due - asyncio.get_running_loop().time())
            if isinstance(data, OSError):
                raise data
            if not data:
                await asyncio.sleep(self._toxic().close_delay)
                self._writer.write_eof()
                return
            await self._pass_on(memoryview(data))

    async def _pass_on(self, view: memoryview) -> None:
        while view:
            toxic = self._toxic()
            rates = [rate for rate in (toxic.rate, toxic.total_rate) if rate is not None]
            bounds = [toxic.segment or len(view), *(max(1, int(rate * _TICK)) for rate in rates)]
            # After a change of settings the end may lie behind us: it comes with the next byte.
            size = int(min(len(view), *bounds, max(1.0, toxic.end()[0] - self._sent)))
            self._writer.write(view[:size])
            await self._writer.drain()
            view = view[size:]
            self._sent += size
            waits = (
                self._passed(size, toxic.total_rate),
                self._meter.wait(size, toxic.rate),
                toxic.pause if toxic.segment else 0.0,
            )
            await self._end_if_due()
            if max(waits) > 0:
                await asyncio.sleep(max(waits))

    async def _end_if_due(self) -> None:
        after, end = self._toxic().end()
        if self._sent < after:
            return
        if end == "silence":
            # What the client sends on is swallowed, so that its end is seen; what the server sends is left waiting.
            while not self._to_client and not self._left.is_set():
                await self._queue.get()
            await self._left.wait()
            raise LeftError
        await _delivered(self._writer)
        if end == "reset":
            raise ConnectionResetError
        raise ClosedError


async def close(writer: asyncio.StreamWriter) -> None:
    """End a connection by FIN, after what was written; given up after a second."""
    writer.close()
    with contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(_FLUSH):
            await writer.wait_closed()


def hang_up(writer: asyncio.StreamWriter) -> None:
    """End a connection by RST, and forget what was not sent; one that is closed stays so."""
    handle: socket.socket | None = writer.get_extra_info("socket")
    if handle is not None and handle.fileno() >= 0:
        # struct linger {on, 0 s}: close() then discards and resets (socket(7), SO_LINGER).
        kind = "hh" if sys.platform == "win32" else "ii"
        handle.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack(kind, 1, 0))
    writer.transport.abort()


async def _delivered(writer: asyncio.StreamWriter) -> None:
    """Wait, for a bounded time, until the other side's system has what was written: a reset would discard it."""
    handle: socket.socket | None = writer.get_extra_info("socket")
    deadline = asyncio.get_running_loop().time() + _FLUSH
    while handle is not None and _queued(handle.fileno()):
        if asyncio.get_running_loop().time() > deadline:
            return
        await asyncio.sleep(0.01)  # nobody announces an acknowledgement


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
