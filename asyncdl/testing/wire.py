"""Responses as bytes: status lines, headers and chunk framing, right or wrong as the response says; nothing is sent."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from asyncdl.testing.response import Pairs, Response


def head_bytes(response: Response) -> bytes:
    """Status line and headers, with the empty line that ends them."""
    length = response.length if response.declared is None else response.declared
    framing = (
        ("Content-Length", length),
        ("Transfer-Encoding", response.coding),
        ("Connection", "close" if response.announced else None),
    )
    made = ((name, str(value)) for name, value in framing if value is not None and name.lower() not in response.dropped)
    return _lines(_status_line(response.status, response.reason), (*response.headers, *made))


def interim_bytes(response: Response) -> bytes:
    """One of the informational responses that come before the final one (RFC 9110 section 15.2)."""
    return _lines(_status_line(response.interim_status, None), ())


def chunk_line(response: Response, number: int, size: int) -> bytes:
    """The line before the data of a chunk (RFC 9112 section 7.1)."""
    if response.bad_chunk is not None and response.bad_chunk[0] == number:
        return response.bad_chunk[1] + b"\r\n"
    return b"%x\r\n" % size


def trailer_bytes(response: Response) -> bytes:
    """What follows the line of the last chunk (RFC 9112 section 7.1.2)."""
    return _lines(None, response.trailers)


def _status_line(status: int, reason: str | None) -> str:
    if reason is None:
        try:
            reason = HTTPStatus(status).phrase
        except ValueError:
            reason = "Unknown"
    return f"HTTP/1.1 {status} {reason}"


def _lines(first: str | None, pairs: Pairs) -> bytes:
    lines = [*([] if first is None else [first]), *(f"{name}: {value}" for name, value in pairs)]
    # Latin-1 passes every byte through: what is no legal header can be sent as well.
    return "".join(f"{line}\r\n" for line in (*lines, "")).encode("latin-1")
