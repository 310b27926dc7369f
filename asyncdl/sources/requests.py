"""From the files of a collection to requests for a `Downloader`; it downloads nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from asyncdl.errors import OptionsError, StorageError
from asyncdl.model import IfExists, Request
from asyncdl.sources.contract import Collection, RemoteFile
from asyncdl.sources.destinations import Destinations


async def requests_of(
    collection: Collection,
    directory: str | Path,
    *,
    if_exists: IfExists = "skip",
    on_refused: Callable[[RemoteFile, OptionsError | StorageError], object] | None = None,
) -> AsyncIterator[Request]:
    """One request for each file of a collection, below `directory`; listed as they are asked for.

        collection = open_collection("s3://bucket/prefix/", options=Options(), timeouts=Timeouts())
        async with asyncdl.Downloader() as downloader:
            async for result in downloader.run(requests_of(collection, "data")):
                ...
        await collection.aclose()

    Args:
        collection: stays open.
        directory: must exist; those below it are made.
        if_exists: see `Request`.
        on_refused: told of each file whose name cannot be used, is taken, or leads out of `directory`; without it such
            a file is an error.

    Raises:
        AsyncdlError: the collection cannot be listed.
        OptionsError: a name cannot be used, or is taken.
        StorageError: a directory cannot be made, or leads elsewhere.
    """
    destinations = Destinations(Path(directory))
    async with AsyncExitStack() as stack:
        files: Any = collection.files()
        if hasattr(files, "aclose"):
            stack.push_async_callback(files.aclose)
        async for file in files:
            try:
                dest = await destinations.claim(file.name)
            except (OptionsError, StorageError) as error:
                if on_refused is None:
                    raise
                on_refused(file, error)
            else:
                yield request_for(file, dest, if_exists)


def request_for(file: RemoteFile, dest: Path, if_exists: IfExists) -> Request:
    """The request that brings one file of a collection to `dest`."""
    return Request(
        source=file.source,
        dest=dest,
        size=file.size,
        checksum=file.checksum,
        headers=file.headers,
        if_exists=if_exists,
    )
