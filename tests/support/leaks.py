"""What a test left behind: descriptors, threads and asyncio tasks that were not there before it."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from dataclasses import dataclass
from typing import Self

from asyncdl.edge import errands

#: Where Linux lists a process's open descriptors; elsewhere descriptors go unchecked.
_DESCRIPTORS = "/proc/self/fd"
#: Idle threads of the event loop's and anyio's pools, and of our own: bounded, and ended with the loop, or soon after.
_POOL_PREFIXES = ("asyncio_", "AnyIO worker thread", errands.NAME)
_POLL = 0.01


def _descriptors() -> dict[int, str]:
    found = {}
    for name in os.listdir(_DESCRIPTORS) if os.path.isdir(_DESCRIPTORS) else ():  # noqa: PTH112  # one call each
        try:
            found[int(name)] = os.readlink(f"{_DESCRIPTORS}/{name}")  # noqa: PTH115
        except OSError:
            continue  # that of the listing itself is closed by now
    return found


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What is open and running at one moment."""

    descriptors: dict[int, str]
    threads: frozenset[threading.Thread]
    tasks: frozenset[asyncio.Task[object]]

    @classmethod
    def take(cls) -> Self:
        """Now; tasks only where a loop runs."""
        try:
            tasks = asyncio.all_tasks()
        except RuntimeError:
            tasks = set()
        return cls(_descriptors(), frozenset(threading.enumerate()), frozenset(tasks))

    def new_since(self) -> list[str]:
        """One line for each thing that is here now and was not then."""
        now = Snapshot.take()
        opened = sorted(now.descriptors.items() - self.descriptors.items())
        return [
            *(f"descriptor {number}: {target}" for number, target in opened),
            *(
                f"thread {thread.name}"
                for thread in now.threads - self.threads
                if thread.is_alive() and not thread.name.startswith(_POOL_PREFIXES)
            ),
            *(f"task {task!r}" for task in now.tasks - self.tasks if task is not _current() and not task.done()),
        ]

    async def settled(self, within: float) -> list[str]:
        """`new_since` as soon as it is empty, or as it is after `within` seconds.

        A transport that was closed gives its descriptor back a few turns of the loop later.
        """
        deadline = time.monotonic() + within
        while (found := self.new_since()) and time.monotonic() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(_POLL)  # nobody announces a closed descriptor
        return found


def _current() -> asyncio.Task[object] | None:
    try:
        return asyncio.current_task()
    except RuntimeError:
        return None
