"""A process that dies at each disk call of a download in turn, and one that completes what it left."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from asyncdl.testing import Content, Origin
from tests.kill.doomed import How, Kill
from tests.kill.evidence import look
from tests.kill.lives import KIB, Life, Zygote

#: Some windows, and an end that is no multiple of anything.
SIZE = 320 * KIB + 77
#: More than any of these downloads makes.
_MOST_CALLS = 120


@pytest.fixture
async def zygote() -> AsyncIterator[Zygote]:
    async with Zygote() as process:
        yield process


class Bench:
    """One object, and what a test begins and ends each time."""

    def __init__(self, origin: Origin, zygote: Zygote, folder: Path) -> None:
        self.origin, self.zygote, self.folder = origin, zygote, folder
        self.content = origin.add("/object", SIZE)
        self.dest = folder / "file"

    def life(
        self, *, kill: Kill | None = None, checksum: bool = False, replace: bool = False, small: bool = False
    ) -> Life:
        """One download; `small` if the object is gathered in memory."""
        return Life(
            url=self.origin.url("/object"),
            dest=str(self.dest),
            connections=2,
            chunk_size=(512 if small else 16) * KIB,
            part_size=(512 if small else 64) * KIB,
            flush=64 * KIB,
            checksum=f"sha256:{self.content.sha256()}" if checksum else None,
            if_exists="replace" if replace else "skip",
            kill=kill,
        )

    def clear(self) -> None:
        for path in self.folder.iterdir():
            path.unlink()


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("how", ["half", "after"])
@pytest.mark.parametrize("case", ["fresh", "resumed", "replacing", "another version"])
async def test_every_call(origin: Origin, zygote: Zygote, tmp_path: Path, case: str, how: How) -> None:
    """B27: after it, and with half of it done; nothing is torn, and the next life completes it."""
    bench = Bench(origin, zygote, tmp_path)
    names = set()
    for number in range(1, _MOST_CALLS):
        bench.clear()
        versions, old = await _prepare(bench, case)
        (end,) = await zygote.live(bench.life(kill=Kill(how=how, at=number), checksum=True, replace=old is not None))
        names |= set(end.calls)
        look(bench.dest, versions, old=old)
        if not end.killed:
            break
        (last,) = await zygote.live(bench.life(checksum=number % 2 == 0))

        assert last.outcome in {"downloaded", "skipped"} or old is not None, (number, end, last)
        if last.outcome not in {"downloaded", "skipped"}:  # the old file was still there
            (last,) = await zygote.live(bench.life(replace=True))
        assert versions[-1].first_difference(bench.dest) is None, (number, end)
        assert ["file"] == [path.name for path in tmp_path.iterdir()], (number, end)
    else:
        pytest.fail("no life ended well")

    assert {"create", "note", "write", "sync_data", "sync", "replace", "sync_directory", "unlink"} <= names
    assert number > 25


@pytest.mark.slow
@pytest.mark.parametrize("how", ["half", "after"])
@pytest.mark.parametrize("replace", [False, True])
async def test_every_call_of_a_small_file(
    origin: Origin, zygote: Zygote, tmp_path: Path, replace: bool, how: How
) -> None:
    """B27: the same where there is no journal: what it leaves is not believed, and the next life has it all."""
    bench = Bench(origin, zygote, tmp_path)
    old = Content(99, 1000)
    for number in range(1, _MOST_CALLS):
        bench.clear()
        if replace:
            bench.dest.write_bytes(old.read(0, old.size))
        (end,) = await zygote.live(bench.life(kill=Kill(how=how, at=number), replace=replace, small=True))
        look(bench.dest, [bench.content], old=old if replace else None)
        if not end.killed:
            break
        (last,) = await zygote.live(bench.life(replace=replace, small=number % 2 == 0))

        assert last.outcome in {"downloaded", "skipped"}, (number, end, last)
        assert bench.content.first_difference(bench.dest) is None, (number, end)
        assert ["file"] == [path.name for path in tmp_path.iterdir()], (number, end)
    else:
        pytest.fail("no life ended well")

    assert number > 6


async def _prepare(bench: Bench, case: str) -> tuple[list[Content], Content | None]:
    """What is there before the life that is to die: versions of the object, and an old destination."""
    bench.content = bench.origin.add("/object", SIZE)
    versions = [bench.content]
    if case == "replacing":
        old = Content(99, 1000)
        bench.dest.write_bytes(old.read(0, old.size))
        return versions, old
    if case in {"resumed", "another version"}:
        (end,) = await bench.zygote.live(bench.life(kill=Kill(how="byte", at=SIZE * 2 // 3)))
        assert end.killed
        assert look(bench.dest, versions).claimed > 0
    if case == "another version":
        bench.content = bench.origin.add("/object", SIZE, seed=2)
        versions.append(bench.content)
    return versions, None
