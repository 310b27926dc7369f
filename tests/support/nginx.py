"""nginx with expiring URLs (secure_link) over files of known content, and its access log as the witness."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import secrets
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote

from asyncdl.testing import Content
from asyncdl.testing.provider import Provider
from tests.support.process import HOST, ServerProcess

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
        '"range":"$http_range","connection":$connection,"headers":"$http_x_test"}}';
    access_log {directory}/access.log witness;
    client_body_temp_path {directory}/temp; proxy_temp_path {directory}/temp; fastcgi_temp_path {directory}/temp;
    uwsgi_temp_path {directory}/temp; scgi_temp_path {directory}/temp;
    default_type application/octet-stream;
    sendfile on;
    tcp_nodelay on;
    keepalive_timeout 30s;
    keepalive_requests 100000;
    map $arg_rate $rate {{ default 0; "~^[0-9]+$" $arg_rate; }}
    server {{
        listen {host}:{port};
        root {root};
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
_LOGGED_WITHIN = 5.0
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
    """

    uri: str
    status: int
    sent: int
    method: str
    range: str
    connection: int
    headers: str


class NginxServer:
    """One running nginx; see `Nginx` for what a test sees of it."""

    def __init__(self, directory: Path) -> None:
        self.root = directory / "www"
        self.root.mkdir()
        (directory / "temp").mkdir()
        self.log = directory / "access.log"
        self.secret = secrets.token_hex(16)
        self._directory = directory
        self.process = ServerProcess(self._command, directory / "output.log")

    def _command(self, port: int) -> list[str]:
        config = self._directory / "nginx.conf"
        user = "user root;" if os.geteuid() == 0 else ""
        values = {"directory": self._directory, "root": self.root, "host": HOST, "port": port}
        config.write_text(_CONFIG.format(**values, user=user, secret=self.secret), encoding="utf-8")
        program = find_nginx()
        assert program is not None
        return [program, "-p", str(self._directory), "-e", "stderr", "-c", str(config)]


class Nginx:
    """What one test has of the server: a folder of its own, and the requests for it."""

    def __init__(self, server: NginxServer) -> None:
        self._server = server
        self._folder = secrets.token_hex(6)
        (server.root / self._folder).mkdir()
        self.port = server.process.port

    def add(self, name: str, size: int, seed: int = 1) -> Content:
        """Puts a file of `size` bytes there; its bytes tell their offset."""
        content = Content(seed, size)
        with self.file(name).open("wb") as file:
            for block in content.blocks(0, size, block=1 << 20):
                file.write(block)
        return content

    def file(self, name: str) -> Path:
        """Where the server reads `name`, to change or remove it."""
        return self._server.root / self._folder / name

    def url(self, name: str, *, rate: int | None = None) -> str:
        """A URL that needs no signature; `rate` is bytes per second and connection."""
        query = "" if rate is None else f"?rate={rate}"
        return f"http://{HOST}:{self.port}/{self._folder}/{quote(name)}{query}"

    def sign(self, name: str, ttl: float, *, rate: int | None = None) -> str:
        """A URL that answers 410 from `ttl` seconds on, give or take the second nginx counts in."""
        expires = int(time.time() + ttl)
        path = f"/signed/{self._folder}/{name}"
        digest = hashlib.md5(f"{expires}{path} {self._server.secret}".encode(), usedforsecurity=False).digest()
        md5 = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        slow = "" if rate is None else f"&rate={rate}"
        return f"http://{HOST}:{self.port}{quote(path)}?md5={md5}&expires={expires}{slow}"

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
            lines = self._server.log.read_text(encoding="utf-8").split("\n")[:-1]
            found = [access for access in (Access(**json.loads(line)) for line in lines) if access.uri in uris]
            if complete(found):
                return found
            if time.monotonic() > deadline:
                raise TimeoutError(f"the access log of nginx has only {found}")
            time.sleep(_POLL)

    def clear(self) -> None:
        """Removes the test's files."""
        shutil.rmtree(self._server.root / self._folder)


def find_nginx() -> str | None:
    """The program; Debian keeps it where only root looks."""
    return shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
