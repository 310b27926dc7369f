"""TLS of real servers under a certificate authority of our own: trusted when named, refused at once when not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import asyncdl
from tests.support.caddy import Caddy
from tests.support.flow import KIB, fetch, holds, small
from tests.support.haproxy import Haproxy
from tests.support.nginx import NginxServer
from tests.support.servers import Serve
from tests.support.site import Site

pytestmark = pytest.mark.server

MIB = 1 << 20
SIZE = 6 * MIB


def encrypted(serve: Serve, name: str, certificate: Path) -> Site:
    """A place on a server with that certificate."""
    match name:
        case "nginx":
            return Site(serve(NginxServer(certificate=certificate)))
        case "caddy":
            return Site(serve(Caddy(certificate)))
        case "haproxy":
            behind = serve(NginxServer())
            return Site(serve(Haproxy([behind.process.port], certificate=certificate)), behind)
        case _:
            raise AssertionError(name)


@pytest.mark.parametrize("connections", [1, 4, 16])
@pytest.mark.parametrize("name", ["nginx", "caddy", "haproxy"])
async def test_trusted(
    serve: Serve, tmp_path: Path, no_leaks: object, ca_file: Path, certificate: Path, name: str, connections: int
) -> None:
    """With the authority's file the download is as any other."""
    site = encrypted(serve, name, certificate)
    content = site.add("model.bin", SIZE)

    result = await fetch(
        site.url("model.bin"),
        tmp_path / "file",
        options=small(connections, part_size=256 * KIB, ca_file=ca_file),
    )

    assert holds(tmp_path / "file", content)
    assert (SIZE, 0) == (result.fetched, result.retries)


@pytest.mark.parametrize("name", ["nginx", "caddy", "haproxy"])
async def test_not_trusted(serve: Serve, tmp_path: Path, no_leaks: object, certificate: Path, name: str) -> None:
    """Without it the first handshake is the last."""
    site = encrypted(serve, name, certificate)
    site.add("model.bin", SIZE)

    with pytest.raises(asyncdl.ConnectError, match="TLS certificate refused") as caught:
        await fetch(site.url("model.bin"), tmp_path / "file")

    assert 1 == caught.value.attempts
    assert not (tmp_path / "file").exists()


async def test_plain_http_to_a_tls_port(serve: Serve, tmp_path: Path, no_leaks: object, certificate: Path) -> None:
    """The wrong scheme gets the server's page about it, not a file."""
    site = encrypted(serve, "nginx", certificate)
    site.add("model.bin", SIZE)

    with pytest.raises(asyncdl.HttpStatusError, match="400"):
        await fetch(site.url("model.bin").replace("https:", "http:"), tmp_path / "file")


async def test_tls_to_a_plain_port(serve: Serve, tmp_path: Path, no_leaks: object) -> None:
    """The other way round there is no handshake."""
    site = Site(serve(NginxServer()))
    site.add("model.bin", SIZE)

    with pytest.raises(asyncdl.ConnectError):
        await fetch(site.url("model.bin").replace("http:", "https:"), tmp_path / "file")


async def test_redirect_from_tls_to_plain(
    serve: Serve, tmp_path: Path, no_leaks: object, ca_file: Path, certificate: Path
) -> None:
    """What began encrypted does not go on in the clear."""
    plain = Site(serve(NginxServer()))
    plain.add("model.bin", SIZE)
    directive = f"location /moved {{ return 302 {plain.url('model.bin')}; }}"
    server = serve(NginxServer(server=directive, certificate=certificate))

    with pytest.raises(asyncdl.ResponseMismatchError, match="redirect"):
        await fetch(f"{server.base}/moved", tmp_path / "file", options=small(4, ca_file=ca_file))

    assert not (tmp_path / "file").exists()


def test_command(serve: Serve, tmp_path: Path, ca_file: Path, certificate: Path) -> None:
    """The command takes the authority's file too."""
    site = encrypted(serve, "nginx", certificate)
    content = site.add("model.bin", SIZE)
    command = [sys.executable, "-m", "asyncdl", "-q", site.url("model.bin"), "-o", str(tmp_path / "file")]

    refused = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    done = subprocess.run(
        [*command, "--cacert", str(ca_file)], capture_output=True, text=True, timeout=120, check=False
    )

    assert (3, 0) == (refused.returncode, done.returncode), refused.stderr + done.stderr
    assert holds(tmp_path / "file", content)
