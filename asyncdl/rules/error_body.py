"""What an error response says, in XML, JSON, HTML or plain text; what it means is not decided here.

Rule: bounded patterns only. No parser sees a server's error (entity bombs, deep nesting, byte order marks, halves of
documents), at most 64 KiB are looked at, and nothing here raises.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Final

from asyncdl.model import Headers
from asyncdl.patterns import Pattern
from asyncdl.rules.redaction import MARK, redact_text

#: Bytes of a body that are looked at; errors of storage services are far shorter.
MOST_BODY: Final = 64 * 1024
#: Characters of one field, and of the text shown when there is no field.
_MOST_FIELD: Final = 2000
_MOST_TEXT: Final = 8192
#: Characters of what is shown to people.
MOST_EXCERPT: Final = 300
#: A body with more unreadable characters than one in so many is a compressed or binary one.
_UNREADABLE_SHARE: Final = 10

#: Controls, halves of characters, and whatever is drawn as nothing or turns the direction of writing (Unicode category
#: Cf, the Default_Ignorable_Code_Point property): a token with one inside looks whole and is not recognised.
_NEVER_SHOWN: Final = Pattern(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e"
    "\u2060-\u206f\u3164\ud800-\udfff\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\ufffe\uffff\U0001bca0-\U0001bca3"
    "\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
_IDENTIFIER: Final = Pattern(r"[A-Za-z][A-Za-z0-9_.-]{0,79}")
_MARKUP: Final = Pattern(
    r"<!--.*?(?:-->|\Z)|<(script|style)\b.*?(?:</\1\s{0,9}>|\Z)|<[^<>]*(?:>|\Z)", re.DOTALL | re.IGNORECASE
)

#: JSON members that hold a code, the coarsest last: Google's `status`, OAuth's `error`.
_JSON_CODES: Final = ("code", "Code", "error_code", "errorCode", "__type", "reason", "status", "error")
_JSON_MESSAGES: Final = ("message", "Message", "error_description", "error_message", "detail", "error", "title")
#: Headers that repeat the code where there may be no body: Azure Storage; Hugging Face.
_CODE_HEADERS: Final = ("x-ms-error-code", "x-error-code")


@dataclass(frozen=True, kw_only=True, slots=True)
class ErrorWords:
    """An error response in the server's words, not yet fit to be shown: it may repeat secrets.

    Attributes:
        code: the machine-readable name of the error.
        message: the sentence that goes with it; for plain text and HTML all of it.
        detail: what GCS calls Details and Azure AuthenticationErrorDetail.
        request_time, server_time: both clocks, as S3's RequestTimeTooSkewed shows them.
        object_size: bytes, as S3's InvalidRange shows them.
    """

    code: str | None = None
    message: str | None = None
    detail: str | None = None
    request_time: str | None = None
    server_time: str | None = None
    object_size: str | None = None


def read_words(headers: Headers, body: bytes, *secrets_from: str) -> ErrorWords:
    """Find the code and the sentences of an error in the first 64 KiB of its body, or in its headers.

    Args:
        headers: of the response.
        body: of the response.
        secrets_from: URLs and header values whose secrets must not be torn apart where markup is taken out.
    """
    text = _decode(body)
    code, message = _identifier(_element(text, "Code")), _element(text, "Message")
    detail = _element(text, "AuthenticationErrorDetail") or _element(text, "Details")
    in_fields = bool(code or detail)
    code = code or next((value for name in _CODE_HEADERS if (value := _identifier(headers.get(name)))), None)
    if text[:1] in {"{", "["}:
        members = (_identifier(_member(text, name)) for name in _JSON_CODES)
        code = code or next((member for member in members if member), None)
        message = message or next((value for name in _JSON_MESSAGES if (value := _member(text, name))), None)
        detail = detail or _member(text, "AuthenticationErrorDetail")
    return ErrorWords(
        code=code,
        message=message
        or headers.get("x-error-message")
        or (None if in_fields else _plain(text, secrets_from) or None),
        detail=detail,
        request_time=_element(text, "RequestTime"),
        server_time=_element(text, "ServerTime"),
        object_size=_element(text, "ActualObjectSize"),
    )


def presentable(value: str | None, *secrets_from: str) -> str | None:
    """`value` for people: redacted, on one line, of bounded length; None where nothing is left."""
    # Hidden characters go first: a server that puts one inside a token must not hide the token from the redaction.
    clean = redact_text(_NEVER_SHOWN.sub("", value or ""), *secrets_from)
    line = " ".join(clean.split())
    return (line if len(line) <= MOST_EXCERPT else line[: MOST_EXCERPT - 1] + MARK) or None


def excerpt(words: ErrorWords, *secrets_from: str) -> str:
    """`Code: Message (detail)`, as far as the server said it, fit to be shown."""
    message = words.message
    if words.detail:
        # The detail is more telling than what follows: Azure's message goes on with advice and request ids.
        message = re.split(r"(?<=[.!?])\s", (message or "").strip(), maxsplit=1)[0]
    code, message, detail = (presentable(value, *secrets_from) for value in (words.code, message, words.detail))
    sentence = ": ".join(part for part in (code, message) if part)
    if detail:
        sentence = f"{sentence} ({detail})" if sentence else detail
    return sentence if len(sentence) <= MOST_EXCERPT else sentence[: MOST_EXCERPT - 1] + MARK


def _decode(body: bytes) -> str:
    head = bytes(body[:MOST_BODY])
    utf16 = head.startswith((b"\xff\xfe", b"\xfe\xff"))
    text = head.decode("utf-16" if utf16 else "utf-8", "replace")
    if len(body) >= MOST_BODY:  # who reads so much and no more cannot tell whether there was more
        text = _without_last_word(text)
    return text.lstrip("\ufeff \t\r\n")


def _without_last_word(text: str) -> str:
    # Half a token at a cut is no longer recognised as the token.
    last = text.rstrip()
    return last[: max(last.rfind(end) for end in " \t\r\n>") + 1]


def _whole_words(field: str) -> str:
    return _without_last_word(field) if len(field) >= _MOST_FIELD else field


def _element(text: str, name: str) -> str | None:
    """Return the text of the first XML element `name`, whatever its prefix and attributes."""
    match = re.search(
        rf"<(?:\w{{1,20}}:)?{name}(?:\s[^<>]{{0,200}})?>\s{{0,99}}(?:<!\[CDATA\[)?([^<]{{0,{_MOST_FIELD}}})", text
    )
    if match is None:
        return None
    return _unescaped(_whole_words(match[1]).strip().removesuffix("]]>")).strip() or None


def _unescaped(text: str) -> str:
    import html  # noqa: PLC0415  # it has the names of 2,000 characters, and only texts of errors need them

    return html.unescape(text)


def _member(text: str, name: str) -> str | None:
    """Return the text of the first JSON member `name` that is a string."""
    match = re.search(rf'"{name}"\s{{0,99}}:\s{{0,99}}"((?:[^"\\]|\\.){{0,{_MOST_FIELD}}}+)', text)
    if match is None:
        return None
    found = _whole_words(match[1])
    try:
        value = json.loads(f'"{found}"', strict=False)
    except ValueError:
        value = found
    return str(value).strip() or None


def _identifier(value: str | None) -> str | None:
    # AWS JSON services name a shape: com.amazonaws.sts#ExpiredTokenException.
    last = (value or "").strip().rpartition("#")[2]
    return last if _IDENTIFIER.fullmatch(last) else None


def _plain(text: str, secrets_from: tuple[str, ...]) -> str:
    """Return the text without markup; nothing where it is no text."""
    start = text[:_MOST_TEXT]
    unreadable = start.count("\ufffd") + len(_NEVER_SHOWN.findall(start))
    if unreadable * _UNREADABLE_SHARE > len(start):
        return ""
    if len(text) > _MOST_TEXT:
        start = _without_last_word(start)
    # Echoed signatures go while the elements that mark them are still there.
    words = _MARKUP.sub(" ", redact_text(start, *secrets_from)).strip()
    return _unescaped(words[:_MOST_FIELD])
