"""What may lie where a dead download left its files: cut, zeroed, flipped, exchanged, of others, of later releases."""

from __future__ import annotations

import os
import random
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

import asyncdl
from asyncdl.edge.opening import Names
from asyncdl.rules.journal import replay
from asyncdl.testing import Content, Fault, Origin
from tests.kill import damage
from tests.support.flow import PART, fetch, holds, small

SIZE = 12 * PART + 999
_NEWER = b'asyncdl-journal 2 {"all":"new"}'
#: The first run has this much when it ends.
HAD = 8 * PART


async def begun(origin: Origin, dest: Path) -> Content:
    """A download that failed after eight parts of twelve; each part was claimed by itself."""
    content = origin.add("/object", SIZE)
    origin.script(Fault(start=HAD, status=451, times=1))
    with pytest.raises(asyncdl.HttpStatusError):
        await fetch(origin.url("/object"), dest, options=small(1))
    return content


async def finished(origin: Origin, dest: Path, content: Content) -> int:
    """Let the next download end well, alone with its file; how many bytes it did not have to fetch."""
    result = await fetch(origin.url("/object"), dest)

    assert holds(dest, content)
    assert [dest.name] == os.listdir(dest.parent)
    assert SIZE == result.fetched + result.resumed
    return result.resumed


@pytest.fixture
def _claims_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("asyncdl.writer.FLUSH_MOST", PART)


@pytest.mark.parametrize(
    "happened",
    [
        damage.no_journal,
        damage.zeroed_journal,
        damage.no_part,
        damage.another_part,
        damage.copied_part,
        lambda names, rng: os.truncate(names.journal, 0),
        lambda names, rng: os.truncate(names.part, HAD - 1),
        lambda names, rng: os.link(names.part, names.part.parent.with_name("link")),
    ],
    ids=["no journal", "zeroed", "no part", "other bytes", "other file", "no bytes", "cut part", "linked elsewhere"],
)
async def test_nothing_is_believed(origin: Origin, tmp_path: Path, happened: damage.Damage) -> None:
    """B21, B24, B25: not a byte without a journal, not one of another file or a shorter one."""
    (tmp_path / "into").mkdir()
    dest = tmp_path / "into" / "file"
    content = await begun(origin, dest)
    happened(Names.of(dest), random.Random(1))

    assert 0 == await finished(origin, dest, content)


@pytest.mark.parametrize(
    "happened",
    [
        damage.grown_part,
        lambda names, rng: os.truncate(names.part, HAD),
        lambda names, rng: os.utime(names.part, (0, 0)),
    ],
    ids=["grown", "cut behind the claims", "old"],
)
async def test_all_is_believed(origin: Origin, tmp_path: Path, happened: damage.Damage) -> None:
    """B24: a length beyond what is claimed, and dates, say nothing."""
    content = await begun(origin, tmp_path / "file")
    happened(Names.of(tmp_path / "file"), random.Random(1))

    assert HAD == await finished(origin, tmp_path / "file", content)


@pytest.mark.usefixtures("_claims_often")
@pytest.mark.parametrize("seed", range(3))
async def test_cut_anywhere(origin: Origin, tmp_path: Path, seed: int) -> None:
    """B20: whatever is left of the journal, no more is believed than it says, and the file is right."""
    rng = random.Random(seed)
    for number in range(12):
        folder = tmp_path / str(number)
        folder.mkdir()
        content = await begun(origin, folder / "file")
        journal = Names.of(folder / "file").journal
        damage.cut_journal(Names.of(folder / "file"), rng)
        state = replay(journal.read_bytes()).state
        said = sum(span.length for span in state.spans) if state else 0

        assert said == await finished(origin, folder / "file", content)


@pytest.mark.usefixtures("_claims_often")
@pytest.mark.parametrize("seed", range(3))
async def test_one_bit(origin: Origin, tmp_path: Path, seed: int) -> None:
    """B22: a journal with a bit flipped is believed up to there, or refused as a stranger's; the bytes are right."""
    rng = random.Random(seed)
    for number in range(12):
        folder = tmp_path / str(number)
        folder.mkdir()
        content = await begun(origin, folder / "file")
        names = Names.of(folder / "file")
        damage.flipped_bit(names, rng)
        state = replay(names.journal.read_bytes()).state
        said = sum(span.length for span in state.spans) if state else 0
        try:
            resumed = await finished(origin, folder / "file", content)
        except asyncdl.JournalError:
            assert state is None
            names.journal.unlink()
            resumed = await finished(origin, folder / "file", content)

        assert said == resumed


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"%s %08x\n" % (_NEWER, zlib.crc32(_NEWER)), "later release"),
        (b"SQLite format 3\0" + bytes(1000), "not a journal"),
        (b"dear diary\n", "not a journal"),
    ],
    ids=["newer", "database", "text"],
)
@pytest.mark.parametrize("part", [True, False])
async def test_not_ours_to_judge(
    origin: Origin, tmp_path: Path, no_leaks: object, part: bool, data: bytes, words: str
) -> None:
    """B23: refused before the network is touched, with what to do; neither file is changed."""
    names = Names.of(tmp_path / "file")
    await begun(origin, names.dest)
    names.journal.write_bytes(data)
    if not part:
        names.part.unlink()
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    requests = len(origin.ledger.requests)

    with pytest.raises(asyncdl.JournalError, match=words) as caught:
        await fetch(origin.url("/object"), names.dest)
    asked = len(origin.ledger.requests) - requests
    await origin.aclose()

    assert 0 == asked
    assert caught.value.hint
    assert before == {path: path.read_bytes() for path in tmp_path.iterdir()}


@pytest.mark.parametrize("make", [Path.mkdir, lambda path: path.symlink_to("/dev/null"), os.mkfifo])
async def test_odd_journal(origin: Origin, tmp_path: Path, make: Callable[[Path], object]) -> None:
    """Something that is no file under the journal's name is refused, without waiting for anybody at its other end."""
    names = Names.of(tmp_path / "file")
    make(names.journal)

    with pytest.raises(asyncdl.AsyncdlError) as caught:
        await fetch(origin.url("/object"), names.dest)

    assert caught.value.code in {"storage", "journal"}
    assert [] == origin.ledger.requests


async def test_complete_but_for_the_name(origin: Origin, tmp_path: Path) -> None:
    """C12: a file that got no further than between its two renames is taken up from there."""
    names = Names.of(tmp_path / "file")
    content = await begun(origin, names.dest)
    names.part.rename(names.done)

    assert HAD == await finished(origin, names.dest, content)
