"""The search for violations finds them: a writer with one step left out, or in the wrong order, is caught."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from asyncdl.edge import journal_file, opening
from asyncdl.edge.disk import Disk
from asyncdl.edge.files import PartFile
from asyncdl.edge.opening import Names
from asyncdl.model import Chunk
from asyncdl.rules.held import Held, Holdings
from asyncdl.rules.journal import Journal
from tests.crash.invariants import told
from tests.crash.scenarios import SCENARIOS
from tests.crash.search import Report, search
from tests.crash.simdisk import SimDisk

pytestmark = pytest.mark.usefixtures("may_block")

#: States after which a search that has found nothing is given up; what is planted is found in far fewer.
_PATIENCE = 3000


def found(report: Report, invariant: str) -> bool:
    """Whether something of the kind that was planted was found."""
    return any(said.startswith(invariant) for several in report.wrong.values() for said in several)


def look(*names: str) -> Report:
    """The first state of these scenarios that violates something."""
    report = Report()
    for name in names:
        if not report.wrong:
            report = search(SCENARIOS[name], _PATIENCE, enough=1)
    return report


def no_sync_of_names(self: SimDisk, path: Path) -> None:
    """Say that all names are durable."""


def test_a_claim_before_its_data(monkeypatch: pytest.MonkeyPatch) -> None:
    """A claim that is appended before fdatasync speaks of bytes that may be lost."""

    async def commit(self: PartFile, held: Sequence[Held]) -> None:
        def call() -> None:
            self._journal.claim(held)
            self._disk.sync_data(self._descriptor)

        await self._call("flush", call, lane="sync")

    monkeypatch.setattr(PartFile, "commit", commit)

    assert found(look("fresh"), "I3")


def test_no_sync_of_data(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without fdatasync a claim says nothing, and the file that is delivered has holes."""

    async def commit(self: PartFile, held: Sequence[Held]) -> None:
        await self._call("flush", lambda: self._journal.claim(held), lane="sync")

    monkeypatch.setattr(PartFile, "commit", commit)

    assert found(look("fresh"), "I3")


def test_a_claim_of_what_was_written_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was written while fdatasync ran may have escaped it."""
    written = Holdings()
    real = PartFile.write

    async def write(self: PartFile, chunks: Sequence[Chunk], *further: Any) -> None:
        await real(self, chunks, *further)
        for chunk in chunks:
            written.put(Held(chunk.offset, chunk.stop))

    async def commit(self: PartFile, held: Sequence[Held]) -> None:
        def call() -> None:
            self._disk.sync_data(self._descriptor)
            self._journal.claim(written.items)

        await self._call("flush", call, lane="sync")

    monkeypatch.setattr(PartFile, "write", write)
    monkeypatch.setattr(PartFile, "commit", commit)

    assert found(look("fresh"), "I3")


def test_a_failed_sync_that_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second fdatasync succeeds, and the bytes that the first one lost are lost all the same."""

    async def commit(self: PartFile, held: Sequence[Held]) -> None:
        def call() -> None:
            try:
                self._disk.sync_data(self._descriptor)
            except OSError:
                self._disk.sync_data(self._descriptor)
            self._journal.claim(held)

        await self._call("flush", call, lane="sync")

    monkeypatch.setattr(PartFile, "commit", commit)

    assert found(look("resumed after a failed sync"), "I1")


@pytest.mark.parametrize("syncs", ["never", "too late"])
def test_the_name_before_the_data(monkeypatch: pytest.MonkeyPatch, syncs: str) -> None:
    """A file that is renamed before fsync may be torn under its name."""

    async def publish(self: PartFile, size: int) -> None:
        def call() -> None:
            self._disk.truncate(self._descriptor, size)
            self._disk.set_mode(self._descriptor, 0o600 if self._mode is None else self._mode)
            self._disk.replace(self._names.part, self._names.dest)
            if syncs == "too late":
                self._disk.sync(self._descriptor)
            self._disk.sync_directory(self._names.part.parent)
            self._journal.remove()
            self._worker.close()

        await self._call("rename", call)

    async def commit(self: PartFile, held: Sequence[Held]) -> None:
        """Claim nothing, and sync nothing: fsync at the end is to be missed."""

    monkeypatch.setattr(PartFile, "publish", publish)
    monkeypatch.setattr(PartFile, "commit", commit)
    report = look("fresh")

    assert found(report, "I1")


def test_success_before_the_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without fsync of the directory the file may be gone after success was reported."""
    real = PartFile._rename

    def rename(self: PartFile) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(SimDisk, "sync_directory", no_sync_of_names)
            real(self)

    monkeypatch.setattr(PartFile, "_rename", rename)

    assert found(look("fresh"), "I4")
    assert found(look("replacing"), "I4")


def test_a_stale_journal(monkeypatch: pytest.MonkeyPatch) -> None:
    """A journal whose removal was not made durable speaks of the next file that gets its number."""

    def clear(disk: Disk, names: Names) -> None:
        disk.unlink(names.part)
        disk.unlink(names.journal)

    def forget(disk: Disk, path: Path) -> None:
        disk.unlink(path)

    monkeypatch.setattr("asyncdl.edge.files.clear", clear)
    monkeypatch.setattr(opening, "clear", clear)
    monkeypatch.setattr(journal_file, "forget", forget)

    assert found(look("changed twice", "changed, begun anew"), "I3")


def test_a_length_that_is_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of full length is no full file."""
    real = journal_file.load

    def load(disk: Disk, path: Path) -> Journal | None:
        journal = real(disk, path)
        part = disk.status(path.with_name(path.name.removesuffix(".journal")))
        if journal is None or journal.state is None or part is None or not part.st_size:
            return journal
        return replace(journal, state=replace(journal.state, held=(Held(0, part.st_size),)))

    monkeypatch.setattr(journal_file, "load", load)

    assert found(look("fresh"), "I2")


def test_the_journal_may_go_before_the_name_is_durable(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the other order a crash costs the whole download once more, and no byte of any file: no violation."""
    real = PartFile._rename

    def rename(self: PartFile) -> None:
        directory = self._disk.sync_directory
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(self._disk, "sync_directory", lambda path: self._journal.remove())
            real(self)
        directory(self._names.dest.parent)

    monkeypatch.setattr(PartFile, "_rename", rename)
    report = search(SCENARIOS["fresh"], 600)

    assert 0 == len(report.wrong), told(report.wrong)
    assert 600 == report.states
