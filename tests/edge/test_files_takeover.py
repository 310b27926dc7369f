"""Two downloads of one destination where locks lie, step by step: whatever the order, no file is wrong."""

from __future__ import annotations

import asyncio
import itertools
import os
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from asyncdl.edge import journal_file
from asyncdl.edge.disk import FileName, OsDisk
from asyncdl.edge.files import PartFile
from asyncdl.edge.journal_file import JournalFile
from asyncdl.edge.opening import Names, Opened, open_part
from asyncdl.errors import DestinationBusyError, StorageError
from asyncdl.model import Chunk
from asyncdl.rules.head import Head
from asyncdl.rules.held import Held
from asyncdl.rules.journal import State
from asyncdl.testing import Content
from tests.support.disks import Elsewhere
from tests.support.partfiles import CONTENT, part_of, piece

SIZE = 1000
HALF = SIZE // 2
#: Two versions of one object.
VERSIONS = {f'"{seed}"': Content(seed, SIZE).read(0, SIZE) for seed in (1, 2)}
FIRST, SECOND = VERSIONS
HEAD = Head(size=SIZE, etag=FIRST)


@pytest.fixture
def dest(tmp_path: Path) -> Path:
    return tmp_path / "file"


@pytest.fixture
def lying(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everybody gets every lock; nothing need last."""
    monkeypatch.setattr(OsDisk, "lock", lambda *_: True)
    monkeypatch.setattr(os, "fsync", lambda _: None)
    monkeypatch.setattr(os, "fdatasync", lambda _: None)


class Download:
    """What an engine does with its file, one step at a time, until an error ends it.

    Attributes:
        error: what ended it early.
        published: whether it was told that the file is there.
    """

    def __init__(self, dest: Path, version: str) -> None:
        self.dest, self.version, self.content = dest, version, VERSIONS[version]
        self._file: PartFile | None = None
        self.error: StorageError | None = None
        self.published = False

    async def step(self, number: int) -> None:
        """The next of `STEPS` of them, unless an earlier one failed."""
        steps: list[Callable[[PartFile], Awaitable[object]]] = [self._begin, self._half, self._rest, self._publish]
        if self.error:
            return
        try:
            if number == 0:
                self._file = await PartFile.create(self.dest, if_exists="replace", resume=True, disk=Elsewhere())
            else:
                assert self._file is not None
                await steps[number - 1](self._file)
        except StorageError as error:
            self.error = error
            await self.end()

    async def _begin(self, file: PartFile) -> None:
        prior = file.prior
        keep = prior.held if prior and prior.head.etag == self.version else ()
        await file.begin(Head(size=SIZE, etag=self.version), keep)
        await file.reserve(SIZE)

    async def _half(self, file: PartFile) -> None:
        await file.write([Chunk(0, self.content[:HALF])])
        await file.commit([Held(0, HALF)])

    async def _rest(self, file: PartFile) -> None:
        await file.forget([])
        await file.write([Chunk(HALF, self.content[HALF:])])

    async def _publish(self, file: PartFile) -> None:
        await file.publish(SIZE)
        self.published = True

    async def end(self) -> None:
        if self._file is not None:
            await self._file.abandon()


STEPS = 5


def orders() -> Iterator[tuple[int, ...]]:
    """Every order in which two downloads can make their steps."""
    for places in itertools.combinations(range(2 * STEPS), STEPS):
        yield tuple(int(place not in places) for place in range(2 * STEPS))


def believed(dest: Path, version: str) -> bool:
    """Whether every byte that the journal claims of the partial file is of the version that it names."""
    names = Names.of(dest)
    journal = journal_file.load(OsDisk(), names.journal)
    if journal is None or journal.state is None or not names.part.exists():
        return True
    state, data = journal.state, names.part.read_bytes()
    if state.head.inode != names.part.stat().st_ino:
        return True
    content = VERSIONS[state.head.etag or version]
    return all(data[held.start : held.stop] == content[held.start : held.stop] for held in state.held)


@pytest.mark.usefixtures("lying", "no_leaks")
@pytest.mark.parametrize("versions", [(FIRST, FIRST), (FIRST, SECOND)], ids=["one version", "two versions"])
@pytest.mark.parametrize("before", [None, FIRST, SECOND], ids=["fresh", "begun", "begun of the second"])
async def test_any_order(dest: Path, versions: tuple[str, str], before: str | None) -> None:
    """B17: the destination is absent or whole, whoever was told so was told the truth, and the next run is right."""
    seen: Counter[tuple[bool, ...]] = Counter()
    for order in orders():
        if before is not None:
            earlier = Download(dest, before)
            for number in range(3):
                await earlier.step(number)
            await earlier.end()
        pair = [Download(dest, version) for version in versions]
        done = [0, 0]
        for which in order:
            await pair[which].step(done[which])
            done[which] += 1
            published = [download.content for download in pair if download.published]
            there = dest.read_bytes() if dest.exists() else None
            assert there in published if published else there is None, order
            assert believed(dest, versions[0]), order
        for download in pair:
            await download.end()
        seen[tuple(download.published for download in pair)] += 1
        last = Download(dest, versions[1])
        for number in range(STEPS):
            await last.step(number)

        assert (True, last.content) == (last.published, dest.read_bytes()), order
        assert [dest] == list(dest.parent.iterdir()), order
        dest.unlink()

    # One after the other both can end well; and in most orders one of them does.
    assert seen[True, True]
    assert seen[True, False] + seen[False, True] > seen[False, False], seen


@pytest.mark.usefixtures("lying", "no_leaks")
async def test_taken_over_before_it_began(dest: Path) -> None:
    """Who has lost the file while he waited for the server does not take the journal from the one who has it."""
    loser = await PartFile.create(dest, if_exists="skip", disk=Elsewhere())
    winner = await PartFile.create(dest, if_exists="skip", disk=Elsewhere())
    await winner.begin(HEAD)
    await winner.write([piece(0, SIZE)])
    with pytest.raises(DestinationBusyError):
        await loser.begin(HEAD)
    await loser.abandon()
    await winner.commit([Held(0, SIZE)])
    await winner.publish(SIZE)

    assert CONTENT.read(0, SIZE) == dest.read_bytes()


@pytest.mark.usefixtures("no_leaks", "may_block")
async def test_faster_by_a_moment(dest: Path) -> None:
    """With good locks: who finds no partial file, and then is late, leaves the journal of the one who was faster."""
    names, mine, made = Names.of(dest), Elsewhere(), list[tuple[Opened, JournalFile]]()

    class Late(Elsewhere):
        def open(self, path: FileName, *, write: bool = True) -> int:
            try:
                return super().open(path, write=write)
            except FileNotFoundError:
                if Path(path) == names.part and not made:
                    opened = open_part(mine, names, resume=True, mode=0o600, alone=False)
                    journal = JournalFile(mine, names.journal, "faster")
                    journal.begin(State(head=HEAD, owner="x"))
                    made.append((opened, journal))
                raise

    with pytest.raises(DestinationBusyError):
        await PartFile.create(dest, if_exists="skip", resume=True, disk=Late())
    opened, journal = made[0]

    journal.check_owner()
    assert journal.is_ours()
    assert [names.part, names.journal] == sorted(dest.parent.iterdir())
    journal.close()
    os.close(opened.descriptor)


@pytest.mark.usefixtures("no_leaks")
@pytest.mark.parametrize("moment", ["before it is locked", "before it begins anew"])
async def test_name_taken_meanwhile(dest: Path, monkeypatch: pytest.MonkeyPatch, moment: str) -> None:
    """A new file that another download locks, or makes, a moment earlier is the other's; he ends well."""
    winners: list[PartFile] = []
    anew = moment == "before it begins anew"
    if anew:
        earlier = Download(dest, SECOND)
        for number in range(3):
            await earlier.step(number)
        await earlier.end()
    real = OsDisk.create

    def late(disk: OsDisk, path: Path, mode: int) -> int:
        if path != part_of(dest):
            return real(disk, path, mode)
        monkeypatch.setattr(OsDisk, "create", real)
        descriptor = -1 if anew else real(disk, path, mode)
        winner = PartFile.create(dest, if_exists="skip", disk=Elsewhere())
        winners.append(asyncio.run_coroutine_threadsafe(winner, loop).result(10))
        return real(disk, path, mode) if anew else descriptor

    loop = asyncio.get_running_loop()
    monkeypatch.setattr(OsDisk, "create", late)
    loser = Download(dest, FIRST)
    for number in range(STEPS):
        await loser.step(number)
    await winners[0].begin(HEAD)
    await winners[0].write([piece(0, SIZE)])
    await winners[0].publish(SIZE)

    assert isinstance(loser.error, DestinationBusyError)
    assert CONTENT.read(0, SIZE) == dest.read_bytes()
    assert [dest] == list(dest.parent.iterdir())


@pytest.mark.usefixtures("lying", "no_leaks")
@pytest.mark.parametrize("target", [".part.done", "dest"])
async def test_taken_back_between_the_renames(dest: Path, monkeypatch: pytest.MonkeyPatch, target: str) -> None:
    """A complete file that another download takes for left behind is the other's; it is not published twice."""
    names = Names.of(dest)
    file = await PartFile.create(dest, if_exists="replace", disk=Elsewhere())
    await file.begin(HEAD)
    await file.write([piece(0, SIZE)])
    await file.commit([Held(0, SIZE)])
    real = OsDisk.replace

    def taken(disk: OsDisk, source: FileName, to: FileName) -> None:
        if Path(to) != (names.done if target == ".part.done" else dest):
            real(disk, source, to)
            return
        monkeypatch.setattr(OsDisk, "replace", real)
        if Path(to) == names.done:
            real(disk, source, to)
        elsewhere = Elsewhere()
        opened = open_part(elsewhere, names, resume=True, mode=0o600, alone=False)
        assert opened.prior is not None
        os.close(opened.descriptor)
        if Path(to) == dest:
            real(disk, source, to)

    monkeypatch.setattr(OsDisk, "replace", taken)
    with pytest.raises(StorageError):
        await file.publish(SIZE)
    await file.abandon()

    assert not dest.exists()
    assert CONTENT.read(0, SIZE) == part_of(dest).read_bytes()
