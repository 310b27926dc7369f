"""Targets: Content-Range, and the verdict on a response, each against the slow reference."""

from __future__ import annotations

from collections.abc import Hashable

from asyncdl.errors import ResponseMismatchError
from asyncdl.model import Headers, RemoteObject
from asyncdl.rules import ranges
from asyncdl.rules.ranges import parse_content_range
from tests.fuzz import reference
from tests.fuzz.engine import Target
from tests.fuzz.reference import Question, Span, Verdict, number

_NUMBERS: tuple[bytes, ...] = (
    b"0",
    b"1",
    b"99",
    b"100",
    b"199",
    b"200",
    b"999",
    b"1000",
    b"1001",
    b"9223372036854775806",
)
_NUMBERS += (b"9223372036854775807", b"9223372036854775808", b"9999999999999999999", b"10000000000000000000", b"007")
_PUNCTUATION = (b"-", b"/", b"*", b" ", b"\t", b",", b'"', b"=", b"+", b"_", b"\xd9\xa3", b"\xc2\xb2", b"\r", b"\n")


def check_content_range(data: bytes) -> Hashable:
    """The parser and the reference agree on every header."""
    text = data.decode("utf-8", "surrogateescape")
    expected = reference.content_range(text)
    try:
        parsed = parse_content_range(text)
    except ResponseMismatchError:
        found = None
    else:
        start, stop = parsed.part or (None, None)
        found = Span(start, stop, parsed.total)
    assert expected == found, (expected, found)
    return None if found is None else tuple(value and len(str(value)) for value in found)


def split_case(data: bytes) -> tuple[int, list[tuple[str, str]], Question]:
    """A response and a question: `status start stop size etag modified declared`, then header lines; `-` is None."""
    first, *lines = data.decode("utf-8", "surrogateescape").split("\n")
    words = [*first.split(" "), *["-"] * 7][:7]
    status, start, stop, size, declared = (number(words[at][:19]) for at in (0, 1, 2, 3, 6))
    start = start or 0
    question = Question(
        start=start,
        stop=None if stop is None else max(stop, start + 1),
        begun=words[3] != "-",
        size=size,
        etag=words[4] if words[3] != "-" and len(words[4]) > 1 and words[4][:2] != "W/" else None,
        weak=words[4] if words[3] != "-" and words[4][:2] == "W/" else None,
        modified=words[5] if words[3] != "-" and words[5] != "-" else None,
        declared=declared,
    )
    pairs = (line.partition(":") for line in lines)
    return status or 206, [(name.strip(), value.strip(" \t")) for name, _, value in pairs], question


def _flat(verdict: ranges.Verdict) -> Verdict:
    name = {
        ranges.Accept: "accept",
        ranges.Sequential: "sequential",
        ranges.RangeIgnored: "ignored",
        ranges.Complete: "complete",
        ranges.Changed: "changed",
        ranges.WrongSize: "wrong-size",
        ranges.Mismatch: "mismatch",
        ranges.Refused: "refused",
    }[type(verdict)]
    remote = getattr(verdict, "remote", None)
    what = (remote.size, remote.etag, remote.weak_etag, remote.last_modified) if remote else ()
    return (name, *(verdict.part if isinstance(verdict, ranges.Accept) else ()), *what)


def check_judge(data: bytes) -> Hashable:
    """`judge` never raises, and lets the very bytes pass that the reference lets pass."""
    status, fields, asked = split_case(data)
    remote = RemoteObject(asked.size, asked.etag, asked.modified, asked.weak) if asked.begun else None
    expected = reference.judge(status, fields, asked)
    verdict = ranges.judge(status, Headers(fields), ranges.Asked(asked.start, asked.stop, remote, asked.declared))
    found = _flat(verdict)
    assert expected == found, (expected, found)
    if isinstance(verdict, ranges.Accept):
        # The one promise that matters, said without the reference: nothing outside what was asked for.
        assert asked.start == verdict.part.start < verdict.part.stop
        assert asked.stop is None or verdict.part.stop <= asked.stop
    why = getattr(verdict, "why", "")
    return found[0], why.rstrip("0123456789")[:24], status


CONTENT_RANGE = Target(
    name="content-range",
    about="the parser of Content-Range and a slow reference agree",
    check=check_content_range,
    corpus=(b"bytes 0-99/1000", b"bytes 100-199/*", b"bytes */1000", b"*/1000", b" Bytes 0-0/1 ", b"bytes 9-0/10"),
    words=(b"bytes ", b"BYTES ", b"bytes=", *_NUMBERS, *_PUNCTUATION),
    batch=1024,
    short=50_000,
    longest=80,
)

_FIELDS = (
    b"Content-Range: bytes 100-199/1000",
    b"Content-Range: bytes 100-149/*",
    b"Content-Range: bytes */1000",
    b"Content-Length: 100",
    b"Content-Length: 1000, 1000",
    b"Content-Length: -1",
    b"Transfer-Encoding: chunked",
    b"Transfer-Encoding: gzip, chunked",
    b"Transfer-Encoding: chunked, identity",
    b"Content-Encoding: gzip",
    b"Content-Encoding: identity",
    b"Content-Type: multipart/byteranges; boundary=x",
    b'ETag: "a"',
    b'ETag: W/"a"',
    b'ETag: "b"',
    b"ETag: a",
    b"Last-Modified: Fri",
    b"Last-Modified: Sat",
    b"Last-Modified:",
)
_QUESTIONS = tuple(
    b"%s %s %s %s" % (status, span, known, declared)
    for status in (b"200", b"206", b"416")
    for span in (b"100 200", b"0 100", b"0 -", b"1000 -")
    for known in (b"- - -", b'1000 "a" -', b'1000 W/"a" Fri', b"1000 - Fri", b'? "a" Fri', b"0 - -")
    for declared in (b"-", b"1000", b"0")
)
JUDGE = Target(
    name="judge",
    about="the verdict on a response is the reference's, and nothing but what was asked for is accepted",
    check=check_judge,
    corpus=(
        *(b"%s\n%s\n%s\n%s" % (question, _FIELDS[0], _FIELDS[3], _FIELDS[12]) for question in _QUESTIONS),
        *(b"%s\n%s" % (question, field) for question in _QUESTIONS for field in _FIELDS),
    ),
    words=(*(b"\n" + field for field in _FIELDS), *_QUESTIONS, b" -", *_NUMBERS, *_PUNCTUATION),
    short=15_000,
    longest=400,
)
