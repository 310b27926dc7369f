"""Rows about TLS: certificates that prove nothing, and handshakes that do not end."""

from __future__ import annotations

from dataclasses import replace

from asyncdl.testing.faults import Fault
from asyncdl.testing.scenarios.model import Host, Row

A80 = Row(
    "A80", "shows a certificate that proves nothing", "refuses at once, and asks for nothing", "RFC 9110 section 4.3.4"
)

A81 = Row(
    "A81",
    "cuts TLS off without closing it, where only the connection's end tells the body's",
    "takes it for complete only where something else says so",
    "RFC 8446 section 6.1; RFC 9112 section 9.8",
)

_TRUNCATED = Fault(ignore_range=True, no_length=True, drop_after=9)
_BAD = ("self-signed", "expired", "not-yet-valid", "wrong-host", "wrong-usage", "unknown-authority")

SCENARIOS = (
    A80("or rather: a good one", hosts={"a": Host(tls="good")}, reached=False),
    *(
        A80(kind, hosts={"a": Host(tls=kind)}, errors=("connect",), harmless=False, asks=0, reached=False)
        for kind in _BAD
    ),
    A81(
        "and nobody knows the size",
        hosts={"a": Host(tls="no-close-notify", faults=(_TRUNCATED,))},
        errors=("response-mismatch",),
    ),
    A81(
        "and the size is declared",
        hosts={"a": Host(tls="no-close-notify", faults=(replace(_TRUNCATED, times=1),))},
        declares=0,
        asks=2,
        restarts=True,
    ),
)
