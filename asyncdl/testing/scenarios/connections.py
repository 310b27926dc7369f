"""Rows about connections: they break, fall silent, drip, flood, are refused, or are not as fast as others."""

from __future__ import annotations

from asyncdl.testing.faults import Fault
from asyncdl.testing.scenarios.model import KIB, Host, Row

_TWICE = frozenset({0, 3})
_LATER = range(1, 10_000)

A26 = Row(
    "A26",
    "closes the connection after some bytes",
    "keeps what came and asks for the rest",
    "RFC 9112 section 8; curl test 1909",
)
A27 = Row(
    "A27", "resets the connection after some bytes", "keeps what came and asks for the rest", "RFC 9293 section 3.10.7"
)
A29 = Row(
    "A29",
    "drops every connection without one byte of progress",
    "gives up after a bounded number of tries, shared by all connections",
    "botocore's retry quota",
)
A30 = Row(
    "A30",
    "falls silent in mid-body",
    "ends the wait after its bound and asks for the rest on a new connection",
    "curl --speed-time; aws-c-s3 monitors throughput",
)
A31 = Row(
    "A31",
    "drips one byte at a time, never quiet long enough to be silent",
    "ends a connection that is slower than its bound",
    "curl --speed-limit",
)
A32 = Row("A32", "takes the request and sends no headers", "ends the wait after its bound and asks again", "aws-c-s3")
A33 = Row(
    "A33",
    "drips or floods headers",
    "bounds their time and size",
    "CVE-2023-38039, CVE-2026-22815",
)
A34 = Row(
    "A34",
    "sends interim responses (1xx)",
    "passes over a few and ends a flood",
    "RFC 9110 section 15.2; wget2 test-1xx",
)
A78 = Row(
    "A78",
    "closes kept-alive connections without a word",
    "asks again on a new one",
    "RFC 9112 section 9.3.1; curl test 3223",
)
A85 = Row("A85", "refuses or ignores connections", "tries again within its bounds", "curl --retry-connrefused")
A89 = Row("A89", "floods its answers with cookies", "keeps none, and sends none back", "CVE-2022-32205")
A90 = Row(
    "A90",
    "lets one connection collapse to a thousandth of the others' rate",
    "lets the others take over what that one owes",
    "aria2 drops slow connections below --lowest-speed-limit",
)

_COOKIES = tuple(("Set-Cookie", f"c{number}=x; Path=/; Domain=.127.0.0.1") for number in range(100))

SCENARIOS = (
    *(
        A26(f"after {k} bytes, twice", Fault(request=_TWICE, drop_after=k), asks=1 if k else 2)
        for k in (0, 1, 64 * KIB - 1, 64 * KIB)
    ),
    A26("after 20,000 bytes, always", Fault(drop_after=20_000)),
    A26("without ranges, twice", Fault(times=2, ignore_range=True, drop_after=200 * KIB), asks=3, restarts=True),
    *(A27(f"after {k} bytes, twice", Fault(request=_TWICE, reset_after=k), asks=2) for k in (0, 1, 64 * KIB - 1)),
    A27("after 20,000 bytes, always", Fault(reset_after=20_000)),
    A29("after the headers", Fault(drop_after=0), errors=("connect",), asks=6),
    A29("before the headers", Fault(raw=b""), errors=("connect",), asks=8),
    A29("in mid-download", Fault(request=_LATER, reset_after=0), errors=("connect",), asks=6),
    A30("twice", Fault(request=_TWICE, stall_after=20_000)),
    A30("at the first byte, twice", Fault(request=_TWICE, stall_after=0), asks=3),
    A30("always, at the first byte", Fault(stall_after=0), errors=("stall",), asks=6),
    A31("twice", Fault(request=_TWICE, drip=(1, 0.05))),
    A32("twice", Fault(request=_TWICE, stall_headers=True), asks=3),
    A32("always", Fault(stall_headers=True), errors=("stall",), asks=6),
    A32("late, but within bounds", Fault(request=_TWICE, delay=0.2)),
    A33("drips, twice", Fault(request=_TWICE, head_drip=(1, 0.05)), asks=3),
    A33("drips, always", Fault(head_drip=(1, 0.05)), errors=("stall",), asks=6),
    A33("one of 100 KB", Fault(headers={"X-Large": "x" * 100_000}), errors=("response-mismatch",), asks=4),
    A33(
        "10,000 of them",
        Fault(headers=tuple((f"X-{n}", "x") for n in range(10_000))),
        errors=("response-mismatch",),
        asks=4,
    ),
    A34("three", Fault(informational=3)),
    A34("without end", Fault(informational=float("inf")), errors=("response-mismatch", "stall"), asks=6),
    A78("after each response", Fault(close=True)),
    A78("after three, unannounced", hosts={"a": Host(origin={"requests_per_connection": 3})}, asks=2, reached=False),
    A78("after a moment of quiet", hosts={"a": Host(origin={"idle": 0.02})}, asks=2, reached=False),
    A85("more than three at once", hosts={"a": Host(origin={"max_connections": 3})}, asks=6, reached=False),
    A89("a hundred of them", Fault(headers=_COOKIES)),
    A90("the third request", Fault(request=2, rate=600)),
    A90("the first request", Fault(request=0, rate=600), asks=2),
)
