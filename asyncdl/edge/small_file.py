"""A small file, all of it in memory: made, written, synced and given its name in one visit to a thread.

Rule: whatever goes wrong before it has its name leaves nothing behind; a crash leaves at most a `.part` without a
journal, of which nobody believes a byte.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path

from asyncdl.edge.disk import Disk, is_named, write_all
from asyncdl.edge.opening import Names, Opened, create_part, let_go, publish, still_ours
from asyncdl.edge.refusals import busy, exists, refuse_odd, storage_error, too_large
from asyncdl.edge.threads import Errand
from asyncdl.errors import StorageError
from asyncdl.model import Chunk, IfExists


class SmallFile:
    """One file on its way to the disk.

    Args:
        mode: permissions of the file that it replaces; None for those of a new file.
        check_space: whether to look first if there is room for it.
    """

    def __init__(self, dest: Path, *, if_exists: IfExists, mode: int | None, check_space: bool, disk: Disk) -> None:
        self._dest, self._if_exists, self._mode = dest, if_exists, mode
        self._check_space, self._disk = check_space, disk
        self._opened: Opened | None = None
        self._doing = "create"

    def save(self, chunks: Sequence[Chunk], size: int, errand: Errand) -> bool:
        """Put the file where it belongs; False if one of its size is there by now that counts for it. Blocks.

        Args:
            chunks: all of its `size` bytes.
            errand: once that is called off, the file does not appear.

        Raises:
            DestinationExistsError: something took the destination's name meanwhile and is not to be replaced.
            DestinationBusyError: another download has the `.part` name.
            StorageError: the system refused.
        """
        if errand.called_off:
            return False
        names = Names.of(self._dest)
        saved = False
        try:
            self._opened = opened = create_part(self._disk, names, 0o666 if self._mode is None else 0o600)
            if opened is None:
                raise busy(names.part)
            self._doing = "write"
            self._fill(opened.descriptor, names, chunks, size)
            self._doing = "rename"
            saved = not errand.called_off and self._publish(opened, names, size)
        except StorageError:
            raise
        except OSError as error:
            raise storage_error(error, self._doing, names.part) from error
        finally:
            if not saved:
                self._clear(names)
            self._let_go()
        return saved

    def _fill(self, descriptor: int, names: Names, chunks: Sequence[Chunk], size: int) -> None:
        disk = self._disk
        free = disk.free(descriptor, names.part) if self._check_space else None
        if free is not None and size > free:
            raise too_large(self._dest, size, free)
        write_all(disk, descriptor, chunks)
        self._doing = "flush"
        if self._mode is not None:
            disk.set_mode(descriptor, self._mode)
        disk.sync(descriptor)

    def _publish(self, opened: Opened, names: Names, size: int) -> bool:
        disk = self._disk
        status = disk.status(names.dest)
        if status is not None:
            refuse_odd(names.dest, status.st_mode)
            if self._if_exists == "skip" and status.st_size == size:
                return False
            if self._if_exists != "replace":
                raise exists(names.dest, "it appeared while the download ran")
        ours = still_ours(disk, names, opened.descriptor)
        if not disk.renames_open_files:
            self._let_go()
        publish(disk, names, ours)
        return True

    def _clear(self, names: Names) -> None:
        """Take away what is ours and has not become the destination."""
        opened = self._opened
        if opened is None:
            return
        if not self._disk.renames_open_files:
            self._let_go()
            with contextlib.suppress(OSError):
                self._disk.unlink(names.part)
            return
        for path in (names.part, names.done):
            with contextlib.suppress(OSError):
                if is_named(self._disk, opened.descriptor, path):
                    self._disk.unlink(path)

    def _let_go(self) -> None:
        opened, self._opened = self._opened, None
        if opened is not None:
            let_go(self._disk, opened.held)
            # Whatever goes wrong here changes nothing: what must last has been through fsync.
            with contextlib.suppress(OSError):
                self._disk.close(opened.descriptor)
