"""One file from end to end: checks, wiring of the tasks, what is kept and what is fetched, and the finish."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Iterable, Sequence
from dataclasses import replace
from typing import Any

from asyncdl.crew import Crew
from asyncdl.edge.clock import Clock
from asyncdl.edge.destination import existing_size, sum_of, sweep
from asyncdl.edge.disk import Disk, OsDisk
from asyncdl.edge.files import BEAT, PartFile
from asyncdl.edge.refusals import exists
from asyncdl.edge.sink import FileSink
from asyncdl.edge.transport import Transport
from asyncdl.edge.waits import first_cause
from asyncdl.errors import DiskFullError, IntegrityError, OptionsError, StorageError
from asyncdl.guard import Guard
from asyncdl.job import Job
from asyncdl.model import Checksum, Outcome, Part, RemoteObject, Request, Result
from asyncdl.options import MAX_PARTS, Options, Retry, Timeouts
from asyncdl.progress import Reporter
from asyncdl.refresher import UrlRefresher
from asyncdl.resume import keep
from asyncdl.rules.head import Head
from asyncdl.rules.held import Held
from asyncdl.rules.parts import Claim, Coverage, Planner, choose_part_size
from asyncdl.rules.promises import to_verify
from asyncdl.verifier import Verifier, computable
from asyncdl.writer import Writer

_logger = logging.getLogger("asyncdl")


class _AlreadyThereError(Exception):
    """The destination turned out to be the object; unwinds the tasks and is never seen outside."""


class FileDownload:
    """One file: made for one `run`.

    Args:
        disk: where the files are; None for the system's own.
    """

    def __init__(
        self,
        request: Request,
        options: Options,
        timeouts: Timeouts,
        retry: Retry,
        transport: Transport,
        *,
        clock: Clock,
        deadline: float | None = None,
        disk: Disk | None = None,
    ) -> None:
        self._request, self._options, self._clock = request, options, clock
        self._disk = disk or OsDisk()
        self._began = clock.monotonic()
        self._job = Job(
            options=options,
            timeouts=timeouts,
            retry=retry,
            clock=clock,
            transport=transport,
            refresher=UrlRefresher(request.source, options, timeouts, clock),
            headers=request.headers,
            declared_size=request.size,
            deadline=deadline,
            on_remote=lambda *news: self._start(self._begin(*news)),
        )
        self._connections = min(options.connections, transport.connection_limit or options.connections)
        self._known = asyncio.Event()
        self._existing: int | None = None
        self._skipped = False
        self._proven = True
        self._wanted = request.checksum
        self._pinned = None if request.checksum is None else str(request.checksum)
        self._guard = Guard()
        self._called_off = False
        self._sink: FileSink
        self._group: asyncio.TaskGroup
        self._writer: Writer | None = None

    async def run(self, reporter: Reporter) -> Result:
        """Download, or find it done. Raises as `download` does; how it ended is for the caller to report."""
        request = self._request
        reporter.state = self._state
        if request.checksum is not None and not await computable([request.checksum.algorithm]):
            raise OptionsError(
                f"{request.checksum.algorithm} cannot be computed here",
                hint="install asyncdl[checksums], which brings awscrt",
            )
        if await self._is_done():
            return await self._skip(request.size)
        self._sink = await PartFile.create(
            request.dest, if_exists=request.if_exists, resume=self._options.resume, disk=self._disk
        )
        return await self._run_into(self._sink, reporter)

    async def _run_into(self, sink: FileSink, reporter: Reporter) -> Result:
        job = self._job
        self._writer = writer = Writer(sink, job.queue, job.write_batch, self._clock, one_stream=lambda: job.sequential)
        try:
            # Once more: another download may have ended before this one had the lock.
            if await self._is_done():
                raise _AlreadyThereError
            await self._transfer(writer, reporter)
            size = self._final_size(writer)
            await sink.publish(size)
        except _AlreadyThereError:
            await sink.abandon(discard=True)
            return await self._skip(self._existing)
        except BaseException as error:
            try:
                await writer.verifier.aclose()
                if not isinstance(error, StorageError) or isinstance(error, DiskFullError):
                    await writer.settle()
            finally:
                await sink.abandon()
            raise
        return self._result(Outcome.DOWNLOADED, size)

    async def _transfer(self, writer: Writer, reporter: Reporter) -> None:
        """Run all tasks to their end; the first thing that went wrong is raised, and alone."""
        try:
            async with asyncio.TaskGroup() as outer:
                tickers = [outer.create_task(reporter.run()), outer.create_task(self._guard(self._beat()))]
                await self._guard(self._bring(writer))
                for ticker in tickers:
                    ticker.cancel()
        except BaseExceptionGroup as group:
            # Without a cause of ours it is GeneratorExit or the like.
            first = self._guard.cause or first_cause(group)
            if self._called_off:  # whoever did that waits for it, whatever went wrong afterwards
                raise asyncio.CancelledError from first
        else:
            return
        raise first

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(BEAT)
            await self._sink.beat()

    async def _bring(self, writer: Writer) -> None:
        """Fetch what is missing, and once more what turns out to be wrong."""
        await self._pass(writer, self._first_claim())
        wrong = await self._verify(writer)
        if wrong:
            _logger.warning("%d bytes are not what was sent, and are fetched again", _length(wrong))
            await writer.forget(wrong)
            self._job.scheduler.planner = self._planner(wrong, self._final_size(writer, complete=False))
            await self._pass(writer, None)
            if await self._verify(writer):
                await writer.forget([Part(0, writer.coverage.stop)])
                raise IntegrityError("the disk does not give back what was written to it, not even the second time")
        await writer.verifier.aclose()

    async def _pass(self, writer: Writer, first: Claim | None) -> None:
        """Have every part that is planned fetched and written."""
        async with asyncio.TaskGroup() as group:
            writing = group.create_task(self._guard(writer.run()))
            try:
                await self._guard(self._fetch_all(first))
            except BaseException as error:
                self._called_off = isinstance(error, asyncio.CancelledError) and self._guard.cause is None
                await writer.wind_up(writing)
                raise
            # Nothing waits for the queue to empty: if the writer fails, its group ends this wait.
            await self._job.queue.put(None)
            await writing

    async def _fetch_all(self, first: Claim | None) -> None:
        """N fetchers, the first of them alone until it is known what there is to fetch."""
        job = self._job
        if first is None and not self._known.is_set():
            assert job.declared_size  # noqa: S101  # or the first claim would have to tell
            await self._plan([Part(0, job.declared_size)], job.declared_size)
            self._known.set()
        async with asyncio.TaskGroup() as self._group:
            crew = Crew(job, self._start, self._connections)
            crew.begin(first)
            await self._known.wait()
            await crew.muster()

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        return self._group.create_task(self._guard(work))

    def _first_claim(self) -> Claim | None:
        """What one fetcher asks for before the others; None where they can all begin."""
        prior = self._sink.prior
        if prior is None and self._job.declared_size:
            return None
        # All of a small object, one part of a large one; of one that was begun, only what proves which it is.
        length = choose_part_size(0, connections=self._connections, wanted=self._options.part_size)
        first_held = prior.held[0].start if prior and prior.held else length
        return Claim(0, min(length, first_held) or 1)

    def _part_size(self, size: int, *, most_parts: int = MAX_PARTS) -> int:
        if size < self._options.parallel_threshold:
            return max(1, size)
        wanted = self._options.part_size
        return choose_part_size(size, connections=self._connections, wanted=wanted, most_parts=most_parts)

    async def _plan(self, rest: Sequence[Part], size: int) -> None:
        """Cut what is left of an object of `size` bytes, and take the space for it."""
        options = self._options
        await self._sink.reserve(size, preallocate=options.preallocate, check_space=options.check_space)
        # The probe was one, and every gap may begin with a part that is not a full one.
        self._job.scheduler.planner = self._planner(rest, size, most_parts=max(1, MAX_PARTS - len(rest)))

    def _planner(self, rest: Sequence[Part], size: int, *, most_parts: int = MAX_PARTS) -> Planner:
        measured = self._options.part_size is None and size >= self._options.parallel_threshold
        return Planner(rest, self._part_size(size, most_parts=most_parts), measured=measured, most_parts=MAX_PARTS - 1)

    async def _begin(self, remote: RemoteObject, claim: Claim, promises: tuple[Checksum, ...]) -> None:
        """The first response that was accepted."""
        able = await computable(promise.algorithm for promise in promises)
        self._wanted = to_verify(self._request.checksum, promises, able)
        if remote.size is not None and self._is_there(remote.size):
            raise _AlreadyThereError
        if remote.size is None and self._existing is not None:
            raise exists(self._request.dest, "it is there, and the server does not say its size")
        job, writer = self._job, self._writer
        assert writer is not None  # noqa: S101  # made before the first request
        keep = self._keep(remote, claim)
        # An entity tag in the journal speaks of every byte that it claims: not of bytes kept without that proof.
        known = remote if self._proven or not keep else replace(remote, etag=None)
        parts = None if job.sequential or remote.size is None else self._part_size(remote.size)
        head = Head.of(known, checksum=self._pinned, declared_size=self._request.size, part_size=parts)
        await self._sink.begin(head, keep)
        writer.begin(Verifier(self._wanted, self._sink.examine, held=keep), keep)
        if remote.size is not None and job.scheduler.planner is None:
            # What the first claim does not bring is for the planner; nothing is where one connection brings it all.
            alone = job.sequential or (not keep and remote.size < self._options.parallel_threshold)
            claim.stop = remote.size if alone or claim.stop is None else min(claim.stop, remote.size)
            there = Coverage(keep)
            there.add(claim.start, claim.stop)
            await self._plan(list(there.missing(remote.size)), remote.size)
        job.begun.set()
        self._known.set()

    def _keep(self, remote: RemoteObject, claim: Claim) -> tuple[Held, ...]:
        """What of an earlier download is gone on with."""
        prior = self._sink.prior
        if prior is None:
            return ()
        self._proven, held = keep(
            prior,
            remote,
            claim,
            in_one_piece=self._job.sequential,
            checksum=self._pinned,
            declared_size=self._request.size,
            verified=self._wanted is not None,
            trusting=self._options.resume_unproven,
        )
        return held

    async def _is_done(self) -> bool:
        """Look at the destination; whether it is the object, as far as its size is known yet."""
        request = self._request
        self._existing = await existing_size(request.dest, request.if_exists, self._disk)
        if request.if_exists == "replace":
            self._existing = None
        return request.size is not None and self._is_there(request.size)

    def _is_there(self, size: int) -> bool:
        """Whether the destination is there and has `size` bytes; an error if it has another size."""
        if self._existing is None or self._existing == size:
            return self._existing is not None
        raise exists(self._request.dest, f"it has {self._existing} bytes, the object has {size}")

    def _final_size(self, writer: Writer, *, complete: bool = True) -> int:
        remote = self._job.remote
        size = remote.size if remote else None
        if size is None:
            size = writer.coverage.stop
        missing = _length(writer.coverage.missing(size))
        if complete and (missing or writer.coverage.stop != size):
            raise IntegrityError(f"{missing} of {size} bytes are missing at the end")
        return size

    async def _verify(self, writer: Writer) -> list[Part]:
        """What has to be fetched again, because the file has not the checksum that it should have.

        Raises:
            IntegrityError: it has not, and fetching would not help.
        """
        size = self._final_size(writer)
        actual = await writer.verifier.finish(size, writer.coverage)
        if actual == self._wanted:
            return []
        wrong = await writer.verifier.damaged(size)
        if not wrong and not self._proven:
            wrong = [Part(0, size)]  # what was kept was of another object
            self._proven = True
        if wrong:
            return wrong
        await writer.forget([Part(0, size)])
        raise IntegrityError(
            f"the checksum of the object is {actual}, and not {self._wanted}",
            hint="nothing of it is kept: the next download begins anew",
        )

    def _state(self) -> tuple[int, int | None, int, int, int]:
        job, writer = self._job, self._writer
        total = job.remote.size if job.remote else job.declared_size
        written, resumed = (writer.written, writer.resumed) if writer else (0, 0)
        if self._skipped:
            written = total = self._existing or 0
            resumed = 0
        return written, total, resumed, job.counters.retries, job.refresher.refreshes

    async def _skip(self, size: int | None) -> Result:
        wanted = self._wanted
        if wanted is not None and wanted != await sum_of(self._request.dest, wanted.algorithm, self._disk):
            raise exists(self._request.dest, f"it has the object's size, but not its {wanted.algorithm}")
        await sweep(self._request.dest, self._disk)
        self._skipped = True
        return self._result(Outcome.SKIPPED, size)

    def _result(self, outcome: Outcome, size: int | None) -> Result:
        counters = self._job.counters
        return Result(
            path=self._request.dest,
            outcome=outcome,
            size=size,
            checksum=self._wanted,
            elapsed=self._clock.monotonic() - self._began,
            fetched=counters.fetched,
            resumed=self._writer.resumed if self._writer and not self._skipped else 0,
            requests=counters.requests,
            retries=counters.retries,
            refreshes=self._job.refresher.refreshes,
        )


def _length(spans: Iterable[Part]) -> int:
    return sum(span.length for span in spans)
