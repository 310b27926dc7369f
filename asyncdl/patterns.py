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

    fullmatch: Callable[[AnyStr], re.Match[AnyStr] | None]
    match: Callable[[AnyStr], re.Match[AnyStr] | None]
    search: Callable[..., re.Match[AnyStr] | None]
    finditer: Callable[[AnyStr], Iterator[re.Match[AnyStr]]]
    findall: Callable[[AnyStr], list[Any]]
    sub: Callable[[AnyStr | Callable[[re.Match[AnyStr]], AnyStr], AnyStr], AnyStr]

    def __init__(self, text: AnyStr, flags: int = 0) -> None:
        self.text: AnyStr = text
        self._flags = flags
        self._compiled: re.Pattern[AnyStr] | None = None

    def compiled(self) -> re.Pattern[AnyStr]:
        """The expression, compiled."""
        if self._compiled is None:
            self._compiled = re.compile(self.text, self._flags)
        return self._compiled

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401  # one of the methods above
        if name not in Pattern.__annotations__:
            raise AttributeError(name)
        # Asked for once: from then on it is found in the object itself.
        method = getattr(self.compiled(), name)
        setattr(self, name, method)
        return method
