"""A journal of a very large object: it stays short enough to be read, and says the same."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from pathlib import Path

import pytest

from asyncdl.edge import journal_file
from asyncdl.edge.disk import OsDisk
from asyncdl.edge.journal_file import JournalFile, load
from asyncdl.errors import DestinationBusyError
from asyncdl.model import Part
from asyncdl.rules.head import Head
from asyncdl.rules.held import Crc, Held
from asyncdl.rules.journal import State

SIZE = 1 << 40
SPAN = 1 << 20


def begun(path: Path) -> JournalFile:
    journal = JournalFile(OsDisk(), path, "me")
    journal.begin(State(head=Head(size=SIZE), owner="new"))
    return journal


def claim_many(journal: JournalFile, count: int) -> None:
    """Neighbours, each with a CRC, so that none is joined with the next by itself."""
    for start in range(0, count, 8):
        journal.claim([Held(n * SPAN, (n + 1) * SPAN, Crc("crc32", n)) for n in range(start, min(start + 8, count))])


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> int:
    """So many ranges are many, and twice as many too many to read."""
    monkeypatch.setattr(journal_file, "_MANY", 64)
    monkeypatch.setattr("asyncdl.edge.sums.MOST_SPANS", 32)
    monkeypatch.setattr("asyncdl.rules.journal.MAX_RANGES", 128)
    return 64


def test_nothing_is_lost(tmp_path: Path, few: int) -> None:
    """Ten times as many ranges as a reader would look at."""
    journal = begun(tmp_path / "journal")

    claim_many(journal, 20 * few)
    journal.close()
    found = load(OsDisk(), tmp_path / "journal")

    assert found is not None
    assert found.fault is None
    assert found.state is not None
    assert (Part(0, 20 * few * SPAN),) == found.state.spans
    assert 2 * few > len(found.state.held)
    assert ["journal"] == [path.name for path in tmp_path.iterdir()]


def test_by_length(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beats alone make a journal long."""
    monkeypatch.setattr(journal_file, "_LONG", 2000)
    journal = begun(tmp_path / "journal")

    for _ in range(200):
        journal.beat()
    claim_many(journal, 1)
    journal.close()

    assert 1000 > (tmp_path / "journal").stat().st_size
    found = load(OsDisk(), tmp_path / "journal")
    assert found is not None
    assert found.state is not None
    assert (Part(0, SPAN),) == found.state.spans


def test_not_of_a_journal_that_is_anothers(tmp_path: Path, few: int) -> None:
    """What another download wrote under the name is not replaced."""
    journal = begun(tmp_path / "journal")
    claim_many(journal, few)
    other = JournalFile(OsDisk(), tmp_path / "journal", "other")
    other.begin(State(head=Head(size=SIZE), owner="new"))

    with pytest.raises(DestinationBusyError):
        claim_many(journal, few)
    other.check_owner()
    with pytest.raises(DestinationBusyError):
        journal.check_owner()


def test_after_a_record_that_was_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk is full for a moment: what comes after takes the place of the half record, and counts."""
    journal = begun(tmp_path / "journal")
    real = OsDisk.write

    def half(disk: OsDisk, descriptor: int, buffers: Sequence[bytes | memoryview], offset: int) -> int:
        real(disk, descriptor, [bytes(buffers[0])[:20]], offset)
        raise OSError(errno.ENOSPC, "No space left on device")

    claim_many(journal, 1)
    with monkeypatch.context() as patch:
        patch.setattr(OsDisk, "write", half)
        with pytest.raises(OSError, match="No space"):
            journal.claim([Held(5 * SPAN, 6 * SPAN)])
    journal.claim([Held(8 * SPAN, 9 * SPAN)])
    journal.close()
    found = load(OsDisk(), tmp_path / "journal")

    assert found is not None
    assert found.state is not None
    assert (Part(0, SPAN), Part(8 * SPAN, 9 * SPAN)) == found.state.spans
