"""Work that is awaited in one place up to some moment, and in another place of the same task from there on."""

from __future__ import annotations

from collections.abc import Awaitable, Coroutine, Generator
from types import coroutine
from typing import Any, Final

_NOTHING: Final = object()


class Handover:
    """Runs a coroutine in the task that awaits its two parts, one after the other.

    So the first part goes without what must be around the second: groups of tasks, say, that are seldom needed.
    """

    def __init__(self, work: Coroutine[Any, Any, None]) -> None:
        self._work = work
        self._due = False
        self._awaits: Any = _NOTHING

    def call(self) -> None:
        """From within the work: where it waits next, its first part ends."""
        self._due = True

    def begin(self) -> Awaitable[bool]:
        """The first part; whether that was all. If not, `rest` is to be awaited next, before anything that may wait."""
        return self._drive(to_the_end=False)

    async def rest(self) -> None:
        """What follows."""
        await self._drive(to_the_end=True)

    @coroutine
    def _drive(self, *, to_the_end: bool) -> Generator[Any, Any, bool]:
        error: BaseException | None = None
        while True:
            if self._awaits is _NOTHING:
                try:
                    self._awaits = self._work.send(None) if error is None else self._work.throw(error)
                except StopIteration:
                    return True
                finally:
                    error = None  # kept here, it would keep itself
                if self._due and not to_the_end:
                    return False
            awaited, self._awaits = self._awaits, _NOTHING
            try:
                yield awaited
            except BaseException as thrown:  # noqa: BLE001  # whatever the task is told is for the work
                error = thrown
