"""The pytest fixtures `nginx` and `s3`: real servers, started when first asked for, one folder or bucket per test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support import s3rver
from tests.support.nginx import Nginx, NginxServer, find_nginx
from tests.support.process import unavailable
from tests.support.s3rver import S3, S3Server


@pytest.fixture(scope="session")
def nginx_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NginxServer]:
    """One nginx for the whole run."""
    if find_nginx() is None:
        unavailable("nginx is not installed (Debian: apt-get install nginx-light)")
    server = NginxServer(tmp_path_factory.mktemp("nginx"))
    with server.process:
        yield server


@pytest.fixture
def nginx(nginx_server: NginxServer) -> Iterator[Nginx]:
    """A running nginx with signed URLs, as one test sees it."""
    site = Nginx(nginx_server)
    yield site
    site.clear()


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """One s3rver for the whole run."""
    if reason := s3rver.missing():
        unavailable(reason)
    server = S3Server(tmp_path_factory.mktemp("s3rver"))
    with server.process:
        yield server


@pytest.fixture
def s3(s3_server: S3Server) -> Iterator[S3]:
    """A bucket of its own for one test."""
    bucket = S3(s3_server)
    yield bucket
    bucket.clear()
