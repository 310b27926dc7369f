"""When a signed URL dies, read from its own query, and the date formats this needs.

Rule: any text in, seconds since the epoch or None out. Nothing here raises, knows the present time, or does work that
grows with more than the first 64 Ki characters of its input.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final
from urllib.parse import unquote

from asyncdl.patterns import Pattern

#: Characters of a URL that are looked at; servers and proxies refuse far shorter ones.
_MOST_URL: Final = 64 * 1024
_MOST_PARAMETERS: Final = 1000
#: 9999-12-31T23:59:59Z, the last second a four-digit year can name.
_LATEST: Final = 253_402_300_799
#: 2001-09-09T01:46:40Z: `expires=3600` is somebody's lifetime in seconds, not the end of a URL signed in 1970.
_EARLIEST: Final = 1_000_000_000
_LEAP_SECOND: Final = 60
#: Two-digit years from here on are 19xx. RFC 9110 section 5.6.7 asks for "the past if over 50 years ahead", which needs
#: a clock; POSIX strptime's fixed century serves the same until 2069.
_CENTURY_PIVOT: Final = 69

_DIGITS: Final = Pattern(r"[0-9]{1,12}")
_BASIC_DATE: Final = Pattern(r"([0-9]{4})([0-9]{2})([0-9]{2})T([0-9]{2})([0-9]{2})([0-9]{2})Z", re.IGNORECASE)
_ISO_DATE: Final = Pattern(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})"
    r"(?:T([0-9]{2}):([0-9]{2})(?::([0-9]{2})(\.[0-9]{1,9})?)?(?:Z|([+-])([0-9]{2}):?([0-9]{2}))?)?",
    re.IGNORECASE,
)
_TIME: Final = r"(?P<hour>[0-9]{2}):(?P<minute>[0-9]{2}):(?P<second>[0-9]{2})"
_MONTH: Final = r"(?P<month>[A-Za-z]{3})"
_HTTP_DATES: Final = tuple(
    Pattern(form)
    for form in (
        rf"[A-Za-z]{{3}}, (?P<day>[0-9]{{2}}) {_MONTH} (?P<year>[0-9]{{4}}) {_TIME} (?:GMT|UTC)",
        rf"[A-Za-z]{{6,9}}, (?P<day>[0-9]{{2}})-{_MONTH}-(?P<year>[0-9]{{2}}) {_TIME} (?:GMT|UTC)",
        rf"[A-Za-z]{{3}} {_MONTH} (?P<day>[ 0-9][0-9]) {_TIME} (?P<year>[0-9]{{4}})",
    )
)
_MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_POLICY_DEADLINE: Final = Pattern(
    r'"DateLessThan"\s{0,99}:\s{0,99}\{\s{0,99}"AWS:EpochTime"\s{0,99}:\s{0,99}"?([0-9]{1,12})(?![0-9.])'
)
#: CloudFront's substitutes for the base64 characters a query cannot hold (developer guide, "custom policy").
_POLICY_ALPHABET: Final = str.maketrans("-_~", "+=/")


def expires_at(url: str) -> float | None:
    """Seconds since the epoch at which a signed URL dies, or None where its query does not say.

    Reads, with names in any case: `X-Amz-Date` + `X-Amz-Expires` (AWS Signature Version 4), `X-Goog-Date` +
    `X-Goog-Expires` (GCS V4), `x-oss-date` + `x-oss-expires` (OSS V4), an epoch in `x-oss-expires` alone (OSS V2) or in
    `Expires` (S3 V2, GCS V2, CloudFront canned policy, OSS V1), `se` (Azure SAS, ISO 8601; without a zone it is UTC)
    and the `DateLessThan` of a CloudFront `Policy`. Where several are present the earliest holds. The lifetime of a
    session token inside the URL is nowhere to be read, so a URL may die before this.
    """
    if "?" not in url:
        return None
    values = _query(url)
    oss_is_lifetime = "x-oss-date" in values
    found = (
        *(_start_and_lifetime(values, vendor) for vendor in ("amz", "goog", "oss")),
        None if oss_is_lifetime else _epoch(values.get("x-oss-expires")),
        _epoch(values.get("expires")),
        parse_iso_date(values.get("se")),
        _policy_deadline(values.get("policy")),
    )
    return min((float(time) for time in found if time is not None and time <= _LATEST), default=None)


def signed_at(url: str) -> float | None:
    """Seconds since the epoch at which the URL says it was signed or starts to be valid, or None."""
    values = _query(url)
    starts = [parse_basic_date(values.get(f"x-{vendor}-date")) for vendor in ("amz", "goog", "oss")]
    return next((start for start in (*starts, parse_iso_date(values.get("st"))) if start is not None), None)


def parse_http_date(value: str | None) -> float | None:
    """Seconds since the epoch of an HTTP-date in any of its three forms (RFC 9110 section 5.6.7), or None."""
    text = (value or "").strip(" \t")
    match = next((found for form in _HTTP_DATES if (found := form.fullmatch(text))), None)
    if match is None or match["month"].lower() not in _MONTHS:
        return None
    year = int(match["year"])
    if len(match["year"]) == len("94"):
        year += 1900 if year >= _CENTURY_PIVOT else 2000
    month = _MONTHS.index(match["month"].lower()) + 1
    return _utc(year, month, int(match["day"]), int(match["hour"]), int(match["minute"]), int(match["second"]))


def parse_basic_date(value: str | None) -> float | None:
    """Seconds since the epoch of `YYYYMMDDTHHMMSSZ`, the date form of version 4 signatures, or None."""
    match = _BASIC_DATE.fullmatch(value or "")
    return _utc(*(int(field) for field in match.groups())) if match else None


def parse_iso_date(value: str | None) -> float | None:
    """Seconds since the epoch of an ISO 8601 date or date and time, UTC where it names no zone; or None.

    The forms are those Azure accepts in a shared access signature: a date, or a date with minutes, seconds or
    fractions of a second, with `Z` or an offset.
    """
    match = _ISO_DATE.fullmatch(value or "")
    if match is None:
        return None
    year, month, day, hour, minute, second, fraction, sign, offset_hours, offset_minutes = match.groups("0")
    whole = _utc(int(year), int(month), int(day), int(hour), int(minute), int(second))
    if whole is None:
        return None
    offset = (int(offset_hours) * 60 + int(offset_minutes)) * 60
    time = whole + float(fraction) + (offset if sign == "-" else -offset)
    return time if time >= 0 else None


def _query(url: str) -> dict[str, str]:
    """Return the first value of each query parameter, percent-decoded, by its lower-case name."""
    query = url[:_MOST_URL].partition("#")[0].partition("?")[2]
    values: dict[str, str] = {}
    for pair in query.split("&", _MOST_PARAMETERS):
        name, _, value = pair.partition("=")
        values.setdefault(unquote(name).lower(), unquote(value))
    return values


def _whole_number(value: str | None) -> int | None:
    return int(value) if value is not None and _DIGITS.fullmatch(value) else None


def _epoch(value: str | None) -> int | None:
    seconds = _whole_number(value)
    return None if seconds is None or seconds < _EARLIEST else seconds


def _start_and_lifetime(values: Mapping[str, str], vendor: str) -> float | None:
    start = parse_basic_date(values.get(f"x-{vendor}-date"))
    lifetime = _whole_number(values.get(f"x-{vendor}-expires"))
    return None if start is None or lifetime is None else start + lifetime


def _policy_deadline(policy: str | None) -> int | None:
    encoded = (policy or "").translate(_POLICY_ALPHABET).rstrip("=")
    try:
        text = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True).decode("utf-8", "replace")
    except ValueError:
        return None
    return min((int(digits) for digits in _POLICY_DEADLINE.findall(text)), default=None)


def _utc(year: int, month: int, day: int, hour: int, minute: int, second: int) -> float | None:
    """Seconds since the epoch, or None for no such time and for times before 1970."""
    try:
        start = datetime(year, month, day, hour, minute, tzinfo=UTC).timestamp()
    except ValueError:
        return None
    return start + second if start >= 0 and second <= _LEAP_SECOND else None
