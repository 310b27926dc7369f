"""Lists of checksums, SHA256SUMS and its kin, as lists of files below one URL."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from urllib.parse import quote

from asyncdl.errors import OptionsError
from asyncdl.rules.checksum_lists import entry
from asyncdl.rules.lists.row import BadRow, Row, checked_source, made, scheme_of


def rows(lines: Iterable[str], *, base_url: str | None, title: str = "") -> Iterator[Row | BadRow]:
    """The rows of a list of checksums, lazily. Blank lines and those that begin with `#` are none.

    Args:
        lines: see `Reader`.
        base_url: of the directory that the names are in.
        title: of the list, see `checksum_lists.find`.

    Raises:
        OptionsError: there is no base URL, or none that can be used.
    """
    if base_url is None:
        raise OptionsError("a list of checksums has no URLs", hint="say with --base-url where its files are")
    base = checked_source(base_url)
    for number, line in enumerate(lines, 1):
        if line.strip() and not line.startswith("#"):
            yield made(number, partial(_row, number, line, base, title))


def _row(number: int, line: str, base: str, title: str) -> Row:
    found = entry(line, title=title)
    if found is None:
        raise OptionsError("not a checksum and a name")
    name, checksum = found
    name = name.removeprefix("./")
    return Row(line=number, urls=(checked_source(_below(base, name)),), out=name, checksum=checksum)


def _below(base: str, name: str) -> str:
    """The URL of a file in the directory at `base`, with the query that the base has: it may be its permission."""
    if scheme_of(base) not in {"http", "https"}:
        return f"{base.rstrip('/')}/{name}"
    path, mark, query = base.partition("?")
    return f"{path.rstrip('/')}/{quote(name, errors='surrogateescape')}{mark}{query}"
