"""The objects of an origin: content and validators by path; what is answered about them is decided elsewhere."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import Final

from asyncdl.errors import OptionsError
from asyncdl.testing.content import Content

#: Stands for "make one up" where None means "send none".
MADE_UP: Final = "\0"
LAST_MODIFIED: Final = "Wed, 01 Jan 2025 00:00:00 GMT"


def etag_of(content: Content) -> str:
    """A strong entity tag, with its quotes, that is another one for every other content."""
    return f'"{hashlib.blake2b(repr(content).encode(), digest_size=16).hexdigest()}"'


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredObject:
    """An object of the origin.

    Attributes:
        etag, last_modified: header values as sent, or None for no such header; `MADE_UP` becomes `etag_of(content)`.

    Raises:
        OptionsError: the path does not begin with a slash, or has a query.
    """

    path: str
    content: Content
    etag: str | None = MADE_UP
    last_modified: str | None = LAST_MODIFIED

    def __post_init__(self) -> None:
        if not self.path.startswith("/") or "?" in self.path:
            raise OptionsError(f"a path begins with a slash and has no query: {self.path!r}")
        if self.etag == MADE_UP:
            object.__setattr__(self, "etag", etag_of(self.content))

    def of_seed(self, seed: int) -> StoredObject:
        """The object with the content of another seed, and the entity tag that goes with it."""
        return replace(self, content=replace(self.content, seed=seed), etag=MADE_UP)
