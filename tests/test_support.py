"""The guards of the other tests: each is shown a fault and sees it."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import hypothesis
import pytest
from blockbuster import BlockingError

import asyncdl.errors
from tests.support.leaks import Snapshot
from tests.support.stopwatch import Stopwatch


def as_if_in_asyncdl(source: str) -> Callable[[], None]:
    """A function that runs `source` and passes for code of the package."""
    assert asyncdl.errors.__file__ is not None
    code = compile(source, asyncdl.errors.__file__, "exec")
    return lambda: exec(code, {})


@pytest.mark.parametrize(
    "call",
    [
        "import time; time.sleep(0)",
        "import os; os.stat('.')",
        "with open('/dev/zero', 'rb') as file: file.read(1)",
    ],
)
async def test_our_code_must_not_block_the_loop(call: str) -> None:
    """A blocking call below a frame of asyncdl raises on the loop."""
    with pytest.raises(BlockingError):
        as_if_in_asyncdl(call)()


async def test_our_code_may_block_a_thread() -> None:
    """The same call is welcome in a worker thread."""
    await asyncio.to_thread(as_if_in_asyncdl("import time; time.sleep(0)"))


async def test_a_test_may_block(tmp_path: Path) -> None:
    """Tests read and write their files on the loop."""
    (tmp_path / "file").write_text("text")
    time.sleep(0)

    assert "text" == (tmp_path / "file").read_text()


async def test_may_block(may_block: None) -> None:
    """The guard can be switched off for one test."""
    as_if_in_asyncdl("import time; time.sleep(0)")()


async def test_a_descriptor_left_open_is_found() -> None:
    """A pipe counts as two until it is closed."""
    before = Snapshot.take()
    ends = os.pipe()
    found = before.new_since()
    for end in ends:
        os.close(end)

    assert [f"descriptor {end}: pipe" for end in sorted(ends)] == [line.partition(":[")[0] for line in found]
    assert [] == before.new_since()


async def test_a_task_left_running_is_found() -> None:
    """A task counts until it has ended."""
    before = Snapshot.take()
    task = asyncio.create_task(asyncio.Event().wait(), name="forgotten")
    found = before.new_since()
    task.cancel()

    assert 1 == len(found)
    assert "forgotten" in found[0]
    assert [] == await before.settled(1.0)


async def test_a_thread_left_running_is_found() -> None:
    """A thread counts until it has ended."""
    before = Snapshot.take()
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait, name="forgotten")
    thread.start()
    found = before.new_since()
    stop.set()
    thread.join()

    assert ["thread forgotten"] == found
    assert [] == before.new_since()


async def test_a_clean_test_leaves_nothing(no_leaks: Snapshot, tmp_path: Path) -> None:
    """Worker threads, connections and files that were used and closed are no leak."""
    server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
    async with server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        assert b"" == await reader.read()
        writer.close()
        await writer.wait_closed()
    await asyncio.to_thread((tmp_path / "file").write_bytes, b"data")


def test_a_property_is_tried_often_enough() -> None:
    """One of our profiles is loaded, without a deadline that a busy machine would miss."""
    settings = hypothesis.settings()

    assert settings.deadline is None
    assert settings.max_examples in {50, 200}


async def test_time_in_which_the_loop_did_not_run() -> None:
    """It does not count, and what is waited for does."""
    async with Stopwatch() as busy:
        await asyncio.sleep(0)
        time.sleep(1.0)
        await asyncio.sleep(0)
    async with Stopwatch() as idle:
        await asyncio.sleep(0.5)

    assert busy.seconds < 0.5
    # On a machine that is as busy as any, a tenth of the time is ours.
    assert 0.05 < idle.seconds < 0.75
