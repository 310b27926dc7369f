"""Lists read in a thread: files and pipes, whole or in crumbs, and an end to it at any moment."""

from __future__ import annotations

import asyncio
import gzip
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import pytest

from asyncdl.cli.many.feed import feed
from asyncdl.errors import OptionsError, StorageError
from tests.support.leaks import Snapshot

_WITHIN = 100.0


def _as_they_are(lines: Iterator[str]) -> Iterator[str]:
    return lines


async def _all(path: object) -> list[str]:
    async with asyncio.timeout(_WITHIN):
        return [line async for line in feed(str(path), _as_they_are)]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", []),
        (b"a", ["a"]),
        (b"a\nb\n", ["a\n", "b\n"]),
        (b"a\r\n\r\nb", ["a\r\n", "\r\n", "b"]),
        (b"\xef\xbb\xbfa\n\xef\xbb\xbfb", ["a\n", "\ufeffb"]),
        ("ä\x0bx\u2028y\n".encode(), ["ä\x0bx\u2028y\n"]),
        (b"\xff\n", ["\udcff\n"]),
    ],
)
async def test_lines(data: bytes, expected: list[str], tmp_path: Path) -> None:
    """They keep their ends; only line feeds end one; a byte order mark is no part of the first."""
    (tmp_path / "list").write_bytes(data)

    assert expected == await _all(tmp_path / "list")


@pytest.mark.parametrize("members", [1, 3])
async def test_compressed(members: int, tmp_path: Path, no_leaks: Snapshot) -> None:
    """As gzip writes it, and as it adds to it; more lines than fit in one block or group."""
    lines = [f"{number}\n" for number in range(30_000)]
    (tmp_path / "list").write_bytes(gzip.compress("".join(lines).encode()) * members)

    assert lines * members == await _all(tmp_path / "list")


@pytest.mark.parametrize(("cut", "words"), [(slice(0, -9), "cut off"), (slice(0, 3), "cut off"), (None, "damaged")])
async def test_compressed_and_broken(cut: slice | None, words: str, tmp_path: Path) -> None:
    """It is told, and not taken for the end."""
    data = gzip.compress("".join(f"{number}\n" for number in range(10_000)).encode())
    broken = data[cut] if cut else data[:4000] + bytes(20) + data[4020:]
    (tmp_path / "list").write_bytes(broken)
    with pytest.raises(OptionsError, match=words):
        await _all(tmp_path / "list")


async def test_a_bomb_is_read_in_pieces(tmp_path: Path) -> None:
    """A few kilobytes that stand for a line without end."""
    (tmp_path / "list").write_bytes(gzip.compress(bytes(64 << 20), 1))
    with pytest.raises(OptionsError, match="line 1 is longer than 1 MiB"):
        await _all(tmp_path / "list")


@pytest.mark.parametrize("data", [b"a\n" + b"x" * (1 << 21), b"a\n" + b"x" * ((1 << 20) + 1) + b"\nb\n"])
async def test_a_line_without_end(data: bytes, tmp_path: Path, no_leaks: Snapshot) -> None:
    """Something that is no list; what came before it has been handed out."""
    (tmp_path / "list").write_bytes(data)
    rows = feed(str(tmp_path / "list"), _as_they_are)

    assert "a\n" == await anext(rows)
    with pytest.raises(OptionsError, match="line 2 is longer than 1 MiB"):
        await anext(rows)


async def test_no_list(tmp_path: Path, no_leaks: Snapshot) -> None:
    """What cannot be opened is a slip, what cannot be read is the disk's."""
    with pytest.raises(OptionsError, match="cannot be read: No such file"):
        await _all(tmp_path / "missing")
    with pytest.raises(StorageError, match="cannot be read: Is a directory"):
        await _all(tmp_path)


async def test_what_the_reader_raises(tmp_path: Path, no_leaks: Snapshot) -> None:
    """It comes after the rows before it."""
    (tmp_path / "list").write_text("".join(f"{number}\n" for number in range(1000)))

    def read(lines: Iterator[str]) -> Iterator[str]:
        for line in lines:
            if line == "700\n":
                raise ZeroDivisionError(line)
            yield line

    rows = feed(str(tmp_path / "list"), read)

    assert [f"{number}\n" for number in range(700)] == [await anext(rows) for _ in range(700)]
    with pytest.raises(ZeroDivisionError):
        await anext(rows)


@asynccontextmanager
async def _pipe() -> AsyncIterator[tuple[str, int]]:
    """A path to read from, and the descriptor to write to."""
    ours, theirs = os.pipe()
    try:
        yield f"/dev/fd/{ours}", theirs
    finally:
        os.close(ours)
        os.close(theirs)


async def test_rows_come_as_they_are_written(no_leaks: Snapshot) -> None:
    """Nobody waits for the pipe to be closed, for a block, or for a group to be full."""
    async with _pipe() as (path, theirs), aclosing(feed(path, _as_they_are)) as rows, asyncio.timeout(_WITHIN):
        for number in range(5):
            os.write(theirs, f"{number}\n".encode())

            assert f"{number}\n" == await anext(rows)


async def test_ended_while_the_pipe_is_silent(no_leaks: Snapshot) -> None:
    """The thread does not stay inside the read."""
    async with _pipe() as (path, theirs):
        rows = feed(path, _as_they_are)
        os.write(theirs, b"a\nhalf of")
        async with asyncio.timeout(_WITHIN):
            await anext(rows)
            waiting = asyncio.ensure_future(anext(rows))
            await asyncio.sleep(0)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            await rows.aclose()


async def test_no_more_is_read_than_was_asked_for(tmp_path: Path, no_leaks: Snapshot) -> None:
    """Some groups ahead, and no further, however long the list is; and it may be left there."""
    (tmp_path / "list").write_bytes(b"x\n" * 100_000)
    taken = 0

    def read(lines: Iterator[str]) -> Iterator[str]:
        nonlocal taken
        for line in lines:
            taken += 1
            yield line

    rows = feed(str(tmp_path / "list"), read)
    await anext(rows)
    await rows.aclose()

    assert 64 <= taken <= 64 * 6
