"""What stands between us and the file: reverse proxies that give up, forward proxies, tunnels, redirects."""

from __future__ import annotations

import socket
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

import asyncdl
from tests.servers.conftest import Midway
from tests.support.apache import Apache
from tests.support.flow import KIB, fetch, holds, small
from tests.support.haproxy import Haproxy
from tests.support.nginx import Nginx, NginxServer
from tests.support.process import HOST
from tests.support.servers import Serve
from tests.support.site import Site
from tests.support.squid import Squid

pytestmark = pytest.mark.server

MIB = 1 << 20
SIZE = 6 * MIB
PART = 256 * KIB
PATIENT = asyncdl.Retry(attempts=20, base=0.05, cap=0.3)
SECRET = "Bearer only-for-the-first-server"


@pytest.fixture
def hole() -> Iterator[int]:
    """The port of a server that lets itself be connected to and never says a word."""
    with socket.create_server((HOST, 0)) as listener:
        yield listener.getsockname()[1]


@pytest.fixture(scope="module")
def squid() -> Iterator[Squid]:
    """A forward proxy for all tests here: it takes a second to start."""
    with Squid() as running:
        yield running


@pytest.mark.parametrize("connections", [1, 4, 16])
async def test_server_behind_a_proxy_dies_and_comes_back(
    serve: Serve, midway: Midway, tmp_path: Path, no_leaks: object, connections: int
) -> None:
    """The proxy breaks off what was under way and answers 503 to the rest, until the server is there again."""
    server = serve(NginxServer())
    site = Site(serve(Haproxy([server.process.port])), server)
    content = site.add("model.bin", 16 * MIB)

    result = await midway(
        site.url("model.bin"),
        tmp_path / "file",
        server.process.kill,
        then=server.process.start,
        options=small(connections, part_size=PART),
        retry=PATIENT,
    )

    assert holds(tmp_path / "file", content)
    assert 16 * MIB == result.fetched
    assert result.retries >= 1


async def test_proxy_with_nobody_behind(serve: Serve, tmp_path: Path, no_leaks: object) -> None:
    """The proxy's own words are what is reported."""
    server = serve(NginxServer())
    site = Site(serve(Haproxy([server.process.port])), server)
    site.add("model.bin", SIZE)
    server.process.stop()

    with pytest.raises(asyncdl.HttpStatusError, match="503") as caught:
        await fetch(site.url("model.bin"), tmp_path / "file", retry=asyncdl.Retry(attempts=3, base=0.01))

    assert 503 == caught.value.status


@pytest.mark.parametrize("connections", [1, 4, 16])
async def test_proxy_that_is_impatient_with_a_slow_server(
    serve: Serve, tmp_path: Path, no_leaks: object, connections: int
) -> None:
    """Bodies break off whenever the server pauses for longer than the proxy likes; each goes on where it was."""
    server = serve(NginxServer())
    proxy = serve(Haproxy([server.process.port], patience=100))
    site = Nginx(server)
    content = site.add("model.bin", 2 * MIB)
    slow = site.url("model.bin", rate=512 * KIB).replace(server.base, proxy.base)

    result = await fetch(slow, tmp_path / "file", options=small(connections, part_size=MIB), retry=PATIENT)

    assert holds(tmp_path / "file", content)
    assert 2 * MIB == result.fetched
    assert result.retries >= 1


@pytest.mark.parametrize("connections", [1, 4, 16])
async def test_proxy_with_a_dead_server_among_the_living(
    serve: Serve, tmp_path: Path, no_leaks: object, hole: int, connections: int
) -> None:
    """Every other request ends in 504, and is sent again."""
    server = serve(NginxServer())
    site = Site(serve(Haproxy([server.process.port, hole], patience=100)), server)
    content = site.add("model.bin", 2 * MIB)

    result = await fetch(
        site.url("model.bin"), tmp_path / "file", options=small(connections, part_size=PART), retry=PATIENT
    )

    assert holds(tmp_path / "file", content)
    assert 2 * MIB == result.fetched
    assert result.retries >= 1


@pytest.mark.parametrize(
    ("status", "connections"), [(302, 1), (302, 4), (302, 16), (301, 4), (303, 4), (307, 4), (308, 4)]
)
async def test_redirect_to_another_server(
    serve: Serve, nginx: Nginx, tmp_path: Path, no_leaks: object, status: int, connections: int
) -> None:
    """Every part is redirected, and the caller's headers are for the first server only."""
    content = nginx.add("model.bin", SIZE)
    target = nginx.url("model.bin").removesuffix("/model.bin")
    # Elsewhere than what it publishes: the path is taken over as it is.
    apache = serve(Apache(f"Redirect {status} /moved {target}", ["alias"]))

    result = await fetch(
        f"{apache.base}/moved/model.bin",
        tmp_path / "file",
        headers={"Authorization": SECRET, "X-Test": "a header of the caller's"},
        options=small(connections, part_size=PART),
    )

    assert holds(tmp_path / "file", content)
    seen = nginx.requests("model.bin", at_least=result.requests)
    assert [SECRET] * result.requests == apache.authorizations()
    assert {("", "")} == {(access.authorization, access.headers) for access in seen}


async def test_headers_reach_the_server_they_are_for(nginx: Nginx, tmp_path: Path) -> None:
    """The log of the test above would have shown them."""
    nginx.add("model.bin", 10)

    await fetch(nginx.url("model.bin"), tmp_path / "file", headers={"Authorization": SECRET, "X-Test": "seen"})

    (access,) = nginx.requests("model.bin", at_least=1)
    assert (SECRET, "seen") == (access.authorization, access.headers)


@pytest.mark.parametrize("connections", [1, 4, 16])
async def test_forward_proxy(squid: Squid, nginx: Nginx, tmp_path: Path, no_leaks: object, connections: int) -> None:
    """Plain requests through a caching proxy: its ranges are those of the server."""
    content = nginx.add("model.bin", SIZE)

    result = await fetch(
        nginx.url("model.bin"), tmp_path / "file", options=small(connections, part_size=PART, proxy=squid.base)
    )

    assert holds(tmp_path / "file", content)
    assert (SIZE, 0) == (result.fetched, result.retries)
    assert all("squid" in access.via for access in nginx.requests("model.bin", at_least=result.requests))


async def test_forward_proxy_that_has_it_already(squid: Squid, nginx: Nginx, tmp_path: Path) -> None:
    """Ranges out of a cache fit together as those of the server do; the server is not asked for a byte of them."""
    content = nginx.add("model.bin", SIZE)
    options = small(4, part_size=PART, proxy=squid.base)
    # Whole, as squid keeps it; of ranges it would keep nothing.
    with urllib.request.build_opener(urllib.request.ProxyHandler({"http": squid.base})).open(
        nginx.url("model.bin"), timeout=60
    ) as response:
        assert content.read(0, SIZE) == response.read()

    result = await fetch(nginx.url("model.bin"), tmp_path / "file", options=options)

    assert holds(tmp_path / "file", content)
    assert (SIZE, 0) == (result.fetched, result.retries)
    assert [200] == [access.status for access in nginx.requests("model.bin", at_least=1)]


@pytest.mark.parametrize(
    ("variable", "connections"),
    [(None, 1), (None, 4), (None, 16), ("https_proxy", 4), ("HTTPS_PROXY", 4), ("ALL_PROXY", 4)],
)
async def test_tunnel(
    serve: Serve,
    squid: Squid,
    tmp_path: Path,
    no_leaks: object,
    monkeypatch: pytest.MonkeyPatch,
    ca_file: Path,
    certificate: Path,
    variable: str | None,
    connections: int,
) -> None:
    """TLS through CONNECT, the proxy named by option or by the environment: one tunnel for each connection at most."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    site = Site(serve(NginxServer(certificate=certificate)))
    content = site.add("model.bin", SIZE)
    if variable:
        monkeypatch.setenv(variable, squid.base)
    proxy = {"use_environment": True} if variable else {"proxy": squid.base}

    result = await fetch(
        site.url("model.bin"), tmp_path / "file", options=small(connections, part_size=PART, ca_file=ca_file, **proxy)
    )

    assert holds(tmp_path / "file", content)
    assert (SIZE, 0) == (result.fetched, result.retries)
    assert 1 <= squid.tunnels(f"{HOST}:{site.server.process.port}") <= connections


@pytest.mark.parametrize("tls", [True, False], ids=["https", "http"])
async def test_forward_proxy_that_forbids_it(
    serve: Serve, tmp_path: Path, no_leaks: object, ca_file: Path, certificate: Path, tls: bool
) -> None:
    """A proxy's refusal is an error with its status, and no file."""
    squid = serve(Squid(deny=True))
    site = Site(serve(NginxServer(certificate=certificate if tls else None)))
    site.add("model.bin", SIZE)

    with pytest.raises(asyncdl.TransferError, match="403"):
        await fetch(site.url("model.bin"), tmp_path / "file", options=small(4, proxy=squid.base, ca_file=ca_file))

    assert not (tmp_path / "file").exists()
