"""Destinations that cannot be one, names at the edge of what is possible, and who may read what is made there."""

from __future__ import annotations

import errno
import os
import socket
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import asyncdl
from asyncdl.edge.opening import Names
from asyncdl.testing import Fault, Origin
from tests.support.flow import PART, fetch, holds, small
from tests.support.mounts import read_only
from tests.support.partfiles import mode_of
from tests.support.python import run_python

SIZE = 12 * PART


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(path))


@pytest.mark.parametrize("if_exists", ["skip", "replace", "error"])
@pytest.mark.parametrize(
    "make",
    [
        Path.mkdir,
        os.mkfifo,
        _socket,
        lambda path: path.symlink_to("elsewhere"),
        lambda path: (path.with_name("elsewhere").write_bytes(b"precious"), path.symlink_to("elsewhere")),
    ],
    ids=["directory", "FIFO", "socket", "dangling link", "link"],
)
async def test_no_file(
    origin: Origin,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    no_leaks: object,
    make: Callable[[Path], object],
    if_exists: asyncdl.model.IfExists,
) -> None:
    """B11, B12, B13: refused before the network is touched; it stays what it was, and nothing is put beside it."""
    origin.add("/object", SIZE)
    make(tmp_path / "file")
    before = sorted((name, (tmp_path / name).lstat().st_mode) for name in os.listdir(tmp_path))

    with pytest.raises(asyncdl.StorageError):
        await fetch(origin.url("/object"), tmp_path / "file", if_exists=if_exists)
    await origin.aclose()

    assert [] == origin.ledger.requests
    assert before == sorted((name, (tmp_path / name).lstat().st_mode) for name in os.listdir(tmp_path))


@pytest.mark.parametrize("dest", ["missing/file", "file/file", "a/b/c/d/file"])
async def test_no_directory(origin: Origin, tmp_path: Path, dest: str) -> None:
    """B11: a parent that is missing, or a file, is refused before the network is touched."""
    (tmp_path / "file").write_bytes(b"precious")

    with pytest.raises(asyncdl.StorageError):
        await fetch(origin.url("/object"), tmp_path / dest)

    assert [] == origin.ledger.requests
    assert ["file"] == os.listdir(tmp_path)


async def test_swapped_for_a_link(origin: Origin, tmp_path: Path, may_block: object) -> None:
    """B12: a link that takes the name in mid-download is refused, what it leads to left alone, the bytes kept."""
    content = origin.add("/object", SIZE)
    (tmp_path / "victim").write_bytes(b"precious")
    dest = tmp_path / "file"

    def swap(progress: asyncdl.Progress) -> None:
        if progress.done and not dest.is_symlink():
            dest.symlink_to("victim")

    origin.rate = 8.0 * PART
    with pytest.raises(asyncdl.StorageError):
        await fetch(origin.url("/object"), dest, on_progress=swap, if_exists="replace")
    dest.unlink()
    result = await fetch(origin.url("/object"), dest)

    assert holds(dest, content)
    assert b"precious" == (tmp_path / "victim").read_bytes()
    assert 0 == result.fetched


@pytest.mark.parametrize("begun", [True, False])
async def test_read_only_file_system(origin: Origin, tmp_path: Path, no_leaks: object, begun: bool) -> None:
    """B14: refused before the network is touched; what was begun before it became so is gone on with after that."""
    content, source = origin.add("/object", SIZE), tmp_path / "source"
    source.mkdir()
    if begun:
        await _begin(origin, source / "file")
    requests = len(origin.ledger.requests)
    with read_only(source, tmp_path / "mount") as mount, pytest.raises(asyncdl.StorageError) as caught:
        await fetch(origin.url("/object"), mount / "file")
    asked = len(origin.ledger.requests) - requests
    result = await fetch(origin.url("/object"), source / "file")
    await origin.aclose()

    assert errno.EROFS == caught.value.errno
    assert 0 == asked
    assert holds(source / "file", content)
    assert (8 * PART if begun else 0) == result.resumed


async def _begin(origin: Origin, dest: Path) -> None:
    """Eight parts of twelve."""
    origin.script(Fault(start=8 * PART, status=451, times=1))
    with pytest.raises(asyncdl.HttpStatusError):
        await fetch(origin.url("/object"), dest, options=small(1))


@pytest.mark.parametrize(
    "name",
    ["n" * 250, "n" * 255, "é" * 127, "a\nb", "a\udcff\udcfe", " ", "...", "-rf", "con", "a. ", "*?<>|", "~"],
    ids=ascii,
)
async def test_names(origin: Origin, tmp_path: Path, name: str) -> None:
    """B32: whatever the file system takes for a name, the files beside it have room for theirs, and it is resumed."""
    content = origin.add("/object", SIZE)
    await _begin(origin, tmp_path / name)
    beside = os.listdir(tmp_path)
    result = await fetch(origin.url("/object"), tmp_path / name)

    assert 2 == len(beside)
    assert all(len(os.fsencode(each)) <= 255 for each in beside)
    assert holds(tmp_path / name, content)
    assert [name] == os.listdir(tmp_path)
    assert 8 * PART == result.resumed


@pytest.mark.parametrize("name", ["n" * 256, "é" * 128, "a\0b", "\ud800", "a/"], ids=ascii)
async def test_impossible_names(origin: Origin, tmp_path: Path, name: str) -> None:
    """B32: refused before the network is touched, in words that can be printed."""
    with pytest.raises(asyncdl.AsyncdlError) as caught:
        await fetch(origin.url("/object"), f"{tmp_path}/{name}")

    assert str(caught.value).encode()
    assert [] == origin.ledger.requests
    assert [] == os.listdir(tmp_path)


@pytest.fixture
def mask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o027, 0o077], indirect=True, ids=oct)
@pytest.mark.parametrize("old", [None, 0o600, 0o644, 0o666], ids=["new", "0600", "0644", "0666"])
async def test_modes_of_a_resumed_one(
    origin: Origin, tmp_path: Path, may_block: object, mask: int, old: int | None
) -> None:
    """B33: private while it is partial, then as the umask of the last run has it, or as the file it replaces."""
    origin.add("/object", SIZE)
    dest = tmp_path / "file"
    if old is not None:
        dest.write_bytes(b"old")
        dest.chmod(old)
    origin.script(Fault(start=8 * PART, status=451, times=1))
    with pytest.raises(asyncdl.HttpStatusError):
        await fetch(origin.url("/object"), dest, options=small(1), if_exists="replace")
    partial = [mode_of(path) for path in (Names.of(dest).part, Names.of(dest).journal)]
    seen: set[int] = set()

    def look(progress: asyncdl.Progress) -> None:
        if Names.of(dest).part.exists():
            seen.add(mode_of(Names.of(dest).part))

    origin.rate = 16.0 * PART
    await fetch(origin.url("/object"), dest, if_exists="replace", on_progress=look, options=small(1))

    assert [0o600, 0o600] == partial
    assert {0o600} == seen
    assert (0o666 & ~mask if old is None else old) == mode_of(dest)


@pytest.mark.parametrize("begun", [True, False])
async def test_directory_of_a_group(origin: Origin, tmp_path: Path, begun: bool) -> None:
    """B33: in a set-group-ID directory all files are the group's, the finished one without that bit."""
    if os.geteuid() != 0:
        pytest.skip("only root may give a directory to any group")
    origin.add("/object", SIZE)
    os.chown(tmp_path, -1, 65534)
    tmp_path.chmod(0o2775)
    dest = tmp_path / "file"
    if begun:
        await _begin(origin, dest)
        assert {65534} == {path.stat().st_gid for path in tmp_path.iterdir()}
    await fetch(origin.url("/object"), dest)

    assert 65534 == dest.stat().st_gid
    assert not dest.stat().st_mode & (stat.S_ISGID | stat.S_ISUID)


async def test_read_only_directory(origin: Origin, tmp_path: Path) -> None:
    """B14: a user who may not write in the directory is refused before the network is touched."""
    (tmp_path / "closed").mkdir(mode=0o555)
    origin.add("/object", SIZE)
    code = """
        import asyncio, os, sys, asyncdl
        options = asyncdl.Options(use_environment=False)
        # Once with permission, so that everything is loaded before the rights are gone.
        asyncio.run(asyncdl.download(sys.argv[1], "open", options=options))
        if os.geteuid() == 0:
            os.setgid(65534)
            os.setuid(65534)
        try:
            asyncio.run(asyncdl.download(sys.argv[1], "closed/file", options=options))
        except asyncdl.StorageError as error:
            print(error.errno)
    """

    said = await run_python(code, origin.url("/object"), cwd=tmp_path)

    assert [str(errno.EACCES)] == said
    assert 1 == len(origin.ledger.requests)
    assert [] == os.listdir(tmp_path / "closed")
