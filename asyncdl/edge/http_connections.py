"""The connections under the HTTP edge: how names are resolved, which addresses are connected to, what is used again.

Here is what aiohttp leaves open: it takes what arrived on an idle connection for the answer to the next request, reads
interim responses without end, and resolves names in a shared pool of threads.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
from collections.abc import Callable
from contextvars import ContextVar
from functools import partial
from http.cookies import BaseCookie, SimpleCookie
from typing import Any, cast

import aiohttp
import anyio.to_thread
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from aiohttp.http import RawResponseMessage
from aiohttp.tracing import Trace
from yarl import URL

from asyncdl.edge.environment import trust_store
from asyncdl.edge.lookup import look_up
from asyncdl.options import Options
from asyncdl.rules import addresses
from asyncdl.rules.urls import origin_of

#: Interim responses (1xx) before the final one that are read. Real servers send one or two (100, 103).
MOST_INTERIM = 20
#: Called when the head of a request of the running task has been sent.
WHEN_SENT: ContextVar[Callable[[], None]] = ContextVar("when sent", default=lambda: None)
#: What ends the head of a message (RFC 9112 section 2.1).
HEAD_END = b"\r\n\r\n"


class PrivateAddressError(OSError):
    """An address that a redirect from the public Internet must not lead to."""

    def __init__(self) -> None:
        # Always the same words: of several addresses that fail alike, one error remains.
        super().__init__(errno.EACCES, "not an address of the public Internet")


class TooManyInterimError(aiohttp.ClientError):
    """A server that sends one interim response after another."""


class Resolver(AbstractResolver):
    """The system's resolver, with a bound."""

    def __init__(self, patience: float) -> None:
        self._patience = patience

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        return [
            ResolveResult(
                hostname=host,
                host=found.host,
                port=found.port,
                family=found.family,
                proto=0,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for found in await look_up(host, port, family, self._patience)
        ]

    async def close(self) -> None:
        """Nothing is held."""


class Connector(aiohttp.TCPConnector):
    """Connections without a limit to their number.

    Args:
        patience: seconds for one name resolution.
        public_only: refuses to connect to any address that is not the public Internet's. What is asked is the address
            itself, each time a socket is made for it: a name that means another address by then gains nothing.
        protocols: of an event loop, what makes the protocols of the connections; None for `HeadFirst`.
    """

    def __init__(
        self,
        patience: float,
        *,
        public_only: bool = False,
        protocols: Callable[[asyncio.AbstractEventLoop], Callable[[], ResponseHandler]] | None = None,
    ) -> None:
        super().__init__(limit=0, resolver=Resolver(patience), socket_factory=_public_socket if public_only else None)
        # The only place where aiohttp says which protocol its connections speak.
        factory = protocols(self._loop) if protocols else partial(HeadFirst, loop=self._loop)
        self._factory = cast("partial[ResponseHandler]", factory)

    async def connect(
        self,
        req: aiohttp.ClientRequest,
        traces: list[Trace],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109
    ) -> Connection:
        """A connection on which nothing has arrived that nobody asked for (RFC 9112 section 9.2)."""
        while True:
            connection = await super().connect(req, traces, timeout)
            protocol = connection.protocol
            if not (isinstance(protocol, HeadFirst) and protocol.used and protocol.should_close):
                break
            connection.close()
        if isinstance(protocol, HeadFirst):
            protocol.used = True
        return connection


class HeadFirst(ResponseHandler):
    """Hands the parser a head by itself.

    aiohttp's parser forgets a response whose end came in one read with bytes that are no HTTP: what was declared is
    there, and only what follows it is not to be used (RFC 9112 section 6.3).

    Attributes:
        used: a request has been sent over the connection.
        counts: no more than `MOST_INTERIM` interim responses in a row are read, and then an error.
    """

    used: bool = False
    counts: bool = False
    _interim = 0

    def feed_data(self, data: tuple[RawResponseMessage, aiohttp.StreamReader], size: int = 0) -> None:
        """One message more. Interim ones are counted; after too many in a row nothing more is of interest."""
        if not self.counts:
            super().feed_data(data, size)
            return
        if self._interim > MOST_INTERIM:
            return
        self._interim = self._interim + 1 if data[0].code < 200 else 0
        if self._interim > MOST_INTERIM:
            self.set_exception(TooManyInterimError())
        else:
            super().feed_data(data, size)

    def data_received(self, data: bytes) -> None:
        if self.transport is not None and self.transport.is_closing():
            # Asked to go on where it stopped, the parser would find the same fault, and close what is closed: a TLS
            # transport of CPython's that is closed twice has no protocol any more, and says so by AttributeError.
            return
        for _ in range(MOST_INTERIM + 1):  # each head costs a copy of what follows it
            if self._payload is not None and not self._payload.is_eof():
                break
            end = data.find(HEAD_END) + len(HEAD_END)
            if not len(HEAD_END) <= end < len(data):
                break
            super().data_received(data[:end])
            data = data[end:]
            if self.transport is None or self.transport.is_closing():
                return
        super().data_received(data)
        # Nobody reads them on an idle connection, and a parsed head takes far more room than one that is sent.
        if self.transport is not None and len(self) > MOST_INTERIM + 1:
            self.transport.close()


def _public_socket(info: tuple[Any, ...]) -> socket.socket:
    family, kind, protocol, _, where = info
    if not addresses.is_public(str(where[0])):
        raise PrivateAddressError
    return socket.socket(family, kind, protocol)


class NoCookies(aiohttp.DummyCookieJar):
    """Keeps none, and has none to send: always the same none, where aiohttp's makes one for each request."""

    def filter_cookies(self, request_url: URL) -> BaseCookie[str]:  # noqa: ARG002
        return _NO_COOKIES


_NO_COOKIES: BaseCookie[str] = SimpleCookie()


class RawResponse(aiohttp.ClientResponse):
    """A response that knows where it came from, and ends where interim responses do not.

    Attributes:
        peer: the address at the other end of the connection: the server's, or a proxy's.
    """

    peer: str | None = None

    async def start(self, connection: Connection) -> aiohttp.ClientResponse:
        # aiohttp's own signal for this costs more than all else that is done here for a request.
        WHEN_SENT.get()()
        protocol = connection.protocol
        if protocol is None or protocol.transport is None:
            return await super().start(connection)
        where = protocol.transport.get_extra_info("peername")
        self.peer = str(where[0]) if isinstance(where, tuple) else None
        if isinstance(protocol, HeadFirst):
            protocol.counts = True
            return await super().start(connection)
        read, interim = protocol.read, 0

        async def counted() -> Any:  # noqa: ANN401  # whatever aiohttp's own has
            nonlocal interim
            message = await read()
            interim += message[0].code < 200
            if interim > MOST_INTERIM:
                raise TooManyInterimError
            return message

        # On the object, and only for as long as headers are read: aiohttp has no better place to count them.
        vars(protocol)["read"] = counted
        try:
            return await super().start(connection)
        finally:
            vars(protocol).pop("read", None)


class Trust:
    """Whose certificates are believed: read once, when first needed, away from the event loop."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._ssl: ssl.SSLContext | None = None
        self._loading = asyncio.Lock()

    def needed(self, url: str, proxy: str | None) -> bool:
        """Whether there is anybody to trust, or a file was named: a mistake in its name shows at once."""
        secure = url[:6].lower() == "https:" or (proxy is not None and proxy[:6].lower() == "https:")
        return secure or self._options.ca_file is not None

    async def context(self, url: str, proxy: str | None) -> ssl.SSLContext | None:
        """What to connect with, or None where neither URL nor proxy is https and no file was named.

        Raises:
            OptionsError: the file that was named cannot be read.
        """
        if not self.needed(url, proxy):
            return None
        # One for all: aiohttp reuses a connection only under the context it was made with.
        async with self._loading:
            if self._ssl is None:
                ca_file = None if self._options.ca_file is None else str(self._options.ca_file)
                environment = self._options.use_environment
                self._ssl = await anyio.to_thread.run_sync(lambda: trust_store(ca_file, use_environment=environment))
        return self._ssl


def as_read(url: str) -> URL:
    """The URL for aiohttp, which takes its host and port from there: they must be the ones that were judged.

    Raises:
        ValueError: they are not.
    """
    read, judged = URL(url, encoded=True), origin_of(url)
    if ((read.raw_host or "").lower().removesuffix("."), read.port) != (judged.host, judged.port):
        raise ValueError(url)
    return read
