"""Where the files of a batch go: on a real disk, with links that lead elsewhere."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from asyncdl.errors import OptionsError, StorageError
from asyncdl.model import Checksum, Request
from asyncdl.sources.contract import RemoteFile
from asyncdl.sources.destinations import Destinations
from asyncdl.sources.requests import requests_of


async def test_directories_are_made(tmp_path: Path) -> None:
    """Those on the way, and not the file; in the form that every platform has."""
    destinations = Destinations(tmp_path)

    assert tmp_path / "a/b_/c.bin" == await destinations.claim("a/b:/c.bin")
    assert tmp_path / "a/d.bin" == await destinations.claim("./a//d.bin")
    assert (True, False) == ((tmp_path / "a/b_").is_dir(), (tmp_path / "a/b_/c.bin").exists())


@pytest.mark.parametrize("name", ["../x", "/x", "a/../../x", "C:x", ""])
async def test_names_that_leave(name: str, tmp_path: Path) -> None:
    """They are refused before anything is made."""
    with pytest.raises(OptionsError):
        await Destinations(tmp_path).claim(name)

    assert [] == list(tmp_path.iterdir())


async def test_given_away_once(tmp_path: Path) -> None:
    """In any spelling; and no directory is made for a name that is refused."""
    destinations = Destinations(tmp_path)
    await destinations.claim("a/x")
    for name in ("A//X", "a/x.part", "a/x/y", "a"):
        with pytest.raises(OptionsError):
            await destinations.claim(name)

    assert ["a"] == [path.name for path in tmp_path.rglob("*")]


@pytest.mark.parametrize("way", ["link/x", "link/deep/er/x", "real/link/x"])
async def test_links_that_lead_out(way: str, tmp_path: Path) -> None:
    """Nothing is made behind them, at whatever depth they lie."""
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    (inside / "real").mkdir(parents=True)
    outside.mkdir()
    (inside / "link").symlink_to(outside)
    (inside / "real/link").symlink_to("../../outside")
    with pytest.raises(StorageError, match="leads out of the directory given"):
        await Destinations(inside).claim(way)

    assert [] == list(outside.iterdir())


async def test_links_that_stay(tmp_path: Path) -> None:
    """They are the user's own arrangement, as is a link in the place of the directory itself."""
    (tmp_path / "real/deep").mkdir(parents=True)
    (tmp_path / "real/link").symlink_to("deep")
    (tmp_path / "root").symlink_to("real")

    assert tmp_path / "root/link/x/y" == await Destinations(tmp_path / "root").claim("link/x/y")
    assert (tmp_path / "real/deep/x").is_dir()


@pytest.mark.parametrize("target", ["nowhere", "loop"])
async def test_links_that_lead_nowhere(target: str, tmp_path: Path) -> None:
    """They are no directories."""
    (tmp_path / "loop").symlink_to(target)
    with pytest.raises(StorageError):
        await Destinations(tmp_path).claim("loop/x")


async def test_a_file_in_the_way(tmp_path: Path) -> None:
    """And a directory that is not there at all, which nobody makes by a slip."""
    (tmp_path / "file").write_bytes(b"x")
    with pytest.raises(StorageError, match="is no directory"):
        await Destinations(tmp_path).claim("file/x")
    with pytest.raises(StorageError, match="cannot make the directory"):
        await Destinations(tmp_path / "missing").claim("a/x")

    assert ["file"] == [path.name for path in tmp_path.iterdir()]


class _Listing:
    """A collection of names, that tells how far it was asked."""

    def __init__(self, *names: str) -> None:
        self.names = names
        self.asked = 0
        self.closed = False

    async def files(self) -> AsyncIterator[RemoteFile]:
        try:
            for name in self.names:
                self.asked += 1
                yield RemoteFile(name=name, source=f"https://h/{name}", size=7, checksum=_SUM, headers=(("A", "b"),))
        finally:
            self.closed = True

    async def aclose(self) -> None:
        raise AssertionError


_SUM = Checksum("crc32", bytes(4))


async def test_requests_of_a_collection(tmp_path: Path) -> None:
    """All that the store says goes along; listed as it is asked for."""
    listing = _Listing("a/x", "b", "c")
    requests = requests_of(listing, tmp_path, if_exists="replace")
    first = await anext(requests)
    asked = listing.asked
    rest = [request.dest.name async for request in requests]

    assert Request("https://h/a/x", tmp_path / "a/x", 7, _SUM, (("A", "b"),), "replace") == first
    assert (1, ["b", "c"], True) == (asked, rest, listing.closed)


async def test_files_that_are_refused(tmp_path: Path) -> None:
    """They are told of, one by one, and the others come; without anybody to tell they are errors."""
    told: list[tuple[str, str]] = []
    requests = requests_of(
        _Listing("a", "../b", "A", "c"),
        tmp_path,
        on_refused=lambda file, error: told.append((file.name, type(error).__name__)),
    )
    names = [request.dest.name async for request in requests]
    with pytest.raises(OptionsError):
        [request async for request in requests_of(_Listing("a", "../b"), tmp_path)]

    assert (["a", "c"], [("../b", "OptionsError"), ("A", "OptionsError")]) == (names, told)
