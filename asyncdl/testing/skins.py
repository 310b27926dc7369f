"""What signed URLs look like at each provider: query parameters and refusals; who may pass is the signer's decision."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias
from urllib.parse import quote

from asyncdl.testing import refusals
from asyncdl.testing.refusals import Life, Refusal

#: Stands in a skin's query for the signature, which can only be computed when the rest is known.
SIGNATURE = "<signature>"
#: AWS's own example of an access key id, from its documentation.
_KEY_ID = "AKIAIOSFODNN7EXAMPLE"
#: What the opaque session token of `s3sts` pretends for the URL itself; the token dies on its own, unreadable time.
_STS_URL_LIFE = 3600
_SESSION_TOKEN = "IQoJb3JpZ2luX2VjEXAMPLE//////////wEaCXVz+LWVhc3Qt/MSJH=="  # noqa: S105  # no secret: an example
#: Seconds by which a signer's clock may be ahead at S3 and its like ("Error responses", RequestTimeTooSkewed).
_QUARTER = 900.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Signing:
    """What is to be signed.

    Attributes:
        issued: whole seconds since the epoch; the date in the URL, from which on it is good.
        expires: whole seconds since the epoch.
        begins: the beginning was asked for, and is to be said where a URL can do without.
        allowed: the half-open byte range it is good for, or None for the whole object.
    """

    issued: int
    expires: int
    begins: bool = False
    allowed: tuple[int, int] | None = None


Query: TypeAlias = Callable[[Signing], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Skin:
    """One provider's way to sign.

    Attributes:
        name: as given to `Origin.presign`.
        parameter: name of the query parameter that holds the signature.
        marker: what only the targets of this way of signing hold; the longest that fits decides.
        query: what is signed -> query string with `SIGNATURE` in it.
        encode: digest -> signature as it stands in the URL.
        expired: the refusal of a URL whose time is over.
        mismatch: raw target -> the refusal of a target that is not byte for byte the one signed.
        denied: raw target -> the refusal of a revoked URL.
        early: the refusal of a URL whose time has not come; None where such a URL has no beginning.
        tolerance: seconds by which the signer's clock may be ahead before a URL counts as early; infinity: its
            beginning is not in the URL unless it was asked for.
        wrong_range: range asked for, or None -> the refusal of a range that the URL is not good for; None where URLs
            are good for all of their object.
    """

    name: str
    parameter: str
    marker: str
    query: Query
    encode: Callable[[bytes], str]
    expired: Callable[[Life], Refusal]
    mismatch: Callable[[str], Refusal]
    denied: Callable[[str], Refusal]
    early: Callable[[Life], Refusal] | None = None
    tolerance: float = 0.0
    wrong_range: Callable[[tuple[int, int] | None], Refusal] | None = None


def _v4(signing: Signing, *, key: str = _KEY_ID, region: str = "us-east-1", life: int = 0, more: str = "") -> str:
    date = refusals.basic(signing.issued)
    return (
        f"X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={key}%2F{date[:8]}%2F{region}%2Fs3%2Faws4_request"
        f"&X-Amz-Date={date}&X-Amz-Expires={max(life, signing.expires - signing.issued)}{more}"
        f"&X-Amz-SignedHeaders=host&X-Amz-Signature={SIGNATURE}"
    )


def _s3v2(signing: Signing) -> str:
    return f"AWSAccessKeyId={_KEY_ID}&Expires={signing.expires}&Signature={SIGNATURE}"


def _oss(signing: Signing) -> str:
    date = refusals.basic(signing.issued)
    return (
        "x-oss-signature-version=OSS4-HMAC-SHA256"
        f"&x-oss-credential=LTAI5tEXAMPLE%2F{date[:8]}%2Fcn-hangzhou%2Foss%2Faliyun_v4_request"
        f"&x-oss-date={date}&x-oss-expires={signing.expires - signing.issued}&x-oss-signature={SIGNATURE}"
    )


def _gcs(signing: Signing) -> str:
    date = refusals.basic(signing.issued)
    signer = f"reader%40project.iam.gserviceaccount.com%2F{date[:8]}%2Fauto%2Fstorage%2Fgoog4_request"
    return (
        f"X-Goog-Algorithm=GOOG4-RSA-SHA256&X-Goog-Credential={signer}&X-Goog-Date={date}"
        f"&X-Goog-Expires={signing.expires - signing.issued}&X-Goog-SignedHeaders=host&X-Goog-Signature={SIGNATURE}"
    )


def _gcs_v2(signing: Signing) -> str:
    signer = "reader%40project.iam.gserviceaccount.com"
    return f"GoogleAccessId={signer}&Expires={signing.expires}&Signature={SIGNATURE}"


def _azure(signing: Signing) -> str:
    start, end = (quote(refusals.iso(moment), safe="") for moment in (signing.issued, signing.expires))
    return f"sv=2024-11-04&st={start}&se={end}&sr=b&sp=r&sig={SIGNATURE}"


def _policy(signing: Signing) -> str:
    """CloudFront's custom policy (developer guide, "Create a signed URL using a custom policy")."""
    condition = {"DateLessThan": {"AWS:EpochTime": signing.expires}}
    if signing.begins:
        condition["DateGreaterThan"] = {"AWS:EpochTime": signing.issued}
    policy = {"Statement": [{"Resource": "http*://*", "Condition": condition}]}
    return _cloudfront_base64(json.dumps(policy, separators=(",", ":")).encode())


def _cloudfront(signing: Signing) -> str:
    # A canned policy has an end only.
    when = f"Policy={_policy(signing)}" if signing.begins else f"Expires={signing.expires}"
    return f"{when}&Signature={SIGNATURE}&Key-Pair-Id=K2JCJMDEHXQW5F"


def _hf(signing: Signing) -> str:
    span = f"X-Xet-Signed-Range=bytes%3D{signing.allowed[0]}-{signing.allowed[1] - 1}&" if signing.allowed else ""
    policy = f"Expires={signing.expires}&Policy={_policy(signing)}"
    return f"{span}{policy}&Signature={SIGNATURE}&Key-Pair-Id=KXETEXAMPLE1IFC"


def _opaque(_: Signing) -> str:
    return f"token={SIGNATURE}"


def _base64(digest: bytes) -> str:
    return quote(base64.b64encode(digest).decode(), safe="")


def _short_base64(digest: bytes) -> str:
    # Version 2 signs with SHA-1: 20 bytes.
    return _base64(digest[:20])


def _cloudfront_base64(text: bytes) -> str:
    # CloudFront developer guide, "Create a URL signature": + = / become - _ ~
    return base64.b64encode(text).decode().translate(str.maketrans("+=/", "-_~"))


def _token(digest: bytes) -> str:
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def _s3_like(
    name: str,
    marker: str,
    query: Query,
    *,
    expired: Callable[[Life], Refusal],
    denied: Callable[[str], Refusal],
    early: Callable[[Life], Refusal] = refusals.s3_skewed,
    server: str = "AmazonS3",
) -> Skin:
    """A service that signs as S3 does in version 4."""
    return Skin(
        name=name, parameter="X-Amz-Signature", marker=marker, query=query, encode=bytes.hex, expired=expired,
        mismatch=partial(refusals.s3_mismatch, server=server), denied=denied, early=early, tolerance=_QUARTER,
    )  # fmt: skip


_ALL = (
    _s3_like(
        "s3v4", "X-Amz-Signature=", _v4,
        expired=refusals.s3_expired, denied=lambda _: refusals.s3_denied(),
    ),
    _s3_like(
        "s3sts", "X-Amz-Security-Token=",
        partial(_v4, life=_STS_URL_LIFE, more=f"&X-Amz-Security-Token={quote(_SESSION_TOKEN, safe='')}"),
        expired=refusals.s3_expired_token, denied=refusals.s3_bad_token,
    ),
    _s3_like(
        "r2", "%2Fauto%2Fs3%2Faws4_request", partial(_v4, region="auto"),
        expired=refusals.r2_expired, denied=lambda _: refusals.r2_denied(),
        early=partial(refusals.s3_skewed, server="cloudflare"), server="cloudflare",
    ),
    _s3_like(
        "minio", "X-Amz-Credential=minioadmin%2F", partial(_v4, key="minioadmin"),
        expired=refusals.minio_expired, denied=lambda _: refusals.minio_denied(),
        early=refusals.minio_early, server="MinIO",
    ),
    _s3_like(
        "ceph", "%2Fdefault%2Fs3%2Faws4_request", partial(_v4, region="default"),
        expired=refusals.ceph_expired, denied=lambda _: refusals.ceph_denied(),
    ),
    Skin(
        name="s3v2", parameter="Signature", marker="AWSAccessKeyId=", query=_s3v2, encode=_short_base64,
        expired=refusals.s3_expired_v2, mismatch=refusals.s3_mismatch, denied=lambda _: refusals.s3_denied(),
    ),
    Skin(
        name="oss", parameter="x-oss-signature", marker="x-oss-signature=", query=_oss, encode=bytes.hex,
        expired=refusals.oss_expired, mismatch=refusals.oss_mismatch, denied=lambda _: refusals.oss_denied(),
        early=refusals.oss_early, tolerance=_QUARTER,
    ),
    Skin(
        name="gcs", parameter="X-Goog-Signature", marker="X-Goog-Signature=", query=_gcs, encode=bytes.hex,
        expired=refusals.gcs_expired, mismatch=refusals.gcs_mismatch, denied=lambda _: refusals.gcs_denied(),
        early=refusals.gcs_early, tolerance=_QUARTER,
    ),
    Skin(
        name="gcs_v2", parameter="Signature", marker="GoogleAccessId=", query=_gcs_v2, encode=_base64,
        expired=refusals.gcs_v2_expired, mismatch=refusals.gcs_mismatch, denied=lambda _: refusals.gcs_denied(),
    ),
    Skin(
        name="azure", parameter="sig", marker="sig=", query=_azure, encode=_base64,
        expired=refusals.azure_expired, mismatch=refusals.azure_mismatch, denied=lambda _: refusals.azure_denied(),
        early=refusals.azure_expired,  # the same sentence; the dates in it tell
    ),
    Skin(
        name="cloudfront", parameter="Signature", marker="Key-Pair-Id=", query=_cloudfront, encode=_cloudfront_base64,
        expired=lambda _: refusals.cloudfront_denied(), mismatch=lambda _: refusals.cloudfront_denied(),
        denied=lambda _: refusals.cloudfront_unknown_key(), early=lambda _: refusals.cloudfront_denied(),
        tolerance=math.inf,
    ),
    Skin(
        name="hf", parameter="Signature", marker="Key-Pair-Id=KXETEXAMPLE", query=_hf, encode=_cloudfront_base64,
        expired=lambda _: refusals.cloudfront_denied(), mismatch=lambda _: refusals.cloudfront_denied(),
        denied=lambda _: refusals.hf_unknown_key(), early=lambda _: refusals.cloudfront_denied(),
        tolerance=math.inf, wrong_range=refusals.hf_wrong_range,
    ),
    Skin(
        name="opaque", parameter="token", marker="token=", query=_opaque, encode=_token,
        expired=lambda _: refusals.plain_forbidden(), mismatch=lambda _: refusals.plain_forbidden(),
        denied=lambda _: refusals.plain_forbidden(),
    ),
)  # fmt: skip

#: Every skin by name: s3v4, s3sts, r2, minio, ceph, s3v2, oss, gcs, gcs_v2, azure, cloudfront, hf, opaque.
SKINS: dict[str, Skin] = {skin.name: skin for skin in _ALL}
