"""What an earlier download left beside a destination: found, judged, locked, and kept or cleared away.

Rule: a journal that must not be believed is gone, durably, before a byte is written that it could be taken to speak of.
Rule: whatever a living download holds is left alone.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import stat
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from asyncdl.edge import journal_file
from asyncdl.edge.disk import Disk, Place, is_named
from asyncdl.edge.refusals import busy
from asyncdl.errors import JournalError, StorageError
from asyncdl.rules.identity import Match, same_file
from asyncdl.rules.journal import State

PART_SUFFIX = ".part"
_JOURNAL_SUFFIX = ".part.journal"
DONE_SUFFIX = ".part.done"
#: Bytes of one name (NAME_MAX of Linux, macOS and the BSDs); of them, what the longest suffix of ours takes.
_NAME_MAX = 255
_LONGEST_SUFFIX = len(_JOURNAL_SUFFIX + journal_file.UNFINISHED)
#: Of all files that a download may leave beside its destination.
_SUFFIXES = (PART_SUFFIX, _JOURNAL_SUFFIX, DONE_SUFFIX, _JOURNAL_SUFFIX + journal_file.UNFINISHED)

#: Of a file.
Status: TypeAlias = os.stat_result

_holding = threading.Lock()


@dataclass(frozen=True, slots=True)
class Names:
    """The files of one download; all in one directory, since nothing else can be renamed in one step.

    Attributes:
        target: `dest` as text.
        folder: the directory, as text.
        stem: what the texts of all names but `dest` begin with; a suffix follows.
    """

    dest: Path
    target: str
    folder: str
    stem: str

    @classmethod
    def of(cls, dest: Path) -> Names:
        """The names for `dest`. One that is too long for a suffix is cut, and made unique again by a digest."""
        target = str(dest)
        folder, name = os.path.split(target)
        stem = target
        if (len(name) if name.isascii() else len(os.fsencode(name))) + _LONGEST_SUFFIX > _NAME_MAX:
            encoded = os.fsencode(name)
            digest = "~" + hashlib.blake2s(encoded, digest_size=8).hexdigest()
            short = os.fsdecode(encoded[: _NAME_MAX - _LONGEST_SUFFIX - len(digest)]) + digest
            stem = os.path.join(folder, short)  # noqa: PTH118
        return cls(dest, target, folder or os.curdir, stem)

    @property
    def part(self) -> Path:
        """Where the bytes gather."""
        return Path(self.stem + PART_SUFFIX)

    @property
    def journal(self) -> Path:
        """What of them is durable."""
        return Path(self.stem + _JOURNAL_SUFFIX)

    @property
    def done(self) -> Path:
        """A complete file on its way from `part` to `dest`, where nobody else looks for it."""
        return Path(self.stem + DONE_SUFFIX)


class UnsureError(Exception):
    """Where there are no locks, only time can tell whether somebody is still at work here."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A `.part` that is ours.

    Attributes:
        prior: what its journal says of its bytes, if it may be believed.
        held: its entry in `Disk.holders`.
    """

    descriptor: int
    held: tuple[int, int]
    prior: State | None = None


def open_part(disk: Disk, names: Names, *, resume: bool, mode: int, alone: bool) -> Opened:
    """Open and lock the `.part` that an earlier download left, or a new one.

    Args:
        resume: whether what is there is of any use.
        mode: of a new file, less the umask.
        alone: whether time has told that nobody else is at work.

    Raises:
        DestinationBusyError: a living download holds it.
        UnsureError: perhaps one does.
        JournalError: something with the journal's name is not ours to judge.
        StorageError: something odd has the `.part` name.
    """
    _restore(disk, names, alone=alone)
    for _ in range(3):  # whoever wins the race for a name has shown himself by then
        try:
            descriptor = disk.open(names.part)
        except FileNotFoundError:
            opened = create_part(disk, names, mode)
        else:
            with contextlib.ExitStack() as undo:
                undo.callback(disk.close, descriptor)
                opened = _take(disk, names, descriptor, resume=resume, alone=alone)
                if opened is not None:
                    undo.pop_all()
            if opened is None and not disk.renames_open_files:
                clear(disk, names)
        if opened is not None:
            return opened
    raise busy(names.part)


def create_part(disk: Disk, names: Names, mode: int) -> Opened | None:
    """A new, empty, locked `.part`, and no journal; None where somebody else was faster."""
    journal_file.load(disk, names.journal)
    try:
        descriptor = disk.create(names.part, mode)
    except FileExistsError:
        return None
    with contextlib.ExitStack() as undo:
        undo.callback(disk.close, descriptor)
        # Before the lock was ours, another download may have taken this file for one left behind, and removed it.
        if disk.lock(descriptor) is not False and is_named(disk, descriptor, names.part):
            held = _hold(disk, descriptor)
            if held is not None:
                undo.callback(let_go, disk, held)
                # Not earlier: it would be the journal of whoever was faster. Of an empty file none claims anything.
                journal_file.forget(disk, names.journal)
                undo.pop_all()
                return Opened(descriptor, held)
    return None


def create_beside_nothing(disk: Disk, names: Names, mode: int) -> int:
    """A descriptor of a new, empty, locked `.part`, where a moment ago there was nothing.

    A journal that came meanwhile is of a download that has gone, and speaks of the file that is the destination now:
    none with its number can be made here.

    Raises:
        DestinationBusyError: somebody else was faster.
    """
    try:
        descriptor = disk.create(names.stem + PART_SUFFIX, mode)
    except FileExistsError:
        raise busy(names.part) from None
    if disk.lock(descriptor) is False:  # taken for one left behind, and about to be removed
        disk.close(descriptor)
        raise busy(names.part)
    return descriptor


def _take(disk: Disk, names: Names, descriptor: int, *, resume: bool, alone: bool) -> Opened | None:
    """Go on with the open file, or clear it away; None where it is gone, and the descriptor is for the caller."""
    if not _is_free(disk, descriptor, names.part, alone=alone):
        return None
    held = _hold(disk, descriptor)
    if held is None:
        raise busy(names.part)
    try:
        journal = journal_file.load(disk, names.journal)
        status = disk.fstat(descriptor)
        believed = resume and _is_private(status) and _is_private(disk.status(names.journal))
        if believed and journal and journal.state and _is_that_of(journal.state, disk, descriptor, status):
            return Opened(descriptor, held, journal.state)
        if disk.renames_open_files:  # while the lock is still ours
            clear(disk, names)
    except BaseException:
        let_go(disk, held)
        raise
    let_go(disk, held)
    return None


def clear(disk: Disk, names: Names) -> None:
    """Remove what is there, the journal first."""
    journal_file.forget(disk, names.journal)
    try:
        disk.unlink(names.part)
    except PermissionError as error:  # Windows removes no file that is open, which is as good as a lock
        raise busy(names.part) from error


def _restore(disk: Disk, names: Names, *, alone: bool) -> None:
    """Give a complete file that never reached its destination its earlier name back."""
    try:
        descriptor = disk.open(names.done)
    except FileNotFoundError:
        return
    with contextlib.ExitStack() as opened:
        opened.callback(disk.close, descriptor)
        if not _is_free(disk, descriptor, names.done, alone=alone):
            return
        status = disk.fstat(descriptor)
        if (status.st_dev, status.st_ino) in disk.holders:
            raise busy(names.part)
        journal = journal_file.load(disk, names.journal)
        ours = journal and journal.state and journal.state.head.inode == status.st_ino
        if not disk.renames_open_files:
            opened.close()
        if ours and disk.status(names.part) is None:
            disk.replace(names.done, names.part)
        else:
            disk.unlink(names.done)


def _is_free(disk: Disk, descriptor: int, path: Path, *, alone: bool) -> bool:
    """Lock a file that was found; False where its name has passed to another meanwhile."""
    if not stat.S_ISREG(disk.fstat(descriptor).st_mode):
        raise StorageError(f"{path} is in the way and no regular file", errno=errno.EEXIST)
    ours = disk.lock(descriptor)
    if ours is False:
        raise busy(path)
    if ours is None and not alone:
        raise UnsureError
    return is_named(disk, descriptor, path)


def _is_that_of(state: State, disk: Disk, descriptor: int, status: os.stat_result) -> bool:
    generation = disk.generation(descriptor)
    same = same_file(state, inode=status.st_ino, length=status.st_size, generation=generation)
    return isinstance(same, Match)


def _is_private(status: os.stat_result | None) -> bool:
    """Whether nobody else put the file here: in a shared directory anyone could lay bytes, or a journal, in wait."""
    if status is None or status.st_nlink != 1:
        return False
    return not hasattr(os, "geteuid") or status.st_uid == os.geteuid()


def _hold(disk: Disk, descriptor: int) -> tuple[int, int] | None:
    """Tell this process's other downloads that the file is held; None if one of them holds it."""
    status = disk.fstat(descriptor)
    held = (status.st_dev, status.st_ino)
    return held if take(disk, held) else None


def take(disk: Disk, held: Place) -> bool:
    """Hold a file, or a place for one, until `let_go`; False if another download of this process does."""
    with _holding:
        if held in disk.holders:
            return False
        disk.holders.add(held)
    return True


def let_go(disk: Disk, held: Place) -> None:
    """It is no longer held."""
    with _holding:
        disk.holders.discard(held)


def still_ours(disk: Disk, names: Names, descriptor: int) -> os.stat_result:
    """The status of the open `.part`.

    Raises:
        DestinationBusyError: its name is another file's.
    """
    ours, named = disk.fstat(descriptor), disk.status(names.stem + PART_SUFFIX)
    if named is None or not os.path.samestat(ours, named):
        raise busy(names.part)
    return ours


def publish(disk: Disk, names: Names, ours: os.stat_result) -> None:
    """Rename a complete `.part` over the destination, as `put_in_place` does, and make that durable."""
    put_in_place(disk, names, ours)
    disk.sync_directory(names.folder)


def put_in_place(disk: Disk, names: Names, ours: os.stat_result) -> None:
    """Rename a complete `.part`, of which `ours` is the status, over the destination; durable is for the caller.

    Raises:
        DestinationBusyError: another download took the `.part` name at this very moment.
    """
    # Under a name that no other download takes for its own, it stays what it was when it was looked at.
    done = names.stem + DONE_SUFFIX
    disk.replace(names.stem + PART_SUFFIX, done)
    there = disk.status(done)
    if there is None or not os.path.samestat(ours, there):
        raise busy(names.part)
    disk.replace(done, names.target)


def take_back(disk: Disk, names: Names, ours: os.stat_result) -> None:
    """Remove the file of which `ours` is the status, unless it is the destination by now. Raises nothing."""
    for path in (names.part, names.done):
        with contextlib.suppress(OSError):
            there = disk.status(path)
            if there is not None and os.path.samestat(ours, there):
                disk.unlink(path)


def is_clear(disk: Disk, names: Names) -> bool:
    """Whether an earlier download left nothing, and none is at work; False also where nobody can tell."""
    try:
        for suffix in _SUFFIXES:
            if disk.status(names.stem + suffix) is not None:
                return False
    except OSError:
        return False
    return True


def sweep(disk: Disk, dest: Path) -> None:
    """Remove what is of no use beside the complete file, if no living download has it.

    That is a journal whose name was not gone for good when power failed, and what is left of a download of the file
    that another way was found for.
    """
    names = Names.of(dest)
    with contextlib.suppress(OSError, StorageError, JournalError, UnsureError):
        if disk.status(names.part) is not None:
            opened = open_part(disk, names, resume=False, mode=0o600, alone=False)
            if disk.renames_open_files:  # while the lock is still ours
                disk.unlink(names.part)
            let_go(disk, opened.held)
            disk.close(opened.descriptor)
            if not disk.renames_open_files:
                disk.unlink(names.part)
        found = [disk.status(path) for path in (names.part, names.done)]
        if found == [None, None] and journal_file.load(disk, names.journal) is not None:
            disk.unlink(names.journal)
