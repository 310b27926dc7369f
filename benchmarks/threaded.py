"""The threaded baseline: requests, a thread pool, a queue of 500 chunks and one writer thread; asyncdl's forerunner.

python -m benchmarks.threaded URL DEST [THREADS]
"""

from __future__ import annotations

import os
import queue
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO

import requests

_PART = 100 << 20
_CHUNK = 1 << 20
_DEPTH = 500
_PATIENCE = 60

#: (offset, data); None ends the writer.
_Item = tuple[int, bytes] | None


def download(url: str, dest: str, threads: int = 8) -> None:
    """One file, in parts of 100 MiB.

    Raises:
        requests.RequestException: the server refused or went away; nothing is tried again.
    """
    with requests.Session() as session:
        session.trust_env = "REQUESTS_CA_BUNDLE" in os.environ
        _pool(session, threads)
        size = _size(session, url)
        chunks: queue.Queue[_Item] = queue.Queue(_DEPTH)
        with Path(dest).open("wb") as file, ThreadPoolExecutor(threads) as pool:
            writer = threading.Thread(target=_write, args=(chunks, file))
            writer.start()
            try:
                parts = [pool.submit(_fetch, session, url, start, size, chunks) for start in range(0, size, _PART)]
                for part in parts:
                    part.result()
            finally:
                chunks.put(None)
                writer.join()


def _pool(session: requests.Session, threads: int) -> None:
    for scheme in ("http://", "https://"):
        session.mount(scheme, requests.adapters.HTTPAdapter(pool_maxsize=threads))


def _size(session: requests.Session, url: str) -> int:
    response = session.get(url, headers={"Range": "bytes=0-0"}, timeout=_PATIENCE)
    response.raise_for_status()
    return int(response.headers["Content-Range"].rpartition("/")[2])


def _fetch(session: requests.Session, url: str, start: int, size: int, chunks: queue.Queue[_Item]) -> None:
    headers = {"Range": f"bytes={start}-{min(start + _PART, size) - 1}"}
    with session.get(url, headers=headers, stream=True, timeout=_PATIENCE) as response:
        response.raise_for_status()
        place = start
        for chunk in response.iter_content(_CHUNK):
            chunks.put((place, chunk))
            place += len(chunk)


def _write(chunks: queue.Queue[_Item], file: BinaryIO) -> None:
    while (item := chunks.get()) is not None:
        file.seek(item[0])
        file.write(item[1])


def download_all(urls: list[str], directory: Path, threads: int) -> None:
    """Many files, one thread for each of `threads` at a time."""
    with requests.Session() as session, ThreadPoolExecutor(threads) as pool:
        session.trust_env = False
        _pool(session, threads)
        for done in [pool.submit(_fetch_whole, session, url, directory) for url in urls]:
            done.result()


def _fetch_whole(session: requests.Session, url: str, directory: Path) -> None:
    response = session.get(url, timeout=_PATIENCE)
    response.raise_for_status()
    (directory / url.rpartition("/")[2]).write_bytes(response.content)


if __name__ == "__main__":
    download(sys.argv[1], sys.argv[2], *map(int, sys.argv[3:]))
