"""What a batch is made of as the user sees it: files with their place in the list, and rows that are none."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from asyncdl.cli.jobs import Job
from asyncdl.model import Request
from asyncdl.rules.lists.row import Row


async def _nothing() -> None:
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class Item(Job):
    """One file of a batch.

    Attributes:
        request: for the `Downloader`.
        row: that it comes from; None for a URL of the command line.
        many: whether others come from that row too.
        ended: called when nothing more is done for the file.
    """

    request: Request
    row: Row | None = None
    many: bool = False
    ended: Callable[[], Awaitable[None]] = field(default=_nothing, repr=False)

    @property
    def line(self) -> int | None:
        return (self.row.line if self.row else 0) or None

    @property
    def place(self) -> str:
        """Which one it is, for a table of several."""
        return f"{self.path} (line {self.line})" if self.line else str(self.path)


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A row that no file came of, or a file that was not begun; it looks like an `Item` to a display.

    Attributes:
        label: what an error is about: the list, or a URL without its query.
        row: where it could be read.
        line: in the list.
    """

    label: str
    row: Row | None = None
    line: int | None = None
    url: str | None = None
    path: Path | None = None

    @property
    def place(self) -> str:
        """Which one it is, for a table of several."""
        return self.label
