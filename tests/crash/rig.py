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
from asyncdl.errors import IntegrityError, StorageError
from asyncdl.job import Commons
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetch:
    """One download: of what, and how.

    Attributes:
        flush: bytes after which the writer claims.
        piece: bytes that come at a time.
        chunk: most bytes of a chunk, so that what is no larger is gathered in memory; None for those of a piece.
        breaks: number, from 0, of the piece before which the connection breaks, once; None for none.
        beats: whether it shows that it lives as often as it can.
        long_journal: bytes of a journal that is written anew, shorter; None for as many as ever.
    """

    object: Object
    if_exists: IfExists = "skip"
    checksum: Checksum | None = None
    size: int | None = None
    connections: int = 3
    part_size: int = 8 * KIB
    piece: int = 4 * KIB
    chunk: int | None = None
    flush: int = 8 * KIB
    queue_depth: int = 4
    preallocate: bool = True
    resume: bool = True
    resume_unproven: bool = False
    check_space: bool = True
    breaks: int | None = None
    beats: bool = False
    long_journal: int | None = None

    @property
    def options(self) -> Options:
        return Options(
            connections=self.connections,
            part_size=self.part_size,
            parallel_threshold=0,
            chunk_size=self.chunk or self.piece,
            queue_depth=self.queue_depth,
            preallocate=self.preallocate,
            resume=self.resume,
            resume_unproven=self.resume_unproven,
            check_space=self.check_space,
            use_environment=False,
        )


@contextlib.contextmanager
def small_windows(flush: int, *, first_owner: int) -> Iterator[None]:
    """The writer claims after so many bytes, waits for nobody, and tells nobody what it finds.

    Args:
        first_owner: number in the first token of an owner, the next one has the next: what happens again does so
            with the same bytes.
    """
    numbers = itertools.count(first_owner)
    with (
        mock.patch("asyncdl.writer.FLUSH_MOST", flush),
        mock.patch.object(journal_file, "new_owner", side_effect=lambda: f"{next(numbers):016x}"),
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
    commons = Commons.of_one(transport, fetch.options, clock, retry)
    return await FileDownload(request, fetch.options, timeouts, retry, commons, clock=clock, disk=disk).run(reporter)


@contextlib.contextmanager
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """A loop of our own, for as many downloads as one likes."""
    made = steps.new_loop()
    try:
        yield made
    finally:
        made.close()


def record(
    disk: SimDisk, fetch: Fetch, *, seed: int, first_owner: int = 1, cancelled_at: int | None = None
) -> Result | None:
    """Download with threads that take turns; None where it came to no good end.

    Args:
        seed: of the order in which threads and connections go on.
        first_owner: as in `small_windows`.
        cancelled_at: length of the disk's trace at which the caller cancels, or None.
    """
    rng = random.Random(seed)
    turns = steps.Steps(rng)
    transport = ObjectTransport(fetch.object, piece=fetch.piece, breaks=fetch.breaks, rng=rng)
    with contextlib.ExitStack() as stack:
        runner = stack.enter_context(loop())
        stack.enter_context(small_windows(fetch.flush, first_owner=first_owner))
        stack.enter_context(turns.taken())
        if fetch.beats:
            stack.enter_context(mock.patch("asyncdl.large.BEAT", 0.0))
        if fetch.long_journal is not None:
            stack.enter_context(mock.patch.object(journal_file, "_LONG", fetch.long_journal))
        task = runner.create_task(download(disk, fetch, transport))

        def pause() -> None:
            if cancelled_at is not None and len(disk.trace) >= cancelled_at:
                runner.call_soon_threadsafe(task.cancel)
            turns.pause()

        disk.pause = pause
        stack.callback(setattr, disk, "pause", None)
        try:
            result = runner.run_until_complete(task)
        except (StorageError, IntegrityError, asyncio.CancelledError):
            return None
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
