"""Scripted faults as data: which request they hit and what goes wrong then; carrying them out is done elsewhere."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Final

from asyncdl.errors import OptionsError

if TYPE_CHECKING:
    from asyncdl.testing.ledger import RequestRecord

#: Stands in every poisoned body: found in a downloaded file, it proves that an error page was taken for data.
POISON = b"\xde\xadPOISON: no part of the object\xbe\xef"
#: As `Fault.informational`: responses without end, as fast as the client takes them.
ENDLESS: Final = float("inf")

#: Of each of these at most one may be given.
_EXCLUSIVE = (
    ("stall_after", "drop_after", "reset_after", "short", "stall_headers", "raw", "unterminated"),
    ("stall_after", "reset_after", "stall_headers", "half_close"),
    ("length", "keep_length"),
)
#: Means something in chunked transfer coding only.
_CHUNKS = ("bad_chunk", "unterminated", "trailers")


def poison(size: int = 512) -> bytes:
    """`size` bytes of nothing but `POISON`, for bodies that must never reach a file."""
    return (POISON * (size // len(POISON) + 1))[:size]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing that goes wrong. Every condition given must hold; a fault without any hits every data request.

        origin.script(
            Fault(request=0, drop_after=1000),                  # the first request ends after 1000 body bytes
            Fault(status=503, headers={"Retry-After": "2"}, times=3),
            Fault(start=1 << 20, stall_after=0),                # whoever asks for the byte at 1 MiB waits for ever
            Fault(request={4, 5}, chunked=True, bad_chunk=(0, b"zz")),
        )

    The first fault of the script that matches is applied, no other. Only data requests are hit: those whose URL was
    accepted and whose object exists. What a fault does not touch stays right, so faults of several kinds combine.
    Header values are sent as given, in Latin-1: line breaks in them fold the header (RFC 9112 section 5.2) or add one.

    Conditions:
        path: of the object.
        request: position of the request among the data requests of its path, from 0; or a set or range of positions.
        connection: number of the connection, from 0, in the order they were accepted; or a set or range of numbers.
        method: of the request. HEAD is refused unless a fault names it: that fault's response, without its body, is
            the answer then. It counts as no data request.
        start: an offset in the object that lies within what was asked for.
        generation: of the signed URL.
        after: seconds since the first data request of the path; earlier requests are not hit.
        times: how often it applies before it is used up.
        when: any other question about the request.

    Head:
        status: instead of the honest one. One outside 2xx gets `body` and no validators.
        reason: phrase in the status line instead of the usual one; "" for none.
        body: instead of the object; by default `poison()` where `status` is not 2xx. With no `status`: 200.
        headers: added, even where that name is there already. drop_headers: names taken away before that.
        redirect: 302 (or `status`) to this Location, or to what it makes of the request. `{self}` in it becomes the
            origin's base URL.
        informational: so many 1xx responses come first (RFC 9110 section 15.2), or `ENDLESS`.
            informational_status: which, 103 by default.
        head_drip: (bytes, seconds): so many bytes of all heads at a time, with a pause after each.
        raw: exactly these bytes instead of a whole response, head included; then the connection is closed.

    Object and conditions:
        seed: content, and its entity tag, of this seed: the object was replaced by one of the same size.
        etag: instead of the object's; "" takes it away. last_modified: likewise.
        ignore_conditions: as if If-Match, If-None-Match and If-Range had not been sent.

    Range:
        ignore_range: 200 with the whole object.
        unasked: 206 with the whole object where no range was asked for.
        shift: the data and the Content-Range begin and end this many bytes late (negative: early).
        shift_header: the Content-Range alone lies. shift_data: the data alone do.
        longer: so many bytes more than asked for, said and sent, up to the object's end.
        shorter: so many bytes fewer than asked for, said and sent, but at least one.
        content_range: this value instead of the honest one. total: this size in it.
        multipart: the one range as multipart/byteranges, which RFC 9110 section 15.3.7.2 forbids. Such a body counts
            as no part of the object in the ledger.
        unsatisfiable: 416 with this Content-Range, `{size}` in it for the object's size; "" for no such header.

    Framing:
        short: so many bytes fewer than declared, then the connection is closed.
        extra: bytes after the declared ones.
        length: this Content-Length, sense or nonsense, instead of the honest one.
        chunked: chunked transfer coding, which replaces Content-Length; `drip` sets the size of the chunks (256 KiB).
        keep_length: with `chunked` or `no_length`, the honest Content-Length is sent nevertheless.
        transfer_encoding: this header value; the body is in chunks if it ends with "chunked", and is never compressed.
        bad_chunk: (k, bytes) these instead of the k-th chunk's size, from 0; the last one is the chunk of size 0.
        trailers: header lines after the last chunk.
        unterminated: no last chunk, then the connection is closed.
        no_length: no length at all, the end is the connection's.
        close: the connection is closed after the response, which says so.

    Time and connection:
        delay: seconds before the response. gate: the response comes when this is set, after any delay.
        stall_headers: no response, ever.
        stall_after: so many body bytes, then silence until the client leaves.
        drop_after: so many body bytes, then FIN. reset_after: then RST.
        half_close: the end is a FIN of the sending side alone, unannounced, while requests are still read (and never
            answered); over TLS it comes without close_notify (RFC 8446 section 6.1), as a truncation attack's does.
        drip: (bytes, seconds): so many body bytes at a time, with a pause after each.
        rate: bytes per second for this response.

    Raises:
        OptionsError: two ways to end one response were given, or other things that contradict each other.
    """

    path: str | None = None
    request: int | Container[int] | None = None
    connection: int | Container[int] | None = None
    method: str | None = None
    start: int | None = None
    generation: int | None = None
    after: float | None = None
    times: int | None = None
    when: Callable[[RequestRecord], bool] | None = None

    status: int | None = None
    reason: str | None = None
    body: bytes | None = None
    headers: Mapping[str, str] | tuple[tuple[str, str], ...] = ()
    drop_headers: tuple[str, ...] = ()
    redirect: str | Callable[[RequestRecord], str] | None = None
    informational: float = 0
    informational_status: int = 103
    head_drip: tuple[int, float] | None = None
    raw: bytes | None = None

    seed: int | None = None
    etag: str | None = None
    last_modified: str | None = None
    ignore_conditions: bool = False

    ignore_range: bool = False
    unasked: bool = False
    shift: int = 0
    shift_header: int = 0
    shift_data: int = 0
    longer: int = 0
    shorter: int = 0
    content_range: str | None = None
    total: int | str | None = None
    multipart: bool = False
    unsatisfiable: str | None = None

    short: int | None = None
    extra: bytes = b""
    length: int | str | None = None
    chunked: bool = False
    keep_length: bool = False
    transfer_encoding: str | None = None
    bad_chunk: tuple[int, bytes] | None = None
    trailers: tuple[tuple[str, str], ...] = ()
    unterminated: bool = False
    no_length: bool = False
    close: bool = False

    delay: float = 0.0
    gate: asyncio.Event | None = None
    stall_headers: bool = False
    stall_after: int | None = None
    drop_after: int | None = None
    reset_after: int | None = None
    half_close: bool = False
    drip: tuple[int, float] | None = None
    rate: float | None = None

    def __post_init__(self) -> None:
        untouched = {item.name: item.default for item in fields(self)}
        given = {name for name, default in untouched.items() if getattr(self, name) != default}
        for names in _EXCLUSIVE:
            both = [name for name in names if name in given]
            if len(both) > 1:
                raise OptionsError(f"one response cannot have both: {' and '.join(both)}")
        chunks = [name for name in _CHUNKS if name in given]
        if chunks and not self.in_chunks:
            raise OptionsError(f"there are no chunks without chunked=True: {' and '.join(chunks)}")

    @property
    def header_pairs(self) -> tuple[tuple[str, str], ...]:
        """`headers` as pairs of name and value."""
        return self.headers if isinstance(self.headers, tuple) else tuple(self.headers.items())

    @property
    def in_chunks(self) -> bool:
        """Whether the body is in chunked transfer coding."""
        return self.chunked or (self.transfer_encoding or "").lower().endswith("chunked")

    def matches(self, record: RequestRecord, size: int) -> bool:
        """Whether this request, for an object of `size` bytes, is one to be hit; `times` is not looked at."""
        first, stop = record.range or (0, size)
        return (
            self.path in {None, record.path}
            and (self.method or "GET") == record.method
            and self.generation in {None, record.generation}
            and (self.start is None or first <= self.start < stop)
            and (self.after is None or record.age >= self.after)
            and _among(self.request, record.index)
            and _among(self.connection, record.connection)
            and (self.when is None or self.when(record))
        )


def _among(wanted: int | Container[int] | None, number: int | None) -> bool:
    if wanted is None or isinstance(wanted, int):
        return wanted in {None, number}
    return number is not None and number in wanted
