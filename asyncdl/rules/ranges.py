"""Range requests and their answers: RFC 9110 section 14, and what a response to one is worth.

Rule: this is the only module that knows HTTP's inclusive byte positions; everything else is half-open.
Rule: no response is worth writing unless it proves which bytes of which object it carries.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TypeAlias

from asyncdl.errors import ResponseMismatchError
from asyncdl.model import Headers, Part, RemoteObject
from asyncdl.patterns import Pattern

#: Offsets beyond a signed 64-bit file position are no file's.
MAX_SIZE = 2**63 - 1

# RFC 9110 section 14.4: range-unit SP ( first "-" last "/" ( complete / "*" ) | "*/" complete ).
# Range units are case-insensitive (section 14.1); 19 digits hold MAX_SIZE. Some servers leave out the unit of an
# unsatisfied range, where nothing depends on it (curl's test 1475 has one).
_CONTENT_RANGE = Pattern(
    r"bytes (?P<first>[0-9]{1,19})-(?P<last>[0-9]{1,19})/(?:(?P<total>[0-9]{1,19})|\*)"
    r"|(?:bytes )?\*/(?P<size>[0-9]{1,19})",
    re.IGNORECASE | re.ASCII,
)
_LENGTH, _TRANSFER = frozenset({"content-length"}), frozenset({"transfer-encoding"})
_CODINGS = _TRANSFER | {"content-encoding"}
_DIGITS = Pattern(r"[0-9]{1,19}", re.ASCII)
# RFC 9110 section 8.8.3: entity-tag = [ "W/" ] DQUOTE *etagc DQUOTE.
_STRONG_ETAG = Pattern(r'"[\x21\x23-\x7e\x80-\U0010ffff]*"')


def range_header(start: int, stop: int | None) -> str:
    """The Range header's value for `[start, stop)`, or from `start` to the end."""
    return f"bytes={start}-" if stop is None else f"bytes={start}-{stop - 1}"


@dataclass(frozen=True, slots=True)
class ContentRange:
    """A parsed Content-Range: `part` is None for an unsatisfied range, `total` is None for `*`."""

    part: Part | None
    total: int | None


def parse_content_range(value: str) -> ContentRange:
    """Read a Content-Range header's value.

    Raises:
        ResponseMismatchError: it is not one, its positions are impossible, or its unit is not bytes.
    """
    match = _CONTENT_RANGE.fullmatch(value.strip(" \t"))
    if match is None:
        raise ResponseMismatchError("the response has a malformed Content-Range", retryable=True)
    if match["size"] is not None:
        return ContentRange(None, _bounded(int(match["size"])))
    first, last = int(match["first"]), int(match["last"])
    total = None if match["total"] is None else _bounded(int(match["total"]))
    if last < first or last >= (MAX_SIZE if total is None else total):
        raise ResponseMismatchError("the response has an impossible Content-Range", retryable=True)
    return ContentRange(Part(first, last + 1), total)


def _bounded(number: int) -> int:
    if number > MAX_SIZE:
        raise ResponseMismatchError("the response names a size beyond 2**63 bytes", retryable=True)
    return number


@dataclass(frozen=True, slots=True)
class Accept:
    """206: the body is exactly `part` of `remote`."""

    part: Part
    remote: RemoteObject


@dataclass(frozen=True, slots=True)
class Sequential:
    """200: the body is the whole object from its first byte; `remote.size` is None where only the end will tell."""

    remote: RemoteObject


@dataclass(frozen=True, slots=True)
class RangeIgnored:
    """200 to a range that starts later: a true answer, of no use at that offset."""

    remote: RemoteObject


@dataclass(frozen=True, slots=True)
class Complete:
    """416 because the object ends right where the range starts: it is empty, or all of it is there."""

    remote: RemoteObject


@dataclass(frozen=True, slots=True)
class Changed:
    """The response belongs to another object or version."""

    why: str


@dataclass(frozen=True, slots=True)
class WrongSize:
    """The object is not of the size that the caller declared."""

    why: str


@dataclass(frozen=True, slots=True)
class Mismatch:
    """The response does not answer the request."""

    why: str
    retryable: bool


@dataclass(frozen=True, slots=True)
class Refused:
    """Not a response about bytes at all: its body says why."""


Verdict: TypeAlias = Accept | Sequential | RangeIgnored | Complete | Changed | WrongSize | Mismatch | Refused


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked for and what is known: `[start, stop)`, stop None for "to the end"."""

    start: int
    stop: int | None
    remote: RemoteObject | None = None
    declared_size: int | None = None


def judge(status: int, headers: Headers, asked: Asked) -> Verdict:
    """What a response to the range request `asked` may be used for.

    Never raises: whatever cannot be understood is a `Mismatch` or `Refused`.
    """
    match status:
        case 200 | 206:
            return _coding_fault(headers) or (_judge_whole if status == 200 else _judge_partial)(headers, asked)
        case 416:
            return _judge_unsatisfied(headers, asked)
        case 412:
            return Changed("the server says the object changed (412 Precondition Failed)")
        case _ if status < 400 and status != 308:
            return Mismatch(f"the server answered a range request with status {status}", retryable=False)
        case _:
            return Refused()


def _coding_fault(headers: Headers) -> Mismatch | None:
    """A body in any coding is another object: ranges count encoded bytes (RFC 9110 section 8.4)."""
    if not headers.has_any(_CODINGS):
        return None
    transfer = _codings(headers, "transfer-encoding")
    if any(coding != "identity" for coding in _codings(headers, "content-encoding")) or not {"chunked"}.issuperset(
        coding for coding in transfer if coding != "identity"
    ):
        return Mismatch("the server encoded the body although identity was asked for", retryable=False)
    if "chunked" in transfer[:-1]:
        # RFC 9112 section 6.3: the end of such a body is wherever the connection ends, broken or not.
        return Mismatch("the server's Transfer-Encoding does not end with chunked", retryable=False)
    return None


def _codings(headers: Headers, name: str) -> list[str]:
    """The members of a list of codings, in order; empty ones do not count (RFC 9110 section 5.6.1.2)."""
    fields = headers.all(name)
    if not fields:
        return []
    members = (member.strip(" \t").lower() for field in fields for member in field.split(","))
    return [member for member in members if member]


def _judge_partial(headers: Headers, asked: Asked) -> Verdict:
    fields = set(headers.all("content-range"))
    for value in headers.all("content-type"):
        if value.strip().lower().startswith("multipart/byteranges"):
            return Mismatch("the server answered a single range with multipart/byteranges", retryable=False)
    if len(fields) != 1:
        return Mismatch(f"206 with {len(fields) or 'no'} Content-Range", retryable=True)
    try:
        content_range = parse_content_range(fields.pop())
        length = content_length(headers)
    except ResponseMismatchError as error:
        return Mismatch(error.message, retryable=True)
    part = content_range.part
    if part is None or part.start != asked.start or (asked.stop is not None and part.stop > asked.stop):
        got = "no range" if part is None else _bytes(part)
        return Mismatch(f"asked for {_span(asked)}, got {got}", retryable=True)
    if length is not None and length != part.length:
        return Mismatch(f"Content-Length {length} on a range of {part.length} bytes", retryable=True)
    known = asked.remote.size if asked.remote else None
    total = content_range.total if content_range.total is not None else (known or asked.declared_size)
    if total is None:
        return Mismatch("the server does not say how large the object is", retryable=False)
    if part.stop > total:
        return Mismatch(f"got {_bytes(part)} of an object of {total} bytes", retryable=False)
    return _doubt(headers, asked, total) or Accept(part, _remote(headers, asked, total))


def _judge_whole(headers: Headers, asked: Asked) -> Verdict:
    try:
        size = body_length(headers)
    except ResponseMismatchError as error:
        return Mismatch(error.message, retryable=False)
    if size is None:
        size = asked.declared_size
    known = size is not None or (asked.remote is not None and asked.remote.size is not None)
    if not known and not _is_chunked(headers):
        return Mismatch(
            "neither Content-Length nor chunks: the end of the body could not be told from a broken connection",
            retryable=False,
        )
    remote = _remote(headers, asked, size)
    return _doubt(headers, asked, size) or (Sequential(remote) if asked.start == 0 else RangeIgnored(remote))


def _judge_unsatisfied(headers: Headers, asked: Asked) -> Verdict:
    fields = set(headers.all("content-range"))
    try:
        total = parse_content_range(fields.pop() if len(fields) == 1 else "").total
    except ResponseMismatchError:
        total = asked.declared_size if asked.declared_size == 0 else None
    if total is None and asked.start == 0 and asked.remote is None and not asked.declared_size:
        return Refused()  # S3 says how large the object is in the body alone
    if total is None:
        return Mismatch(f"the server cannot satisfy {_span(asked)} and does not say why", retryable=True)
    if total == 0 and asked.start == 0 and not asked.declared_size and (asked.remote is None or not asked.remote.size):
        return Complete(RemoteObject(0))
    # What else the headers say is of the page that says no, not of the object.
    different = _same_object(Headers(), asked, total)
    if different is None and asked.stop is None and asked.start == total:
        return Complete(_remote(Headers(), asked, total))
    return different or Mismatch(
        f"the server cannot satisfy {_span(asked)} of an object of {total} bytes", retryable=False
    )


def content_length(headers: Headers) -> int | None:
    """The one Content-Length, or None.

    Raises:
        ResponseMismatchError: several that differ, or not a number (RFC 9110 section 8.6).
    """
    fields = headers.all("content-length")
    if not fields:
        return None
    values = set(fields)
    if len(values) > 1 or not _DIGITS.fullmatch(fields[0]):
        values = {value.strip(" \t") for field in fields for value in field.split(",")}
    value = values.pop()
    if values or not _DIGITS.fullmatch(value) or int(value) > MAX_SIZE:
        raise ResponseMismatchError("the response has an impossible Content-Length", retryable=True)
    return int(value)


def body_length(headers: Headers) -> int | None:
    """How long the response's framing says the body is; None where only its end will tell.

    Raises:
        ResponseMismatchError: the Content-Length is none.
    """
    length = content_length(headers)
    # RFC 9112 section 6.3: Transfer-Encoding overrides Content-Length.
    return None if _is_chunked(headers) else length


def has_length(headers: Headers) -> bool:
    """Whether `body_length`, which has raised nothing for them, is one."""
    return headers.has_any(_LENGTH) and not _is_chunked(headers)


def _is_chunked(headers: Headers) -> bool:
    return headers.has_any(_TRANSFER) and "chunked" in _codings(headers, "transfer-encoding")


def strong_etag(headers: Headers) -> str | None:
    """The one entity tag if it is strong: only such a one proves that two ranges belong together."""
    tag = _only_tag(headers)
    return None if tag is None or tag.startswith("W/") else tag


def _only_tag(headers: Headers) -> str | None:
    """The entity tag, weak or strong; None where there is none, several, or something else in its place."""
    tags = set(headers.all("etag"))
    tag = tags.pop() if len(tags) == 1 else ""
    return tag if _STRONG_ETAG.fullmatch(tag.removeprefix("W/")) else None


def _doubt(headers: Headers, asked: Asked, size: int | None) -> Changed | WrongSize | Mismatch | None:
    """Why this response is not proven to be of the object that was begun, or None."""
    if asked.remote is None and asked.declared_size is None:
        return None
    different = _same_object(headers, asked, size)
    if different is None and asked.remote is not None and asked.remote.etag and strong_etag(headers) is None:
        return Mismatch("the response lacks the entity tag that earlier ones had", retryable=True)
    return different


def _same_object(headers: Headers, asked: Asked, size: int | None) -> Changed | WrongSize | None:
    """Why this response is not of the object that was begun, or None."""
    if asked.declared_size is not None and size is not None and size != asked.declared_size:
        return WrongSize(f"the object has {size} bytes, not the {asked.declared_size} declared")
    remote = asked.remote
    if remote is None:
        return None
    if remote.size is not None and size is not None and size != remote.size:
        return Changed(f"the object had {remote.size} bytes at first and has {size} now")
    tag, known = _only_tag(headers), remote.etag or remote.weak_etag
    # Weak comparison (RFC 9110 section 8.8.3.2) is enough to tell two versions apart: Apache tags a file weakly for a
    # second after it was written, when its date may not yet differ either.
    if tag is not None and known is not None and tag.removeprefix("W/") != known.removeprefix("W/"):
        return Changed("the object's entity tag changed")
    if remote.etag is not None:
        return None
    modified = headers.get("last-modified")
    if remote.last_modified and modified and modified != remote.last_modified:
        return Changed("the object's modification date changed")
    return None


def _remote(headers: Headers, asked: Asked, size: int | None) -> RemoteObject:
    tag, modified, known = _only_tag(headers), headers.get("last-modified"), asked.remote
    strong, weak = (None, tag) if tag is not None and tag.startswith("W/") else (tag, None)
    if known is None:
        return RemoteObject(size, strong, modified, weak)
    return RemoteObject(
        size=known.size if size is None else size,
        etag=known.etag or strong,
        last_modified=known.last_modified or modified,
        weak_etag=known.weak_etag or weak,
    )


def _span(asked: Asked) -> str:
    return f"bytes {asked.start} to the end" if asked.stop is None else _bytes(Part(asked.start, asked.stop))


def _bytes(part: Part) -> str:
    return f"bytes {part.start} to {part.stop}"
