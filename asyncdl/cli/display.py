"""What the user sees: plain lines, JSON lines, or errors only; the bar for terminals is in a module of its own."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Final

from asyncdl.cli import exit_codes, text
from asyncdl.cli.streams import Lines
from asyncdl.model import Phase

if TYPE_CHECKING:
    import signal
    from collections.abc import Callable
    from typing import TextIO

    from asyncdl.cli.jobs import Job
    from asyncdl.model import Progress, Result

#: Seconds between two plain lines about one file.
LINE_INTERVAL: Final = 5.0
_AGAIN: Final = "the same command goes on with what has come, if the server can send the rest of the same file"


class Display:
    """Errors only, on standard error; the base of the others.

    Args:
        errors: where errors and notes go.
        verbose: 0; 1: notes; 2: tracebacks as well.
    """

    def __init__(self, errors: TextIO, *, verbose: int = 0) -> None:
        self.errors: Lines = Lines(errors)
        self.verbose = verbose
        #: Whether an error must say which of several files it is about.
        self.several = False
        #: Whether the same command would go on from where it is now.
        self.resumable = False

    def started(self, job: Job) -> None:
        """A file begins."""
        if self.verbose:
            self.note(f"{job.url or 'URL from the refresh command'} -> {job.path}")

    def progressed(self, job: Job, progress: Progress) -> None:
        """It goes on, or has ended."""

    def finished(self, job: Job, result: Result) -> None:
        """It is complete, or was so before."""

    def failed(self, job: Job | None, error: BaseException) -> None:
        """It failed; without a job: before any began."""
        about = str(job.path) if job and self.several else None
        for line in text.error_lines(error, about=about, with_traceback=self.verbose > 1):
            self.errors.write(line)

    def interrupted(self, number: signal.Signals) -> None:
        """A signal ended everything."""
        self.errors.write(f"{text.PROGRAM}: interrupted by {number.name}")
        if self.resumable:
            self.errors.write(f"hint: {_AGAIN}")

    def note(self, line: str) -> None:
        """Something for whoever asked for more."""
        self.errors.write(text.clean(line))

    def close(self) -> None:
        """Leave the terminal as it was; may be called twice, and from a signal handler."""


class PlainDisplay(Display):
    """Lines for a log: progress at most every five seconds, and a summary of each file."""

    def __init__(self, errors: TextIO, *, verbose: int = 0, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(errors, verbose=verbose)
        self._clock = clock
        self._due = 0.0

    def started(self, job: Job) -> None:
        """The first line is due five seconds from here."""
        super().started(job)
        self._due = self._clock() + LINE_INTERVAL

    def progressed(self, job: Job, progress: Progress) -> None:
        """A line, if one is due."""
        now = self._clock()
        # The end has lines of its own, and of a file that was there already nothing has been downloaded.
        if progress.phase is not Phase.DOWNLOADING or now < self._due:
            return
        self._due = now + LINE_INTERVAL
        self.errors.write(text.progress_line(job.name, progress))

    def finished(self, job: Job, result: Result) -> None:
        """The summary."""
        del job
        self.errors.write(text.summary_line(result))


class JsonDisplay(Display):
    """One JSON object a line on standard output for each event; errors as words on standard error as well.

    Every event has `event`, `url` (without its query, or null) and `path`. Sizes are in bytes, times in seconds, what
    is not known is null.

    Args:
        quiet: nothing but `failed` events.
    """

    def __init__(self, output: TextIO, errors: TextIO, *, verbose: int = 0, quiet: bool = False) -> None:
        super().__init__(errors, verbose=verbose)
        self._output = Lines(output)
        self._quiet = quiet
        self._current: Job | None = None

    def started(self, job: Job) -> None:
        """Event `start`."""
        super().started(job)
        self._current = job
        self._event("start", job)

    def progressed(self, job: Job, progress: Progress) -> None:
        """Event `progress`; the end has events of its own."""
        if progress.phase is Phase.DOWNLOADING:
            self._event(
                "progress",
                job,
                done=progress.done,
                total=progress.total,
                resumed=progress.resumed,
                rate=round(progress.rate, 1),
                eta=None if progress.eta is None else round(progress.eta, 1),
                elapsed=round(progress.elapsed, 3),
                retries=progress.retries,
                refreshes=progress.refreshes,
            )

    def finished(self, job: Job, result: Result) -> None:
        """Event `finished`."""
        self._current = None
        self._event(
            "finished",
            job,
            outcome=result.outcome.value,
            done=result.size,
            total=result.size,
            checksum=None if result.checksum is None else str(result.checksum),
            fetched=result.fetched,
            resumed=result.resumed,
            elapsed=round(result.elapsed, 3),
            requests=result.requests,
            retries=result.retries,
            refreshes=result.refreshes,
        )

    def failed(self, job: Job | None, error: BaseException) -> None:
        """Event `failed`."""
        super().failed(job, error)
        self._failure(job, text.code_of(error), text.message_of(error), text.hint_of(error), exit_codes.of_error(error))

    def interrupted(self, number: signal.Signals) -> None:
        """Event `failed` with the code `interrupted`."""
        super().interrupted(number)
        message = f"interrupted by {number.name}"
        hint = _AGAIN if self.resumable else None
        self._failure(self._current, "interrupted", message, hint, exit_codes.of_signal(number))

    def _failure(self, job: Job | None, code: str, message: str, hint: str | None, exit_code: int) -> None:
        self._current = None
        self._event("failed", job, outcome="failed", code=code, message=message, hint=hint, exit_code=exit_code)

    def _event(self, event: str, job: Job | None, **values: object) -> None:
        self._emit(event, {"url": job.url if job else None, "path": str(job.path) if job else None}, **values)

    def _emit(self, event: str, about: dict[str, object], **values: object) -> None:
        if not self._quiet or event == "failed":
            self._output.write(json.dumps({"event": event} | about | values))
