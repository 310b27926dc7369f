"""Targets: Retry-After with the waits made from it, and the end of a URL; against references that use `datetime`."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Hashable
from datetime import UTC, datetime, timedelta

from asyncdl.options import Retry
from asyncdl.rules import expiry
from asyncdl.rules.retry import RetryBudget, backoff, delay, parse_retry_after
from tests.fuzz.engine import Target

_LATEST = 253_402_300_799
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FORMS = ("%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %d %H:%M:%S %Y")


def http_date(text: str) -> float | None:
    """A date in one of RFC 9110's forms, written just as `strftime` would; None for anything else."""
    for form in _FORMS:
        try:
            time = datetime.strptime(text, form).replace(tzinfo=UTC)
        except ValueError:
            continue
        # `strptime` takes more than the RFC has: a day of one digit, say, or several spaces.
        if time.strftime(form) == text and time >= _EPOCH:
            return (time - _EPOCH).total_seconds()
    return None


def check_retry_after(data: bytes) -> Hashable:
    """Nothing raises; the wait is what the RFC says, never negative, never above its caps."""
    value, date, numbers, *_ = [*data.decode("utf-8", "surrogateescape").split("\n"), "", ""]
    seconds = parse_retry_after(value, date=date)
    text = value.strip(" \t")
    if text.isascii() and text.isdigit():
        assert seconds == float(min(int(text[-4000:]), 10**15)) or len(text) > 4000, (value, seconds)
    until, now = http_date(text), http_date(date.strip(" \t"))
    if until is not None and now is not None:
        assert max(0.0, until - now) == seconds, (value, date, seconds)
    assert seconds is None or (math.isfinite(seconds) and 0 <= seconds <= 10**15)

    bits = [ord(letter) for letter in (numbers + "aaaa")[:4]]
    retry = Retry(base=bits[0] / 16, cap=bits[1] / 4, retry_after_cap=float(bits[2]))
    attempt, jitter = bits[3] * (10 ** (bits[0] % 9)), (bits[1] % 65) / 64
    wait = delay(retry, attempt, jitter, seconds)
    assert 0 <= wait <= max(retry.cap, retry.retry_after_cap), wait
    assert wait >= min(seconds or 0, retry.retry_after_cap)
    assert backoff(retry, attempt, jitter) <= backoff(retry, attempt + 1, jitter) <= retry.cap
    assert delay(retry, attempt, jitter, None) <= wait
    return seconds is None, until is None, now is None, seconds and len(str(int(seconds))), wait > 0


def check_budget(data: bytes) -> Hashable:
    """The budget is a counter between none and all, whatever is taken and given back."""
    size = data[0] % 8 if data else 0
    budget, left = RetryBudget(size), size
    for byte in data[1:]:
        if byte % 2:
            assert (left > 0) == budget.take()
            left = max(0, left - 1)
        else:
            budget.refund()
            left = min(size, left + 1)
        assert left == budget.left
    return size, left


def _decoded(text: str) -> str:
    """Percent-decoding, byte by byte."""
    raw, out, at = text.encode("utf-8", "surrogatepass"), bytearray(), 0
    while at < len(raw):
        digits = raw[at + 1 : at + 3]
        if raw[at] == 0x25 and len(digits) == 2 and all(digit in b"0123456789abcdefABCDEF" for digit in digits):
            out.append(int(digits, 16))
            at += 3
        else:
            out.append(raw[at])
            at += 1
    return out.decode("utf-8", "replace")


def _basic(text: str) -> datetime | None:
    # By length first: `strptime` also takes fewer digits.
    if not (text.isascii() and len(text) == 16 and text[15] in "zZ" and (text[:8] + text[9:15]).isdigit()):
        return None
    leap = timedelta(seconds=1) if text[13:15] == "60" else timedelta(0)
    try:
        second = "59" if leap else text[13:15]
        whole = datetime.strptime(f"{text[:13].upper()}{second}", "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
        return whole + leap
    except (ValueError, OverflowError):
        return None


def end_of(url: str) -> float | None:
    """When a URL with version 4 parameters, or an epoch in Expires, ends; by `strptime` and plain loops."""
    query = url.partition("#")[0].split("?", 1)
    values: dict[str, str] = {}
    for pair in (query[1] if len(query) > 1 else "").split("&"):
        name, _, value = pair.partition("=")
        values.setdefault(_decoded(name).lower(), _decoded(value))
    ends: list[float] = []
    for vendor in ("amz", "goog", "oss"):
        start, life = _basic(values.get(f"x-{vendor}-date", "")), values.get(f"x-{vendor}-expires", "")
        if start and start >= _EPOCH and life.isascii() and life.isdigit() and len(life) <= 12:
            ends.append((start - _EPOCH).total_seconds() + int(life))
    for name in ("expires", *(() if "x-oss-date" in values else ("x-oss-expires",))):
        life = values.get(name, "")
        if life.isascii() and life.isdigit() and len(life) <= 12 and int(life) >= 10**9:
            ends.append(float(life))
    return min((end for end in ends if end <= _LATEST), default=None)


def check_expiry(data: bytes) -> Hashable:
    """Any text gives a time that a calendar has, or None; what else is in the URL does not matter."""
    url = data.decode("utf-8", "surrogateescape").replace("&".join("x" * 1000), "")
    found = expiry.expires_at(url)
    assert found is None or (isinstance(found, float) and 0 <= found <= _LATEST), found
    lower = _decoded(url.partition("?")[2]).lower()
    if "se=" not in lower and "policy=" not in lower and "%" not in lower:
        expected = end_of(url)
        assert expected == found, (expected, found)
    assert found == expiry.expires_at(url.partition("#")[0] + "#Expires=1000000001&se=2001-01-01")
    if "?" in url and "#" not in url:
        assert found == expiry.expires_at(url + "&other=1")
    start = expiry.signed_at(url)
    assert start is None or 0 <= start <= _LATEST + 1
    iso = expiry.parse_iso_date(url)
    assert iso is None or -1 <= iso <= _LATEST + 2 * 10**5, iso
    return found and len(str(int(found))), start is None, iso is None


_POLICY = base64.b64encode(
    json.dumps({"Statement": [{"Condition": {"DateLessThan": {"AWS:EpochTime": 1795168800}}}]}).encode()
)
_DATES: tuple[bytes, ...] = (
    b"Fri, 20 Nov 2026 10:00:00 GMT",
    b"Friday, 20-Nov-26 10:00:00 GMT",
    b"Fri Nov 20 10:00:00 2026",
)
_DATES += (b"Sun, 06 Nov 1994 08:49:37 GMT", b"Thu, 29 Feb 2024 23:59:60 GMT", b"Sun Nov  6 08:49:37 1994")

RETRY_AFTER = Target(
    name="retry-after",
    about="Retry-After is read as the RFC has it, and no wait is negative or above its cap",
    check=check_retry_after,
    corpus=(*_DATES, *(b"%s\n%s\nabcd" % (first, last) for first in _DATES for last in _DATES), b"7", b"120\n\nzzzz"),
    words=(*_DATES, b"\n", b"0", b"1", b"9" * 15, b"9" * 16, b"-1", b" GMT", b" UTC", b"Jan", b"Feb", b"31 ", b"30 "),
    short=15_000,
    longest=120,
)
BUDGET = Target(
    name="retry-budget",
    about="the shared budget of retries never leaves its bounds",
    check=check_budget,
    corpus=(b"\x03\x01\x01\x01\x01\x02\x01",),
    words=(b"\x01", b"\x02", b"\x05\x01\x01\x02"),
    short=20_000,
    longest=40,
)
_V4 = b"https://h/k?X-Amz-Date=20261120T100000Z&X-Amz-Expires=3600"
EXPIRY = Target(
    name="expiry",
    about="every URL gives a time a calendar has, or none; what has nothing to do with it changes nothing",
    check=check_expiry,
    corpus=(
        _V4,
        b"https://h/k?X-Goog-Date=20261120T100000Z&X-Goog-Expires=604800&X-Goog-Signature=ab",
        b"https://h/k?x-oss-date=20261120T100000Z&x-oss-expires=60",
        b"https://h/k?x-oss-expires=1795168800",
        b"https://h/k?AWSAccessKeyId=A&Expires=1795168800&Signature=x",
        b"https://h/k?sv=2024&st=2026-11-20T09:00:00Z&se=2026-11-20T10%3A00%3A00Z&sig=x",
        b"https://h/k?Policy=" + _POLICY + b"&Key-Pair-Id=K",
        b"2026-11-20T10:00:00.5+02:00",
    ),
    words=(
        *(b"&%s=" % name for name in (b"X-Amz-Date", b"X-Amz-Expires", b"x-goog-date", b"X-GOOG-EXPIRES", b"Expires")),
        *(b"&%s=" % name for name in (b"x-oss-date", b"x-oss-expires", b"se", b"st", b"Policy", b"%73e")),
        *(b"20261120T100000Z", b"00010101T000000Z", b"99991231T235960Z", b"20240229T000000Z", b"19700101T000000Z"),
        *(b"3600", b"1795168800", b"999999999", b"1000000000", b"999999999999", b"0", b"-1", b"2026-11-20", b"?"),
        *(b"T10:00Z", b"%3A", b"+", b"%2B02:00", b"#", b"&", b"%", b"\xd9\xa3", _POLICY, _POLICY[:40]),
    ),
    short=15_000,
    longest=300,
)
