"""Time and chance: the only place that reads a clock, sleeps or rolls a die, so that a test can do so by hand."""

from __future__ import annotations

import asyncio
import random
import time


class Clock:
    """The real one."""

    def monotonic(self) -> float:
        """Seconds that never jump; what deadlines and ages are measured with."""
        return time.monotonic()

    def worked(self) -> float:
        """Seconds of processor time that this thread, which is the event loop's, has used."""
        return time.thread_time()

    def wall(self) -> float:
        """Seconds since the epoch; may jump, and is compared with nothing but dates that a server sent."""
        return time.time()

    def jitter(self) -> float:
        """A number from 0 to 1."""
        return random.random()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
