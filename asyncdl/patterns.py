"""Regular expressions that are compiled when they are first used; nothing is known here of what they match.

Of those in this package a download that meets no trouble needs a dozen of sixty, and compiling them all takes longer
than loading the modules that they stand in.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, AnyStr, Generic


class Pattern(Generic[AnyStr]):
    """What `re.compile(text, flags)` gives, later. The methods are those of `re.Pattern`.

    Args:
        text: the expression; a mistake in it shows at its first use.
        flags: of the module `re`.
    """

    def __init__(self, text: AnyStr, flags: int = 0) -> None:
        self.text: AnyStr = text
        self._flags = flags
        self._compiled: re.Pattern[AnyStr] | None = None

    def compiled(self) -> re.Pattern[AnyStr]:
        """The expression, compiled."""
        if self._compiled is None:
            self._compiled = re.compile(self.text, self._flags)
        return self._compiled

    def fullmatch(self, text: AnyStr) -> re.Match[AnyStr] | None:
        return self.compiled().fullmatch(text)

    def match(self, text: AnyStr) -> re.Match[AnyStr] | None:
        return self.compiled().match(text)

    def search(self, text: AnyStr, start: int = 0) -> re.Match[AnyStr] | None:
        return self.compiled().search(text, start)

    def finditer(self, text: AnyStr) -> Iterator[re.Match[AnyStr]]:
        return self.compiled().finditer(text)

    def findall(self, text: AnyStr) -> list[Any]:
        return self.compiled().findall(text)

    def sub(self, new: AnyStr | Callable[[re.Match[AnyStr]], AnyStr], text: AnyStr) -> AnyStr:
        return self.compiled().sub(new, text)
