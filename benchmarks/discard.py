"""A download whose bytes are summed up and thrown away: what a process takes for a file that no disk here would hold.

python -m benchmarks.discard URL DEST CONNECTIONS SIZE [SECONDS]

compares the sums with those of `benchmarks.marked`, and gives up after SECONDS, where it is told.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from asyncdl import Options, Retry, Timeouts
from asyncdl.edge.clock import Clock
from asyncdl.edge.disk import FileName, OsDisk
from asyncdl.edge.http import AiohttpTransport
from asyncdl.engine import FileDownload
from asyncdl.job import Commons
from asyncdl.model import Request
from asyncdl.progress import Reporter
from benchmarks.marked import Marked, Running


class DiscardingDisk(OsDisk):
    """The system's files, but for the bytes of partial files: those are summed up and forgotten."""

    def __init__(self) -> None:
        super().__init__()
        self.found = Running()
        self._swallowed: set[int] = set()

    def create(self, path: FileName, mode: int) -> int:
        descriptor = super().create(path, mode)
        if Path(path).name.endswith(".part"):
            self._swallowed.add(descriptor)
        return descriptor

    def reserve(self, descriptor: int, size: int) -> None:
        """Take nothing."""

    def free(self, descriptor: int, path: FileName) -> int | None:  # noqa: ARG002  # the protocol's signature
        return None

    def write(self, descriptor: int, buffers: Sequence[bytes | memoryview], offset: int) -> int:
        if descriptor not in self._swallowed:
            return super().write(descriptor, buffers, offset)
        start = offset
        for buffer in buffers:
            self.found.add(offset, buffer)
            offset += len(buffer)
        return offset - start

    def close(self, descriptor: int) -> None:
        self._swallowed.discard(descriptor)
        super().close(descriptor)


async def _download(url: str, dest: Path, connections: int, disk: DiscardingDisk) -> None:
    options = Options(connections=connections, use_environment=False)
    timeouts, retry, clock = Timeouts(), Retry(), Clock()
    transport = AiohttpTransport(options, timeouts, None)
    request = Request(url, dest, None, None, (), "replace")
    try:
        commons = Commons.of_one(transport, options, clock, retry)
        download = FileDownload(request, options, timeouts, retry, commons, clock=clock, disk=disk)
        await download.run(Reporter(None, clock))
    finally:
        await transport.aclose()


async def _main(url: str, dest: Path, connections: int, size: int, seconds: float | None) -> dict[str, float]:
    disk = DiscardingDisk()
    began = asyncio.get_running_loop().time()
    try:
        async with asyncio.timeout(seconds):
            await _download(url, dest, connections, disk)
    except TimeoutError:
        if seconds is None:
            raise
    took = asyncio.get_running_loop().time() - began
    marked, runs = Marked(size), disk.found.runs()
    if any(marked.crc(start, stop) != value for start, stop, value in runs):
        raise SystemExit("wrong bytes")
    if seconds is None and [run[:2] for run in runs] != [(0, size)]:
        raise SystemExit("not every byte came")
    return {"bytes": disk.found.bytes, "seconds": took}


if __name__ == "__main__":
    words = sys.argv[1:]
    limit = float(words[4]) if len(words) > 4 else None
    print(json.dumps(asyncio.run(_main(words[0], Path(words[1]), int(words[2]), int(words[3]), limit))))
