"""What storage services call their errors: tables of codes and sentences, no decisions.

Sources: the services' error code references (Amazon S3, AWS common errors, Google Cloud Storage, Azure Storage, Alibaba
OSS, Cloudflare R2, Backblaze B2, Hugging Face Hub), and error bodies quoted in their users' public issues.
"""

from __future__ import annotations

import re
from typing import Final

from asyncdl.patterns import Pattern

#: Statuses that may pass by themselves. 308 is one only without a Location; whoever follows redirects sees to that.
TRANSIENT_STATUSES: Final = frozenset({308, 408, 409, 425, 429, 500, 502, 503, 504, 522, 524})

#: Codes that say the URL, or the session token in it, is past its time.
EXPIRED_CODES: Final = frozenset(
    {
        "ExpiredToken",  # S3 with an STS token (400); GCS (400)
        "ExpiredRequest",  # R2 (403; 400 until July 2026)
        "RequestExpired",  # AWS common errors (400); NooBaa
        "ExpiredTokenException",  # AWS common errors (403)
        "TokenRefreshRequired",  # S3
        "expired_auth_token",  # B2 (401)
    }
)

#: Codes that say the signer's clock and the server's disagree.
CLOCK_CODES: Final = frozenset({"RequestTimeTooSkewed"})  # S3 and its clones, OSS (403; some clones 400)

#: Codes that say "slower, please": the reaction is fewer connections besides waiting.
THROTTLED_CODES: Final = frozenset({
    "SlowDown",  # S3 (503)
    "Throttling", "ThrottlingException", "ThrottledException", "RequestThrottled", "RequestThrottledException",  # AWS
    "RequestLimitExceeded", "BandwidthLimitExceeded", "LimitExceededException", "TooManyRequestsException",  # AWS
    "ProvisionedThroughputExceededException", "TransactionInProgressException", "EC2ThrottledException",  # AWS
    "TooManyRequests",  # R2 (429)
    "rateLimitExceeded", "userRateLimitExceeded",  # GCS JSON (429, also 403)
    "ServerBusy",  # Azure (503)
    "QpsLimitExceeded", "DownloadTrafficRateLimitExceeded",  # OSS (503)
    "too_many_requests",  # B2 (429)
})  # fmt: skip

#: Codes of faults on the server's side, or of the connection, that a later try may not meet.
TRANSIENT_CODES: Final = THROTTLED_CODES | {
    "RequestTimeout", "RequestTimeoutException",  # S3 (400): a connection that idled; AWS
    "InternalError", "ServiceUnavailable", "OperationAborted",  # S3 (500, 503, 409)
    "PriorRequestNotComplete",  # AWS (400)
    "OperationTimedOut",  # Azure (500)
    "backendError", "internalError",  # GCS JSON (503, 500)
    "service_unavailable", "internal_error",  # B2
}  # fmt: skip

#: Codes of a signature that does not fit the request: final when nothing ever worked, doubtful later.
BAD_SIGNATURE_CODES: Final = frozenset({"SignatureDoesNotMatch", "InvalidSignatureException"})

#: Codes of a refusal that another URL from the same signer will meet again.
FORBIDDEN_CODES: Final = frozenset({
    "InvalidAccessKeyId", "InvalidToken", "AuthorizationQueryParametersError", "AuthorizationHeaderMalformed",  # S3
    "AccountProblem", "AllAccessDisabled", "NotSignedUp", "InvalidObjectState", "InvalidPayer",  # S3
    "UserProjectMissing", "UserProjectAccountProblem",  # GCS, requester pays
    "AuthorizationFailure", "AuthorizationPermissionMismatch", "AuthorizationProtocolMismatch",  # Azure
    "AuthorizationSourceIPMismatch", "AuthorizationServiceMismatch", "AuthorizationResourceTypeMismatch",  # Azure
    "InsufficientAccountPermissions", "AccountIsDisabled", "PublicAccessNotPermitted", "BlobArchived",  # Azure
    "MissingKey", "InvalidKey",  # CloudFront: no Key-Pair-Id, or one it does not know
    "UserDisable",  # OSS
    "download_cap_exceeded", "transaction_cap_exceeded", "bad_auth_token",  # B2
    "GatedRepo", "DisabledRepo",  # Hugging Face
})  # fmt: skip

#: Codes that say there is no such object.
GONE_CODES: Final = frozenset({
    "NoSuchKey", "NoSuchBucket", "NoSuchVersion",  # S3 and its clones, GCS, OSS
    "BlobNotFound", "ContainerNotFound", "ResourceNotFound",  # Azure
    "EntryNotFound", "RevisionNotFound", "RepoNotFound",  # Hugging Face
    "not_found", "no_such_file",  # B2
})  # fmt: skip

#: S3's code for a range outside the object.
BAD_RANGE_CODES: Final = frozenset({"InvalidRange"})

#: Sentences, where the code alone does not tell.
EXPIRED_MESSAGE: Final = Pattern(
    r"(?:Request|The pre-signed URL) has expired\.?",  # S3, MinIO, OSS; Ceph RGW: with the code AccessDenied
    re.IGNORECASE,
)
EXPIRED_SIGNATURE: Final = Pattern(r"Signature expired: ", re.IGNORECASE)  # AWS other than S3
NOT_YET_VALID: Final = Pattern(
    r"(?:Request|The pre-signed URL|Signature)(?: is)? not (?:valid yet|yet valid|yet current)\b",  # MinIO, NooBaa, AWS
    re.IGNORECASE,
)
BAD_RANGE_MESSAGE: Final = Pattern(
    r"Auth failed: invalid range\b|\bInvalid Range Specified\b",  # Hugging Face xet: a URL signed for one range only
    re.IGNORECASE,
)
EDGE_REFUSAL: Final = Pattern(r"Auth failed: ", re.IGNORECASE)  # Hugging Face xet: no such key pair and its like
FORBIDDEN_MESSAGES: Final = (
    Pattern(r"There were headers present in the request which were not signed"),  # S3: AccessDenied
    Pattern(r"Unknown Key\b"),  # CloudFront
    Pattern(r"Missing Key-Pair-Id\b"),  # CloudFront
)
AZURE_BAD_SIGNATURE: Final = Pattern(r"Signature did not match\b|is not the same as any computed signature")

#: Azure's sentence about time, and the three dates in it. It is the same text before the start and after the end.
AZURE_TIME_FRAME: Final = Pattern(r"Signature not valid in the specified time frame")
AZURE_DATES: Final = Pattern(r"\b(Start|Expiry|Current)\s{0,9}\[([^\[\]]{1,60})\]")

#: What a user can do, by code.
HINTS: Final = {
    "InvalidAccessKeyId": "The access key that signed the URL does not exist; check the signer's credentials.",
    "InvalidToken": "The session token in the URL is damaged or was revoked; check the signer's credentials.",
    "AuthorizationQueryParametersError": "The query is cut off, or signed for another region than the bucket's.",
    "InvalidObjectState": "The object is archived; restore it before downloading.",
    "BlobArchived": "The blob is archived; rehydrate it before downloading.",
    "InvalidPayer": "The bucket is requester-pays; sign the URL for a payer.",
    "UserProjectMissing": "The bucket is requester-pays; sign the URL with a userProject.",
    "AuthorizationPermissionMismatch": "The shared access signature lacks the read permission (sp=r).",
    "AuthorizationProtocolMismatch": "The shared access signature allows https only.",
    "AuthorizationSourceIPMismatch": "The shared access signature is bound to another IP address; check proxy and VPN.",
    "AuthorizationServiceMismatch": "The shared access signature is for another storage service.",
    "AuthorizationResourceTypeMismatch": "The shared access signature is not for this type of resource.",
    "AuthorizationFailure": "The storage account's firewall or network rules may keep this machine out.",
    "MissingKey": "The URL has no Key-Pair-Id; it may have been cut off at an ampersand: quote it in the shell.",
    "InvalidKey": "CloudFront does not know the key pair that signed the URL.",
    "GatedRepo": "Access to this repository must be asked for on the Hub, and the token must belong to that account.",
    "RepoNotFound": "No such repository, or it is private and the token gives no access.",
    "download_cap_exceeded": "The account's daily download cap is reached.",
}  # fmt: skip
