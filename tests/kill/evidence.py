"""What must hold whenever nobody is at work: looked at from outside, in the files themselves."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from asyncdl.edge.opening import Names
from asyncdl.model import Part
from asyncdl.rules.journal import State, replay
from asyncdl.testing import Content
from asyncdl.testing.objects import etag_of


class WrongError(Exception):
    """Something that must never be."""


@dataclass(frozen=True, slots=True)
class Found:
    """What lies beside a destination, and at it.

    Attributes:
        claimed: bytes that the next download could go on with.
        complete: the destination is the new object.
    """

    claimed: int = 0
    complete: bool = False


def look(dest: Path, contents: Iterable[Content], *, old: Content | None = None) -> Found:
    """Judge the files of a dead download of the last of `contents`; the others are earlier versions of the object.

    Args:
        old: what was at the destination before, if anything was.

    Raises:
        WrongError: the destination is torn, or the journal claims a byte that is not the object's.
    """
    versions = list(contents)
    state = _state(dest)
    claimed = _claimed(Names.of(dest), state, versions) if state else 0
    if not dest.exists():
        if old is not None:
            raise WrongError("the old file is gone, and no new one is there")
        return Found(claimed)
    if any(content.first_difference(dest) is None for content in versions):
        return Found(claimed, complete=True)
    if old is None or old.first_difference(dest) is not None:
        raise WrongError("the destination is neither the old file nor the new one")
    return Found(claimed)


def _state(dest: Path) -> State | None:
    journal = Names.of(dest).journal
    return replay(journal.read_bytes()).state if journal.exists() else None


def _claimed(names: Names, state: State, versions: list[Content]) -> int:
    for path in (names.part, names.done):
        if path.exists() and path.stat().st_ino == state.head.inode:
            if state.spans and state.spans[-1].stop > path.stat().st_size:
                return 0
            _check_claims(path, state.spans, _version(state, versions))
            return sum(span.length for span in state.spans)
    return 0


def _version(state: State, versions: list[Content]) -> Content:
    for content in versions:
        if state.head.etag == etag_of(content):
            return content
    return versions[-1]


def _check_claims(path: Path, spans: Iterable[Part], content: Content) -> None:
    with path.open("rb") as file:
        for span in spans:
            file.seek(span.start)
            if file.read(span.length) != content.read(span.start, span.stop):
                raise WrongError(f"[{span.start}, {span.stop}) is claimed, and is not the object's")
