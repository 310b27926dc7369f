"""What the tests of the HTTP edge share: a transport that closes, one request in one call, and a search for secrets."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Self

import aiohttp

from asyncdl.edge.http import AiohttpTransport
from asyncdl.edge.transport import Transport
from asyncdl.model import HeaderPairs, Headers, SignedUrl
from asyncdl.options import Options, Timeouts
from asyncdl.rules.urls import origin_of

#: Stands in the query, the user name and the password of every URL that must not be seen.
SECRET = "s3cr3t-Marker"
#: For whoever never answers: short enough to wait for once.
QUICK = Timeouts(connect=0.6, response=0.6)
#: For everybody else: only what hangs takes so long, however busy the machine is.
PATIENT = Timeouts(connect=60, response=60)


@dataclass(frozen=True, slots=True)
class Answer:
    """One response, its body read."""

    status: int
    headers: Headers
    body: bytes
    hops: int


@asynccontextmanager
async def transport(
    *, timeouts: Timeouts | None = None, session: aiohttp.ClientSession | None = None, **options: Any
) -> AsyncIterator[AiohttpTransport]:
    """A transport that leaves the environment alone unless told otherwise."""
    chosen = Options(**({"use_environment": False} | options))
    made = AiohttpTransport(chosen, timeouts or PATIENT, session)
    try:
        yield made
    finally:
        await made.aclose()


async def ask(
    over: Transport,
    url: str | SignedUrl,
    start: int = 0,
    stop: int | None = 100,
    *,
    headers: HeaderPairs = (),
    home: str | None = None,
) -> Answer:
    """One request and its body; `home` is a URL of the origin that the headers are for, by default the one asked."""
    signed = url if isinstance(url, SignedUrl) else SignedUrl(url)
    body = bytearray()
    async with over.open(signed, start, stop, headers=headers, home=origin_of(home or signed.url)) as response:
        if response.status in {200, 206}:
            stream = response.body(start, stop)
            while (chunk := await stream.receive()) is not None:
                body += chunk.data
        else:
            body += await response.excerpt(1 << 16)
        return Answer(response.status, response.headers, bytes(body), response.hops)


class Bare:
    """A server that says what it is told, whether that is HTTP or not.

    Args:
        serve: speaks on one connection, which is closed when it returns.
        secure: the certificate to show; None speaks in plain.

    Attributes:
        port: where it listens, on 127.0.0.1.
        heads: the request heads that `head` has read, in order.
        accepted: connections so far.
    """

    def __init__(
        self,
        serve: Callable[[Bare, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
        *,
        secure: ssl.SSLContext | None = None,
    ) -> None:
        self._serve, self._secure = serve, secure
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self.heads: list[bytes] = []
        self.accepted = 0
        self.port = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._begin, "127.0.0.1", 0, ssl=self._secure)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    def url(self, scheme: str | None = None) -> str:
        """Where it listens, with a secret in the query."""
        scheme = scheme or ("https" if self._secure else "http")
        return f"{scheme}://127.0.0.1:{self.port}/f?X-Signature={SECRET}"

    async def head(self, reader: asyncio.StreamReader) -> bytes:
        """The next request head; empty when the client has gone."""
        try:
            self.heads.append(await reader.readuntil(b"\r\n\r\n"))
        except (OSError, asyncio.IncompleteReadError):
            return b""
        return self.heads[-1]

    def _begin(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        task = asyncio.get_running_loop().create_task(self._run(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._serve(self, reader, writer)
        except OSError:
            pass  # the client left, as it may
        finally:
            writer.close()


def answering(*pieces: bytes, pause: float = 0.0, stay: bool = False) -> Bare:
    """A server whose every answer is these bytes, `pause` seconds apart; then it leaves, or waits for the next."""

    async def serve(bare: Bare, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await bare.head(reader):
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(pause)
            if not stay:
                return

    return Bare(serve)


def words_of(error: BaseException) -> str:
    """Everything that an exception, its causes and contexts would tell a log."""
    return "\n".join(_words(error, set()))


def _words(error: BaseException | None, seen: set[int]) -> Iterator[str]:
    if error is None or id(error) in seen:
        return
    seen.add(id(error))
    yield from (str(error), repr(error), repr(error.args), repr(vars(error)))
    yield from getattr(error, "__notes__", ())
    yield from _words(error.__cause__, seen)
    yield from _words(error.__context__, seen)
    for inner in getattr(error, "exceptions", ()):
        yield from _words(inner, seen)
