"""Making a file name from a URL that nobody vouches for; pure.

Rule: the name never leaves its directory, never hides, and means the same file on every platform.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final
from urllib.parse import unquote, urlsplit

from asyncdl.errors import OptionsError
from asyncdl.patterns import Pattern

#: Most bytes of a name on the file systems that matter (NAME_MAX of Linux, macOS; NTFS counts UTF-16 units).
MOST_BYTES: Final = 255
#: What the engine appends to the destination's name while it downloads, and to that of what lies beside it.
PART_SUFFIX: Final = ".part"
_SUFFIXES: Final = ("", PART_SUFFIX, ".part.journal", ".part.journal.new", ".part.done")
#: Separators, and what Windows refuses in a name (Microsoft Learn, "Naming Files, Paths, and Namespaces").
_FORBIDDEN: Final = frozenset('/\\<>:"|?*')
#: Unicode categories: control, format (bidirectional marks among them), surrogate, line and paragraph separator.
_INVISIBLE: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
#: Devices of Windows, whatever extension follows; the same page. Superscript digits count as digits there.
_DEVICE: Final = Pattern(r"(?:con|prn|aux|nul|conin\$|conout\$|(?:com|lpt)[0-9¹²³])\s*(?:\..*)?", re.IGNORECASE)
_HINT: Final = "name the file with -o"


def file_name(url: str) -> str:
    """The last segment of the URL's path, decoded, with everything unsafe in it replaced by `_`.

    Raises:
        OptionsError: nothing usable is left, it is a device's name on Windows, or it is too long.
    """
    try:
        segment = urlsplit(url).path.rpartition("/")[2]
    except ValueError:
        segment = ""
    name = unquote(segment, errors="replace")
    if name.strip(". ") == "":
        msg = "the URL ends in no file name"
        raise OptionsError(msg, hint=_HINT)
    name = "".join("_" if _is_unsafe(letter) else letter for letter in name).rstrip(". ").lstrip(" ")
    if name.startswith("."):
        name = "_" + name[1:]
    if _DEVICE.fullmatch(name):
        msg = "the URL ends in a name that Windows reserves for a device"
        raise OptionsError(msg, hint=_HINT)
    if len((name + PART_SUFFIX).encode()) > MOST_BYTES:
        msg = f"the URL ends in a name longer than {MOST_BYTES - len(PART_SUFFIX)} bytes"
        raise OptionsError(msg, hint=_HINT)
    return name


def _is_unsafe(letter: str) -> bool:
    return letter in _FORBIDDEN or unicodedata.category(letter) in _INVISIBLE


def refuse_clashes(names: list[str]) -> None:
    """Make sure that no two files, finished or unfinished, would have one name.

    Names that differ in their case alone are one on macOS and Windows, and on some file systems of Linux.

    Raises:
        OptionsError: two would.
    """
    taken: set[str] = set()
    for name in names:
        wanted = {(name + suffix).casefold() for suffix in _SUFFIXES}
        if wanted & taken:
            msg = f"two URLs would be written to the same file, {name}"
            raise OptionsError(msg, hint="download them one at a time and name each with -o")
        taken |= wanted
