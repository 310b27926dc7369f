"""What botocore's exceptions and S3's answers mean to a user: a sentence and what to do; nothing is asked here.

Rule: no exception of botocore's leaves the source, not even as a cause: their attributes hold keys and tokens.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from asyncdl.errors import SourceError
from asyncdl.rules.redaction import redact_text

#: Characters kept of what a server or botocore says.
_LONGEST_WORDS: Final = 300
#: What asyncdl asks of S3 itself; any other operation was asked by botocore for credentials.
_OURS: Final = frozenset({"GetObject", "HeadBucket", "HeadObject", "ListObjectsV2"})


@dataclass(frozen=True, slots=True)
class _Meaning:
    """What to tell.

    Attributes:
        sentence: what is wrong.
        hint: what to do; `{profile}` stands for ` --profile NAME`, or for nothing.
        quoted: whether what botocore says is worth repeating.
    """

    sentence: str
    hint: str | None = None
    quoted: bool = False


_EXPIRED: Final = _Meaning(
    "the session token has expired", "log in again (aws sso login{profile}), or get new session credentials"
)
_SSO: Final = _Meaning("there is no valid SSO session", "log in: aws sso login{profile}")
_LOGIN: Final = _Meaning("there is no valid login session", "log in: aws login{profile}")
_DENIED: Final = _Meaning(
    "access is denied",
    "one object needs s3:GetObject, a prefix s3:ListBucket too; a missing object looks the same to who may not list;"
    " requester_pays=True and unsigned=True are for buckets of others",
    quoted=True,
)
_BAD_KEY: Final = _Meaning("the credentials are not accepted", "check the access key, its secret and the endpoint")
_REGION: Final = "give region=, or set AWS_DEFAULT_REGION"
_SLOWER: Final = _Meaning("the store asks for fewer requests", "try again later")

#: By S3's code, or by the status of an answer without a body (HEAD). Amazon S3 API Reference, "Error responses".
_ANSWERS: Final = {
    "NoSuchBucket": _Meaning("there is no such bucket", "check its name and the endpoint"),
    "NoSuchKey": _Meaning("there is no such object", "a URL of all that lies under a prefix ends in a slash"),
    "NoSuchVersion": _Meaning("there is no such version of the object", "leave versionId out for the newest"),
    "AccessDenied": _DENIED,
    "403": _DENIED,
    "AllAccessDisabled": _DENIED,
    "InvalidAccessKeyId": _BAD_KEY,
    "SignatureDoesNotMatch": _BAD_KEY,
    "InvalidToken": _BAD_KEY,
    "ExpiredToken": _EXPIRED,
    "ExpiredTokenException": _EXPIRED,
    "RequestExpired": _EXPIRED,
    "400": _Meaning(
        "the store refuses (400) and does not say why", "an expired session token and a wrong region look like this"
    ),
    "405": _Meaning("the newest version is a delete marker", "give the versionId of an older one"),
    "MethodNotAllowed": _Meaning("the newest version is a delete marker", "give the versionId of an older one"),
    "RequestTimeTooSkewed": _Meaning("this machine's clock is wrong", "set it", quoted=True),
    "SlowDown": _SLOWER,
    "503": _SLOWER,
}
#: Codes of a request to, or signed for, another region than the bucket's.
_ELSEWHERE: Final = frozenset(
    {"301", "307", "PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException"}
)

#: By the name of botocore's exception, or of one it derives from: names last, classes come and go.
_FAULTS: Final = {
    "NoCredentialsError": _Meaning(
        "there are no AWS credentials",
        "set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or run aws configure; a public bucket"
        " needs none with unsigned=True",
    ),
    "PartialCredentialsError": _Meaning("the AWS credentials are incomplete", "give all that belongs to them", True),
    "ProfileNotFound": _Meaning("there is no such AWS profile", "aws configure list-profiles shows them", True),
    "UnauthorizedSSOTokenError": _SSO,
    "SSOTokenLoadError": _SSO,
    "SSOError": _SSO,
    "TokenRetrievalError": _SSO,
    "LoginError": _LOGIN,
    "CredentialRetrievalError": _Meaning(
        "the credentials could not be got", "check the profile, and what it names", quoted=True
    ),
    "MetadataRetrievalError": _Meaning("the credentials could not be got", "is there a role on this machine?", True),
    "RefreshWithMFAUnsupportedError": _Meaning(
        "the profile asks for an MFA code, which nobody can type here",
        "get session credentials with the AWS CLI, and use those",
    ),
    "MissingDependencyException": _Meaning(
        "these credentials need a further package", "pip install 'botocore[crt]'", quoted=True
    ),
    "NoRegionError": _Meaning("no region is known", _REGION),
    "InvalidRegionError": _Meaning("the region has an impossible name", _REGION),
    "ConfigParseError": _Meaning("the AWS configuration cannot be read", "correct the file", quoted=True),
    "InvalidConfigError": _Meaning("the AWS configuration cannot be used", "correct the file", quoted=True),
    "ProxyConnectionError": _Meaning("the proxy cannot be reached", "check Options.proxy and HTTPS_PROXY"),
    "SSLError": _Meaning(
        "the store's certificate is not trusted", "name its authority: Options.ca_file or AWS_CA_BUNDLE"
    ),
    "ReadTimeoutError": _Meaning("the store does not answer", "check the endpoint; raise Timeouts.response"),
    "ConnectTimeoutError": _Meaning("the store cannot be reached", "check the endpoint, the region and the proxy"),
    "EndpointConnectionError": _Meaning("the store cannot be reached", "check the endpoint, the region and the proxy"),
    "HTTPClientError": _Meaning("the connection to the store broke", "try again"),
    "ParamValidationError": _Meaning("botocore refuses the request", None, quoted=True),
}


def explain(error: Exception, about: str, *, profile: str | None) -> SourceError:
    """The error to raise in the place of one of botocore's.

    Args:
        about: the object or prefix it is about.
        profile: that was asked for, if any.
    """
    response = getattr(error, "response", None)
    if isinstance(response, dict):
        return _answered(response, str(getattr(error, "operation_name", "")), about, profile)
    names = (kind.__name__ for kind in type(error).__mro__)
    meaning = next((_FAULTS[name] for name in names if name in _FAULTS), None)
    if meaning is None:
        return SourceError(f"{about}: {type(error).__name__}: {_words(str(error))}")
    return _error(about, meaning, str(error) if meaning.quoted else "", profile)


def _answered(response: dict[str, Any], operation: str, about: str, profile: str | None) -> SourceError:
    told, metadata = response.get("Error", {}), response.get("ResponseMetadata", {})
    code, message = str(told.get("Code", "")), str(told.get("Message", ""))
    if operation not in _OURS:
        sentence = f"the credentials could not be got: {operation} was refused"
        hint = "check the profile's role, and who may assume it; an SSO session may have ended (aws sso login{profile})"
        return _error(about, _Meaning(sentence, hint), f"{code}: {message}", profile)
    if code in _ELSEWHERE:
        region = metadata.get("HTTPHeaders", {}).get("x-amz-bucket-region") or told.get("Region")
        where = f"in the region {_words(str(region))}" if region else "in another region"
        hint = f'give region="{_words(str(region))}", or set AWS_DEFAULT_REGION to it' if region else _REGION
        return SourceError(f"{about}: the bucket is {where}", hint=hint)
    if code == "404":
        code = "NoSuchBucket" if operation == "HeadBucket" else "NoSuchKey"
    meaning = _ANSWERS.get(code)
    if meaning is None:
        return SourceError(f"{about}: the store refuses: {_words(f'{code}: {message}')}")
    # Of an answer without a body botocore makes "Forbidden" and the like.
    return _error(about, meaning, message if meaning.quoted and not code.isdigit() else "", profile)


def _error(about: str, meaning: _Meaning, words: str, profile: str | None) -> SourceError:
    hint = meaning.hint and meaning.hint.replace("{profile}", f" --profile {profile}" if profile else "")
    return SourceError(f"{about}: {meaning.sentence}" + (f" ({_words(words)})" if words else ""), hint=hint)


def _words(text: str) -> str:
    """On one line, without secrets and control characters."""
    line = " ".join(redact_text(text).split())
    return "".join(letter for letter in line if letter.isprintable())[:_LONGEST_WORDS]
