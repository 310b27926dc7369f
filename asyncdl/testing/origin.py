"""The origin: a local HTTP/1.1 server of made-up objects behind URLs that expire, which misbehaves as scripted."""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import TYPE_CHECKING

from asyncdl.testing.answers import Answers
from asyncdl.testing.connection import Connection, RequestHead
from asyncdl.testing.content import Content
from asyncdl.testing.faults import Fault
from asyncdl.testing.ledger import Ledger, RequestRecord
from asyncdl.testing.limits import ConnectionRates, Limits
from asyncdl.testing.listener import Listener
from asyncdl.testing.objects import LAST_MODIFIED, MADE_UP, StoredObject
from asyncdl.testing.provider import Provider
from asyncdl.testing.refusals import http_date
from asyncdl.testing.response import Ending, Response
from asyncdl.testing.script import Script
from asyncdl.testing.signer import Signer, Terms

if TYPE_CHECKING:
    import ssl as ssl_module
    from types import TracebackType
    from typing import Self, Unpack


class Origin:
    """A local server for tests: objects of any size, presigned URLs, faults on demand, and a ledger of what it sent.

        async with Origin() as origin:
            content = origin.add("/model", 64 << 20)
            origin.script(Fault(request=2, reset_after=5000))
            await asyncdl.download(origin.provider("/model", ttl=1.5), dest)
            assert content.first_difference(dest) is None
            assert 0 == origin.ledger.open_connections

    It serves GET with single ranges, If-Match, If-None-Match and If-Range; HEAD is refused, as by a URL signed for GET,
    unless a fault names it.

    Args:
        seed: of the objects' contents.
        host: address listened on; another one of 127.0.0.0/8 makes another host.
        port: 0 lets the system choose.
        rate: bytes per second each connection gets; None: as fast as it goes.
        latency: seconds before every response.
        ranges: False ignores Range and says so.
        ssl: serve https with this context.
        clock_offset: seconds the server's clock, in Date and for expiry, is ahead of this machine's.
        silent: connections are accepted, and nothing is ever said on them, not even of TLS.
        requests_per_connection: after so many the connection is closed, unannounced.
        idle: seconds without another request after which a kept-alive connection is closed.
        max_connections, max_rate, retry_after, total_rate, connection_rates: see `Limits`.

    Attributes:
        ledger: what was asked and sent.
        faults: what `script` added, and how often it was applied.
        limits: may be changed at any time.
    """

    def __init__(
        self,
        *,
        seed: int = 1,
        host: str = "127.0.0.1",
        port: int = 0,
        rate: float | None = None,
        latency: float = 0.0,
        ranges: bool = True,
        ssl: ssl_module.SSLContext | None = None,
        clock_offset: float = 0.0,
        silent: bool = False,
        requests_per_connection: int | None = None,
        idle: float | None = None,
        max_connections: int | None = None,
        max_rate: float | None = None,
        retry_after: float | str | None = None,
        total_rate: float | None = None,
        connection_rates: ConnectionRates | None = None,
    ) -> None:
        self.seed = seed
        self.host = host
        self.rate = rate
        self.latency = latency
        self.clock_offset = clock_offset
        self.requests_per_connection = requests_per_connection
        self.idle = idle
        self.ledger: Ledger = Ledger()
        self.limits: Limits = Limits(
            max_connections=max_connections,
            max_rate=max_rate,
            retry_after=retry_after,
            total_rate=total_rate,
            connection_rates=connection_rates,
        )
        self._scheme = "http" if ssl is None else "https"
        self._silent = silent
        self._signer = Signer(secrets.token_bytes(32))
        self._answers = Answers(self._signer, self.limits, ranges=ranges)
        self.faults: Script = self._answers.faults
        self._listener = Listener(self._serve, self.ledger, host=host, port=port, ssl=ssl)

    async def __aenter__(self) -> Self:
        await self._listener.open(silent=self._silent)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()
        if error is None and self._listener.failures:
            msg = "the origin itself failed while serving"
            raise RuntimeError(msg) from self._listener.failures[0]

    async def aclose(self) -> None:
        """Stop listening and drop every connection; no task and no socket is left."""
        await self._listener.aclose()

    @contextlib.asynccontextmanager
    async def refusing(self) -> AsyncIterator[None]:
        """Refuse connections meanwhile, as if no server were running; those that are open go on.

        async with origin.refusing():
            ...                     # ConnectionRefusedError for whoever comes now
        """
        await self._listener.refuse()
        try:
            yield
        finally:
            await self._listener.open(silent=self._silent)

    @contextlib.asynccontextmanager
    async def silence(self) -> AsyncIterator[None]:
        """Accept connections meanwhile and never say a word on them, not even of TLS; those that are open go on."""
        await self._listener.open(silent=True)
        try:
            yield
        finally:
            await self._listener.open(silent=self._silent)

    @property
    def ranges(self) -> bool:
        """Whether Range is honoured; may be changed at any time."""
        return self._answers.ranges

    @ranges.setter
    def ranges(self, value: bool) -> None:
        self._answers.ranges = value

    @property
    def port(self) -> int:
        """The port listened on; what was asked for, before."""
        return self._listener.port

    @property
    def base_url(self) -> str:
        """Scheme, host and port; no slash at the end."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self._scheme}://{host}:{self.port}"

    @property
    def connections(self) -> int:
        """Connections that are open now."""
        return len(self._listener)

    def now(self) -> float:
        """The server's clock, in seconds since the epoch."""
        return time.time() + self.clock_offset

    def add(
        self,
        path: str,
        size: int,
        *,
        etag: str | None = MADE_UP,
        last_modified: str | None = LAST_MODIFIED,
        seed: int | None = None,
    ) -> Content:
        """Serve an object of `size` bytes at `path`; one that is there already is replaced, also in mid-download.

        Responses that have begun go on with the object they began with.

        Args:
            path: begins with a slash; served under exactly this spelling, percent-encoding included.
            etag: header value with its quotes; by default a strong one that follows the content; None sends none.
            last_modified: header value; None sends none.
            seed: of the content; None takes the origin's.

        Raises:
            OptionsError: the path does not begin with a slash, or has a query.
        """
        content = Content(self.seed if seed is None else seed, size)
        self._answers.objects[path] = StoredObject(path=path, content=content, etag=etag, last_modified=last_modified)
        return content

    def content(self, path: str) -> Content:
        """The content served at `path`."""
        return self._answers.objects[path].content

    def url(self, path: str) -> str:
        """The unsigned URL of `path`."""
        return self.base_url + path

    def presign(self, path: str, *, ttl: float, skin: str = "s3v4", **terms: Unpack[Terms]) -> str:
        """A URL that dies `ttl` seconds from now, to the millisecond; what can be read in it is rounded up to seconds.

        Args:
            skin: s3v4, s3sts, s3v2, r2, minio, ceph, oss, gcs, gcs_v2, azure, cloudfront, hf or opaque.
            terms: `not_before`, `skew` and `allowed`, see `asyncdl.testing.signer.Terms`.

        Raises:
            OptionsError: there is no such skin, or its URLs cannot say such a thing.
        """
        return self.base_url + self._signer.mint(path, skin=skin, ttl=ttl, now=self.now(), **terms)

    def provider(
        self, path: str, *, ttl: float, skin: str = "s3v4", delay: float = 0.0, **terms: Unpack[Terms]
    ) -> Provider:
        """A URL provider for `path`; every call signs anew, as `presign` does, after `delay` seconds."""
        return Provider(lambda: self.presign(path, ttl=ttl, skin=skin, **terms), delay=delay)

    def revoke(self, url: str) -> None:
        """Refuse a URL from now on, without a word about expiry."""
        self._signer.revoke(url)

    def expire(self, url: str) -> None:
        """Let a URL die now, whatever can be read in it."""
        self._signer.expire(url, self.now())

    def require_signature(self, path: str) -> None:
        """Refuse unsigned requests for `path`."""
        self._answers.signed_only.add(path)

    def script(self, *faults: Fault) -> None:
        """Append faults; the first that matches a request is applied."""
        self.faults.add(*faults)

    def control(self, head: RequestHead) -> Response | None:
        """A response outside objects, faults and ledger, or None; for subclasses."""
        del head
        return None  # the value is the answer

    async def _serve(self, connection: Connection) -> None:
        crowded = self.limits.crowded(self.ledger.open_connections)
        answered, ending = 0, "keep"
        while ending == "keep" and answered != self.requests_per_connection:
            ending = await self._exchange(connection, self.idle if answered else None, crowded=crowded)
            answered += 1
        if ending == "half":
            await connection.half_close()
            await connection.silence()

    async def _exchange(self, connection: Connection, idle: float | None, *, crowded: bool) -> Ending:
        """One request and its response; how the connection goes on."""
        head = await connection.request(idle)
        own = self.control(head)
        if own is not None:
            await connection.send(own, None)
            return "keep" if head.keeps_alive else "fin"
        record = self._recorded(head, connection.number)
        try:
            response = await self._respond(connection, record, crowded=crowded)
            record.aborted = response.limit is not None
            if response.ending == "stall":
                await connection.silence()
            if response.ending == "reset":
                await connection.reset()
        except BaseException:
            record.aborted = True
            raise
        finally:
            record.finished = time.monotonic()
            self.ledger.changed()
        return "fin" if response.ending == "keep" and not head.keeps_alive else response.ending

    def _recorded(self, head: RequestHead, connection: int) -> RequestRecord:
        grant = self._signer.grant(head.target)
        record = RequestRecord(
            number=len(self.ledger.requests),
            connection=connection,
            method=head.method,
            path=head.target.partition("?")[0],
            raw_target=head.target,
            headers=head.headers,
            generation=grant.generation if grant else None,
            started=time.monotonic(),
        )
        self.ledger.requests.append(record)
        self.ledger.changed()
        return record

    async def _respond(self, connection: Connection, record: RequestRecord, *, crowded: bool) -> Response:
        response = self._answers.answer(record, crowded=crowded, base_url=self.base_url, now=self.now())
        self.ledger.changed()  # now it is known whether an object is involved, and nothing may happen for long
        await connection.pause(response.delay + self.latency)
        if response.gate is not None:
            await connection.held(response.gate)
        if response.mute:
            await connection.silence()
        date = () if "date" in response.dropped else (("Date", http_date(self.now())),)
        rate = response.rate or self.limits.rate_of(record.connection) or self.rate
        connection.budget = self.limits.budget()
        response = replace(response, headers=(*date, *response.headers), rate=rate)
        await connection.send(response, record, head_only=record.method == "HEAD")
        return response
