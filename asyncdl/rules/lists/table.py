"""Tables: CSV (RFC 4180), or with semicolons or TABs; the first line names the columns, as `fields` has them."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Final

from asyncdl.errors import OptionsError
from asyncdl.rules.lists.fields import KNOWN, make_row
from asyncdl.rules.lists.row import LONGEST, BadRow, Row, made, shown

_DELIMITERS: Final = (",", ";", "\t")
#: A column of this beginning holds the values of the header that the rest names.
_HEADER: Final = "header:"
_URL_COLUMNS: Final = frozenset({"url", "urls"})


def rows(lines: Iterable[str]) -> Iterator[Row | BadRow]:
    """The rows of a table, lazily. Blank lines are none, nor comments before the columns; empty cells say nothing.

    Raises:
        OptionsError: the first line names no column of URLs, or one column twice.
    """
    source = _Lines(lines)
    skipped, first = 0, ""
    for first in source:
        if first.strip() and not first.startswith("#"):
            break
        skipped += 1
    delimiter = delimiter_of(first)
    if delimiter is None:
        raise OptionsError("the first line must name the columns, one of them url")
    names = _names(next(csv.reader([first], delimiter=delimiter)))
    reader = csv.reader(source, delimiter=delimiter, strict=True)
    while True:
        # Its own counter: a cell may have line ends in it. The header is no line of it.
        began = reader.line_num + 2 + skipped
        source.length = 0
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield BadRow(line=began, error=OptionsError(f"line {began}: not a row of a table: {error}"))
            continue
        if any(cell.strip() for cell in cells):
            yield made(began, partial(_row, began, names, cells))


class _Lines:
    """The lines, as long as a row has no more than it may: one whose cells are full of line ends has no end.

    Attributes:
        length: characters since the row began.
    """

    def __init__(self, lines: Iterable[str]) -> None:
        self._lines = iter(lines)
        self.length: int = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        if self.length > LONGEST:
            raise OptionsError(f"a row is longer than {LONGEST >> 20} MiB", hint="is there a quotation mark too many?")
        self.length += len(line)
        return line


def delimiter_of(line: str) -> str | None:
    """What stands between the names of columns, if that is what a line holds; a single `url` has a comma."""
    for delimiter in _DELIMITERS:
        try:
            cells = next(csv.reader([line], delimiter=delimiter), [])
        except csv.Error:
            continue
        if _URL_COLUMNS & {cell.strip().lower() for cell in cells} and "://" not in line:
            return delimiter
    return None


def _names(cells: list[str]) -> list[str]:
    names = [cell.strip() if cell.strip().lower().startswith(_HEADER) else cell.strip().lower() for cell in cells]
    twice = [name for name, times in Counter(filter(None, names)).items() if times > 1]
    if twice:
        raise OptionsError(f"two columns are named {shown(twice[0])}")
    return names


def _row(line: int, names: list[str], cells: list[str]) -> Row:
    if len(cells) > len(names):
        raise OptionsError(f"{len(cells)} cells, and only {len(names)} columns")
    found: dict[str, object] = {}
    headers: list[tuple[str, str]] = []
    for name, cell in zip(names, cells, strict=False):
        text = cell.strip()
        if not text:
            continue
        if name.lower().startswith(_HEADER):
            headers.append((name[len(_HEADER) :].strip(), text))
        elif name == "urls":
            found[name] = text.split()
        elif name == "headers":
            raise OptionsError("a header has a column of its own, named header:NAME")
        elif name not in KNOWN:
            found[name or "without a name"] = text
        else:
            found[name] = text
    return make_row(line, found | ({"headers": [list(pair) for pair in headers]} if headers else {}))
