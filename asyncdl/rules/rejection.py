"""What a refusal means: status, headers and body in, one kind of refusal out.

Rule: an expired URL is recognised by the server's own words, else by its known end against the server's own clock, else
by having worked before. "Access Denied" alone is never proof. Nothing here raises.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Final

from asyncdl.model import Headers
from asyncdl.rules import providers
from asyncdl.rules.error_body import ErrorWords, excerpt, presentable, read_words
from asyncdl.rules.expiry import parse_basic_date, parse_http_date, parse_iso_date, signed_at
from asyncdl.rules.retry import parse_retry_after

#: Seconds a server's front end and its signature check may differ in their idea of now.
_CLOCK_SLACK: Final = 5.0
_UNAUTHORISED: Final = frozenset({401, 403})
_NOT_FOUND: Final = frozenset({404, 410})
#: A 503 without a word about its reason is an overload too (RFC 9110 section 15.6.4).
_THROTTLED: Final = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE})
#: Statuses that some servers give a URL that worked until a moment ago.
_DOUBTFUL_AFTER_SUCCESS: Final = frozenset({400, *_NOT_FOUND})

_SIGNATURE_HINT: Final = (
    "The signature does not fit the URL: the URL may have been re-encoded or cut off on its way here, "
    "signed for another method or with other headers, or the signing key was replaced."
)
_VANISHED_HINT: Final = "The URL worked until a moment ago: it has expired, or the object is gone."


class RefusalKind(enum.Enum):
    """Why a server did not hand over the bytes, and so what helps."""

    EXPIRED = "expired"
    """The server says the URL is past its time: renew it."""
    PRESUMED_EXPIRED = "presumed-expired"
    """Not said, but the URL's end has come, or it worked before: renew it."""
    CLOCK_SKEW = "clock-skew"
    """The signer's clock is wrong, or the URL is not valid yet: renew it once."""
    TRANSIENT = "transient"
    """It may pass: wait and repeat."""
    FORBIDDEN = "forbidden"
    """A new URL of the same signer will be refused as well."""
    AMBIGUOUS = "ambiguous"
    """Expired or forbidden, the server does not say: renew it once; a second refusal is final."""
    GONE = "gone"
    """There is no such object."""
    BAD_RANGE = "bad-range"
    """The URL is fine, the range is not one it may be used for; never a reason to renew it."""
    OTHER = "other"
    """Anything else; nothing to be done here."""


#: What a user can do, where the code says no more than the kind.
_HINTS: Final = {
    RefusalKind.EXPIRED: "The URL expired; get a new one, or give a source that can renew it.",
    RefusalKind.PRESUMED_EXPIRED: "The URL has most likely expired; get a new one, or give a source that can renew it.",
    RefusalKind.AMBIGUOUS: "The server does not say whether the URL expired or access is denied; check both.",
    RefusalKind.FORBIDDEN: "The server refuses this request for good; a new URL of the same kind will not help.",
    RefusalKind.GONE: "There is no such object; it may have been deleted, or the URL names another one.",
    RefusalKind.BAD_RANGE: "The server does not serve this byte range under this URL; renewing the URL will not help.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A response that is not the bytes asked for, read. No field holds a secret of the URL it came from.

    Attributes:
        code: the server's name for the error.
        message: the server's sentence, at most 300 characters.
        excerpt: the server's words as one line of at most 300 characters: "Code: Message (detail)" where it gave them.
        retry_after: seconds the server asks to wait, or None.
        hint: a sentence for the user, or None.
        empty: the range could not be satisfied because the object has no bytes.
    """

    kind: RefusalKind
    status: int
    code: str | None
    message: str | None
    excerpt: str
    retry_after: float | None
    hint: str | None
    empty: bool = False

    @property
    def throttled(self) -> bool:
        """Whether the server may be asking for fewer requests, not only for another try."""
        return self.status in _THROTTLED or self.says_too_many

    @property
    def says_too_many(self) -> bool:
        """Whether it says so itself: by its status, its code, or by naming a time before which it wants none."""
        named = self.status == HTTPStatus.TOO_MANY_REQUESTS or self.code in providers.THROTTLED_CODES
        return named or (self.status in _THROTTLED and self.retry_after is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    """All a decision is made from. Times in seconds since the epoch, None where unknown."""

    status: int
    words: ErrorWords
    date: float | None
    expires_at: float | None
    worked: bool
    first: bool
    azure: dict[str, float]

    @property
    def message(self) -> str:
        return self.words.message or ""

    @property
    def is_client_error(self) -> bool:
        return HTTPStatus.BAD_REQUEST <= self.status < HTTPStatus.INTERNAL_SERVER_ERROR

    @property
    def is_past_its_end(self) -> bool:
        # Against the server's clock: the local one may be hours off, and this must not depend on it.
        return self.expires_at is not None and self.date is not None and self.expires_at <= self.date + _CLOCK_SLACK


def read_refusal(
    *,
    status: int,
    headers: Headers,
    body: bytes,
    url: str,
    expires_at: float | None,
    worked: bool,
    first: bool,
    secrets: tuple[str, ...] = (),
) -> Refusal:
    """Read a response that is neither the bytes nor a redirect.

    Args:
        status: of the response.
        headers: of the response; its Date is taken as the present.
        body: of the response; only the first 64 KiB count.
        url: the request's; what is secret in it is kept out of the result.
        secrets: whatever else was sent and must not be repeated: URLs of redirects, values of headers.
        expires_at: when the URL dies, in seconds since the epoch, if known.
        worked: this very URL has been answered with a 2xx before.
        first: no response of this download has ever been accepted.
    """
    words = read_words(headers, body, url, *secrets)
    case = _Case(
        status=status,
        words=words,
        date=parse_http_date(headers.get("date")),
        expires_at=expires_at,
        worked=worked,
        first=first,
        azure=_azure_dates(words),
    )
    kind = _kind(case)
    return Refusal(
        kind=kind,
        status=status,
        code=words.code if presentable(words.code, url, *secrets) == words.code else None,
        message=presentable(words.message, url, *secrets),
        excerpt=excerpt(words, url, *secrets),
        retry_after=parse_retry_after(headers.get("retry-after"), date=headers.get("date")),
        hint=_hint(kind, case, url),
        empty=status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and words.object_size == "0",
    )


def _kind(case: _Case) -> RefusalKind:
    return next((kind for holds, kind in _DECISION if holds(case)), RefusalKind.OTHER)


def _is_no_refusal(case: _Case) -> bool:
    # 407 is the proxy's answer and 412 the caller's own condition: neither says anything about the URL.
    if case.status in {HTTPStatus.PROXY_AUTHENTICATION_REQUIRED, HTTPStatus.PRECONDITION_FAILED}:
        return True
    return case.status < HTTPStatus.BAD_REQUEST and case.status not in providers.TRANSIENT_STATUSES


def _is_bad_range(case: _Case) -> bool:
    if case.status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE or case.words.code in providers.BAD_RANGE_CODES:
        return True
    return case.is_client_error and bool(providers.BAD_RANGE_MESSAGE.search(case.message))


def _is_expired(case: _Case) -> bool:
    code, azure = case.words.code, case.azure
    if not case.is_client_error:
        return False
    if code == "AccessDenied":
        return bool(providers.EXPIRED_MESSAGE.fullmatch(case.message))
    if code in providers.BAD_SIGNATURE_CODES:
        return bool(providers.EXPIRED_SIGNATURE.match(case.message))
    if "Current" in azure and "Expiry" in azure:
        return azure["Current"] >= azure["Expiry"]
    return code in providers.EXPIRED_CODES


def _is_clock_skew(case: _Case) -> bool:
    if not case.is_client_error:
        return False
    if "Current" in case.azure and "Start" in case.azure:
        return case.azure["Current"] < case.azure["Start"]
    return case.words.code in providers.CLOCK_CODES or bool(providers.NOT_YET_VALID.match(case.message))


def _is_transient(case: _Case) -> bool:
    if case.status == HTTPStatus.CONFLICT and case.words.code in providers.FORBIDDEN_CODES:
        return False
    return case.status in providers.TRANSIENT_STATUSES or case.words.code in providers.TRANSIENT_CODES


def _is_gone_by_name(case: _Case) -> bool:
    return case.is_client_error and case.words.code in providers.GONE_CODES


def _is_forbidden(case: _Case) -> bool:
    if not case.is_client_error:
        return False
    if case.words.code in providers.FORBIDDEN_CODES or any(
        sentence.match(case.message) for sentence in providers.FORBIDDEN_MESSAGES
    ):
        return True
    # Once something worked, a signature that no longer fits may be one whose key was rotated: that is worth a new URL.
    return case.first and _is_bad_signature(case)


def _is_bad_signature(case: _Case) -> bool:
    if case.words.code in providers.BAD_SIGNATURE_CODES:
        return True
    return bool(providers.AZURE_BAD_SIGNATURE.search(case.words.detail or ""))


def _is_presumed_expired(case: _Case) -> bool:
    if case.status in _UNAUTHORISED:
        return case.worked or case.is_past_its_end
    if case.status == HTTPStatus.GONE and case.is_past_its_end:
        return True  # nginx's documented answer of secure_link to an expired link
    return case.worked and case.status in _DOUBTFUL_AFTER_SUCCESS


def _is_refused_by_edge(case: _Case) -> bool:
    return case.is_client_error and bool(providers.EDGE_REFUSAL.match(case.message))


def _is_unauthorised(case: _Case) -> bool:
    return case.status in _UNAUTHORISED


def _is_gone(case: _Case) -> bool:
    return case.status in _NOT_FOUND


#: The first line that holds decides.
_DECISION: Final[tuple[tuple[Callable[[_Case], bool], RefusalKind], ...]] = (
    (_is_no_refusal, RefusalKind.OTHER),
    (_is_bad_range, RefusalKind.BAD_RANGE),
    (_is_expired, RefusalKind.EXPIRED),
    (_is_clock_skew, RefusalKind.CLOCK_SKEW),
    (_is_transient, RefusalKind.TRANSIENT),
    (_is_gone_by_name, RefusalKind.GONE),
    (_is_forbidden, RefusalKind.FORBIDDEN),
    (_is_presumed_expired, RefusalKind.PRESUMED_EXPIRED),
    (_is_refused_by_edge, RefusalKind.FORBIDDEN),
    (_is_unauthorised, RefusalKind.AMBIGUOUS),
    (_is_gone, RefusalKind.GONE),
)


def _azure_dates(words: ErrorWords) -> dict[str, float]:
    """Return the dates of Azure's time frame sentence by their names; empty for any other error."""
    sentences = f"{words.message or ''} {words.detail or ''}"
    if not providers.AZURE_TIME_FRAME.search(sentences):
        return {}
    dates = ((name, parse_http_date(value)) for name, value in providers.AZURE_DATES.findall(sentences))
    return {name: date for name, date in dates if date is not None}


def _hint(kind: RefusalKind, case: _Case, url: str) -> str | None:
    code = case.words.code or ""
    if case.status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        return "The proxy between here and the server asks for a login; put it into the proxy URL."
    if kind is RefusalKind.CLOCK_SKEW:
        return _clock_hint(case, url)
    if _is_bad_signature(case) and kind is not RefusalKind.EXPIRED:
        return _SIGNATURE_HINT
    if kind is RefusalKind.PRESUMED_EXPIRED and case.status in _NOT_FOUND and not case.is_past_its_end:
        return _VANISHED_HINT
    return providers.HINTS.get(code) or _HINTS.get(kind)


def _clock_hint(case: _Case, url: str) -> str:
    azure, words = case.azure, case.words
    signed = azure.get("Start") or parse_basic_date(words.request_time) or parse_http_date(words.request_time)
    server = azure.get("Current") or parse_iso_date(words.server_time) or case.date
    return (
        f"The URL is dated {_readable(signed or signed_at(url))} and the server's clock says {_readable(server)}; "
        "set the clock of the machine that signs."
    )


def _readable(time: float | None) -> str:
    if time is None:
        return "(not said)"
    return datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
