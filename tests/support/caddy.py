"""Caddy over files of known content, plain or with a certificate of the test's own."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Final

from tests.support.process import HOST
from tests.support.site import Server

_CONFIG: Final = """
{{
    admin off
    auto_https off
    grace_period 1s
    default_sni {host}
    storage file_system {directory}/storage
}}
{scheme}://{host}:{port} {{
    bind {host}
    {tls}
    root * {root}
    {directives}
    file_server
}}
"""


class Caddy(Server):
    """One caddy.

    Args:
        certificate: PEM file with chain and key; with it the server speaks TLS.
        directives: lines for the site.
    """

    PROGRAM: ClassVar[str] = "caddy"
    PACKAGE: ClassVar[str] = "caddy"

    def __init__(self, certificate: Path | None = None, directives: str = "") -> None:
        super().__init__()
        self._certificate, self._directives = certificate, directives
        self.scheme = "https" if certificate else "http"

    def command(self, port: int) -> list[str]:
        config = self.write(
            "Caddyfile",
            _CONFIG.format(
                directory=self.directory,
                root=self.root,
                host=HOST,
                port=port,
                scheme=self.scheme,
                tls=f"tls {self._certificate} {self._certificate}" if self._certificate else "",
                directives=self._directives,
            ),
        )
        # It keeps state in its home otherwise, and does not start where there is none.
        home = [f"{name}={self.directory}" for name in ("HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME")]
        return ["env", *home, self.program(), "run", "--config", str(config), "--adapter", "caddyfile"]
