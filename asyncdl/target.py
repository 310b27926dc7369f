"""The destination of one download: what is there, and whether that is the object already."""

from __future__ import annotations

from asyncdl.edge.destination import Look, Taken, look, sum_of, sweep
from asyncdl.edge.disk import Disk
from asyncdl.edge.refusals import exists
from asyncdl.edge.small_file import SmallFile
from asyncdl.model import Checksum, Request


class Target:
    """Knows what the last look showed.

    Attributes:
        existing: bytes of the file that is there and must not be replaced, or None.
        clear: as `Look.clear`.
    """

    def __init__(self, request: Request, disk: Disk) -> None:
        self._request, self._disk = request, disk
        self._found: Look
        self.existing: int | None = None

    @property
    def clear(self) -> bool:
        return self._found.clear

    async def look(self) -> bool:
        """See what is there; whether it is the object, as far as its size is known yet.

        Raises:
            OptionsError: the checksum that is wanted cannot be computed here.
            StorageError: the destination cannot be one; see `destination.look`.
        """
        request = self._request
        algorithm = request.checksum.algorithm if request.checksum else None
        self._found = await look(request.dest, request.if_exists, self._disk, algorithm=algorithm)
        self.existing = None if request.if_exists == "replace" else self._found.size
        return request.size is not None and self.is_there(request.size)

    async def look_again(self, size: int) -> None:
        """See what appeared during the download, which had `size` bytes a moment ago.

        Raises:
            DestinationExistsError: it has not any more, or is not there.
            StorageError: as `look`.
        """
        await self.look()
        if not self.is_there(size):
            raise exists(self._request.dest, "it appeared while the download ran, and went again")

    def taken(self) -> Taken:
        """Keep other downloads of this process away, or be kept away; see `destination.Taken`."""
        return Taken(self._found, self._disk)

    def is_there(self, size: int | None) -> bool:
        """Whether the destination is there and has `size` bytes; an error if it has another size."""
        if self.existing is None or self.existing == size:
            return self.existing is not None
        if size is None:
            raise exists(self._request.dest, "it is there, and the server does not say its size")
        raise exists(self._request.dest, f"it has {self.existing} bytes, the object has {size}")

    async def take_for_done(self, wanted: Checksum | None) -> None:
        """Believe that what is there is the object, if it has the checksum.

        Raises:
            DestinationExistsError: it has another.
        """
        dest = self._request.dest
        if wanted is not None and wanted != await sum_of(dest, wanted.algorithm, self._disk):
            raise exists(dest, f"it has the object's size, but not its {wanted.algorithm}")
        if not self.clear:
            await sweep(dest, self._disk)

    def small_file(self, *, check_space: bool) -> SmallFile:
        """What brings a small file here."""
        found = self._found
        if_exists = self._request.if_exists
        return SmallFile(found.names, if_exists=if_exists, mode=found.mode, check_space=check_space, disk=self._disk)
