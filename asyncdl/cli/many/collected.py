"""The sources of a batch that are open: each is closed when its last file has ended; what is in them, others say."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

from asyncdl.sources.registry import open_collection

if TYPE_CHECKING:
    from asyncdl.options import Options, Timeouts
    from asyncdl.sources.contract import Collection, RemoteFile


class _Open:
    """A collection, and how many still use it."""

    def __init__(self, collection: Collection, others: set[_Open]) -> None:
        self.collection = collection
        self.users = 1
        self._others = others
        others.add(self)

    async def release(self) -> None:
        self.users -= 1
        if not self.users:
            self._others.discard(self)
            await self.collection.aclose()


class Collected:
    """Opens collections, and closes them when nobody uses them any more.

    Args:
        options, timeouts: for the questions to the stores.
    """

    def __init__(self, options: Options, timeouts: Timeouts) -> None:
        self._options, self._timeouts = options, timeouts
        self._open: set[_Open] = set()

    async def files(self, url: str) -> AsyncGenerator[tuple[RemoteFile, Callable[[], Awaitable[None]]], None]:
        """The files that `url` stands for, each with what must be called when nothing more is done for it.

        Raises:
            AsyncdlError: the collection cannot be opened or listed.
        """
        opened = _Open(open_collection(url, options=self._options, timeouts=self._timeouts), self._open)
        try:
            async with AsyncExitStack() as stack:
                files: Any = opened.collection.files()
                if hasattr(files, "aclose"):
                    stack.push_async_callback(files.aclose)
                async for file in files:
                    opened.users += 1
                    yield file, opened.release
        finally:
            await opened.release()

    async def aclose(self) -> None:
        """Close what is still open: the batch has come to an early end."""
        while self._open:
            await self._open.pop().collection.aclose()
