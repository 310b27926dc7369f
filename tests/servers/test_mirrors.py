"""Two real servers of different make that have one file, each with an entity tag of its own."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

import asyncdl
from asyncdl.testing import Content
from tests.servers.conftest import Midway
from tests.support.apache import Apache
from tests.support.flow import KIB, fetch, holds, small
from tests.support.nginx import NginxServer
from tests.support.servers import Serve
from tests.support.site import Server, Site

pytestmark = pytest.mark.server

MIB = 1 << 20
SIZE = 12 * MIB
PART = 256 * KIB
NAME = "model.bin"


@pytest.fixture(params=["nginx", "apache"])
def pair(request: pytest.FixtureRequest, serve: Serve) -> list[Site]:
    """A site on each, either of them first."""
    servers: list[Server] = [serve(NginxServer()), serve(Apache())]
    return [Site(server) for server in (servers if request.param == "nginx" else reversed(servers))]


def offer(sites: list[Site]) -> Content:
    contents = [site.add(NAME, SIZE) for site in sites]
    stamp = sites[0].file(NAME).stat().st_mtime
    for site in sites:
        os.utime(site.file(NAME), (stamp, stamp))
    return contents[0]


def source(sites: list[Site]) -> asyncdl.Mirrors:
    return asyncdl.Mirrors([site.url(NAME) for site in sites])


def served(site: Site, least: int) -> bool:
    """Whether the server's log has so many parts of the file; it may be a little behind."""
    deadline = time.monotonic() + 60
    while (site.server.directory / "access.log").read_text().count('"status":206') < least:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


async def test_both_are_used_with_a_checksum(pair: list[Site], tmp_path: Path, no_leaks: object) -> None:
    """Tags that differ say nothing where the whole is verified."""
    content = offer(pair)

    result = await fetch(
        source(pair), tmp_path / "file", checksum=f"sha256:{content.sha256()}", options=small(part_size=PART)
    )

    assert holds(tmp_path / "file", content)
    assert SIZE == result.fetched
    assert [True, True] == [served(site, 1) for site in pair]


async def test_second_is_not_believed_without_one(
    pair: list[Site], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The same size, the same date, another tag: that could be another file."""
    content = offer(pair)

    result = await fetch(source(pair), tmp_path / "file", options=small(part_size=PART))

    assert holds(tmp_path / "file", content)
    assert SIZE == result.fetched
    assert ["mirror 2"] == [record.getMessage().partition(" (")[0] for record in caplog.records]


async def test_one_is_killed(pair: list[Site], midway: Midway, tmp_path: Path, no_leaks: object) -> None:
    """The other goes on."""
    content = offer(pair)

    result = await midway(
        source(pair),
        tmp_path / "file",
        pair[0].server.process.kill,
        checksum=f"sha256:{content.sha256()}",
        options=small(part_size=PART),
        retry=asyncdl.Retry(base=0.01, cap=0.05),
    )

    assert holds(tmp_path / "file", content)
    assert SIZE == result.fetched


async def test_resumed_under_the_other(pair: list[Site], tmp_path: Path) -> None:
    """With the same checksum, what one server brought is gone on with from the other."""
    content = offer(pair)
    checksum = f"sha256:{content.sha256()}"
    with pytest.raises(asyncdl.DeadlineError):
        await fetch(
            pair[0].url(NAME),
            tmp_path / "file",
            checksum=checksum,
            options=small(1, part_size=PART),
            timeouts=asyncdl.Timeouts(total=0.05),
        )

    result = await fetch(pair[1].url(NAME), tmp_path / "file", checksum=checksum, options=small(part_size=PART))

    assert holds(tmp_path / "file", content)
    assert SIZE == result.fetched + result.resumed
