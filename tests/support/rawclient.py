"""A client that checks nothing and hides nothing: one request, every byte of the answer, and how it ended."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from asyncdl.model import Headers

if TYPE_CHECKING:
    import ssl as ssl_module
    from collections.abc import AsyncIterator, Mapping

#: Seconds after which a test has failed.
BOUND = 60.0


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back.

    Attributes:
        status: 0 if no response came.
        body: everything after the head, undecoded.
        end: "fin", "reset", or "silence" when nothing came for the time given.
    """

    status: int
    headers: Headers
    body: bytes
    end: str


def split_reply(raw: bytes, end: str = "fin") -> Reply:
    """Head and body apart."""
    head, found, body = raw.partition(b"\r\n\r\n")
    if not found:
        return Reply(0, Headers(), raw, end)
    first, *lines = head.decode("latin-1").split("\r\n")
    pairs = [line.partition(": ") for line in lines]
    return Reply(int(first.split(" ")[1]), Headers((name, value) for name, _, value in pairs), body, end)


def request_bytes(target: str, headers: Mapping[str, str], method: str = "GET") -> bytes:
    """A request head."""
    lines = [
        f"{method} {target} HTTP/1.1",
        "Host: origin.test",
        *(f"{name}: {value}" for name, value in headers.items()),
    ]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


@contextlib.asynccontextmanager
async def connected(
    url: str, ssl: ssl_module.SSLContext | None = None
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A plain connection to the server of a URL."""
    split = urlsplit(url)
    async with asyncio.timeout(BOUND):
        reader, writer = await asyncio.open_connection(split.hostname, split.port, ssl=ssl)
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            async with asyncio.timeout(BOUND):
                await writer.wait_closed()


def target_of(url: str) -> str:
    """The request target, byte for byte."""
    return "/" + url.partition("://")[2].partition("/")[2]


async def ask(
    url: str,
    *,
    span: tuple[int, int] | None = None,
    headers: Mapping[str, str] | None = None,
    method: str = "GET",
    patience: float = BOUND,
    ssl: ssl_module.SSLContext | None = None,
) -> Reply:
    """One request on a connection of its own, read to its end; `span` is the half-open range asked for."""
    sent = {"Connection": "close", **(headers or {})}
    if span is not None:
        sent["Range"] = f"bytes={span[0]}-{span[1] - 1}"
    raw, end = bytearray(), "fin"
    async with connected(url, ssl) as (reader, writer):
        writer.write(request_bytes(target_of(url), sent, method))
        try:
            while True:
                async with asyncio.timeout(patience):
                    data = await reader.read(1 << 16)
                if not data:
                    break
                raw += data
        except ConnectionResetError:
            end = "reset"
        except TimeoutError:
            end = "silence"
    return split_reply(bytes(raw), end)


async def read_reply(reader: asyncio.StreamReader) -> Reply:
    """One response with a Content-Length, from a connection that stays open."""
    async with asyncio.timeout(BOUND):
        head = await reader.readuntil(b"\r\n\r\n")
        reply = split_reply(head)
        body = await reader.readexactly(int(reply.headers.get("Content-Length") or 0))
    return Reply(reply.status, reply.headers, body, "open")
