"""A disk that refuses: every fetcher ends, the error says what is wrong, and nothing is tried again."""

from __future__ import annotations

import asyncio
import errno
import os
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import asyncdl
from asyncdl.edge import disk, space
from asyncdl.testing import Origin, origin_process
from tests.support.flow import PART, fetch, holds, small

SIZE = 64 * PART


def fail_at(monkeypatch: pytest.MonkeyPatch, name: str, call: int, code: int) -> list[int]:
    """Let the n-th call of `os.name` for a partial file, and every later one, fail; the list counts the calls."""
    real: Callable[..., object] = getattr(os, name)
    calls: list[int] = []

    def failing(descriptor: int, *arguments: object, **named: object) -> object:
        if not str(Path(f"/proc/self/fd/{descriptor}").readlink()).endswith(".part"):
            return real(descriptor, *arguments, **named)
        calls.append(1)
        if len(calls) >= call:
            raise OSError(code, os.strerror(code))
        return real(descriptor, *arguments, **named)

    monkeypatch.setattr(os, name, failing)
    return calls


@pytest.mark.parametrize("connections", [1, 16])
@pytest.mark.parametrize("nth", [1, 2, 7])
@pytest.mark.parametrize(
    ("code", "error"),
    [
        (errno.ENOSPC, asyncdl.DiskFullError),
        (errno.EDQUOT, asyncdl.DiskFullError),
        (errno.EFBIG, asyncdl.DiskFullError),
        (errno.EIO, asyncdl.StorageError),
        (errno.EROFS, asyncdl.StorageError),
    ],
    ids=["no space", "quota", "too big", "I/O error", "read-only"],
)
async def test_write_that_fails(
    origin: Origin,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    no_leaks: object,
    code: int,
    error: type[asyncdl.StorageError],
    nth: int,
    connections: int,
) -> None:
    """D4: the writer fails at its n-th write, the queue behind it full or not."""
    origin.add("/object", SIZE)
    calls = fail_at(monkeypatch, "pwritev", nth, code)

    with pytest.raises(error) as caught:
        await fetch(origin.url("/object"), tmp_path / "file", options=small(connections, queue_depth=4))
    requests = len(origin.ledger.requests)
    await origin.aclose()

    assert type(caught.value) is error
    assert code == caught.value.errno
    assert os.strerror(code) in str(caught.value)
    assert nth == len(calls)
    assert requests <= SIZE // PART
    assert not (tmp_path / "file").exists()


@pytest.mark.parametrize(
    ("call", "code", "error"),
    [
        ("fsync", errno.EIO, asyncdl.StorageError),
        ("ftruncate", errno.EIO, asyncdl.StorageError),
    ],
)
async def test_call_that_fails(
    origin: Origin,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    no_leaks: object,
    call: str,
    code: int,
    error: type[asyncdl.StorageError],
) -> None:
    """D4: whatever the system refuses is raised once and believed."""
    origin.add("/object", SIZE)
    calls = fail_at(monkeypatch, call, 1, code)

    with pytest.raises(error):
        await fetch(origin.url("/object"), tmp_path / "file")
    await origin.aclose()

    assert 1 == len(calls)
    assert not (tmp_path / "file").exists()


async def test_no_space_is_found_before_the_first_request(origin: Origin, tmp_path: Path) -> None:
    """B01: with the size known the space is taken before the network is touched; a file too large says so."""
    with pytest.raises(asyncdl.StorageError):
        await fetch(origin.url("/object"), tmp_path / "file", size=2**62)

    assert [] == origin.ledger.requests
    assert [] == os.listdir(tmp_path)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MiB; mounting it takes root."""
    if os.geteuid() != 0:
        pytest.skip("mounting a tmpfs takes root")
    mount = tmp_path / "mount"
    mount.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(mount)], capture_output=True, timeout=60, check=False
    )
    if done.returncode:
        pytest.skip(f"cannot mount a tmpfs: {done.stderr.decode().strip()}")
    yield mount
    subprocess.run(["umount", "-l", str(mount)], timeout=60, check=True)


@pytest.mark.parametrize("preallocate", [True, False], ids=["reserved", "not reserved"])
@pytest.mark.parametrize("known", [True, False], ids=["size known", "size unknown"])
async def test_full_disk(origin: Origin, small_disk: Path, no_leaks: object, known: bool, preallocate: bool) -> None:
    """D4: a real disk that fills up in mid-download, or is seen to be too small before it."""
    origin.add("/object", SIZE)

    with pytest.raises(asyncdl.DiskFullError, match="No space left") as caught:
        await fetch(
            origin.url("/object"),
            small_disk / "file",
            size=SIZE if known else None,
            options=small(16, preallocate=preallocate),
        )
    requests = len(origin.ledger.requests)
    await origin.aclose()

    assert errno.ENOSPC == caught.value.errno
    assert not (small_disk / "file").exists()
    if preallocate:
        assert (0 if known else 1) == requests
        assert [] == os.listdir(small_disk)


@pytest.mark.parametrize("known", [True, False], ids=["size known", "size unknown"])
@pytest.mark.parametrize("answer", [0, errno.ENOSPC], ids=["room", "no room"])
async def test_requests_do_not_wait_for_the_space(
    origin: Origin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_leaks: object, known: bool, answer: int
) -> None:
    """While the space is being taken all connections ask for their parts; nothing is written before it is there."""
    content = origin.add("/object", SIZE)
    asked, go_on = threading.Event(), threading.Event()

    def slow(descriptor: int, size: int) -> int:
        asked.set()
        assert go_on.wait(30)
        return answer or space.fallocate(descriptor, size)

    monkeypatch.setattr(disk, "fallocate", slow)
    downloading = asyncio.create_task(
        fetch(origin.url("/object"), tmp_path / "file", size=SIZE if known else None, options=small(4))
    )
    await origin.ledger.until(lambda: len(origin.ledger.data_requests()) >= 4)
    assert await asyncio.to_thread(asked.wait, 30)
    written = (tmp_path / "file.part").stat().st_size
    go_on.set()

    assert 0 == written
    if answer:
        with pytest.raises(asyncdl.DiskFullError):
            await downloading
        assert [] == os.listdir(tmp_path)
    else:
        await downloading
        assert holds(tmp_path / "file", content)
    await origin.aclose()


async def test_file_size_limit(tmp_path: Path) -> None:
    """D4: RLIMIT_FSIZE gives short writes and then EFBIG, in a process of its own."""
    code = """
        import asyncio, resource, signal, sys, asyncdl
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_001, 300_001))
        options = asyncdl.Options(connections=4, part_size=65536, parallel_threshold=0, preallocate=False)
        try:
            asyncio.run(asyncdl.download(sys.argv[1], sys.argv[2], options=options))
        except asyncdl.DiskFullError as error:
            print(error.errno)
    """
    async with origin_process(size=SIZE) as origin:
        ended = subprocess.run(  # the origin is a process of its own
            [sys.executable, "-c", textwrap.dedent(code), origin.url, str(tmp_path / "file")],
            capture_output=True,
            timeout=120,
            check=True,
        )

    assert [str(errno.EFBIG)] == ended.stdout.decode().split()
    assert not (tmp_path / "file").exists()
