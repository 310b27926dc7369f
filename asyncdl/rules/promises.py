"""What the header of a response promises that the bytes of the whole object add up to.

Rule: only what is certainly of the whole object counts; a sum of a range, of a body that was decoded on its way, or of
the sums of parts does not. An entity tag is never a checksum. What is malformed is passed over; nothing here raises.
"""

from __future__ import annotations

import base64
import re
from collections import defaultdict
from collections.abc import Container, Iterator, Sequence
from itertools import chain
from typing import Final

from asyncdl.errors import IntegrityError
from asyncdl.model import DIGEST_SIZES, Checksum, Headers
from asyncdl.patterns import Pattern

#: Names of algorithms in Repr-Digest and Content-Digest (RFC 9530 section 5, IANA "Hash Algorithms for HTTP Digest
#: Fields"). The registry has crc32c too, but neither it nor the RFC says in which order its four bytes come.
_FIELD_NAMES: Final = {"sha-512": "sha512", "sha-256": "sha256", "sha": "sha1", "md5": "md5"}
#: Names in Digest whose values are in base64 (IANA "HTTP Digest Algorithm Values"), in lower case.
_DIGEST_NAMES: Final = _FIELD_NAMES | {"id-sha-512": "sha512", "id-sha-256": "sha256"}

#: Every field that is read here.
_SOURCES: Final = frozenset(
    {
        *(f"x-amz-checksum-{algorithm}" for algorithm in DIGEST_SIZES),
        "x-goog-hash",
        "x-ms-blob-content-md5",
        "content-md5",
        "repr-digest",
        "content-digest",
        "digest",
    }
)

#: A dictionary (RFC 9651 section 3.2) of plain values. Inner lists and display strings are not read: no digest is one.
_STRING: Final = r'"(?:[^"\\]|\\["\\])*"'
_BYTES: Final = r":[A-Za-z0-9+/=]*:"
_PLAIN: Final = rf"(?:{_STRING}|{_BYTES}|[A-Za-z0-9*?@-][!#$%&'*+.^_`|~0-9A-Za-z:/-]*)"
_NAME: Final = r"[a-z*][a-z0-9_.*-]*"
_MEMBER: Final = rf"({_NAME})(?:=({_PLAIN}))?(?: *; *{_NAME}(?:={_PLAIN})?)*"
_MEMBERS: Final = Pattern(_MEMBER)
_DICTIONARY: Final = Pattern(rf"{_MEMBER}(?:[ \t]*,[ \t]*{_MEMBER})*")
_HEX_CRC: Final = Pattern("[0-9A-Fa-f]{1,8}")


def promised(headers: Headers, *, whole: bool) -> tuple[Checksum, ...]:
    """The checksums of the whole object that a response with a 2xx status promises, the strongest first.

    Two different values for one algorithm cannot both be right: neither counts.

    Args:
        headers: of the response.
        whole: whether the body of the response is the whole object: a 200, or a 206 with all of its bytes.
    """
    if not headers.has_any(_SOURCES):
        return ()
    values: dict[str, set[Checksum]] = defaultdict(set)
    sources = chain(
        _amazon(headers) if whole else (),
        _google(headers),
        _plain(headers, "x-ms-blob-content-md5"),
        # Of the body (RFC 1864); of a range or of the object, servers never agreed on a 206 (RFC 7231 appendix B).
        # Azure's is of the range, and the field above is of the blob (Blob Storage REST API, "Get Blob").
        _plain(headers, "content-md5") if whole else (),
        _dictionary(headers, "repr-digest"),
        _dictionary(headers, "content-digest") if whole else (),
        _digest(headers),
    )
    for checksum in sources:
        values[checksum.algorithm].add(checksum)
    return tuple(values[algorithm].pop() for algorithm in DIGEST_SIZES if len(values[algorithm]) == 1)


def to_verify(pinned: Checksum | None, promises: Sequence[Checksum], computable: Container[str]) -> Checksum | None:
    """What the file has to have: what the caller pinned, or else the first promise whose algorithm is computable here.

    Raises:
        IntegrityError: a promise contradicts what the caller pinned.
    """
    for promise in promises:
        if pinned is not None and pinned.algorithm == promise.algorithm and pinned != promise:
            raise IntegrityError(f"the server says that the object has {promise}, and not the {pinned} asked for")
    return pinned or next((promise for promise in promises if promise.algorithm in computable), None)


def _amazon(headers: Headers) -> Iterator[Checksum]:
    """S3's own checksums of an object that is the whole body.

    Amazon S3 User Guide, "Checking object integrity": a checksum of the type COMPOSITE is one of the checksums of the
    parts of the upload, with a hyphen and their number at its end, and a byte range that is exactly a part gets that
    part's checksum. Without a type the hyphen alone tells them apart, and not even that on a 206: there it may be
    missing (botocore issue 3346).
    """
    kinds = {value.strip().upper() for value in headers.all("x-amz-checksum-type")}
    if kinds == {"FULL_OBJECT"} or not (kinds or headers.all("content-range")):
        for algorithm in DIGEST_SIZES:
            yield from _plain(headers, f"x-amz-checksum-{algorithm}", algorithm)


def _google(headers: Headers) -> Iterator[Checksum]:
    """Cloud Storage's checksums, of the whole object also where a range of it was asked for.

    They are of the object as it is stored, and what is stored in gzip may be served without it (Cloud Storage
    documentation, "Transcoding of gzip-compressed files", and x-goog-hash and x-goog-stored-content-encoding in "HTTP
    headers and query string parameters for XML API").
    """
    if _codings(headers, "x-goog-stored-content-encoding") != _codings(headers, "content-encoding"):
        return
    for name, value in _pairs(headers, "x-goog-hash"):
        if name in {"crc32c", "md5"}:
            yield from _from_base64(name, value)


def _digest(headers: Headers) -> Iterator[Checksum]:
    """Digest (RFC 3230 section 4.3.2), obsolete but sent: of the instance, so of the whole object also on a 206.

    The names with `id-` are of the object without its content coding (RFC 5843).
    """
    coded = _codings(headers, "content-encoding")
    for name, value in _pairs(headers, "digest"):
        if name == "crc32c" and _HEX_CRC.fullmatch(value):
            yield Checksum(name, int(value, 16).to_bytes(4, "big"))
        elif name in _DIGEST_NAMES and not (coded and name.startswith("id-")):
            yield from _from_base64(_DIGEST_NAMES[name], value)


def _dictionary(headers: Headers, field: str) -> Iterator[Checksum]:
    """Repr-Digest or Content-Digest (RFC 9530 sections 2 and 3). A field that is malformed anywhere counts as absent.

    Repr-Digest is of the selected representation, so of the whole object also on a 206.
    """
    text = ",".join(headers.all(field)).strip(" ")
    if not _DICTIONARY.fullmatch(text):
        return
    for name, value in (member.groups() for member in _MEMBERS.finditer(text)):
        if name in _FIELD_NAMES and re.fullmatch(_BYTES, value or ""):
            yield from _from_base64(_FIELD_NAMES[name], value[1:-1])


def _plain(headers: Headers, field: str, algorithm: str = "md5") -> Iterator[Checksum]:
    """The values of a field that is one digest in base64."""
    for value in headers.all(field):
        yield from _from_base64(algorithm, value.strip())


def _pairs(headers: Headers, field: str) -> Iterator[tuple[str, str]]:
    """The names, in lower case, and values of a list of `name=value`."""
    for member in ",".join(headers.all(field)).split(","):
        name, _, value = member.partition("=")
        yield name.strip().lower(), value.strip()


def _codings(headers: Headers, field: str) -> set[str]:
    tokens = ",".join(headers.all(field)).lower().split(",")
    return {token.strip() for token in tokens} - {"", "identity"}


def _from_base64(algorithm: str, value: str) -> Iterator[Checksum]:
    try:
        digest = base64.b64decode(value)
    except ValueError:
        return
    # The decoder passes over much; another spelling of the same bytes is one that was cut off or changed.
    if len(digest) == DIGEST_SIZES[algorithm] and base64.b64encode(digest).decode() == value:
        yield Checksum(algorithm, digest)
