"""What refusals of real providers mean, and that no response at all confuses the reader of refusals."""

from __future__ import annotations

import json
from pathlib import Path
from time import process_time
from typing import Any, Final
from urllib.parse import quote, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncdl.model import Headers
from asyncdl.rules.expiry import expires_at
from asyncdl.rules.rejection import Refusal, RefusalKind, read_refusal

CORPUS: Final[list[dict[str, Any]]] = [
    row | {"file": path.stem}
    for path in sorted(Path(__file__).with_name("refusals").glob("*.json"))
    for row in json.loads(path.read_text("utf-8"))
]
DATE: Final = "Fri, 20 Nov 2026 10:00:00 GMT"
NOW: Final = 1795168800.0
URL: Final = "https://files.example/weights.bin?X-Amz-Signature=5f3c9a71d2e84b06"
EXPIRED_WORDS: Final = (
    "has expired",
    "Signature expired",
    "expired_auth_token",
    "ExpiredToken",
    "Expired",
    "time frame",
)
STATUSES: Final = st.one_of(
    st.integers(), st.sampled_from([200, 308, 400, 401, 403, 404, 407, 409, 410, 412, 416, 429, 503])
)
HEADERS: Final = st.lists(
    st.tuples(
        st.one_of(st.sampled_from(["date", "retry-after", "x-ms-error-code", "x-error-message"]), st.text()),
        st.one_of(st.just(DATE), st.just("ExpiredToken"), st.text()),
    )
).map(Headers)
SCRAPS: Final = st.lists(
    st.one_of(
        st.sampled_from([
            "<Error>", "<Code>", "</Code>", "<Message>", "</Message>", "AccessDenied", "Access Denied", "ExpiredToken",
            "{", '"code":', '"message":"', "\\", '"', "&#99999999999;", "<![CDATA[",
            "Signature not valid in the specified time frame",
            "Current [", DATE, "] Expiry [", "<AuthenticationErrorDetail>", "\ufeff", "\x00", "https://h/?sig=", "<!--",
        ]),
        st.text(max_size=20),
    ),
    max_size=30,
).map("".join)  # fmt: skip


def refuse(status: int = 403, body: str | bytes = b"", **changes: Any) -> Refusal:
    """Read a refusal of a URL that nothing is known about, but for `changes`."""
    given_case: dict[str, Any] = {"url": URL, "headers": Headers([("Date", DATE)]), "expires_at": None}
    given_case |= {"worked": False, "first": True} | changes
    return read_refusal(status=status, body=body if isinstance(body, bytes) else body.encode(), **given_case)


def read_row(row: dict[str, Any]) -> Refusal:
    """Read a refusal of the corpus."""
    return read_refusal(
        status=row["status"],
        headers=Headers(row["headers"].items()),
        body=row["body"].encode(),
        url=row["url"],
        expires_at=expires_at(row["url"]),
        worked=row["worked"],
        first=row["first"],
    )


def test_corpus_is_large() -> None:
    """The corpus holds at least sixty bodies, each under a name of its own, and every kind of refusal."""
    assert len(CORPUS) >= 60
    assert len({(row["file"], row["name"]) for row in CORPUS}) == len(CORPUS)
    assert {row["kind"] for row in CORPUS} == {kind.name for kind in RefusalKind}


@pytest.mark.parametrize("row", CORPUS, ids=lambda row: f"{row['file']}/{row['name']}")
def test_corpus(row: dict[str, Any]) -> None:
    """Each provider's refusal is what the provider means by it, and shows nothing of the URL's query."""
    refusal = read_row(row)
    assert (row["kind"], row["code"]) == (refusal.kind.name, refusal.code)
    shown = f"{refusal}"
    for pair in row["url"].partition("?")[2].split("&"):
        name, _, value = pair.partition("=")
        if name.lower() in {
            "x-amz-signature",
            "x-amz-security-token",
            "x-goog-signature",
            "sig",
            "signature",
            "policy",
        }:
            assert value not in shown
            assert unquote(value) not in shown
    assert "AKIDEXAMPLE" not in shown


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("s3/v4-expired", "AccessDenied: Request has expired"),
        (
            "gcs/v4-expired",
            "ExpiredToken: Invalid argument. ([The provided token has expired. ]Request signature expired",
        ),
        (
            "azure/expired",
            "AuthenticationFailed: Server failed to authenticate the request. (Signature not valid in the",
        ),
        ("azure/bad-signature-first", "AuthenticationFailed: Server failed to authenticate the request."),
        ("huggingface/invalid-range", "Auth failed: invalid range"),
        ("huggingface/gated", "GatedRepo: Access to model example/weights is restricted"),
        (
            "cloudfront/blocked-html",
            "ERROR: The request could not be satisfied 403 ERROR The request could not be satisfied.",
        ),
        ("s3/empty-forbidden", ""),
    ],
)
def test_excerpt(name: str, expected: str) -> None:
    """The excerpt is what the server said, as one line without markup."""
    row = next(row for row in CORPUS if f"{row['file']}/{row['name']}" == name)
    assert expected == read_row(row).excerpt[: len(expected)]
    assert bool(expected) == bool(read_row(row).excerpt)


def test_excerpt_shows_azure_dates() -> None:
    """Azure's three dates fit into the excerpt; its request id does not push them out."""
    row = next(row for row in CORPUS if f"{row['file']}/{row['name']}" == "azure/expired")
    assert "Current [Fri, 20 Nov 2026 10:00:00 GMT]" in read_row(row).excerpt
    assert "RequestId" not in read_row(row).excerpt


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("\ufeff plain words\x00 and \x1b[31mred\u202e\n\n text ", "plain words and [31mred text"),
        ("x" * 1000, "x" * 299 + "…"),
        ("<Error><Code>Odd</Code><Message>" + "y " * 400 + "</Message></Error>", "Odd: " + "y " * 147 + "…"),
        ("<Error><Message><![CDATA[a < b]]></Message></Error>", "a"),
        ("<Error><Message><![CDATA[no & yes]]></Message></Error>", "no & yes"),
        ("<Error><Message>you &amp;amp; me</Message></Error>", "you &amp; me"),
        ("<a:Error><a:Code x='1'> Odd </a:Code></a:Error>", "Odd"),
        ("<p>one<script>var two = 2</script><style>p {}</style><!-- three --> four", "one four"),
        ('{"error": "not \\u0041 \\"word\\""}', 'not A "word"'),
        ('{"message": "half \\u12"}', "half \\u12"),
        ('{"message": ""}', '{"message": ""}'),
        ("<Error><Details>only this</Details></Error>", "only this"),
        (b"\x1f\x8b\x08\x00\xff\xfe\xfd" * 40, ""),
        ("wide".encode("utf-16"), "wide"),
        (b"word " * 13_107 + b"SECRETSECRET", ("word " * 60)[:299] + "…"),
        (b"z" * 70_000, ""),
        (b" " * 65_000 + b"token " + b"s" * 1000, "token"),
        ("<!doctype html>" + "<br>" * 5000 + "late", ""),
    ],
)  # fmt: skip
def test_excerpt_is_fit_to_be_shown(body: str | bytes, expected: str) -> None:
    """Control characters, markup, escapes, endless and binary bodies come out as a short plain line or as nothing."""
    assert expected == refuse(body=body).excerpt


@pytest.mark.parametrize("status", [308, 408, 409, 425, 429, 500, 502, 503, 504, 522, 524])
def test_transient_statuses(status: int) -> None:
    """These statuses are worth another try whatever the body says, also for a dead URL."""
    assert RefusalKind.TRANSIENT is refuse(status, "Access Denied", expires_at=0.0, worked=True).kind


@pytest.mark.parametrize(
    ("seconds", "kind"),
    [(-3600, RefusalKind.PRESUMED_EXPIRED), (5, RefusalKind.PRESUMED_EXPIRED), (5.5, RefusalKind.AMBIGUOUS)],
)
def test_presumed_expired_by_server_clock(seconds: float, kind: RefusalKind) -> None:
    """A 403 without a reason is an expiry when the URL's end is at most five seconds after the server's Date."""
    assert kind is refuse(expires_at=NOW + seconds).kind


def test_azure_in_its_first_second() -> None:
    """From the very second on at which it begins, a URL is no longer too early."""
    times = f"Start [{DATE}] - Expiry [Fri, 20 Nov 2026 11:00:00 GMT] - Current [{DATE}]"
    words = f"Signature not valid in the specified time frame: {times}"
    body = "<Error><Code>AuthenticationFailed</Code><AuthenticationErrorDetail>{}</AuthenticationErrorDetail></Error>"
    assert RefusalKind.AMBIGUOUS is refuse(403, body.format(words)).kind


def test_sentence_that_only_begins_like_an_expiry() -> None:
    """AccessDenied is an expiry by its whole sentence alone."""
    body = "<Error><Code>AccessDenied</Code><Message>Request has expired{}</Message></Error>"
    assert RefusalKind.EXPIRED is refuse(403, body.format("")).kind
    assert RefusalKind.AMBIGUOUS is refuse(403, body.format(" credentials, ask your administrator")).kind


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (500, "Auth failed: invalid range", RefusalKind.TRANSIENT),
        (400, "<Code>ExpiredToken</Code><Message>Invalid Range Specified</Message>", RefusalKind.BAD_RANGE),
        (429, "<Code>ExpiredToken</Code><Message>Slow down</Message>", RefusalKind.EXPIRED),
    ],
)
def test_two_readings(status: int, body: str, kind: RefusalKind) -> None:
    """A server's fault is no word on the range; the range comes before the URL, and the URL before the load."""
    assert kind is refuse(status, body).kind


def test_own_condition_and_proxy_are_no_refusals() -> None:
    """407 and 412 are never blamed on the URL, whatever the body says."""
    body = "<Error><Code>ExpiredToken</Code></Error>"
    assert [RefusalKind.OTHER] * 2 == [refuse(status, body, worked=True).kind for status in (407, 412)]
    assert "proxy" in (refuse(407).hint or "")


@pytest.mark.parametrize("status", [500, 501, 505])
def test_expiry_is_never_a_server_error(status: int) -> None:
    """A 5xx with an expiry's, a skew's, an absence's or a ban's name does not cost a refresh, nor end as forbidden."""
    codes = ("ExpiredToken", "RequestTimeTooSkewed", "NoSuchKey", "InvalidAccessKeyId")
    expected = RefusalKind.TRANSIENT if status == 500 else RefusalKind.OTHER
    assert {expected} == {refuse(status, f"<Error><Code>{code}</Code></Error>", worked=True).kind for code in codes}


def test_throttled() -> None:
    """429, 503 and the throttling codes ask for fewer requests; other transient faults do not."""
    assert refuse(429).throttled
    assert refuse(503).throttled
    assert refuse(503, "<Error><Code>SlowDown</Code></Error>").throttled
    assert refuse(400, "<Error><Code>ThrottlingException</Code></Error>").throttled
    assert not refuse(500, "<Error><Code>InternalError</Code></Error>").throttled
    assert not refuse(502).throttled
    assert not refuse(504).throttled


def test_says_too_many() -> None:
    """Said by a status, a code, or a time to wait; a bare 503 may mean anything."""
    assert refuse(429).says_too_many
    assert refuse(503, "<Error><Code>SlowDown</Code></Error>").says_too_many
    assert not refuse(503).says_too_many
    assert not refuse(500).says_too_many


@pytest.mark.parametrize(
    ("value", "expected"), [("7", 7.0), ("Fri, 20 Nov 2026 10:00:30 GMT", 30.0), ("soon", None), ("-1", None)]
)
def test_retry_after(value: str, expected: float | None) -> None:
    """Retry-After is read in seconds or as a date against the response's own Date."""
    headers = Headers([("Date", DATE), ("Retry-After", value)])
    assert expected == refuse(503, headers=headers).retry_after


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("s3/clock-skew", ["2026-11-20 09:30:00 UTC", "2026-11-20 10:00:00 UTC"]),
        ("s3/clock-skew-of-a-clone", ["2026-11-20 09:30:00 UTC", "2026-11-20 10:00:00 UTC"]),
        ("azure/not-yet-valid", ["2026-11-20 10:15:00 UTC", "2026-11-20 10:00:00 UTC"]),
        ("s3-compatible/minio-not-yet-valid", ["2026-11-20 09:30:00 UTC", "2026-11-20 10:00:00 UTC"]),
        ("s3/bad-signature-first", ["re-encoded", "cut off"]),
        ("azure/bad-signature-after-success", ["re-encoded"]),
        ("azure/authorization-sourceipmismatch", ["IP address"]),
        ("s3/access-denied", ["does not say"]),
        ("s3/v4-expired", ["expired"]),
        ("aws/signature-expired", ["expired"]),
        ("s3/archived-object", ["restore"]),
    ],
)
def test_hints(name: str, expected: list[str]) -> None:
    """The hint says what to look at; for clocks that disagree it names both times."""
    row = next(row for row in CORPUS if f"{row['file']}/{row['name']}" == name)
    hint = read_row(row).hint or ""
    assert expected == [words for words in expected if words in hint]


def test_clock_hint_without_times() -> None:
    """A skew whose times nobody tells still gets a hint."""
    body = "<Error><Code>RequestTimeTooSkewed</Code><RequestTime>now</RequestTime></Error>"
    assert "(not said)" in (refuse(body=body, headers=Headers()).hint or "")


@pytest.mark.parametrize(
    ("status", "changes", "words"),
    [
        (404, {"worked": True}, "object is gone"),
        (410, {"worked": True}, "object is gone"),
        (404, {"worked": True, "expires_at": NOW + 60}, "object is gone"),
        (404, {"worked": True, "expires_at": NOW - 60}, "most likely expired"),
        (410, {"expires_at": NOW - 60}, "most likely expired"),
        (400, {"worked": True}, "most likely expired"),
        (403, {"worked": True}, "most likely expired"),
        (404, {}, "may have been deleted"),
        (410, {}, "may have been deleted"),
    ],
)
def test_hint_of_what_is_not_there(status: int, changes: dict[str, Any], words: str) -> None:
    """What worked and is "not found" now may be gone: only a known end that has passed speaks for expiry."""
    assert words in (refuse(status, **changes).hint or "")


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (416, "<Error><Code>InvalidRange</Code><ActualObjectSize>0</ActualObjectSize></Error>", True),
        (416, "<ActualObjectSize> 0\n</ActualObjectSize>", True),
        (416, "<Error><Code>InvalidRange</Code><ActualObjectSize>1</ActualObjectSize></Error>", False),
        (416, "<ActualObjectSize>00</ActualObjectSize>", False),
        (416, "<ActualObjectSize></ActualObjectSize>", False),
        (416, "<RangeRequested>0</RangeRequested>", False),
        (416, "0", False),
        (416, "", False),
        (404, "<ActualObjectSize>0</ActualObjectSize>", False),
        (400, "<Error><Code>InvalidRange</Code><ActualObjectSize>0</ActualObjectSize></Error>", False),
    ],
)
def test_empty(status: int, body: str, expected: bool) -> None:
    """Only a 416 that names the size 0 says that an object has no bytes."""
    assert expected is refuse(status, body).empty


def test_transient_has_no_hint() -> None:
    """There is nothing for the user to do about a fault that may pass."""
    assert refuse(503).hint is None


def test_secret_in_the_code_is_dropped() -> None:
    """A server that answers with the signature as its error code does not get it printed."""
    refusal = refuse(body="<Error><Code>abc5f3c9a71d2e84b06</Code><Message>5f3c9a71d2e84b06</Message></Error>")
    assert (None, "…") == (refusal.code, refusal.message)


@pytest.mark.parametrize(
    "body",
    [
        "<Code>" * 11_000,
        "<Message>" + " " * 65_000,
        "<Code>" + "<![CDATA[" * 7_000,
        '{"code":"' + "\\" * 65_000,
        '{"' * 32_000,
        "[" * 65_000,
        "&#" + "9" * 65_000,
        "<Message>&#" + "9" * 65_000,
        "\\" * 65_000,
        '"' * 65_000,
        "<StringToSign>" * 4_600,
        "a=" * 32_000,
        "https://" * 8_000,
        "token." * 10_000,
        "<!--" * 16_000,
        "< " * 32_000,
    ],
    ids=lambda body: body[:12],
)
def test_hostile_bodies_take_no_time(body: str) -> None:
    """Bodies made to drive patterns mad are read at once."""
    start = process_time()
    refuse(body=body)
    assert process_time() - start < 2.0


@given(
    status=STATUSES,
    headers=HEADERS,
    body=st.one_of(st.binary(), SCRAPS.map(lambda text: text.encode("utf-8", "replace"))),
    url=st.text(),
    end=st.none() | st.floats(),
    worked=st.booleans(),
    first=st.booleans(),
)
def test_anything_is_read(
    *, status: int, headers: Headers, body: bytes, url: str, end: float | None, worked: bool, first: bool
) -> None:
    """Whatever comes back is a refusal whose words are short, on one line and without control characters."""
    refusal = refuse(status, body, headers=headers, url=url, expires_at=end, worked=worked, first=first)
    for words in (refusal.excerpt, refusal.message or ""):
        assert len(words) <= 300
        assert words == " ".join(words.split())
        assert not any(ord(letter) < 32 or letter == "\x7f" for letter in words)
        words.encode()


@given(before=st.text(max_size=50), after=st.text(max_size=50), status=st.sampled_from([400, 401, 403]))
def test_access_denied_is_no_evidence(before: str, after: str, status: int) -> None:
    """An "Access Denied" is never called an expiry unless the server says so or the clock does."""
    body = f"{before}<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>{after}"
    if not any(word in body for word in EXPIRED_WORDS):
        kinds = {refuse(status, body, expires_at=end).kind for end in (None, NOW + 60)}
        assert not kinds & {RefusalKind.EXPIRED, RefusalKind.PRESUMED_EXPIRED}


@given(
    secret=st.text(st.characters(codec="ascii", min_codepoint=33, exclude_characters="\x7f<"), min_size=8, max_size=40),
    template=st.sampled_from([
        "{}", "<Code>{}</Code>", "<Code>Odd</Code><Message>{}</Message>", "<Message>m</Message><Details>{}</Details>",
        "<html>{}</html>", '{{"message": "{}"}}', "<StringToSign>{}</StringToSign>", "Bearer {}", "https://h/p?x={}",
    ]),
    encoded=st.booleans(),
)  # fmt: skip
def test_no_field_shows_the_signature(*, secret: str, template: str, encoded: bool) -> None:
    """Whatever field of whatever body repeats a query value, no field of the refusal does."""
    sent = quote(secret, safe="")
    refusal = refuse(body=template.format(sent if encoded else secret), url=f"https://h/p?q={sent}")
    for form in (secret, sent):
        assert form not in f"{refusal.code} {refusal.message} {refusal.excerpt}"
