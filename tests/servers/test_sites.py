"""Plain files from every real server: any number of connections, any size, any name, the very bytes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.apache import Apache
from tests.support.flow import KIB, fetch, holds, small
from tests.support.lighttpd import Lighttpd
from tests.support.nginx import NginxServer
from tests.support.servers import PLAIN, PROXIED, Serve, Sites
from tests.support.site import Server, Site

pytestmark = pytest.mark.server

MIB = 1 << 20
SIZE = 8 * MIB + 12_345
WIDE = 512 * KIB
NAMES = {
    "spaces": "with spaces and + plus.bin",
    "percent": "percent %2F and %20 literally.bin",
    "unicode": "größe 模型 ключ.bin",
    "delimiters": "a=b&c;d~e!f'(g)*h,i@j$k.bin",
    "query": "question? #hash [brackets] {braces} |pipe^.bin",
    "quotes": "quote\" 'single' `back` \\slash <tag>.bin",
    "dots": "...dots..bin.",
    "long": "n" * 200 + ".bin",
}
each_server = pytest.mark.parametrize("server", [*PLAIN, PROXIED])


@pytest.mark.parametrize("connections", [1, 4, 16])
@each_server
async def test_file(sites: Sites, tmp_path: Path, no_leaks: object, server: str, connections: int) -> None:
    """The bytes are the object's, each asked for once; where ranges are not served, one stream brings them."""
    site = sites(server)
    content = site.add("model.bin", SIZE)

    result = await fetch(site.url("model.bin"), tmp_path / "file", options=small(connections, part_size=WIDE))

    assert holds(tmp_path / "file", content)
    assert ["file"] == os.listdir(tmp_path)
    assert (SIZE, SIZE, 0) == (result.size, result.fetched, result.retries)
    # Idle fetchers may take the end of another's part over, which is a request more.
    ranges = server != "http.server"
    assert result.requests >= -(-SIZE // WIDE) if ranges else result.requests == 1


@pytest.mark.parametrize("known", [True, False], ids=["size known", "size unknown"])
@pytest.mark.parametrize("size", [0, 1])
@each_server
async def test_next_to_nothing(
    sites: Sites, tmp_path: Path, no_leaks: object, server: str, size: int, known: bool
) -> None:
    """An empty file and one of a single byte, neither of which can be cut."""
    site = sites(server)
    content = site.add("tiny.bin", size)

    result = await fetch(site.url("tiny.bin"), tmp_path / "file", size=size if known else None, options=small(16))

    assert holds(tmp_path / "file", content)
    assert (1, 0) == (result.requests, result.retries)


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES.keys())
@each_server
async def test_name(sites: Sites, tmp_path: Path, server: str, name: str) -> None:
    """A percent-encoded path goes out as it is and names that very file."""
    site = sites(server)
    site.add("other.bin", 300_000, seed=2)
    content = site.add(name, 300_000)

    await fetch(site.url(name), tmp_path / "file")

    assert holds(tmp_path / "file", content)


@pytest.mark.parametrize("known", [True, False], ids=["size known", "size unknown"])
@each_server
async def test_file_that_is_there_already(sites: Sites, tmp_path: Path, server: str, known: bool) -> None:
    """What is there already is compared with what the server says of its size."""
    site = sites(server)
    content = site.add("model.bin", MIB)
    (tmp_path / "file").write_bytes(content.read(0, MIB))

    result = await fetch(site.url("model.bin"), tmp_path / "file", size=MIB if known else None)

    assert "skipped" == result.outcome.value
    assert holds(tmp_path / "file", content)


def without_ranges(name: str) -> Server:
    """A server that serves ranges and was told not to."""
    match name:
        case "nginx":
            return NginxServer(server="max_ranges 0;")
        case "apache":
            return Apache("MaxRanges none")
        case "lighttpd":
            return Lighttpd('server.range-requests = "disable"')
        case _:
            raise AssertionError(name)


@pytest.mark.parametrize("known", [True, False], ids=["size known", "size unknown"])
@pytest.mark.parametrize("name", ["nginx", "apache", "lighttpd"])
async def test_ranges_switched_off(serve: Serve, tmp_path: Path, no_leaks: object, name: str, known: bool) -> None:
    """The whole object in one answer to a range is the download, however many connections were wanted."""
    site = Site(serve(without_ranges(name)))
    content = site.add("model.bin", SIZE)

    result = await fetch(
        site.url("model.bin"), tmp_path / "file", size=SIZE if known else None, options=small(16, part_size=WIDE)
    )

    assert holds(tmp_path / "file", content)
    assert SIZE == result.size
    if not known:
        assert (1, SIZE) == (result.requests, result.fetched)
