"""The bars for terminals where there are many files: one line for all, and the files at work below it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.progress import BarColumn
from rich.progress import Progress as Bar

from asyncdl.cli import text
from asyncdl.cli.bar import ConsoleLines, FieldColumn, unless_gone
from asyncdl.cli.many import words
from asyncdl.cli.many.display import ManyDisplay
from asyncdl.cli.streams import Lines

if TYPE_CHECKING:
    import signal
    from pathlib import Path
    from typing import TextIO

    from rich.progress import TaskID

    from asyncdl.cli.jobs import Job
    from asyncdl.cli.many.items import Refused
    from asyncdl.cli.many.tally import Tally
    from asyncdl.model import Progress, Result

#: Files that have a line of their own, and seconds that one must have been at work for that.
_MOST_LINES: Final = 8
_PATIENCE: Final = 1.0
#: Seconds between two drawings.
_INTERVAL: Final = 0.1


class ManyBars(ManyDisplay):
    """How many, how much and how fast, and a bar for each of the files that take longer.

    It is redrawn when the engine reports, from the loop itself: no thread. Files that are complete go without a word,
    unless `verbose`.
    """

    def __init__(self, errors: TextIO, tally: Tally, *, verbose: int = 0, console: Console | None = None) -> None:
        super().__init__(errors, tally, verbose=verbose)
        self._console = console or Console(file=errors, highlight=False)
        self.errors: Lines = ConsoleLines(self._console)
        self._bar = Bar(
            FieldColumn("name", "bold", flexible=True),
            BarColumn(bar_width=20),
            FieldColumn("size", "green"),
            FieldColumn("rate", "cyan"),
            FieldColumn("notes", "yellow"),
            console=self._console,
            auto_refresh=False,
            transient=True,
            expand=True,
        )
        self._all: TaskID | None = None
        self._lines: dict[Path, TaskID] = {}
        self._drawn = 0.0

    def progressed(self, job: Job, progress: Progress) -> None:
        """Draw it anew, if that is due."""
        del job, progress
        self._draw()

    def finished(self, job: Job, result: Result) -> None:
        """A line, if so much is wanted."""
        del job
        if self.verbose:
            self.errors.write(text.summary_line(result))
        self._draw()

    def failed(self, job: Job | None, error: BaseException) -> None:
        """The error, above."""
        super().failed(job, error)
        self._draw()

    def refused(self, subject: Refused, error: Exception) -> None:
        """The error, above."""
        super().refused(subject, error)
        self._draw()

    def warned(self, line: str) -> None:
        """A line, above."""
        self.errors.write(words.note(line))

    def ended(self) -> None:
        """The table in the place of the bars."""
        self.close()
        for line in words.table(self.tally):
            self.errors.write(line)

    def interrupted(self, number: signal.Signals) -> None:
        """How far it had come, and the signal."""
        self.errors.write(words.counts(self.tally))
        super().interrupted(number)

    def close(self) -> None:
        """Take the bars away and show the cursor again."""
        with unless_gone():
            self._bar.stop()
        for task in list(self._bar.task_ids):
            self._bar.remove_task(task)
        self._lines.clear()
        self._all = None

    def _draw(self) -> None:
        now = self.tally.elapsed
        if self._all is not None and now - self._drawn < _INTERVAL:
            return
        self._drawn = now
        if self._all is None:
            self._all = self._bar.add_task("", total=None, name="", size="", rate="", notes="")
            with unless_gone():
                self._bar.start()
        self._bar.update(
            self._all,
            name=words.counts(self.tally),
            size=text.human_size(self.tally.done),
            rate=f"{text.human_size(self.tally.rate())}/s",
            notes=f"{len(self.tally.at_work)} at work",
        )
        for path in self._lines.keys() - self.tally.at_work.keys():
            self._bar.remove_task(self._lines.pop(path))
        with unless_gone():
            for path, progress in self.tally.at_work.items():
                self._show(path, progress)
            self._bar.refresh()

    def _show(self, path: Path, progress: Progress) -> None:
        line = self._lines.get(path)
        if line is None:
            if progress.elapsed < _PATIENCE or len(self._lines) >= _MOST_LINES:
                return
            line = self._lines[path] = self._bar.add_task("", name=text.clean(str(path)), size="", rate="", notes="")
        total = "" if progress.total is None else f" / {text.human_size(progress.total)}"
        self._bar.update(
            line,
            completed=progress.done,
            total=progress.total,
            size=text.human_size(progress.done) + total,
            rate=f"{text.human_size(progress.rate)}/s",
            notes=text.troubles(progress),
        )
