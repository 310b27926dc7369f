"""Seconds that an event loop could use: what a busy machine takes away from it does not count."""

from __future__ import annotations

import asyncio
import contextlib
import time
from types import TracebackType
from typing import Self

#: Seconds between two looks, and what counts of them at most.
_TICK = 0.01
_MOST = 1.5 * _TICK


class Stopwatch:
    """Runs while its context lasts; whoever waits in vain is as slow by it as by any clock.

    Attributes:
        seconds: so far.
    """

    def __init__(self) -> None:
        self.seconds: float = 0.0

    async def __aenter__(self) -> Self:
        self._ticking = asyncio.create_task(self._tick())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ticking.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._ticking

    async def _tick(self) -> None:
        last = time.monotonic()
        while True:
            await asyncio.sleep(_TICK)
            now = time.monotonic()
            self.seconds += min(now - last, _MOST)
            last = now
