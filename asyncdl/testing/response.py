"""What to answer: object, request and fault in, one `Response` out; pure, nothing is sent here."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal, TypeAlias

from asyncdl.testing.content import Content
from asyncdl.testing.faults import poison
from asyncdl.testing.refusals import Refusal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from asyncdl.model import Headers
    from asyncdl.testing.faults import Fault
    from asyncdl.testing.ledger import RequestRecord

Pairs: TypeAlias = tuple[tuple[str, str], ...]
#: How a response goes on after its last byte: the connection is kept, left silent, closed by FIN, or by RST.
Ending: TypeAlias = Literal["keep", "stall", "fin", "reset"]

_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredObject:
    """An object of the origin.

    Attributes:
        etag, last_modified: header values as sent, or None for no such header.
    """

    path: str
    content: Content
    etag: str | None
    last_modified: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """A response, ready to be sent.

    Attributes:
        data: a body that is no part of an object; used where `span` is None.
        content, span: the object and the half-open range of it that is the body.
        extra: bytes that follow the body though nothing announced them.
        length: the Content-Length sent, or None for none.
        limit: body bytes after which `ending` comes, or None for after the last.
        raw: sent instead of everything else.
        drip: (bytes, seconds) at a time. rate: bytes per second.
    """

    status: int
    headers: Pairs = ()
    data: bytes = b""
    content: Content | None = None
    span: tuple[int, int] | None = None
    extra: bytes = b""
    length: int | None = None
    chunked: bool = False
    ending: Ending = "keep"
    limit: int | None = None
    raw: bytes | None = field(default=None, repr=False)
    drip: tuple[int, float] | None = None
    rate: float | None = None

    def blocks(self, size: int) -> Iterator[memoryview]:
        """The body in views of at most `size` bytes, up to `limit`."""
        left = self.limit
        for block in self._whole(size):
            if left is None:
                yield block
            elif left > 0:
                yield block[:left]
                left -= len(block)
            else:
                return

    def _whole(self, size: int) -> Iterator[memoryview]:
        if self.content is not None and self.span is not None:
            yield from self.content.blocks(*self.span, block=size)
        for rest in (b"" if self.span else self.data, self.extra):
            view = memoryview(rest)
            for start in range(0, len(view), size):
                yield view[start : start + size]


def plain(status: int, body: bytes = b"", headers: Pairs = (), *, ending: Ending = "keep") -> Response:
    """A response whose body is no object."""
    return Response(status=status, headers=headers, data=body, length=len(body), ending=ending)


def refused(refusal: Refusal) -> Response:
    """A provider's refusal as a response."""
    return plain(refusal.status, refusal.body, refusal.headers)


def parse_range(value: str | None, size: int) -> tuple[int, int] | None:
    """The half-open range asked for, or None for the whole object.

    A range that cannot be satisfied has its start at or after its stop. Several ranges, and anything else that is not
    one range of bytes, are ignored, as RFC 9110 section 14.2 allows.
    """
    found = _RANGE.fullmatch(value.strip()) if value else None
    if found is None or found.groups() == ("", ""):
        return None
    first, last = found.groups()
    if not first:
        return max(0, size - int(last)), size
    stop = min(int(last) + 1, size) if last else size
    return None if last and int(last) < int(first) else (int(first), stop)


def honest(stored: StoredObject, headers: Headers, asked: tuple[int, int] | None) -> Response:
    """The response of a server that does everything right (RFC 9110 sections 13.2.2, 14 and 15.3.7)."""
    size, validators = stored.content.size, _validators(stored)
    wanted, known = headers.get("If-Match"), headers.get("If-None-Match")
    if wanted is not None and not _names(wanted, stored.etag):
        return plain(412, poison(), validators)
    if known is not None and _names(known, stored.etag):
        return Response(status=304, headers=validators)
    condition = headers.get("If-Range")
    if condition is not None and condition not in {stored.etag, stored.last_modified}:
        asked = None
    kind = (("Content-Type", "application/octet-stream"), ("Accept-Ranges", "bytes"))
    if asked is None:
        return _object(stored, (0, size), status=200, headers=(*validators, *kind))
    start, stop = asked
    if start >= stop:
        return plain(416, poison(), (("Content-Range", f"bytes */{size}"), *validators))
    range_header = ("Content-Range", f"bytes {start}-{stop - 1}/{size}")
    return _object(stored, (start, stop), status=206, headers=(*validators, *kind, range_header))


def rangeless(stored: StoredObject, headers: Headers) -> Response:
    """The response of a server that has no ranges, and says so."""
    response = honest(stored, headers, None)
    others = tuple(pair for pair in response.headers if pair[0] != "Accept-Ranges")
    return replace(response, headers=(*others, ("Accept-Ranges", "none")))


def faulty(fault: Fault, stored: StoredObject, record: RequestRecord) -> Response:
    """The honest response, spoilt as the fault says."""
    if fault.etag is not None:
        stored = replace(stored, etag=fault.etag or None)
    response = _spoilt_body(fault, stored, record)
    if fault.raw is not None:
        response = replace(response, raw=fault.raw, ending="fin")
    length = None if fault.chunked or fault.no_length else response.length
    ending: Ending = "fin" if fault.close or fault.no_length else response.ending
    limit = None
    if fault.stall_after is not None:
        ending, limit = "stall", fault.stall_after
    elif fault.reset_after is not None:
        ending, limit = "reset", fault.reset_after
    elif fault.drop_after is not None:
        ending, limit = "fin", fault.drop_after
    elif fault.short is not None:
        ending, limit = "fin", max(0, (response.length or 0) - fault.short)
    dropped = {name.lower() for name in fault.drop_headers}
    kept = tuple(pair for pair in response.headers if pair[0].lower() not in dropped)
    return replace(
        response,
        headers=kept + fault.header_pairs,
        length=None if "content-length" in dropped else length,
        chunked=fault.chunked,
        extra=fault.extra,
        ending=ending,
        limit=limit,
        drip=fault.drip,
        rate=fault.rate,
    )


def _spoilt_body(fault: Fault, stored: StoredObject, record: RequestRecord) -> Response:
    if fault.redirect is not None:
        target = fault.redirect if isinstance(fault.redirect, str) else fault.redirect(record)
        return plain(fault.status or 302, fault.body or b"", (("Location", target),))
    refuses = fault.status is not None and not 200 <= fault.status < 300  # RFC 9110 section 15.3
    if refuses or fault.body is not None:
        body = poison() if fault.body is None else fault.body
        return plain(fault.status or 200, body, (("Content-Type", "text/plain"),))
    response = honest(stored, record.headers, None if fault.ignore_range else record.range)
    if response.span is not None:
        response = _shifted(fault, response, stored)
    return response if fault.status is None else replace(response, status=fault.status)


def _shifted(fault: Fault, response: Response, stored: StoredObject) -> Response:
    span = response.span or (0, 0)
    size = stored.content.size
    claimed = [min(max(place + fault.shift, 0), size) for place in span]
    start, stop = (min(max(place + fault.shift_data, 0), size) for place in claimed)
    spoilt = _object(stored, (start, stop), status=response.status, headers=response.headers)
    if response.status != 206:  # RFC 9110 section 15.3.7
        return spoilt
    first, last = claimed[0] + fault.shift_header, claimed[1] + fault.shift_header - 1
    total = size if fault.total is None else fault.total
    value = fault.content_range or f"bytes {first}-{last}/{total}"
    others = tuple(pair for pair in response.headers if pair[0] != "Content-Range")
    return replace(spoilt, headers=(*others, ("Content-Range", value)))


def _object(stored: StoredObject, span: tuple[int, int], *, status: int, headers: Pairs) -> Response:
    return Response(status=status, headers=headers, content=stored.content, span=span, length=span[1] - span[0])


def _validators(stored: StoredObject) -> Pairs:
    pairs = (("ETag", stored.etag), ("Last-Modified", stored.last_modified))
    return tuple((name, value) for name, value in pairs if value is not None)


def _names(condition: str, etag: str | None) -> bool:
    return etag is not None and (condition.strip() == "*" or etag in [item.strip() for item in condition.split(",")])
