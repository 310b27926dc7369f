"""Text that a program printed for a terminal, without its control sequences; pure."""

from __future__ import annotations

from typing import Final

from asyncdl.patterns import Pattern

#: ECMA-48 section 5.4. The last letter of one would pass for part of a URL's scheme.
_ESCAPE: Final = Pattern(r"\x1b\[[0-?]*[ -/]*[@-~]")


def without_escapes(text: str) -> str:
    """`text` with a blank in the place of each control sequence."""
    return _ESCAPE.sub(" ", text)
