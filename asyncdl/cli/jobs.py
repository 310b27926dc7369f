"""From settings to files to download: which source, which path; it asks for nothing but a URL that names the file."""

from __future__ import annotations

import asyncio
import codecs
import time
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from asyncdl.cli import refresh
from asyncdl.cli.values import ChecksumList
from asyncdl.edge.errands import errand
from asyncdl.errors import DeadlineError, OptionsError
from asyncdl.model import Mirrors, SignedUrl
from asyncdl.rules import checksum_lists
from asyncdl.rules.names import file_name
from asyncdl.rules.taken import refuse_clashes

if TYPE_CHECKING:
    from collections.abc import Callable

    from asyncdl.cli.settings import Settings
    from asyncdl.model import Checksum, Source, UrlProvider

#: Bytes of a list of checksums; of a hundred thousand files it has about ten million.
_LONGEST_LIST: Final = 64 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One file.

    Attributes:
        source: for the engine.
        path: of the finished file.
        url: without its query, for display; None while only a command or an endpoint knows it.
        checksum: that it must have, if known.
        spent: seconds of --max-time that finding the name has cost.
    """

    source: Source
    path: Path
    url: str | None
    checksum: Checksum | None = None
    spent: float = 0.0

    @property
    def name(self) -> str:
        return self.path.name


class StartingWith:
    """A URL provider that begins with a URL already known and asks another for every later one."""

    def __init__(self, first: str, then: UrlProvider) -> None:
        self._first = first
        self._then = then

    async def __call__(self, rejected: SignedUrl | None) -> SignedUrl | str:
        """The known URL, until it is rejected."""
        return self._first if rejected is None else await self._then(rejected)


async def plan(asked: Settings) -> list[Job]:
    """The files to download.

    Raises:
        OptionsError: a URL ends in no usable name, or two of them in one; or the list of checksums cannot be read, or
            has none of a file.
        RefreshError: the command or endpoint that would name the file failed.
        DeadlineError: it took longer than --max-time.
    """
    # Before anything is started: a list that is not there is no reason to run a command.
    checksum_of = await checksums(asked.checksum)
    found = [replace(job, checksum=checksum_of(job.name)) for job in await _files(asked)]
    if not asked.mirrors:
        return found
    return [replace(job, source=Mirrors((job.source, *asked.mirrors))) for job in found]


async def _files(asked: Settings) -> list[Job]:
    source = await refresh.source_of(asked)
    if source is not None:
        return [await _refreshed(asked, source)]
    if asked.output is not None:
        names = [asked.output]
    else:
        names = [file_name(url) for url in asked.urls]
        refuse_clashes(names)
    return [
        Job(source=url, path=Path(asked.dir, name), url=SignedUrl(url).public)
        for url, name in zip(asked.urls, names, strict=True)
    ]


async def checksums(given: Checksum | ChecksumList | None) -> Callable[[str], Checksum | None]:
    """The checksum of each file, by its name.

    Raises:
        OptionsError: the list of checksums cannot be read; or, from what is returned, it has none of a file.
    """
    if not isinstance(given, ChecksumList):
        return lambda _: given
    return partial(_listed, await errand(partial(_read_list, Path(given.path))), given.path)


def _listed(text: str, path: str, name: str) -> Checksum:
    found = checksum_lists.find(text, name, title=Path(path).name)
    if found is None:
        raise OptionsError(f"{path} has no checksum of {name}", hint="name the file as it is listed there, with -o")
    return found


def _read_list(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(_LONGEST_LIST + 1)
    except OSError as error:
        raise OptionsError(f"the list of checksums {path} cannot be read: {error.strerror}") from error
    if len(data) > _LONGEST_LIST:
        raise OptionsError(f"{path} is too long for a list of checksums")
    # Names are bytes; those of paths that Python got from elsewhere are decoded in this way too.
    return data.removeprefix(codecs.BOM_UTF8).decode(errors="surrogateescape")


async def _refreshed(asked: Settings, source: UrlProvider) -> Job:
    began = time.monotonic()
    if asked.urls:
        url = SignedUrl(asked.urls[0])
    elif asked.output is not None:
        return Job(source=source, path=Path(asked.dir, asked.output), url=None)
    else:
        url = await _first_url(asked, source)
    path = Path(asked.dir, asked.output or file_name(url.url))
    spent = time.monotonic() - began
    return Job(source=StartingWith(url.url, source), path=path, url=url.public, spent=spent)


async def _first_url(asked: Settings, source: UrlProvider) -> SignedUrl:
    """The URL that names the file: asked for and checked as the engine would, and failing in the same words."""
    from asyncdl.edge.clock import Clock  # noqa: PLC0415  # most runs need neither
    from asyncdl.refresher import UrlRefresher  # noqa: PLC0415

    try:
        async with asyncio.timeout(asked.max_time):
            return (await UrlRefresher(source, asked.options(), asked.timeouts(), Clock()).lease()).url
    except TimeoutError:
        msg = f"there was no URL before the deadline of {asked.max_time:g} s"
        raise DeadlineError(msg) from None
