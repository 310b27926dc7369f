"""How each provider says no: statuses, headers and bodies as its servers send them; no decisions."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timezone
from email.utils import formatdate

_BOM = b"\xef\xbb\xbf"
_XML = '<?xml version="1.0" encoding="UTF-8"?>'


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A response that refuses a URL.

    Attributes:
        status: HTTP status.
        headers: pairs of name and value, Content-Length not among them.
        body: as sent.
    """

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """The times of one URL, in seconds since the epoch, as its provider would write them: whole seconds."""

    issued: int
    expires: int
    now: int

    @classmethod
    def at(cls, *, issued: float, expires: float, now: float) -> Life:
        """Times rounded so that a URL that is dead by the fraction of a second reads as dead in the body too."""
        end = math.ceil(expires)
        return cls(issued=math.floor(issued), expires=end, now=max(math.ceil(now), end))


def iso(seconds: float) -> str:
    """`2025-01-31T23:59:59Z`."""
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")  # noqa: UP017


def http_date(seconds: float) -> str:
    """RFC 9110 section 5.6.7: `Fri, 31 Jan 2025 23:59:59 GMT`."""
    return formatdate(seconds, usegmt=True)


def _s3(status: int, code: str, message: str, *, details: str = "", server: str = "AmazonS3") -> Refusal:
    body = (
        f"{_XML}\n<Error><Code>{code}</Code><Message>{message}</Message>{details}"
        "<RequestId>4442587FB7D0A2F9</RequestId><HostId>hostid+of/the=bucket</HostId></Error>"
    )
    headers = (("Content-Type", "application/xml"), ("Server", server), ("x-amz-request-id", "4442587FB7D0A2F9"))
    return Refusal(status=status, headers=headers, body=body.encode())


def s3_expired(life: Life) -> Refusal:
    """Signature version 4, long-lived keys (Amazon S3 API reference, "Error responses")."""
    lived = life.expires - life.issued
    times = f"<Expires>{iso(life.expires)}</Expires><ServerTime>{iso(life.now)}</ServerTime>"
    details = f"<X-Amz-Expires>{lived}</X-Amz-Expires>{times}"
    return _s3(403, "AccessDenied", "Request has expired", details=details)


def s3_expired_v2(life: Life) -> Refusal:
    """Signature version 2: the same without X-Amz-Expires."""
    times = f"<Expires>{iso(life.expires)}</Expires><ServerTime>{iso(life.now)}</ServerTime>"
    return _s3(403, "AccessDenied", "Request has expired", details=times)


def s3_expired_token(_: Life) -> Refusal:
    """Temporary credentials that ran out."""
    return _s3(400, "ExpiredToken", "The provided token has expired.", details="<Token-0>AQoDYXdzEJr</Token-0>")


def s3_mismatch() -> Refusal:
    """Somebody changed the target after it was signed."""
    text = (
        "The request signature we calculated does not match the signature you provided. "
        "Check your key and signing method."
    )
    return _s3(403, "SignatureDoesNotMatch", text)


def s3_denied() -> Refusal:
    """No permission, and no reason given: also the answer to a revoked URL."""
    return _s3(403, "AccessDenied", "Access Denied")


def r2_expired(_: Life) -> Refusal:
    """Cloudflare R2 documentation, "Error codes"."""
    return _s3(403, "ExpiredRequest", "Request has expired", server="cloudflare")


def gcs_expired(life: Life) -> Refusal:
    """Google Cloud Storage, XML API."""
    body = (
        "<?xml version='1.0' encoding='UTF-8'?><Error><Code>ExpiredToken</Code><Message>Invalid argument.</Message>"
        f"<Details>[The provided token has expired. ]Request signature expired at: {iso(life.expires)[:-1]}+00:00"
        "</Details></Error>"
    )
    headers = (("Content-Type", "application/xml; charset=UTF-8"), ("Server", "UploadServer"))
    return Refusal(status=400, headers=headers, body=body.encode())


def _azure(detail: str) -> Refusal:
    body = (
        '<?xml version="1.0" encoding="utf-8"?><Error><Code>AuthenticationFailed</Code><Message>Server failed to '
        "authenticate the request. Make sure the value of Authorization header is formed correctly including the "
        "signature.\nRequestId:5a1cd3f6-001e-004c-0000-000000000000</Message>"
        f"<AuthenticationErrorDetail>{detail}</AuthenticationErrorDetail></Error>"
    )
    headers = (
        ("Content-Type", "application/xml"),
        ("Server", "Microsoft-HTTPAPI/2.0"),
        ("x-ms-error-code", "AuthenticationFailed"),
    )
    return Refusal(status=403, headers=headers, body=_BOM + body.encode())


def azure_expired(life: Life) -> Refusal:
    """Azure Blob Storage; the body opens with a byte order mark, as the service's does."""
    return _azure(
        f"Signature not valid in the specified time frame: Start [{http_date(life.issued)}] - "
        f"Expiry [{http_date(life.expires)}] - Current [{http_date(life.now)}]"
    )


def azure_mismatch() -> Refusal:
    """Azure for a target that is not the one signed."""
    return _azure("Signature did not match. String to sign used was r")


def cloudfront_denied(code: str = "AccessDenied", message: str = "Access denied") -> Refusal:
    """CloudFront says these words whatever the reason; expiry is never mentioned."""
    body = f"{_XML}<Error><Code>{code}</Code><Message>{message}</Message></Error>"
    headers = (("Content-Type", "text/xml"), ("Server", "CloudFront"), ("X-Cache", "Error from cloudfront"))
    return Refusal(status=403, headers=headers, body=body.encode())


def plain_forbidden() -> Refusal:
    """A server that explains nothing."""
    return Refusal(status=403, headers=(("Content-Type", "text/plain"),), body=b"Forbidden")
