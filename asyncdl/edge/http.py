"""HTTP over aiohttp: one range request out, one response with its body in.

What a response is worth is decided elsewhere; here it is only brought in, with every wait bounded and every fault
translated. The `http` modules of this folder are the only ones that name aiohttp.
"""

from __future__ import annotations

import asyncio
import contextlib
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import TypeAlias

import aiohttp
from aiohttp.typedefs import StrOrURL

from asyncdl._version import __version__
from asyncdl.edge.buffers import BufferPool
from asyncdl.edge.environment import check_proxy, proxy_for
from asyncdl.edge.http_connections import WHEN_SENT, Connector, NoCookies, RawResponse, Trust, as_read
from asyncdl.edge.http_faults import leads_inside, translate
from asyncdl.edge.http_pooled import handlers
from asyncdl.edge.http_response import Exchange, let_parse
from asyncdl.edge.transport import Response
from asyncdl.edge.waits import Bound, Row, is_cancelled
from asyncdl.errors import ConnectError, OptionsError, ResponseMismatchError, StallError, TransferError
from asyncdl.model import HeaderPairs, SignedUrl
from asyncdl.options import Options, Timeouts
from asyncdl.rules import addresses
from asyncdl.rules.fields import merge_fields, take_userinfo
from asyncdl.rules.ranges import range_header
from asyncdl.rules.urls import Origin, origin_of, redirect_target

#: The type of session that a caller may give.
Session: TypeAlias = aiohttp.ClientSession

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
#: 64 to 256 KiB measured best; from 1 MiB on aiohttp gets slower and larger.
_READ_BUFFER = 128 * 1024
#: Seconds granted to connections that are being closed.
_CLOSE_GRACE = 2.0
_USER_AGENT = f"asyncdl/{__version__}"


class AiohttpTransport:
    """The transport over one aiohttp session.

    A redirect from a host of the public Internet to an address that is not is refused, unless the options allow it:
    by the address that is connected to, each time; over a proxy or the caller's session, whose business that is, by
    what the URL spells out.

    Args:
        session: used as it is (its connector, headers and cookies) and never closed; None opens one that keeps no
            cookies, reads no .netrc and has no limit but the caller's.
        connections: that there will be at once; None for those of `options`.
    """

    def __init__(
        self,
        options: Options,
        timeouts: Timeouts,
        session: aiohttp.ClientSession | None = None,
        *,
        connections: int | None = None,
    ) -> None:
        self._options, self._timeouts = options, timeouts
        self._proxy = check_proxy(options.proxy) if options.proxy else None
        self._given = session
        self._pool = BufferPool(options.chunk_size, connections or options.connections)
        self._own = None if session else self._open_session(self._connector(), owned=True)
        self._stranger: aiohttp.ClientSession | None = None
        self._fenced: aiohttp.ClientSession | None = None
        self._trust = Trust(options)
        # Connections of ours are there for whoever asks: until the request is sent, it is connecting that takes time.
        self._connecting = Row(timeouts.connect + timeouts.response if session else timeouts.connect)
        self._answering = Row(timeouts.response)
        # Nothing but connecting is timed by aiohttp: its total would end long downloads, its sock_read cannot tell
        # a quiet server from a full queue.
        self._client_timeout = aiohttp.ClientTimeout(total=None, sock_connect=timeouts.connect)

    def _connector(self, *, public_only: bool = False) -> Connector:
        protocols = partial(handlers, self._options.chunk_size) if self._options.pooled_buffers else None
        return Connector(self._timeouts.connect, public_only=public_only, protocols=protocols)

    def _open_session(self, connector: aiohttp.BaseConnector | None, *, owned: bool) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=connector,
            connector_owner=owned,
            proxy=_proxy_of(self._given),
            proxy_auth=getattr(self._given, "_default_proxy_auth", None),
            cookie_jar=NoCookies(),
            response_class=RawResponse,
            trust_env=False,
        )

    @property
    def connection_limit(self) -> int | None:
        connector = self._given.connector if self._given else None
        if connector is None:
            return None
        return min((limit for limit in (connector.limit, connector.limit_per_host) if limit), default=None)

    async def aclose(self) -> None:
        self._connecting.close()
        self._answering.close()
        self._pool.patience.close()
        for session in (self._stranger, self._fenced, self._own):
            if session is not None:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_CLOSE_GRACE):
                        await session.close()

    def open(
        self, url: SignedUrl, start: int, stop: int | None, *, headers: HeaderPairs, home: Origin
    ) -> AbstractAsyncContextManager[Response]:
        own = (
            ("Accept-Encoding", "identity"),
            ("Range", range_header(start, stop)),
            ("User-Agent", self._options.user_agent or _USER_AGENT),
        )
        return Exchange(partial(self._follow, url, own, headers, home), self._pool, self._timeouts.response)

    async def _follow(
        self, url: SignedUrl, own: HeaderPairs, headers: HeaderPairs, home: Origin
    ) -> tuple[aiohttp.ClientResponse, list[str], list[str]]:
        """The first response that is no redirect, the URLs that redirects led to, and the given header values sent."""
        target, basic = take_userinfo(url.url)
        first = origin = origin_of(target)
        stayed, public = True, False
        trail: list[str] = []
        values = [value for _, value in (*url.headers, *headers, *basic)]
        while True:
            # Once left, an origin is not come back to: who controls a redirect must not choose where headers go.
            stayed = stayed and origin == first
            given = (url.headers, headers if first == home else (), basic) if stayed else ()
            proxy = self._proxy or self._proxy_of_environment(target)
            fenced = public and not self._options.allow_private_redirects
            if fenced and not addresses.may_be_public(origin.host):
                raise leads_inside()
            session = self._session(stranger=not stayed or first != home, fenced=fenced and proxy is None)
            fields = merge_fields(*given, own) if any(given) else own
            if getattr(session, "auth", None) is not None and any(
                name.lower() == "authorization" for name, _ in fields
            ):
                raise OptionsError("both the session and the headers (or the URL) say who asks: give one of them")
            raw = await self._request(session, target, fields, proxy)
            location = raw.headers.get("Location")
            if raw.status not in _REDIRECTS or location is None:
                return raw, trail, values
            # Where a proxy or a session of the caller's connects, nobody here knows the address.
            peer = None if proxy or self._given else getattr(raw, "peer", None)
            public = public or (addresses.may_be_public(origin.host) if peer is None else addresses.is_public(peer))
            let_parse(raw)  # if all of the body is there, the connection can be used again
            raw.close()
            if len(trail) == self._options.max_redirects:
                raise ResponseMismatchError(f"more than {self._options.max_redirects} redirects")
            target = redirect_target(target, location)
            origin = origin_of(target)
            trail.append(target)

    def _proxy_of_environment(self, url: str) -> str | None:
        # A session of the caller's says itself whether the environment counts; one that has a proxy passes it on.
        given = self._given
        wanted = self._options.use_environment if given is None else given.trust_env and not _proxy_of(given)
        return proxy_for(url) if wanted else None

    async def _request(
        self, session: aiohttp.ClientSession, url: str, fields: HeaderPairs, proxy: str | None
    ) -> aiohttp.ClientResponse:
        # A session of the caller's has its own idea of whom to trust, unless the options say otherwise.
        context = None
        if self._trust.needed(url, proxy) and not (self._given and self._options.ca_file is None):
            context = await self._trust.context(url, proxy)
        timeouts, sent = self._timeouts, self._given is not None
        fault: TransferError
        bound = Bound(self._connecting)

        def note_sent() -> None:
            nonlocal sent
            sent = True
            bound.move(self._answering)

        told = WHEN_SENT.set(note_sent)
        try:
            async with bound.timeout:
                return await session.get(
                    as_read(url),
                    headers=fields,
                    allow_redirects=False,
                    auto_decompress=False,
                    raise_for_status=False,
                    read_bufsize=_READ_BUFFER,
                    timeout=self._client_timeout,
                    proxy=proxy,
                    ssl=True if context is None else context,
                )
        except asyncio.CancelledError:
            if is_cancelled():
                raise
            # Who closes a session cancels what waits for its connections: let through, it would end this task in
            # silence, and the download would wait for it.
            fault = ConnectError("the wait for a connection was called off", retryable=True)
        except Exception as error:  # noqa: BLE001  # whatever a library raises may name the URL, and not all is ClientError
            if not bound.timeout.expired():
                fault = translate(error)
            elif sent:
                fault = StallError(f"no response headers within {timeouts.response:g} s", retryable=True)
            else:
                fault = ConnectError(f"no connection within {timeouts.connect:g} s", retryable=True)
        finally:
            WHEN_SENT.reset(told)
            bound.cancel()
        # Raised out here so that no exception with a URL inside hangs on to it as its context.
        raise fault

    def _session(self, *, stranger: bool, fenced: bool) -> aiohttp.ClientSession:
        session = self._given or self._own
        assert session is not None  # noqa: S101  # one of the two is always there
        if session.closed:
            raise OptionsError("the aiohttp session is closed")
        if self._given is None:
            if fenced and self._fenced is None:
                # Apart from the others: no connection in its pool was made without its rule.
                self._fenced = self._open_session(self._connector(public_only=True), owned=True)
            return self._fenced if fenced and self._fenced else session
        if not stranger:
            return session
        if self._stranger is None:
            # The caller's session may hold headers, cookies and credentials of its own: its connections and its proxy
            # are used on a foreign origin, wherever that was named, and nothing else of it.
            self._stranger = self._open_session(session.connector, owned=False)
        return self._stranger


def _proxy_of(session: aiohttp.ClientSession | None) -> StrOrURL | None:
    """The proxy that a session of the caller's was made with; aiohttp has no public name for it."""
    return getattr(session, "_default_proxy", None)
