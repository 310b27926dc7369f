"""Whole downloads on the disk in memory: one that is recorded, and the one after the crash."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import random
from collections.abc import Iterator
from dataclasses import dataclass
from unittest import mock

from asyncdl.edge import files, journal_file
from asyncdl.engine import FileDownload
from asyncdl.errors import StorageError
from asyncdl.model import Checksum, IfExists, Request, Result
from asyncdl.options import Options, Retry, Timeouts
from asyncdl.progress import Reporter
from tests.crash import steps
from tests.crash.simdisk import FOLDER, SimDisk
from tests.crash.trace import Returned
from tests.crash.transport import Object, ObjectTransport
from tests.support.clock import ManualClock

DEST = FOLDER / "file"
KIB = 1024
_URL = "https://bucket.example/file"
_tokens = itertools.count()


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetch:
    """One download: of what, and how.

    Attributes:
        flush: bytes after which the writer claims.
        piece: bytes that come at a time.
    """

    object: Object
    if_exists: IfExists = "skip"
    checksum: Checksum | None = None
    size: int | None = None
    connections: int = 3
    part_size: int = 8 * KIB
    piece: int = 4 * KIB
    flush: int = 8 * KIB
    queue_depth: int = 4
    preallocate: bool = True
    resume: bool = True
    resume_unproven: bool = False

    @property
    def options(self) -> Options:
        return Options(
            connections=self.connections,
            part_size=self.part_size,
            parallel_threshold=0,
            chunk_size=self.piece,
            queue_depth=self.queue_depth,
            preallocate=self.preallocate,
            resume=self.resume,
            resume_unproven=self.resume_unproven,
            use_environment=False,
        )


@contextlib.contextmanager
def small_windows(flush: int) -> Iterator[None]:
    """The writer claims after so many bytes, waits for nobody, and tells nobody what it finds."""
    with (
        mock.patch("asyncdl.writer.FLUSH_BYTES", flush),
        mock.patch.object(journal_file, "new_owner", lambda: f"{next(_tokens):016x}"),
        mock.patch.object(files, "_MISSED_BEATS", 0),
        mock.patch.object(logging.getLogger("asyncdl"), "disabled", new=True),
    ):
        yield


async def download(disk: SimDisk, fetch: Fetch, transport: ObjectTransport) -> Result:
    """One `FileDownload` with the real writer, `.part` file and journal.

    Raises:
        As `asyncdl.download` does.
    """
    clock = ManualClock()
    request = Request(_URL, DEST, size=fetch.size, checksum=fetch.checksum, if_exists=fetch.if_exists)
    retry, timeouts = Retry(attempts=2, base=0.0, cap=0.0), Timeouts(low_speed=None)
    reporter = Reporter(None, clock)
    return await FileDownload(request, fetch.options, timeouts, retry, transport, clock=clock, disk=disk).run(reporter)


@contextlib.contextmanager
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """A loop of our own, for as many downloads as one likes."""
    made = steps.new_loop()
    try:
        yield made
    finally:
        made.close()


def record(disk: SimDisk, fetch: Fetch, *, seed: int) -> Result | None:
    """Download with threads that take turns; None where the disk died, or refused, on the way."""
    rng = random.Random(seed)
    turns = steps.Steps(rng)
    transport = ObjectTransport(fetch.object, piece=fetch.piece, rng=rng)
    with loop() as runner, small_windows(fetch.flush), turns.taken():
        disk.pause = turns.pause
        try:
            result = runner.run_until_complete(download(disk, fetch, transport))
        except StorageError:
            return None
        finally:
            disk.pause = None
    disk.note(Returned())
    return result


def go_on(runner: asyncio.AbstractEventLoop, disk: SimDisk, fetch: Fetch) -> Result:
    """Download at once, without threads; the caller has put `small_windows` and `on_the_loop` in place.

    Raises:
        As `asyncdl.download` does.
    """
    transport = ObjectTransport(fetch.object, piece=fetch.piece)
    result = runner.run_until_complete(download(disk, fetch, transport))
    disk.note(Returned())
    return result
