"""The list of what failed: JSON lines that the command reads again, with `-i` or with `--only`.

Rule: a URL that may be a key, because it has a query, a user or a password, is not written, and a row with headers of
its own is written without its URL, as its headers may be keys.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

from asyncdl.cli import text
from asyncdl.cli.many.items import Item, Refused
from asyncdl.edge.errands import errand
from asyncdl.edge.refusals import storage_error
from asyncdl.errors import OptionsError
from asyncdl.model import SignedUrl

if TYPE_CHECKING:
    from asyncdl.rules.lists.row import Row

#: What the list is called beside its place until it is whole.
NEW: Final = ".new"


class FailedFile:
    """Gathers the failures beside `path`, and takes its place at the end: a list may be read from there meanwhile.

    Args:
        path: of the list; None for nowhere.
        source: the list that the lines are of, as the user named it.
    """

    def __init__(self, path: str | None, source: str | None) -> None:
        self._path = None if path is None else Path(path)
        self._source = source
        self._file: IO[str] | None = None
        self._written: set[int] = set()

    async def open(self) -> None:
        """Make sure that it can be written.

        Raises:
            StorageError: it cannot.
        """
        if self._path is not None:
            await errand(partial(self._open, self._path))

    async def add(self, subject: Item | Refused, error: Exception) -> None:
        """Write what failed.

        Raises:
            StorageError: it cannot be written.
        """
        if self._file is None or self._path is None:
            return
        if isinstance(subject, Item) and subject.many and subject.line is not None:
            # Of a source, all files come from one row, and it is asked for them again.
            if subject.line in self._written:
                return
            self._written.add(subject.line)
        line = json.dumps(record(subject, error, self._source), ensure_ascii=False) + "\n"
        await errand(partial(self._write, self._file, line.encode("utf-8", "replace").decode(), self._path))

    async def close(self) -> None:
        """Put it in its place, also where nothing failed.

        Raises:
            StorageError: that did not work.
        """
        file, self._file = self._file, None
        if file is not None and self._path is not None:
            await errand(partial(self._close, file, self._path))

    def _open(self, path: Path) -> None:
        try:
            if path.is_dir():
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
            self._file = path.with_name(path.name + NEW).open("w", encoding="utf-8")
        except OSError as error:
            raise storage_error(error, "write", path) from error

    @staticmethod
    def _write(file: IO[str], line: str, path: Path) -> None:
        try:
            file.write(line)
            # Whoever kills the command finds what had failed until then.
            file.flush()
        except OSError as error:
            raise storage_error(error, "write", path) from error

    @staticmethod
    def _close(file: IO[str], path: Path) -> None:
        try:
            with contextlib.closing(file):
                file.flush()
                os.fsync(file.fileno())
            path.with_name(path.name + NEW).replace(path)
        except OSError as error:
            raise storage_error(error, "write", path) from error


def record(subject: Item | Refused, error: Exception, source: str | None) -> Mapping[str, object]:
    """The members of one line."""
    row, url = subject.row, subject.url
    found: dict[str, object] = {}
    if row is not None and _may_be_kept(row):
        found["url" if len(row.urls) == 1 else "urls"] = row.urls[0] if len(row.urls) == 1 else list(row.urls)
        names = {"out": row.out, "dir": row.dir, "size": row.size, "if_exists": row.if_exists}
        found |= {name: value for name, value in names.items() if value is not None}
        if row.checksum is not None:
            found["checksum"] = str(row.checksum)
    elif row is not None:
        found["out"] = row.out or (subject.path.name if subject.path else None)
    elif url is not None and not url.endswith("?…"):
        found["url"] = url
    if subject.line:
        found |= {"input": source, "line": subject.line}
    found |= {"code": text.code_of(error), "message": text.message_of(error)}
    return {name: value for name, value in found.items() if value is not None}


def _may_be_kept(row: Row) -> bool:
    return not row.headers and all(url == SignedUrl(url).public for url in row.urls)


async def lines_of(path: str) -> frozenset[int]:
    """The lines that a list of failures names.

    Raises:
        OptionsError: it cannot be read, or has a line that names none.
    """
    return await errand(partial(_lines_of, Path(path)))


def _lines_of(path: Path) -> frozenset[int]:
    found: set[int] = set()
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            for number, line in enumerate(file, 1):
                found.add(_line(line, path, number))
    except OSError as error:
        raise OptionsError(f"{path} cannot be read: {error.strerror}") from error
    return frozenset(found)


def _line(line: str, path: Path, number: int) -> int:
    try:
        wanted = json.loads(line)["line"]
    except (ValueError, LookupError, TypeError, RecursionError):
        wanted = None
    if not isinstance(wanted, int) or isinstance(wanted, bool):
        raise OptionsError(f"{path}, line {number}: names no line of a list", hint="--failed writes such lists")
    return wanted
