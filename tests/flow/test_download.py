"""Whole downloads from a well-behaved origin: every size, every way to begin, and what the result says."""

from __future__ import annotations

import asyncio
import os
import stat
from pathlib import Path

import aiohttp
import pytest

import asyncdl
from asyncdl.testing import Fault, Origin
from tests.support.flow import KIB, PART, fetch, holds, small

SIZES = [0, 1, 2, PART - 1, PART, PART + 1, 2 * PART - 1, 2 * PART, 2 * PART + 1, 5 * PART + 12_345, 16 * PART]


@pytest.mark.parametrize("connections", [1, 4, 16])
@pytest.mark.parametrize("known", [True, False], ids=["size known", "size unknown"])
@pytest.mark.parametrize("size", SIZES)
async def test_every_size_arrives_whole(
    origin: Origin, tmp_path: Path, size: int, known: bool, connections: int
) -> None:
    """Equal bytes, each sent once, whatever the size and the number of connections."""
    content = origin.add("/object", size)

    result = await fetch(
        origin.url("/object"), tmp_path / "file", size=size if known else None, options=small(connections)
    )

    assert holds(tmp_path / "file", content)
    assert asyncdl.Outcome.DOWNLOADED == result.outcome
    assert (size, size, 0, 0) == (result.size, result.fetched, result.retries, result.refreshes)
    assert 0 == origin.ledger.repeated("/object")
    assert ["file"] == os.listdir(tmp_path)


async def test_small_object_takes_one_request(origin: Origin, tmp_path: Path) -> None:
    """The probe asks for a range that covers a small object, and its body is the object."""
    content = origin.add("/object", PART // 2)

    result = await fetch(origin.url("/object"), tmp_path / "file")

    assert holds(tmp_path / "file", content)
    assert 1 == result.requests == len(origin.ledger.requests)


async def test_below_the_threshold_one_connection_serves(origin: Origin, tmp_path: Path) -> None:
    """B1: the threshold, not the number of parts, decides whether a download is parallel."""
    content = origin.add("/object", 6 * PART)

    result = await fetch(origin.url("/object"), tmp_path / "file", options=small(8, parallel_threshold=10 * PART))

    assert holds(tmp_path / "file", content)
    assert 1 == origin.ledger.max_open
    assert 2 == result.requests


async def test_known_size_saves_the_probe(origin: Origin, tmp_path: Path) -> None:
    """With the size known all connections start at once: no request waits for another's answer."""
    origin.add("/object", 4 * PART)
    origin.script(Fault(delay=0.2))

    await fetch(origin.url("/object"), tmp_path / "file", size=4 * PART, options=small(4))

    requests = origin.ledger.requests
    assert 4 == len(requests)
    assert max(record.started for record in requests) < min(record.finished or 0 for record in requests)


@pytest.mark.parametrize("known", [True, False], ids=["size known", "size unknown"])
async def test_slow_body_below_the_threshold_stays_on_one_connection(
    origin: Origin, tmp_path: Path, known: bool
) -> None:
    """B1: no second connection while the first is still busy."""
    content = origin.add("/object", 6 * PART)
    origin.script(Fault(rate=16 * PART))

    await fetch(
        origin.url("/object"),
        tmp_path / "file",
        size=6 * PART if known else None,
        options=small(8, parallel_threshold=10 * PART),
    )

    assert holds(tmp_path / "file", content)
    assert 1 == origin.ledger.max_open


async def test_coroutine_function_is_no_progress_callback(tmp_path: Path) -> None:
    """It would never run."""

    async def on_progress(progress: asyncdl.Progress) -> None:
        raise AssertionError

    with pytest.raises(asyncdl.OptionsError, match="plain function"):
        await fetch("http://host/", tmp_path / "file", on_progress=on_progress)


@pytest.mark.parametrize("dest", [1, b"x", None, "file/", "", "/"], ids=repr)
async def test_destination_that_is_no_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dest: object) -> None:
    """Neither an error of Python's nor a file of another name."""
    monkeypatch.chdir(tmp_path)

    with pytest.raises(asyncdl.OptionsError):
        await fetch("http://host/", dest)

    assert [] == os.listdir(tmp_path)


async def test_session_closed_while_its_pool_is_full(origin: Origin, tmp_path: Path) -> None:
    """Whoever closes the session cancels those who wait for its connections: an error, and no wait without end."""
    origin.add("/busy", PART)
    origin.add("/object", PART)
    origin.script(Fault(path="/busy", stall_after=10))
    session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1))
    async with session.get(origin.url("/busy")):
        task = asyncio.create_task(fetch(origin.url("/object"), tmp_path / "file", session=session))
        while not session.connector or not session.connector._waiters:  # noqa: ASYNC110  # nobody announces a wait
            await asyncio.sleep(0.005)
        await session.close()

        with pytest.raises(asyncdl.OptionsError, match="session is closed"):
            await task


async def test_nothing_but_get_is_ever_sent(origin: Origin, tmp_path: Path) -> None:
    """B1: a presigned URL is signed for one method; HEAD is never tried."""
    origin.add("/object", 4 * PART)

    await fetch(origin.presign("/object", ttl=60), tmp_path / "file")

    assert {"GET"} == {record.method for record in origin.ledger.requests}


@pytest.mark.parametrize("known", [True, False], ids=["size known", "size unknown"])
@pytest.mark.parametrize("size", [1, PART, 9 * PART + 1])
async def test_server_without_ranges_is_served_from_the_open_response(tmp_path: Path, size: int, known: bool) -> None:
    """B3: the first 200 is the download; nothing is asked for twice."""
    async with Origin(ranges=False) as origin:
        content = origin.add("/object", size)

        result = await fetch(
            origin.url("/object"), tmp_path / "file", size=size if known else None, options=small(1 if known else 4)
        )

        assert holds(tmp_path / "file", content)
        assert 1 == result.requests == len(origin.ledger.requests)


async def test_parallel_start_on_a_server_without_ranges(tmp_path: Path) -> None:
    """With the size known, many ask at once and one 200 wins; the others' bodies are not read."""
    async with Origin(ranges=False) as origin:
        content = origin.add("/object", 40 * PART)

        result = await fetch(origin.url("/object"), tmp_path / "file", size=40 * PART, options=small(8))

        assert holds(tmp_path / "file", content)
        assert 40 * PART == result.size == result.fetched


async def test_chunked_body_of_unknown_length(origin: Origin, tmp_path: Path) -> None:
    """A 200 in chunks has no size; its last chunk is the end."""
    content = origin.add("/object", 3 * PART + 7)
    origin.script(Fault(ignore_range=True, chunked=True))

    result = await fetch(origin.url("/object"), tmp_path / "file")

    assert holds(tmp_path / "file", content)
    assert 3 * PART + 7 == result.size


async def test_close_delimited_body_needs_the_size(origin: Origin, tmp_path: Path) -> None:
    """Without any framing a broken connection looks like the end: only a size from the caller can tell."""
    content = origin.add("/object", 3 * PART)
    origin.script(Fault(ignore_range=True, no_length=True))

    with pytest.raises(asyncdl.ResponseMismatchError, match="end of the body"):
        await fetch(origin.url("/object"), tmp_path / "file")
    await fetch(origin.url("/object"), tmp_path / "file", size=3 * PART)

    assert holds(tmp_path / "file", content)


async def test_wrong_declared_size_is_found_before_any_byte(origin: Origin, tmp_path: Path) -> None:
    """An object of another size is refused, and leaves nothing."""
    origin.add("/object", 3 * PART)

    with pytest.raises(asyncdl.IntegrityError, match=f"{3 * PART} bytes, not the {3 * PART - 1}"):
        await fetch(origin.url("/object"), tmp_path / "file", size=3 * PART - 1)

    assert [] == os.listdir(tmp_path)


@pytest.mark.parametrize("declared", [0, 1])
async def test_tiny_declared_size_is_checked_too(origin: Origin, tmp_path: Path, declared: int) -> None:
    """A declared size of zero still asks the server."""
    origin.add("/object", PART)

    with pytest.raises(asyncdl.IntegrityError):
        await fetch(origin.url("/object"), tmp_path / "file", size=declared)

    assert [] == os.listdir(tmp_path)


async def test_caller_headers_are_on_every_request(origin: Origin, tmp_path: Path) -> None:
    """A9: the caller's headers go out with each range request."""
    origin.add("/object", 8 * PART)

    result = await fetch(origin.url("/object"), tmp_path / "file", headers={"X-Api-Key": "k-123"})

    assert ["k-123"] * result.requests == origin.ledger.headers_seen("X-Api-Key")


async def test_caller_headers_stay_at_home(origin: Origin, tmp_path: Path) -> None:
    """A9: a redirect to another origin takes none of the caller's headers along."""
    async with Origin() as other:
        content = other.add("/object", 8 * PART)
        origin.add("/object", 8 * PART)
        origin.script(Fault(redirect=other.url("/object")))

        await fetch(origin.url("/object"), tmp_path / "file", headers={"Authorization": "Bearer secret"})

        assert holds(tmp_path / "file", content)
        assert [] == other.ledger.headers_seen("Authorization")
        assert ["Bearer secret"] * len(origin.ledger.requests) == origin.ledger.headers_seen("Authorization")


async def test_existing_file_of_the_right_size_is_skipped(origin: Origin, tmp_path: Path) -> None:
    """D3: with the size known not even a request is made."""
    origin.add("/object", 100)
    dest = tmp_path / "file"
    dest.write_bytes(b"x" * 100)

    known = await fetch(origin.url("/object"), dest, size=100)
    unknown = await fetch(origin.url("/object"), dest)

    assert asyncdl.Outcome.SKIPPED == known.outcome == unknown.outcome
    assert (0, 1) == (known.requests, unknown.requests)
    assert b"x" * 100 == dest.read_bytes()
    assert ["file"] == os.listdir(tmp_path)


@pytest.mark.parametrize("size", [None, 200])
async def test_existing_file_of_another_size_is_refused(origin: Origin, tmp_path: Path, size: int | None) -> None:
    """D3: a file that disagrees is an error, and stays as it was."""
    origin.add("/object", 200)
    dest = tmp_path / "file"
    dest.write_bytes(b"x" * 100)

    with pytest.raises(asyncdl.DestinationExistsError, match="100 bytes, the object has 200"):
        await fetch(origin.url("/object"), dest, size=size)

    assert b"x" * 100 == dest.read_bytes()
    assert ["file"] == os.listdir(tmp_path)


async def test_existing_file_is_replaced_on_request(origin: Origin, tmp_path: Path) -> None:
    """D3: the replacement keeps the old file's mode."""
    content = origin.add("/object", 5 * PART)
    dest = tmp_path / "file"
    dest.write_bytes(b"old")
    dest.chmod(0o640)

    await fetch(origin.url("/object"), dest, if_exists="replace")

    assert holds(dest, content)
    assert 0o640 == stat.S_IMODE(dest.stat().st_mode)


async def test_existing_file_is_an_error_on_request(origin: Origin, tmp_path: Path) -> None:
    """D3: `error` refuses before the network is touched."""
    dest = tmp_path / "file"
    dest.write_bytes(b"old")

    with pytest.raises(asyncdl.DestinationExistsError):
        await fetch(origin.url("/object"), dest, if_exists="error")

    assert [] == origin.ledger.requests


async def test_two_downloads_of_one_destination_do_not_mix(origin: Origin, tmp_path: Path) -> None:
    """The second is told at once that the first is at it; the first is not disturbed."""
    content = origin.add("/object", 8 * PART)
    origin.script(Fault(delay=0.3, times=1))

    async def second() -> None:
        await origin.ledger.until(lambda: len(origin.ledger.requests) > 0)
        with pytest.raises(asyncdl.DestinationBusyError):
            await fetch(origin.url("/object"), tmp_path / "file")

    async with asyncio.TaskGroup() as group:
        group.create_task(fetch(origin.url("/object"), tmp_path / "file"))
        group.create_task(second())

    assert holds(tmp_path / "file", content)


async def test_leftover_part_file_is_replaced(origin: Origin, tmp_path: Path) -> None:
    """A `.part` of a dead download proves nothing about its bytes and is begun anew."""
    content = origin.add("/object", 4 * PART)
    (tmp_path / "file.part").write_bytes(b"\xff" * 9 * PART)

    await fetch(origin.url("/object"), tmp_path / "file")

    assert holds(tmp_path / "file", content)


async def test_given_session_is_used_and_left_open(origin: Origin, tmp_path: Path) -> None:
    """The caller's session carries the requests, with its headers, and stays the caller's."""
    content = origin.add("/object", 8 * PART)
    async with aiohttp.ClientSession(headers={"X-Session": "mine"}) as session:
        result = await fetch(origin.url("/object"), tmp_path / "file", session=session)

        assert not session.closed
    assert holds(tmp_path / "file", content)
    assert ["mine"] * result.requests == origin.ledger.headers_seen("X-Session")


def test_run_download_needs_no_loop(tmp_path: Path) -> None:
    """Callers without a loop get the same errors."""
    with pytest.raises(asyncdl.OptionsError):
        asyncdl.run_download("ftp://host/file", tmp_path / "file")


@pytest.mark.parametrize(
    ("source", "arguments"),
    [
        ("", {}),
        ("no url", {}),
        ("ftp://host/file", {}),
        ("http:///file", {}),
        ("http://host/a\r\nX: y", {}),
        ("http://host/a\0b", {}),
        (12, {}),
        (None, {}),
        ("http://host/", {"options": None}),
        ("http://host/", {"timeouts": {"total": 3}}),
        ("http://host/", {"retry": 3}),
        ("http://host/", {"session": "x"}),
        ("http://host/", {"on_progress": 7}),
        ("http://host/", {"size": -1}),
        ("http://host/", {"size": 1.5}),
        ("http://host/", {"size": True}),
        ("http://host/", {"if_exists": "overwrite"}),
        ("http://host/", {"headers": {"X": "a\r\nb"}}),
        ("http://host/", {"headers": {"X Y": "a"}}),
        ("http://host/", {"headers": {"Range": "bytes=0-"}}),
    ],
)
async def test_bad_arguments_are_told_before_anything_happens(
    tmp_path: Path, source: object, arguments: dict[str, object]
) -> None:
    """Each is an `OptionsError`, and nothing is left on the disk."""
    with pytest.raises(asyncdl.OptionsError):
        await fetch(source, tmp_path / "file", **arguments)  # type: ignore[arg-type]

    assert [] == os.listdir(tmp_path)


@pytest.mark.parametrize(
    "make",
    [
        lambda path: path.mkdir(),
        os.mkfifo,
        lambda path: path.symlink_to(path.parent / "elsewhere"),
        lambda path: path.symlink_to("/dev/null"),
    ],
    ids=["directory", "fifo", "dangling link", "link to a device"],
)
async def test_odd_destinations_are_refused_before_the_network(origin: Origin, tmp_path: Path, make: object) -> None:
    """Nothing is written through a link or into anything but a file."""
    dest = tmp_path / "file"
    make(dest)  # type: ignore[operator]

    with pytest.raises(asyncdl.StorageError, match="it is a"):
        await fetch(origin.url("/object"), dest, if_exists="replace")

    assert [] == origin.ledger.requests
    assert ["file"] == os.listdir(tmp_path)


@pytest.mark.parametrize("dest", ["/dev/null", "missing/file", "plain/file", "."], ids=str)
async def test_impossible_paths_are_refused_before_the_network(origin: Origin, tmp_path: Path, dest: str) -> None:
    """A device, a missing parent, a parent that is a file, no name at all."""
    (tmp_path / "plain").write_bytes(b"")

    with pytest.raises((asyncdl.StorageError, asyncdl.OptionsError)):
        await fetch(origin.url("/object"), tmp_path / dest)

    assert [] == origin.ledger.requests


async def test_unreadable_ca_file_is_named(tmp_path: Path) -> None:
    """A CA file that cannot be read is the caller's error, told by its path."""
    with pytest.raises(asyncdl.OptionsError, match=r"missing\.pem"):
        await fetch("https://127.0.0.1:9/x", tmp_path / "file", options=small(ca_file=tmp_path / "missing.pem"))


async def test_no_descriptor_or_task_is_left(origin: Origin, tmp_path: Path, no_leaks: object) -> None:
    """A download that went well leaves only its file."""
    origin.add("/object", 8 * PART + 3 * KIB)

    await fetch(origin.url("/object"), tmp_path / "file")
    await origin.aclose()
