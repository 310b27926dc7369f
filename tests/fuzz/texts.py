"""Targets: what servers say, with secrets in it; nothing of a secret comes out, and no text takes long."""

from __future__ import annotations

import html
import json
import time
import unicodedata
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock
from urllib.parse import quote

from asyncdl.model import Headers
from asyncdl.rules import redaction
from asyncdl.rules.error_body import MOST_BODY
from asyncdl.rules.redaction import redact_text
from asyncdl.rules.rejection import Refusal, RefusalKind, read_refusal
from tests.fuzz.engine import Target

_SIGNATURE = "q7Zk+W4/vT9sLx2Rb8NcYd3HfJ6gMp5AuEeKiPoQwUy="
_TOKEN = "Xk9TqPb3ZsVwLm8RuYcFh2Ne/LXdlc3QtMiJHMEUCIQDk+&<x"
_URL = (
    "https://alice:W4sJq9ZtKe7u@bucket.example/weights.bin?X-Amz-Credential=AKIAQX7LTRM3ZPVE2KDN%2F20261120%2Fs3"
    f"&X-Amz-Security-Token={quote(_TOKEN, safe='')}&X-Amz-Signature={quote(_SIGNATURE, safe='')}"
)
_PLANTED = (_SIGNATURE, _TOKEN, "AKIAQX7LTRM3ZPVE2KDN", "W4sJq9ZtKe7u")
#: Letters in a row of a secret that give too much of it away.
_WINDOW = 9
#: Bytes that stand for a secret in an input, so that mutation cannot damage it: the secret and how it is spelled.
_SPELLINGS: tuple[Callable[[str], str], ...] = (
    lambda secret: secret,
    lambda secret: quote(secret, safe=""),
    lambda secret: quote(secret, safe="").lower() if "%" in quote(secret, safe="") else secret,
    html.escape,
    lambda secret: json.dumps(secret)[1:-1],
    lambda secret: quote(quote(secret, safe=""), safe=""),
)
# Nearly all the time would go into the spellings of the same few secrets.
_spellings = cache(redaction._spellings)
_MARKERS = {
    bytes((0x80 + 8 * at + form,)): spell(secret).encode()
    for at, secret in enumerate(_PLANTED)
    for form, spell in enumerate(_SPELLINGS)
}
#: After one of these a letter would be read as part of an escape, and the secret would not be whole.
_EATS = frozenset(b"%&#\\;" + b"0123456789abcdefABCDEFxXu")
_DATE = "Fri, 20 Nov 2026 10:00:00 GMT"
#: Seconds of processor time for one text of 64 KiB; what is quadratic takes minutes.
MOST_SECONDS = 0.5


@cache
def _windows() -> frozenset[str]:
    """Pieces of the secrets, as they are and as URLs and markup have them."""
    pieces = {secret[at : at + _WINDOW] for secret in _PLANTED for at in range(len(secret) - _WINDOW + 1)}
    return frozenset(spell(piece) for piece in pieces for spell in (_SPELLINGS[0], _SPELLINGS[1], html.escape))


def planted(data: bytes) -> bytes:
    """The input with whole secrets in place of their markers."""
    if data.isascii():
        return data
    out = bytearray()
    for at, byte in enumerate(data):
        secret = _MARKERS.get(data[at : at + 1])
        if secret is None:
            out.append(byte)
            continue
        if out and out[-1] in _EATS:
            out += b"="
        out += secret
    return bytes(out)


def _leaked(shown: str) -> list[str]:
    return [window for window in _windows() if window in shown]


@contextmanager
def known_spellings() -> Iterator[None]:
    """Lets the redaction remember the spellings of a secret: some twenty times the inputs."""
    with mock.patch.object(redaction, "_spellings", _spellings):
        yield


def split_refusal(data: bytes) -> dict[str, Any]:
    """Arguments of `read_refusal`: a byte of flags, header lines, an empty line, the body."""
    flags = data[0] if data else 0
    head, _, body = planted(data[1:]).partition(b"\n\n")
    statuses = (400, 401, 403, 404, 407, 409, 410, 412, 416, 429, 500, 503, 308, 204, 599, 302)
    lines = (line.partition(":") for line in head.decode("utf-8", "surrogateescape").split("\n"))
    return {
        "status": statuses[flags % 16],
        "headers": Headers([("Date", _DATE), *((name.strip(), value.strip()) for name, _, value in lines)]),
        "body": body,
        "worked": bool(flags & 16),
        "first": bool(flags & 32),
        "expires_at": (None, 1795168799.0, 1795168900.0, 0.0)[flags >> 6],
    }


def check_refusal(data: bytes) -> Hashable:
    """Never raises, never shows nine letters of a secret, and decides what the facts allow."""
    case = split_refusal(data)
    refusal = read_refusal(url=_URL, **case)
    for shown in (refusal.code, refusal.message, refusal.excerpt, refusal.hint):
        assert not shown or [] == _leaked(shown), (_leaked(shown), shown)
        assert not shown or len(shown) <= 400
        assert not shown or not {"Cc", "Cs", "Zl", "Zp"} & set(map(unicodedata.category, shown)), ascii(shown)
    assert case["status"] == refusal.status
    assert refusal.retry_after is None or 0 <= refusal.retry_after <= 10**15
    _check_decision(case, refusal)
    if not len(data) % 16:
        assert refusal == read_refusal(url=_URL, **case)
    return refusal.kind, refusal.status, refusal.code, refusal.throttled, bool(refusal.message)


def _check_decision(case: dict[str, Any], refusal: Refusal) -> None:
    kind, status = refusal.kind, refusal.status
    if status in {407, 412}:
        assert RefusalKind.OTHER is kind
    if status == 416:
        assert RefusalKind.BAD_RANGE is kind
    if kind in {RefusalKind.EXPIRED, RefusalKind.PRESUMED_EXPIRED, RefusalKind.CLOCK_SKEW, RefusalKind.AMBIGUOUS}:
        assert 400 <= status < 500
    if kind is RefusalKind.PRESUMED_EXPIRED:
        assert case["worked"] or case["expires_at"] is not None
    if kind is RefusalKind.AMBIGUOUS:
        assert status in {401, 403}
        assert not case["worked"]
    if status >= 500 and kind is not RefusalKind.OTHER:
        assert kind in {RefusalKind.TRANSIENT, RefusalKind.BAD_RANGE}


def check_redaction(data: bytes) -> Hashable:
    """Nine letters of a secret in a row never stay; every text gives a text."""
    text = planted(data).decode("utf-8", "surrogateescape")
    clean = redact_text(text, _URL)
    assert [] == _leaked(clean), (_leaked(clean), clean)
    assert len(clean) <= 2 * len(text) + 8
    return len(text) // 16, clean.count("\u2026"), text == clean


def check_time(data: bytes) -> Hashable:
    """However often a text says the same, reading 64 KiB of it takes no longer than other 64 KiB."""
    head, _, rest = data.partition(b"\n")
    unit, _, tail = rest.partition(b"\n")
    text = head + (unit or b"a") * (MOST_BODY // len(unit or b"a"))
    body = text[: MOST_BODY - len(tail)] + tail
    spent = 60.0
    # The best of three: what else the machine does is not to be held against the text.
    for _ in range(3):
        before = time.process_time()
        read_refusal(status=403, headers=Headers(), body=body, url=_URL, expires_at=None, worked=False, first=True)
        redact_text(body.decode("utf-8", "replace"), _URL)
        spent = min(spent, time.process_time() - before)
        if spent < MOST_SECONDS:
            break
    assert spent < MOST_SECONDS, f"{spent:.2f} s for 64 KiB"
    return int(spent * 50)


def _rows() -> list[dict[str, Any]]:
    files = sorted((Path(__file__).parents[1] / "rules" / "refusals").glob("*.json"))
    return [row for file in files for row in json.loads(file.read_text("utf-8"))]


def _seed(row: dict[str, Any]) -> bytes:
    statuses = {400: 0, 401: 1, 403: 2, 404: 3, 409: 5, 410: 6, 416: 8, 429: 9, 500: 10, 503: 11}
    flags = statuses.get(row["status"], 2) | 16 * row["worked"] | 32 * row["first"]
    head = "\n".join(f"{name}: {value}" for name, value in row["headers"].items())
    return bytes((flags,)) + f"{head}\n\n{row['body']}".encode("ascii", "replace")


_TAGS: tuple[bytes, ...] = (
    b"Error",
    b"Code",
    b"Message",
    b"Details",
    b"AuthenticationErrorDetail",
    b"StringToSign",
    b"SignatureProvided",
)
_TAGS += (b"CanonicalRequest", b"Token-0", b"RequestTime", b"ServerTime", b"AWSAccessKeyId", b"script", b"ns:Code")
_PROSE: tuple[bytes, ...] = (
    b"AccessDenied",
    b"Request has expired",
    b"ExpiredToken",
    b"SlowDown",
    b"NoSuchKey",
    b"SignatureDoesNotMatch",
)
_PROSE += (
    b"Signature not valid in the specified time frame: ",
    b"Start [",
    b"Expiry [",
    b"Current [",
    b"] - ",
    _DATE.encode(),
)
_PROSE += (
    b"Auth failed: ",
    b"invalid range",
    b"Bearer ",
    b"Basic ",
    b"authorization: ",
    b"Cookie: ",
    b"token=",
    b"sig=",
)
_PROSE += (
    b"--password ",
    b"&X-Amz-Signature=",
    b"https://",
    b"https%3A%2F%2F",
    b"://u:",
    b"@host/",
    b"?",
    b"%3F",
    b"%26",
)
_PUNCTUATION: tuple[bytes, ...] = (
    b" ",
    b"\n",
    b"\n\n",
    b"\t",
    b"\r",
    b"<",
    b">",
    b"</",
    b"/>",
    b'"',
    b"'",
    b"{",
    b"}",
    b"[",
    b"]",
    b":",
    b",",
)
_PUNCTUATION += (
    b"\\",
    b'\\"',
    b"\\u0026",
    b"&amp;",
    b"&lt;",
    b"&#",
    b"&#x41;",
    b"<![CDATA[",
    b"]]>",
    b"<!--",
    b"-->",
    b"=",
)
_PUNCTUATION += (
    b"\x00",
    b"\x1b[31m",
    b"\xe2\x80\x8b",
    b"\xef\xbb\xbf",
    b"\xff\xfe",
    b"\xed\xa0\x80",
    b" " * 300,
    b" " * 1990,
)
_WORDS = (
    *(b"<%s>" % tag for tag in _TAGS),
    *(b"</%s>" % tag for tag in _TAGS),
    *(
        b'"%s":"' % name
        for name in (b"code", b"message", b"error", b"detail", b"token", b"status", b"error_description")
    ),
    *_PROSE,
    *_PUNCTUATION,
)

REFUSAL = Target(
    name="refusal",
    about="reading a refusal never raises, shows no part of a planted secret, and decides what the facts allow",
    check=check_refusal,
    corpus=(
        *map(_seed, _rows()),
        *(
            b"\x02\n\n<Error><Code>AccessDenied</Code><Message>no %s here</Message></Error>" % marker
            for marker in _MARKERS
        ),
        *(b'\x02\n\n{"message":"see %s"}' % marker for marker in _MARKERS),
        *(b"\x02x-error-message: %s\n\n%s" % (marker, marker) for marker in _MARKERS),
    ),
    words=(*_WORDS, *_MARKERS, b"x-ms-error-code: ", b"retry-after: ", b"x-error-message: "),
    short=1500,
    batch=64,
    longest=4000,
)
REDACTION = Target(
    name="redaction",
    about="no part of a planted secret stays in a text, however it is spelled and whatever stands around it",
    check=check_redaction,
    corpus=tuple(
        b"%s%s in %s" % (word, marker, marker) for word in (b"see ", b"sig=", b"Bearer ") for marker in _MARKERS
    ),
    words=(*_WORDS, *_MARKERS),
    short=2500,
    batch=64,
)
TIME = Target(
    name="time",
    about="64 KiB of any text are read and redacted in bounded time",
    check=check_time,
    corpus=(
        *(b"\n%s\n" % word for word in _WORDS),
        *(b"<Message>\n%s\n</Message>" % word for word in _WORDS[:40]),
        b'{"token":"\n\\\\\n"',
        b"\n<script \n",
        b"\ntoken-\n",
        b"\na.\n",
        b"\nx-\n",
    ),
    words=_WORDS,
    short=25,
    batch=1,
    longest=120,
)
