"""One file from end to end: checks, wiring of the tasks, what is fetched, and the finish."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from contextlib import nullcontext
from typing import Any

from asyncdl.account import Account
from asyncdl.crew import Crew
from asyncdl.edge.clock import Clock
from asyncdl.edge.disk import Disk, OsDisk
from asyncdl.edge.handover import Handover
from asyncdl.edge.waits import Scope, first_cause
from asyncdl.fetcher import Fetcher
from asyncdl.guard import Guard
from asyncdl.job import Aside, Commons, Job
from asyncdl.large import LargeObject
from asyncdl.model import Checksum, Outcome, Part, RemoteObject, Request, Result
from asyncdl.options import MAX_PARTS, Options, Retry, Timeouts
from asyncdl.progress import Reporter
from asyncdl.refresher import refreshers_of
from asyncdl.rules.parts import Claim, Coverage, Planner, choose_part_size
from asyncdl.rules.promises import to_verify
from asyncdl.small import SmallObject
from asyncdl.target import Target
from asyncdl.verifier import computable


class _AlreadyThereError(Exception):
    """The destination turned out to be the object; unwinds the tasks and is never seen outside."""


class HeldOverError(Exception):
    """A file that is not small was not admitted: nothing of it has been kept, and it is to be begun anew later."""


class FileDownload:
    """One file: made for one `run`.

    What fits in one chunk is gathered in memory and saved in one go (`SmallObject`); all else goes through the queue
    and the writer into a `.part` file (`LargeObject`). Which it is, the first response tells; where an earlier
    download left something, or the caller says how large the object is, it may be known before.

    Args:
        admit: asked once, when the file turns out not to be small; False ends the run in `HeldOverError`.
        aside: as in `Job`; used as long as nothing is known of the object.
        disk: where the files are; None for the system's own.

    Attributes:
        complete: all bytes came; what is wrong after that is wrong with them, or with the disk.
    """

    def __init__(
        self,
        request: Request,
        options: Options,
        timeouts: Timeouts,
        retry: Retry,
        commons: Commons,
        *,
        clock: Clock,
        deadline: float | None = None,
        admit: Callable[[], bool] = lambda: True,
        aside: Aside = nullcontext,
        disk: Disk | None = None,
    ) -> None:
        self._request, self._options, self._clock = request, options, clock
        self._disk = disk or OsDisk()
        self._admit = admit
        refreshers = refreshers_of(request.source, options, timeouts, clock)
        self._job = Job(
            options=options,
            timeouts=timeouts,
            retry=retry,
            clock=clock,
            commons=commons,
            refresher=refreshers[0],
            others=refreshers[1:],
            pinned=request.checksum,
            headers=request.headers,
            declared_size=request.size,
            deadline=deadline,
            on_remote=self._meet,
            aside=aside,
        )
        self._connections = min(options.connections, commons.slots.most)
        self._known = asyncio.Event()
        self._target = Target(request, self._disk)
        self._account = Account(request, self._job, self._target, clock)
        self.complete: bool = False
        self._guard = Guard()
        self._called_off = False
        self._small: SmallObject | None = None
        self._large: LargeObject | None = None
        self._beginning: asyncio.Task[None] | None = None
        self._beating: asyncio.Task[None] | None = None
        self._writing: asyncio.Task[None] | None = None
        self._mustering: asyncio.Task[None] | None = None
        # Of the whole transfer, of one pass with its writer, and of the fetchers in it.
        self._outer: asyncio.TaskGroup
        self._inner: asyncio.TaskGroup
        self._group: asyncio.TaskGroup
        self._alone: Handover | None = None
        self._begins: Coroutine[Any, Any, None] | None = None

    async def run(self, reporter: Reporter) -> Result:
        """Download, or find it done. Raises as `download` does; how it ended is for the caller to report."""
        if reporter.wanted:
            reporter.state = self._account.state
        if await self._target.look():
            return await self._skip()
        with self._target.taken():
            return await self._run(reporter)

    async def _run(self, reporter: Reporter) -> Result:
        try:
            # What somebody left, or is at work on, and what cannot be written to, shows before the first request.
            if not self._target.clear or not self._may_be_small(self._request.size):
                await self._open()
            await self._transfer(reporter)
            size = await self._finish()
        except _AlreadyThereError:
            if self._large:
                await self._large.abandon()
            return await self._skip()
        except BaseException as error:
            self._let_go()  # what is wound up now may take seconds, and others wait for the room
            if self._large:
                await self._large.give_up(error)
            raise
        finally:
            self._let_go()
        return self._account.result(Outcome.DOWNLOADED, size)

    @property
    def used(self) -> list[int]:
        """Numbers of the places of which a response was accepted, in order."""
        return sorted(self._job.suppliers.used)

    def _let_go(self) -> None:
        """Keep no bytes: the traceback of an error holds on to all of this for as long as anybody keeps the error."""
        self._job.let_go()
        if self._small:
            self._small.let_go()

    def failed(self, error: Exception) -> Result:
        """What there is to say of a run that raised `error`."""
        remote = self._job.remote
        return self._account.result(Outcome.FAILED, remote.size if remote else None, error)

    def _may_be_small(self, size: int | None) -> bool:
        return size is None or (size <= self._options.chunk_size and size <= self._part_size(size))

    async def _open(self) -> LargeObject:
        if not self._admit():
            raise HeldOverError
        self._large = self._account.large = large = await LargeObject.open(self._request, self._job, self._disk)
        # Once more: another download may have ended before this one had the lock.
        if await self._target.look():
            raise _AlreadyThereError
        if large.prior and large.prior.held:
            self._job.suppliers.prior = large.prior.head
        return large

    async def _finish(self) -> int:
        if self._large:
            return await self._large.publish()
        assert self._small is not None  # noqa: S101  # one of the two has all the bytes
        saved = await self._small.save()
        self._account.wanted = self._small.wanted
        if not saved:
            await self._target.look_again(self._small.size)
            raise _AlreadyThereError
        return self._small.size

    async def _transfer(self, reporter: Reporter) -> None:
        """Run all tasks to their end; the first thing that went wrong is raised, and alone."""
        if not (self._large or reporter.wanted) and await self._fetch_alone():
            self.complete = True
            return
        try:
            async with asyncio.TaskGroup() as self._outer:
                reporting = self._outer.create_task(reporter.run()) if reporter.wanted else None
                await self._guard(self._bring())
                for ticker in (reporting, self._beating):
                    if ticker:
                        ticker.cancel()
        except BaseExceptionGroup as group:
            # Without a cause of ours it is GeneratorExit or the like.
            first = self._guard.cause or first_cause(group)
            if self._called_off:  # whoever did that waits for it, whatever went wrong afterwards
                raise asyncio.CancelledError from first
        else:
            return
        raise first

    async def _fetch_alone(self) -> bool:
        """Fetch in this task what may be small; whether that was all. What goes beyond goes on among other tasks."""
        self._alone = Handover(self._guard(Fetcher(self._job).run(self._first_claim())))
        return await self._alone.begin()

    async def _bring(self) -> None:
        """Fetch what is missing, and once more what turns out to be wrong."""
        await self._pass(self._first_claim())
        self.complete = True
        if not self._large:
            return
        wrong = await self._large.wrong()
        if wrong:
            self._job.scheduler.planner = self._planner(wrong, self._large.size(complete=False))
            await self._pass(None)
            await self._large.check_again()
        await self._large.writer.verifier.aclose()

    async def _pass(self, first: Claim | None) -> None:
        """Have every part that is planned fetched and written."""
        async with asyncio.TaskGroup() as self._inner:
            if self._large:
                self._write(self._large)
            try:
                await self._guard(self._fetch_all(first))
            except BaseException as error:
                self._called_off = isinstance(error, asyncio.CancelledError) and self._guard.cause is None
                if self._large and self._writing:
                    await self._large.writer.wind_up(self._writing)
                raise
            if self._writing:
                # Nothing waits for the queue to empty: if the writer fails, its group ends this wait.
                await self._job.queue.put(None)
                await self._writing

    def _write(self, large: LargeObject) -> None:
        self._beating = self._beating or self._guard.start(self._outer, large.beat())
        self._writing = self._guard.start(self._inner, large.writer.run())

    async def _fetch_all(self, first: Claim | None) -> None:
        """N fetchers, the first of them alone until it is known what there is to fetch."""
        job = self._job
        if self._large and first is None and not self._known.is_set():
            assert job.declared_size  # noqa: S101  # or the first claim would have to tell
            await self._plan([Part(0, job.declared_size)], job.declared_size)
            self._known.set()
        async with asyncio.TaskGroup() as self._group:
            if not self._large:
                # In this task: for a small object there is no other, and for a large one `_begin` calls for them.
                scope = Scope()
                job.fetchers.append(scope)
                if self._begins:
                    self._beginning = self._start(self._begins)
                await scope.run(self._alone.rest() if self._alone else self._guard(Fetcher(job).run(first)))
                return
            crew = self._crew()
            crew.begin(first)
            await self._known.wait()
            await crew.muster()

    def _crew(self) -> Crew:
        return Crew(self._job, self._start, self._connections)

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        return self._guard.start(self._group, work)

    def _first_claim(self) -> Claim | None:
        """What one fetcher asks for before the others; None where they can all begin."""
        prior = self._large.prior if self._large else None
        if prior is None and self._job.declared_size:
            return None if self._large else Claim(0, self._job.declared_size)
        # All of a small object, one part of a large one; of one that was begun, only what proves which it is.
        if self._target.existing is not None:  # nothing of it is wanted but its size
            return Claim(0, 1)
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
        if self._large:
            await self._large.reserve(size, lambda work: self._guard.start(self._inner, work))
        # The probe was one, and every gap may begin with a part that is not a full one.
        self._job.scheduler.planner = self._planner(rest, size, most_parts=max(1, MAX_PARTS - len(rest)))

    def _planner(self, rest: Sequence[Part], size: int, *, most_parts: int = MAX_PARTS) -> Planner:
        measured = self._options.part_size is None and size >= self._options.parallel_threshold
        return Planner(rest, self._part_size(size, most_parts=most_parts), measured=measured, most_parts=MAX_PARTS - 1)

    def _meet(self, remote: RemoteObject, claim: Claim, promises: tuple[Checksum, ...]) -> None:
        """The first response that was accepted."""
        size = remote.size
        if self._large or size is None or not self._may_be_small(size) or self._target.existing is not None:
            self._begins = self._begin(remote, claim, promises)
            if self._alone:
                self._alone.call()
            else:
                self._beginning = self._start(self._begins)
            return
        to_verify(self._request.checksum, promises, ())  # what contradicts the caller is refused before its bytes
        claim.stop = size
        file = self._target.small_file(check_space=self._options.check_space)
        self._small = SmallObject(size, file, pinned=self._request.checksum, promises=promises)
        self._account.small = self._small
        self._job.gather(self._small)
        self._job.begun.set()

    async def _begin(self, remote: RemoteObject, claim: Claim, promises: tuple[Checksum, ...]) -> None:
        """Get ready for what cannot be gathered in memory."""
        able = await computable(promise.algorithm for promise in promises)
        self._account.wanted = to_verify(self._request.checksum, promises, able)
        if self._target.is_there(remote.size):
            raise _AlreadyThereError
        job, large, late = self._job, self._large, not self._large
        if large is None:
            large = await self._open()
            if self._target.is_there(remote.size):
                raise _AlreadyThereError
            self._write(large)
        parts = None if job.sequential or remote.size is None else self._part_size(remote.size)
        keep = await large.begin(remote, claim, self._account.wanted, parts)
        if remote.size is not None and job.scheduler.planner is None:
            # What the first claim does not bring is for the planner; nothing is where one connection brings it all.
            alone = job.sequential or (not keep and remote.size < self._options.parallel_threshold)
            claim.stop = remote.size if alone or claim.stop is None else min(claim.stop, remote.size)
            there = Coverage(keep)
            there.add(claim.start, claim.stop)
            await self._plan(list(there.missing(remote.size)), remote.size)
        job.begun.set()
        self._known.set()
        if late:
            self._mustering = self._start(self._crew().muster())

    async def _skip(self) -> Result:
        await self._target.take_for_done(self._account.wanted)
        self._account.skipped = True
        return self._account.result(Outcome.SKIPPED, self._target.existing)
