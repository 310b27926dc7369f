"""haproxy in front of other servers, which it asks in turn."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Final

from tests.support.process import HOST
from tests.support.site import Server

#: No health checks: a server that is gone is found out by the request that is sent there.
_CONFIG: Final = """
global
    maxconn 200
defaults
    mode http
    retries 0
    timeout connect 1s
    timeout client 5s
    timeout server {patience}ms
frontend front
    bind {host}:{port} {tls}
    default_backend behind
backend behind
    balance roundrobin
{servers}
"""


class Haproxy(Server):
    """One haproxy.

    Args:
        behind: ports of the servers.
        patience: milliseconds that a server may be silent, in the middle of a body too.
        certificate: PEM file with chain and key; with it the front speaks TLS.
    """

    PROGRAM: ClassVar[str] = "haproxy"
    PACKAGE: ClassVar[str] = "haproxy"

    def __init__(self, behind: Sequence[int], patience: int = 5000, certificate: Path | None = None) -> None:
        super().__init__()
        self._behind, self._patience, self._certificate = behind, patience, certificate
        self.scheme = "https" if certificate else "http"

    def command(self, port: int) -> list[str]:
        servers = "\n".join(f"    server s{place} {HOST}:{behind}" for place, behind in enumerate(self._behind))
        tls = f"ssl crt {self._certificate}" if self._certificate else ""
        config = self.write(
            "haproxy.cfg", _CONFIG.format(host=HOST, port=port, servers=servers, patience=self._patience, tls=tls)
        )
        return [self.program(), "-db", "-f", str(config)]
