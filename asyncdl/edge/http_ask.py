"""One small question over HTTP and its whole answer, for sources: where the files are, and under which URLs.

Redirects are answers here, and are not followed. What an answer means is the business of who asked.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import zlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from types import TracebackType
from typing import Final, Self

import aiohttp

from asyncdl._version import __version__
from asyncdl.edge.environment import check_proxy, proxy_for
from asyncdl.edge.http_connections import Connector, RawResponse, Trust, as_read
from asyncdl.edge.http_faults import leads_inside, translate
from asyncdl.edge.waits import Bound, Row, is_cancelled
from asyncdl.errors import ConnectError, OptionsError, ResponseMismatchError, StallError, TransferError
from asyncdl.model import HeaderPairs, Headers
from asyncdl.options import MIB, Options, Retry, Timeouts
from asyncdl.rules import addresses
from asyncdl.rules.fields import merge_fields, take_userinfo
from asyncdl.rules.providers import TRANSIENT_STATUSES
from asyncdl.rules.retry import delay, parse_retry_after
from asyncdl.rules.urls import check_headers, check_url, origin_of, redirect_target

#: Most bytes of an answer, unless who asks says otherwise; a page of a listing is at most some hundred KiB.
MOST_ANSWER: Final = 4 * MIB
#: The waits between the tries of one question.
_RETRY: Final = Retry()
#: Seconds granted to connections that are being closed.
_CLOSE_GRACE: Final = 2.0
#: zlib's name for "a gzip header and trailer" (zlib manual, inflateInit2).
_GZIP_WINDOW: Final = 16 + zlib.MAX_WBITS


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """The answer to one question. Its repr shows neither URL nor headers nor body: each may hold a secret.

    Attributes:
        status: the HTTP status.
        headers: as received.
        body: all of it, decoded where it came as gzip.
        url: what was asked.
        peer: the address that answered, where that is the server's and not a proxy's.
    """

    status: int
    headers: Headers = field(repr=False)
    body: bytes = field(repr=False)
    url: str = field(repr=False)
    peer: str | None = field(default=None, repr=False)

    def target(self, options: Options) -> str | None:
        """Where the answer's Location leads, as `leads_to` has it; None where it has none."""
        location = self.headers.get("Location")
        return None if location is None else self.leads_to(location, options)

    def leads_to(self, reference: str, options: Options) -> str:
        """The absolute URL of what the answer refers to.

        Raises:
            ResponseMismatchError: from https to http, to no http(s) URL, or from a public host to an address that is
                spelled out and not public, unless `options` allow that.
        """
        target = redirect_target(self.url, reference)
        asked = origin_of(self.url).host
        public = addresses.may_be_public(asked) if self.peer is None else addresses.is_public(self.peer)
        if public and not options.allow_private_redirects and not addresses.may_be_public(origin_of(target).host):
            raise leads_inside()
        return target


class Asker:
    """Asks, over connections that are kept until `aclose()`; bound to the event loop it was first used on.

    Proxies, certificate authorities and the environment are those of `options`; each question with its answer takes at
    most `timeouts.refresh` seconds, `timeouts.connect` of them to connect. It keeps no cookies and reads no .netrc.
    """

    def __init__(self, options: Options, timeouts: Timeouts) -> None:
        self._options, self._timeouts = options, timeouts
        self._proxy = check_proxy(options.proxy) if options.proxy else None
        self._trust = Trust(options)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close every connection."""
        session, self._session = self._session, None
        if session is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_CLOSE_GRACE):
                    await session.close()

    async def ask(
        self,
        method: str,
        url: str,
        *,
        headers: HeaderPairs = (),
        body: bytes | None = None,
        limit: int = MOST_ANSWER,
        tries: int = 1,
    ) -> Reply:
        """Send one request and bring in its answer, whatever its status; a redirect is not followed.

        Args:
            method: as GET.
            url: http or https; sent byte for byte. User and password in it become an Authorization header.
            headers: sent with it.
            body: of the request.
            limit: most bytes of the answer's body, as sent and as decoded.
            tries: how often it is sent, at most, where a fault or a status (429, 503 and the like) may pass; more than
                one for what does no harm when it arrives twice.

        Raises:
            OptionsError: the URL or a header cannot be sent.
            ConnectError: no connection, or it broke.
            StallError: no whole answer in time.
            ResponseMismatchError: not HTTP, a coding nobody asked for, or more than `limit` bytes.
        """
        target, basic = take_userinfo(check_url(url))
        # The answer to a HEAD has a size to tell, and that of something else once it is coded.
        coding = "identity" if method == "HEAD" else "gzip"
        own = (("Accept-Encoding", coding), ("User-Agent", self._options.user_agent or f"asyncdl/{__version__}"))
        fields = merge_fields(check_headers(headers), basic, own)
        proxy = self._proxy or (proxy_for(target) if self._options.use_environment else None)
        exchange = partial(self._exchange, method, target, fields, body, proxy, limit)
        patience = self._timeouts.refresh
        due = asyncio.get_running_loop().time() + patience
        row = Row(patience)
        bound = Bound(row)
        fault: TransferError
        try:
            async with bound.timeout:
                return await _repeated(exchange, tries, due)
        except asyncio.CancelledError:
            if is_cancelled():
                raise
            # Who closes this asker cancels what waits for its connections.
            fault = ConnectError("the wait for a connection was called off", retryable=True)
        except TimeoutError:
            if not bound.timeout.expired():
                raise  # a StallError is one too
            fault = StallError(f"no answer within {patience:g} s", retryable=True)
        finally:
            bound.cancel()
            row.close()
        raise fault

    async def _exchange(
        self, method: str, url: str, fields: HeaderPairs, body: bytes | None, proxy: str | None, limit: int
    ) -> Reply:
        context = await self._trust.context(url, proxy)
        raw = await self._opened().request(
            method,
            as_read(url),
            headers=fields,
            data=body,
            allow_redirects=False,
            auto_decompress=False,
            raise_for_status=False,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=self._timeouts.connect),
            proxy=proxy,
            ssl=True if context is None else context,
        )
        try:
            data = bytearray()
            while piece := await raw.content.readany():
                data += piece
                if len(data) > limit:
                    raise _too_much(limit)
            whole = _decoded(bytes(data), raw.headers.get("Content-Encoding", ""), limit)
        finally:
            if raw.content.at_eof():
                raw.release()
            else:
                raw.close()
        peer = None if proxy else getattr(raw, "peer", None)
        return Reply(status=raw.status, headers=Headers(raw.headers.items()), body=whole, url=url, peer=peer)

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=Connector(self._timeouts.connect),
                cookie_jar=aiohttp.DummyCookieJar(),
                response_class=RawResponse,
                trust_env=False,
            )
        return self._session


async def _repeated(exchange: Callable[[], Awaitable[Reply]], tries: int, due: float) -> Reply:
    """The first answer that is worth no other try."""
    for attempt in count():
        reply, fault = await _attempted(exchange)
        last = attempt + 1 >= tries
        wait = delay(_RETRY, attempt, random.random(), None if reply is None else _retry_after(reply))
        # What would come too late is not waited for: the answer there is says more than that time is up.
        last = last or asyncio.get_running_loop().time() + wait >= due
        if fault is not None and (last or not fault.retryable):
            # Raised out here so that no exception with a URL inside hangs on to it as its context.
            raise fault
        if reply is not None and (last or not _may_pass(reply)):
            return reply
        await asyncio.sleep(wait)
    raise AssertionError


async def _attempted(exchange: Callable[[], Awaitable[Reply]]) -> tuple[Reply | None, TransferError | None]:
    try:
        return await exchange(), None
    except OptionsError:
        raise
    except TransferError as error:
        return None, error
    except Exception as error:  # noqa: BLE001  # whatever a library raises may name the URL, and not all is ClientError
        return None, translate(error)


def _may_pass(reply: Reply) -> bool:
    return reply.status in TRANSIENT_STATUSES and reply.headers.get("Location") is None


def _retry_after(reply: Reply) -> float | None:
    return parse_retry_after(reply.headers.get("Retry-After"), date=reply.headers.get("Date"))


def _decoded(data: bytes, coding: str, limit: int) -> bytes:
    match coding.strip().lower():
        case "" | "identity":
            return data
        case "gzip" | "x-gzip":
            return _inflated(data, limit) if data else data
        case _:
            raise ResponseMismatchError("the answer came in a coding that nobody asked for")


def _inflated(data: bytes, limit: int) -> bytes:
    inflater = zlib.decompressobj(wbits=_GZIP_WINDOW)
    try:
        plain = inflater.decompress(data, limit + 1)
    except zlib.error:
        raise ResponseMismatchError("the answer says it is gzip, and is not", retryable=True) from None
    if len(plain) > limit:
        raise _too_much(limit)
    if not inflater.eof:
        raise ResponseMismatchError("the answer ends in the middle of its gzip", retryable=True)
    return plain


def _too_much(limit: int) -> ResponseMismatchError:
    return ResponseMismatchError(f"the answer has more than {limit} bytes")
