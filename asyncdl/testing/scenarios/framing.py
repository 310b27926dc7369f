"""Rows about framing: where a body ends, what is around it, and what is done to it on the way."""

from __future__ import annotations

from asyncdl.testing.faults import Fault
from asyncdl.testing.recipes import bomb
from asyncdl.testing.scenarios.model import KIB, Row

_MISMATCH = ("response-mismatch",)
_TWICE = frozenset({0, 3})
_LATER = range(2, 10_000)
#: An error of the framing may be found by the HTTP parser, or as a body that ends where it should not.
_UNREADABLE = ("response-mismatch", "connect")

A17 = Row(
    "A17",
    "declares more bytes than it sends, and closes",
    "keeps what came and asks for the rest",
    "RFC 9112 section 8; curl exits with 18",
)
A18 = Row(
    "A18",
    "sends more bytes than it declared",
    "takes what was declared and never uses that connection again",
    "RFC 9112 section 6.3",
)
A20 = Row(
    "A20",
    "sends a 206 in chunks, without a length",
    "checks Content-Range all the same, and takes exactly that many bytes",
    "RFC 9112 section 7.1",
)
A21 = Row(
    "A21",
    "sends a 200 in chunks, so that nobody knows the size",
    "is done with the last chunk, and only then",
    "RFC 9112 section 8",
)
A22 = Row(
    "A22",
    "ends a body of no declared length by closing the connection",
    "takes it for complete only where something else says so",
    "RFC 9112 section 8",
)
A23 = Row(
    "A23",
    "sends both Content-Length and chunks",
    "takes the chunks or refuses, and never mixes",
    "RFC 9112 section 6.3; aria2 issue 473",
)
A24 = Row(
    "A24",
    "sends a Content-Length that is none",
    "gives up",
    "RFC 9112 section 6.3; curl exits with 8 or 63",
)
A25 = Row(
    "A25",
    "sends chunks whose sizes are none",
    "throws the response away, asks again, then gives up",
    "RFC 9112 section 7.1; curl exits with 56",
)
A43 = Row(
    "A43",
    "encodes the object though identity alone was accepted",
    "writes neither the encoded nor the decoded bytes",
    "RFC 9110 section 8.4: ranges count encoded bytes",
)
A44 = Row(
    "A44",
    "sends a compressed bomb as object, as error or as redirect",
    "decodes nothing",
    "CVE-2022-32206, CVE-2023-23916, CVE-2025-66471",
)
A45 = Row(
    "A45",
    "compresses by Transfer-Encoding",
    "gives up: it never asked for that",
    "RFC 9112 section 7.4; curl exits with 61",
)

_BOMB = bomb(64 << 20)
_GZIP = {"Content-Encoding": "gzip"}

SCENARIOS = (
    A17("twice", Fault(request=_TWICE, short=5000), asks=1),
    A17("by one byte, always", Fault(short=1), errors=("connect",), asks=6),
    A17(
        "without ranges, twice", Fault(request=frozenset({0, 1}), ignore_range=True, short=5000), asks=3, restarts=True
    ),
    A18("by some bytes", Fault(extra=b"\0" * 100)),
    A18(
        "by a whole response",
        Fault(request=_TWICE, extra=b"HTTP/1.1 206 Partial Content\r\nContent-Length: 5\r\n\r\nhello"),
    ),
    A20("rightly", Fault(chunked=True)),
    A20("too few, twice", Fault(request=_TWICE, chunked=True, short=1000), asks=2),
    A20("shifted", Fault(request=_LATER, chunked=True, shift=5), errors=_MISMATCH, asks=3),
    A20("without the last chunk, twice", Fault(request=_TWICE, chunked=True, unterminated=True), asks=2),
    A21("to its end", Fault(ignore_range=True, chunked=True)),
    A21("cut off, twice", Fault(times=2, ignore_range=True, chunked=True, drop_after=100 * KIB), asks=3, restarts=True),
    A21("cut off, always", Fault(ignore_range=True, chunked=True, drop_after=100 * KIB), errors=("connect",), asks=5),
    A21(
        "without the last chunk", Fault(ignore_range=True, chunked=True, unterminated=True), errors=("connect",), asks=5
    ),
    A22("and the size is declared", Fault(ignore_range=True, no_length=True), declares=0),
    A22(
        "too early, and the size is declared",
        Fault(times=1, ignore_range=True, no_length=True, drop_after=9),
        declares=0,
        asks=2,
    ),
    A22("and nobody knows the size", Fault(ignore_range=True, no_length=True), errors=_MISMATCH),
    A22(
        "too early, and nobody knows the size", Fault(ignore_range=True, no_length=True, drop_after=9), errors=_MISMATCH
    ),
    A22("in ranges", Fault(no_length=True)),
    A22("in ranges, at once, always", Fault(no_length=True, drop_after=0), errors=("connect",), asks=6),
    A22("in ranges, too early, twice", Fault(request=_TWICE, no_length=True, drop_after=1000)),
    A23("of the right length", Fault(chunked=True, keep_length=True), errors=_MISMATCH, asks=3),
    A24("negative", Fault(length="-1"), errors=_MISMATCH, asks=3),
    A24("words", Fault(length="banana"), errors=_MISMATCH, asks=3),
    A24("two different", Fault(headers={"Content-Length": "17"}), errors=_MISMATCH, asks=3),
    A24("larger than any file", Fault(length=str(1 << 64)), errors=_MISMATCH, asks=3),
    A24("negative, in mid-download", Fault(request=_LATER, length="-1"), errors=_MISMATCH, asks=3),
    A25("words, twice", Fault(request=_TWICE, chunked=True, bad_chunk=(0, b"zz")), asks=2),
    A25("negative, always", Fault(chunked=True, bad_chunk=(0, b"-5")), errors=_UNREADABLE, asks=6),
    A25("overflowing, always", Fault(chunked=True, bad_chunk=(0, b"fffffffffffffffff1")), errors=_UNREADABLE, asks=6),
    A25("NUL in a trailer, which nobody reads", Fault(chunked=True, trailers=(("X", "a\0b"),))),
    A43("a range", Fault(headers=_GZIP), errors=_MISMATCH),
    A43("a range, in mid-download", Fault(request=_LATER, headers=_GZIP), errors=_MISMATCH),
    A43("the whole", Fault(ignore_range=True, headers={"Content-Encoding": "br"}), errors=_MISMATCH),
    A44("as the object", Fault(body=_BOMB, headers=_GZIP), errors=_MISMATCH),
    A44("as an error", Fault(status=404, body=_BOMB, headers=_GZIP), errors=("http-status",)),
    A44("as an error that passes", Fault(times=2, status=503, body=_BOMB, headers=_GZIP), asks=3),
    A44("as a redirect", Fault(times=1, redirect="{a}/object", body=_BOMB, headers=_GZIP), asks=2),
    A45("a range", Fault(chunked=True, transfer_encoding="gzip, chunked"), errors=_MISMATCH),
)
