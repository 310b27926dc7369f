"""A download from a real server that is held in the middle while something happens to the server."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import asyncdl

#: Seconds within which each step of such a test must be done.
STEP = 100.0


class Midway:
    """Downloads whose first write to the disk waits; no server is in a hurry then, not even one that cannot be slowed.

    Args:
        gate: lets the writes through.
        reached: the first write is there.
    """

    def __init__(self, gate: threading.Event, reached: threading.Event) -> None:
        self._gate, self._reached = gate, reached

    async def __call__(
        self,
        url: asyncdl.model.Source,
        dest: Path,
        happens: Callable[[], object],
        *,
        then: Callable[[], object] | None = None,
        **arguments: Any,
    ) -> asyncdl.Result:
        """Downloads; `happens` is called in the middle, and `then` when the download has run into trouble with it."""
        troubled = asyncio.Event()

        def look(progress: asyncdl.Progress) -> None:
            if progress.retries:
                troubled.set()

        async with asyncio.timeout(STEP), asyncio.TaskGroup() as group:
            task = group.create_task(_caught(asyncdl.download(url, dest, on_progress=look, **arguments)))
            assert await asyncio.to_thread(self._reached.wait, STEP)
            await asyncio.to_thread(happens)
            # Else it would prove nothing.
            assert not task.done(), task
            self._gate.set()
            if then is not None:
                await troubled.wait()
                await asyncio.to_thread(then)
        result = task.result()
        if isinstance(result, Exception):
            raise result
        return result


async def _caught(download: Any) -> asyncdl.Result | Exception:
    """A result or what was raised, so that no group wraps it."""
    try:
        return await download  # type: ignore[no-any-return]  # whatever it is, the caller knows
    except Exception as error:  # noqa: BLE001  # raised again outside of the group
        return error


@pytest.fixture
def midway(monkeypatch: pytest.MonkeyPatch) -> Iterator[Midway]:
    """Downloads with something happening in the middle."""
    gate, reached = threading.Event(), threading.Event()
    write = os.pwritev

    def held(descriptor: int, buffers: list[memoryview], offset: int) -> int:
        reached.set()
        assert gate.wait(STEP)
        return write(descriptor, buffers, offset)

    monkeypatch.setattr(os, "pwritev", held)
    yield Midway(gate, reached)
    gate.set()
