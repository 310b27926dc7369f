"""The progress bar for terminals, drawn by rich; imported only where one is drawn."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, cast

from rich.console import Console
from rich.progress import BarColumn, ProgressColumn
from rich.progress import Progress as Bar
from rich.table import Column
from rich.text import Text

from asyncdl.cli import text
from asyncdl.cli.display import Display
from asyncdl.cli.streams import Lines
from asyncdl.model import Phase

if TYPE_CHECKING:
    from typing import TextIO

    from rich.progress import Task, TaskID

    from asyncdl.cli.jobs import Job
    from asyncdl.model import Progress, Result


class FieldColumn(ProgressColumn):
    """One of the task's fields, without markup: what it says may come from a URL."""

    def __init__(self, field: str, style: str, *, flexible: bool = False) -> None:
        column = Column(no_wrap=True, overflow="ellipsis", min_width=8) if flexible else Column(no_wrap=True)
        super().__init__(table_column=column)
        self._field = field
        self._style = style

    def render(self, task: Task) -> Text:
        return Text(str(task.fields[self._field]), style=self._style)


class ConsoleLines(Lines):
    """Lines above the bar instead of through it."""

    def __init__(self, console: Console) -> None:
        super().__init__(cast("TextIO", console.file))
        self._console = console

    def write(self, line: str) -> None:
        with unless_gone():
            self._console.print(Text(line), soft_wrap=True)


def unless_gone() -> contextlib.suppress:
    """Drawing, on a terminal that may have been closed: SIGHUP says so, and the download still has to be ended."""
    return contextlib.suppress(OSError, ValueError)


class BarDisplay(Display):
    """A bar with name, size, rate, time to go, and what was there already, refreshes and retries where there were any.

    It is redrawn when the engine reports, from the loop itself: no thread.
    """

    def __init__(self, errors: TextIO, *, verbose: int = 0, console: Console | None = None) -> None:
        super().__init__(errors, verbose=verbose)
        self._console = console or Console(file=errors, highlight=False)
        self.errors: Lines = ConsoleLines(self._console)
        self._bar = Bar(
            FieldColumn("name", "bold", flexible=True),
            BarColumn(bar_width=None),
            FieldColumn("percent", ""),
            FieldColumn("size", "green"),
            FieldColumn("rate", "cyan"),
            FieldColumn("eta", ""),
            FieldColumn("notes", "yellow"),
            console=self._console,
            auto_refresh=False,
            transient=True,
            expand=True,
        )
        self._task: TaskID | None = None

    def started(self, job: Job) -> None:
        """Draw an empty bar."""
        super().started(job)
        self._task = self._bar.add_task(
            "", total=None, name=text.clean(job.name), percent="", size="", rate="", eta="", notes=""
        )
        with unless_gone():
            self._bar.start()
            self._bar.refresh()

    def progressed(self, job: Job, progress: Progress) -> None:
        """Draw it anew."""
        del job
        # What is there already would show as an empty bar at its end.
        if self._task is None or progress.phase is not Phase.DOWNLOADING:
            return
        total = "" if progress.total is None else f" / {text.human_size(progress.total)}"
        self._bar.update(
            self._task,
            completed=progress.done,
            total=progress.total,
            percent="" if progress.total is None else f"{text.percent(progress.done, progress.total):>3} %",
            size=text.human_size(progress.done) + total,
            rate=f"{text.human_size(progress.rate)}/s",
            eta=text.human_time(progress.eta),
            notes=", ".join(filter(None, (text.there_already(progress.resumed), text.troubles(progress)))),
        )
        with unless_gone():
            self._bar.refresh()

    def finished(self, job: Job, result: Result) -> None:
        """Put the summary in its place."""
        del job
        self.close()
        self.errors.write(text.summary_line(result))

    def failed(self, job: Job | None, error: BaseException) -> None:
        """Put the error in its place."""
        self.close()
        super().failed(job, error)

    def close(self) -> None:
        """Take the bar away and show the cursor again."""
        with unless_gone():
            self._bar.stop()
        if self._task is not None:
            self._bar.remove_task(self._task)
            self._task = None
