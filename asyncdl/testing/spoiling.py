"""What a server with a fault answers: the honest response, spoilt as the fault says; pure, nothing is sent here."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from asyncdl.model import Headers
from asyncdl.testing.faults import poison
from asyncdl.testing.response import Response, honest, part_of, plain

if TYPE_CHECKING:
    from asyncdl.testing.faults import Fault
    from asyncdl.testing.ledger import RequestRecord
    from asyncdl.testing.objects import StoredObject
    from asyncdl.testing.response import Ending

_CONDITIONS = {"if-match", "if-none-match", "if-range"}
_BOUNDARY = "THIS_STRING_SEPARATES"


def faulty(fault: Fault, stored: StoredObject, record: RequestRecord, *, base_url: str = "") -> Response:
    """The honest response, spoilt as the fault says; `base_url` stands where it says `{self}`."""
    response = _spoilt_content(fault, _spoilt_object(fault, stored), record, base_url)
    dropped = frozenset(name.lower() for name in fault.drop_headers)
    kept = tuple(pair for pair in response.headers if pair[0].lower() not in dropped)
    response = replace(
        response,
        headers=kept + fault.header_pairs,
        dropped=dropped,
        reason=fault.reason,
        interim=fault.informational,
        interim_status=fault.informational_status,
        head_drip=fault.head_drip,
        raw=fault.raw,
        delay=fault.delay,
        gate=fault.gate,
        mute=fault.stall_headers,
        extra=response.extra + fault.extra,
        drip=fault.drip,
        rate=fault.rate,
    )
    return _framed(fault, _ended(fault, response))


def _spoilt_object(fault: Fault, stored: StoredObject) -> StoredObject:
    if fault.seed is not None:
        stored = stored.of_seed(fault.seed)
    if fault.etag is not None:
        stored = replace(stored, etag=fault.etag or None)
    if fault.last_modified is not None:
        stored = replace(stored, last_modified=fault.last_modified or None)
    return stored


def _spoilt_content(fault: Fault, stored: StoredObject, record: RequestRecord, base_url: str) -> Response:
    size = stored.content.size
    if fault.redirect is not None:
        target = fault.redirect if isinstance(fault.redirect, str) else fault.redirect(record)
        location = target.replace("{self}", base_url)
        return plain(fault.status or 302, fault.body or b"", (("Location", location),))
    if fault.unsatisfiable is not None:
        value = fault.unsatisfiable.replace("{size}", str(size))
        return plain(416, fault.body or poison(), (("Content-Range", value),) if value else ())
    refuses = fault.status is not None and not 200 <= fault.status < 300  # RFC 9110 section 15.3
    if refuses or fault.body is not None:
        body = poison() if fault.body is None else fault.body
        return plain(fault.status or 200, body, (("Content-Type", "text/plain"),))
    asked = None if fault.ignore_range else record.range
    if asked is None and fault.unasked:
        asked = 0, size
    headers = record.headers
    if fault.ignore_conditions:
        headers = Headers(pair for pair in headers if pair[0] not in _CONDITIONS)
    response = honest(stored, headers, asked)
    if response.span is not None:
        response = _spoilt_range(fault, response, stored)
    return response if fault.status is None else replace(response, status=fault.status)


def _spoilt_range(fault: Fault, response: Response, stored: StoredObject) -> Response:
    size = stored.content.size
    first, stop = response.span or (0, 0)
    partial = response.status == 206  # RFC 9110 section 15.3.7
    if partial:
        stop = min(max(stop + fault.longer - fault.shorter, first + 1), size)
    claimed = [min(max(place + fault.shift, 0), size) for place in (first, stop)]
    start, end = (min(max(place + fault.shift_data, 0), size) for place in claimed)
    spoilt = part_of(stored, (start, end), status=response.status, headers=response.headers)
    if not partial:
        return spoilt
    total = size if fault.total is None else fault.total
    said = f"bytes {claimed[0] + fault.shift_header}-{claimed[1] + fault.shift_header - 1}/{total}"
    value = fault.content_range or said
    others = tuple(pair for pair in response.headers if pair[0] != "Content-Range")
    spoilt = replace(spoilt, headers=(*others, ("Content-Range", value)))
    return _in_parts(spoilt, value) if fault.multipart else spoilt


def _in_parts(response: Response, content_range: str) -> Response:
    """The response as the only part of a multipart body (RFC 9110 section 14.6)."""
    lines = (f"--{_BOUNDARY}", "Content-Type: application/octet-stream", f"Content-Range: {content_range}", "", "")
    prefix, end = "\r\n".join(lines).encode(), f"\r\n--{_BOUNDARY}--\r\n".encode()
    others = tuple(pair for pair in response.headers if pair[0] not in {"Content-Range", "Content-Type"})
    return replace(
        response,
        headers=(*others, ("Content-Type", f"multipart/byteranges; boundary={_BOUNDARY}")),
        prefix=prefix,
        extra=end,
        length=len(prefix) + (response.length or 0) + len(end),
    )


def _ended(fault: Fault, response: Response) -> Response:
    ending: Ending = response.ending
    limit = None
    if fault.stall_after is not None:
        ending, limit = "stall", fault.stall_after
    elif fault.reset_after is not None:
        ending, limit = "reset", fault.reset_after
    elif fault.drop_after is not None:
        ending, limit = "fin", fault.drop_after
    elif fault.short is not None:
        ending, limit = "fin", max(0, (response.length or 0) - fault.short)
    elif fault.close or fault.no_length or fault.unterminated or fault.raw is not None or _unframed(fault):
        ending = "fin"
    if fault.half_close:
        ending = "half"
    said = (fault.close or fault.no_length) and limit is None and not fault.unterminated
    return replace(response, ending=ending, limit=limit, announced=said)


def _framed(fault: Fault, response: Response) -> Response:
    bare = fault.in_chunks or fault.no_length or _unframed(fault)
    declared = fault.length
    if declared is None and fault.keep_length:
        declared = response.length
    return replace(
        response,
        length=None if bare else response.length,
        declared=None if declared is None else str(declared),
        chunked=fault.in_chunks,
        coding=fault.transfer_encoding or ("chunked" if fault.in_chunks else None),
        bad_chunk=fault.bad_chunk,
        last_chunk=not fault.unterminated,
        trailers=fault.trailers,
    )


def _unframed(fault: Fault) -> bool:
    """Whether a transfer coding other than chunked leaves the body's end to the connection's (RFC 9112 section 6.3)."""
    return fault.transfer_encoding is not None and not fault.in_chunks
