"""What a server says, and what it is worth: each row is a server and the verdict on it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncdl.model import Headers, Part, RemoteObject
from asyncdl.rules.ranges import (
    MAX_SIZE,
    Accept,
    Asked,
    Changed,
    Complete,
    Mismatch,
    RangeIgnored,
    Refused,
    Sequential,
    Verdict,
    WrongSize,
    judge,
)

Fields: TypeAlias = list[tuple[str, str]]

FIRST_DATE, LATER_DATE = "Fri, 20 Nov 2026 10:00:00 GMT", "Fri, 20 Nov 2026 10:00:01 GMT"

#: The object of this module has 1000 bytes; what is asked for is its second hundred, or all of it.
PLAIN = RemoteObject(1000)
TAGGED = RemoteObject(1000, etag='"a"')
DATED = RemoteObject(1000, last_modified=FIRST_DATE)
WEAK = RemoteObject(1000, weak_etag='W/"a"')
OPEN = RemoteObject(None)
OPEN_TAGGED = RemoteObject(None, etag='"a"')

PROBE = Asked(0, 100)
PROBE_ALL = Asked(0, None)
PROBE_DECLARED = Asked(0, 100, declared_size=1000)
MIDDLE = Asked(100, 200, PLAIN)
MIDDLE_TAGGED = Asked(100, 200, TAGGED)
MIDDLE_DATED = Asked(100, 200, DATED)
MIDDLE_WEAK = Asked(100, 200, WEAK)
REST = Asked(100, None, PLAIN)

SECOND_HUNDRED = ("Content-Range", "bytes 100-199/1000")
FIRST_HUNDRED = ("Content-Range", "bytes 0-99/1000")


def length(value: object) -> tuple[str, str]:
    return ("Content-Length", str(value))


def tag(value: str) -> tuple[str, str]:
    return ("ETag", value)


CHUNKED = ("Transfer-Encoding", "chunked")


@pytest.mark.parametrize(
    ("fields", "asked", "part", "remote"),
    [
        pytest.param([FIRST_HUNDRED, length(100)], PROBE, Part(0, 100), PLAIN, id="the first part: its size is known"),
        pytest.param([FIRST_HUNDRED], PROBE, Part(0, 100), PLAIN, id="no Content-Length: the range says it all"),
        pytest.param([FIRST_HUNDRED, CHUNKED], PROBE, Part(0, 100), PLAIN, id="chunked: the range says it all"),
        pytest.param(
            [FIRST_HUNDRED, length(100), tag('"a"'), ("Last-Modified", FIRST_DATE)],
            PROBE,
            Part(0, 100),
            RemoteObject(1000, '"a"', FIRST_DATE),
            id="the first part: its validators are kept",
        ),
        pytest.param(
            [FIRST_HUNDRED, tag('W/"a"')],
            PROBE,
            Part(0, 100),
            RemoteObject(1000, weak_etag='W/"a"'),
            id="a weak tag is kept apart",
        ),
        pytest.param([SECOND_HUNDRED, tag('W/"a"')], MIDDLE_WEAK, Part(100, 200), WEAK, id="the same weak tag"),
        pytest.param(
            [("Content-Range", "bytes 0-41/42")], PROBE, Part(0, 42), RemoteObject(42), id="smaller than was asked for"
        ),
        pytest.param(
            [("Content-Range", "bytes 0-999/1000")], PROBE_ALL, Part(0, 1000), PLAIN, id="everything, as a range"
        ),
        pytest.param([SECOND_HUNDRED, length(100)], MIDDLE, Part(100, 200), PLAIN, id="a later part"),
        pytest.param(
            [("Content-Range", "bytes 100-149/1000")], MIDDLE, Part(100, 150), PLAIN, id="only half of the part"
        ),
        pytest.param([("Content-Range", "bytes 100-999/1000")], REST, Part(100, 1000), PLAIN, id="the rest"),
        pytest.param([SECOND_HUNDRED, SECOND_HUNDRED], MIDDLE, Part(100, 200), PLAIN, id="the same range said twice"),
        pytest.param(
            [("Content-Range", "bytes 100-199/*")], MIDDLE, Part(100, 200), PLAIN, id="total *, known from before"
        ),
        pytest.param(
            [("Content-Range", "bytes 0-99/*")], PROBE_DECLARED, Part(0, 100), PLAIN, id="total *, but declared"
        ),
        pytest.param([SECOND_HUNDRED, tag('"a"')], MIDDLE_TAGGED, Part(100, 200), TAGGED, id="the same tag"),
        pytest.param(
            [SECOND_HUNDRED, tag('"a"'), ("Last-Modified", LATER_DATE)],
            MIDDLE_TAGGED,
            Part(100, 200),
            RemoteObject(1000, '"a"', LATER_DATE),
            id="the same tag outweighs a date",
        ),
        pytest.param([SECOND_HUNDRED, tag('"a"')], MIDDLE, Part(100, 200), TAGGED, id="a tag that comes later is kept"),
        pytest.param(
            [SECOND_HUNDRED, ("Last-Modified", FIRST_DATE)], MIDDLE_DATED, Part(100, 200), DATED, id="the same date"
        ),
        pytest.param([SECOND_HUNDRED], MIDDLE_DATED, Part(100, 200), DATED, id="no date any more proves nothing"),
        pytest.param(
            [SECOND_HUNDRED, tag('W/"b"'), ("Last-Modified", FIRST_DATE)],
            MIDDLE_DATED,
            Part(100, 200),
            RemoteObject(1000, last_modified=FIRST_DATE, weak_etag='W/"b"'),
            id="a weak tag that comes later: the date counts",
        ),
        pytest.param(
            [SECOND_HUNDRED, ("Accept-Ranges", "none")], MIDDLE, Part(100, 200), PLAIN, id="the 206 outweighs a header"
        ),
        pytest.param([SECOND_HUNDRED], Asked(100, 200, OPEN), Part(100, 200), PLAIN, id="the size is learnt late"),
        pytest.param(
            [SECOND_HUNDRED, ("Content-Encoding", "identity")], MIDDLE, Part(100, 200), PLAIN, id="coding: identity"
        ),
        pytest.param([SECOND_HUNDRED, ("Content-Encoding", "")], MIDDLE, Part(100, 200), PLAIN, id="coding: empty"),
        pytest.param(
            [SECOND_HUNDRED, ("Transfer-Encoding", "Chunked")], MIDDLE, Part(100, 200), PLAIN, id="Chunked, in any case"
        ),
        pytest.param(
            [SECOND_HUNDRED, ("Content-Type", "multipart/form-data")],
            MIDDLE,
            Part(100, 200),
            PLAIN,
            id="an object whose own type is some multipart",
        ),
    ],
)
def test_accepted_part(fields: Fields, asked: Asked, part: Part, remote: RemoteObject) -> None:
    """206, and it proves which bytes of which object it carries."""
    assert Accept(part, remote) == judge(206, Headers(fields), asked)


@pytest.mark.parametrize(
    ("fields", "asked", "retryable", "words"),
    [
        pytest.param([], MIDDLE, True, "206 with no Content-Range", id="no Content-Range"),
        pytest.param([length(100)], MIDDLE, True, "206 with no Content-Range", id="only a Content-Length"),
        pytest.param(
            [SECOND_HUNDRED, FIRST_HUNDRED], MIDDLE, True, "206 with 2 Content-Range", id="two Content-Ranges"
        ),
        pytest.param([("Content-Range", "bytes banana")], MIDDLE, True, "malformed Content-Range", id="garbage"),
        pytest.param([("Content-Range", "bytes 9-0/10")], MIDDLE, True, "impossible Content-Range", id="backwards"),
        pytest.param(
            [("Content-Range", "bytes */1000")], MIDDLE, True, "asked for bytes 100 to 200, got no range", id="no range"
        ),
        pytest.param([FIRST_HUNDRED], MIDDLE, True, "got bytes 0 to 100", id="another start"),
        pytest.param(
            [("Content-Range", "bytes 101-199/1000")], MIDDLE, True, "got bytes 101 to 200", id="starts a byte late"
        ),
        pytest.param(
            [("Content-Range", "bytes 99-199/1000")], MIDDLE, True, "got bytes 99 to 200", id="starts a byte early"
        ),
        pytest.param(
            [("Content-Range", "bytes 100-200/1000")], MIDDLE, True, "got bytes 100 to 201", id="one byte more"
        ),
        pytest.param(
            [FIRST_HUNDRED], REST, True, "asked for bytes 100 to the end", id="another start than that of the rest"
        ),
        pytest.param(
            [SECOND_HUNDRED, length(99)], MIDDLE, True, "Content-Length 99 on a range of 100", id="length too small"
        ),
        pytest.param(
            [SECOND_HUNDRED, length(1000)], MIDDLE, True, "Content-Length 1000 on", id="length of the whole object"
        ),
        pytest.param(
            [SECOND_HUNDRED, length(99), CHUNKED], MIDDLE, True, "Content-Length 99", id="chunked and a wrong length"
        ),
        pytest.param([SECOND_HUNDRED, length(-100)], MIDDLE, True, "impossible Content-Length", id="negative length"),
        pytest.param([SECOND_HUNDRED, length("x")], MIDDLE, True, "impossible Content-Length", id="garbage length"),
        pytest.param(
            [SECOND_HUNDRED, length(100), length(101)], MIDDLE, True, "impossible Content-Length", id="two lengths"
        ),
        pytest.param(
            [SECOND_HUNDRED, length(MAX_SIZE + 1)], MIDDLE, True, "impossible Content-Length", id="length beyond 2**63"
        ),
        pytest.param(
            [("Content-Type", "multipart/byteranges; boundary=x")],
            MIDDLE,
            False,
            "multipart/byteranges",
            id="multipart/byteranges to a single range",
        ),
        pytest.param(
            [SECOND_HUNDRED, ("Content-Type", "Multipart/ByteRanges;boundary=x")],
            MIDDLE,
            False,
            "multipart/byteranges",
            id="multipart/byteranges with a good Content-Range",
        ),
        pytest.param(
            [SECOND_HUNDRED, ("Content-Type", "text/plain"), ("Content-Type", "multipart/byteranges")],
            MIDDLE,
            False,
            "multipart/byteranges",
            id="multipart/byteranges in a second Content-Type",
        ),
        pytest.param(
            [("Content-Range", "bytes 0-99/*")], PROBE, False, "does not say how large", id="total *, and nobody knows"
        ),
        pytest.param(
            [("Content-Range", "bytes 100-199/*")],
            Asked(100, 200, OPEN),
            False,
            "does not say how large",
            id="total *, and not known from before either",
        ),
        pytest.param(
            [("Content-Range", "bytes 100-1000/*")],
            REST,
            False,
            "got bytes 100 to 1001 of an object of 1000 bytes",
            id="total *, and more than there was",
        ),
        pytest.param(
            [SECOND_HUNDRED], MIDDLE_TAGGED, True, "lacks the entity tag", id="a tag before, none now: not proven"
        ),
        pytest.param(
            [SECOND_HUNDRED, tag('W/"a"')], MIDDLE_TAGGED, True, "lacks the entity tag", id="the same tag, but weak now"
        ),
        pytest.param(
            [SECOND_HUNDRED, tag('"a"'), tag('"b"')], MIDDLE_TAGGED, True, "lacks the entity tag", id="two tags"
        ),
    ],
)
def test_part_that_proves_nothing(fields: Fields, asked: Asked, retryable: bool, words: str) -> None:
    """206, but not to the question that was asked: nothing of it is written."""
    verdict = judge(206, Headers(fields), asked)

    assert isinstance(verdict, Mismatch)
    assert words in verdict.why
    assert retryable == verdict.retryable


@pytest.mark.parametrize(
    ("status", "fields", "asked", "words"),
    [
        pytest.param(206, [SECOND_HUNDRED, tag('"b"')], MIDDLE_TAGGED, "entity tag", id="206 with another tag"),
        pytest.param(206, [SECOND_HUNDRED, tag('W/"b"')], MIDDLE_TAGGED, "entity tag", id="206, another, weak now"),
        pytest.param(206, [SECOND_HUNDRED, tag('W/"b"')], MIDDLE_WEAK, "entity tag", id="206 with another weak tag"),
        pytest.param(206, [SECOND_HUNDRED, tag('"b"')], MIDDLE_WEAK, "entity tag", id="206, another, strong now"),
        pytest.param(
            206, [SECOND_HUNDRED, ("Last-Modified", LATER_DATE)], MIDDLE_DATED, "date", id="206 with another date"
        ),
        pytest.param(
            206, [("Content-Range", "bytes 100-199/1001")], MIDDLE, "1000 bytes at first and has 1001", id="206, total"
        ),
        pytest.param(
            206, [("Content-Range", "bytes 100-199/999"), tag('"a"')], MIDDLE_TAGGED, "999", id="206, same tag, total"
        ),
        pytest.param(206, [SECOND_HUNDRED, tag('"b"')], Asked(100, 200, OPEN_TAGGED), "tag", id="206, tag, no size"),
        pytest.param(200, [length(999)], MIDDLE, "999", id="200 with another length: a login page, say"),
        pytest.param(200, [length(1000), tag('"b"')], MIDDLE_TAGGED, "entity tag", id="200 with another tag"),
        pytest.param(
            200, [length(1000), ("Last-Modified", LATER_DATE)], MIDDLE_DATED, "date", id="200 with another date"
        ),
        pytest.param(200, [length(0)], MIDDLE, "has 0 now", id="200, and nothing is left"),
        pytest.param(416, [("Content-Range", "bytes */50")], MIDDLE, "has 50 now", id="416, and it is shorter now"),
        pytest.param(416, [("Content-Range", "*/50")], MIDDLE, "has 50 now", id="416, shorter, without a unit"),
        pytest.param(416, [("Content-Range", "bytes */0")], Asked(0, 100, PLAIN), "has 0 now", id="416, emptied"),
        pytest.param(412, [], MIDDLE_TAGGED, "412", id="412: the server itself says so"),
    ],
)
def test_changed(status: int, fields: Fields, asked: Asked, words: str) -> None:
    """The response belongs to another object than the one that was begun."""
    verdict = judge(status, Headers(fields), asked)

    assert isinstance(verdict, Changed)
    assert words in verdict.why


@pytest.mark.parametrize(
    ("status", "fields", "declared"),
    [
        pytest.param(206, [FIRST_HUNDRED], 999, id="206, a byte more than declared"),
        pytest.param(206, [FIRST_HUNDRED], 1001, id="206, a byte less than declared"),
        pytest.param(206, [FIRST_HUNDRED], 0, id="206, declared empty"),
        pytest.param(200, [length(1000)], 999, id="200, a byte more than declared"),
        pytest.param(200, [length(0)], 1000, id="200, empty and declared otherwise"),
        pytest.param(200, [length(1000)], 0, id="200, declared empty"),
        pytest.param(416, [("Content-Range", "bytes */0")], 1000, id="416, empty and declared otherwise"),
        pytest.param(416, [("Content-Range", "bytes */7")], 1000, id="416, shorter than declared"),
    ],
)
def test_wrong_size(status: int, fields: Fields, declared: int) -> None:
    """What the caller declared outranks what the server says, before a byte is written."""
    verdict = judge(status, Headers(fields), Asked(0, 100, declared_size=declared))

    assert isinstance(verdict, WrongSize)
    assert str(declared) in verdict.why


def test_declared_size_outranks_a_change() -> None:
    """Both wrong: the caller's figure is the one to correct."""
    asked = Asked(100, 200, PLAIN, declared_size=1000)

    assert isinstance(judge(206, Headers([("Content-Range", "bytes 100-199/999")]), asked), WrongSize)


@pytest.mark.parametrize(
    ("fields", "asked", "remote"),
    [
        pytest.param([length(1000)], PROBE, PLAIN, id="200 to the first part: the whole object"),
        pytest.param([length(1000)], PROBE_ALL, PLAIN, id="200 to all of it"),
        pytest.param([length(1000)], PROBE_DECLARED, PLAIN, id="200, as large as declared"),
        pytest.param([length(0)], PROBE, RemoteObject(0), id="200, empty"),
        pytest.param([length(0)], Asked(0, 1, declared_size=0), RemoteObject(0), id="200, empty as declared"),
        pytest.param([CHUNKED], PROBE, OPEN, id="chunked: only the end will tell"),
        pytest.param([CHUNKED, length(7)], PROBE, OPEN, id="chunked and a length: chunked counts"),
        pytest.param([CHUNKED, length(7)], PROBE_DECLARED, PLAIN, id="chunked and a length: what is declared counts"),
        pytest.param([("Transfer-Encoding", "identity, chunked")], PROBE, OPEN, id="identity, then chunked"),
        pytest.param([CHUNKED], PROBE_DECLARED, PLAIN, id="chunked, declared"),
        pytest.param([], PROBE_DECLARED, PLAIN, id="until the connection closes, but declared"),
        pytest.param([], Asked(0, None, PLAIN), PLAIN, id="until the connection closes, but known from before"),
        pytest.param(
            [length(1000), tag('"a"'), ("Last-Modified", FIRST_DATE)],
            PROBE,
            RemoteObject(1000, '"a"', FIRST_DATE),
            id="200: its validators are kept",
        ),
        pytest.param([length(1000), tag('"a"')], Asked(0, 100, TAGGED), TAGGED, id="200 to the first part once more"),
        pytest.param([CHUNKED], Asked(0, None, PLAIN), PLAIN, id="chunked, known from before"),
        pytest.param(
            [length(1000), ("Content-Range", "bytes 5-9/10")], PROBE, PLAIN, id="a Content-Range on 200 means nothing"
        ),
    ],
)
def test_whole_object(fields: Fields, asked: Asked, remote: RemoteObject) -> None:
    """200 to a range that starts at the beginning: the body is the object."""
    assert Sequential(remote) == judge(200, Headers(fields), asked)


@pytest.mark.parametrize(
    ("fields", "asked", "remote"),
    [
        pytest.param([length(1000)], MIDDLE, PLAIN, id="200 to a later part"),
        pytest.param([length(1000)], REST, PLAIN, id="200 to the rest"),
        pytest.param([CHUNKED], MIDDLE, PLAIN, id="200 to a later part, chunked"),
        pytest.param([length(1000), tag('"a"')], MIDDLE_TAGGED, TAGGED, id="200 to a later part, the same tag"),
        pytest.param([CHUNKED], Asked(1, None, OPEN), OPEN, id="200 to the rest of who knows how much"),
        pytest.param([length(1000)], Asked(1, 2, declared_size=1000), PLAIN, id="200 to the second byte"),
    ],
)
def test_range_ignored(fields: Fields, asked: Asked, remote: RemoteObject) -> None:
    """200 to a range that starts later is true and of no use there: its first byte is not the one asked for."""
    assert RangeIgnored(remote) == judge(200, Headers(fields), asked)


@pytest.mark.parametrize(
    ("fields", "asked", "retryable", "words"),
    [
        pytest.param([], PROBE, False, "neither Content-Length nor chunks", id="until the connection closes"),
        pytest.param([], Asked(1, None, OPEN), False, "neither", id="until the connection closes, later"),
        pytest.param([("Transfer-Encoding", "identity")], PROBE, False, "neither", id="a framing that is none"),
        pytest.param([("Transfer-Encoding", "")], PROBE, False, "neither", id="an empty framing"),
        pytest.param(
            [("Transfer-Encoding", "chunked, identity")], PROBE, False, "does not end with chunked", id="not last"
        ),
        pytest.param(
            [CHUNKED, CHUNKED], PROBE, False, "does not end with chunked", id="chunked twice (RFC 9112 section 6.1)"
        ),
        pytest.param([length("banana")], PROBE, False, "impossible Content-Length", id="garbage length"),
        pytest.param([length(-1)], PROBE, False, "impossible Content-Length", id="negative length"),
        pytest.param([length(5), length(6)], PROBE, False, "impossible Content-Length", id="two lengths"),
        pytest.param([length(MAX_SIZE + 1)], PROBE, False, "impossible Content-Length", id="length beyond 2**63"),
        pytest.param([length("x"), CHUNKED], PROBE, False, "impossible Content-Length", id="chunked, garbage length"),
        pytest.param([length(1000)], MIDDLE_TAGGED, True, "lacks the entity tag", id="a tag before, none now"),
        pytest.param(
            [length(1000), tag('W/"a"')], Asked(0, 9, TAGGED), True, "lacks the entity tag", id="the same, weak now"
        ),
    ],
)
def test_whole_object_that_proves_nothing(fields: Fields, asked: Asked, retryable: bool, words: str) -> None:
    """200, but nobody could tell where the body ends, or of which object it is."""
    verdict = judge(200, Headers(fields), asked)

    assert isinstance(verdict, Mismatch)
    assert words in verdict.why
    assert retryable == verdict.retryable


@pytest.mark.parametrize("status", [200, 206])
@pytest.mark.parametrize(
    "field",
    [
        ("Content-Encoding", "gzip"),
        ("Content-Encoding", "GZIP"),
        ("Content-Encoding", "br"),
        ("Content-Encoding", "identity, gzip"),
        ("Content-Encoding", "x-unheard-of"),
        ("Content-Encoding", "chunked"),
        ("Transfer-Encoding", "gzip, chunked"),
        ("Transfer-Encoding", "gzip"),
        ("Transfer-Encoding", "xchunked"),
    ],
    ids=": ".join,
)
def test_coded_body(status: int, field: tuple[str, str]) -> None:
    """A body in any coding is other bytes than those asked for, and asking again will not help."""
    fields = [FIRST_HUNDRED] if status == 206 else [length(1000)]

    verdict = judge(status, Headers([*fields, field]), PROBE)

    assert Mismatch("the server encoded the body although identity was asked for", retryable=False) == verdict


def test_coding_in_a_second_field() -> None:
    """Codings add up over all fields of the name."""
    fields = [length(1000), ("Content-Encoding", "identity"), ("Content-Encoding", "gzip")]

    assert isinstance(judge(200, Headers(fields), PROBE), Mismatch)


@pytest.mark.parametrize(
    ("fields", "asked"),
    [
        pytest.param([("Content-Range", "bytes */0")], PROBE, id="*/0 to the first part"),
        pytest.param([("Content-Range", "bytes */0")], PROBE_ALL, id="*/0 to all of it"),
        pytest.param([("Content-Range", "*/0")], PROBE, id="*/0 without a unit"),
        pytest.param([("Content-Range", "bytes */0")] * 2, PROBE, id="*/0, said twice"),
        pytest.param([("Content-Range", "bytes */0")], Asked(0, 1, declared_size=0), id="*/0, as declared"),
        pytest.param([("Content-Range", "bytes */0")], Asked(0, 1, RemoteObject(0)), id="*/0, as it was"),
        pytest.param([("Content-Range", "bytes */0")], Asked(0, 1, OPEN), id="*/0, and nobody knew"),
        pytest.param([], Asked(0, 1, declared_size=0), id="no Content-Range, but declared empty"),
        pytest.param([("Content-Range", "banana")], Asked(0, 1, declared_size=0), id="garbage, but declared empty"),
    ],
)
def test_empty_object(fields: Fields, asked: Asked) -> None:
    """416 to the first byte of an object that has none (RFC 9110 section 14.1.2)."""
    assert Complete(RemoteObject(0)) == judge(416, Headers(fields), asked)


@pytest.mark.parametrize(
    ("fields", "asked", "retryable"),
    [
        pytest.param([], MIDDLE, True, id="416 without a word"),
        pytest.param([("Content-Range", "banana")], MIDDLE, True, id="416 with garbage"),
        pytest.param([("Content-Range", "bytes 100-199/*")], MIDDLE, True, id="416 without a total"),
        pytest.param([], Asked(0, 9, declared_size=1000), True, id="416 without a word, declared"),
        pytest.param(
            [("Content-Range", "bytes */0"), ("Content-Range", "bytes */1000")],
            Asked(0, 9, OPEN),
            True,
            id="416 with two sizes",
        ),
        pytest.param([("Content-Range", "bytes */1000")], MIDDLE, False, id="416 to a range that the object has"),
        pytest.param([("Content-Range", "bytes */1000")], PROBE, False, id="416 to the first part of an object"),
        pytest.param([("Content-Range", "bytes */1000")], Asked(1001, None, PLAIN), False, id="416 beyond the end"),
        pytest.param([("Content-Range", "bytes */1000")], Asked(1000, 1100, PLAIN), False, id="416 to a part past it"),
        pytest.param([("Content-Range", "bytes */0")], Asked(5, 9), False, id="416, empty, but not from the start"),
        pytest.param(
            [("Content-Range", "bytes */1000"), tag('"page"'), ("Last-Modified", LATER_DATE)],
            MIDDLE_TAGGED,
            False,
            id="416 whose validators are those of its own page",
        ),
    ],
)
def test_unsatisfied(fields: Fields, asked: Asked, retryable: bool) -> None:
    """416 where the range should be there: repeated only if the server did not say more."""
    verdict = judge(416, Headers(fields), asked)

    assert isinstance(verdict, Mismatch)
    assert "cannot satisfy bytes" in verdict.why
    assert retryable == verdict.retryable


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param([], id="no Content-Range"),
        pytest.param([("Content-Range", "banana")], id="garbage"),
        pytest.param([("Content-Range", "bytes */0"), ("Content-Range", "bytes */7")], id="two sizes"),
    ],
)
@pytest.mark.parametrize("asked", [PROBE, PROBE_ALL], ids=["first part", "all"])
def test_unsatisfied_from_the_start(fields: Fields, asked: Asked) -> None:
    """416 to the first byte, without a size in its headers: S3 says in the body that the object is empty."""
    assert Refused() == judge(416, Headers(fields), asked)


@pytest.mark.parametrize("known", [RemoteObject(1000), RemoteObject(None)], ids=["size known", "size unknown"])
def test_unsatisfied_right_at_the_end(known: RemoteObject) -> None:
    """416 to "everything from here on", where here is the object's size: nothing is missing."""
    verdict = judge(416, Headers([("Content-Range", "bytes */1000")]), Asked(1000, None, known))

    assert Complete(RemoteObject(1000)) == verdict


@pytest.mark.parametrize("status", [0, 100, 101, 201, 202, 203, 204, 205, 207, 300, 301, 302, 303, 304, 305, 307, 399])
def test_status_that_answers_nothing(status: int) -> None:
    """Neither the bytes nor a refusal: an answer to some other question, also with the headers of a good one."""
    verdict = judge(status, Headers([SECOND_HUNDRED, length(100)]), MIDDLE)

    assert Mismatch(f"the server answered a range request with status {status}", retryable=False) == verdict


@pytest.mark.parametrize("status", [308, 400, 401, 403, 404, 408, 410, 425, 429, 500, 502, 503, 504, 522, 599, 999])
def test_refusal(status: int) -> None:
    """The body says why: it is read elsewhere."""
    assert Refused() == judge(status, Headers([SECOND_HUNDRED, length(100)]), MIDDLE)


NUMBERS = st.integers(0, 12) | st.sampled_from([MAX_SIZE - 1, MAX_SIZE, MAX_SIZE + 1])
TAGS = st.sampled_from(['"a"', '"b"', 'W/"a"', "a", ""])
DATES = st.sampled_from([FIRST_DATE, LATER_DATE, ""])
REMOTES = st.none() | st.builds(
    RemoteObject,
    st.none() | st.integers(0, 12),
    st.sampled_from([None, '"a"']),
    st.sampled_from([None, FIRST_DATE]),
    st.sampled_from([None, 'W/"a"']),
)


@st.composite
def server_fields(draw: st.DrawFn) -> Fields:
    """Headers that are nearly right, and wrong in every way."""

    def ranges() -> Iterator[st.SearchStrategy[str]]:
        yield st.builds("bytes {}-{}/{}".format, NUMBERS, NUMBERS, NUMBERS | st.just("*"))
        yield st.builds("bytes */{}".format, NUMBERS)
        yield st.text(max_size=9)

    choices = {
        "content-range": st.one_of(*ranges()),
        "content-length": NUMBERS.map(str) | st.text(max_size=5),
        "etag": TAGS,
        "last-modified": DATES,
        "transfer-encoding": st.sampled_from(["chunked", "identity", "gzip, chunked", "chunked, identity", ""]),
        "content-encoding": st.sampled_from(["", "identity", "gzip"]),
        "content-type": st.sampled_from(["text/plain", "multipart/byteranges"]),
    }
    names = draw(st.lists(st.sampled_from(sorted(choices)), max_size=6))
    return [(name, draw(choices[name])) for name in names]


@st.composite
def questions(draw: st.DrawFn) -> Asked:
    start = draw(st.integers(0, 12))
    stop = draw(st.none() | st.integers(start + 1, 14))
    return Asked(start, stop, draw(REMOTES), draw(st.none() | st.integers(0, 12)))


@given(status=st.sampled_from([200, 204, 206, 304, 308, 412, 416, 503]), fields=server_fields(), asked=questions())
def test_no_verdict_contradicts_what_is_known(status: int, fields: Fields, asked: Asked) -> None:
    """Whatever a server says, what is taken fits what was asked, what is known and what was declared."""
    verdict: Verdict = judge(status, Headers(fields), asked)

    assert isinstance(verdict, get_args(Verdict))
    known = asked.remote or RemoteObject(None)
    if isinstance(verdict, Accept):
        assert 206 == status
        assert asked.start == verdict.part.start < verdict.part.stop
        assert asked.stop is None or verdict.part.stop <= asked.stop
        assert verdict.remote.size is not None
        assert verdict.part.stop <= verdict.remote.size
    if isinstance(verdict, Sequential | RangeIgnored):
        assert 200 == status
        assert (asked.start == 0) == isinstance(verdict, Sequential)
    if isinstance(verdict, Accept | Sequential | RangeIgnored):
        remote = verdict.remote
        assert known.size in {None, remote.size}
        assert asked.declared_size in {None, remote.size} or (remote.size is None and asked.declared_size is None)
        assert known.etag in {None, remote.etag}
        assert known.etag is None or ("etag", known.etag) in fields
    if isinstance(verdict, Complete):
        assert 416 == status
        assert asked.start == verdict.remote.size
        assert known.size in {None, asked.start}
        assert asked.declared_size in {None, asked.start}


def weak_name(remote: RemoteObject) -> str | None:
    """What is left of a tag for the weak comparison (RFC 9110 section 8.8.3.2)."""
    name = remote.etag or remote.weak_etag
    return None if name is None else name.removeprefix("W/")


@given(
    status=st.sampled_from([200, 206]),
    known=st.sampled_from([None, '"a"', 'W/"a"', '"b"', 'W/"b"']),
    tags=st.lists(st.sampled_from(['"a"', 'W/"a"', '"b"', 'W/"b"', None, "a", 'w/"a"', '"a', ""]), max_size=8),
)
def test_one_name_from_the_first_response_to_the_last(status: int, known: str | None, tags: list[str | None]) -> None:
    """However weak and strong tags take turns, what is accepted never bears two names, and never loses a strong one."""
    remote = RemoteObject(1000)
    for value in (known, *tags):
        named = [] if value is None else [tag(value)]
        fields = [length(1000), *named] if status == 200 else [FIRST_HUNDRED, *named]
        verdict = judge(status, Headers(fields), Asked(0, 100, remote))
        if not isinstance(verdict, Accept | Sequential):
            assert isinstance(verdict, Changed | Mismatch)
            continue
        assert weak_name(remote) in {None, weak_name(verdict.remote)}
        assert remote.etag in {None, verdict.remote.etag}
        assert remote.etag in {None, value}
        remote = verdict.remote


@given(
    status=st.integers(-1, 1000),
    fields=st.lists(st.tuples(st.sampled_from(["content-range", "content-length", "etag", "x"]), st.text())),
    asked=questions(),
)
def test_never_raises(status: int, fields: Fields, asked: Asked) -> None:
    """Every status with every text in its headers gets a verdict."""
    assert isinstance(judge(status, Headers(fields), asked), get_args(Verdict))
