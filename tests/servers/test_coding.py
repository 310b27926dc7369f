"""Real servers eager to compress, to send in chunks, or to pass files through filters: the bytes are the object's."""

from __future__ import annotations

import gzip
import http.client
import os
from pathlib import Path
from urllib.parse import urlsplit

import pytest

import asyncdl
from tests.support.apache import Apache
from tests.support.caddy import Caddy
from tests.support.flow import KIB, fetch, holds, small
from tests.support.lighttpd import Lighttpd
from tests.support.nginx import NginxServer
from tests.support.servers import Serve
from tests.support.site import Server, Site

pytestmark = pytest.mark.server

MIB = 1 << 20
SIZE = 5 * MIB
OPTIONS = small(4, part_size=256 * KIB)


def eager(name: str) -> Server:
    """A server that compresses for everybody who lets it."""
    match name:
        case "nginx":
            return NginxServer("gzip on; gzip_types *; gzip_min_length 1; gzip_vary on; gzip_proxied any;")
        case "apache":
            return Apache("SetOutputFilter DEFLATE", ["deflate", "filter"])
        case "lighttpd":
            directives = 'deflate.allowed-encodings = ("gzip")\ndeflate.mimetypes = ("")\ndeflate.max-compress-size = 0'
            return Lighttpd(directives, ["mod_deflate"])
        case "caddy":
            return Caddy(directives="encode {\n gzip\n minimum_length 1\n match {\n header Content-Type *\n }\n }")
        case _:
            raise AssertionError(name)


def ask(url: str, **headers: str) -> http.client.HTTPResponse:
    """The answer to a plain request; its body is not read."""
    split = urlsplit(url)
    assert split.hostname is not None
    connection = http.client.HTTPConnection(split.hostname, split.port, timeout=60)
    try:
        connection.request("GET", split.path, headers=headers)
        response = connection.getresponse()
        response.close()
        return response
    finally:
        connection.close()


@pytest.mark.parametrize("connections", [1, 4, 16])
@pytest.mark.parametrize("name", ["nginx", "apache", "lighttpd", "caddy"])
async def test_server_that_likes_to_compress(
    serve: Serve, tmp_path: Path, no_leaks: object, name: str, connections: int
) -> None:
    """Asked for the plain bytes, it sends them, in ranges."""
    site = Site(serve(eager(name)))
    content = site.add("model.txt", SIZE)
    compressed = ask(site.url("model.txt"), **{"Accept-Encoding": "gzip"})

    result = await fetch(site.url("model.txt"), tmp_path / "file", options=small(connections, part_size=256 * KIB))

    assert "gzip" == compressed.headers["Content-Encoding"]
    assert holds(tmp_path / "file", content)
    assert (SIZE, 0) == (result.fetched, result.retries)
    assert result.requests >= SIZE // (256 * KIB)


def insistent(name: str) -> Server:
    """A server that compresses whatever it is asked for."""
    if name == "apache":
        return Apache("SetOutputFilter DEFLATE\nSetEnv force-gzip 1", ["deflate", "filter", "env"])
    return NginxServer("gzip_static always;")


@pytest.mark.parametrize("name", ["apache", "nginx"])
async def test_server_that_insists_on_compressing(serve: Serve, tmp_path: Path, no_leaks: object, name: str) -> None:
    """What was not asked for is not decoded, nor taken for the object."""
    site = Site(serve(insistent(name)))
    content = site.add("model.txt", MIB)
    site.file("model.txt.gz").write_bytes(gzip.compress(content.read(0, MIB), 1))

    with pytest.raises(asyncdl.ResponseMismatchError, match="encoded the body"):
        await fetch(site.url("model.txt"), tmp_path / "file", options=OPTIONS)

    assert [] == os.listdir(tmp_path)


@pytest.mark.parametrize("known", [True, False], ids=["size known", "size unknown"])
@pytest.mark.parametrize("name", ["nginx", "apache"])
async def test_filter_that_takes_length_and_ranges_away(
    serve: Serve, tmp_path: Path, no_leaks: object, name: str, known: bool
) -> None:
    """A filter over the body leaves chunks of unknown length and no ranges: one stream, to its end."""
    server: Server
    if name == "nginx":
        server = NginxServer(server="sub_filter 'no such words anywhere' ''; sub_filter_types *;")
    else:
        server = Apache(
            '<Directory />\nSetOutputFilter SUBSTITUTE\nSubstitute "s/no such words anywhere//n"\n</Directory>',
            ["substitute"],
        )
    site = Site(serve(server))
    content = site.add("model.txt", SIZE)
    plain = ask(site.url("model.txt"))

    result = await fetch(site.url("model.txt"), tmp_path / "file", size=SIZE if known else None, options=OPTIONS)

    assert "chunked" == plain.headers["Transfer-Encoding"]
    assert holds(tmp_path / "file", content)
    assert SIZE == result.size
