"""The journal's file alone, crashed at any point: it begins with what was durable, and what is given up stays so."""

from __future__ import annotations

import pytest

from asyncdl.edge import journal_file
from asyncdl.edge.journal_file import JournalFile
from asyncdl.model import Part
from asyncdl.rules.head import Head
from asyncdl.rules.held import Held
from asyncdl.rules.journal import State as Claims
from asyncdl.rules.journal import replay
from tests.crash.simdisk import FOLDER, SimDisk
from tests.crash.states import State, enumerate_states
from tests.crash.trace import Rename, Returned

PATH = FOLDER / "file.part.journal"
HEAD = Head(size=1000, inode=12)


def said(state: State) -> tuple[Part, ...] | None:
    """What the journal claims after a crash; None where it says nothing."""
    file = state.image.at(str(PATH))
    claims = replay(file.data).state if file else None
    return claims.spans if claims else None


def begun(disk: SimDisk) -> JournalFile:
    """A journal whose name is durable, and which claims nothing yet."""
    journal = JournalFile(disk, PATH, "owner")
    journal.begin(Claims(head=HEAD, owner="nobody"))
    disk.sync_directory(FOLDER)
    return journal


def begun_anew(disk: SimDisk) -> int:
    """How many times a shorter journal has taken the place of a long one."""
    return sum(isinstance(step, Rename) for step in disk.trace) - 1


@pytest.mark.parametrize("longest", [1 << 20, 1], ids=["appended", "written anew"])
def test_a_reset_lasts(monkeypatch: pytest.MonkeyPatch, longest: int) -> None:
    """When `reset` has returned, no crash brings the claim back: the bytes are about to be overwritten."""
    monkeypatch.setattr(journal_file, "_LONG", longest)
    disk = SimDisk()
    journal = begun(disk)
    for at in range(0, 1000, 50):
        journal.claim([Held(at, at + 50)])
    journal.reset([Part(0, 100)])
    disk.note(Returned())
    assert (longest == 1) == (begun_anew(disk) > 0)

    after = {said(state) for state in enumerate_states(disk.trace) if state.returned}
    assert {(Part(100, 1000),)} == after


@pytest.mark.parametrize("longest", [1 << 20, 1], ids=["appended", "written anew"])
def test_claims_in_their_order(monkeypatch: pytest.MonkeyPatch, longest: int) -> None:
    """What it says after a crash is what it said at some moment, and after the first moment it says something."""
    monkeypatch.setattr(journal_file, "_LONG", longest)
    disk = SimDisk()
    journal = begun(disk)
    began = len(disk.trace)
    for at in range(0, 1000, 50):
        journal.claim([Held(at, at + 50)])
    moments = {(), *((Part(0, stop),) for stop in range(50, 1050, 50))}
    assert (longest == 1) == (begun_anew(disk) > 0)

    assert moments == {said(state) for state in enumerate_states(disk.trace) if state.step >= began}
