"""Rows about ranges: answers that are not the bytes asked for, and those that are though they do not look like it."""

from __future__ import annotations

from asyncdl.testing.faults import POISON, Fault
from asyncdl.testing.scenarios.model import Host, Row

_MISMATCH = ("response-mismatch",)
_CHANGED = ("remote-changed",)
#: Requests that are not the first, so that a client is in mid-download already.
_TWICE = frozenset({3, 5})
_LATER = range(2, 10_000)

A01 = Row(
    "A01",
    "ignores Range and sends the whole object with 200, also where a later range was asked for",
    "never writes it at the range's offset: takes it from its first byte on, or asks again",
    "RFC 9110 section 14.2; curl exits with 33",
)
A02 = Row("A02", "has no ranges at all", "takes the whole object over one connection", "RFC 9110 section 14.2")
A03 = Row(
    "A03",
    "sends a 206 whose Content-Range starts at another byte than was asked for",
    "throws the body away, asks again, and gives up when that is the server's habit",
    "RFC 9110 section 15.3.7; curl exits with 33",
)
A05 = Row(
    "A05",
    "sends a 206 that goes on beyond the last byte asked for",
    "writes nothing beyond the range",
    "RFC 9110 section 15.3.7",
)
A06 = Row(
    "A06",
    "names another total size in a later Content-Range",
    "ends it: the object is another one now",
    "RFC 9110 section 14.4",
)
A07 = Row(
    "A07",
    "does not know the total size (`*` in Content-Range)",
    "takes the range where the size is known otherwise",
    "RFC 9110 section 14.4",
)
A08 = Row(
    "A08",
    "sends a 206 without a usable Content-Range",
    "throws the body away: nothing says which bytes it has",
    "RFC 9110 section 15.3.7",
)
A10 = Row(
    "A10",
    "answers a single range with multipart/byteranges",
    "writes nothing: boundaries and part headers are no data",
    'RFC 9110 section 15.3.7.2: "A server MUST NOT generate a multipart response to a request for a single range"',
)
A12 = Row(
    "A12",
    "answers 416 and names the size that is known",
    "does not take it for data, nor for another object",
    "RFC 9110 section 15.5.17",
)
A13 = Row(
    "A13",
    "answers 416 and names the size without the unit",
    "understands it all the same",
    "RFC 9110 section 14.4 requires the unit; curl test 1475",
)
A15 = Row(
    "A15", "answers 416 and names another size", "ends it: the object is another one now", "RFC 9110 section 14.4"
)
A16 = Row(
    "A16",
    "answers 416 to a range of an empty object, which has no range",
    "creates an empty file",
    "RFC 9110 section 14.1.2",
)
A68 = Row(
    "A68",
    "sends an error or a login page with status 200 instead of the object",
    "writes nothing of it where the size or a later range tells",
    "aria2 issue 1115",
)
A71 = Row("A71", "refuses HEAD (a presigned URL is for one method)", "asks with GET alone", "AWS S3: presigned URLs")
A72 = Row("A72", "serves ranges and says that it does not", "believes the 206", "RFC 9110 section 14.3")
A73 = Row(
    "A73",
    "has an object of another size than the caller was told",
    "ends it before any byte is written",
    "huggingface_hub checks the same",
)
A75 = Row("A75", "has an empty object", "creates an empty file", "RFC 9110 section 8.6")


def _unsatisfiable(content_range: str, **condition: object) -> Fault:
    return Fault(status=416, headers={"Content-Range": content_range}, **condition)  # type: ignore[arg-type]


#: What S3 and its like answer, with no Content-Range beside it.
_EMPTY = b"<Error><Code>InvalidRange</Code><ActualObjectSize>0</ActualObjectSize></Error>"
#: All bytes come, but nothing says that they are all.
_ENDLESS = Fault(request=0, ignore_range=True, chunked=True, unterminated=True)

SCENARIOS = (
    A01("to the first request", Fault(request=0, ignore_range=True)),
    A01("to two later ranges", Fault(request=_TWICE, ignore_range=True), asks=3),
    A01("to every later range", Fault(request=_LATER, ignore_range=True), asks=4, restarts=True),
    A01("to every later range, with other bytes", Fault(request=_LATER, body=POISON), errors=_CHANGED),
    A02("and says so", hosts={"a": Host(origin={"ranges": False})}, reached=False),
    A02("and does not say so", Fault(ignore_range=True, drop_headers=("Accept-Ranges",))),
    A02("and the size is declared", Fault(ignore_range=True), declares=0),
    A02("and neither length nor chunks", Fault(ignore_range=True, no_length=True), declares=0),
    A03("twice, one byte late", Fault(request=_TWICE, shift=1), asks=2),
    A03("twice, one byte early", Fault(request=_TWICE, shift=-1), asks=2),
    A03("twice, in the header alone", Fault(request=_TWICE, shift_header=1), asks=2),
    A03("always", Fault(request=_LATER, shift=7), errors=_MISMATCH, asks=3),
    A03("always, in the header alone", Fault(shift_header=1), errors=_MISMATCH, asks=3),
    A05("twice, by one byte", Fault(request=_TWICE, longer=1), asks=2),
    A05("always, by a thousand bytes", Fault(request=_LATER, longer=1000), errors=_MISMATCH, asks=3),
    A05("shorter is allowed", Fault(request=_TWICE, shorter=1000)),
    A06("much larger", Fault(request=_LATER, total=10**9), errors=_CHANGED),
    A06("smaller than the range", Fault(request=_LATER, total=1), errors=_MISMATCH, asks=3),
    A07("in later ranges", Fault(request=_LATER, total="*")),
    A07("and the size is declared", Fault(total="*"), declares=0),
    A07("and nobody does", Fault(total="*"), errors=_MISMATCH),
    A08("twice", Fault(request=_TWICE, drop_headers=("Content-Range",)), asks=2),
    A08("always", Fault(drop_headers=("Content-Range",)), errors=_MISMATCH, asks=3),
    A08("malformed, twice", Fault(request=_TWICE, content_range="bytes banana"), asks=2),
    A08("malformed, always", Fault(content_range="bytes 5-2/9"), errors=_MISMATCH, asks=3),
    A08("in another unit", Fault(content_range="items 0-5/6"), errors=_MISMATCH, asks=3),
    A10("with the right bytes inside", Fault(multipart=True), errors=_MISMATCH),
    A10("in mid-download", Fault(request=_LATER, multipart=True), errors=_MISMATCH),
    A12("after a stream that broke at its very end", _ENDLESS, asks=1),
    A13("after a stream that broke at its very end", _ENDLESS, _unsatisfiable("*/{size}", request=1)),
    A12("and the range lies within", _unsatisfiable("bytes */{size}", request=_LATER), errors=_MISMATCH),
    A15("in mid-download", _unsatisfiable("bytes */1", request=_LATER), errors=_CHANGED),
    A15("in mid-download, without unit", _unsatisfiable("*/1", request=_LATER), errors=_CHANGED),
    A16("and says so", _unsatisfiable("bytes */0"), size=0),
    A16("and says so in the body alone", Fault(status=416, body=_EMPTY), size=0),
    A16("and says so without unit", _unsatisfiable("*/0"), size=0),
    A68("for every range", Fault(body=b"<html>please log in</html>" + POISON), errors=("integrity",), declares=0),
    A68("in mid-download", Fault(request=_LATER, body=b"<Error>" + POISON), errors=_CHANGED),
    A71("and the client does not ask", reached=False),
    A72("none", Fault(drop_headers=("Accept-Ranges",), headers={"Accept-Ranges": "none"})),
    A72("not at all", Fault(drop_headers=("Accept-Ranges",))),
    A73("one byte less", declares=1, errors=("integrity",), reached=False, needs=frozenset({"size"})),
    A73("one byte more", declares=-1, errors=("integrity",), reached=False, needs=frozenset({"size"})),
    A73("and no ranges", Fault(ignore_range=True), declares=1, errors=("integrity",), needs=frozenset({"size"})),
    A75("with ranges", size=0, reached=False),
    A75("without ranges", Fault(ignore_range=True), size=0),
    A75("in chunks", Fault(ignore_range=True, chunked=True), size=0),
)
