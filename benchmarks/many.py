"""Many small files by one of the clients that are Python, or the flush that the others leave out.

python -m benchmarks.many {asyncdl,threaded} LIST DIRECTORY AT_ONCE
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path


async def fetch_all(urls: list[str], directory: Path, at_once: int) -> None:
    """All files with asyncdl, over one session: the one place that changes once there is a call for many files."""
    import aiohttp

    import asyncdl

    options = asyncdl.Options(use_environment=False)
    left = iter(urls)

    async def work(session: aiohttp.ClientSession) -> None:
        for url in left:
            await asyncdl.download(url, directory / url.rpartition("/")[2], options=options, session=session)

    connector = aiohttp.TCPConnector(limit=at_once)
    session = aiohttp.ClientSession(connector=connector, auto_decompress=False)
    async with session, asyncio.TaskGroup() as group:
        for _ in range(at_once):
            group.create_task(work(session))


def main(client: str, listed: str, directory: str, at_once: str) -> None:
    urls = Path(listed).read_text().split()
    if client == "threaded":
        from benchmarks.threaded import download_all

        download_all(urls, Path(directory), int(at_once))
    else:
        asyncio.run(fetch_all(urls, Path(directory), int(at_once)))
    print(json.dumps({"files": len(urls)}))


if __name__ == "__main__":
    main(*sys.argv[1:])
