"""What the user sees of many files: plain lines, JSON lines, or errors only; the bars are in a module of their own."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeAlias

from asyncdl.cli import exit_codes, text
from asyncdl.cli.display import LINE_INTERVAL, Display, JsonDisplay
from asyncdl.cli.many import words
from asyncdl.cli.many.items import Item, Refused

if TYPE_CHECKING:
    import signal
    from collections.abc import Callable
    from typing import TextIO

    from asyncdl.cli.jobs import Job
    from asyncdl.cli.many.tally import Tally
    from asyncdl.model import Progress, Result


class ManyDisplay(Display):
    """Errors only, each with the file it is about; the base of the others.

    Args:
        errors: where errors and notes go.
        tally: how the batch stands; whoever downloads keeps it.
        verbose: 0; 1: notes; 2: tracebacks as well.
    """

    def __init__(self, errors: TextIO, tally: Tally, *, verbose: int = 0) -> None:
        super().__init__(errors, verbose=verbose)
        self.tally = tally
        self.several = True

    def refused(self, subject: Refused, error: Exception) -> None:
        """A row or a file was not begun."""
        for line in text.error_lines(error, about=subject.label, with_traceback=self.verbose > 1):
            self.errors.write(line)

    def warned(self, line: str) -> None:
        """Something that the user should know."""

    def ended(self) -> None:
        """Everything has."""


class ManyPlain(ManyDisplay):
    """Lines for a log: all together at most every five seconds, a summary of each file, and the table at the end."""

    def __init__(
        self, errors: TextIO, tally: Tally, *, verbose: int = 0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__(errors, tally, verbose=verbose)
        self._clock = clock
        self._due = clock() + LINE_INTERVAL

    def progressed(self, job: Job, progress: Progress) -> None:
        """A line, if one is due."""
        del job, progress
        now = self._clock()
        if now >= self._due:
            self._due = now + LINE_INTERVAL
            self.errors.write(words.total_line(self.tally))

    def finished(self, job: Job, result: Result) -> None:
        """Its summary."""
        del job
        self.errors.write(text.summary_line(result))

    def warned(self, line: str) -> None:
        """A line."""
        self.errors.write(words.note(line))

    def ended(self) -> None:
        """The table."""
        for line in words.table(self.tally):
            self.errors.write(line)

    def interrupted(self, number: signal.Signals) -> None:
        """How far it had come, and the signal."""
        self.errors.write(words.counts(self.tally))
        super().interrupted(number)


class ManyJson(JsonDisplay):
    """The events of `JsonDisplay`, each with `line`, of the list or null, and at the end one `summary`."""

    def __init__(self, output: TextIO, errors: TextIO, tally: Tally, *, verbose: int = 0, quiet: bool = False) -> None:
        super().__init__(output, errors, verbose=verbose, quiet=quiet)
        self.tally = tally
        self.several = True

    def started(self, job: Job) -> None:
        """Event `start`."""
        super().started(job)
        # An interruption is of all of them.
        self._current = None

    def refused(self, subject: Refused, error: Exception) -> None:
        """Event `failed` of a file that has no path, or was not begun."""
        for line in text.error_lines(error, about=subject.label, with_traceback=self.verbose > 1):
            self.errors.write(line)
        self._emit(
            "failed",
            {"url": subject.url, "path": None, "line": subject.line},
            outcome="failed",
            code=text.code_of(error),
            message=text.message_of(error),
            hint=text.hint_of(error),
            exit_code=exit_codes.of_error(error),
        )

    def warned(self, line: str) -> None:
        """In words only."""
        if not self._quiet:
            self.errors.write(words.note(line))

    def ended(self) -> None:
        """Event `summary`."""
        self._summarise(self.tally.exit_code)

    def interrupted(self, number: signal.Signals) -> None:
        """Event `failed` with the code `interrupted`, and the summary so far."""
        super().interrupted(number)
        self._summarise(exit_codes.of_signal(number))

    def _summarise(self, exit_code: int) -> None:
        summary, elapsed = self.tally.summary, self.tally.elapsed
        self._emit(
            "summary",
            {"url": None, "path": None, "line": None},
            files=summary.files,
            downloaded=summary.downloaded,
            skipped=summary.skipped,
            failed=summary.failed,
            size=summary.size,
            fetched=summary.fetched,
            resumed=summary.resumed,
            requests=summary.requests,
            retries=summary.retries,
            refreshes=summary.refreshes,
            elapsed=round(elapsed, 3),
            rate=round(summary.fetched / elapsed, 1) if elapsed > 0 else 0.0,
            exit_code=exit_code,
        )

    def _event(self, event: str, job: Job | None, **values: object) -> None:
        about: dict[str, object] = {
            "url": job.url if job else None,
            "path": str(job.path) if job else None,
            "line": job.line if isinstance(job, Item) else None,
        }
        self._emit(event, about, **values)


#: Whatever shows a batch.
Shows: TypeAlias = ManyDisplay | ManyJson
