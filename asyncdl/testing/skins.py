"""What signed URLs look like at each provider: query parameters and refusals; who may pass is the signer's decision."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING
from urllib.parse import quote

from asyncdl.testing import refusals

if TYPE_CHECKING:
    from collections.abc import Callable

    from asyncdl.testing.refusals import Life, Refusal

#: Stands in a skin's query for the signature, which can only be computed when the rest is known.
SIGNATURE = "<signature>"
#: AWS's own example of an access key id, from its documentation.
_KEY_ID = "AKIAIOSFODNN7EXAMPLE"
#: What the opaque session token of `s3sts` pretends for the URL itself; the token dies on its own, unreadable time.
_STS_URL_LIFE = 3600
_SESSION_TOKEN = "IQoJb3JpZ2luX2VjEXAMPLE//////////wEaCXVz+LWVhc3Qt/MSJH=="  # noqa: S105  # no secret: an example


@dataclass(frozen=True, slots=True, kw_only=True)
class Skin:
    """One provider's way to sign.

    Attributes:
        name: as given to `Origin.presign`.
        parameter: name of the query parameter that holds the signature.
        marker: a query parameter only this way of signing has.
        query: (issued, expires) in whole seconds since the epoch -> query string with `SIGNATURE` in it.
        encode: digest -> signature as it stands in the URL.
        expired: the refusal of a URL whose time is over.
        mismatch: the refusal of a target that is not byte for byte the one signed.
        denied: the refusal of a revoked URL.
    """

    name: str
    parameter: str
    marker: str
    query: Callable[[int, int], str]
    encode: Callable[[bytes], str]
    expired: Callable[[Life], Refusal]
    mismatch: Callable[[], Refusal]
    denied: Callable[[], Refusal]


def _compact(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y%m%dT%H%M%SZ")  # noqa: UP017


def _v4(issued: int, life: int, *, region: str = "us-east-1", more: str = "") -> str:
    date = _compact(issued)
    return (
        f"X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={_KEY_ID}%2F{date[:8]}%2F{region}%2Fs3%2Faws4_request"
        f"&X-Amz-Date={date}&X-Amz-Expires={life}{more}&X-Amz-SignedHeaders=host&X-Amz-Signature={SIGNATURE}"
    )


def _s3v4(issued: int, expires: int) -> str:
    return _v4(issued, expires - issued)


def _r2(issued: int, expires: int) -> str:
    return _v4(issued, expires - issued, region="auto")


def _s3sts(issued: int, expires: int) -> str:
    token = quote(_SESSION_TOKEN, safe="")
    return _v4(issued, max(_STS_URL_LIFE, expires - issued), more=f"&X-Amz-Security-Token={token}")


def _s3v2(_issued: int, expires: int) -> str:
    return f"AWSAccessKeyId={_KEY_ID}&Expires={expires}&Signature={SIGNATURE}"


def _gcs(issued: int, expires: int) -> str:
    date = _compact(issued)
    signer = f"reader%40project.iam.gserviceaccount.com%2F{date[:8]}%2Fauto%2Fstorage%2Fgoog4_request"
    return (
        f"X-Goog-Algorithm=GOOG4-RSA-SHA256&X-Goog-Credential={signer}&X-Goog-Date={date}"
        f"&X-Goog-Expires={expires - issued}&X-Goog-SignedHeaders=host&X-Goog-Signature={SIGNATURE}"
    )


def _azure(issued: int, expires: int) -> str:
    start, end = (quote(refusals.iso(moment), safe="") for moment in (issued, expires))
    return f"sv=2024-11-04&st={start}&se={end}&sr=b&sp=r&sig={SIGNATURE}"


def _cloudfront(_issued: int, expires: int) -> str:
    return f"Expires={expires}&Signature={SIGNATURE}&Key-Pair-Id=K2JCJMDEHXQW5F"


def _opaque(_issued: int, _expires: int) -> str:
    return f"token={SIGNATURE}"


def _base64(digest: bytes) -> str:
    return quote(base64.b64encode(digest).decode(), safe="")


def _short_base64(digest: bytes) -> str:
    # Version 2 signs with SHA-1: 20 bytes.
    return _base64(digest[:20])


def _cloudfront_base64(digest: bytes) -> str:
    # CloudFront developer guide, "Create a URL signature": + = / become - _ ~
    return base64.b64encode(digest).decode().translate(str.maketrans("+=/", "-_~"))


def _token(digest: bytes) -> str:
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


_ALL = (
    Skin(
        name="s3v4", parameter="X-Amz-Signature", marker="X-Amz-Signature", query=_s3v4, encode=bytes.hex,
        expired=refusals.s3_expired, mismatch=refusals.s3_mismatch, denied=refusals.s3_denied,
    ),
    Skin(
        name="s3sts", parameter="X-Amz-Signature", marker="X-Amz-Security-Token", query=_s3sts, encode=bytes.hex,
        expired=refusals.s3_expired_token, mismatch=refusals.s3_mismatch, denied=refusals.s3_denied,
    ),
    Skin(
        name="r2", parameter="X-Amz-Signature", marker="X-Amz-Signature", query=_r2, encode=bytes.hex,
        expired=refusals.r2_expired, mismatch=refusals.s3_mismatch, denied=refusals.s3_denied,
    ),
    Skin(
        name="s3v2", parameter="Signature", marker="AWSAccessKeyId", query=_s3v2, encode=_short_base64,
        expired=refusals.s3_expired_v2, mismatch=refusals.s3_mismatch, denied=refusals.s3_denied,
    ),
    Skin(
        name="gcs", parameter="X-Goog-Signature", marker="X-Goog-Signature", query=_gcs, encode=bytes.hex,
        expired=refusals.gcs_expired, mismatch=refusals.s3_mismatch, denied=refusals.s3_denied,
    ),
    Skin(
        name="azure", parameter="sig", marker="sig", query=_azure, encode=_base64,
        expired=refusals.azure_expired, mismatch=refusals.azure_mismatch, denied=refusals.azure_mismatch,
    ),
    Skin(
        name="cloudfront", parameter="Signature", marker="Key-Pair-Id", query=_cloudfront, encode=_cloudfront_base64,
        expired=lambda _: refusals.cloudfront_denied(), mismatch=refusals.cloudfront_denied,
        denied=refusals.cloudfront_denied,
    ),
    Skin(
        name="opaque", parameter="token", marker="token", query=_opaque, encode=_token,
        expired=lambda _: refusals.plain_forbidden(), mismatch=refusals.plain_forbidden,
        denied=refusals.plain_forbidden,
    ),
)  # fmt: skip

#: Every skin by name: s3v4, s3sts, r2, s3v2, gcs, azure, cloudfront, opaque.
SKINS: dict[str, Skin] = {skin.name: skin for skin in _ALL}
