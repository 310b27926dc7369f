"""From named values to a row: what JSON lines and tables have in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, cast

from asyncdl.errors import OptionsError
from asyncdl.model import DIGEST_SIZES, Checksum, HeaderPairs
from asyncdl.rules.lists import row
from asyncdl.rules.urls import check_headers

#: Names that mean the same, the one of this package first.
_OUT: Final = ("out", "dest")
#: What the list of failed rows says beside what it repeats.
REMARKS: Final = frozenset({"line", "input", "code", "message"})
KNOWN: Final = (
    frozenset({"url", "urls", *_OUT, "dir", "size", "checksum", "headers", "if_exists", *DIGEST_SIZES}) | REMARKS
)


def make_row(line: int, values: Mapping[str, object]) -> row.Row:
    """The row that named values stand for; those that are None are not there.

    Raises:
        OptionsError: one of them cannot be used.
    """
    given = {name: value for name, value in values.items() if value is not None}
    unknown = tuple(row.shown(name) for name in given if name not in KNOWN)
    exists = given.get("if_exists")
    return row.Row(
        line=line,
        urls=row.checked_urls(_urls(given)),
        out=_out(given),
        dir=_text(given, "dir"),
        size=row.size(given["size"]) if "size" in given else None,
        checksum=_checksum(given),
        headers=_headers(given.get("headers")),
        if_exists=None if exists is None else row.if_exists(exists),
        notes=unknown,
    )


def _text(given: Mapping[str, object], name: str) -> str | None:
    value = given.get(name)
    if value is not None and not (isinstance(value, str) and value):
        raise OptionsError(f"{name} must be text, and not empty")
    return value


def _urls(given: Mapping[str, object]) -> list[str]:
    first, others = given.get("url"), given.get("urls", [])
    urls = [*([] if first is None else [first]), *(others if isinstance(others, list) else [others])]
    if not all(isinstance(url, str) for url in urls):
        raise OptionsError("url must be text, and urls a list of such")
    if not urls and "line" in given:
        raise OptionsError("the URL was left out of this list, because it may be a key", hint="see --only")
    return cast("list[str]", urls)


def _out(given: Mapping[str, object]) -> str | None:
    names = [name for name in _OUT if name in given]
    if len(names) > 1:
        raise OptionsError(f"{' and '.join(names)} mean the same: give one")
    return _text(given, names[0]) if names else None


def _checksum(given: Mapping[str, object]) -> Checksum | None:
    if (whole := _text(given, "checksum")) is not None:
        return Checksum.parse(whole.strip())
    for algorithm in DIGEST_SIZES:
        if (digest := _text(given, algorithm)) is not None:
            return Checksum.parse(f"{algorithm}:{digest.strip()}")
    return None


def _headers(value: object) -> HeaderPairs:
    if isinstance(value, list):
        value = [tuple(pair) if isinstance(pair, list) else pair for pair in value]
    elif value is not None and not isinstance(value, dict):
        raise OptionsError("headers must be an object, or a list of pairs")
    return check_headers(value)
