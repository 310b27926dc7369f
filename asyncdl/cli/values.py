"""Reading the values of options: sizes, seconds, counts, headers; pure, and the same for arguments and variables."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Final

from asyncdl.errors import OptionsError
from asyncdl.model import Checksum
from asyncdl.patterns import Pattern
from asyncdl.rules.urls import check_headers

_UNITS: Final = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
#: Nineteen digits hold every file size there is; more only cost time.
_SIZE: Final = Pattern(r"([0-9]{1,19})(?:([KMGT])(?:iB)?)?", re.IGNORECASE)
_FLAGS: Final = {
    "1": True,
    "yes": True,
    "true": True,
    "on": True,
    "0": False,
    "no": False,
    "false": False,
    "off": False,
}
_COUNT: Final = Pattern(r"[0-9]{1,9}")


def size(text: str) -> int:
    """`1048576`, `1024K`, `1M` or `1MiB`: bytes, units in powers of 1024.

    Raises:
        OptionsError: it is none of these.
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        msg = "must be bytes, or a whole number with K, M, G or T (powers of 1024)"
        raise OptionsError(msg)
    return int(match[1]) * _UNITS[(match[2] or "").upper()]


def positive_size(text: str) -> int:
    """As `size`, and more than 0.

    Raises:
        OptionsError: it is not.
    """
    if not (number := size(text)):
        msg = "must be more than 0 bytes"
        raise OptionsError(msg)
    return number


def seconds(text: str) -> float:
    """Seconds, more than 0; a trailing `s` is allowed.

    Raises:
        OptionsError: it is no such number.
    """
    try:
        number = float(text.strip().removesuffix("s"))
    except ValueError:
        number = 0.0
    if not (math.isfinite(number) and number > 0):
        msg = "must be a number of seconds greater than 0"
        raise OptionsError(msg)
    return number


def natural(text: str) -> int:
    """A whole number of at least 0.

    Raises:
        OptionsError: it is none.
    """
    if not _COUNT.fullmatch(text.strip()):
        msg = "must be a whole number of at least 0"
        raise OptionsError(msg)
    return int(text)


def count(text: str) -> int:
    """A whole number of at least 1.

    Raises:
        OptionsError: it is none.
    """
    if not _COUNT.fullmatch(text.strip()) or not int(text):
        msg = "must be a whole number of at least 1"
        raise OptionsError(msg)
    return int(text)


def flag(text: str) -> bool:
    """`1`, `yes`, `true` or `on`, or their opposites.

    Raises:
        OptionsError: it is none of these.
    """
    word = text.strip().lower()
    if word not in _FLAGS:
        msg = f"must be one of {', '.join(_FLAGS)}"
        raise OptionsError(msg)
    return _FLAGS[word]


@dataclass(frozen=True, slots=True)
class ChecksumList:
    """A local file that has checksums of several files, as SHA256SUMS has."""

    path: str


def checksum(text: str) -> Checksum | ChecksumList:
    """`sha256:HEX`, or another algorithm and its value in hexadecimal digits or base64; or `@` and a list's path.

    Raises:
        OptionsError: it is none.
    """
    if text.startswith("@"):
        return ChecksumList(some_text(text[1:]))
    return Checksum.parse(text.strip())


def some_text(text: str) -> str:
    """Text that is not blank.

    Raises:
        OptionsError: it is.
    """
    if not text.strip() or "\0" in text:
        msg = "must not be empty"
        raise OptionsError(msg)
    return text


def header(text: str) -> tuple[str, str]:
    """`Name: value` as a pair.

    Raises:
        OptionsError: it cannot be sent. The value, which may be a token, is in no message.
    """
    name, colon, value = text.partition(":")
    if not colon:
        msg = "a header must look like 'Name: value'"
        raise OptionsError(msg)
    return check_headers([(name.strip(" \t"), value.strip(" \t"))])[0]


@dataclass(frozen=True, slots=True)
class HeaderFile:
    """A local file of headers, one a line, that would be seen on a command line."""

    path: str


def header_or_file(text: str) -> tuple[str, str] | HeaderFile:
    """`Name: value` as a pair; or `@` and the path of a file with such lines.

    Raises:
        OptionsError: it is neither.
    """
    return HeaderFile(some_text(text[1:])) if text.startswith("@") else header(text)
