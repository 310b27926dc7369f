"""Many small files by one of the clients that are Python: asyncdl, the threaded baseline, or a bare loop over aiohttp.

python -m benchmarks.many {asyncdl,threaded,aiohttp} LIST DIRECTORY AT_ONCE
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from functools import partial
from pathlib import Path


async def fetch_all(urls: list[str], directory: Path, at_once: int) -> None:
    """All files with asyncdl."""
    import asyncdl

    requests = (asyncdl.Request(url, directory / url.rpartition("/")[2]) for url in urls)
    options = asyncdl.Options(use_environment=False)
    async with asyncdl.Downloader(options=options, files=at_once, connections=at_once) as downloader:
        async for result in downloader.run(requests):
            if result.error is not None:
                raise result.error


async def fetch_bare(urls: list[str], directory: Path, at_once: int) -> None:
    """The limit: a request and a visit to a thread for each file, durable as ours are, and nothing checked."""
    import aiohttp

    from asyncdl.edge.errands import errand

    left = iter(urls)

    async def work(session: aiohttp.ClientSession) -> None:
        for url in left:
            async with session.get(url) as response:
                body = await response.read()
            await errand(partial(_keep, body, directory / url.rpartition("/")[2]))

    connector = aiohttp.TCPConnector(limit=at_once)
    session = aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False)
    async with session, asyncio.TaskGroup() as group:
        for _ in range(at_once):
            group.create_task(work(session))


def _keep(body: bytes, dest: Path) -> None:
    part = f"{dest}.part"
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    os.write(descriptor, body)
    os.fsync(descriptor)
    os.close(descriptor)
    os.replace(part, dest)  # noqa: PTH105  # the least it takes
    folder = os.open(dest.parent, os.O_RDONLY | os.O_DIRECTORY)
    os.fsync(folder)
    os.close(folder)


def main(client: str, listed: str, directory: str, at_once: str) -> None:
    urls = Path(listed).read_text().split()
    if client == "threaded":
        from benchmarks.threaded import download_all

        download_all(urls, Path(directory), int(at_once))
    else:
        fetch = {"asyncdl": fetch_all, "aiohttp": fetch_bare}[client]
        asyncio.run(fetch(urls, Path(directory), int(at_once)))
    print(json.dumps({"files": len(urls)}))


if __name__ == "__main__":
    main(*sys.argv[1:])
