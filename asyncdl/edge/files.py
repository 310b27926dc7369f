"""One `.part` file and its journal: opened, written, claimed, published or given up, in the order that loses nothing.

Every call that may block runs in a worker thread: writes one at a time, and beside them syncs and reads one at a time.
Rule: data, then fdatasync, then the claim; a complete file has fsync, its name, fsync of the directory, and only then
the journal goes.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import stat
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TypeAlias, TypeVar

from asyncdl.edge import journal_file
from asyncdl.edge.disk import Disk, OsDisk, Reader, is_named, write_all
from asyncdl.edge.journal_file import JournalFile
from asyncdl.edge.opening import Names, Opened, UnsureError, clear, create_part, let_go, open_part, publish, still_ours
from asyncdl.edge.refusals import busy, exists, refuse_odd, storage_error, too_large
from asyncdl.edge.threads import Worker
from asyncdl.errors import StorageError
from asyncdl.model import Chunk, IfExists, Part
from asyncdl.rules.head import Head
from asyncdl.rules.held import Held
from asyncdl.rules.journal import State

T = TypeVar("T")
AnyPath: TypeAlias = str | os.PathLike[str]

#: Seconds after which a living download that has nothing else to write shows that it lives.
BEAT = 5.0
#: Beats that have to be missing before a download counts as dead where there are no locks.
_MISSED_BEATS = 3


class PartFile:
    """One `.part` file on a disk; made by `create`."""

    def __init__(self, dest: Path, *, if_exists: IfExists, resume: bool, disk: Disk) -> None:
        self._names = Names.of(dest)
        self._if_exists: IfExists = if_exists
        self._resume = resume
        self._disk = disk
        self._journal = JournalFile(disk, self._names.journal, journal_file.new_owner())
        self._opened: Opened | None = None
        # Publishing opens files, one at a time, and by then connections may have every descriptor there is.
        self._spare = -1
        self._mode: int | None = None
        self._worth_keeping = False
        self._unsound: OSError | None = None
        self._worker = Worker(self._release)
        self.prior: State | None = None

    @classmethod
    async def create(
        cls, dest: Path, *, if_exists: IfExists, resume: bool = False, disk: Disk | None = None
    ) -> PartFile:
        """Open and lock the `.part` that an earlier download left, if it can be gone on with, or a new one.

        Raises:
            DestinationBusyError: a living download holds it.
            JournalError: the journal beside it is of another program or a later release.
            StorageError: the directory is missing or not writable, or something odd has the `.part` name.
        """
        file = cls(dest, if_exists=if_exists, resume=resume, disk=disk or OsDisk())
        try:
            try:
                await file._call("create", partial(file._open, alone=False))
            except UnsureError:
                await file._outwait_others()
                await file._call("create", partial(file._open, alone=True))
        except BaseException:
            await file.abandon()
            raise
        return file

    def _open(self, *, alone: bool) -> None:
        old = self._disk.status(self._names.dest)
        if old is not None and not stat.S_ISREG(old.st_mode):
            old = None
        # The old file may be private: nobody else may open its successor, not even before the next call.
        mode = 0o666 if old is None else 0o600
        opened = open_part(self._disk, self._names, resume=self._resume, mode=mode, alone=alone)
        self._have(opened)
        if old is not None:
            self._mode = old.st_mode & 0o777
        elif opened.prior is None:
            self._mode = self._disk.fstat(opened.descriptor).st_mode & 0o777
        self._disk.set_mode(opened.descriptor, 0o600)

    def _have(self, opened: Opened) -> None:
        self._opened, self.prior = opened, opened.prior
        self._worth_keeping = opened.prior is not None
        self._take_spare()

    async def _outwait_others(self) -> None:
        """Without locks a living download is known by its beats.

        Raises:
            DestinationBusyError: there is one.
        """

        def look() -> list[tuple[int, int, int] | None]:
            return [journal_file.fingerprint(self._disk, path) for path in (self._names.part, self._names.journal)]

        before = await self._call("look at", look)
        await asyncio.sleep(BEAT * _MISSED_BEATS)
        if before != await self._call("look at", look):
            raise busy(self._names.part)

    @property
    def _descriptor(self) -> int:
        return -1 if self._opened is None else self._opened.descriptor

    async def begin(self, head: Head, keep: Sequence[Held] = ()) -> None:
        """Start the journal for the object that `head` speaks of; what of an earlier one is not kept is lost.

        Raises:
            DestinationBusyError: another download took the name meanwhile.
            StorageError: the system refused.
        """
        await self._call("begin", lambda: self._begin(head, tuple(keep)))

    def _begin(self, head: Head, keep: tuple[Held, ...]) -> None:
        # Where locks lack or lie: whoever has the file now has the journal too.
        if not is_named(self._disk, self._descriptor, self._names.part):
            raise busy(self._names.part)
        if self._worth_keeping and not keep:
            self._start_over()
        status = self._disk.fstat(self._descriptor)
        generation = self._disk.generation(self._descriptor)
        head = replace(head, inode=status.st_ino or None, device=status.st_dev, generation=generation)
        self._worth_keeping = bool(keep)
        self._close_spare()
        self._journal.begin(State(head=head, owner="new", held=keep))
        self._take_spare()
        if self._mode is None:
            self._mode = self._journal.mode
        self.prior = None

    def _start_over(self) -> None:
        """A new file: bytes of the old one must not stand where nobody has written yet."""
        self._journal.close()
        if self._disk.renames_open_files:
            clear(self._disk, self._names)  # while the lock is still ours
            self._let_go()
        else:
            self._let_go()
            clear(self._disk, self._names)
        opened = create_part(self._disk, self._names, 0o600)
        if opened is None:
            raise busy(self._names.part)
        self._have(opened)

    async def reserve(self, size: int, *, preallocate: bool = True, check_space: bool = True) -> None:
        """Take the space, or at least look whether it is there.

        Raises:
            DiskFullError: it is not; the file is as it was.
        """

        def reserve() -> None:
            status = self._disk.fstat(self._descriptor)
            missing = size - getattr(status, "st_blocks", 0) * 512
            free = self._disk.free(self._descriptor, self._names.part) if check_space else None
            if free is not None and missing > free:
                raise too_large(self._names.dest, missing, free)
            if preallocate:
                self._disk.reserve(self._descriptor, size)

        await self._call("reserve space for", reserve)

    async def write(self, chunks: Sequence[Chunk], then: Callable[[], object] = bool) -> None:
        def write() -> None:
            write_all(self._disk, self._descriptor, chunks)
            then()

        self._worth_keeping = True
        await self._call("write", write)

    async def commit(self, held: Sequence[Held]) -> None:
        """As the protocol says.

        Raises:
            DestinationBusyError: another download took over.
            StorageError: the system refused; after a failed fdatasync nothing written since the last one counts, and
                none is tried again.
        """

        def commit() -> None:
            if self._unsound is not None:
                raise self._unsound
            try:
                self._disk.sync_data(self._descriptor)
            except OSError as error:
                # The system may have dropped what it could not write, and would call the next one a success.
                self._unsound = error
                raise
            if self._journal.begun:
                if not self._journal.is_ours():
                    raise busy(self._names.part)
                self._journal.claim(held)

        await self._call("flush", commit, lane="sync")

    async def forget(self, spans: Sequence[Part]) -> None:
        if self._journal.begun:
            await self._call("write the journal of", lambda: self._journal.reset(spans), lane="sync")

    async def beat(self) -> None:
        if self._journal.begun:
            await self._call("write the journal of", self._journal.beat, lane="sync")

    async def examine(self, call: Callable[[Reader], T]) -> T:
        def read(offset: int, length: int) -> bytes:
            return self._disk.read(self._descriptor, length, offset)

        return await self._call("read", lambda: call(read), lane="read")

    async def drop_cache(self, spans: Sequence[Part]) -> None:
        def drop() -> None:
            for span in spans:
                self._disk.drop_cache(self._descriptor, span.start, span.stop)

        if spans:
            await self._call("flush", drop, lane="sync")

    async def publish(self, size: int) -> None:
        """Truncate to `size`, set the final mode, fsync, rename over the destination, fsync the directory.

        Raises:
            DestinationExistsError: something took the destination's name meanwhile and is not to be replaced.
            DestinationBusyError: another download took the `.part` name meanwhile (file systems without locks).
            StorageError: the system refused; after a failed fsync nothing is tried again.
        """

        def make_durable() -> None:
            self._disk.truncate(self._descriptor, size)
            self._disk.set_mode(self._descriptor, 0o600 if self._mode is None else self._mode)
            self._disk.sync(self._descriptor)

        # Two calls, so that a cancellation during a long fsync still keeps the file from appearing.
        await self._call("flush", make_durable)
        await self._call("rename", self._rename)

    def _rename(self) -> None:
        names, disk = self._names, self._disk
        self._close_spare()
        status = disk.status(names.dest)
        if status is not None:
            refuse_odd(names.dest, status.st_mode)
            if self._if_exists != "replace":
                raise exists(names.dest, "it appeared while the download ran")
        ours = still_ours(disk, names, self._descriptor)
        if self._journal.begun:
            self._journal.check_owner()
        self._worth_keeping = True
        if not disk.renames_open_files:
            self._let_go()
        publish(disk, names, ours)
        # The file is complete, and its name durable: what is left is only litter, which the next look sweeps.
        with contextlib.suppress(OSError):
            self._journal.remove()
        self._worker.close()

    async def abandon(self, *, discard: bool = False) -> None:
        if discard:
            self._worth_keeping = False
        await self._worker.aclose()

    async def _call(self, doing: str, call: Callable[[], T], *, lane: str = "write") -> T:
        try:
            return await self._worker.run(call, lane=lane)
        except StorageError:
            raise
        except OSError as error:
            raise storage_error(error, doing, self._names.part) from error

    def _take_spare(self) -> None:
        with contextlib.suppress(OSError):
            self._spare = self._disk.open(self._names.part, write=False)

    def _close_spare(self) -> None:
        spare, self._spare = self._spare, -1
        if spare >= 0:
            with contextlib.suppress(OSError):
                self._disk.close(spare)

    def _let_go(self) -> None:
        self._close_spare()
        opened, self._opened = self._opened, None
        if opened is not None:
            let_go(self._disk, opened.held)
            # Whatever goes wrong here changes nothing: what must last has been through fsync.
            with contextlib.suppress(OSError):
                self._disk.close(opened.descriptor)

    def _release(self) -> None:
        clears = not self._worth_keeping
        with contextlib.suppress(OSError):
            if clears and self._journal.begun:
                self._journal.remove()
            self._journal.close()
        if self._opened is None:
            return
        with contextlib.suppress(OSError):
            if clears and self._disk.renames_open_files and is_named(self._disk, self._descriptor, self._names.part):
                self._disk.unlink(self._names.part)
        self._let_go()
        with contextlib.suppress(OSError):
            if clears and not self._disk.renames_open_files:
                self._disk.unlink(self._names.part)
