"""Waits told apart: a timeout that our own blocked loop does not bring on, a cancellation that nobody asked for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from typing import Any

from asyncdl.errors import DeadlineError

#: Seconds by which a timer may be late before the loop counts as blocked, and the longest second chance after that.
_LATE = 0.1
_SECOND_CHANCE = 1.0


class Bound:
    """A timeout for the server's answer that a blocked loop of ours does not bring on: late, it rings once more."""

    def __init__(self, seconds: float) -> None:
        self.timeout: asyncio.Timeout = asyncio.timeout(None)
        self._loop = asyncio.get_running_loop()
        self._patient = True
        self._due = self._loop.time() + seconds
        self._arm()

    def _arm(self) -> None:
        self._timer: asyncio.TimerHandle = self._loop.call_at(self._due, self._ring)

    def set(self, seconds: float) -> None:
        """Ring `seconds` from now."""
        self._due = self._loop.time() + seconds
        if self._due < self._timer.when():
            self._timer.cancel()
            self._arm()

    def cancel(self) -> None:
        """Never ring."""
        self._timer.cancel()

    def _ring(self) -> None:
        late = self._loop.time() - self._due
        if self._timer.when() < self._due:  # set to a later time meanwhile, and this timer left as it was
            self._arm()
        elif late > _LATE and self._patient:
            # What arrived while the loop was blocked has not been looked at yet.
            self._patient = False
            self._due += late + min(late, _SECOND_CHANCE)
            self._arm()
        else:
            self.timeout.reschedule(self._loop.time())


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
    return nullcontext() if seconds is None else _within(seconds, hint, what)


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
