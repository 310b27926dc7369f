"""A body out of an HTTP library's stream: pieces in, chunks that know their place out, nothing lost when it breaks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from asyncdl.errors import ConnectError, TransferError
from asyncdl.model import Chunk


class Stream(Protocol):
    """What is needed of `aiohttp.StreamReader`."""

    async def readchunk(self) -> tuple[bytes, bool]:
        """The next piece, and whether it ends a chunk of chunked coding; empty at the end."""
        ...

    def at_eof(self) -> bool:
        """Whether everything has come and been read."""
        ...


class StreamBody:
    """The plain path: whatever pieces the HTTP library's stream has.

    Args:
        translate: makes a transfer error of whatever the stream raises.
    """

    def __init__(
        self,
        stream: Stream,
        start: int,
        stop: int | None,
        chunk_size: int,
        translate: Callable[[Exception], TransferError],
    ) -> None:
        self._stream, self._position, self._stop, self._chunk_size = stream, start, stop, chunk_size
        self._translate = translate
        self._pending = memoryview(b"")
        self._fault: TransferError | None = None
        self.received: int = 0

    async def receive(self) -> Chunk | None:
        if self._position == self._stop:
            return None
        if not self._pending:
            data = await self._read()
            if not data:
                return None
            self.received += len(data)
            self._pending = memoryview(data)
        room = self._chunk_size if self._stop is None else min(self._chunk_size, self._stop - self._position)
        chunk = Chunk(self._position, self._pending[:room])
        self._pending = self._pending[room:]
        self._position = chunk.stop
        return chunk

    async def _read(self) -> bytes:
        if self._fault is None:
            try:
                data = await self._next_piece()
            except Exception as error:  # noqa: BLE001  # RuntimeError, and the parser's own, are among them
                self._fault = self._translate(error)
                data = self._salvage()
            if data or (self._stop is None and self._fault is None):
                return data
        raise self._fault or ConnectError("the connection ended before the body did", retryable=True)

    async def _next_piece(self) -> bytes:
        """One buffer as it came off the socket: `readany` would join, and so copy, all there are."""
        while True:
            data, ends_chunk = await self._stream.readchunk()
            # The end of a chunk of chunked coding comes as an empty piece; and aiohttp's stream of a body that it
            # takes for empty (a Content-Length of 2**64 - 1 is enough) says so at every call, without ever waiting.
            if data or not ends_chunk or self._stream.at_eof():
                return data

    def _salvage(self) -> bytes:
        """What had arrived when the connection broke: aiohttp's reader raises first and forgets it."""
        rest = getattr(self._stream, "_read_nowait", None)
        return b"" if rest is None else rest(-1)
