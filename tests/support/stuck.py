"""A file whose reading does not end, as of a network drive that is gone, and what a reader of it leaves behind."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

#: Seconds for somebody who is called off to be gone, and for a reader to begin.
_WITHIN = 60.0


async def called_off(path: Path, ask: Callable[[], Awaitable[object]]) -> tuple[bool, list[str]]:
    """What reads `path`, here made a FIFO, is called off: whether it ends, and which threads keep the process."""
    os.mkfifo(path)
    before = set(threading.enumerate())
    task = asyncio.ensure_future(ask())
    writer = await _begun(path)
    try:
        task.cancel()
        await asyncio.wait([task], timeout=_WITHIN)
        ended = task.cancelled()
        return ended, [thread.name for thread in threading.enumerate() if thread not in before and not thread.daemon]
    finally:
        os.close(writer)
        await asyncio.gather(task, return_exceptions=True)


async def _begun(path: Path) -> int:
    """The end for writing; there is one as soon as somebody reads."""
    async with asyncio.timeout(_WITHIN):
        while True:
            with suppress(OSError):
                return os.open(path, os.O_WRONLY | os.O_NONBLOCK)
            await asyncio.sleep(0)
