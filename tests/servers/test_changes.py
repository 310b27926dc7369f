"""Real servers that lose the thread: files replaced, servers stopped, killed and started again, in the middle of it."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any, Literal

import pytest

import asyncdl
from asyncdl.testing import Content
from tests.servers.conftest import Midway
from tests.support.flow import KIB, QUICK, holds, small
from tests.support.lighttpd import Lighttpd
from tests.support.pyhttp import PythonHttp
from tests.support.servers import PLAIN, Serve, Sites
from tests.support.site import Site

pytestmark = pytest.mark.server

MIB = 1 << 20
SIZE = 16 * MIB
#: Small enough for dozens of requests, with next to nothing between the socket and the disk.
PACED: dict[str, Any] = {"part_size": 256 * KIB, "chunk_size": 64 * KIB, "queue_depth": 4}
PATIENT = asyncdl.Retry(base=0.1, cap=0.5)
each_with_ranges = pytest.mark.parametrize("server", [name for name in PLAIN if name != "http.server"])


@pytest.mark.parametrize("connections", [1, 4, 16])
@pytest.mark.parametrize("size", [SIZE, SIZE - MIB, SIZE + MIB], ids=["same size", "shorter", "longer"])
@each_with_ranges
async def test_file_replaced(
    sites: Sites, midway: Midway, tmp_path: Path, no_leaks: object, server: str, size: int, connections: int
) -> None:
    """Another version under the same name ends it: neither the one nor the other, and least of all a mix of both."""
    site = sites(server)
    site.add("model.bin", SIZE)

    with pytest.raises(asyncdl.RemoteChangedError, match="the remote object changed"):
        await midway(
            site.url("model.bin"),
            tmp_path / "file",
            lambda: site.replace("model.bin", size, seed=2),
            options=small(connections, **PACED),
            timeouts=QUICK,
        )

    assert not (tmp_path / "file").exists()


async def test_file_replaced_that_has_weak_tags(sites: Sites, midway: Midway, tmp_path: Path) -> None:
    """Apache: a file younger than a second, or dated ahead, has a weak tag, and the present moment for its date."""
    site = sites("apache")
    site.add("model.bin", SIZE)
    site.date("model.bin", time.time() + 1000)

    with pytest.raises(asyncdl.RemoteChangedError, match="entity tag"):
        await midway(
            site.url("model.bin"),
            tmp_path / "file",
            lambda: site.replace("model.bin", SIZE, seed=2),
            options=small(4, **PACED),
        )

    assert not (tmp_path / "file").exists()


@pytest.mark.parametrize("connections", [1, 4, 16])
async def test_file_replaced_behind_a_cache_of_open_files(
    serve: Serve, midway: Midway, tmp_path: Path, connections: int
) -> None:
    """A server that goes on with the old version for a while sends all of it, or it ends; in no case a mix."""
    site = Site(serve(Lighttpd(cached=True)))
    old = site.add("model.bin", SIZE)

    try:
        await midway(
            site.url("model.bin"),
            tmp_path / "file",
            lambda: site.replace("model.bin", SIZE, seed=2),
            options=small(connections, **PACED),
        )
    except asyncdl.RemoteChangedError:
        assert not (tmp_path / "file").exists()
    else:
        assert holds(tmp_path / "file", old)


async def test_file_replaced_under_one_stream(sites: Sites, midway: Midway, tmp_path: Path) -> None:
    """A server that has the file open sends the old version to its end, and that is what arrives."""
    site = sites("http.server")
    content = site.add("model.bin", SIZE)

    await midway(
        site.url("model.bin"),
        tmp_path / "file",
        lambda: site.replace("model.bin", SIZE, seed=2),
        options=small(4, **PACED),
    )

    assert holds(tmp_path / "file", content)


@each_with_ranges
async def test_file_removed(sites: Sites, midway: Midway, tmp_path: Path, server: str) -> None:
    """What is gone in the middle is a 404 at once: a URL that never dies cannot have expired."""
    site = sites(server)
    site.add("model.bin", SIZE)

    with pytest.raises(asyncdl.HttpStatusError, match="404") as caught:
        await midway(
            site.url("model.bin"),
            tmp_path / "file",
            site.file("model.bin").unlink,
            options=small(4, **PACED),
            retry=PATIENT,
        )

    assert 404 == caught.value.status
    assert not (tmp_path / "file").exists()


@pytest.mark.parametrize("connections", [1, 4, 16])
@pytest.mark.parametrize("how", ["stop", "kill"])
@pytest.mark.parametrize("name", ["nginx", "apache", "lighttpd", "caddy"])
async def test_server_started_again(
    serve: Serve, midway: Midway, tmp_path: Path, no_leaks: object, name: str, how: str, connections: int
) -> None:
    """A server that leaves, in order or not, and comes back on the same port: retried to the end, no byte twice."""
    server = serve(PLAIN[name]())
    site = Site(server)
    content = site.add("model.bin", SIZE)

    result = await midway(
        site.url("model.bin"),
        tmp_path / "file",
        server.process.kill if how == "kill" else server.process.stop,
        then=server.process.start,
        options=small(connections, **PACED),
        retry=PATIENT,
    )

    assert holds(tmp_path / "file", content)
    assert ["file"] == os.listdir(tmp_path)
    assert SIZE == result.fetched
    assert result.retries >= 1


@pytest.mark.parametrize("protocol", ["HTTP/1.0", "HTTP/1.1"])
async def test_server_without_ranges_started_again(
    serve: Serve, midway: Midway, tmp_path: Path, no_leaks: object, protocol: Literal["HTTP/1.0", "HTTP/1.1"]
) -> None:
    """What cannot be resumed is begun again, and is whole at the end."""
    server = serve(PythonHttp(protocol))
    site = Site(server)
    content = site.add("model.bin", SIZE)

    result = await midway(
        site.url("model.bin"),
        tmp_path / "file",
        server.process.kill,
        then=server.process.start,
        options=small(4, **PACED),
        retry=PATIENT,
    )

    assert holds(tmp_path / "file", content)
    assert SIZE == result.size
    assert result.retries >= 1


async def test_server_that_stays_away(serve: Serve, midway: Midway, tmp_path: Path, no_leaks: object) -> None:
    """After the attempts are used up it says what is wrong."""
    server = serve(PLAIN["nginx"]())
    site = Site(server)
    site.add("model.bin", SIZE)

    with pytest.raises(asyncdl.ConnectError, match="connection refused"):
        await midway(
            site.url("model.bin"),
            tmp_path / "file",
            server.process.kill,
            options=small(4, **PACED),
            retry=asyncdl.Retry(attempts=4, base=0.01, cap=0.05),
        )

    assert not (tmp_path / "file").exists()


async def test_another_server_on_the_same_port(serve: Serve, midway: Midway, tmp_path: Path, no_leaks: object) -> None:
    """The same file from another program has another entity tag: who moves a site in mid-download changes it."""
    first = serve(PLAIN["nginx"]())
    site = Site(first)
    site.add("model.bin", SIZE)
    second = PLAIN["lighttpd"]()
    second.root = first.root
    second.process.port = first.process.port

    def move() -> None:
        first.process.stop()
        second.process.start()

    try:
        with pytest.raises(asyncdl.RemoteChangedError, match="entity tag"):
            await midway(site.url("model.bin"), tmp_path / "file", move, options=small(4, **PACED), retry=PATIENT)
    finally:
        second.__exit__()

    assert Content(1, SIZE).first_difference(site.file("model.bin")) is None
