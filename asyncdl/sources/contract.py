"""What a source of files promises: values and protocols; how a store is asked is the business of its own module."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

from asyncdl.model import Checksum, HeaderPairs, Source
from asyncdl.options import Options, Timeouts


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteFile:
    """One file as its store lists it.

    Attributes:
        name: relative, with "/" between its parts; whatever the store says, so nobody may write to it unchecked.
        source: asked for a URL just before it is used, and again when that expires. A provider, wherever URLs die.
        size: in bytes, if the store says.
        checksum: of the whole file, if the store says.
        headers: further request headers.
    """

    name: str
    source: Source
    size: int | None = None
    checksum: Checksum | None = None
    headers: HeaderPairs = ()


class Collection(Protocol):
    """What a URL such as `s3://bucket/prefix/` stands for: one file or many."""

    def files(self) -> AsyncIterator[RemoteFile]:
        """The files, listed a page at a time while others are already on their way.

        Raises:
            AsyncdlError: the store cannot be asked, or has nothing under this URL. `SourceError` where it is the
                store's answer; its message names the source, and its hint says what to do.
        """
        ...

    async def aclose(self) -> None:
        """Give back what it holds open; the providers of its files may be used until then."""
        ...


class Opener(Protocol):
    """What the entry points of the group `asyncdl.sources` lead to; each one's name is the scheme of its URLs."""

    def __call__(self, url: str, /, *, options: Options, timeouts: Timeouts) -> Collection:
        """The collection behind `url`. Nothing is sent yet.

        Args:
            url: with the scheme; as the user wrote it.
            options: for proxy, certificate authorities, the environment and the like.
            timeouts: `refresh` bounds each question to the store.

        Raises:
            OptionsError: the URL means nothing to this source, or a package is missing.
        """
        ...
