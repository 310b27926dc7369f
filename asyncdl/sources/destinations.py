"""Where the files of a batch go: below one directory, each to a path of its own; nothing is known here of URLs.

Rule: no directory is made or entered outside the one given, whatever a name says and whatever links lie on the way.
"""

from __future__ import annotations

import contextlib
import os
from functools import partial
from pathlib import Path
from typing import Final

from asyncdl.edge.disk import OsDisk
from asyncdl.edge.errands import errand
from asyncdl.edge.refusals import storage_error
from asyncdl.errors import OptionsError, StorageError
from asyncdl.rules.names import relative_path
from asyncdl.rules.taken import Taken

#: Directories remembered as made and looked at; after so many it begins anew.
_MOST_KNOWN: Final = 4096


class Destinations:
    """The paths given away below one directory, which must exist.

    Args:
        directory: that no file leaves.
    """

    def __init__(self, directory: Path) -> None:
        self._root = directory
        self._real: str | None = None
        self._taken = Taken()
        self._known: set[str] = set()
        self._disk = OsDisk()

    def keep(self, path: str) -> None:
        """Give nobody a path below the directory, relative to it, that is a file of the caller's own."""
        # Twice is no mistake: a list may be read from where another is to be written.
        with contextlib.suppress(OptionsError):
            self._taken.claim(path)

    async def claim(self, name: str) -> Path:
        """The path of a file that a list or a store names so; its directories are there afterwards.

        Names are made safe as `rules.names.relative_path` says, and given away once.

        Raises:
            OptionsError: the name cannot be used, or is taken.
            StorageError: a directory cannot be made, or leads out of the one given.
        """
        path = relative_path(name)
        self._taken.claim(path)
        folder = path.rpartition("/")[0]
        if folder and folder not in self._known:
            await errand(partial(self._enter, folder))
        return Path(self._root, path)

    def _enter(self, folder: str) -> None:
        """Make the directories on the way that are not there, each only when those before it have been looked at."""
        if self._real is None:
            self._real = os.path.realpath(self._root)
        if len(self._known) >= _MOST_KNOWN:
            self._known.clear()
        place = self._root
        for part in folder.split("/"):
            parent, place = place, place / part
            try:
                place.mkdir()
                # It would not outlive a crash, and the finished file in it neither.
                self._disk.sync_directory(parent)
            except FileExistsError:
                self._look(place, self._real)
            except OSError as error:
                raise storage_error(error, "make the directory", place) from error
        self._known.add(folder)

    @staticmethod
    def _look(place: Path, root: str) -> None:
        real = os.path.realpath(place)
        if os.path.commonpath((real, root)) != root:
            raise StorageError(f"{place} is a link that leads out of the directory given", hint="remove it")
        if not os.path.isdir(real):  # noqa: PTH112  # of a str
            raise StorageError(f"{place} is there, and is no directory")
