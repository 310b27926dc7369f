"""nginx with expiring URLs (secure_link) over files of known content, and its access log as the witness."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final
from urllib.parse import quote

from asyncdl.testing.provider import Provider
from tests.support.process import HOST
from tests.support.site import Server, Site, as_root

#: https://nginx.org/en/docs/http/ngx_http_secure_link_module.html: the variable is empty when the hash is wrong, "0"
#: when the link was right once. A rate in the query is outside of the hash, so any link can be slowed down.
_CONFIG: Final = """
daemon off;
worker_processes 2;
pid {directory}/nginx.pid;
error_log stderr warn;
{user}
events {{ worker_connections 1024; }}
http {{
    log_format witness escape=json '{{"uri":"$uri","status":$status,"sent":$body_bytes_sent,"method":"$request_method",'
        '"range":"$http_range","connection":$connection,"headers":"$http_x_test",'
        '"authorization":"$http_authorization","via":"$http_via"}}';
    access_log {directory}/access.log witness;
    client_body_temp_path {directory}/temp; proxy_temp_path {directory}/temp; fastcgi_temp_path {directory}/temp;
    uwsgi_temp_path {directory}/temp; scgi_temp_path {directory}/temp;
    default_type application/octet-stream;
    sendfile on;
    tcp_nodelay on;
    {http}
    map $arg_rate $rate {{ default 0; "~^[0-9]+$" $arg_rate; }}
    server {{
        listen {host}:{port} {tls};
        root {root};
        {server}
        limit_rate $rate;
        location / {{ }}
        location /signed/ {{
            secure_link $arg_md5,$arg_expires;
            secure_link_md5 "$secure_link_expires$uri {secret}";
            if ($secure_link = "") {{ return 403; }}
            if ($secure_link = "0") {{ return 410; }}
            alias {root}/;
        }}
    }}
}}
"""
_KEPT_ALIVE: Final = "keepalive_timeout 30s; keepalive_requests 100000;"
_LOGGED_WITHIN = 60.0
_POLL = 0.01


@dataclass(frozen=True, slots=True)
class Access:
    """One request as nginx logged it.

    Attributes:
        uri: decoded path, `/signed` included.
        sent: bytes of the body handed to the socket.
        range: the Range header, empty if there was none.
        connection: nginx's number of the TCP connection.
        headers: the X-Test header, empty if there was none.
        authorization: the Authorization header, empty if there was none.
        via: the Via header, empty if no proxy had set one.
    """

    uri: str
    status: int
    sent: int
    method: str
    range: str
    connection: int
    headers: str
    authorization: str
    via: str


class NginxServer(Server):
    """One running nginx; see `Nginx` for what a test sees of it.

    Args:
        http: directives for all servers; how long connections live among them.
        server: directives for the server.
        certificate: PEM file with chain and key; with it the server speaks TLS.
    """

    PROGRAM: ClassVar[str] = "nginx"
    PACKAGE: ClassVar[str] = "nginx-light"

    def __init__(self, http: str = _KEPT_ALIVE, server: str = "", certificate: Path | None = None) -> None:
        super().__init__()
        (self.directory / "temp").mkdir()
        self.log: Path = self.directory / "access.log"
        self.secret: str = secrets.token_hex(16)
        self._http, self._server, self._certificate = http, server, certificate
        self.scheme = "https" if certificate else "http"

    def command(self, port: int) -> list[str]:
        tls = f"ssl; ssl_certificate {self._certificate}; ssl_certificate_key {self._certificate}"
        config = self.write(
            "nginx.conf",
            _CONFIG.format(
                directory=self.directory,
                root=self.root,
                host=HOST,
                port=port,
                user="user root;" if as_root() else "",
                secret=self.secret,
                http=self._http,
                server=self._server,
                tls=tls if self._certificate else "",
            ),
        )
        return [self.program(), "-p", str(self.directory), "-e", "stderr", "-c", str(config)]


class Nginx(Site):
    """What one test has of the server: a folder of its own, and the requests for it."""

    def __init__(self, server: NginxServer) -> None:
        super().__init__(server)
        self._nginx = server

    @property
    def port(self) -> int:
        """Where it listens."""
        return self.server.process.port

    def url(self, name: str, *, rate: int | None = None) -> str:
        """A URL that needs no signature; `rate` is bytes per second and connection."""
        return super().url(name) + ("" if rate is None else f"?rate={rate}")

    def sign(self, name: str, ttl: float, *, rate: int | None = None) -> str:
        """A URL that answers 410 from `ttl` seconds on, give or take the second nginx counts in."""
        expires = int(time.time() + ttl)
        path = f"/signed/{self._folder}/{name}"
        digest = hashlib.md5(f"{expires}{path} {self._nginx.secret}".encode(), usedforsecurity=False).digest()
        md5 = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        slow = "" if rate is None else f"&rate={rate}"
        return f"{self.server.base}{quote(path)}?md5={md5}&expires={expires}{slow}"

    def provider(self, name: str, ttl: float, *, rate: int | None = None, delay: float = 0.0) -> Provider:
        """A provider of such URLs, which counts its `.calls`."""
        return Provider(lambda: self.sign(name, ttl, rate=rate), delay=delay)

    def requests(self, name: str, *, at_least: int = 0) -> list[Access]:
        """The requests for `name` so far, in the order in which they ended.

        nginx writes the line after the last byte, so a client may be ahead of it: `at_least` waits for that many.
        """
        return self.requests_when(name, lambda found: len(found) >= at_least)

    def requests_when(self, name: str, complete: Callable[[list[Access]], bool]) -> list[Access]:
        """The requests for `name` once `complete` says they are all there.

        Raises:
            TimeoutError: it did not say so within five seconds.
        """
        uris = (f"/{self._folder}/{name}", f"/signed/{self._folder}/{name}")
        deadline = time.monotonic() + _LOGGED_WITHIN
        while True:
            lines = self._nginx.log.read_text(encoding="utf-8").split("\n")[:-1]
            found = [access for access in (Access(**json.loads(line)) for line in lines) if access.uri in uris]
            if complete(found):
                return found
            if time.monotonic() > deadline:
                raise TimeoutError(f"the access log of nginx has only {found}")
            time.sleep(_POLL)
