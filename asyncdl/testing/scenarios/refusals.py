"""Rows about refusals: which of them pass, which need another URL, and which are final."""

from __future__ import annotations

from asyncdl.testing.faults import Fault
from asyncdl.testing.refusals import Life
from asyncdl.testing.scenarios.model import Host, Row
from asyncdl.testing.skins import SKINS

_TWICE = frozenset({0, 3})
_LATER = range(2, 10_000)
_RENEWAL = frozenset({"renewal"})
#: What a refusal says of the times of a URL that has just died.
_LIFE = Life(issued=1_700_000_000, expires=1_700_000_060, now=1_700_000_060)

A55 = Row(
    "A55", "answers 401", "gives up, or renews the URL once where that is what authorises", "RFC 9110 section 15.5.2"
)
A56 = Row(
    "A56",
    "lets the URL expire, in its provider's words",
    "gets another one and goes on",
    "the documentation of each provider",
)
A57 = Row(
    "A57",
    "denies access without a word of expiry",
    "renews the URL once at most, then shows the server's words",
    "xet-core issue 956",
)
A58 = Row(
    "A58",
    "does not allow this byte range under this URL",
    "never renews the URL for that",
    "xet-core issues 842 and 897",
)
A59 = Row("A59", "answers 400 ExpiredToken", "gets another URL", "S3 and GCS error codes")
A60 = Row("A60", "answers 400 RequestTimeout", "asks again: it is no fault of the request", "S3 error codes")
A61 = Row("A61", "answers 400 with anything else", "gives up at once", "RFC 9110 section 15.5.1")
A63 = Row(
    "A63",
    "answers with a status that passes",
    "asks again, after a pause that grows",
    "RFC 9110 section 15.6; curl --retry",
)
A64 = Row("A64", "says how long to wait", "waits that long, and not longer than it has", "RFC 9110 section 10.2.3")
A65 = Row(
    "A65",
    "says how long to wait, in other ways",
    "understands dates and passes over garbage",
    "RFC 9110 section 10.2.3",
)
A67 = Row(
    "A67", "asks for fewer requests", "sends fewer at once, over all connections", "S3: SlowDown; RFC 6585 section 4"
)


def _s3(code: str, message: str = "") -> bytes:
    return f"<Error><Code>{code}</Code><Message>{message}</Message></Error>".encode()


def _dies(skin: str) -> Fault:
    """Whatever is asked of the first URL from the third request on: however many ask at once, it is dead for all."""
    words = SKINS[skin].expired(_LIFE)
    return Fault(generation=0, request=_LATER, status=words.status, headers=words.headers, body=words.body)


SCENARIOS = (
    A55("for good", Fault(status=401), errors=("forbidden",)),
    A55("to a signed URL, once", Fault(generation=0, status=401), skin="s3v4", needs=_RENEWAL, refreshes=1, asks=2),
    *(
        A56(f"of {name}", Fault(rate=400_000), skin=name, ttl=1.1, needs=_RENEWAL, refreshes=12, asks=20)
        for name in SKINS
    ),
    *(A56(f"of {name}, under way", _dies(name), skin=name, needs=_RENEWAL, refreshes=1, asks=2) for name in SKINS),
    A57(
        "for good",
        Fault(status=403, body=_s3("AccessDenied", "Access Denied")),
        skin="s3v4",
        needs=_RENEWAL,
        errors=("forbidden",),
        refreshes=1,
        asks=2,
    ),
    A57(
        "for good, and nothing can be renewed",
        Fault(status=403, body=_s3("AccessDenied", "Access Denied")),
        errors=("forbidden",),
    ),
    A58(
        "by name",
        Fault(request=_LATER, status=403, body=b"Auth failed: invalid range"),
        errors=("http-status",),
        refreshes=0,
    ),
    A58(
        "as too large",
        Fault(status=403, body=b"Invalid Range Specified"),
        errors=("http-status",),
        refreshes=0,
    ),
    A59(
        "to a URL",
        Fault(
            generation=0,
            request=_LATER,
            status=400,
            body=_s3("ExpiredToken", "The provided token has expired."),
        ),
        skin="s3sts",
        needs=_RENEWAL,
        refreshes=1,
        asks=2,
    ),
    A60("twice", Fault(request=_TWICE, status=400, body=_s3("RequestTimeout")), asks=3),
    A61("for good", Fault(status=400, body=_s3("InvalidArgument")), errors=("http-status",)),
    *(
        A63(f"{status}, twice", Fault(request=_TWICE, status=status), asks=3)
        for status in (408, 425, 429, 500, 502, 503, 504, 522, 524)
    ),
    A63("503, always", Fault(status=503), errors=("http-status",), asks=6),
    A64("a second", Fault(request=0, status=503, headers={"Retry-After": "1"}), asks=2, lasts=1.0),
    *(
        A65(case, Fault(request=0, status=503, headers={"Retry-After": value}), asks=2)
        for case, value in (
            ("a date that has passed", "Wed, 21 Oct 2015 07:28:00 GMT"),
            ("garbage", "soon"),
            ("negative", "-5"),
            ("empty", ""),
        )
    ),
    A67("above four at once", hosts={"a": Host(origin={"max_connections": 4})}, asks=8, reached=False),
    A67(
        "by name, a few times",
        Fault(times=4, status=503, body=_s3("SlowDown", "Please reduce your request rate.")),
        asks=8,
    ),
)
