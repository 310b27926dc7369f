"""A forward proxy that writes down what it saw: CONNECT tunnels and absolute-form requests, open or with a password."""

from __future__ import annotations

import asyncio
import base64
import contextlib
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from asyncdl.model import Headers

_MAX_HEAD = 1 << 16
_SHUTDOWN = 30.0


@dataclass(frozen=True, slots=True)
class Seen:
    """One request to the proxy, its target as it came."""

    method: str
    target: str
    headers: Headers = field(repr=False)


class Proxy:
    """Forwards to wherever it is asked to, one request or tunnel for each connection.

    Args:
        credentials: `user:password` that it insists on.
        status: answers every request with this, and forwards nothing.
    """

    def __init__(self, *, credentials: str | None = None, status: int | None = None) -> None:
        self._credentials, self._status = credentials, status
        self._server: asyncio.Server | None = None
        self._serving: set[asyncio.Task[None]] = set()
        self.seen: list[Seen] = []
        self.port = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accepted, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._serving:
            task.cancel()
        async with asyncio.timeout(_SHUTDOWN):
            while self._serving:
                await asyncio.wait(set(self._serving))
            await self._server.wait_closed()

    def url(self, userinfo: str = "") -> str:
        """Where it listens."""
        return f"http://{userinfo + '@' if userinfo else ''}127.0.0.1:{self.port}"

    def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            async with contextlib.AsyncExitStack() as stack:
                stack.callback(writer.close)
                head = (await reader.readuntil(b"\r\n\r\n"))[:_MAX_HEAD]
                first, *lines = head.decode("latin-1").split("\r\n")[:-2]
                method, target, _ = first.split(" ")
                pairs = [line.partition(": ") for line in lines]
                seen = Seen(method, target, Headers((name, value) for name, _, value in pairs))
                self.seen.append(seen)
                if refusal := self._refusal(seen):
                    writer.write(refusal)
                    await writer.drain()
                    return
                await self._forward(seen, reader, writer)

    def _refusal(self, seen: Seen) -> bytes | None:
        if self._status is not None:
            return b"HTTP/1.1 %d No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n" % self._status
        if self._credentials is None:
            return None
        expected = "Basic " + base64.b64encode(self._credentials.encode()).decode()
        if seen.headers.get("Proxy-Authorization") == expected:
            return None
        return (
            b"HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=x\r\n"
            b"Content-Length: 0\r\nConnection: close\r\n\r\n"
        )

    @staticmethod
    async def _forward(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tunnel = seen.method == "CONNECT"
        split = urlsplit(("//" if tunnel else "") + seen.target)
        there_reader, there_writer = await asyncio.open_connection(split.hostname, split.port or 80)
        try:
            if tunnel:
                writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            else:
                target = "/" + seen.target.split("://", 1)[1].partition("/")[2]
                kept = [(name, value) for name, value in seen.headers if not name.lower().startswith("proxy-")]
                lines = [f"{seen.method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in kept)]
                there_writer.write("\r\n".join([*lines, "", ""]).encode("latin-1"))
            await asyncio.gather(_pump(reader, there_writer), _pump(there_reader, writer))
        finally:
            there_writer.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(1 << 16):
        writer.write(data)
        await writer.drain()
    writer.close()
