"""One run over many rows: takes them late, has so many files at work at once, and hands out results as files end."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeAlias

from asyncdl.edge.waits import first_cause, is_cancelled
from asyncdl.engine import HeldOverError
from asyncdl.errors import DeadlineError, SourceError
from asyncdl.job import Aside
from asyncdl.model import Request, Result, SignedUrl
from asyncdl.rows import Rows, checked_row, each_row
from asyncdl.summary import Summary

#: Brings one file, if it is admitted; the last argument is the deadline of the batch, in seconds of the loop's clock.
Bring: TypeAlias = Callable[[Request, Callable[[], bool], Aside, float | None], Awaitable[Result]]

#: Files known to be large that may wait for their turn while small ones go ahead. Each has cost at most one request.
_MOST_HELD_OVER: Final = 64
#: Files that may wait for a host that asked for peace, while others are at work. Each costs a URL, and no connection.
_MOST_ASIDE: Final = 64
#: Of the files at work, one in so many is not a large one, as long as there are others.
_SMALL_SHARE: Final = 4

#: The batch that a task is at work for.
_at_work_for: ContextVar[Batch | None] = ContextVar("asyncdl batch", default=None)


@dataclass(slots=True, eq=False)
class _File:
    """One at work; `large` once it is known to be, and counts as such; `aside` while it has no place."""

    request: Request
    large: bool = False
    aside: bool = False


class Batch:
    """The results of one run, in the order in which the files end; made by `Downloader.run`.

        async for result in batch:
            ...
        print(batch.summary)

    The rows are taken when there is room for another file, and no earlier. Nothing happens before the first result is
    asked for, and little while results are not taken. What the iterable of rows raises comes out here, when the files
    that were begun before have ended.

    Whoever stops early calls `aclose()`, or leaves the `Downloader`, which does.

    Args:
        files: at work at once.
        connections: that they share.
        large: asked whether an object of so many bytes is large for certain.
        total: seconds for the batch.
    """

    def __init__(
        self,
        rows: Rows,
        bring: Bring,
        *,
        files: int,
        connections: int,
        large: Callable[[int], bool],
        total: float | None,
    ) -> None:
        self._rows, self._bring, self._files, self._total = rows, bring, files, total
        self._is_large = large
        # Each of them has a connection of its own at first, and one is to be left.
        self._most_large = max(1, min(files - files // _SMALL_SHARE, connections - 1))
        self._next: Request | None = None
        # Rows that come without a wait; and whether there will be no more, of whatever kind.
        self._plain: Iterator[object] | None = None
        self._no_more = False
        self._held_over: deque[Request] = deque()
        self._active = self._active_large = self._aside = 0
        self._returning: deque[tuple[_File, asyncio.Future[None]]] = deque()
        self._results: deque[Result] = deque()
        self._changed, self._news, self._wanted = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._deadline: float | None = None
        self._overdue = False
        self._running: asyncio.Task[None] | None = None
        self._feeding: asyncio.Task[None] | None = None
        self._told = False
        self._fault: Exception | None = None
        self._summary = Summary()

    @property
    def summary(self) -> Summary:
        """The results handed out so far, summed up."""
        return self._summary

    @property
    def ended(self) -> bool:
        """Whether nothing is at work any more, and nothing will be."""
        return self._running is not None and self._running.done()

    def __aiter__(self) -> AsyncIterator[Result]:
        return self

    async def __anext__(self) -> Result:
        if self._running is None:
            self._running = asyncio.create_task(self._run())
            self._running.add_done_callback(lambda _: self._news.set())
        while not self._results and not self._running.done():
            self._news.clear()
            await self._news.wait()
        if self._results:
            if not self._has_room():
                self._changed.set()
            result = self._results.popleft()
            self._summary = self._summary.plus(result)
            return result
        if not self._told and not self._running.cancelled():
            self._told = True
            self._running.result()
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Cancel what is at work, and wait for its end: every file is whole, resumable or absent.

        From within the batch, by its rows or a source, it only cancels.
        """
        self._told = True
        if self._running is None:
            self._running = asyncio.create_task(asyncio.sleep(0))
        self._running.cancel()
        if _at_work_for.get() is self:
            return  # it would wait for itself
        cancelled: asyncio.CancelledError | None = None
        while not self._running.done():
            # Each file bounds what it does after a cancellation, and nobody is to go on while it is at that: whoever
            # cancels once more only ends what the caller's rows may be doing to end.
            try:
                await asyncio.wait({self._running})
            except asyncio.CancelledError as error:
                cancelled = error
                if self._feeding is not None:
                    self._feeding.cancel()
        self._results.clear()
        if not self._running.cancelled():
            self._running.exception()
        if cancelled is not None:
            raise cancelled

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        _at_work_for.set(self)
        self._deadline = None if self._total is None else loop.time() + self._total
        try:
            async with asyncio.TaskGroup() as group:
                if isinstance(self._rows, AsyncIterable):
                    self._feeding = group.create_task(self._feed(self._rows))
                timer = None if self._deadline is None else loop.call_at(self._deadline, self._ring)
                try:
                    await self._dispatch(group)
                finally:
                    self._no_more, self._plain = True, None
                    if self._feeding is not None:
                        self._feeding.cancel()
                    if timer is not None:
                        timer.cancel()
        except BaseExceptionGroup as group_of_errors:
            raise first_cause(group_of_errors) from None
        if self._fault is not None:
            raise self._fault

    def _ring(self) -> None:
        self._overdue = True
        self._changed.set()

    async def _feed(self, rows: AsyncIterable[Request]) -> None:
        """Have a row ready when there is room for it: a URL in it may not live for long."""
        try:
            await self._wanted.wait()
            async with contextlib.aclosing(each_row(rows)) as each:
                async for row in each:
                    self._next = checked_row(row)
                    self._wanted.clear()
                    self._changed.set()
                    await self._wanted.wait()
        except (asyncio.CancelledError, Exception) as error:  # noqa: BLE001  # see there
            self._broken(error)
        finally:
            self._no_more = True
            self._changed.set()

    def _take(self) -> None:
        """Have the next row ready, of those that come without a wait."""
        try:
            if self._plain is None:
                assert isinstance(self._rows, Iterable)  # noqa: S101  # others are fed by a task
                self._plain = iter(self._rows)
            self._next = checked_row(next(self._plain))
        except StopIteration:
            self._no_more = True
        except (asyncio.CancelledError, Exception) as error:  # noqa: BLE001  # see there
            self._no_more = True
            self._broken(error)

    def _broken(self, error: BaseException) -> None:
        """Rows, which are a stranger's code, raised this: it is raised once more when what was begun has ended."""
        if not isinstance(error, asyncio.CancelledError):
            self._fault = error if isinstance(error, Exception) else None
        elif is_cancelled():
            raise error
        else:
            # Nobody cancelled this task: let through, it would look as if there were no more rows.
            self._fault = SourceError("the rows of the batch were cancelled by something they waited for")

    async def _dispatch(self, group: asyncio.TaskGroup) -> None:
        """Start files as there is room for them, until none is left."""
        while True:
            self._changed.clear()
            while not self._overdue and self._start(group):
                pass
            waiting = self._next is not None or bool(self._held_over)
            if not self._active and not self._aside:
                if self._overdue and (waiting or not self._no_more):
                    hint = "what there was no time for was not begun: run it again, or allow more time"
                    late = DeadlineError(f"the batch is not complete after {self._total:g} s", hint=hint)
                    late.__cause__, self._fault = self._fault, late
                if self._overdue or (self._no_more and not waiting):
                    return
            if self._wants_row():
                if self._feeding is None:
                    self._take()
                    continue
                self._wanted.set()
            # For a file, which has bounds of its own, for the caller's rows, and for the caller to take results.
            await self._changed.wait()

    def _wants_row(self) -> bool:
        done = self._overdue or self._no_more or self._next is not None
        return not done and self._has_room() and self._may_look_ahead()

    def _has_room(self) -> bool:
        return self._active < self._files and len(self._results) < self._files

    def _has_room_for_large(self) -> bool:
        others = self._next is not None or not self._no_more
        return self._active_large < self._most_large or not others

    def _may_look_ahead(self) -> bool:
        return len(self._held_over) < _MOST_HELD_OVER

    def _start(self, group: asyncio.TaskGroup) -> bool:
        """Begin one more file, or go on with one; whether that made sense."""
        if self._returning and self._active < self._files:
            self._return(*self._returning.popleft())
            return True
        file = self._chosen()
        if file is not None:
            group.create_task(self._work(file))
        return file is not None

    def _chosen(self) -> _File | None:
        """The next one that can be begun now; it counts as begun."""
        while self._has_room():
            room = self._has_room_for_large()
            if self._held_over and room:
                file = _File(self._held_over.popleft(), large=True)
            elif self._next is not None and self._may_look_ahead():
                file, self._next = _File(self._next), None
                size = file.request.size
                if isinstance(size, int) and self._is_large(size):
                    if not room:
                        self._held_over.append(file.request)
                        continue
                    file.large = True
            else:
                break
            self._active += 1
            self._active_large += file.large
            return file
        return None

    async def _work(self, file: _File) -> None:
        """One file; and where nothing stands in the way, the next one after it, which saves a task for each."""
        following: _File | None = file
        while following is not None:
            file, following = following, None
            try:
                await self._one(file)
                # What a stranger's code leaves in a task, such as a context or half a cancellation, is for nobody else.
                if isinstance(file.request.source, str | SignedUrl) and not is_cancelled():
                    following = self._following()
            finally:
                # Where there is room for more than the next one, whoever looks further ahead is to do so.
                if following is None or self._has_room():
                    self._changed.set()

    def _following(self) -> _File | None:
        if self._overdue or self._returning:
            return None
        if self._feeding is None and self._wants_row():
            self._take()
        return self._chosen()

    async def _one(self, file: _File) -> None:
        about = (file.request, partial(self._admit, file), partial(self._step_aside, file), self._deadline)
        try:
            self._results.append(await self._bring(*about))
            self._news.set()
        except HeldOverError:
            self._held_over.append(file.request)
        finally:
            self._active -= not file.aside
            self._aside -= file.aside
            self._active_large -= file.large

    def _admit(self, file: _File) -> bool:
        """Whether a file that turned out to be large may go on."""
        if not file.large and self._has_room_for_large():
            file.large = True
            self._active_large += 1
        return file.large

    @contextlib.asynccontextmanager
    async def _step_aside(self, file: _File) -> AsyncIterator[None]:
        """Leave the place to others; one that is cancelled meanwhile, or fails, needs none any more."""
        if file.large or file.aside or self._aside >= _MOST_ASIDE:
            yield
            return
        file.aside = True
        self._aside += 1
        self._active -= 1
        self._changed.set()
        yield
        # For files at work, which have bounds of their own, and none of which waits for this one.
        place = asyncio.get_running_loop().create_future()
        self._returning.append((file, place))
        self._changed.set()
        await place

    def _return(self, file: _File, place: asyncio.Future[None]) -> None:
        if not place.done():
            place.set_result(None)
            file.aside = False
            self._aside -= 1
            self._active += 1
