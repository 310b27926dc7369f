"""nginx over a directory of files: an origin that is never the slower side, http and https."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from asyncdl.testing import Content

_CONFIG = """
daemon off;
worker_processes 2;
pid {conf}/nginx.pid;
error_log stderr error;
{user}
events {{ worker_connections 4096; }}
http {{
    access_log off;
    client_body_temp_path {conf}; proxy_temp_path {conf}; fastcgi_temp_path {conf};
    uwsgi_temp_path {conf}; scgi_temp_path {conf};
    sendfile on;
    keepalive_requests 1000000;
    open_file_cache max=20000;
    server {{ listen 127.0.0.1:{port} backlog=4096; root {root}; }}
    {https}
}}
"""
_HTTPS = """
    server {{
        listen 127.0.0.1:{port} ssl; root {root};
        ssl_certificate {conf}/chain.pem; ssl_certificate_key {conf}/key.pem;
    }}
"""
_READY_WITHIN = 10.0


@dataclass(frozen=True, slots=True)
class Site:
    """A running nginx.

    Attributes:
        root: the directory it serves.
        ca_file: the authority of its certificate, where it was asked for https.
    """

    root: Path
    port: int
    tls_port: int | None = None
    ca_file: Path | None = None

    def url(self, name: str, *, https: bool = False) -> str:
        return f"https://127.0.0.1:{self.tls_port}/{name}" if https else f"http://127.0.0.1:{self.port}/{name}"


def program() -> str | None:
    """Where nginx is, which is seldom in a user's PATH; None where it is not installed."""
    return shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


@contextmanager
def serving(directory: Path, *, https: bool = False) -> Iterator[Site]:
    """Serve `directory`/files, which is made.

    Raises:
        RuntimeError: nginx is not installed or does not start.
    """
    found = program()
    if found is None:
        raise RuntimeError("nginx is not installed")
    root, conf = directory / "files", directory / "conf"
    root.mkdir(exist_ok=True)
    conf.mkdir(exist_ok=True)
    port, tls_port = _free_port(), _free_port() if https else None
    ca_file = _certify(conf) if https else None
    config = conf / "nginx.conf"
    user = "user root;" if os.geteuid() == 0 else ""
    secure = _HTTPS.format(port=tls_port, root=root, conf=conf) if https else ""
    config.write_text(_CONFIG.format(conf=conf, root=root, port=port, user=user, https=secure))
    process = subprocess.Popen([found, "-p", str(conf), "-e", "stderr", "-c", str(config)])
    try:
        _await_ready(port)
        yield Site(root, port, tls_port, ca_file)
    finally:
        process.terminate()
        process.wait(_READY_WITHIN)


def fill(path: Path, size: int, *, seed: int = 1) -> Path:
    """Write `size` bytes that depend on their position; the path again."""
    with path.open("wb") as target:
        for block in Content(seed, size).blocks(0, size, block=1 << 20):
            target.write(block)
    return path


def _certify(conf: Path) -> Path:
    import trustme  # only https needs it

    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1", "localhost")
    certificate.private_key_pem.write_to_path(conf / "key.pem")
    (conf / "chain.pem").write_bytes(b"".join(blob.bytes() for blob in certificate.cert_chain_pems))
    authority.cert_pem.write_to_path(conf / "ca.pem")
    return conf / "ca.pem"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def _await_ready(port: int) -> None:
    deadline = time.monotonic() + _READY_WITHIN
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1.0).close()
        except OSError:
            if time.monotonic() > deadline:
                raise RuntimeError("nginx does not answer") from None
            time.sleep(0.02)
        else:
            return
