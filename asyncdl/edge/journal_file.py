"""The journal's file beside `.part`: read at the beginning, appended to, rewritten, and asked whose it is.

Rule: the file always begins with what was durable under that name before: a new one replaces it in one step.
Rule: nothing here retries; after a failed call only reading is left to do.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from asyncdl.edge.disk import Disk, is_named, write_run
from asyncdl.edge.refusals import busy, unusable_journal
from asyncdl.edge.sums import Sums
from asyncdl.model import Part
from asyncdl.rules.held import Held
from asyncdl.rules.journal import MAX_JOURNAL, MAX_RANGES, Encoder, Fault, Journal, State, replay

#: Bytes and ranges at which a journal is written anew, shorter; far below what a reader looks at.
_LONG = MAX_JOURNAL // 4
_MANY = MAX_RANGES // 4
_BLOCK = 1 << 20
#: What the name of a journal that is to replace another one ends in.
UNFINISHED = ".new"


def load(disk: Disk, path: Path) -> Journal | None:
    """What the journal at `path` says; None where there is none.

    Raises:
        JournalError: the file is not ours to judge: of another program, or of a later version of the format.
        OSError: it cannot be read.
    """
    try:
        descriptor = disk.open(path)
    except FileNotFoundError:
        return None
    try:
        journal = replay(_read(disk, descriptor))
    finally:
        disk.close(descriptor)
    if journal.fault in {Fault.FOREIGN, Fault.NEWER}:
        raise unusable_journal(path, journal.version)
    return journal


def _read(disk: Disk, descriptor: int) -> bytes:
    data = bytearray()
    while len(data) < MAX_JOURNAL and (block := disk.read(descriptor, _BLOCK, len(data))):
        data += block
    return bytes(data)


class JournalFile:
    """One journal, from `begin` until `close` or `remove`.

    Attributes:
        mode: permissions that a new file gets here.

    Args:
        path: of the journal.
        owner: token of this download.
    """

    mode: int

    def __init__(self, disk: Disk, path: Path, owner: str) -> None:
        self._disk, self._path, self._owner = disk, path, owner
        self._new = unfinished(path)
        self._encoder = Encoder()
        self._descriptor = -1
        self._length = self._ranges = self._long = self._many = 0
        self._beats = 0
        self.mode = 0o600

    @property
    def begun(self) -> bool:
        return self._descriptor >= 0

    def begin(self, state: State) -> None:
        """Write what `state` says under our name, durably, in place of whatever was there.

        Raises:
            DestinationBusyError: another download did the same at the same moment.
        """
        self._disk.unlink(self._new)
        descriptor = self._disk.create(self._new, 0o666)
        encoder = Encoder()
        sums = Sums(state.held)
        sums.shorten()
        state = replace(state, held=sums.items)
        try:
            # The only file that is made with the permissions the caller's files get: it tells them.
            self.mode = self._disk.fstat(descriptor).st_mode & 0o777
            self._disk.set_mode(descriptor, 0o600)
            data = encoder.snapshot(state, owner=self._owner)
            write_run(self._disk, descriptor, [data], 0)
            self._disk.sync(descriptor)
            number = self._disk.fstat(descriptor).st_ino
            if not self._disk.renames_open_files:
                self.close()
                closing, descriptor = descriptor, -1
                self._disk.close(closing)
            self._disk.replace(self._new, self._path)
            if descriptor < 0:
                descriptor = self._disk.open(self._path)
            if not is_named(self._disk, descriptor, self._path) or self._disk.fstat(descriptor).st_ino != number:
                raise busy(self._path)
            # Not later: what is appended to this file must not be lost with its name.
            self._disk.sync_directory(self._path.parent)
        except BaseException:
            self._withdraw(descriptor)
            raise
        self.close()
        self._descriptor, self._encoder, self._length, self._ranges = descriptor, encoder, len(data), len(state.held)
        self._long, self._many = max(_LONG, 2 * self._length), max(_MANY, 2 * self._ranges)

    def _withdraw(self, descriptor: int) -> None:
        """Close, and remove, a new file that did not get its name."""
        if descriptor < 0:
            return
        with contextlib.ExitStack() as undo, contextlib.suppress(OSError):
            undo.callback(self._disk.close, descriptor)
            if is_named(self._disk, descriptor, self._new):
                # Not before it is closed: Windows removes nothing that is open.
                undo.pop_all().close()
                self._disk.unlink(self._new)

    def claim(self, held: Sequence[Held]) -> None:
        """Append: these bytes are durable. Whoever calls knows that they are."""
        self._append(lambda: self._encoder.claim(held))
        # Not for safety: a claim that is lost costs its bytes once more.
        self._disk.sync_data(self._descriptor)
        self._ranges += len(held)
        if self._length > self._long or self._ranges > self._many:
            self._shorten()

    def reset(self, spans: Sequence[Part]) -> None:
        """Append, durably: nothing is claimed of `spans` any more."""
        if spans:
            self._append(lambda: self._encoder.reset(spans))
            self._disk.sync_data(self._descriptor)

    def beat(self) -> None:
        """Append a sign of life."""
        self._beats += 1
        self._append(lambda: self._encoder.beat(self._owner, self._beats))

    def _append(self, encode: Callable[[], bytes]) -> None:
        chain = self._encoder.chain
        try:
            data = encode()
            write_run(self._disk, self._descriptor, [data], self._length)
        except BaseException:
            # Whatever comes next takes the place of the record that is not whole.
            self._encoder.chain = chain
            raise
        self._length += len(data)

    def _shorten(self) -> None:
        journal = replay(_read(self._disk, self._descriptor))
        if journal.state is None or not self.is_ours():
            raise busy(self._path)
        self.begin(journal.state)

    def is_ours(self) -> bool:
        """Whether the name still leads to the journal we write."""
        return self.begun and is_named(self._disk, self._descriptor, self._path)

    def check_owner(self) -> None:
        """Read it again by its name, as any other process sees it.

        Raises:
            DestinationBusyError: somebody else has taken the download over.
        """
        journal = load(self._disk, self._path)
        if journal is None or journal.state is None or journal.state.owner != self._owner:
            raise busy(self._path)

    def close(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            self._disk.close(descriptor)

    def remove(self) -> None:
        """Take the name away, if it is still that of our journal."""
        ours = self.is_ours()
        self.close()
        if ours:
            self._disk.unlink(self._path)


def unfinished(path: Path) -> Path:
    """The name of a journal that is to replace the one at `path`."""
    return path.with_name(path.name + UNFINISHED)


def forget(disk: Disk, path: Path) -> None:
    """Remove a journal for good: before anything is made that it must not be taken to speak of."""
    if disk.status(path) is not None:
        disk.unlink(path)
        # A file system may give the number of the partial file to the next one: the old claims would count for it.
        disk.sync_directory(path.parent)


def fingerprint(disk: Disk, path: Path) -> tuple[int, int, int] | None:
    """Something that changes with every sign of life."""
    status = disk.status(path)
    return None if status is None else (status.st_ino, status.st_size, status.st_mtime_ns)


def new_owner() -> str:
    """A token that no other download has."""
    return secrets.token_hex(8)
