"""The first thing that goes wrong among the tasks of a download: all others are only what follows from it."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from asyncdl.edge.waits import is_cancelled
from asyncdl.errors import TransferError


class Guard:
    """Runs work and remembers the first error of all that it ran.

    Attributes:
        cause: that error, or None.
    """

    cause: Exception | None

    def __init__(self) -> None:
        self.cause = None

    def start(self, group: asyncio.TaskGroup, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run work in a task of the group."""
        task = group.create_task(self(work))
        # Cancelled before its first step, the task has not so much as looked at it.
        task.add_done_callback(lambda _: work.close())
        return task

    async def __call__(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except asyncio.CancelledError:
            if self.cause is None and not is_cancelled():
                # Nobody cancelled this task: to its group it would have ended well, and others would wait for it.
                self.cause = TransferError("a task of the download was cancelled by something it waited for")
                raise self.cause from None
            raise
        except Exception as error:
            if self.cause is None and not isinstance(error, ExceptionGroup):
                self.cause = error
            raise
