"""Waits told apart: a timeout that our own blocked loop does not bring on, a cancellation that nobody asked for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from itertools import takewhile
from typing import Any, Protocol

from asyncdl.errors import DeadlineError

#: Seconds by which a timer may be late before the loop counts as blocked, and the longest second chance after that.
_LATE = 0.1
_SECOND_CHANCE = 1.0
_NO_BOUND = nullcontext()


class Bound:
    """A timeout for the server's answer that a blocked loop of ours does not bring on: late, it rings once more.

    Args:
        row: says when.
    """

    __slots__ = ("_due", "_patient", "_row", "_timer", "timeout")

    def __init__(self, row: Row) -> None:
        self.timeout: asyncio.Timeout = asyncio.Timeout(None)
        self._patient = True
        self._timer: asyncio.TimerHandle | None = None
        self._row = row
        self._due = row.add(self)

    def move(self, row: Row) -> None:
        """Ring when that row says, counted from now, and not before."""
        self.cancel()
        self._row = row
        self._due = row.add(self)

    def cancel(self) -> None:
        """Never ring."""
        self._row.drop(self)
        if self._timer is not None:
            self._timer.cancel()

    def ring(self) -> None:
        """It is due."""
        loop = asyncio.get_running_loop()
        late = loop.time() - self._due
        if late > _LATE and self._patient:
            # What arrived while the loop was blocked has not been looked at yet.
            self._patient = False
            self._due += late + min(late, _SECOND_CHANCE)
            self._timer = loop.call_at(self._due, self.ring)
        else:
            self.timeout.reschedule(loop.time())


class Ringing(Protocol):
    """Whoever waits."""

    def ring(self) -> None:
        """It is due."""
        ...


class Row:
    """Waits that are due equally long after they began, and so in that order: a timer for the first of them will do.

    With one for each request or chunk, the event loop spends much of its time on sorting them.

    Args:
        seconds: until a wait is due.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._dues: dict[Ringing, float] = {}
        self._timer: asyncio.TimerHandle | None = None

    def add(self, bound: Ringing) -> float:
        """One more; when it is due, on the loop's clock."""
        loop = asyncio.get_running_loop()
        self._dues[bound] = due = loop.time() + self._seconds
        if self._timer is None:
            self._timer = loop.call_at(due, self._ring)
        return due

    def drop(self, bound: Ringing) -> None:
        """It is not to ring any more. The timer stays: there will be others."""
        self._dues.pop(bound, None)

    def close(self) -> None:
        """Nobody rings any more."""
        self._dues.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _ring(self) -> None:
        assert self._timer is not None  # noqa: S101  # it has just called
        loop = asyncio.get_running_loop()
        # A loop may call a little early, by the resolution of its clock.
        now = max(loop.time(), self._timer.when())
        due = list(takewhile(lambda bound: self._dues[bound] <= now, self._dues))
        for bound in due:
            del self._dues[bound]
        first = next(iter(self._dues.values()), None)
        self._timer = None if first is None else loop.call_at(first, self._ring)
        for bound in due:
            bound.ring()


class Scope:
    """Work in a task that others may end while the task goes on.

    Attributes:
        ended: done when the work is.
    """

    def __init__(self) -> None:
        self._timeout = asyncio.timeout(None)
        self._task: asyncio.Task[Any] | None = None
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def done(self) -> bool:
        return self.ended.done()

    async def run(self, work: Coroutine[Any, Any, None]) -> None:
        """Do the work in this task, until it ends or is ended; once."""
        self._task = asyncio.current_task()
        try:
            async with self._timeout:
                await work
        except TimeoutError:
            if not self._timeout.expired():
                raise
        finally:
            self._task = None
            self.ended.set_result(None)

    def cancel(self) -> None:
        """End the work, if it is running and does not itself ask for it."""
        if self._task not in {None, asyncio.current_task()} and not self._timeout.expired():
            self._timeout.reschedule(asyncio.get_running_loop().time())


def within(seconds: float | None, *, hint: str, what: str = "") -> AbstractAsyncContextManager[object]:
    """Raise DeadlineError in what takes longer.

    Args:
        seconds: None for no deadline.
        hint: for the error.
        what: is not complete then; the start of a sentence.
    """
    return _NO_BOUND if seconds is None else _within(seconds, hint, what)


@asynccontextmanager
async def _within(seconds: float, hint: str, what: str) -> AsyncIterator[None]:
    bound = asyncio.timeout(seconds)
    try:
        async with bound:
            yield
    except TimeoutError as error:
        if bound.expired() and not isinstance(error, DeadlineError):
            raise DeadlineError(f"{what} not complete after {seconds:g} s".lstrip(), hint=hint) from None
        raise


def is_cancelled() -> bool:
    """Whether somebody cancelled the running task; a CancelledError without that comes from what it waits for."""
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0


def first_cause(error: BaseException) -> BaseException:
    """The first error in a group, and in the groups in it; an error that is no group is its own."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
