"""Rows about identity: is what comes now still the object that was begun?"""

from __future__ import annotations

from asyncdl.testing.faults import Fault
from asyncdl.testing.scenarios.model import Row

_CHANGED = ("remote-changed",)
_LATER = range(2, 10_000)
#: The seed of the object's second version.
_OTHER = 2

A35 = Row(
    "A35",
    "replaces the object in mid-download and honours If-Match",
    "ends it, with no file of two versions",
    "RFC 9110 section 13.1.1; s3transfer and aws-c-s3 do the same",
)
A36 = Row(
    "A36",
    "replaces the object in mid-download and answers as if nothing had happened",
    "compares the entity tag of each response with the first one's",
    "RFC 9110 section 15.3.7.3",
)
A37 = Row(
    "A37",
    "has a weak entity tag only",
    "takes an equal one for no proof, and a different one for another version",
    "RFC 9110 sections 8.8.1 and 8.8.3.2; Apache tags a file weakly for a second after it was written",
)
A39 = Row(
    "A39",
    "gives the same object another entity tag on another machine",
    "ends it unless a checksum proves that it is the same",
    "nginx and Apache derive the tag from the file",
)
A40 = Row(
    "A40",
    "has an opaque entity tag that looks like a checksum",
    "takes it for a name, never for a checksum",
    "S3: the tag of a multipart upload is no MD5",
)
A41 = Row(
    "A41",
    "answers 200 with the new object, as If-Range asks for after a change",
    "ends it, with no file of two versions",
    "RFC 9110 section 13.1.5",
)

SCENARIOS = (
    A35("and says 412", Fault(request=_LATER, status=412), errors=_CHANGED),
    A36("with the same size", Fault(request=_LATER, seed=_OTHER, etag='"v2"'), errors=_CHANGED),
    A36("once", Fault(request=3, seed=_OTHER, etag='"v2"'), errors=_CHANGED),
    A36(
        "without entity tags, with a new date",
        Fault(request=_LATER, seed=_OTHER, last_modified="Thu, 02 Jan 2025 00:00:00 GMT"),
        object={"etag": None},
        errors=_CHANGED,
    ),
    A36("and drops the entity tag", Fault(request=_LATER, seed=_OTHER, etag=""), errors=("response-mismatch",), asks=3),
    A37("that stays", object={"etag": 'W/"x"'}, reached=False),
    A37(
        "that differs, though size and date do not",
        Fault(request=_LATER, seed=_OTHER, etag='W/"y"'),
        object={"etag": 'W/"x"'},
        errors=_CHANGED,
    ),
    A39("with a suffix", Fault(request=_LATER, etag='"v1-gzip"'), object={"etag": '"v1"'}, errors=_CHANGED),
    A40("of a multipart upload", object={"etag": '"9b2cf535f27731c974343645a3985328-17"'}, reached=False),
    A40("of 32 hexadecimal digits", object={"etag": '"d41d8cd98f00b204e9800998ecf8427e"'}, reached=False),
    A41("of the same size", Fault(request=_LATER, ignore_range=True, seed=_OTHER, etag='"v2"'), errors=_CHANGED),
)
