"""nginx with one large file on tmpfs: an origin that is never the slower side."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from asyncdl.testing import Content

_CONFIG = """
daemon off;
worker_processes 2;
pid {directory}/nginx.pid;
error_log stderr error;
{user}
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path {directory}; proxy_temp_path {directory}; fastcgi_temp_path {directory};
    uwsgi_temp_path {directory}; scgi_temp_path {directory};
    sendfile on;
    keepalive_requests 100000;
    server {{ listen 127.0.0.1:{port}; root {directory}; }}
}}
"""
_READY_WITHIN = 10.0


@contextmanager
def serving(directory: Path, size: int) -> Iterator[tuple[str, Path]]:
    """Serve a file of `size` bytes from `directory`: its URL and its path.

    Raises:
        RuntimeError: nginx is not installed or does not start.
    """
    program = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if program is None:
        raise RuntimeError("nginx is not installed")
    file = directory / "object.bin"
    with file.open("wb") as target:
        for block in Content(1, size).blocks(0, size, block=1 << 20):
            target.write(block)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    config = directory / "nginx.conf"
    user = "user root;" if os.geteuid() == 0 else ""
    config.write_text(_CONFIG.format(directory=directory, port=port, user=user))
    process = subprocess.Popen([program, "-p", str(directory), "-e", "stderr", "-c", str(config)])
    try:
        _await_ready(port)
        yield f"http://127.0.0.1:{port}/{file.name}", file
    finally:
        process.terminate()
        process.wait(_READY_WITHIN)


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
