"""What no download of ours would leave: journals cut and turned anywhere, strange files under our names, long names."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from asyncdl.edge import disk, files
from asyncdl.edge.disk import FileName, OsDisk
from asyncdl.edge.files import PartFile
from asyncdl.edge.opening import Names, open_part, sweep
from asyncdl.errors import DestinationBusyError, DiskFullError, JournalError, StorageError
from asyncdl.model import Chunk, IfExists
from asyncdl.rules.head import Head
from asyncdl.rules.held import Held
from asyncdl.rules.journal import Encoder, State, replay
from tests.support.disks import Elsewhere
from tests.support.partfiles import CONTENT, mode_of, part_of, piece

HEAD = Head(size=10_000, etag='"one"')
HELD = Held(0, 4000)

pytestmark = pytest.mark.usefixtures("no_leaks")


@pytest.fixture
def dest(tmp_path: Path) -> Path:
    return tmp_path / "file"


async def leave(dest: Path, *, if_exists: IfExists = "skip") -> None:
    """A download that was interrupted after 5,000 bytes, and claimed 4,000 of them in three records."""
    file = await PartFile.create(dest, if_exists=if_exists)
    await file.begin(HEAD)
    await file.write([piece(0, 5000)])
    for start, stop in ((0, 1000), (2000, 4000), (1000, 2000)):
        await file.commit([Held(start, stop)])
    await file.beat()
    await file.abandon()


def found(dest: Path) -> State | None:
    """What the next download may keep; it is not begun."""
    elsewhere = Elsewhere()
    opened = open_part(elsewhere, Names.of(dest), resume=True, mode=0o600, alone=False)
    os.close(opened.descriptor)
    return opened.prior


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hundreds of times: nothing need last."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


def damages(data: bytes) -> Iterator[bytes]:
    """Cut at every byte, with and without zeros behind, and every bit of every fifth byte turned."""
    for at in range(len(data)):
        yield data[:at]
        yield data[:at] + bytes(len(data) - at)
    for at in range(0, len(data), 5):
        for bit in range(8):
            yield data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1 :]
    yield data + b"claim [0,5000) 00000000\n"
    yield data + os.urandom(100)


@pytest.mark.usefixtures("quick", "may_block")
async def test_every_damage(dest: Path) -> None:
    """B20, B21, B22: what is kept is what the journal said at some earlier moment, or nothing; and never more."""
    names, encoder = Names.of(dest), Encoder()
    # It names no file's number: each of the many that follow is the one it speaks of.
    records = [encoder.head(HEAD, "me")]
    records += [encoder.claim([Held(*span)]) for span in ((0, 1000), (2000, 4000), (1000, 2000))]
    records.append(encoder.beat("me", 1))
    said = [None, *(replay(b"".join(records[:count])).state for count in range(1, len(records) + 1))]
    part = CONTENT.read(0, 5000)
    seen = set[int]()
    for data in damages(b"".join(records)):
        names.journal.write_bytes(data)
        names.part.write_bytes(part)
        try:
            kept = found(dest)
        except JournalError:
            assert (data, part) == (names.journal.read_bytes(), names.part.read_bytes())
            seen.add(-1)
            continue

        assert kept in said
        if kept is None:
            assert 0 == names.part.stat().st_size
            assert not names.journal.exists()
        else:
            assert (data, part) == (names.journal.read_bytes(), names.part.read_bytes())
        seen.add(sum(held.stop - held.start for held in kept.held) if kept else -2)

    assert {-2, -1, 0, 1000, 3000, 4000} == seen


def directory(path: Path) -> None:
    path.mkdir()


def link(path: Path) -> None:
    path.symlink_to("victim")


def fifo(path: Path) -> None:
    os.mkfifo(path)


def listener(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))


@pytest.mark.parametrize("resume", [True, False])
@pytest.mark.parametrize("make", [directory, link, fifo, listener])
@pytest.mark.parametrize("which", ["part", "done", "journal"])
async def test_in_the_way(dest: Path, which: str, make: Callable[[Path], None], resume: bool) -> None:
    """What is no file is refused without waiting, stays, and is not followed; what lies beside it is not touched."""
    victim = dest.with_name("victim")
    victim.write_bytes(b"precious")
    await leave(dest)
    names = Names.of(dest)
    path: Path = getattr(names, which)
    path.unlink(missing_ok=True)
    make(path)
    before = {other: other.read_bytes() for other in dest.parent.iterdir() if other.is_file()}
    kind = os.lstat(path).st_mode

    async with asyncio.timeout(100):
        with pytest.raises(StorageError):
            await PartFile.create(dest, if_exists="skip", resume=resume)
    assert kind == os.lstat(path).st_mode
    assert before == {other: other.read_bytes() for other in dest.parent.iterdir() if other.is_file()}


async def test_once_it_is_moved_away(dest: Path) -> None:
    """A refusal holds nothing back: the same process may try again, and goes on with what is there."""
    await leave(dest)
    names = Names.of(dest)
    ours = names.journal.rename(dest.with_name("aside"))
    names.journal.write_bytes(b"not ours")
    with pytest.raises(JournalError):
        await PartFile.create(dest, if_exists="skip", resume=True)
    ours.rename(names.journal)
    file = await PartFile.create(dest, if_exists="skip", resume=True)
    prior = file.prior
    await file.abandon()

    assert prior is not None
    assert (HELD,) == prior.held


async def test_living_one_on_its_last_step(dest: Path) -> None:
    """A complete file that is just being renamed is its owner's, who ends well."""
    names = Names.of(dest)
    others: list[BaseException | None] = []

    class Watched(Elsewhere):
        def replace(self, source: FileName, target: FileName) -> None:
            if Path(source) == names.done:
                with pytest.raises(DestinationBusyError) as caught:
                    open_part(Elsewhere(), names, resume=True, mode=0o600, alone=False)
                others.append(caught.value)
            super().replace(source, target)

    file = await PartFile.create(dest, if_exists="skip", disk=Watched())
    await file.begin(HEAD)
    await file.write([piece(0, 10_000)])
    await file.publish(10_000)

    assert 1 == len(others)
    assert CONTENT.read(0, 10_000) == dest.read_bytes()
    assert [dest] == list(dest.parent.iterdir())


@pytest.mark.usefixtures("may_block")
async def test_living_one_beside_a_complete_file(dest: Path) -> None:
    """A partial file that somebody has locked keeps its name, whatever an earlier download left on its way."""
    await leave(dest)
    names = Names.of(dest)
    names.part.rename(names.done)
    descriptor = os.open(names.part, os.O_CREAT | os.O_RDWR)
    assert OsDisk().lock(descriptor)
    with pytest.raises(DestinationBusyError):
        await PartFile.create(dest, if_exists="skip", resume=True)

    assert os.path.samestat(os.fstat(descriptor), names.part.stat())
    os.close(descriptor)


async def test_complete_one_that_reaches_its_name(dest: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the look and the lock its owner ends well: it is neither taken back nor removed."""
    await leave(dest)
    names, real = Names.of(dest), OsDisk.lock
    names.part.rename(names.done)

    def late(disk: OsDisk, descriptor: int) -> bool | None:
        if names.done.exists():
            names.done.rename(dest)
        return real(disk, descriptor)

    monkeypatch.setattr(OsDisk, "lock", late)
    file = await PartFile.create(dest, if_exists="replace", resume=True)
    prior = file.prior
    await file.abandon()

    assert prior is None
    assert CONTENT.read(0, 5000) == dest.read_bytes()


async def test_same_in_one_process_where_locks_lie(dest: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other download of the process needs no lock to leave it alone."""
    monkeypatch.setattr(OsDisk, "lock", lambda *_: True)
    names = Names.of(dest)
    file = await PartFile.create(dest, if_exists="skip")
    await file.begin(HEAD)
    names.part.rename(names.done)
    with pytest.raises(DestinationBusyError):
        await PartFile.create(dest, if_exists="skip", resume=True)
    await file.abandon()

    assert names.done.exists()


@pytest.mark.parametrize("old", [0o600, 0o644, 0o666, 0o755])
@pytest.mark.parametrize("mask", [0o077, 0o022])
async def test_mode_of_what_is_replaced(dest: Path, old: int, mask: int) -> None:
    """B33: a download that goes on ends with the mode of what it replaces, as it is then; private until then."""
    before = os.umask(mask)
    try:
        dest.write_bytes(b"old")
        await leave(dest, if_exists="replace")
        dest.chmod(old)
        part_of(dest).chmod(0o666)
        file = await PartFile.create(dest, if_exists="replace", resume=True)
        private = mode_of(part_of(dest))
        assert file.prior is not None
        await file.begin(HEAD, file.prior.held)
        await file.write([piece(4000, 10_000)])
        await file.publish(10_000)
    finally:
        os.umask(before)

    assert (0o600, old) == (private, mode_of(dest))
    assert CONTENT.read(0, 10_000) == dest.read_bytes()


class TestSpaceOfWhatIsKept:
    @pytest.mark.parametrize("number", [0, errno.ENOSPC, errno.EOPNOTSUPP])
    async def test_reserving_shortens_nothing(self, dest: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
        """Whether the system gives the space, has none, or has no such call: the bytes that were there still are."""
        await leave(dest)
        file = await PartFile.create(dest, if_exists="skip", resume=True)
        assert file.prior is not None
        await file.begin(HEAD, file.prior.held)

        def half(descriptor: int, size: int) -> int:
            os.ftruncate(descriptor, 3 * size // 4)
            return number

        if number:
            monkeypatch.setattr(disk, "fallocate", half if number == errno.ENOSPC else lambda *_: number)
        with pytest.raises(DiskFullError) if number == errno.ENOSPC else contextlib.nullcontext():
            await file.reserve(10_000)
        data = part_of(dest).read_bytes()
        await file.abandon()

        assert CONTENT.read(0, 5000) + bytes(0 if number == errno.ENOSPC else 5000) == data
        assert (HELD,) == found_held(dest)

    @pytest.mark.parametrize(
        ("free", "enough"), [(None, True), (0, False), (99_999, False), (100_000, True), (1 << 50, True)]
    )
    @pytest.mark.parametrize("checked", [True, False])
    async def test_check(
        self, dest: Path, monkeypatch: pytest.MonkeyPatch, free: int | None, enough: bool, checked: bool
    ) -> None:
        """What is missing must be free, if that is asked for and can be told; both numbers are in the words."""
        monkeypatch.setattr(OsDisk, "free", lambda *_: free)
        file = await PartFile.create(dest, if_exists="skip")
        if enough or not checked:
            await file.reserve(100_000, preallocate=False, check_space=checked)
        else:
            with pytest.raises(DiskFullError, match=rf"100000 bytes .* {free} ") as caught:
                await file.reserve(100_000, preallocate=False, check_space=checked)
            assert caught.value.hint is not None
        size = part_of(dest).stat().st_size
        await file.abandon()

        assert 0 == size

    async def test_what_is_there_already(self, dest: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Only what the file does not have yet has to be free."""
        file = await PartFile.create(dest, if_exists="skip")
        await file.reserve(1 << 20)
        monkeypatch.setattr(OsDisk, "free", lambda *_: 0)
        await file.reserve(1 << 20)
        with pytest.raises(DiskFullError):
            await file.reserve(2 << 20)
        size = part_of(dest).stat().st_size
        await file.abandon()

        assert 1 << 20 == size


def found_held(dest: Path) -> tuple[Held, ...] | None:
    journal = replay(Names.of(dest).journal.read_bytes())
    return None if journal.state is None else journal.state.held


class TestSweep:
    @staticmethod
    def stale(dest: Path) -> Path:
        names = Names.of(dest)
        names.journal.write_bytes(Encoder().head(HEAD, "me"))
        return names.journal

    def test_stale(self, dest: Path) -> None:
        """Beside a complete file a journal of ours goes."""
        dest.write_bytes(b"complete")
        self.stale(dest)
        sweep(OsDisk(), dest)

        assert [dest] == list(dest.parent.iterdir())

    def test_complete_elsewhere(self, dest: Path) -> None:
        """It stays with a complete file that has not got its name yet."""
        journal, other = self.stale(dest), dest.with_name("file.part.done")
        other.write_bytes(b"")
        sweep(OsDisk(), dest)

        assert {journal, other} == set(dest.parent.iterdir())

    def test_part(self, dest: Path) -> None:
        """Both go where the file came by another way."""
        self.stale(dest)
        Names.of(dest).part.write_bytes(b"half")
        dest.write_bytes(b"complete")
        sweep(OsDisk(), dest)

        assert [dest] == list(dest.parent.iterdir())

    async def test_part_of_the_living(self, dest: Path) -> None:
        """Nothing is taken from a download that is at work."""
        file = await PartFile.create(dest, if_exists="skip")
        await file.begin(HEAD)
        await file.write([Chunk(0, b"half")])
        there = set(dest.parent.iterdir())
        sweep(Elsewhere(), dest)

        assert there == set(dest.parent.iterdir())
        await file.abandon()

    @pytest.mark.parametrize("make", [directory, link, fifo, lambda path: path.write_bytes(b"not ours")])
    def test_not_ours(self, dest: Path, make: Callable[[Path], object]) -> None:
        """What is not a journal of ours stays, and nothing is raised."""
        journal = Names.of(dest).journal
        make(journal)
        sweep(OsDisk(), dest)

        assert [journal] == list(dest.parent.iterdir())

    def test_nothing(self, dest: Path) -> None:
        """Nothing to sweep, in a directory that is there or not."""
        sweep(OsDisk(), dest)
        sweep(OsDisk(), dest.parent / "missing" / "file")


LETTERS = st.sampled_from(["a", "b", "\u00e9", "\U0001f600", "\udcff", "\u0301", " ", "."])
LONG = st.lists(LETTERS, min_size=1, max_size=255).map("".join).filter(lambda name: len(os.fsencode(name)) <= 255)
NEAR = st.integers(230, 255).flatmap(lambda size: st.lists(LETTERS, max_size=12).map(lambda end: pad(end, size)))


def pad(end: list[str], size: int) -> str:
    """A name of `size` bytes with this end."""
    text = "".join(end)
    return "n" * (size - len(os.fsencode(text))) + text


@given(first=LONG | NEAR, second=LONG | NEAR)
def test_names(first: str, second: str) -> None:
    """B32: all in one directory, all of at most 255 bytes with `.new` too, and no two downloads share one."""
    assume(first != second and not {first, second} & {".", ".."})
    taken = []
    for name in (first, second):
        names = Names.of(Path("/somewhere") / name)
        ours = [names.part, names.journal, names.done, names.journal.with_name(names.journal.name + ".new")]
        assert {Path("/somewhere")} == {path.parent for path in ours}
        assert 255 >= max(len(os.fsencode(path.name)) for path in ours)
        assert 5 == len({names.dest, *ours})
        if len(os.fsencode(name)) <= 255 - len(".part.journal.new"):
            assert name + ".part" == names.part.name
        taken.append(set(ours))

    assert not taken[0] & taken[1]


async def test_beats_are_what_counts(dest: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without locks whatever changes is alive: also a journal that appears between the two looks."""
    monkeypatch.setattr(files, "BEAT", 0.01)
    monkeypatch.setattr(OsDisk, "lock", lambda *_: None)
    first = await PartFile.create(dest, if_exists="skip")
    looked, begun = threading.Event(), threading.Event()

    class Looking(Elsewhere):
        def status(self, path: FileName) -> os.stat_result | None:
            if Path(path) == Names.of(dest).journal and looked.is_set():
                begun.wait(60)
            status = super().status(path)
            if Path(path) == Names.of(dest).journal:
                looked.set()
            return status

    second = asyncio.create_task(PartFile.create(dest, if_exists="skip", resume=True, disk=Looking()))
    await asyncio.to_thread(looked.wait, 10)
    await first.begin(HEAD)
    begun.set()
    with pytest.raises(DestinationBusyError):
        await second
    await first.abandon()
