"""A small file, all of it in memory: made, written, synced and given its name in one visit to a thread.

Rule: whatever goes wrong before it has its name leaves nothing behind; a crash leaves at most a `.part` without a
journal, of which nobody believes a byte.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from asyncdl.edge.disk import Disk, write_all
from asyncdl.edge.errands import Joint
from asyncdl.edge.opening import Names, Status, create_beside_nothing, put_in_place, still_ours, take_back
from asyncdl.edge.refusals import exists, refuse_odd, storage_error, too_large
from asyncdl.edge.threads import Errand
from asyncdl.errors import StorageError
from asyncdl.model import Chunk, IfExists


class SmallFile:
    """One file on its way to the disk.

    Args:
        mode: permissions of the file that it replaces; None for those of a new file.
        check_space: whether to look first if there is room for it.
    """

    def __init__(self, names: Names, *, if_exists: IfExists, mode: int | None, check_space: bool, disk: Disk) -> None:
        self._names, self._if_exists, self._mode = names, if_exists, mode
        self._check_space, self._disk = check_space, disk
        self._descriptor = -1
        self._ours: Status | None = None
        self._doing = "create"

    def save(self, chunks: Sequence[Chunk], size: int, errand: Errand[bool]) -> bool | Joint[bool]:
        """Put the file where it belongs; False if one of its size is there by now that counts for it. Blocks.

        To make the name durable is left to the last step, which is the same for all files of the directory: True counts
        when that has been taken.

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
        saved = False
        try:
            mode = 0o666 if self._mode is None else 0o600
            self._descriptor = create_beside_nothing(self._disk, self._names, mode)
            self._fill(chunks, size)
            self._doing = "rename"
            saved = not errand.called_off and self._publish(size)
        except StorageError:
            raise
        except OSError as error:
            raise storage_error(error, self._doing, self._names.part) from error
        finally:
            if not saved:
                self._clear()
            self._close()
        return self._durably() if saved else False

    def _durably(self) -> Joint[bool]:
        disk, names = self._disk, self._names
        return Joint(
            # All that have their holders in common are one file system.
            key=(id(disk.holders), names.folder),
            step=lambda: disk.sync_directory(names.folder),
            failed=lambda error: storage_error(error, "rename", names.part),
            result=True,
        )

    def _fill(self, chunks: Sequence[Chunk], size: int) -> None:
        self._doing = "write"
        free = self._disk.free(self._descriptor, self._names.target) if self._check_space else None
        if free is not None and size > free:
            raise too_large(self._names.dest, size, free)
        write_all(self._disk, self._descriptor, chunks)
        self._doing = "flush"
        if self._mode is not None:
            self._disk.set_mode(self._descriptor, self._mode)
        self._disk.sync(self._descriptor)

    def _publish(self, size: int) -> bool:
        disk, names = self._disk, self._names
        status = disk.status(names.target)
        if status is not None:
            refuse_odd(names.dest, status.st_mode)
            if self._if_exists == "skip" and status.st_size == size:
                return False
            if self._if_exists != "replace":
                raise exists(names.dest, "it appeared while the download ran")
        self._ours = ours = still_ours(disk, names, self._descriptor)
        if not disk.renames_open_files:
            self._close()
        put_in_place(disk, names, ours)
        return True

    def _clear(self) -> None:
        """Take away what is ours and has not become the destination."""
        disk = self._disk
        if self._descriptor >= 0:
            with contextlib.suppress(OSError):
                self._ours = disk.fstat(self._descriptor)
            if not disk.renames_open_files:
                self._close()
        if self._ours is not None:
            take_back(disk, self._names, self._ours)

    def _close(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            try:  # noqa: SIM105  # for each of many files
                self._disk.close(descriptor)
            except OSError:  # changes nothing: what must last has been through fsync
                pass
