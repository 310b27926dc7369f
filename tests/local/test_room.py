"""Disks that fill up, limits on files, and the download that goes on when there is room again."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import Path

import pytest

import asyncdl
from asyncdl import writer
from asyncdl.testing import Fault, Origin
from tests.support.flow import PART, absent, fetch, holds, small
from tests.support.mounts import tmpfs
from tests.support.python import run_python

SIZE = 24 * PART + 5


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Room for the object, but not for much beside it."""
    with tmpfs(tmp_path / "small", SIZE + 8 * PART) as mount:
        yield mount


@pytest.fixture
def other_file(small_disk: Path) -> Path:
    """Somebody else's, that leaves room for half of the object."""
    path = small_disk / "other"
    path.write_bytes(b"x" * (20 * PART))
    return path


@pytest.mark.parametrize("checksum", [True, False])
async def test_full_in_mid_download(
    origin: Origin, other_file: Path, monkeypatch: pytest.MonkeyPatch, no_leaks: object, checksum: bool
) -> None:
    """B02: what was durable before the disk was full is gone on with when there is room again."""
    content, dest = origin.add("/object", SIZE), other_file.with_name("file")
    pinned = f"sha256:{content.sha256()}" if checksum else None
    monkeypatch.setattr(writer, "FLUSH_MOST", 2 * PART)

    with pytest.raises(asyncdl.DiskFullError) as caught:
        await fetch(
            origin.url("/object"), dest, checksum=pinned, options=small(1, preallocate=False, check_space=False)
        )
    assert absent(dest)
    assert errno.ENOSPC == caught.value.errno
    other_file.unlink()
    result = await fetch(origin.url("/object"), dest, checksum=pinned)
    await origin.aclose()

    assert holds(dest, content)
    assert ["file"] == [path.name for path in dest.parent.iterdir()]
    assert result.resumed >= 4 * PART
    assert SIZE == result.resumed + result.fetched


async def test_no_room_from_the_start(origin: Origin, other_file: Path, no_leaks: object) -> None:
    """B01: an object that will not fit costs one request, or none; nothing is left, and later it fits."""
    content, dest = origin.add("/object", SIZE), other_file.with_name("file")

    with pytest.raises(asyncdl.DiskFullError):
        await fetch(origin.url("/object"), dest)
    with pytest.raises(asyncdl.DiskFullError):
        await fetch(origin.url("/object"), dest, size=SIZE)
    assert ["other"] == [path.name for path in dest.parent.iterdir()]
    assert 1 == len(origin.ledger.requests)
    other_file.unlink()
    await fetch(origin.url("/object"), dest)
    await origin.aclose()

    assert holds(dest, content)


async def test_no_room_for_the_rest(origin: Origin, small_disk: Path, no_leaks: object) -> None:
    """B01: a resumed download that no longer fits keeps what it has."""
    content, dest = origin.add("/object", SIZE), small_disk / "file"
    options = small(1, preallocate=False)
    origin.script(Fault(start=12 * PART, status=451, times=1))
    with pytest.raises(asyncdl.HttpStatusError):
        await fetch(origin.url("/object"), dest, options=options)
    other = small_disk / "other"
    other.write_bytes(b"x" * (20 * PART))

    with pytest.raises(asyncdl.DiskFullError):
        await fetch(origin.url("/object"), dest)
    other.unlink()
    result = await fetch(origin.url("/object"), dest)
    await origin.aclose()

    assert holds(dest, content)
    assert 12 * PART == result.resumed


async def test_limit_on_files(origin: Origin, tmp_path: Path) -> None:
    """B04, B05: RLIMIT_FSIZE cuts a write short and refuses the next; without it the download goes on from there."""
    content, dest = origin.add("/object", SIZE), tmp_path / "file"
    code = """
        import asyncio, resource, signal, sys, asyncdl
        from asyncdl import writer
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (700_001, 700_001))
        writer.FLUSH_MOST = 100_000
        options = asyncdl.Options(connections=1, part_size=65536, parallel_threshold=0, preallocate=False,
                                  use_environment=False)
        try:
            asyncio.run(asyncdl.download(sys.argv[1], sys.argv[2], options=options))
        except asyncdl.DiskFullError as error:
            print(error.errno)
    """

    said = await run_python(code, origin.url("/object"), dest)
    assert [str(errno.EFBIG)] == said
    assert absent(dest)
    result = await fetch(origin.url("/object"), dest)

    assert holds(dest, content)
    # The writes that were refused were of several parts.
    assert 200_000 < result.resumed <= 700_001
