"""Stand-ins for the edges: a transport that plays a script, a sink that keeps its bytes; both keep the contracts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias, TypeVar

from asyncdl.edge.disk import Reader
from asyncdl.edge.refusals import exists, storage_error
from asyncdl.edge.transport import Body, Response
from asyncdl.errors import ConnectError, TransferError
from asyncdl.model import Chunk, HeaderPairs, Headers, IfExists, Part, SignedUrl
from asyncdl.rules.head import Head
from asyncdl.rules.held import Held
from asyncdl.rules.journal import State
from asyncdl.rules.urls import Origin

T = TypeVar("T")

#: What follows the last piece of a body: its proper end, a broken connection, or nothing, ever.
End: TypeAlias = Literal["complete", "broken", "silent"]


@dataclass(frozen=True, slots=True)
class Call:
    """One request that a `ScriptedTransport` was asked to make."""

    url: SignedUrl
    start: int
    stop: int | None
    headers: HeaderPairs
    home: Origin


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What a scripted transport answers.

    Attributes:
        error: raised instead of an answer.
        wait: never answer; whoever asks waits until it is cancelled.
        gate: answer only once this is set.
        pieces: the body as it arrives; `end` comes after them.
    """

    status: int = 206
    headers: HeaderPairs = ()
    pieces: tuple[bytes, ...] = ()
    end: End = "complete"
    hops: int = 0
    secrets: tuple[str, ...] = ()
    error: TransferError | None = None
    wait: bool = False
    gate: asyncio.Event | None = None


def honest(content: bytes, call: Call, *, piece: int = 1 << 14, etag: str | None = '"fake"') -> Reply:
    """The reply of a server that does everything right: 206, or 416 for a start behind the end."""
    size = len(content)
    if call.start >= size:
        return Reply(status=416, headers=(("Content-Range", f"bytes */{size}"),))
    stop = size if call.stop is None else min(call.stop, size)
    headers = [("Content-Range", f"bytes {call.start}-{stop - 1}/{size}"), ("Content-Length", str(stop - call.start))]
    if etag is not None:
        headers.append(("ETag", etag))
    places = range(call.start, stop, piece)
    return Reply(headers=tuple(headers), pieces=tuple(content[at : min(at + piece, stop)] for at in places))


class ScriptedTransport:
    """A transport without a network.

    Args:
        content: served to every request that the script does not answer.
        chunk_size: most bytes of one chunk.
        patience: seconds that reading the words of an error may take.
        connection_limit: as of a caller's session.

    Attributes:
        calls: every request, in order.
        in_flight, most_in_flight: responses that are held open now, and were at most.
        closed: `aclose` was called.
    """

    def __init__(
        self,
        content: bytes = b"",
        *,
        chunk_size: int = 1 << 20,
        patience: float = 1.0,
        connection_limit: int | None = None,
    ) -> None:
        self._content, self._chunk_size, self._patience = content, chunk_size, patience
        self._limit = connection_limit
        self._script: list[Reply | Callable[[Call], Reply]] = []
        self.calls: list[Call] = []
        self.in_flight = self.most_in_flight = 0
        self.closed = False

    def script(self, *replies: Reply | Callable[[Call], Reply]) -> None:
        """Answer the next requests so, in order; after the last one honestly again."""
        self._script.extend(replies)

    @property
    def connection_limit(self) -> int | None:
        return self._limit

    async def aclose(self) -> None:
        self.closed = True

    @asynccontextmanager
    async def open(
        self, url: SignedUrl, start: int, stop: int | None, *, headers: HeaderPairs, home: Origin
    ) -> AsyncIterator[Response]:
        call = Call(url, start, stop, headers, home)
        self.calls.append(call)
        reply = self._script.pop(0) if self._script else honest(self._content, call)
        if not isinstance(reply, Reply):
            reply = reply(call)
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            if reply.wait:
                await asyncio.Event().wait()
            if reply.gate is not None:
                await reply.gate.wait()
            if reply.error is not None:
                raise reply.error
            yield _ScriptedResponse(reply, self._chunk_size, self._patience)
        finally:
            self.in_flight -= 1


class _Pieces:
    """The bytes of one reply as they come off the wire."""

    def __init__(self, pieces: Iterable[bytes], end: End) -> None:
        self._pieces, self._end = iter(pieces), end

    async def next(self) -> bytes:
        """The next piece; nothing at the proper end.

        Raises:
            ConnectError: the connection broke.
        """
        await asyncio.sleep(0)
        piece = next(self._pieces, b"")
        if piece or self._end == "complete":
            return piece
        if self._end == "silent":
            await asyncio.Event().wait()
        raise ConnectError("the connection broke before the response was complete", retryable=True)


class _ScriptedResponse:
    def __init__(self, reply: Reply, chunk_size: int, patience: float) -> None:
        self.status, self.hops, self.headers = reply.status, reply.hops, Headers(reply.headers)
        self.secrets = reply.secrets
        self._pieces = _Pieces(reply.pieces, reply.end)
        self._chunk_size, self._patience = chunk_size, patience

    def at_hand(self, start: int, stop: int) -> Chunk | None:
        return None

    def body(self, start: int, stop: int | None) -> Body:
        return _ScriptedBody(self._pieces, start, stop, self._chunk_size)

    async def excerpt(self, limit: int) -> bytes:
        words = bytearray()
        try:
            async with asyncio.timeout(self._patience):
                while len(words) < limit and (piece := await self._pieces.next()):
                    words += piece
        except (ConnectError, TimeoutError):
            pass
        return bytes(words[:limit])


class _ScriptedBody:
    def __init__(self, pieces: _Pieces, start: int, stop: int | None, chunk_size: int) -> None:
        self._pieces, self._position, self._stop, self._chunk_size = pieces, start, stop, chunk_size
        self._pending = b""
        self.received = 0

    async def receive(self) -> Chunk | None:
        if self._position == self._stop:
            return None
        if not self._pending:
            self._pending = await self._pieces.next()
            self.received += len(self._pending)
        if not self._pending:
            if self._stop is None:
                return None
            raise ConnectError("the connection ended before the body did", retryable=True)
        room = self._chunk_size if self._stop is None else min(self._chunk_size, self._stop - self._position)
        chunk = Chunk(self._position, self._pending[:room])
        self._pending = self._pending[room:]
        self._position = chunk.stop
        return chunk


class RecordingSink:
    """A sink without a disk.

    Args:
        disk: finished files by path; shared by the sinks of one test.
        fail: the system's error, by number of the write, from 0.
        delay: seconds that each write takes.
        gate: no write ends before this is set.

    Attributes:
        data: what has been written, at its offsets.
        writes: the spans `[start, stop)` of each write, in the order they came.
        reserved: bytes, or None while nobody asked.
        prior: what an earlier download left; for a test to set.
        claimed: what has been claimed, in the order of the claims.
        forgotten: what was given up again.
        events: "begin", "reserve", "write", "commit", "forget", "publish" and "abandon", as they happened.
    """

    def __init__(
        self,
        dest: Path = Path("file"),
        *,
        if_exists: IfExists = "skip",
        disk: dict[Path, bytes] | None = None,
        fail: dict[int, OSError] | None = None,
        delay: float = 0.0,
        gate: asyncio.Event | None = None,
    ) -> None:
        self._dest, self._if_exists = dest, if_exists
        self.disk: dict[Path, bytes] = {} if disk is None else disk
        self.fail: dict[int, OSError] = {} if fail is None else fail
        self._delay, self._gate = delay, gate
        self.data = bytearray()
        self.writes: list[list[tuple[int, int]]] = []
        self.reserved: int | None = None
        self.prior: State | None = None
        self.claimed: list[Held] = []
        self.forgotten: list[Part] = []
        self.events: list[str] = []
        self._open = True

    @property
    def published(self) -> bytes | None:
        """The finished file, or None while there is none."""
        return self.disk.get(self._dest) if "publish" in self.events else None

    async def begin(self, head: Head, keep: Sequence[Held] = ()) -> None:
        self.events.append("begin")
        self.claimed = list(keep)

    async def reserve(self, size: int, *, preallocate: bool = True, check_space: bool = True) -> None:
        self.events.append("reserve")
        self.reserved = size
        self.data.extend(bytes(max(0, size - len(self.data))))

    async def commit(self, held: Sequence[Held]) -> None:
        self.events.append("commit")
        self._refuse_closed()
        self.claimed += held

    async def drop_cache(self, spans: Sequence[Part]) -> None:
        """There is none."""

    async def forget(self, spans: Sequence[Part]) -> None:
        self.events.append("forget")
        self.forgotten += spans

    async def beat(self) -> None:
        """There is nobody else."""

    async def examine(self, call: Callable[[Reader], T]) -> T:
        self._refuse_closed()
        return call(lambda offset, length: bytes(self.data[offset : offset + length]))

    async def write(self, chunks: Sequence[Chunk], then: Callable[[], object] = bool) -> None:
        number = len(self.writes)
        self.events.append("write")
        self.writes.append([(chunk.offset, chunk.stop) for chunk in chunks])
        if self._delay:
            await asyncio.sleep(self._delay)
        if self._gate is not None:
            await self._gate.wait()
        self._refuse_closed()
        if number in self.fail:
            raise storage_error(self.fail[number], "write", self._dest) from self.fail[number]
        for chunk in chunks:
            self.data.extend(bytes(max(0, chunk.stop - len(self.data))))
            self.data[chunk.offset : chunk.stop] = chunk.data
        then()

    async def publish(self, size: int) -> None:
        self._refuse_closed()
        if self._dest in self.disk and self._if_exists != "replace":
            raise exists(self._dest, "it appeared while the download ran")
        self.disk[self._dest] = bytes(self.data[:size]).ljust(size, b"\0")
        self.events.append("publish")
        self._open = False

    async def abandon(self, *, discard: bool = False) -> None:
        self.events.append("abandon")
        self._open = False

    def _refuse_closed(self) -> None:
        if not self._open:
            error = OSError(9, "Bad file descriptor")
            raise storage_error(error, "write", self._dest) from error
