"""Real servers that hold back: rates, bounds on connections and requests, connections closed after a few requests."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest

import asyncdl
from tests.support.apache import Apache
from tests.support.flow import KIB, fetch, holds, small
from tests.support.lighttpd import Lighttpd
from tests.support.nginx import Nginx, NginxServer
from tests.support.servers import Serve
from tests.support.site import Server, Site

pytestmark = pytest.mark.server

MIB = 1 << 20
SIZE = 6 * MIB
PART = 128 * KIB
#: A server that says no is asked for as long as another connection gets on.
INSISTENT = asyncdl.Retry(attempts=50, base=0.02, cap=0.5)


@pytest.mark.parametrize("connections", [1, 4, 16])
async def test_rate_for_each_connection(nginx: Nginx, tmp_path: Path, no_leaks: object, connections: int) -> None:
    """A slow server is waited for: no retry, no byte twice."""
    content = nginx.add("model.bin", 2 * MIB)

    result = await fetch(
        nginx.url("model.bin", rate=512 * KIB), tmp_path / "file", options=small(connections, part_size=PART)
    )

    assert holds(tmp_path / "file", content)
    assert (2 * MIB, 0) == (result.fetched, result.retries)


@pytest.mark.parametrize("connections", [4, 16])
@pytest.mark.parametrize(
    ("http", "server", "statuses", "part"),
    [
        # More than the burst that nginx lets through at once, so that one request is there when the next one comes.
        ("limit_conn_zone $server_port zone=all:1m;", "limit_conn all 2;", {206, 503}, 1280 * KIB),
        (
            "limit_conn_zone $server_port zone=all:1m;",
            "limit_conn all 2; limit_conn_status 429;",
            {206, 429},
            1280 * KIB,
        ),
        (
            "limit_req_zone $server_port zone=all:1m rate=10r/s;",
            "limit_req zone=all burst=2 nodelay;",
            {206, 503},
            PART,
        ),
        ("limit_req_zone $server_port zone=all:1m rate=60r/s;", "limit_req zone=all burst=100;", {206}, PART),
    ],
    ids=["connections 503", "connections 429", "requests 503", "requests delayed"],
)
async def test_limit_that_connections_run_into(
    serve: Serve,
    tmp_path: Path,
    no_leaks: object,
    http: str,
    server: str,
    statuses: set[int],
    part: int,
    connections: int,
) -> None:
    """More connections or requests than the server allows are refused, and the download ends all the same."""
    site = Nginx(serve(NginxServer(http, server)))
    content = site.add("model.bin", SIZE)

    result = await fetch(
        site.url("model.bin", rate=MIB),
        tmp_path / "file",
        options=small(connections, part_size=part),
        retry=INSISTENT,
    )

    assert holds(tmp_path / "file", content)
    assert ["file"] == os.listdir(tmp_path)
    assert SIZE == result.fetched
    seen = Counter(access.status for access in site.requests("model.bin", at_least=result.requests))
    assert statuses == set(seen)
    assert result.retries == seen.total() - seen[206]


async def test_limit_under_the_default_settings(serve: Serve, tmp_path: Path) -> None:
    """Who sets nothing gets through as well: eight connections where two are allowed."""
    http = "limit_conn_zone $server_port zone=all:1m;"
    site = Nginx(serve(NginxServer(http, "limit_conn all 2;")))
    content = site.add("model.bin", 24 * MIB)

    await asyncdl.download(site.url("model.bin", rate=8 * MIB), tmp_path / "file", timeouts=asyncdl.Timeouts(total=150))

    assert holds(tmp_path / "file", content)


def of_few_requests(name: str, most: int = 3) -> Server:
    """A server that closes each connection after so many requests; with 0, after the first."""
    match name:
        case "nginx":
            return NginxServer(f"keepalive_requests {most};" if most else "keepalive_timeout 0;")
        case "apache":
            return Apache(f"KeepAlive On\nMaxKeepAliveRequests {most}" if most else "KeepAlive Off")
        case "lighttpd":
            return Lighttpd(f"server.max-keep-alive-requests = {most}")
        case _:
            raise AssertionError(name)


@pytest.mark.parametrize("connections", [1, 4, 16])
@pytest.mark.parametrize("name", ["nginx", "apache", "lighttpd"])
async def test_connections_closed_after_a_few_requests(
    serve: Serve, tmp_path: Path, no_leaks: object, name: str, connections: int
) -> None:
    """A connection that the server is done with is no fault: a new one, no retry."""
    site = Site(serve(of_few_requests(name)))
    content = site.add("model.bin", SIZE)

    result = await fetch(site.url("model.bin"), tmp_path / "file", options=small(connections, part_size=PART))

    assert holds(tmp_path / "file", content)
    assert (SIZE, 0) == (result.fetched, result.retries)


async def test_few_requests_are_few(serve: Serve, tmp_path: Path) -> None:
    """The server of the test above did close its connections, and they were used before."""
    site = Nginx(serve(NginxServer("keepalive_requests 3;")))
    site.add("model.bin", SIZE)

    result = await fetch(site.url("model.bin"), tmp_path / "file", options=small(4, part_size=PART))

    requests = site.requests("model.bin", at_least=result.requests)
    assert 3 == max(Counter(access.connection for access in requests).values())


@pytest.mark.parametrize("name", ["nginx", "apache", "lighttpd"])
async def test_no_connection_kept_alive(serve: Serve, tmp_path: Path, no_leaks: object, name: str) -> None:
    """One request for each connection works as well."""
    site = Site(serve(of_few_requests(name, 0)))
    content = site.add("model.bin", SIZE)

    result = await fetch(site.url("model.bin"), tmp_path / "file", options=small(4, part_size=PART))

    assert holds(tmp_path / "file", content)
    assert (SIZE, 0) == (result.fetched, result.retries)
