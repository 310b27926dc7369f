"""What one download has to tell of itself: how far it is, and in the end what became of it."""

from __future__ import annotations

from asyncdl.edge.clock import Clock
from asyncdl.job import Job
from asyncdl.large import LargeObject
from asyncdl.model import Checksum, Outcome, Request, Result
from asyncdl.small import SmallObject
from asyncdl.target import Target


class Account:
    """Knows who is at work.

    Attributes:
        small, large: which of the two it is, once that is known.
        wanted: the checksum that the file has to have.
        skipped: nothing was to be done.
    """

    def __init__(self, request: Request, job: Job, target: Target, clock: Clock) -> None:
        self._request, self._job, self._target, self._clock = request, job, target, clock
        self._began = clock.monotonic()
        self.small: SmallObject | None = None
        self.large: LargeObject | None = None
        self.wanted: Checksum | None = request.checksum
        self.skipped: bool = False

    def state(self) -> tuple[int, int | None, int, int, int]:
        """As `Reporter.state`."""
        job, writer = self._job, self.large.writer if self.large else None
        total = job.remote.size if job.remote else job.declared_size
        written, resumed = (writer.written, writer.resumed) if writer else (0, 0)
        if self.small and self.small.saved:
            written = self.small.size
        if self.skipped:
            written = total = self._target.existing or 0
            resumed = 0
        return written, total, resumed, job.counters.retries, job.suppliers.refreshes

    def result(self, outcome: Outcome, size: int | None, error: Exception | None = None) -> Result:
        """What became of it."""
        counters = self._job.counters
        return Result(
            request=self._request,
            path=self._request.dest,
            outcome=outcome,
            size=size,
            checksum=None if error else self.wanted,
            error=error,
            elapsed=self._clock.monotonic() - self._began,
            fetched=counters.fetched,
            resumed=self.large.writer.resumed if self.large and not self.skipped else 0,
            requests=counters.requests,
            retries=counters.retries,
            refreshes=self._job.suppliers.refreshes,
        )
