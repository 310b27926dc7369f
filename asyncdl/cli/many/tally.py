"""How a batch stands: what has ended, what is at work, what failed, as far as it is shown; nothing is shown here."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from asyncdl.cli import exit_codes, text
from asyncdl.cli.exit_codes import ExitCode
from asyncdl.model import Phase
from asyncdl.rules.meter import Meter
from asyncdl.summary import Summary

if TYPE_CHECKING:
    from asyncdl.cli.many.items import Item, Refused
    from asyncdl.model import Progress, Result

#: Failures that the table at the end names.
MOST_SHOWN: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """What is shown of one file that failed."""

    place: str
    code: str
    message: str
    hint: str | None


@dataclass(slots=True)
class Tally:
    """The sums of a batch so far.

    Attributes:
        clock: monotonic, in seconds.
        summary: of all that has ended, rows that were refused among it.
        failures: the first of them.
        codes: the exit codes of all that has ended.
        at_work: the last progress of each file that is, by its path.
    """

    clock: Callable[[], float] = time.monotonic
    summary: Summary = field(default_factory=Summary)
    failures: list[Failure] = field(default_factory=list)
    codes: set[ExitCode] = field(default_factory=set)
    at_work: dict[Path, Progress] = field(default_factory=dict)
    began: float = field(init=False)
    _meter: Meter = field(init=False)

    def __post_init__(self) -> None:
        self.began = self.clock()
        self._meter = Meter(self.began)

    @property
    def elapsed(self) -> float:
        """Seconds since the beginning."""
        return self.clock() - self.began

    @property
    def fetched(self) -> int:
        """Bytes from the network, those of files at work included."""
        return self.summary.fetched + sum(one.done - one.resumed for one in self.at_work.values())

    @property
    def done(self) -> int:
        """Bytes that are there now, those of files at work included."""
        return self.summary.size + sum(one.done for one in self.at_work.values())

    @property
    def exit_code(self) -> ExitCode:
        """What the process would say if this were the end."""
        return exit_codes.combined(list(self.codes))

    def rate(self) -> float:
        """Bytes per second over the last seconds."""
        return self._meter.add(self.clock(), self.fetched)

    def progressed(self, item: Item, progress: Progress) -> None:
        """A file goes on."""
        if progress.phase is Phase.DOWNLOADING:
            self.at_work[item.path] = progress

    def ended(self, item: Item, result: Result) -> None:
        """A file has ended, well or not."""
        self.at_work.pop(item.path, None)
        self.summary = self.summary.plus(result)
        if result.error is None:
            self.codes.add(ExitCode.OK)
        else:
            self._failed(item, result.error)

    def refused(self, subject: Refused, error: Exception) -> None:
        """A row or a file was not begun."""
        self.summary = replace(self.summary, failed=self.summary.failed + 1)
        self._failed(subject, error)

    def _failed(self, subject: Item | Refused, error: Exception) -> None:
        self.codes.add(exit_codes.of_error(error))
        if len(self.failures) < MOST_SHOWN:
            code, message, hint = text.code_of(error), text.message_of(error), text.hint_of(error)
            self.failures.append(Failure(place=subject.place, code=code, message=message, hint=hint))
