"""The rows of a batch as a caller has them: any iterable, or one that may take its time."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, AsyncIterable, Iterable
from typing import TypeAlias

from asyncdl.errors import OptionsError
from asyncdl.model import Outcome, Request, Result

#: Rows, as a caller has them.
Rows: TypeAlias = Iterable[Request] | AsyncIterable[Request]


def checked_row(row: object) -> Request:
    """The row, if it is one.

    Raises:
        OptionsError: it is not.
    """
    if not isinstance(row, Request):
        raise OptionsError(f"a row of a batch is an asyncdl.Request, not {type(row).__name__}")
    return row


async def each_row(rows: AsyncIterable[Request]) -> AsyncGenerator[Request, None]:
    """The rows, whose generator, if it is one, is closed with this one."""
    if isinstance(rows, AsyncGenerator):
        # Left to the garbage collector, it would end some time later, in a task of its own.
        async with contextlib.aclosing(rows):
            async for row in rows:
                yield row
    else:
        async for row in rows:
            yield row


def failed(request: Request, error: Exception, elapsed: float) -> Result:
    """For a file of which nothing was begun."""
    return Result(request=request, path=request.dest, outcome=Outcome.FAILED, size=None, elapsed=elapsed, error=error)
