"""Cancelled at any await: no task, no descriptor, no thread left, and the destination is absent, old or complete."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Coroutine, Generator
from pathlib import Path
from typing import Any

import pytest

import asyncdl
from asyncdl.testing import Fault, Origin
from tests.support.flow import KIB, fetch, holds, small

SIZE = 150 * KIB
OPTIONS = small(2, part_size=32 * KIB, parallel_threshold=32 * KIB, chunk_size=4 * KIB, queue_depth=2)


class Steps:
    """Counts the steps of the tasks that asyncdl starts, and calls `reached` at step number `stop`."""

    def __init__(self, stop: int, *, twice: bool) -> None:
        self.count, self._stop, self._twice = 0, stop, twice
        self.victim: asyncio.Task[Any] | None = None

    def step(self) -> None:
        self.count += 1
        if self.count == self._stop and self.victim is not None:
            loop = asyncio.get_running_loop()
            victim = self.victim
            loop.call_soon(victim.cancel)
            if self._twice:
                loop.call_soon(lambda: loop.call_soon(victim.cancel))

    def factory(self, loop: asyncio.AbstractEventLoop, coro: Any, **arguments: Any) -> asyncio.Task[Any]:
        code = getattr(coro, "cr_code", None)
        ours = code is not None and f"{os.sep}asyncdl{os.sep}" in code.co_filename and "testing" not in code.co_filename
        return asyncio.Task(Stepped(coro, self) if ours else coro, loop=loop, **arguments)


class Stepped(Coroutine[Any, Any, Any]):
    """A coroutine that reports each time it is resumed."""

    def __init__(self, inner: Coroutine[Any, Any, Any], steps: Steps) -> None:
        self._inner, self._steps = inner, steps

    def send(self, value: Any) -> Any:
        self._steps.step()
        return self._inner.send(value)

    def throw(self, *error: Any) -> Any:
        return self._inner.throw(*error)

    def close(self) -> None:
        self._inner.close()

    def __await__(self) -> Generator[Any, Any, Any]:
        raise NotImplementedError


def descriptors() -> set[str]:
    """Open descriptors with what they point at, the directory listing itself left out."""
    found = set()
    for name in os.listdir("/proc/self/fd"):
        try:
            found.add(f"{name} {Path(f'/proc/self/fd/{name}').readlink()}")
        except OSError:
            continue
    return found


async def attempt(dest: Path, stop: int, *, twice: bool) -> tuple[bool, int]:
    """One download, cancelled at step `stop`: whether it was cancelled, and the steps it took."""
    steps = Steps(stop, twice=twice)
    async with Origin() as origin:
        content = origin.add("/object", SIZE)
        provider = origin.provider("/object", ttl=3600)
        origin.script(Fault(request=1, drop_after=10_000), Fault(request=3, status=503))
        tasks = asyncio.all_tasks()
        asyncio.get_running_loop().set_task_factory(steps.factory)
        steps.victim = asyncio.get_running_loop().create_task(
            asyncdl.download(provider, dest, options=OPTIONS, retry=asyncdl.Retry(base=0.001), if_exists="replace")
        )
        cancelled = False
        try:
            await steps.victim
        except asyncio.CancelledError:
            cancelled = True
        asyncio.get_running_loop().set_task_factory(None)
        await origin.aclose()
        left = {task for task in asyncio.all_tasks() - tasks if not task.done()}

        assert set() == left
        if not cancelled:
            assert holds(dest, content)
    return cancelled, steps.count


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("old", [None, b"old"], ids=["no destination", "old destination"])
def test_cancelled_at_every_await(tmp_path: Path, old: bytes | None) -> None:
    """B9: loop over k until the download is over before step k; look at what is left after each.

    With an old destination each is cancelled a second time, a moment after the first.
    """
    dest = tmp_path / "file"
    complete = asyncdl.testing.Content(1, SIZE)
    stop, cancelled, threads = 0, True, set(threading.enumerate())
    kept = published = 0
    while cancelled or stop < 40:
        stop += 1
        for name in tmp_path.iterdir():
            name.unlink()
        if old is not None:
            dest.write_bytes(old)
        before = descriptors()

        cancelled, _ = asyncio.run(attempt(dest, stop, twice=old is not None))

        assert before == descriptors(), f"descriptors at step {stop}"
        for thread in set(threading.enumerate()) - threads:
            thread.join(20)  # a pool's thread is told to end when its loop ends, and takes a moment
        # A thread that was idle before may have ended since.
        assert set(threading.enumerate()) <= threads, f"threads at step {stop}"
        if dest.exists() and dest.read_bytes() != old:
            assert holds(dest, complete), f"a torn destination at step {stop}"
            published += 1
        else:
            assert (old is not None) == dest.exists()
        kept += dest.with_name("file.part").exists()

    assert stop > 100
    assert published >= 1
    assert kept > 10


async def test_cancelled_parent_task(origin: Origin, tmp_path: Path, no_leaks: object) -> None:
    """B9: a cancelled task ends at once, with CancelledError and nothing else."""
    origin.add("/object", SIZE)
    origin.script(Fault(request=1, stall_after=5000))
    task = asyncio.create_task(fetch(origin.url("/object"), tmp_path / "file", options=OPTIONS))
    await origin.ledger.until(lambda: len(origin.ledger.requests) >= 2)

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await origin.aclose()

    assert not (tmp_path / "file").exists()


async def test_waiting_for_a_url_can_be_cancelled(tmp_path: Path, no_leaks: object) -> None:
    """A cancelled refresh leaves no lock held and no file behind."""
    asked = asyncio.Event()

    async def provider(rejected: asyncdl.SignedUrl | None) -> str:
        asked.set()
        await asyncio.Event().wait()
        raise AssertionError

    task = asyncio.create_task(fetch(provider, tmp_path / "file"))
    await asked.wait()

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert [] == os.listdir(tmp_path)


async def test_outer_timeout_stays_the_callers(origin: Origin, tmp_path: Path) -> None:
    """A caller's own `asyncio.timeout` is not mistaken for ours."""
    origin.add("/object", SIZE)
    origin.script(Fault(stall_headers=True))

    with pytest.raises(TimeoutError) as caught:
        async with asyncio.timeout(0.2):
            await fetch(origin.url("/object"), tmp_path / "file", timeouts=asyncdl.Timeouts(total=30))

    assert not isinstance(caught.value, asyncdl.AsyncdlError)
