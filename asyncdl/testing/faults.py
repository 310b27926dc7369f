"""Scripted faults as data: which request they hit and what goes wrong then; carrying them out is done elsewhere."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from asyncdl.errors import OptionsError

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Mapping

    from asyncdl.testing.ledger import RequestRecord

#: Stands in every poisoned body: found in a downloaded file, it proves that an error page was taken for data.
POISON = b"\xde\xadPOISON: no part of the object\xbe\xef"

_ENDINGS = ("stall_after", "drop_after", "reset_after", "short", "stall_headers", "raw")


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
        )

    The first fault of the script that matches is applied, no other. Only data requests are hit: those whose URL was
    accepted and whose object exists.

    Conditions:
        path: of the object.
        request: position of the request among the data requests of its path, from 0; or a set or range of positions.
        start: an offset in the object that lies within what was asked for.
        generation: of the signed URL.
        times: how often it applies before it is used up.
        when: any other question about the request.

    Response:
        status: instead of the honest one. One outside 2xx gets `body` and no validators.
        body: instead of the object; by default `poison()` where `status` is not 2xx. With no `status`: 200.
        headers: added, even where that name is there already. drop_headers: names taken away before that.
        etag: instead of the object's; "" takes it away.
        redirect: 302 (or `status`) to this Location, or what it makes of the request.
        raw: exactly these bytes instead of a whole response, head included; then the connection is closed.

    Range:
        ignore_range: 200 with the whole object.
        shift: the data and the Content-Range begin this many bytes late (negative: early).
        shift_header: the Content-Range alone lies. shift_data: the data alone do.
        content_range: this value instead of the honest one. total: this size in it.

    Framing:
        short: so many bytes fewer than declared, then the connection is closed.
        extra: bytes after the declared ones.
        chunked: chunked transfer coding. no_length: no length at all, the end is the connection's.
        close: the connection is closed after the response.

    Time and connection:
        delay: seconds before the response. stall_headers: no response, ever.
        stall_after: so many body bytes, then silence until the client leaves.
        drop_after: so many body bytes, then FIN. reset_after: then RST.
        drip: (bytes, seconds): so many body bytes at a time, with a pause after each.
        rate: bytes per second for this response.

    Raises:
        OptionsError: two ways to end one response were given.
    """

    path: str | None = None
    request: int | Container[int] | None = None
    start: int | None = None
    generation: int | None = None
    times: int | None = None
    when: Callable[[RequestRecord], bool] | None = None

    status: int | None = None
    body: bytes | None = None
    headers: Mapping[str, str] | tuple[tuple[str, str], ...] = ()
    drop_headers: tuple[str, ...] = ()
    etag: str | None = None
    redirect: str | Callable[[RequestRecord], str] | None = None
    raw: bytes | None = None

    ignore_range: bool = False
    shift: int = 0
    shift_header: int = 0
    shift_data: int = 0
    content_range: str | None = None
    total: int | str | None = None

    short: int | None = None
    extra: bytes = b""
    chunked: bool = False
    no_length: bool = False
    close: bool = False

    delay: float = 0.0
    stall_headers: bool = False
    stall_after: int | None = None
    drop_after: int | None = None
    reset_after: int | None = None
    drip: tuple[int, float] | None = None
    rate: float | None = None

    def __post_init__(self) -> None:
        untouched = {item.name: item.default for item in fields(self)}
        endings = [name for name in _ENDINGS if getattr(self, name) != untouched[name]]
        if len(endings) > 1:
            msg = f"one response cannot end in two ways: {' and '.join(endings)}"
            raise OptionsError(msg)

    @property
    def header_pairs(self) -> tuple[tuple[str, str], ...]:
        """`headers` as pairs of name and value."""
        return self.headers if isinstance(self.headers, tuple) else tuple(self.headers.items())

    def matches(self, record: RequestRecord, size: int) -> bool:
        """Whether this request, for an object of `size` bytes, is one to be hit; `times` is not looked at."""
        first, stop = record.range or (0, size)
        return (
            self.path in {None, record.path}
            and self.generation in {None, record.generation}
            and (self.start is None or first <= self.start < stop)
            and self._counts(record.index)
            and (self.when is None or self.when(record))
        )

    def _counts(self, index: int | None) -> bool:
        if self.request is None or isinstance(self.request, int):
            return self.request in {None, index}
        return index in self.request


class Script:
    """Faults in order, with how often each may still apply."""

    def __init__(self) -> None:
        self._entries: list[tuple[Fault, list[int]]] = []

    def add(self, *faults: Fault) -> None:
        """Append faults; earlier ones are looked at first."""
        self._entries.extend((fault, []) for fault in faults)

    def clear(self) -> None:
        """Take every fault away; responses already begun keep theirs."""
        self._entries.clear()

    def applied(self, fault: Fault) -> int:
        """How often this very fault object was applied."""
        return sum(len(uses) for entry, uses in self._entries if entry is fault)

    def pick(self, record: RequestRecord, size: int) -> Fault | None:
        """The first fault that matches and is not used up; using it is counted."""
        for fault, uses in self._entries:
            if (fault.times is None or len(uses) < fault.times) and fault.matches(record, size):
                uses.append(record.number)
                return fault
        return None
