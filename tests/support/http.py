"""What the tests of the HTTP edge share: a transport that closes, one request in one call, and a search for secrets."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp

from asyncdl.edge.http import AiohttpTransport
from asyncdl.edge.transport import Transport
from asyncdl.model import HeaderPairs, Headers, SignedUrl
from asyncdl.options import Options, Timeouts
from asyncdl.rules.urls import origin_of

#: Stands in the query, the user name and the password of every URL that must not be seen.
SECRET = "s3cr3t-Marker"
#: Seconds; for ever where everything else takes milliseconds, and short enough to wait for once.
QUICK = Timeouts(connect=0.6, response=0.6)


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
    made = AiohttpTransport(chosen, timeouts or Timeouts(connect=5, response=5), session)
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
