"""Rows about redirects: how many, where to, and what goes along."""

from __future__ import annotations

from asyncdl.testing.faults import Fault
from asyncdl.testing.scenarios.model import Host, Row

_MISMATCH = ("response-mismatch",)

A46 = Row(
    "A46",
    "redirects again and again",
    "counts the hops, never compares URLs",
    "RFC 9110 section 15.4; curl exits with 47",
)
A47 = Row("A47", "redirects from https to http", "refuses", "CVE-2025-14524; curl test 325")
A48 = Row("A48", "redirects to a scheme that is no http", "refuses", "curl test 1563")
A49 = Row(
    "A49",
    "redirects to another host, port or scheme",
    "follows, and takes none of the caller's headers along",
    "CVE-2018-1000007, CVE-2022-27774, CVE-2022-27776",
)
A50 = Row("A50", "puts a user name and password into Location", "drops them", "CVE-2024-11053, CVE-2026-3783")
A53 = Row(
    "A53",
    "redirects to a URL that expires soon",
    "asks the first URL again for another",
    "aria2 issue 2197",
)
A54 = Row("A54", "redirects to a stranger", "sends no Referer", "CVE-2021-22876")


def _from(target: str, **host: object) -> dict[str, Host]:
    """A host that redirects everything to `target`, and another that serves."""
    return {"a": Host(faults=(Fault(redirect=target),)), "b": Host(**host)}  # type: ignore[arg-type]


SCENARIOS = (
    A46("in a circle", Fault(redirect="{a}/object"), errors=_MISMATCH, asks=6),
    A46("three times to the same URL", Fault(times=3, redirect="{a}/object", status=301), asks=4),
    A47(
        "to the same host",
        hosts={"a": Host(tls="good", faults=(Fault(redirect="{b}/object"),)), "b": Host()},
        errors=_MISMATCH,
        harmless=False,
    ),
    *(
        A48(f"to {url.partition(':')[0]}", Fault(redirect=url), errors=_MISMATCH, harmless=False)
        for url in (
            "file:///etc/passwd",
            "ftp://127.0.0.1/object",
            "gopher://127.0.0.1/1",
            "data:,object",
            "javascript:1",
        )
    ),
    A49("another port", hosts=_from("{b}/object")),
    A49("another host", hosts=_from("{b}/object", address="127.0.0.2")),
    A49("https", hosts=_from("{b}/object", tls="good")),
    *(
        A49(
            f"another port, by {status}",
            hosts={"a": Host(faults=(Fault(redirect="{b}/object", status=status),)), "b": Host()},
        )
        for status in (301, 303, 307, 308)
    ),
    A50("of the serving host", hosts=_from("http://user:secret@{b.authority}/object")),
    A53(
        "and dies in mid-download",
        hosts=_from("{b.signed}", address="127.0.0.2", faults=(Fault(rate=200_000),)),
        ttl=1.1,
        asks=2,
    ),
    A54("on another port", hosts=_from("{b}/object")),
)
