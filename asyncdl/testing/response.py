"""What a server that does everything right answers: object and request in, one `Response` out; nothing is sent here."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal, TypeAlias

from asyncdl.testing.content import Content
from asyncdl.testing.faults import poison
from asyncdl.testing.objects import StoredObject
from asyncdl.testing.refusals import Refusal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from asyncdl.model import Headers

Pairs: TypeAlias = tuple[tuple[str, str], ...]
#: How a response goes on after its last byte: the connection is kept, left silent, closed by FIN, closed by FIN in the
#: direction to the client alone, or closed by RST.
Ending: TypeAlias = Literal["keep", "stall", "fin", "half", "reset"]

_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """A response, ready to be sent.

    Attributes:
        reason: phrase in the status line; None: the usual one.
        interim: so many responses of `interim_status` come first.
        dropped: names, in lower case, of headers that are not sent even where the rest of the response makes them.
        data: a body that is no part of an object; used where `span` is None.
        content, span: the object and the half-open range of it that is the body.
        prefix, extra: bytes before and after that body, though it is no part of them.
        length: of the body, or None where it is not told.
        declared: value of Content-Length where that is not `length`.
        coding: value of Transfer-Encoding, or None for none.
        bad_chunk: (k, bytes) in place of the size of chunk k.
        last_chunk: whether the chunked body is finished properly. trailers: header lines after it.
        ending: what comes after the last byte. announced: whether a Connection header says so.
        limit: body bytes after which `ending` comes, or None for after the last.
        raw: sent instead of everything else.
        delay: seconds before the first byte. gate: it comes when this is set. mute: that byte never comes.
        drip, head_drip: (bytes, seconds) at a time, of the body and of the head. rate: bytes per second.
    """

    status: int
    reason: str | None = None
    headers: Pairs = ()
    interim: float = 0
    interim_status: int = 103
    dropped: frozenset[str] = frozenset()
    data: bytes = b""
    content: Content | None = None
    span: tuple[int, int] | None = None
    prefix: bytes = b""
    extra: bytes = b""
    length: int | None = None
    declared: str | None = None
    chunked: bool = False
    coding: str | None = None
    bad_chunk: tuple[int, bytes] | None = None
    last_chunk: bool = True
    trailers: Pairs = ()
    ending: Ending = "keep"
    announced: bool = False
    limit: int | None = None
    raw: bytes | None = field(default=None, repr=False)
    delay: float = 0.0
    gate: asyncio.Event | None = None
    mute: bool = False
    drip: tuple[int, float] | None = None
    head_drip: tuple[int, float] | None = None
    rate: float | None = None

    @property
    def body_start(self) -> int | None:
        """Offset in the object of the first body byte, or None if the body is no part of the object."""
        return self.span[0] if self.span is not None and not self.prefix else None

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
        yield from cut(self.prefix, size)
        if self.content is not None and self.span is not None:
            yield from self.content.blocks(*self.span, block=size)
        else:
            yield from cut(self.data, size)
        yield from cut(self.extra, size)


def cut(data: bytes, size: int) -> Iterator[memoryview]:
    """Bytes in views of at most `size`."""
    view = memoryview(data)
    for start in range(0, len(view), size):
        yield view[start : start + size]


def plain(status: int, body: bytes = b"", headers: Pairs = (), *, ending: Ending = "keep") -> Response:
    """A response whose body is no object."""
    announced = ending == "fin"
    return Response(status=status, headers=headers, data=body, length=len(body), ending=ending, announced=announced)


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
    # RFC 9110 sections 13.1.1 and 13.1.5: a weak entity tag never matches here, section 13.1.2: here it may.
    strong = stored.etag if stored.etag is None or not stored.etag.startswith("W/") else None
    if wanted is not None and not _names(wanted, strong):
        return plain(412, poison(), validators)
    if known is not None and _names(known, stored.etag):
        return Response(status=304, headers=validators)
    condition = headers.get("If-Range")
    if condition is not None and condition not in {strong, stored.last_modified}:
        asked = None
    kind = (("Content-Type", "application/octet-stream"), ("Accept-Ranges", "bytes"))
    if asked is None:
        return part_of(stored, (0, size), status=200, headers=(*validators, *kind))
    start, stop = asked
    if start >= stop:
        return plain(416, poison(), (("Content-Range", f"bytes */{size}"), *validators))
    range_header = ("Content-Range", f"bytes {start}-{stop - 1}/{size}")
    return part_of(stored, (start, stop), status=206, headers=(*validators, *kind, range_header))


def rangeless(stored: StoredObject, headers: Headers) -> Response:
    """The response of a server that has no ranges, and says so."""
    response = honest(stored, headers, None)
    others = tuple(pair for pair in response.headers if pair[0] != "Accept-Ranges")
    return replace(response, headers=(*others, ("Accept-Ranges", "none")))


def part_of(stored: StoredObject, span: tuple[int, int], *, status: int, headers: Pairs) -> Response:
    """A response whose body is a half-open range of an object."""
    return Response(status=status, headers=headers, content=stored.content, span=span, length=span[1] - span[0])


def _validators(stored: StoredObject) -> Pairs:
    pairs = (("ETag", stored.etag), ("Last-Modified", stored.last_modified))
    return tuple((name, value) for name, value in pairs if value is not None)


def _names(condition: str, etag: str | None) -> bool:
    return condition.strip() == "*" or (etag is not None and etag in [item.strip() for item in condition.split(",")])
