"""What the fetchers ask of a transport: one range request out, one response in. No implementation lives here.

The plain one is `edge/http.py`; tests script another, and a faster receiver fits behind `Body`.
"""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Protocol

from asyncdl.model import Chunk, HeaderPairs, Headers, SignedUrl
from asyncdl.rules.urls import Origin


class Body(Protocol):
    """The body of an accepted response, as chunks that carry their place in the object.

    A receiver that fills pooled buffers fits here: it counts in `received` what has reached a buffer, and returns a
    chunk, whose `release()` gives the buffer back, when the buffer is full or the part is at its end.
    """

    @property
    def received(self) -> int:
        """Bytes taken off the connection so far, returned yet or not."""
        ...

    async def receive(self) -> Chunk | None:
        """The next chunk, in order and without gaps; None at the end of the part.

        Raises:
            ConnectError: the connection ended before the part did.
        """
        ...


class Response(Protocol):
    """One response, its headers read and its body not yet."""

    @property
    def status(self) -> int: ...

    @property
    def headers(self) -> Headers: ...

    @property
    def hops(self) -> int:
        """Redirects between the URL that was asked and this response."""
        ...

    @property
    def secrets(self) -> tuple[str, ...]:
        """What was sent on the way and must not be shown where a body repeats it: URLs of redirects, header values."""
        ...

    def at_hand(self, start: int, stop: int) -> Chunk | None:
        """All of the body as the object's bytes from `start` to `stop`, if it has come and is that long; once.

        Else None, and nothing has been taken.
        """
        ...

    def body(self, start: int, stop: int | None) -> Body:
        """Take the body as the object's bytes from `start` to `stop`, or to wherever it ends."""
        ...

    async def excerpt(self, limit: int) -> bytes:
        """At most `limit` raw bytes of the body; what has come when it breaks or stops coming."""
        ...


class Transport(Protocol):
    """Sends range requests."""

    @property
    def connection_limit(self) -> int | None:
        """Most connections that can be open at once, or None."""
        ...

    def open(
        self, url: SignedUrl, start: int, stop: int | None, *, headers: HeaderPairs, home: Origin
    ) -> AbstractAsyncContextManager[Response]:
        """Ask for `[start, stop)` of `url`; an async context manager.

        Args:
            url: sent byte for byte.
            start, stop: half-open range; stop None asks for everything from `start`.
            headers: sent to `home`, and to no other origin.
            home: the origin that `headers` are meant for.

        Raises:
            ConnectError: no connection, or it broke.
            StallError: no response headers in time.
            ResponseMismatchError: not HTTP, or redirected where nobody should go.
        """
        ...

    async def aclose(self) -> None:
        """Close every connection."""
        ...
