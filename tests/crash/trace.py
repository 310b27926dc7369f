"""What a download did to its disk, one value for each call that changes something or makes it last."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

#: A file from its creation to its end; unlike its number, never given to another one.
FileId: TypeAlias = int


@dataclass(frozen=True, slots=True)
class Create:
    """A new empty file: its name in full, its number, which another file may have had, and its permissions."""

    name: str
    file: FileId
    number: int
    mode: int


@dataclass(frozen=True, slots=True)
class Write:
    """These bytes were put at this offset."""

    file: FileId
    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Resize:
    """The file was cut or lengthened to `size` bytes."""

    file: FileId
    size: int


@dataclass(frozen=True, slots=True)
class SetMode:
    """The file has these permissions now."""

    file: FileId
    mode: int


@dataclass(frozen=True, slots=True)
class Sync:
    """A sync ended well: of data and the length needed to read it, or of everything.

    Attributes:
        since: place in the trace at which it began; what was written while it ran may have escaped it.
    """

    file: FileId
    since: int
    everything: bool


@dataclass(frozen=True, slots=True)
class FailedSync:
    """A sync failed: what was to be written may be lost, and no later sync will say so again."""

    file: FileId


@dataclass(frozen=True, slots=True)
class Rename:
    """One name became another, in one step; `replaced` had the target's name."""

    source: str
    target: str
    file: FileId
    replaced: FileId | None


@dataclass(frozen=True, slots=True)
class Unlink:
    """A name went."""

    name: str
    file: FileId


@dataclass(frozen=True, slots=True)
class SyncDirectory:
    """All that had been done to names before the step `since` was made to last."""

    since: int


@dataclass(frozen=True, slots=True)
class Returned:
    """The download told its caller that the file is there."""


Content: TypeAlias = Write | Resize | SetMode
Naming: TypeAlias = Create | Rename | Unlink
Step: TypeAlias = Content | Naming | Sync | FailedSync | SyncDirectory | Returned
Trace: TypeAlias = Sequence[Step]


@dataclass(frozen=True, slots=True)
class File:
    """One file as a crash left it."""

    number: int
    mode: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Image:
    """A whole disk as a crash left it: every name in full, in order, and its file."""

    files: tuple[tuple[str, File], ...] = ()

    def at(self, name: str) -> File | None:
        """The file of that name, or None."""
        return next((file for other, file in self.files if other == name), None)


NOTHING = Image()
