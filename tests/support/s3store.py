"""A small S3 that checks what moto and s3rver let pass: signatures, regions, session tokens, headers nobody signed.

It is proven by botocore, whose requests it must accept, and by what it refuses; what it says are S3's own words.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, quote, unquote
from xml.sax.saxutils import escape

from asyncdl.testing import Content

HOST = "127.0.0.1"
_EMPTY = hashlib.sha256(b"").hexdigest()


@dataclass(frozen=True)
class Account:
    """Credentials that the store knows.

    Attributes:
        until: seconds since the epoch from which the token is dead.
    """

    secret: str
    token: str | None = None
    until: float | None = None


@dataclass(frozen=True)
class Asked:
    """One request, and how it was answered."""

    method: str
    target: str
    headers: dict[str, str]
    status: int
    code: str


@dataclass
class Bucket:
    """What is in it, and who may read it.

    Attributes:
        public: everybody may read.
        payer: requests must say that the requester pays.
        denied: nobody may do anything.
    """

    region: str = "us-east-1"
    public: bool = False
    payer: bool = False
    denied: bool = False
    objects: dict[str, tuple[bytes, dict[str, str]]] = field(default_factory=dict)


class Refused(Exception):  # noqa: N818  # an answer, and no error of this program
    """An answer that is no success."""

    def __init__(self, status: int, code: str, message: str, more: str = "") -> None:
        super().__init__(code)
        self.status, self.code, self.message, self.more = status, code, message, more


class Store:
    """The server; `buckets`, `accounts` and `page` are the test's to change.

    Attributes:
        find: who has an access key; those in `accounts`, unless it is replaced.
        page: most keys in one page of a list.
        tells_region: whether answers name the bucket's region.
        asked: all requests, in order.
        gate: called before each answer to a GET of an object.
    """

    def __init__(self) -> None:
        self.buckets: dict[str, Bucket] = {}
        self.accounts: dict[str, Account] = {}
        self.find: Callable[[str], Account | None] = self.accounts.get
        self.page: int = 1000
        self.tells_region: bool = True
        self.asked: list[Asked] = []
        self.gate: Callable[[], object] = lambda: None
        self._server = ThreadingHTTPServer((HOST, 0), self._handler())
        self._server.daemon_threads = True
        self.url = f"http://{HOST}:{self._server.server_port}"

    @contextmanager
    def running(self) -> Iterator[Store]:
        """Answers until the end of the block."""
        thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()
            thread.join()

    def put(self, bucket: str, key: str, size: int, seed: int = 1, headers: Mapping[str, str] | None = None) -> Content:
        """An object; `headers` are sent with it."""
        content = Content(seed, size)
        self.buckets.setdefault(bucket, Bucket()).objects[key] = (content.read(0, size), dict(headers or {}))
        return content

    def count(self, method: str, status: int | None = None) -> int:
        """How many requests of that kind there were."""
        return len([one for one in self.asked if one.method == method and status in {None, one.status}])

    def answer(self, method: str, target: str, headers: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body.

        Raises:
            Refused: it is no success.
        """
        path, _, query = target.partition("?")
        name, slash, raw_key = path[1:].partition("/")
        if name not in self.buckets:
            raise Refused(404, "NoSuchBucket", "The specified bucket does not exist")
        bucket, key = self.buckets[name], unquote(raw_key)
        self._authorise(bucket, method, target, headers)
        if bucket.denied:
            raise Refused(403, "AccessDenied", "Access Denied")
        if bucket.payer and headers.get("x-amz-request-payer") != "requester":
            raise Refused(403, "AccessDenied", "Access Denied")
        if not slash or not raw_key:
            return (200, {}, b"") if method == "HEAD" else self._list(bucket, dict(parse_qsl(query)))
        if key not in bucket.objects:
            raise Refused(404, "NoSuchKey", "The specified key does not exist.")
        if method == "GET":
            self.gate()
        return self._object(bucket.objects[key], headers)

    def _object(
        self, found: tuple[bytes, dict[str, str]], headers: dict[str, str]
    ) -> tuple[int, dict[str, str], bytes]:
        body, more = found
        # S3 sends checksums to those who ask for them, and with the whole object.
        quiet = {name: value for name, value in more.items() if not name.startswith("x-amz-checksum")}
        loud = more if headers.get("x-amz-checksum-mode") == "ENABLED" else quiet
        fields = {"ETag": f'"{hashlib.md5(body).hexdigest()}"', "Accept-Ranges": "bytes"}
        if "range" not in headers:
            return 200, fields | loud, body
        first, _, last = headers["range"].removeprefix("bytes=").partition("-")
        start, stop = int(first), min(int(last or len(body)) + 1, len(body))
        if start >= len(body):
            raise Refused(416, "InvalidRange", "The requested range is not satisfiable")
        whole = stop - start == len(body)
        fields["Content-Range"] = f"bytes {start}-{stop - 1}/{len(body)}"
        return 206, fields | (loud if whole else quiet), body[start:stop]

    def _list(self, bucket: Bucket, query: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
        prefix, after = query.get("prefix", ""), query.get("continuation-token", "")
        keys = sorted(key for key in bucket.objects if key.startswith(prefix) and key > unquote(after))
        shown = keys[: self.page]
        assert query.get("encoding-type") == "url"
        rows = "".join(
            f"<Contents><Key>{quote(key)}</Key><Size>{len(bucket.objects[key][0])}</Size></Contents>" for key in shown
        )
        more = len(keys) > len(shown)
        token = f"<NextContinuationToken>{escape(quote(shown[-1]))}</NextContinuationToken>" if more else ""
        text = (
            f"<ListBucketResult><EncodingType>url</EncodingType><IsTruncated>{str(more).lower()}</IsTruncated>"
            f"{token}{rows}</ListBucketResult>"
        )
        return 200, {"Content-Type": "application/xml"}, text.encode()

    def _authorise(self, bucket: Bucket, method: str, target: str, headers: dict[str, str]) -> None:
        path, _, query = target.partition("?")
        values = dict(parse_qsl(query, keep_blank_values=True))
        if "X-Amz-Signature" in values:
            claim = _Claim.of_query(values)
        elif headers.get("authorization", "").startswith("AWS4-HMAC-SHA256 "):
            claim = _Claim.of_header(headers)
        elif bucket.public:
            return
        else:
            raise Refused(403, "AccessDenied", "Access Denied")
        account = self.find(claim.key)
        if account is None:
            raise Refused(
                403, "InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist in our records.",
                f"<AWSAccessKeyId>{claim.key}</AWSAccessKeyId>",
            )  # fmt: skip
        if claim.region != bucket.region:
            raise claim.elsewhere(bucket.region)
        unsigned = [name for name in headers if name.startswith("x-amz-") and name not in claim.names]
        if unsigned:
            raise Refused(403, "AccessDenied", "There were headers present in the request which were not signed")
        if not hmac.compare_digest(claim.signature, claim.expected(account.secret, method, path, query, headers)):
            raise Refused(
                403, "SignatureDoesNotMatch", "The request signature we calculated does not match.",
                f"<AWSAccessKeyId>{claim.key}</AWSAccessKeyId>",
            )  # fmt: skip
        if claim.token != account.token:
            raise Refused(403, "InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist.")
        if account.until is not None and time.time() >= account.until:
            raise Refused(
                400,
                "ExpiredToken",
                "The provided token has expired.",
                f"<Token-0>{escape(claim.token or '')}</Token-0>",
            )
        if claim.expires is not None and time.time() >= claim.expires:
            raise Refused(403, "AccessDenied", "Request has expired")

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        store = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                headers = {name.lower(): value for name, value in self.headers.items()}
                fields: dict[str, str]
                code = ""
                try:
                    status, fields, body = store.answer(self.command, self.path, headers)
                except Refused as refused:
                    status, code, fields = refused.status, refused.code, {"Content-Type": "application/xml"}
                    text = f"<Error><Code>{code}</Code><Message>{refused.message}</Message>{refused.more}</Error>"
                    body = text.encode()
                store.asked.append(Asked(self.command, self.path, headers, status, code))
                bucket = store.buckets.get(self.path[1:].partition("?")[0].partition("/")[0])
                if bucket is not None and store.tells_region:
                    fields = {**fields, "x-amz-bucket-region": bucket.region}
                self.send_response_only(status)
                for name, value in {**fields, "Date": formatdate(usegmt=True)}.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command == "GET":
                    self.wfile.write(body)

            do_HEAD = do_GET  # noqa: N815  # the library's name

            def log_message(self, *_: Any) -> None:
                """Nowhere."""

        return Handler


@dataclass(frozen=True)
class _Claim:
    """A signature of version 4 (AWS General Reference, "Create a signed AWS API request") and what it is of."""

    key: str
    day: str
    region: str
    date: str
    names: list[str]
    signature: str
    token: str | None
    payload: str
    expires: float | None

    @classmethod
    def of_query(cls, values: dict[str, str]) -> _Claim:
        key, day, region, _, _ = values["X-Amz-Credential"].split("/")
        signed = datetime.strptime(values["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
        return cls(
            key, day, region, values["X-Amz-Date"], values["X-Amz-SignedHeaders"].split(";"), values["X-Amz-Signature"],
            values.get("X-Amz-Security-Token"), "UNSIGNED-PAYLOAD", signed + int(values["X-Amz-Expires"]),
        )  # fmt: skip

    @classmethod
    def of_header(cls, headers: dict[str, str]) -> _Claim:
        words = headers["authorization"].removeprefix("AWS4-HMAC-SHA256 ")
        fields = dict(word.strip().split("=", 1) for word in words.split(","))
        key, day, region, _, _ = fields["Credential"].split("/")
        return cls(
            key, day, region, headers["x-amz-date"], fields["SignedHeaders"].split(";"), fields["Signature"],
            headers.get("x-amz-security-token"), headers.get("x-amz-content-sha256", _EMPTY), None,
        )  # fmt: skip

    def elsewhere(self, region: str) -> Refused:
        kind = "Header" if self.expires is None else "QueryParameters"
        code = "AuthorizationHeaderMalformed" if self.expires is None else "AuthorizationQueryParametersError"
        message = f"The authorization {kind} is malformed; the region '{self.region}' is wrong; expecting '{region}'"
        return Refused(400, code, message, f"<Region>{region}</Region>")

    def expected(self, secret: str, method: str, path: str, query: str, headers: dict[str, str]) -> str:
        """The signature as it should be."""
        pairs = sorted(pair for pair in query.split("&") if pair and not pair.startswith("X-Amz-Signature="))
        canonical_query = "&".join(pair if "=" in pair else f"{pair}=" for pair in pairs)
        lines = "".join(f"{name}:{' '.join(headers[name].split())}\n" for name in self.names)
        request = "\n".join((method, path, canonical_query, lines, ";".join(self.names), self.payload))
        scope = f"{self.day}/{self.region}/s3/aws4_request"
        to_sign = f"AWS4-HMAC-SHA256\n{self.date}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
        key = f"AWS4{secret}".encode()
        for part in (self.day, self.region, "s3", "aws4_request"):
            key = hmac.digest(key, part.encode(), "sha256")
        return hmac.new(key, to_sign.encode(), "sha256").hexdigest()


def sha256_fields(content: Content, kind: str = "FULL_OBJECT") -> dict[str, str]:
    """What S3 says of an object with such a checksum: of the object, or of the checksums of its parts (COMPOSITE)."""
    value = base64.b64encode(bytes.fromhex(content.sha256())).decode()
    return {"x-amz-checksum-sha256": value, "x-amz-checksum-type": kind}
