"""The fetchers of one download: the first of them, then as many as bring more than fewer would."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from asyncdl.edge.waits import Scope
from asyncdl.fetcher import Fetcher
from asyncdl.job import Job, Start, Stoppable
from asyncdl.rules.growth import FIRST_LOOK, Growth, Situation, is_busy, is_enough
from asyncdl.rules.parts import Claim

#: Seconds between two looks: a third of the shortest measurement, and between measurements not that often.
_TICK: Final = 0.05
_SLOW_TICK: Final = 0.5


class Crew:
    """Starts fetchers; those that are no longer wanted go home by themselves after the part they are at.

    Args:
        most: fetchers at a time.
    """

    def __init__(self, job: Job, start: Start, most: int) -> None:
        self._job, self._start, self._most = job, start, most
        self._first = min(job.options.first_connections, most)
        job.scheduler.most = None
        job.scheduler.expected = self._first

    def begin(self, claim: Claim | None) -> None:
        """Start the first fetcher; with `claim`, or with what the planner has."""
        self._job.fetchers.append(self._start(Fetcher(self._job).run(claim)))

    async def muster(self) -> None:
        """Start the others, now and later; returns when no more are to come, at the latest when all have gone home.

        Waits for fetchers, which have bounds of their own.
        """
        job, clock = self._job, self._job.clock
        first = await self._number_to_begin_with()
        growth = Growth(first, clock.monotonic())
        looked, worked = clock.monotonic(), clock.worked()
        while self._send(growth.wanted) and first < self._most:
            tick = _SLOW_TICK if growth.resting(clock.monotonic()) else _TICK
            await asyncio.wait(map(_end, job.fetchers), timeout=tick)
            if all(fetcher.done() for fetcher in job.fetchers):
                break
            scheduler, before = job.scheduler, (looked, worked)
            looked, worked = clock.monotonic(), clock.worked()
            busy = is_busy(worked - before[1], looked - before[0])
            growth.look(
                Situation(
                    now=looked,
                    received=scheduler.received,
                    receiving=scheduler.bodies,
                    most=min(self._most, job.suppliers.limit),
                    held_up=scheduler.held_up or busy,
                )
            )

    async def _number_to_begin_with(self) -> int:
        job = self._job
        looked = await self._look()
        since = job.clock.monotonic() - job.learnt
        if since > 0:
            # What came along with a response that has only just come was on its way for longer.
            since = max(since, FIRST_LOOK)
            job.scheduler.presumed = job.scheduler.received / since
        if is_enough(job.scheduler.received, since):
            return 1
        # It may have come from a buffer, where it stood while the file was made: what comes now does not.
        return 1 if is_enough(*looked) and is_enough(*await self._look()) else self._first

    async def _look(self) -> tuple[int, float, float]:
        """Let the first ones work for a moment; the bytes that came, the seconds it took, and those of work."""
        job, clock = self._job, self._job.clock
        before, began, worked = job.scheduler.received, clock.monotonic(), clock.worked()
        await asyncio.wait(map(_end, job.fetchers), timeout=FIRST_LOOK)
        return job.scheduler.received - before, clock.monotonic() - began, clock.worked() - worked

    def _send(self, wanted: int) -> bool:
        """Have `wanted` fetchers, as far as there are parts for them; whether there may be some later."""
        job = self._job
        job.scheduler.most = job.scheduler.expected = wanted
        unclaimed = job.scheduler.planner.unclaimed if job.scheduler.planner else 0
        job.fetchers[:] = [fetcher for fetcher in job.fetchers if not fetcher.done()]
        # Whoever took all parts before others were looked for is not left alone: should it fall behind, one takes over.
        company = len(job.fetchers) == 1 and not job.sequential
        for _ in range(min(wanted - len(job.fetchers), max(unclaimed, company))):
            self.begin(None)
        return unclaimed > 0


def _end(fetcher: Stoppable) -> asyncio.Future[Any]:
    return fetcher.ended if isinstance(fetcher, Scope) else fetcher
