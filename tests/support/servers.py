"""The pytest fixtures that run real servers: `nginx` and `s3` with a place for one test, and others as a test wants."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol, TypeAlias, TypeVar

import pytest
import trustme

from tests.support import s3rver
from tests.support.apache import Apache
from tests.support.caddy import Caddy
from tests.support.haproxy import Haproxy
from tests.support.lighttpd import Lighttpd
from tests.support.moto import Moto, MotoServer
from tests.support.nginx import Nginx, NginxServer
from tests.support.process import HOST, unavailable
from tests.support.pyhttp import PythonHttp
from tests.support.s3rver import S3, S3Server
from tests.support.site import Server, Site

AnyServer = TypeVar("AnyServer", bound=Server)
#: A place of the test's own on the shared server of that name.
Sites: TypeAlias = Callable[[str], Site]
PLAIN: dict[str, type[Server]] = {
    "nginx": NginxServer,
    "apache": Apache,
    "lighttpd": Lighttpd,
    "caddy": Caddy,
    "http.server": PythonHttp,
}
#: nginx behind haproxy.
PROXIED = "haproxy"


class Serve(Protocol):
    """Starts a server for one test, and stops it after the test."""

    def __call__(self, server: AnyServer, /) -> AnyServer: ...


@pytest.fixture(scope="session")
def shared() -> Iterator[Callable[[str], Server]]:
    """Web servers that change nothing and last the whole run, each started when first asked for."""
    running: dict[str, Server] = {}
    with contextlib.ExitStack() as stack:

        def start(name: str) -> Server:
            if name not in running:
                made = Haproxy([start("nginx").process.port]) if name == PROXIED else PLAIN[name]()
                running[name] = stack.enter_context(made)
            return running[name]

        yield start


@pytest.fixture
def sites(shared: Callable[[str], Server]) -> Iterator[Sites]:
    """Places on the shared servers, by the server's name."""
    with contextlib.ExitStack() as stack:

        def take(name: str) -> Site:
            site = Site(shared(name), shared("nginx") if name == PROXIED else None)
            stack.callback(site.clear)
            return site

        yield take


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts servers of the test's own, and stops them after it, the last one first."""
    with contextlib.ExitStack() as stack:

        def start(server: AnyServer, /) -> AnyServer:
            stack.enter_context(server)
            return server

        yield start


@pytest.fixture(scope="session")
def nginx_server(shared: Callable[[str], Server]) -> NginxServer:
    """The nginx of the whole run."""
    server = shared("nginx")
    assert isinstance(server, NginxServer)
    return server


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


@pytest.fixture(scope="session")
def moto_server() -> Iterator[MotoServer]:
    """One moto for the whole run."""
    with MotoServer() as server:
        yield server


@pytest.fixture
def moto(moto_server: MotoServer) -> Iterator[Moto]:
    """A bucket of its own for one test."""
    bucket = Moto(moto_server)
    yield bucket
    bucket.clear()


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    """Whom nobody trusts unless told to."""
    return trustme.CA()


@pytest.fixture(scope="session")
def ca_file(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """That authority's certificate."""
    path = tmp_path_factory.mktemp("authority") / "ca.pem"
    authority.cert_pem.write_to_path(path)
    return path


@pytest.fixture(scope="session")
def certificate(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate of that authority for the address servers listen on, with its key, in one file."""
    path = tmp_path_factory.mktemp("certificate") / "server.pem"
    authority.issue_cert(HOST).private_key_and_cert_chain_pem.write_to_path(path)
    return path
