"""Making file names and relative paths from what nobody vouches for: a URL, a list, the listing of a store; pure.

Rule: the name never leaves its directory, and means the same file on every platform.
Rule: a name made from a URL never hides; one that was written down, in a list or by a store, may.
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
#: Most bytes of a relative path: PATH_MAX of Linux is 4096, with the directory before it.
_LONGEST_PATH: Final = 4000
#: What the engine appends to the destination's name while it downloads, and to that of what lies beside it.
PART_SUFFIX: Final = ".part"
SUFFIXES: Final = (PART_SUFFIX, ".part.journal", ".part.journal.new", ".part.done")
#: Separators, and what Windows refuses in a name (Microsoft Learn, "Naming Files, Paths, and Namespaces").
_FORBIDDEN: Final = frozenset('/\\<>:"|?*')
#: Unicode categories: control, format (bidirectional marks among them), surrogate, line and paragraph separator.
_INVISIBLE: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
#: Devices of Windows, whatever extension follows; the same page. Superscript digits count as digits there.
_DEVICE: Final = Pattern(r"(?:con|prn|aux|nul|conin\$|conout\$|(?:com|lpt)[0-9¹²³])\s*(?:\..*)?", re.IGNORECASE)
#: Most names there are; the rule below is asked letter by letter.
_ORDINARY: Final = Pattern(r"[A-Za-z0-9 ._=+-]*")
_DRIVE: Final = Pattern(r"[A-Za-z]:")
_HINT: Final = "name the file with -o"


def file_name(url: str, *, hint: str = _HINT) -> str:
    """The last segment of the URL's path, decoded, with everything unsafe in it replaced by `_`.

    Raises:
        OptionsError: nothing usable is left, it is a device's name on Windows, or it is too long. Its hint is `hint`.
    """
    try:
        segment = urlsplit(url).path.rpartition("/")[2]
    except ValueError:
        segment = ""
    name = unquote(segment, errors="replace")
    if name.strip(". ") == "":
        raise OptionsError("the URL ends in no file name", hint=hint)
    name = _visible(name).rstrip(". ").lstrip(" ")
    if name.startswith("."):
        name = "_" + name[1:]
    if problem := _problem(name):
        raise OptionsError(f"the URL ends in a name {problem}", hint=hint)
    return name


def relative_path(text: str) -> str:
    """The path `a/b/c.bin` that a list or a store gives a file, with everything unsafe in its parts replaced by `_`.

    Empty parts and "." are left out. A backslash separates nothing, and a blank or a dot at the end of a part goes.

    Raises:
        OptionsError: it is absolute, begins with a drive, has a "..", names no file, a device, or is too long.
    """
    if text.startswith(("/", "\\")) or _DRIVE.match(text):
        raise OptionsError("the name is an absolute path", hint="names are relative to the directory given with -d")
    parts = text.split("/")
    if parts[-1] in {"", ".", ".."}:
        raise OptionsError("the name is that of no file")
    if ".." in parts or any(".." in part.split("\\") for part in parts):
        raise OptionsError('the name has a ".." in it')
    safe = [_part(part) for part in parts if part not in {"", "."}]
    path = "/".join(safe)
    if len(path.encode()) > _LONGEST_PATH:
        raise OptionsError(f"the name is longer than {_LONGEST_PATH} bytes")
    return path


def _part(text: str) -> str:
    name = _visible(text).rstrip(". ").lstrip(" ")
    if not name:
        raise OptionsError("a part of the name has nothing but dots and blanks in it")
    if problem := _problem(name):
        raise OptionsError(f"a part of the name is one {problem}")
    return name


def _visible(text: str) -> str:
    if _ORDINARY.fullmatch(text):
        return text
    return "".join("_" if _is_unsafe(letter) else letter for letter in text)


def _is_unsafe(letter: str) -> bool:
    return letter in _FORBIDDEN or unicodedata.category(letter) in _INVISIBLE


def _problem(name: str) -> str | None:
    """What keeps a visible name from being a file's, as the end of a sentence."""
    if _DEVICE.fullmatch(name):
        return "that Windows reserves for a device"
    if len((name + PART_SUFFIX).encode()) > MOST_BYTES:
        return f"longer than {MOST_BYTES - len(PART_SUFFIX)} bytes"
    return None
