"""Memory stays within what `Options.memory_bound` states, however large the file and however slow the disk."""

from __future__ import annotations

import asyncio
import tracemalloc
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

import asyncdl
from asyncdl.model import Chunk
from asyncdl.testing import origin_process
from tests.support.fakes import RecordingSink
from tests.support.flow import KIB

MIB = 1 << 20


class Discard(RecordingSink):
    """A sink that keeps nothing, is slow, and notes how many bytes it was given at a time."""

    def __init__(self, pause: float = 0.0) -> None:
        super().__init__()
        self._pause = pause
        self.largest = 0

    async def reserve(self, size: int, *, preallocate: bool = True, check_space: bool = True) -> None:
        """Nothing to reserve."""

    async def write(self, chunks: Sequence[Chunk], then: Callable[[], object] = bool) -> None:
        self.largest = max(self.largest, sum(len(chunk.data) for chunk in chunks))
        await asyncio.sleep(self._pause)
        then()

    async def publish(self, size: int) -> None:
        """Nothing to publish."""

    async def abandon(self, *, discard: bool = False) -> None:
        """Nothing to abandon."""


@pytest.mark.slow
@pytest.mark.parametrize("connections", [1, 16, 64])
async def test_slow_disk_costs_no_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, connections: int) -> None:
    """B4: with a disk far slower than the server, the peak of all allocations stays within the stated bound."""
    options = asyncdl.Options(
        connections=connections,
        first_connections=connections,
        part_size=MIB,
        parallel_threshold=MIB,
        chunk_size=512 * KIB,
        queue_depth=8,
    )
    sink = Discard(pause=0.005)
    monkeypatch.setattr("asyncdl.large.PartFile.create", _creating(sink))
    async with origin_process(size=192 * MIB) as origin:
        # What is imported at the first download of a process is not the download's.
        await asyncdl.download(origin.url, tmp_path / "first", size=192 * MIB, options=options)
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        await asyncdl.download(origin.url, tmp_path / "file", size=192 * MIB, options=options)
        peak = tracemalloc.get_traced_memory()[1] - before
        tracemalloc.stop()

    # Beside the file's bytes: parsers, tasks and TLS-less transports, a little for each connection.
    assert peak <= options.memory_bound + MIB + connections * 16 * KIB
    assert sink.largest <= options.queue_depth * options.chunk_size


def _creating(sink: Discard) -> object:
    async def create(dest: Path, **_: object) -> Discard:
        return sink

    return create
