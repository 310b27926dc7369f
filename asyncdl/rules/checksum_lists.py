"""Lists of checksums as sha256sum and its kin write them (SHA256SUMS), and what they say of one file; pure.

Rule: a line that cannot be read is of no file, and a file of which two lines say different things has no checksum.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from asyncdl.errors import OptionsError
from asyncdl.model import DIGEST_SIZES, Checksum
from asyncdl.patterns import Pattern

#: `DIGEST  NAME`, with an asterisk for binary mode, or a backslash at the beginning where the name is escaped
#: (GNU coreutils manual, "md5sum invocation").
_PLAIN: Final = Pattern(r"(\\?)([0-9A-Fa-f]{32,128}) [ *]?(.+)")
#: `ALGORITHM (NAME) = DIGEST`, as the BSDs and `--tag` of coreutils write it, and openssl dgst with fewer blanks.
_TAGGED: Final = Pattern(r"(\\?)([0-9A-Za-z-]+) ?\((.+)\) ?= ([0-9A-Za-z+/=]+)")
#: The same manual; nothing else is escaped.
_ESCAPES: Final = {r"\\": "\\", r"\n": "\n", r"\r": "\r"}
#: Hexadecimal digits of what md5sum and its kin write; b2sum has as many as sha512sum.
_BY_LENGTH: Final = {2 * DIGEST_SIZES[name]: name for name in ("sha512", "sha256", "sha1", "md5")}


def find(text: str, name: str, *, title: str = "") -> Checksum | None:
    """The checksum that a list has of a file, the strongest of several; None if it has none.

    A line of that very name counts first, and otherwise one whose path ends in it.

    Args:
        text: the list.
        name: of the file, without a directory.
        title: of the list: where `b2` or `blake2` is part of it (B2SUMS), 128 digits are of BLAKE2b.

    Raises:
        OptionsError: two lines have different checksums of the file.
    """
    found = [(path.removeprefix("./"), checksum) for path, checksum in _entries(text, title)]
    named = {checksum for path, checksum in found if path == name}
    named = named or {checksum for path, checksum in found if path.rpartition("/")[2] == name}
    strongest = min(named, key=_weakness, default=None)
    if strongest and [strongest] != [each for each in named if each.algorithm == strongest.algorithm]:
        raise OptionsError(f"the list has several {strongest.algorithm} checksums of {name}")
    return strongest


def _weakness(checksum: Checksum) -> int:
    return list(DIGEST_SIZES).index(checksum.algorithm)


def _entries(text: str, title: str) -> Iterator[tuple[str, Checksum]]:
    found = (entry(line, title=title) for line in text.split("\n"))
    return filter(None, found)


def entry(line: str, *, title: str = "") -> tuple[str, Checksum] | None:
    """The path and the checksum that one line has; None if it cannot be read.

    Args:
        line: with or without its end.
        title: see `find`.
    """
    line = line.rstrip("\r\n")  # a list may have been edited on Windows
    if match := _PLAIN.fullmatch(line):
        escaped, digest, path = match.groups()
        of_128 = "blake2b" if re.search("b2|blake2", title.lower()) else "sha512"
        algorithm = of_128 if len(digest) == 128 else _BY_LENGTH.get(len(digest), "")
    elif match := _TAGGED.fullmatch(line):
        escaped, algorithm, path, digest = match.groups()
        algorithm = algorithm.upper().replace("SHA2-", "SHA")  # OpenSSL 3
    else:
        return None
    try:
        checksum = Checksum.parse(f"{algorithm}:{digest}")
    except OptionsError:
        return None
    return (re.sub(r"\\[\\nr]", lambda each: _ESCAPES[each[0]], path) if escaped else path), checksum
