"""What a download that fails had of the room that all share is there again for the others."""

from __future__ import annotations

import asyncio
import dataclasses
import errno
from pathlib import Path

import pytest

import asyncdl
from asyncdl.edge.clock import Clock
from asyncdl.engine import FileDownload
from asyncdl.job import Commons
from asyncdl.model import Request
from asyncdl.progress import Reporter
from asyncdl.room import Room
from asyncdl.testing import Content
from tests.support.disks import NotingDisk
from tests.support.fakes import ScriptedTransport
from tests.support.flow import EAGER, KIB, QUICK, small

SIZE = 1024 * KIB
PLACES = 6
#: Only what hangs takes so long.
BOUND = 60.0


@pytest.mark.parametrize("how", ["disk", "cancelled"])
async def test_room_of_a_download_that_ends_early(tmp_path: Path, no_leaks: object, how: str) -> None:
    """Chunks in its queue, and with its writer, are nobody's: their places are not lost with them."""
    dest, clock, options = tmp_path / "file", Clock(), small()
    disk, room = NotingDisk(dest), Room(PLACES)
    reached = asyncio.Event()
    loop = asyncio.get_running_loop()

    def refuse(note: str) -> None:
        if note == "write .part":
            loop.call_soon_threadsafe(reached.set)
            raise OSError(errno.EIO, "no")

    disk.before = refuse
    transport = ScriptedTransport(Content(1, SIZE).read(0, SIZE), chunk_size=options.chunk_size)
    commons = dataclasses.replace(Commons.of_one(transport, options, clock, EAGER), room=room)
    request = Request("https://host.example/object", dest)
    download = FileDownload(request, options, QUICK, EAGER, commons, clock=clock, disk=disk)
    task = asyncio.create_task(download.run(Reporter(None, clock)))
    await asyncio.wait_for(reached.wait(), BOUND)
    if how == "cancelled":
        task.cancel()
    with pytest.raises((asyncdl.StorageError, asyncio.CancelledError)):
        await task

    async with asyncio.timeout(BOUND):
        for _ in range(PLACES):
            await room.take()
    assert room.full
