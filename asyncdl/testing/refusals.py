"""How each provider says no: statuses, headers and bodies as its servers send them; no decisions."""

from __future__ import annotations

import html
import math
from dataclasses import dataclass
from datetime import datetime, timezone
from email.utils import formatdate
from urllib.parse import unquote

_BOM = b"\xef\xbb\xbf"
_XML = '<?xml version="1.0" encoding="UTF-8"?>'
_REQUEST = "4442587FB7D0A2F9"
#: Seconds after which Cloud Storage no longer calls a version 2 signature expired: it does not match any more.
_GCS_V2_REMEMBERED = 7 * 86400
#: Milliseconds, as S3 repeats its rule in RequestTimeTooSkewed.
_MOST_SKEW = 900_000
_NO_MATCH = "The request signature we calculated does not match the signature you provided."


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

    @classmethod
    def before(cls, *, issued: float, expires: float, now: float) -> Life:
        """Times rounded so that a URL that has not begun by the fraction of a second reads so in the body too."""
        return cls(issued=math.ceil(issued), expires=math.ceil(expires), now=math.floor(now))


def iso(seconds: float) -> str:
    """`2025-01-31T23:59:59Z`."""
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")  # noqa: UP017


def basic(seconds: float) -> str:
    """`20250131T235959Z`, the date of version 4 signatures."""
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y%m%dT%H%M%SZ")  # noqa: UP017


def http_date(seconds: float) -> str:
    """RFC 9110 section 5.6.7: `Fri, 31 Jan 2025 23:59:59 GMT`."""
    return formatdate(seconds, usegmt=True)


def _error(code: str, message: str, **fields: str) -> str:
    pairs = {"Code": code, "Message": message, **fields}
    return "<Error>" + "".join(f"<{name}>{html.escape(text, quote=False)}</{name}>" for name, text in pairs.items())


def _s3(status: int, code: str, message: str, *, server: str = "AmazonS3", **fields: str) -> Refusal:
    ids = f"<RequestId>{_REQUEST}</RequestId><HostId>hostid+of/the=bucket</HostId></Error>"
    headers = (("Content-Type", "application/xml"), ("Server", server), ("x-amz-request-id", _REQUEST))
    return Refusal(status=status, headers=headers, body=f"{_XML}\n{_error(code, message, **fields)}{ids}".encode())


def s3_expired(life: Life) -> Refusal:
    """Signature version 4, long-lived keys (Amazon S3 API reference, "Error responses")."""
    times = {"Expires": iso(life.expires), "ServerTime": iso(life.now)}
    return _s3(
        403, "AccessDenied", "Request has expired", **{"X-Amz-Expires": str(life.expires - life.issued)}, **times
    )


def s3_expired_v2(life: Life) -> Refusal:
    """Signature version 2: the same without X-Amz-Expires."""
    return _s3(403, "AccessDenied", "Request has expired", Expires=iso(life.expires), ServerTime=iso(life.now))


def s3_expired_token(_: Life) -> Refusal:
    """Temporary credentials that ran out."""
    return _s3(400, "ExpiredToken", "The provided token has expired.", **{"Token-0": "AQoDYXdzEJr"})


def s3_skewed(life: Life, server: str = "AmazonS3") -> Refusal:
    """A signer whose clock is more than 15 minutes ahead; also the services that speak S3's language."""
    return _s3(
        403, "RequestTimeTooSkewed", "The difference between the request time and the current time is too large.",
        server=server, RequestTime=basic(life.issued), ServerTime=iso(life.now),
        MaxAllowedSkewMilliseconds=str(_MOST_SKEW),
    )  # fmt: skip


def s3_mismatch(target: str = "", server: str = "AmazonS3") -> Refusal:
    """Somebody changed the target after it was signed; the body repeats what was signed, and the signature itself.

    Args:
        target: the raw request target; empty where the answer has no body (HEAD).
    """
    text = f"{_NO_MATCH} Check your key and signing method."
    return _s3(403, "SignatureDoesNotMatch", text, server=server, **_echo(target, "AWSAccessKeyId"))


def s3_denied() -> Refusal:
    """No permission, and no reason given: also the answer to a revoked URL."""
    return _s3(403, "AccessDenied", "Access Denied")


def s3_bad_token(target: str) -> Refusal:
    """Temporary credentials that were withdrawn; the token is repeated."""
    token = unquote(dict(_pairs(target)).get("X-Amz-Security-Token", ""))
    return _s3(400, "InvalidToken", "The provided token is malformed or otherwise invalid.", **{"Token-0": token})


def r2_expired(_: Life) -> Refusal:
    """Cloudflare R2 documentation, "Error codes"."""
    return _s3(403, "ExpiredRequest", "Request has expired", server="cloudflare")


def r2_denied() -> Refusal:
    """R2 for a token that was revoked (its documentation, "Error codes")."""
    return _s3(401, "Unauthorized", "Unauthorized", server="cloudflare")


def minio_expired(_: Life) -> Refusal:
    """MinIO names the object, not the times."""
    return _minio("Request has expired")


def minio_early(_: Life) -> Refusal:
    """MinIO for a presigned URL whose X-Amz-Date is still to come."""
    return _minio("Request is not valid yet")


def minio_denied() -> Refusal:
    """MinIO ends the sentence with a full stop."""
    return _minio("Access Denied.")


def _minio(message: str) -> Refusal:
    return _s3(403, "AccessDenied", message, server="MinIO", BucketName="bucket", Resource="/bucket/object")


def ceph_expired(_: Life) -> Refusal:
    """Ceph's RADOS Gateway."""
    return _ceph("The pre-signed URL has expired")


def ceph_denied() -> Refusal:
    """Ceph's RADOS Gateway has no words for it."""
    return _ceph("")


def _ceph(message: str) -> Refusal:
    body = f"{_XML}{_error('AccessDenied', message, RequestId='tx00000a1b2', HostId='10f-default-default')}</Error>"
    headers = (("Content-Type", "application/xml"), ("x-amz-request-id", "tx00000a1b2"))
    return Refusal(status=403, headers=headers, body=body.encode())


def oss_expired(life: Life) -> Refusal:
    """Alibaba Cloud OSS, error 0002-00000069."""
    times = {"Expires": iso(life.expires), "ServerTime": iso(life.now)}
    return _oss("AccessDenied", "Request has expired.", "0002-00000069", **times)


def oss_early(life: Life) -> Refusal:
    """OSS for a signer whose clock is ahead."""
    text = "The difference between the request time and the current time is too large."
    times = {"RequestTime": iso(life.issued), "ServerTime": iso(life.now)}
    return _oss("RequestTimeTooSkewed", text, "0002-00000504", **times)


def oss_mismatch(target: str) -> Refusal:
    """OSS for a target that is not the one signed; the body repeats the signature."""
    text = f"{_NO_MATCH} Check your key and signing method."
    return _oss("SignatureDoesNotMatch", text, "0002-00000040", **_echo(target, "OSSAccessKeyId"))


def oss_denied() -> Refusal:
    """OSS for somebody without permission."""
    return _oss("AccessDenied", "You have no right to access this object because of bucket acl.", "0003-00000001")


def _oss(code: str, message: str, number: str, **fields: str) -> Refusal:
    end = "<RequestId>589A7A90CDF4741F7D36F2F4</RequestId><HostId>bucket.oss-cn-hangzhou.aliyuncs.com</HostId>"
    body = f"{_XML}\n{_error(code, message, **fields)}{end}<EC>{number}</EC></Error>"
    headers = (("Content-Type", "application/xml"), ("Server", "AliyunOSS"), ("x-oss-ec", number))
    return Refusal(status=403, headers=headers, body=body.encode())


def gcs_expired(life: Life) -> Refusal:
    """Google Cloud Storage, XML API."""
    return _gcs_expired(life, "Invalid argument.", "[The provided token has expired. ]")


def gcs_v2_expired(life: Life) -> Refusal:
    """Version 2 has other words, and after a week none of expiry: the signature does not match any more."""
    if life.now - life.expires > _GCS_V2_REMEMBERED:
        return gcs_mismatch()
    return _gcs_expired(life, "The provided token has expired.", "")


def _gcs_expired(life: Life, message: str, before: str) -> Refusal:
    details = f"{before}Request signature expired at: {iso(life.expires)[:-1]}+00:00"
    return _gcs(400, "ExpiredToken", message, Details=details)


def gcs_early(life: Life) -> Refusal:
    """Google Cloud Storage for a signer whose clock is ahead."""
    return _gcs(
        403, "RequestTimeTooSkewed", "The difference between the request time and the server's time is too large.",
        RequestTime=basic(life.issued), ServerTime=iso(life.now),
    )  # fmt: skip


def gcs_mismatch(target: str = "") -> Refusal:
    """Google Cloud Storage for a target that is not the one signed."""
    details = f"{_NO_MATCH} Check your Google secret key and signing method."
    return _gcs(403, "SignatureDoesNotMatch", "Access denied.", Details=details, **_echo(target, None))


def gcs_denied() -> Refusal:
    """Google Cloud Storage for an account without permission."""
    details = "reader@project.iam.gserviceaccount.com does not have storage.objects.get access to the object."
    return _gcs(403, "AccessDenied", "Access denied.", Details=details)


def _gcs(status: int, code: str, message: str, **fields: str) -> Refusal:
    body = f"<?xml version='1.0' encoding='UTF-8'?>{_error(code, message, **fields)}</Error>"
    headers = (("Content-Type", "application/xml; charset=UTF-8"), ("Server", "UploadServer"))
    return Refusal(status=status, headers=headers, body=body.encode())


def azure_expired(life: Life) -> Refusal:
    """Azure Blob Storage; the body opens with a byte order mark, as the service's does."""
    return _azure_unauthenticated(
        f"Signature not valid in the specified time frame: Start [{http_date(life.issued)}] - "
        f"Expiry [{http_date(life.expires)}] - Current [{http_date(life.now)}]"
    )


def azure_mismatch(target: str = "") -> Refusal:
    """Azure for a target that is not the one signed, with its idea of what should have been."""
    path, end = target.partition("?")[0], dict(_pairs(target)).get("se", "")
    signed = f"r\n\n{unquote(end)}\n/blob/account{unquote(path)}\n\n\n\n2024-11-04\nb"
    return _azure_unauthenticated(f"Signature did not match. String to sign used was {html.escape(signed)}")


def azure_denied() -> Refusal:
    """Azure for a signature that does not include reading."""
    text = "This request is not authorized to perform this operation using this permission."
    return _azure("AuthorizationPermissionMismatch", text, "")


def _azure_unauthenticated(detail: str) -> Refusal:
    text = (
        "Server failed to authenticate the request. Make sure the value of Authorization header is formed correctly "
        "including the signature."
    )
    return _azure("AuthenticationFailed", text, f"<AuthenticationErrorDetail>{detail}</AuthenticationErrorDetail>")


def _azure(code: str, message: str, detail: str) -> Refusal:
    message += "\nRequestId:5a1cd3f6-001e-004c-0000-000000000000"
    body = f'<?xml version="1.0" encoding="utf-8"?>{_error(code, message)}{detail}</Error>'
    headers = (("Content-Type", "application/xml"), ("Server", "Microsoft-HTTPAPI/2.0"), ("x-ms-error-code", code))
    return Refusal(status=403, headers=headers, body=_BOM + body.encode())


def cloudfront_denied(code: str = "AccessDenied", message: str = "Access denied") -> Refusal:
    """CloudFront says these words of most reasons; expiry is never mentioned."""
    body = f"{_XML}<Error><Code>{code}</Code><Message>{message}</Message></Error>"
    headers = (("Content-Type", "text/xml"), ("Server", "CloudFront"), ("X-Cache", "Error from cloudfront"))
    return Refusal(status=403, headers=headers, body=body.encode())


def cloudfront_unknown_key() -> Refusal:
    """CloudFront for a key pair that was taken away."""
    return cloudfront_denied("InvalidKey", "Unknown Key")


def hf_unknown_key() -> Refusal:
    """Hugging Face's CDN for a key pair that its edge does not know (xet-core issue 897)."""
    return _hf("Auth failed: SignatureError: invalid key pair id")


def hf_wrong_range(asked: tuple[int, int] | None) -> Refusal:
    """Hugging Face's CDN for a range that the URL was not signed for, and for a request without one (xet-core 842)."""
    return _hf("Invalid Range Specified" if asked is None else "Auth failed: invalid range")


def _hf(text: str) -> Refusal:
    headers = (("Content-Type", "text/plain"), ("Server", "CloudFront"), ("X-Cache", "LambdaGeneratedResponse"))
    return Refusal(status=403, headers=headers, body=text.encode())


def plain_forbidden() -> Refusal:
    """A server that explains nothing."""
    return Refusal(status=403, headers=(("Content-Type", "text/plain"),), body=b"Forbidden")


def _pairs(target: str) -> list[tuple[str, str]]:
    query = target.partition("?")[2]
    return [(name, value) for name, _, value in (pair.partition("=") for pair in query.split("&"))]


def _echo(target: str, key_field: str | None) -> dict[str, str]:
    """What S3 and its like repeat of a request whose signature is wrong, as elements of the body."""
    if not target:
        return {}
    pairs = _pairs(target)
    rest = "&".join(f"{name}={value}" for name, value in pairs if not name.lower().endswith("signature"))
    given = next((unquote(value) for name, value in pairs if name.lower().endswith("signature")), "")
    key = next((unquote(value) for name, value in pairs if name.lower().endswith(("credential", "keyid"))), "")
    text = f"GET\n{target.partition('?')[0]}\n{rest}\nhost:origin.test\n\nhost\nUNSIGNED-PAYLOAD"
    fields = {key_field: key.partition("/")[0]} if key_field else {}
    fields |= {"StringToSign": text, "SignatureProvided": given, "StringToSignBytes": text.encode().hex(" ")}
    # Version 4 signs a hash of the canonical request, which is repeated as well.
    is_version_4 = "credential=" in rest.lower()
    return fields | (
        {"CanonicalRequest": text, "CanonicalRequestBytes": text.encode().hex(" ")} if is_version_4 else {}
    )
