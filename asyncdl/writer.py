"""The one writer task: takes chunks off the queue, puts them on the disk, and knows what is there."""

from __future__ import annotations

import asyncio

from asyncdl.edge.files import FileSink
from asyncdl.model import Chunk
from asyncdl.rules.parts import Coverage


class Writer:
    """Consumes the queue until it finds None; `written` counts each offset once.

    Args:
        batch: most chunks taken to the disk in one go.
    """

    def __init__(self, sink: FileSink, queue: asyncio.Queue[Chunk | None], batch: int) -> None:
        self._sink, self._queue, self._batch = sink, queue, batch
        self.coverage: Coverage = Coverage()
        self.written: int = 0

    async def run(self) -> None:
        """Write until the end.

        Raises:
            StorageError: the disk refused; nothing is tried again.
        """
        ended = False
        while not ended:
            chunks: list[Chunk] = []
            ended = self._take(await self._queue.get(), chunks)
            while not ended and len(chunks) < self._batch and not self._queue.empty():
                ended = self._take(self._queue.get_nowait(), chunks)
            if chunks:
                await self._write(chunks)

    @staticmethod
    def _take(item: Chunk | None, chunks: list[Chunk]) -> bool:
        if item is None:
            return True
        chunks.append(item)
        return False

    async def _write(self, chunks: list[Chunk]) -> None:
        await self._sink.write(chunks)
        for chunk in chunks:
            self.written += self.coverage.add(chunk.offset, chunk.stop)
            chunk.release()
