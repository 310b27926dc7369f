"""What is certain on a disk and what is not, while a trace goes on; and what comes of each way it may turn out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from tests.crash.trace import (
    Content,
    Create,
    FailedSync,
    File,
    FileId,
    Image,
    Naming,
    Rename,
    Resize,
    Returned,
    SetMode,
    Step,
    Sync,
    SyncDirectory,
    Unlink,
    Write,
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one change that was not synced.

    Attributes:
        kind: all there, nothing, only the length that it gives to the file, or of its bytes those before or from `cut`.
    """

    kind: Literal["there", "lost", "zeroed", "head", "tail"]
    cut: int = 0

    def __str__(self) -> str:
        return f"{self.kind} {self.cut}" if self.cut else self.kind


THERE, LOST, ZEROED = Outcome("there"), Outcome("lost"), Outcome("zeroed")


def head(cut: int) -> Outcome:
    """Torn: the first `cut` bytes are there."""
    return Outcome("head", cut)


def tail(cut: int) -> Outcome:
    """Torn: all but the first `cut` bytes are there."""
    return Outcome("tail", cut)


@dataclass(slots=True, eq=False)
class Entry:
    """One change of a file's content, in the order of the trace.

    Attributes:
        place: in the trace.
        certain: whether it has been synced.
        doomed: whether a sync failed after it: no later one makes it certain.
    """

    place: int
    content: Content
    certain: bool = False
    doomed: bool = False


@dataclass(slots=True)
class _Durable:
    number: int
    mode: int
    data: bytes = b""
    log: list[Entry] = field(default_factory=list)


class Volume:
    """The files of a disk: what is certain of each, and all that came after, in order.

    What a file system may do: names change in any order as long as changes of one name keep theirs, and a rename is
    one change. A number goes to a new file only where the name of the old one has gone, also on the disk. A sync of a
    file says nothing about its name.
    """

    def __init__(self, start: Image) -> None:
        self._files = {at: _Durable(file.number, file.mode, file.data) for at, (_, file) in enumerate(start.files)}
        self._names: dict[str, FileId] = {name: at for at, (name, _) in enumerate(start.files)}
        self._changes: list[tuple[int, Naming]] = []

    def take(self, place: int, step: Step) -> None:
        """The step at `place` of the trace was made."""
        match step:
            case Create():
                self._files[step.file] = _Durable(step.number, step.mode)
                self._changes.append((place, step))
            case Rename() | Unlink():
                self._changes.append((place, step))
            case Write() | Resize() | SetMode():
                self._files[step.file].log.append(Entry(place, step))
            case Sync():
                self._sync(step)
            case FailedSync():
                for entry in self._files[step.file].log:
                    entry.doomed = True
            case SyncDirectory():
                self._names = self._changed([change for at, change in self._changes if at < step.since])
                self._changes = [(at, change) for at, change in self._changes if at >= step.since]
            case Returned():
                pass

    def _sync(self, step: Sync) -> None:
        file = self._files[step.file]
        for entry in file.log:
            if entry.place < step.since and not entry.doomed:
                entry.certain = entry.certain or step.everything or not isinstance(entry.content, SetMode)
        while file.log and file.log[0].certain:
            self._settle(file, file.log.pop(0))

    @staticmethod
    def _settle(file: _Durable, entry: Entry) -> None:
        data = bytearray(file.data)
        file.mode = _apply(data, file.mode, entry.content, THERE)
        file.data = bytes(data)

    def seen(self, under_way: Write | None = None) -> Image:
        """What a program saw before the process was killed, a part of the last write there or not."""
        names = self._changed([change for _, change in self._changes])
        return Image(tuple(sorted((name, self._now(file, under_way)) for name, file in names.items())))

    def _now(self, which: FileId, under_way: Write | None) -> File:
        file = self._files[which]
        log = [entry.content for entry in file.log]
        if under_way is not None and under_way.file == which:
            log.append(under_way)
        data, mode = bytearray(file.data), file.mode
        for content in log:
            mode = _apply(data, mode, content, THERE)
        return File(file.number, mode, bytes(data))

    def needs(self) -> list[frozenset[int]]:
        """For each uncertain change of names, the earlier ones without which no file system has it."""
        found = []
        for place, (_, change) in enumerate(self._changes):
            earlier = enumerate(other for _, other in self._changes[:place])
            found.append(frozenset(at for at, other in earlier if self._builds_on(change, other)))
        return found

    def _builds_on(self, change: Naming, other: Naming) -> bool:
        if _touched(change) & _touched(other):
            return True
        gone = _ended(other)
        return isinstance(change, Create) and gone is not None and self._files[gone].number == change.number

    def names_after(self, chosen: Iterable[int]) -> dict[str, FileId]:
        """Every name and its file, if of the uncertain changes just these are there."""
        return self._changed([self._changes[place][1] for place in sorted(chosen)])

    def _changed(self, changes: Iterable[Naming]) -> dict[str, FileId]:
        names = dict(self._names)
        for change in changes:
            match change:
                case Create():
                    names[change.name] = change.file
                case Rename():
                    del names[change.source]
                    names[change.target] = change.file
                case Unlink():
                    del names[change.name]
        return names

    def uncertain(self, files: Iterable[FileId]) -> list[Entry]:
        """The changes of these files that may be there or not."""
        return [entry for file in files for entry in self._files[file].log if not entry.certain]

    def image(self, names: Mapping[str, FileId], outcomes: Mapping[Entry, Outcome]) -> Image:
        """The disk, if the uncertain changes turn out so."""
        return Image(tuple(sorted((name, self._left(file, outcomes)) for name, file in names.items())))

    def _left(self, which: FileId, outcomes: Mapping[Entry, Outcome]) -> File:
        file = self._files[which]
        if not file.log:
            return File(file.number, file.mode, file.data)
        data, mode = bytearray(file.data), file.mode
        for entry in file.log:
            mode = _apply(data, mode, entry.content, THERE if entry.certain else outcomes[entry])
        return File(file.number, mode, bytes(data))


def _touched(change: Naming) -> set[str]:
    return {change.source, change.target} if isinstance(change, Rename) else {change.name}


def _ended(change: Naming) -> FileId | None:
    """The file that lost its last name."""
    match change:
        case Rename():
            return change.replaced
        case Unlink():
            return change.file
        case Create():
            return None


def _apply(data: bytearray, mode: int, content: Content, outcome: Outcome) -> int:
    """Do to `data` what became of one change; the permissions after it."""
    if outcome == LOST:
        return mode
    match content:
        case SetMode():
            return content.mode
        case Resize():
            del data[content.size :]
            data.extend(bytes(content.size - len(data)))
        case Write():
            _write(data, content, outcome)
    return mode


def _write(data: bytearray, write: Write, outcome: Outcome) -> None:
    first = outcome.cut if outcome.kind == "tail" else 0
    last = outcome.cut if outcome.kind == "head" else len(write.data)
    data.extend(bytes(max(0, write.offset + last - len(data))))
    if outcome != ZEROED:
        data[write.offset + first : write.offset + last] = write.data[first:last]
