"""One row of a list: what all formats can say of a file, checked; nothing is known here of any format.

Rule: an error names its line, and never repeats a URL, a header's value, or what could be either.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final, TypeAlias, cast, get_args

from asyncdl.errors import OptionsError
from asyncdl.model import Checksum, HeaderPairs, IfExists
from asyncdl.patterns import Pattern
from asyncdl.rules.ranges import MAX_SIZE
from asyncdl.rules.urls import check_headers, check_url

_SCHEME: Final = Pattern(r"[A-Za-z][A-Za-z0-9+.-]*")
_CONTROL: Final = Pattern(r"[\x00-\x1f\x7f\ud800-\udfff]")
_DIGITS: Final = Pattern(r"[0-9]{1,19}")
#: Characters of a row that goes over several lines; those of one line are bounded by who reads the file.
LONGEST: Final = 1 << 20
#: Letters of a foreign name that a message repeats.
_LONGEST_NAME: Final = 40
_NAME: Final = Pattern(r"[A-Za-z0-9_.:-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One file, or all that the URL of a source stands for. Its repr shows neither URLs nor headers.

    Attributes:
        line: where it begins in the list, counted from 1.
        urls: of one object, the one to be preferred first; several are http or https.
        out: relative path of the file, as the list has it; None takes the end of the first URL's path.
        dir: relative directory before it, as the list has it.
        size: in bytes, if the list says.
        checksum: if the list says.
        headers: further request headers.
        if_exists: None leaves it to whoever reads the list.
        notes: what the list says of it and nobody heeds.
    """

    line: int
    urls: tuple[str, ...] = field(repr=False)
    out: str | None = None
    dir: str | None = None
    size: int | None = None
    checksum: Checksum | None = None
    headers: HeaderPairs = field(default=(), repr=False)
    if_exists: IfExists | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class BadRow:
    """A row that cannot be used; those around it can.

    Attributes:
        line: where it begins.
        error: what is wrong with it; names the line.
    """

    line: int
    error: OptionsError


#: What every format does with the lines of a list, whose ends they may have. It raises `OptionsError` where the rest of
#: the list cannot be read either.
Reader: TypeAlias = Callable[[Iterable[str]], Iterator[Row | BadRow]]


def made(line: int, make: Callable[[], Row]) -> Row | BadRow:
    """The row that `make` returns, or what its `OptionsError` says."""
    try:
        return make()
    except OptionsError as error:
        return BadRow(line=line, error=at(line, error))


def at(line: int, error: OptionsError) -> OptionsError:
    """The same error with its place in the list."""
    return OptionsError(f"line {line}: {error.message}", hint=error.hint)


def checked_urls(urls: Iterable[str]) -> tuple[str, ...]:
    """URLs of one object, as they will be sent.

    Raises:
        OptionsError: there is none, one cannot be used, or of several one is neither http nor https.
    """
    given = tuple(urls)
    if not given:
        raise OptionsError("there is no URL")
    if len(given) == 1:
        return (checked_source(given[0]),)
    return tuple(dict.fromkeys(check_url(url) for url in given))


def checked_source(url: str) -> str:
    """An http or https URL as it will be sent, or one with another scheme as it stands.

    Raises:
        OptionsError: it is neither. The message does not hold it.
    """
    scheme = scheme_of(url)
    if scheme in {None, "http", "https"}:
        return check_url(url)
    if _CONTROL.search(url):
        raise OptionsError("the URL holds a control character")
    return url


def scheme_of(url: str) -> str | None:
    """What stands before `://`, in lower case; None where nothing like a scheme does."""
    scheme, colon, _ = url.partition("://")
    return scheme.lower() if colon and _SCHEME.fullmatch(scheme) else None


def header(text: str) -> tuple[str, str]:
    """`Name: value` as a pair.

    Raises:
        OptionsError: it cannot be sent.
    """
    name, colon, value = text.partition(":")
    if not colon:
        raise OptionsError("a header must look like 'Name: value'")
    return check_headers([(name.strip(" \t"), value.strip(" \t"))])[0]


def size(value: object) -> int:
    """Bytes, as a number or as its digits.

    Raises:
        OptionsError: it is neither.
    """
    if isinstance(value, str) and _DIGITS.fullmatch(value.strip()):
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MAX_SIZE:
        raise OptionsError("the size is not a whole number of bytes")
    return value


def if_exists(value: object) -> IfExists:
    """One of the words of `--if-exists`.

    Raises:
        OptionsError: it is none.
    """
    if value not in get_args(IfExists):
        raise OptionsError(f"if_exists must be one of {', '.join(get_args(IfExists))}")
    return cast("IfExists", value)


def shown(name: str) -> str:
    """The name of an option, a member or a column for a message, unless it could be something else."""
    short = name[:_LONGEST_NAME]
    return short if _NAME.fullmatch(short) and "://" not in name else "one with a strange name"
