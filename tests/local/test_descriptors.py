"""Fewer descriptors than connections: fewer connections then, and the file is not lost for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from asyncdl.testing import Origin
from tests.support.flow import PART, absent, fetch, holds
from tests.support.python import run_python

SIZE = 64 * PART + 3
#: Lets a process open so many descriptors more than it has, and downloads over 32 connections.
_CODE = """
    import asyncio, os, resource, sys, asyncdl, asyncdl.calls
    url, dest, more = sys.argv[1:]
    async def main():
        limit = len(os.listdir("/proc/self/fd")) - 1 + int(more)
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
        options = asyncdl.Options(connections=32, first_connections=32, part_size=65536, parallel_threshold=0,
                                  chunk_size=16384, use_environment=False)
        retry = asyncdl.Retry(base=0.01, cap=0.1)
        try:
            result = await asyncdl.download(url, dest, options=options, retry=retry)
        except asyncdl.AsyncdlError as error:
            print(error.code, error)
        else:
            print(result.outcome.value, result.fetched)
    asyncio.run(main())
"""


@pytest.fixture(autouse=True)
def _proc() -> None:
    if not Path("/proc/self/fd").exists():
        pytest.skip("without /proc nobody knows how many descriptors are open")


@pytest.mark.parametrize("more", [4, 8, 16, 24])
async def test_fewer_than_connections(origin: Origin, tmp_path: Path, more: int) -> None:
    """B35: as many connections as can be had bring the whole file, each byte once, in one run."""
    content = origin.add("/object", SIZE)

    said = await run_python(_CODE, origin.url("/object"), tmp_path / "file", more)

    assert [f"downloaded {SIZE}"] == said
    assert holds(tmp_path / "file", content)
    assert origin.ledger.max_open < more


@pytest.mark.parametrize("more", [0, 1, 2, 3, 5, 9, 17])
async def test_what_came_is_kept(origin: Origin, tmp_path: Path, more: int) -> None:
    """B35: however few, the error has its type, the destination is never torn, and the next run is right."""
    content, dest = origin.add("/object", SIZE), tmp_path / "file"

    (said,) = await run_python(_CODE, origin.url("/object"), dest, more)
    assert said.startswith(("storage ", "connect ", "downloaded "))
    assert absent(dest) or holds(dest, content)
    if said.startswith(("storage", "connect")):
        assert "Too many open files" in said
    sent = origin.ledger.bytes_sent()
    result = await fetch(origin.url("/object"), dest)

    assert holds(dest, content)
    assert ["file"] == [path.name for path in tmp_path.iterdir()]
    # A head alone is some hundred bytes; of what came with it the last chunk of each connection may be lost.
    if not said.startswith("downloaded"):
        assert (sent >= 4 * PART) <= (result.resumed > 0)
    if sent >= SIZE:
        assert 0 == result.fetched
