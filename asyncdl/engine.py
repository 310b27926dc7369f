"""One file from end to end: checks, wiring of the tasks, the deadline over everything, and the finish."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Coroutine, Iterable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, get_args

import anyio

from asyncdl.edge.clock import Clock
from asyncdl.edge.files import AnyPath, FileSink, PartFile, existing_size
from asyncdl.edge.http import AiohttpTransport, Session
from asyncdl.edge.refusals import exists
from asyncdl.edge.transport import Transport
from asyncdl.edge.waits import is_cancelled
from asyncdl.errors import DeadlineError, IntegrityError, OptionsError, TransferError
from asyncdl.fetcher import Fetcher
from asyncdl.job import Job
from asyncdl.model import IfExists, Outcome, Part, RemoteObject, Request, Result, Source
from asyncdl.options import MAX_PARTS, Options, Retry, Timeouts
from asyncdl.progress import ProgressCallback, Reporter
from asyncdl.refresher import UrlRefresher
from asyncdl.rules.parts import Claim, Planner, choose_part_size
from asyncdl.rules.ranges import MAX_SIZE
from asyncdl.rules.urls import check_headers
from asyncdl.writer import Writer


async def download(
    source: Source,
    dest: AnyPath,
    *,
    size: int | None = None,
    headers: Mapping[str, str] | Iterable[tuple[str, str]] | None = None,
    if_exists: IfExists = "skip",
    options: Options = Options(),
    timeouts: Timeouts = Timeouts(),
    retry: Retry = Retry(),
    session: Session | None = None,
    on_progress: ProgressCallback | None = None,
) -> Result:
    """Download one object to `dest`, which appears only when it is complete and durable.

    Args:
        source: a URL, a `SignedUrl`, or a callable that returns one and is asked again whenever it expires.
        dest: path of the finished file. Its directory must exist; the bytes gather in `dest` + ".part" beside it.
        size: the object's size in bytes, if known; saves the probe, and is checked before a byte is written.
        headers: further request headers; they never reach another origin than the first URL's.
        if_exists: "skip" takes a file of the object's size at `dest` for done and refuses any other; "replace"
            replaces it in one step at the end; "error" refuses.
        options, timeouts, retry: see their classes.
        session: an aiohttp session to use and not to close; None opens one for this download.
        on_progress: called on the event loop about ten times a second, and once at the end.

    Returns:
        A `Result` whose outcome is DOWNLOADED or SKIPPED.

    Raises:
        OptionsError: an argument cannot be used.
        TransferError: the remote side failed for good; see its subclasses.
        RefreshError: no living URL could be had from the source.
        IntegrityError: the object is not of the size given.
        StorageError: the disk or the destination; see its subclasses.
        DeadlineError: `timeouts.total` passed.
    """
    if on_progress is not None and (not callable(on_progress) or inspect.iscoroutinefunction(on_progress)):
        raise OptionsError("on_progress must be a plain function; asyncdl.ProgressStream() can be awaited")
    clock = Clock()
    reporter = Reporter(on_progress, clock)
    with reporter.to_the_end():
        _check_types(options, timeouts, retry, session)
        deadline = None if timeouts.total is None else clock.monotonic() + timeouts.total
        bound = asyncio.timeout(timeouts.total)
        try:
            async with bound:
                request = _request(source, dest, size, headers, if_exists)
                async with _transport(options, timeouts, session) as transport:
                    return await FileDownload(
                        request, options, timeouts, retry, transport, clock=clock, deadline=deadline
                    ).run(reporter)
        except TimeoutError as error:
            if bound.expired() and not isinstance(error, DeadlineError):
                raise DeadlineError(
                    f"not complete after {timeouts.total:g} s", hint="raise Timeouts.total (--max-time)"
                ) from None
            raise


def run_download(source: Source, dest: AnyPath, **arguments: Any) -> Result:  # noqa: ANN401
    """`download` for callers without an event loop: same arguments, same result, same errors."""
    return anyio.run(partial(download, source, dest, **arguments))


def _check_types(options: object, timeouts: object, retry: object, session: object) -> None:
    wanted = {"options": (options, Options), "timeouts": (timeouts, Timeouts), "retry": (retry, Retry)}
    for name, (value, kind) in wanted.items():
        if not isinstance(value, kind):
            raise OptionsError(f"{name} must be asyncdl.{kind.__name__}(...), not {type(value).__name__}")
    if session is not None and not isinstance(session, Session):
        raise OptionsError(f"session must be an aiohttp.ClientSession, not {type(session).__name__}")


def _request(
    source: Source,
    dest: AnyPath,
    size: int | None,
    headers: Mapping[str, str] | Iterable[tuple[str, str]] | None,
    if_exists: IfExists,
) -> Request:
    if size is not None and (not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= MAX_SIZE):
        raise OptionsError(f"size must be a whole number of bytes of at least 0, not {size!r}")
    if if_exists not in get_args(IfExists):
        raise OptionsError(f"if_exists must be one of {', '.join(get_args(IfExists))}, not {if_exists!r}")
    try:
        path = Path(dest)
    except TypeError:
        raise OptionsError(f"dest must be a path, not {type(dest).__name__}") from None
    if "\0" in str(path) or not path.name or str(dest).endswith("/"):
        raise OptionsError("the destination is not the path of a file")
    return Request(source, path, size, check_headers(headers), if_exists)


@asynccontextmanager
async def _transport(options: Options, timeouts: Timeouts, session: Session | None) -> AsyncIterator[Transport]:
    transport = AiohttpTransport(options, timeouts, session)
    try:
        yield transport
    finally:
        await transport.aclose()


class _AlreadyThereError(Exception):
    """The destination turned out to be the object; unwinds the tasks and is never seen outside."""


def _leaf(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


class FileDownload:
    """One file: made for one `run`."""

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
    ) -> None:
        self._request, self._options, self._clock = request, options, clock
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
            on_remote=self._begin,
        )
        self._connections = min(options.connections, transport.connection_limit or options.connections)
        self._known = asyncio.Event()
        self._existing: int | None = None
        self._skipped = False
        self._cause: Exception | None = None
        self._sink: FileSink
        self._writer: Writer | None = None

    async def run(self, reporter: Reporter) -> Result:
        """Download, or find it done. Raises as `download` does; how it ended is for the caller to report."""
        request = self._request
        reporter.state = self._state
        self._existing = await existing_size(request.dest, request.if_exists)
        if request.if_exists == "replace":
            self._existing = None
        if request.size is not None and self._is_there(request.size):
            return self._skip(request.size)
        self._sink = await PartFile.create(request.dest, if_exists=request.if_exists)
        return await self._run_into(self._sink, reporter)

    async def _run_into(self, sink: FileSink, reporter: Reporter) -> Result:
        job = self._job
        self._writer = writer = Writer(sink, job.queue, job.write_batch)
        try:
            await self._transfer(writer, reporter)
            size = self._final_size(writer)
            await sink.publish(size)
        except _AlreadyThereError:
            await sink.abandon()
            assert self._existing is not None  # noqa: S101  # that is what the exception says
            return self._skip(self._existing)
        except BaseException:
            await sink.abandon()
            raise
        return self._result(Outcome.DOWNLOADED, size)

    async def _transfer(self, writer: Writer, reporter: Reporter) -> None:
        """Run all tasks to their end; the first thing that went wrong is raised, and alone."""
        try:
            async with asyncio.TaskGroup() as outer:
                ticker = outer.create_task(reporter.run())
                writing = outer.create_task(self._guard(writer.run()))
                await self._guard(self._fetch_all())
                # Nothing waits for the queue to empty: if the writer fails, its group ends this wait.
                await self._job.queue.put(None)
                await writing
                ticker.cancel()
        except BaseExceptionGroup as group:
            # Without a cause of ours it is GeneratorExit or the like.
            first = self._cause or _leaf(group)
        else:
            return
        raise first

    async def _fetch_all(self) -> None:
        """N fetchers, the first of them alone until it is known what there is to fetch."""
        job = self._job
        probe = None if job.declared_size else Claim(0, self._probe_length())
        if job.declared_size:
            await self._plan(Part(0, job.declared_size), job.declared_size)
            self._known.set()
        async with asyncio.TaskGroup() as group:

            def start(claim: Claim | None = None) -> None:
                job.fetchers.append(group.create_task(self._guard(Fetcher(job).run(claim))))

            start(probe)
            await self._known.wait()
            for _ in range(self._helpers()):
                start()

    async def _guard(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except asyncio.CancelledError:
            if self._cause is None and not is_cancelled():
                # Nobody cancelled this task: to its group it would have ended well, and others would wait for it.
                self._cause = TransferError("a task of the download was cancelled by something it waited for")
                raise self._cause from None
            raise
        except Exception as error:
            if self._cause is None and not isinstance(error, ExceptionGroup):
                self._cause = error
            raise

    def _probe_length(self) -> int:
        """Bytes asked for while the size is unknown: all of a small object, one part of a large one."""
        return choose_part_size(0, connections=self._connections, wanted=self._options.part_size)

    def _helpers(self) -> int:
        planner = self._job.scheduler.planner
        return min(self._connections - 1, planner.unclaimed) if planner else 0

    async def _plan(self, rest: Part, size: int) -> None:
        """Cut what is left of an object of `size` bytes, and take the space for it."""
        if size < self._options.parallel_threshold:
            part_size = max(1, rest.length)
        else:
            part_size = choose_part_size(
                size,
                connections=self._connections,
                wanted=self._options.part_size,
                most_parts=MAX_PARTS - (rest.start > 0),  # the probe was one
            )
        if self._options.preallocate:
            await self._sink.reserve(size)
        self._job.scheduler.planner = Planner(rest, part_size)

    async def _begin(self, remote: RemoteObject, claim: Claim) -> None:
        """The first response that was accepted."""
        if remote.size is not None and self._is_there(remote.size):
            raise _AlreadyThereError
        if remote.size is None and self._existing is not None:
            raise exists(self._request.dest, "it is there, and the server does not say its size")
        if remote.size is not None and self._job.scheduler.planner is None:
            # What the first claim does not bring is for the planner; nothing is where one connection brings it all.
            alone = self._job.sequential or remote.size < self._options.parallel_threshold
            claim.stop = remote.size if alone or claim.stop is None else min(claim.stop, remote.size)
            await self._plan(Part(claim.stop, remote.size), remote.size)
        self._known.set()

    def _is_there(self, size: int) -> bool:
        """Whether the destination is there and has `size` bytes; an error if it has another size."""
        if self._existing is None or self._existing == size:
            return self._existing is not None
        raise exists(self._request.dest, f"it has {self._existing} bytes, the object has {size}")

    def _final_size(self, writer: Writer) -> int:
        remote = self._job.remote
        size = remote.size if remote else None
        if size is None:
            size = writer.written
        missing = next(writer.coverage.missing(size), None)
        if missing is not None or writer.written != size:
            raise IntegrityError(f"{size - writer.written} of {size} bytes are missing at the end")
        return size

    def _state(self) -> tuple[int, int | None, int, int]:
        job = self._job
        total = job.remote.size if job.remote else job.declared_size
        written = self._writer.written if self._writer else 0
        if self._skipped:
            written = total = self._existing or 0
        return written, total, job.counters.retries, job.refresher.refreshes

    def _skip(self, size: int) -> Result:
        self._skipped = True
        return self._result(Outcome.SKIPPED, size)

    def _result(self, outcome: Outcome, size: int) -> Result:
        counters = self._job.counters
        return Result(
            path=self._request.dest,
            outcome=outcome,
            size=size,
            elapsed=self._clock.monotonic() - self._began,
            fetched=counters.fetched,
            requests=counters.requests,
            retries=counters.retries,
            refreshes=self._job.refresher.refreshes,
        )
