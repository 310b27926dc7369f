"""The end of a signed URL and the dates it is written in."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from email.utils import format_datetime
from time import process_time
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncdl.rules.expiry import expires_at, parse_basic_date, parse_http_date, parse_iso_date, signed_at

NOON = 1763640000.0  # 2025-11-20T12:00:00Z
LAST_SECOND = 253402300799.0  # 9999-12-31T23:59:59Z


def policy(document: object) -> str:
    """Encode a policy as CloudFront wants it in a query."""
    text = document if isinstance(document, str) else json.dumps(document)
    return base64.b64encode(text.encode()).decode().translate(str.maketrans("+=/", "-_~"))


def custom(end: object, resource: str = "*") -> str:
    """Make a CloudFront custom policy that ends at `end`."""
    return policy({"Statement": [{"Resource": resource, "Condition": {"DateLessThan": {"AWS:EpochTime": end}}}]})


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("X-Amz-Date=20251120T110000Z&X-Amz-Expires=3600", NOON),
        ("x-amz-date=20251120t110000z&x-amz-expires=3600", NOON),
        ("X%2DAmz%2DDate=20251120T110000%5A&X-Amz-Expires=%33600", NOON),
        ("X-Goog-Expires=3600&X-Goog-Date=20251120T110000Z", NOON),
        ("x-oss-date=20251120T110000Z&x-oss-expires=3600", NOON),
        ("x-oss-signature-version=OSS2&x-oss-expires=1763640000", NOON),
        ("Expires=1763640000&Signature=abc", NOON),
        ("AWSAccessKeyId=a&expires=1763640000", NOON),
        ("se=2025-11-20T12%3A00%3A00Z&sig=abc", NOON),
        ("se=2025-11-20T12:00Z", NOON),
        ("se=2025-11-20T12:00", NOON),
        ("se=2025-11-20T12:00:00", NOON),
        ("se=2025-11-20", NOON - 12 * 3600),
        ("se=2025-11-20T12:00:00.5Z", NOON + 0.5),
        ("se=2025-11-20T12:00:00.5000000Z", NOON + 0.5),
        ("se=2025-11-20T14:00:00%2B02:00", NOON),
        ("se=2025-11-20T10:30:00-01:30", NOON),
        ("se=2025-11-20T10:30:00-0130", NOON),
        (f"Policy={custom(1763640000)}&Signature=s&Key-Pair-Id=k", NOON),
        (f"Policy={custom('1763640000')}", NOON),
        (f"Policy={custom(1763640000, 'https://h/?~~>>??')}", NOON),
        (f"Policy={custom(1763640000).rstrip('_')}", NOON),
        (f"Policy={quote(custom(1763640000), safe='')}", NOON),
        (f"Policy={custom(1763640000)}&Expires=1763640001", NOON),
        ("Expires=1763640001&X-Amz-Date=20251120T110000Z&X-Amz-Expires=3600", NOON),
        ("Expires=1763640000&Expires=1", NOON),
        ("Expires=1000000000", 1e9),
        (f"Expires={LAST_SECOND:.0f}", LAST_SECOND),
    ],
)
def test_expires_at(query: str, expected: float) -> None:
    """Each provider's way of writing the end is read, in any order and encoding; of several the earliest counts."""
    assert expected == expires_at(f"https://h.example/f.bin?{query}#Expires=5")


@pytest.mark.parametrize(
    "query",
    [
        "",
        "Expires",
        "Expires=",
        "Expires=-1",
        "Expires=+1",
        "Expires= 1",
        "Expires=1.5",
        "Expires=1e9",
        "Expires=1_000",
        "Expires=١٢٣",
        "Expires=253402300800",
        "Expires=1763640000000",
        "Expires=" + "9" * 5000,
        "Expires=Thu,%2020%20Nov%202025%2012:00:00%20GMT",
        "X-Amz-Expires=3600",
        "expires=3600",
        "Expires=0",
        "x-oss-expires=86400",
        "X-Amz-Date=20251120T110000Z",
        "X-Amz-Date=20251320T110000Z&X-Amz-Expires=3600",
        "X-Amz-Date=20251120T250000Z&X-Amz-Expires=3600",
        "X-Amz-Date=20251120T110061Z&X-Amz-Expires=3600",
        "X-Amz-Date=00000101T000000Z&X-Amz-Expires=3600",
        "X-Amz-Date=19691231T235959Z&X-Amz-Expires=3600",
        "X-Amz-Date=999990101T000000Z&X-Amz-Expires=3600",
        "X-Amz-Date=20251120T110000Z&X-Amz-Expires=-5",
        "X-Amz-Date=20251120T110000Z&X-Amz-Expires=999999999999",
        "X-Amz-Date=20251120T110000Z&X-Goog-Expires=3600",
        "se=99999-01-01",
        "se=2025-13-01",
        "se=2025-11-20T12",
        "se=2025-11-20 12:00",
        "se=1970-01-01T00:00:00%2B05:00",
        "se=tomorrow",
        "Policy=",
        "Policy=%%%",
        "Policy=é",
        f"Policy={policy('no json')}",
        f"Policy={policy('[' * 20_000)}",
        f"Policy={custom(-5)}",
        f"Policy={custom(1.5)}",
        f"Policy={custom('x')}",
        f"Policy={custom(10**30)}",
        f"Policy={policy({'DateLessThan': None})}",
        "Policy=" + base64.b64encode(b"\xff\xfe\x00").decode(),
    ],
    ids=lambda query: query[:40],
)
def test_no_expiry(query: str) -> None:
    """What is absent, malformed, before 1970 or after 9999 is no expiry."""
    assert expires_at(f"https://h.example/f.bin?{query}") is None


def test_only_the_query_counts() -> None:
    """Neither path nor fragment hold an expiry, and a bare string is no URL."""
    assert {None} == {expires_at(url) for url in ("https://h/Expires=1", "https://h/#?Expires=1", "Expires=1", "")}


def test_long_urls_are_bounded() -> None:
    """A megabyte of parameters costs no time, and what stands behind 64 Ki characters is not looked at."""
    start = process_time()
    assert {None} == {expires_at("https://h/?" + filler * 1_000_000 + "&Expires=1") for filler in "&a%["}
    assert process_time() - start < 2.0


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("X-Amz-Date=20251120T120000Z", NOON),
        ("X-Goog-Date=20251120T120000Z", NOON),
        ("x-oss-date=20251120T120000Z", NOON),
        ("st=2025-11-20T12:00Z", NOON),
        ("Expires=5", None),
    ],
)
def test_signed_at(query: str, expected: float | None) -> None:
    """The moment of signing, or Azure's start, is read where the query has one."""
    assert expected == signed_at(f"https://h/f?{query}")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("Sun, 06 Nov 1994 08:49:37 GMT", 784111777.0),
        ("Sunday, 06-Nov-94 08:49:37 GMT", 784111777.0),
        ("Sun Nov  6 08:49:37 1994", 784111777.0),
        (" Sun, 06 NOV 1994 08:49:37 UTC\t", 784111777.0),
        ("Thursday, 20-Nov-25 12:00:00 GMT", NOON),
        ("Thursday, 20-Nov-69 12:00:00 GMT", None),
        ("Sat, 31 Dec 2016 23:59:60 GMT", 1483228800.0),
        ("Sun, 06 Nov 1994 08:49:61 GMT", None),
        ("Sun, 31 Feb 1994 08:49:37 GMT", None),
        ("Sun, 06 Foo 1994 08:49:37 GMT", None),
        ("Sun, 06 Nov 1994 08:49:37 +0100", None),
        ("Sun, 06 Nov 1994 08:49:37", None),
        ("Sun, ٠٦ Nov 1994 08:49:37 GMT", None),
        ("Sun Nov    08:49:37 1994", None),
        ("784111777", None),
        ("", None),
        (None, None),
    ],
)
def test_parse_http_date(value: str | None, expected: float | None) -> None:
    """The three forms of RFC 9110 section 5.6.7 are read, its own examples first, and nothing else."""
    assert expected == parse_http_date(value)


@given(st.datetimes(min_value=datetime(1970, 1, 1), max_value=datetime(9999, 12, 31), timezones=st.just(UTC)))  # noqa: DTZ001
def test_every_date_that_is_written_is_read(moment: datetime) -> None:
    """Each second of 8,000 years comes back from each form it may be written in."""
    moment = moment.replace(microsecond=0)
    seconds = moment.timestamp()
    assert seconds == parse_http_date(format_datetime(moment, usegmt=True))
    assert seconds == parse_http_date(moment.strftime("%a %b ") + f"{moment.day:2} {moment:%H:%M:%S} {moment.year:04}")
    assert seconds == parse_iso_date(moment.isoformat())
    basic = moment.isoformat()[:19].replace("-", "").replace(":", "") + "Z"
    assert seconds == expires_at(f"https://h/f?X-Amz-Date={basic}&X-Amz-Expires=0")


@given(st.one_of(st.none(), st.text()))
def test_any_date_is_a_time_or_nothing(value: str | None) -> None:
    """Whatever is taken for a date gives a time since 1970 or None."""
    for parse in (parse_http_date, parse_iso_date, parse_basic_date):
        seconds = parse(value)
        assert seconds is None or seconds >= 0


@given(
    names=st.lists(st.sampled_from(["X-Amz-Date", "X-Amz-Expires", "Expires", "se", "Policy", "x-oss-expires"])),
    values=st.lists(
        st.one_of(st.text(), st.integers().map(str), st.from_regex(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", fullmatch=True))
    ),
)
def test_any_url_has_an_end_or_none(names: list[str], values: list[str]) -> None:
    """Whatever stands in a query gives a time from 1970 to 9999 or None; so does a text that is no URL."""
    query = "&".join(f"{name}={value}" for name, value in zip(names, values, strict=False))
    for url in (f"https://h/f?{query}", query, *values):
        end = expires_at(url)
        assert end is None or 0 <= end <= LAST_SECOND
