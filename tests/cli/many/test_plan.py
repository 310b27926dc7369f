"""From a list to requests, in this process: what a long list costs, and how late its rows are taken."""

from __future__ import annotations

import asyncio
import tracemalloc
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from asyncdl.cli import arguments
from asyncdl.cli.many.items import Item, Refused
from asyncdl.cli.many.plan import Plan
from asyncdl.model import Checksum
from tests.support.leaks import Snapshot
from tests.support.python import run_python


@asynccontextmanager
async def _plan(folder: Path, *argv: str) -> AsyncGenerator[tuple[AsyncGenerator[Item, None], list[str]], None]:
    """The items of a command line, and what was refused."""
    refused: list[str] = []

    async def refuse(subject: Refused, error: Exception) -> None:
        refused.append(f"{subject.place}: {error}")

    asked = await asyncio.to_thread(arguments.parse, [*argv, "-d", str(folder)], {})
    plan = Plan(asked, directory=folder, refuse=refuse, note=refused.append)
    items = plan.items()
    yield items, refused
    await items.aclose()
    await plan.aclose()


async def test_what_a_row_becomes(tmp_path: Path, no_leaks: Snapshot) -> None:
    """Everything that it says, and what the command line says for all; a query is in no repr."""
    (tmp_path / "list").write_text(
        f"https://h/x?sig=hunter2secret\n out=a/b\n checksum=md5={'0f' * 16}\n header=X-A: hunter2secret\n"
        f" dir={tmp_path}/sub\nhttps://h/y\n dir={tmp_path}\nhttps://h/z\n dir={tmp_path.parent}/other\n"
    )
    async with _plan(tmp_path, "-i", str(tmp_path / "list"), "-H", "X-B: c") as (items, refused):
        first, second = [item async for item in items]

    assert (tmp_path / "sub/a/b", tmp_path / "y") == (first.path, second.path)
    assert (("X-B", "c"), ("X-A", "hunter2secret")) == first.request.headers
    assert Checksum.parse("md5:" + "0f" * 16) == first.request.checksum == first.checksum
    assert ("https://h/x?…", 1, "skip") == (first.url, first.line, first.request.if_exists)
    assert [f"{tmp_path}/list: line 8: its dir is not below the directory given with -d"] == refused
    assert "hunter2secret" not in repr(first).replace(repr(first.source), "")


async def test_rows_are_taken_late(tmp_path: Path, no_leaks: Snapshot) -> None:
    """No directory is made for a row that nobody has asked for."""
    (tmp_path / "list").write_text("".join(f"https://h/{number}\n out={number}/x\n" for number in range(1000)))
    async with _plan(tmp_path, "-i", str(tmp_path / "list")) as (items, _):
        await anext(items)
        await anext(items)
        made = sorted(path.name for path in tmp_path.iterdir() if path.is_dir())

    assert ["0", "1"] == made


async def test_a_long_list_costs_its_names_only(tmp_path: Path, no_leaks: Snapshot) -> None:
    """And no row is kept: what is held hardly grows any more."""
    count = 8_000
    (tmp_path / "list").write_text("".join(f"https://host/{number}.bin?sig={number}\n" for number in range(count)))
    async with _plan(tmp_path, "-i", str(tmp_path / "list")) as (items, refused):
        tracemalloc.start()
        try:
            held = []
            seen = 0
            async for _ in items:
                seen += 1
                if seen % (count // 2) == 0:
                    held.append(tracemalloc.get_traced_memory()[0])
        finally:
            tracemalloc.stop()

    assert (count, []) == (seen, refused)
    # Python's own table of path components grows in steps; a row that was kept would cost 500 bytes.
    assert held[1] - held[0] < count // 2 * 150


@pytest.mark.slow
async def test_very_many_rows() -> None:
    """Read in a process of its own, which is no larger after them than after the first thousand."""
    (grown,) = await run_python(
        """
        import resource
        from asyncdl.rules.lists.formats import read
        def size():
            return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

        rows = read(f"https://host/{number}.bin?sig={number}\\n" for number in range(200_000))
        for _ in range(1000):
            next(rows)
        before = size()
        assert 199_000 == sum(1 for _ in rows)
        print(size() - before)
        """
    )

    assert 1024 >= int(grown)
