"""The origin: a local HTTP/1.1 server of made-up objects behind URLs that expire, which misbehaves as scripted."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import time
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from asyncdl.errors import OptionsError
from asyncdl.testing.connection import Connection, GoneError, RequestHead
from asyncdl.testing.content import Content
from asyncdl.testing.faults import Fault, Script
from asyncdl.testing.ledger import Ledger, RequestRecord
from asyncdl.testing.provider import Provider
from asyncdl.testing.refusals import http_date, s3_mismatch
from asyncdl.testing.response import Response, StoredObject, faulty, honest, parse_range, plain, rangeless, refused
from asyncdl.testing.signer import Signer

if TYPE_CHECKING:
    import ssl as ssl_module
    from types import TracebackType
    from typing import Self

#: Stands for "make one up" where None means "send none".
_MADE_UP: Final = "\0"
_LAST_MODIFIED: Final = "Wed, 01 Jan 2025 00:00:00 GMT"
#: Seconds within which closing, and a TLS handshake that would outlive it, must be over.
_SHUTDOWN: Final = 5.0


class Origin:
    """A local server for tests: objects of any size, presigned URLs, faults on demand, and a ledger of what it sent.

        async with Origin() as origin:
            content = origin.add("/model", 64 << 20)
            origin.script(Fault(request=2, reset_after=5000))
            await asyncdl.download(origin.provider("/model", ttl=1.5), dest)
            assert content.first_difference(dest) is None
            assert 0 == origin.ledger.open_connections

    It serves GET with single ranges, If-Match, If-None-Match and If-Range; HEAD is refused, as by a URL signed for GET.

    Args:
        seed: of the objects' contents.
        port: 0 lets the system choose.
        rate: bytes per second each connection gets; None: as fast as it goes.
        latency: seconds before every response.
        ranges: False ignores Range and says so.
        ssl: serve https with this context.
        clock_offset: seconds the server's clock, in Date and for expiry, is ahead of this machine's.

    Attributes:
        ledger: what was asked and sent.
        faults: what `script` added, and how often it was applied.
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
    ) -> None:
        self.seed = seed
        self.host = host
        self.port: int = port
        self.rate = rate
        self.latency = latency
        self.ranges = ranges
        self.clock_offset = clock_offset
        self.ledger: Ledger = Ledger()
        self.faults: Script = Script()
        self._ssl = ssl
        self._objects: dict[str, StoredObject] = {}
        self._asked: Counter[str] = Counter()
        self._signed_only: set[str] = set()
        self._signer = Signer(secrets.token_bytes(32))
        self._server: asyncio.Server | None = None
        self._serving: dict[asyncio.Task[None], Connection] = {}
        self._failures: list[Exception] = []

    async def __aenter__(self) -> Self:
        handshake = None if self._ssl is None else _SHUTDOWN
        self._server = await asyncio.start_server(
            self._accepted, self.host, self.port, ssl=self._ssl, backlog=1024, ssl_handshake_timeout=handshake
        )
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()
        if error is None and self._failures:
            msg = "the origin itself failed while serving"
            raise RuntimeError(msg) from self._failures[0]

    async def aclose(self) -> None:
        """Stop listening and drop every connection; no task and no socket is left."""
        server, self._server = self._server, None
        if server is None:
            return
        server.close()
        for task, connection in self._serving.items():
            connection.abort()
            task.cancel()
        async with asyncio.timeout(_SHUTDOWN):
            while self._serving:
                await asyncio.wait(self._serving)
            await server.wait_closed()

    @property
    def base_url(self) -> str:
        """Scheme, host and port; no slash at the end."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'http' if self._ssl is None else 'https'}://{host}:{self.port}"

    @property
    def connections(self) -> int:
        """Connections that are open now."""
        return len(self._serving)

    def now(self) -> float:
        """The server's clock, in seconds since the epoch."""
        return time.time() + self.clock_offset

    def add(
        self,
        path: str,
        size: int,
        *,
        etag: str | None = _MADE_UP,
        last_modified: str | None = _LAST_MODIFIED,
        seed: int | None = None,
    ) -> Content:
        """Serve an object of `size` bytes at `path`; one that is there already is replaced.

        Args:
            path: begins with a slash; served under exactly this spelling, percent-encoding included.
            etag: header value with its quotes; by default a strong one that follows the content; None sends none.
            last_modified: header value; None sends none.
            seed: of the content; None takes the origin's.
        """
        if not path.startswith("/") or "?" in path:
            msg = f"a path begins with a slash and has no query: {path!r}"
            raise OptionsError(msg)
        content = Content(self.seed if seed is None else seed, size)
        if etag == _MADE_UP:
            etag = f'"{hashlib.blake2b(repr(content).encode(), digest_size=16).hexdigest()}"'
        self._objects[path] = StoredObject(path=path, content=content, etag=etag, last_modified=last_modified)
        return content

    def content(self, path: str) -> Content:
        """The content served at `path`."""
        return self._objects[path].content

    def url(self, path: str) -> str:
        """The unsigned URL of `path`."""
        return self.base_url + path

    def presign(self, path: str, *, ttl: float, skin: str = "s3v4") -> str:
        """A URL that dies `ttl` seconds from now, to the millisecond; what can be read in it is rounded up to seconds.

        Args:
            skin: s3v4, s3sts, s3v2, r2, gcs, azure, cloudfront or opaque.

        Raises:
            OptionsError: there is no such skin.
        """
        return self.base_url + self._signer.mint(path, skin=skin, ttl=ttl, now=self.now())

    def provider(self, path: str, *, ttl: float, skin: str = "s3v4", delay: float = 0.0) -> Provider:
        """A URL provider for `path`; every call signs anew, after `delay` seconds."""
        return Provider(lambda: self.presign(path, ttl=ttl, skin=skin), delay=delay)

    def revoke(self, url: str) -> None:
        """Refuse a URL from now on, without a word about expiry."""
        self._signer.revoke(url)

    def expire(self, url: str) -> None:
        """Let a URL die now, whatever can be read in it."""
        self._signer.expire(url, self.now())

    def require_signature(self, path: str) -> None:
        """Refuse unsigned requests for `path`."""
        self._signed_only.add(path)

    def script(self, *faults: Fault) -> None:
        """Append faults; the first that matches a request is applied."""
        self.faults.add(*faults)

    def control(self, head: RequestHead) -> Response | None:
        """A response outside objects, faults and ledger, or None; for subclasses."""
        del head
        return None  # the value is the answer

    def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = Connection(reader, writer, self.ledger)
        task = asyncio.get_running_loop().create_task(self._serve(connection))
        self._serving[task] = connection
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        del self._serving[task]
        error = None if task.cancelled() else task.exception()
        if isinstance(error, Exception):
            self._failures.append(error)

    async def _serve(self, connection: Connection) -> None:
        number = self.ledger.opened()
        try:
            while await self._exchange(connection, number):
                pass
        except GoneError:
            pass
        finally:
            self.ledger.closed()
            await connection.close()

    async def _exchange(self, connection: Connection, number: int) -> bool:
        """One request and its response; whether another may follow."""
        head = await connection.request()
        own = self.control(head)
        if own is not None:
            await connection.send(own, None)
            return head.keeps_alive
        record = self._recorded(head, number)
        try:
            response = await self._respond(connection, head, record)
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
        return response.ending == "keep" and head.keeps_alive

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

    async def _respond(self, connection: Connection, head: RequestHead, record: RequestRecord) -> Response:
        response = self._refusal(head, record)
        if response is None:
            response = await self._data(connection, record)
        await connection.pause(self.latency)
        dated = (("Date", http_date(self.now())), *response.headers)
        response = replace(response, headers=dated, rate=response.rate or self.rate)
        await connection.send(response, record, head_only=head.method == "HEAD")
        return response

    def _refusal(self, head: RequestHead, record: RequestRecord) -> Response | None:
        if head.method not in {"GET", "HEAD"}:
            return plain(405, b"", (("Allow", "GET"),), ending="fin")
        refusal = None
        if head.method == "HEAD":
            refusal = s3_mismatch()
        elif self._signer.is_signed(head.target) or record.path in self._signed_only:
            refusal = self._signer.verify(head.target, self.now())
        record.refused = refusal is not None
        if refusal is not None:
            return refused(refusal)
        return None if record.path in self._objects else plain(404, b"<Error><Code>NoSuchKey</Code></Error>")

    async def _data(self, connection: Connection, record: RequestRecord) -> Response:
        stored = self._objects[record.path]
        record.index = self._asked[record.path]
        self._asked[record.path] += 1
        record.range = parse_range(record.headers.get("Range"), stored.content.size)
        fault = self.faults.pick(record, stored.content.size)
        if fault is not None:
            await connection.pause(fault.delay)
            if fault.stall_headers:
                await connection.silence()
            if not self.ranges:
                fault = replace(fault, ignore_range=True)
            return faulty(fault, stored, record)
        return honest(stored, record.headers, record.range) if self.ranges else rangeless(stored, record.headers)
