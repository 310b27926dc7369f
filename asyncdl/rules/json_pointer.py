"""JSON Pointer (RFC 6901): one value in a document."""

from __future__ import annotations

from typing import Final

from asyncdl.errors import OptionsError
from asyncdl.patterns import Pattern

#: Stands for a value that is not there; None is one that may be.
MISSING: Final = object()
_POINTER: Final = Pattern(r"(?:/(?:[^~/]|~[01])*)*")
#: RFC 6901 section 4: no leading zeros, and not "-", which is the element after the last.
_INDEX: Final = Pattern(r"0|[1-9][0-9]{0,8}")


def check_pointer(pointer: str) -> str:
    """A pointer that is one.

    Raises:
        OptionsError: it does not begin with a slash, or has a `~` that is no escape.
    """
    if not _POINTER.fullmatch(pointer):
        raise OptionsError("a JSON pointer is empty or begins with a slash, as /data/url, and writes ~ as ~0")
    return pointer


def find(document: object, pointer: str) -> object:
    """What the pointer points at in a parsed document, or `MISSING`."""
    for token in pointer.split("/")[1:]:
        name = token.replace("~1", "/").replace("~0", "~")
        if isinstance(document, dict) and name in document:
            document = document[name]
        elif isinstance(document, list) and _INDEX.fullmatch(name) and int(name) < len(document):
            document = document[int(name)]
        else:
            return MISSING
    return document
