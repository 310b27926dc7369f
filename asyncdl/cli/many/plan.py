"""From settings to the files of a batch, one after the other: rows, sources and names; it downloads nothing."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Iterator
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Final

from asyncdl.cli import jobs
from asyncdl.cli.many.collected import Collected
from asyncdl.cli.many.failed import lines_of
from asyncdl.cli.many.feed import feed
from asyncdl.cli.many.items import Item, Refused
from asyncdl.errors import OptionsError
from asyncdl.model import Checksum, HeaderPairs, Mirrors, Request, SignedUrl, Source
from asyncdl.rules.lists import formats
from asyncdl.rules.lists.row import BadRow, Row, scheme_of
from asyncdl.rules.names import file_name, relative_path
from asyncdl.sources.destinations import Destinations
from asyncdl.sources.requests import request_for

if TYPE_CHECKING:
    from asyncdl.cli.settings import Settings
    from asyncdl.sources.contract import RemoteFile

_HTTP: Final = frozenset({"http", "https"})
#: Kinds of things that are told of as not heeded; more would be no help.
_MOST_NOTED: Final = 50


class Plan:
    """The files that the settings ask for.

    Args:
        asked: by the user.
        directory: that of the command, absolute.
        own: files that the command itself reads and writes, absolute; none is a destination.
        refuse: told of rows and files that nothing can be begun for; those around them can.
        note: told in words, once, of each kind of thing that a list says and nobody heeds.
    """

    def __init__(
        self,
        asked: Settings,
        *,
        directory: Path,
        own: Iterable[Path] = (),
        refuse: Callable[[Refused, Exception], Awaitable[None]],
        note: Callable[[str], object],
    ) -> None:
        self._asked, self._refuse, self._note = asked, refuse, note
        self._directory = directory
        self._destinations = Destinations(Path(asked.dir))
        for path in own:
            if path.is_relative_to(directory):
                self._destinations.keep(path.relative_to(directory).as_posix())
        self._collected = Collected(asked.options(), asked.timeouts())
        self._checksum_of: Callable[[str], Checksum | None] = lambda _: None
        self._noted: set[str] = set()

    async def items(self) -> AsyncGenerator[Item, None]:
        """The files, as they are asked for.

        Raises:
            OptionsError: URLs of the command line end in no usable names; or the list, or the rest of it, is none.
            StorageError: the list cannot be read.
        """
        asked = self._asked
        if asked.has_source:
            self._checksum_of = await jobs.checksums(asked.checksum)
            for url in asked.urls:
                async with aclosing(self._of(Row(line=0, urls=(url,), out=asked.output, size=asked.size))) as found:
                    async for item in found:
                        yield item
        else:
            # All of them before the first begins: what is wrong with a command line is said at once.
            for job in await jobs.plan(asked):
                row = Row(line=0, urls=(str(job.source),), checksum=job.checksum)
                yield self._item(row, await self._destinations.claim(job.name))
        if asked.batch.input is not None:
            async with aclosing(self._listed(asked.batch.input)) as found:
                async for item in found:
                    yield item

    async def aclose(self) -> None:
        """Close the sources that are still open."""
        await self._collected.aclose()

    async def _listed(self, path: str) -> AsyncGenerator[Item, None]:
        batch = self._asked.batch
        only = None if batch.only is None else await lines_of(batch.only)
        async with aclosing(feed(path, self._read)) as rows:
            async for row in rows:
                if only is None or row.line in only:
                    async with aclosing(self._of(row)) as found:
                        async for item in found:
                            yield item

    def _read(self, lines: Iterator[str]) -> Iterator[Row | BadRow]:
        batch = self._asked.batch
        name = batch.input or ""
        try:
            yield from formats.read(lines, name=name, wanted=batch.input_format, base_url=batch.base_url)
        except OptionsError as error:
            raise OptionsError(f"{self._list}: {error.message}", hint=error.hint) from None

    async def _of(self, row: Row | BadRow) -> AsyncGenerator[Item, None]:
        """What one row asks for; a row that nothing comes of is told of."""
        if isinstance(row, BadRow):
            await self._refuse(Refused(label=self._list, line=row.line), row.error)
            return
        for name in row.notes:
            self._note_once(name)
        try:
            if scheme_of(row.urls[0]) in _HTTP:
                yield self._item(row, await self._destinations.claim(self._name(row, row.out or _ending(row))))
                return
            async with aclosing(self._in_source(row)) as found:
                async for item in found:
                    yield item
        except Exception as error:  # noqa: BLE001  # whatever it is, the other rows still have their turn
            await self._refuse(self._refused(row), error)

    @property
    def _list(self) -> str:
        return "standard input" if self._asked.batch.input == "-" else str(self._asked.batch.input)

    def _refused(self, row: Row) -> Refused:
        url = SignedUrl(row.urls[0]).public
        label = f"{self._list}: line {row.line}" if row.line else url
        return Refused(label=label, row=row, line=row.line or None, url=url)

    def _note_once(self, name: str) -> None:
        if name not in self._noted and len(self._noted) < _MOST_NOTED:
            self._noted.add(name)
            self._note(f"{self._list}: {name} is not heeded")

    def _name(self, row: Row, name: str) -> str:
        """The name below the directory of the command, with that of the row before it."""
        name, folder = relative_path(name), row.dir
        if folder is not None and os.path.isabs(folder):  # noqa: PTH117  # of a str
            # Where the list was made for this very directory.
            try:
                folder = PurePath(os.path.normpath(folder)).relative_to(self._directory).as_posix()
            except ValueError:
                raise OptionsError("its dir is not below the directory given with -d") from None
        return name if folder in {None, "."} else f"{folder}/{name}"

    def _headers(self, row: Row) -> HeaderPairs:
        own = {name.lower() for name, _ in row.headers}
        return (*(pair for pair in self._asked.headers if pair[0].lower() not in own), *row.headers)

    def _item(self, row: Row, path: Path) -> Item:
        url = row.urls[0]
        request = Request(
            source=source_of(row.urls),
            dest=path,
            size=row.size,
            checksum=row.checksum,
            headers=self._headers(row),
            if_exists=row.if_exists or self._asked.if_exists,
        )
        return Item(source=url, path=path, url=SignedUrl(url).public, checksum=row.checksum, request=request, row=row)

    async def _in_source(self, row: Row) -> AsyncGenerator[Item, None]:
        async with aclosing(self._collected.files(row.urls[0])) as files:
            held = None
            async for file, release in files:
                if not self._is_of_one(row):
                    if item := await self._collected_item(row, file, release):
                        yield item
                elif held is None:
                    held = file, release
                else:
                    await release()
                    await held[1]()
                    raise OptionsError("the URL stands for several files: a name, size or checksum is one file's")
            if held is not None and (item := await self._collected_item(row, *held)):
                yield item

    def _is_of_one(self, row: Row) -> bool:
        """Whether what is said of it can be true of one file only."""
        return (row.out, row.size, row.checksum) != (None, None, None) or isinstance(self._asked.checksum, Checksum)

    async def _collected_item(self, row: Row, file: RemoteFile, release: Callable[[], Awaitable[None]]) -> Item | None:
        subject = self._refused(row)
        try:
            name = self._name(row, row.out or file.name)
            checksum = row.checksum or self._checksum_of(name.rpartition("/")[2]) or file.checksum
            path = await self._destinations.claim(name)
        except Exception as error:  # noqa: BLE001  # see `_of`
            await release()
            await self._refuse(replace(subject, label=f"{subject.label}: {file.name}"), error)
            return None
        request = replace(
            request_for(file, path, row.if_exists or self._asked.if_exists),
            size=file.size if row.size is None else row.size,
            checksum=checksum,
            headers=(*file.headers, *row.headers),
        )
        return Item(
            source=row.urls[0],
            path=path,
            url=subject.url,
            checksum=checksum,
            request=request,
            row=row,
            many=row.out is None,
            ended=release,
        )


def _ending(row: Row) -> str:
    return file_name(row.urls[0], hint="name the file in the list" if row.line else "name the file with -o")


def source_of(urls: tuple[str, ...]) -> Source:
    """What the engine is given for URLs of one object."""
    return urls[0] if len(urls) == 1 else Mirrors(urls)
