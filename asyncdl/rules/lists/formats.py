"""Which format a list is in: as asked for, by the suffix of its name, or by its first line."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Final, Literal, TypeAlias, get_args

from asyncdl.errors import OptionsError
from asyncdl.patterns import Pattern
from asyncdl.rules.checksum_lists import entry
from asyncdl.rules.lists.row import BadRow, Row

Format: TypeAlias = Literal["aria2", "checksums", "csv", "jsonl", "metalink", "urls"]
FORMATS: Final[tuple[Format, ...]] = get_args(Format)

_BY_SUFFIX: Final[dict[str, Format]] = {
    "csv": "csv",
    "json": "jsonl",
    "jsonl": "jsonl",
    "meta4": "metalink",
    "metalink": "metalink",
    "ndjson": "jsonl",
    "tsv": "csv",
}
#: SHA256SUMS, md5sums.txt, model.bin.sha256 and their kin.
_OF_CHECKSUMS: Final = Pattern(
    r"(?:.*[._-])?(?:sha-?[0-9]{1,3}|md5|b2|blake2b?)(?:-?sums?)?(?:\.txt)?|checksums?(?:\.txt)?", re.IGNORECASE
)
#: Comments and blank lines that are looked past.
_MOST_LINES: Final = 1000
#: Characters of them, which are kept.
_MOST_TEXT: Final = 1 << 20


def read(
    lines: Iterable[str], *, name: str = "", wanted: Format | None = None, base_url: str | None = None
) -> Iterator[Row | BadRow]:
    """The rows of a list, lazily.

    Args:
        lines: with or without their ends.
        name: of the file, for its suffix.
        wanted: its format; None finds it out.
        base_url: of the directory that the names in a list of checksums are in.

    Raises:
        OptionsError: the list is not in that format, or the rest of it cannot be read.
    """
    lines = iter(lines)
    found = wanted or by_name(name)
    if found is None:
        first, lines = _first(lines)
        found = by_content(first)
    if base_url is not None and found != "checksums":
        raise OptionsError(f"a base URL is for lists of checksums, and this list is of the format {found}")
    return _rows(found, lines, name, base_url)


def by_name(name: str) -> Format | None:
    """The format that a file's name tells, compressed or not."""
    last = re.split(r"[/\\]", name)[-1].lower().removesuffix(".gz")
    if found := _BY_SUFFIX.get(last.partition(".")[2].rpartition(".")[2]):
        return found
    return "checksums" if _OF_CHECKSUMS.fullmatch(last) else None


def by_content(line: str) -> Format:
    """The format of a list whose first line, neither blank nor a comment, is this; aria2's if nothing tells."""
    from asyncdl.rules.lists import table  # noqa: PLC0415  # csv is slow to load, and most lists are none

    text = line.strip()
    if text.startswith(("{", "[")):
        return "jsonl"
    if text.startswith("<"):
        return "metalink"
    if entry(text) is not None:
        return "checksums"
    return "csv" if table.delimiter_of(text) else "aria2"


def _first(lines: Iterator[str]) -> tuple[str, Iterator[str]]:
    """The first line that says something, and all lines."""
    seen: list[str] = []
    length = 0
    for line in lines:
        seen.append(line)
        length += len(line)
        if (line.strip() and not line.startswith("#")) or len(seen) == _MOST_LINES or length > _MOST_TEXT:
            break
    return seen[-1] if seen else "", chain(seen, lines)


def _rows(found: Format, lines: Iterator[str], name: str, base_url: str | None) -> Iterator[Row | BadRow]:
    # Each is loaded for those who use it.
    match found:
        case "aria2":
            from asyncdl.rules.lists import aria2  # noqa: PLC0415

            return aria2.rows(lines)
        case "urls":
            from asyncdl.rules.lists import aria2  # noqa: PLC0415

            return aria2.plain(lines)
        case "csv":
            from asyncdl.rules.lists import table  # noqa: PLC0415

            return table.rows(lines)
        case "jsonl":
            from asyncdl.rules.lists import jsonl  # noqa: PLC0415

            return jsonl.rows(lines)
        case "metalink":
            from asyncdl.rules.lists import metalink  # noqa: PLC0415

            return metalink.rows(lines)
        case _:  # checksums
            from asyncdl.rules.lists import sums  # noqa: PLC0415

            return sums.rows(lines, base_url=base_url, title=re.split(r"[/\\]", name)[-1])
