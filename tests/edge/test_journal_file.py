"""The journal's file: begun in one step, appended to, taken over, lost to another, and what is read in the end."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncdl.edge import journal_file
from asyncdl.edge.disk import OsDisk
from asyncdl.edge.journal_file import JournalFile, load
from asyncdl.errors import DestinationBusyError, JournalError
from asyncdl.model import Part
from asyncdl.rules.head import Head
from asyncdl.rules.held import Crc, Held
from asyncdl.rules.journal import State, replay
from tests.support.partfiles import mode_of

HEAD = Head(size=1000, etag='"one"', last_modified="Mon, 06 Jan 2025 08:00:00 GMT", inode=7, device=8)
HELD = (Held(0, 100, Crc("crc32", 5)), Held(200, 300))

pytestmark = pytest.mark.usefixtures("no_leaks")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal"


def begun(path: Path, owner: str = "me", held: tuple[Held, ...] = ()) -> JournalFile:
    journal = JournalFile(OsDisk(), path, owner)
    journal.begin(State(head=HEAD, owner="whoever was before", beats=3, held=held))
    return journal


def said(path: Path) -> State:
    """What a journal says that has no fault."""
    journal = load(OsDisk(), path)
    assert journal is not None
    assert journal.fault is None
    assert journal.state is not None
    return journal.state


def names(path: Path) -> list[str]:
    return sorted(os.listdir(path.parent))


def test_begin(path: Path) -> None:
    """It says everything that it was given, of us, to its owner alone, and nothing else is left."""
    journal = begun(path, held=HELD)

    assert State(head=HEAD, owner="me", beats=0, held=HELD) == said(path)
    assert (0o600, ["journal"]) == (mode_of(path), names(path))
    assert (True, True) == (journal.begun, journal.is_ours())
    journal.check_owner()
    journal.close()


def test_before_the_beginning(path: Path) -> None:
    """One that was not begun is nobody's, and to close or remove it touches no file."""
    path.write_bytes(b"somebody's")
    journal = JournalFile(OsDisk(), path, "me")

    assert (False, False) == (journal.begun, journal.is_ours())
    journal.close()
    journal.remove()
    assert b"somebody's" == path.read_bytes()


@pytest.mark.parametrize("mask", [0o077, 0o022, 0o000, 0o777])
def test_mode_that_others_get(path: Path, mask: int) -> None:
    """The journal stays private; what the umask leaves of a new file's permissions is told."""
    before = os.umask(mask)
    try:
        journal = begun(path)
    finally:
        os.umask(before)

    assert (0o666 & ~mask, 0o600) == (journal.mode, mode_of(path))
    journal.close()


@pytest.mark.parametrize("call", ["create", "set_mode", "write", "sync", "replace"])
def test_begin_is_one_step(path: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    """Whatever fails on the way, the earlier journal is there, whole, and nothing beside it."""
    begun(path, "earlier", HELD).close()

    def fail(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(OsDisk, call, fail)
        with pytest.raises(OSError, match="Input/output"):
            begun(path)

    assert State(head=HEAD, owner="earlier", held=HELD) == said(path)
    assert ["journal"] == names(path)


def test_begin_again(path: Path) -> None:
    """The same download may begin once more: what is appended goes to the new file."""
    journal = begun(path, held=HELD)
    journal.begin(State(head=HEAD, owner="x"))
    journal.claim([Held(400, 500)])
    journal.close()

    assert (Held(400, 500),) == said(path).held


@pytest.mark.parametrize("make", [lambda new: new.write_bytes(b"half a jour"), lambda new: new.symlink_to("victim")])
def test_left_by_a_crash(path: Path, make: Callable[[Path], object]) -> None:
    """Whatever has the successor's name goes; a link there is not followed."""
    victim = path.with_name("victim")
    victim.write_bytes(b"precious")
    make(path.with_name("journal.new"))
    begun(path).close()

    assert "me" == said(path).owner
    assert (["journal", "victim"], b"precious") == (names(path), victim.read_bytes())


def test_directory_in_the_way(path: Path) -> None:
    """Nobody's directory is removed."""
    path.with_name("journal.new").mkdir()

    with pytest.raises(OSError, match=r"journal\.new"):
        begun(path)
    assert ["journal.new"] == names(path)


SPANS = st.tuples(st.integers(0, 60), st.integers(1, 10)).map(lambda pair: (pair[0], pair[0] + pair[1]))
#: What is done to a journal, and the spans that it is done to.
STEPS: st.SearchStrategy[tuple[str, list[tuple[int, int]]]] = st.one_of(
    st.tuples(st.just("claim"), st.lists(SPANS, max_size=3)),
    st.tuples(st.just("reset"), st.lists(SPANS, max_size=3)),
    st.tuples(st.just("beat"), st.just([])),
    st.tuples(st.just("anew"), st.just([])),
)


@pytest.mark.parametrize("longest", [None, 300])
@given(steps=st.lists(STEPS, max_size=12))
def test_whatever_is_appended(
    tmp_path_factory: pytest.TempPathFactory, longest: int | None, steps: list[tuple[str, list[tuple[int, int]]]]
) -> None:
    """In any order: what is read is what a set of all offsets would be, also while it is written anew, shorter."""
    path = tmp_path_factory.mktemp("journal") / "journal"
    model = set[int]()
    with pytest.MonkeyPatch.context() as patch:
        if longest:
            patch.setattr(journal_file, "_LONG", longest)
        journal = begun(path)
        for doing, spans in steps:
            offsets = {offset for span in spans for offset in range(*span)}
            match doing:
                case "claim":
                    journal.claim([Held(*span) for span in spans])
                    model |= offsets
                case "reset":
                    journal.reset([Part(*span) for span in spans])
                    model -= offsets
                case "beat":
                    journal.beat()
                case _:
                    journal.begin(said(path))

            assert model == {offset for span in said(path).spans for offset in range(*span)}
            journal.check_owner()
        journal.close()
    assert ["journal"] == names(path)


@pytest.mark.parametrize("limit", ["_LONG", "_MANY"])
def test_not_anew_with_every_claim(path: Path, monkeypatch: pytest.MonkeyPatch, limit: str) -> None:
    """One that cannot be made short is written anew only when it is twice as long."""
    monkeypatch.setattr(journal_file, limit, 100 if limit == "_LONG" else 4)
    monkeypatch.setattr(OsDisk, "sync_directory", lambda *_: synced.append(path))
    synced: list[Path] = []
    journal = begun(path)
    for start in range(0, 1000, 5):
        journal.claim([Held(start, start + 1)])
    journal.close()

    assert 200 == len(said(path).held)
    assert 2 < len(synced) < 12


def test_beats(path: Path) -> None:
    """They are counted, and each changes what another process looks at."""
    journal = begun(path)
    prints = {journal_file.fingerprint(OsDisk(), path)}
    for _ in range(3):
        journal.beat()
        prints.add(journal_file.fingerprint(OsDisk(), path))
    journal.close()

    assert ("me", 3) == (said(path).owner, said(path).beats)
    assert 4 == len(prints)


def test_empty_reset(path: Path) -> None:
    """A reset of nothing gives up nothing: without ranges the record would mean everything."""
    journal = begun(path, held=HELD)
    journal.reset([])
    journal.close()

    assert HELD == said(path).held


class TestLost:
    """Somebody else has taken the download over."""

    def test_replaced(self, path: Path) -> None:
        """It is noticed, what is appended reaches nobody, and to give it up leaves the winner's alone."""
        loser, winner = begun(path, "loser"), begun(path, "winner")

        assert (False, True) == (loser.is_ours(), winner.is_ours())
        loser.claim([Held(0, 1000)])
        with pytest.raises(DestinationBusyError):
            loser.check_owner()
        loser.remove()
        winner.check_owner()
        winner.close()
        assert ("winner", ()) == (said(path).owner, said(path).held)

    def test_removed(self, path: Path) -> None:
        """Without its name it is nobody's."""
        journal = begun(path)
        path.unlink()

        assert not journal.is_ours()
        with pytest.raises(DestinationBusyError):
            journal.check_owner()
        journal.remove()
        assert [] == names(path)

    def test_taken_over_by_appending(self, path: Path) -> None:
        """The last token counts, also in a file that has the same name and number."""
        journal, other = begun(path), JournalFile(OsDisk(), path, "other")
        encoder = type(journal._encoder)(replay(path.read_bytes()).chain)
        with path.open("ab") as file:
            file.write(encoder.beat("other", 1))

        assert journal.is_ours()
        with pytest.raises(DestinationBusyError):
            journal.check_owner()
        other.check_owner()
        journal.close()

    @pytest.mark.parametrize("data", [b"", bytes(1000), b"asyncdl-journal 1 {"])
    def test_destroyed(self, path: Path, data: bytes) -> None:
        """A journal that says nothing is not ours either."""
        journal = begun(path)
        path.write_bytes(data)

        with pytest.raises(DestinationBusyError):
            journal.check_owner()
        journal.close()

    def test_between_the_rename_and_the_look(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Two begin at one moment: the one whose file has no name any more knows, and closes it."""
        real = OsDisk.replace

        def late(disk: OsDisk, source: Path, target: Path) -> None:
            real(disk, source, target)
            monkeypatch.setattr(OsDisk, "replace", real)
            winners.append(begun(path, "winner"))

        winners: list[JournalFile] = []
        loser = JournalFile(OsDisk(), path, "loser")
        monkeypatch.setattr(OsDisk, "replace", late)
        with pytest.raises(DestinationBusyError):
            loser.begin(State(head=HEAD, owner="x"))

        assert not loser.begun
        assert winners[0].is_ours()
        winners[0].close()

    def test_somebody_is_writing_his(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Who fails to begin does not take away the file that another is about to rename."""

        def late(disk: OsDisk, descriptor: int) -> None:
            new = path.with_name("journal.new")
            new.unlink()
            new.write_bytes(b"the other's")
            raise OSError(errno.EIO, "Input/output error")

        monkeypatch.setattr(OsDisk, "sync", late)
        with pytest.raises(OSError, match="Input/output"):
            begun(path)

        assert b"the other's" == path.with_name("journal.new").read_bytes()


class TestFailedAppend:
    @pytest.mark.parametrize("taken", [0, 1, 20])
    def test_followed_by_another(self, path: Path, monkeypatch: pytest.MonkeyPatch, taken: int) -> None:
        """However much of a record was written, the next one takes its place, and counts; the failed one never does."""
        journal, real = begun(path), OsDisk.write
        journal.claim([Held(0, 10)])

        def little(disk: OsDisk, descriptor: int, buffers: Sequence[bytes | memoryview], offset: int) -> int:
            if taken:
                real(disk, descriptor, [bytes(buffers[0])[:taken]], offset)
            raise OSError(errno.ENOSPC, "No space left on device")

        calls: list[Callable[[], None]] = [
            lambda: journal.claim([Held(20, 30)]),
            lambda: journal.reset([Part(0, 10)]),
            journal.beat,
        ]
        for call in calls:
            with monkeypatch.context() as patch:
                patch.setattr(OsDisk, "write", little)
                with pytest.raises(OSError, match="No space"):
                    call()
            assert load(OsDisk(), path).state.spans == (Part(0, 10),)  # type: ignore[union-attr]
        journal.claim([Held(800, 900)])
        journal.beat()

        assert (Part(0, 10), Part(800, 900)) == said(path).spans
        journal.close()

    def test_many_ranges(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Of a claim in several records the first may count before the disk is full: all of it was durable."""
        journal, real = begun(path), OsDisk.write
        many = [Held(at, at + 1) for at in range(0, 1000, 2)]

        def half(disk: OsDisk, descriptor: int, buffers: Sequence[bytes | memoryview], offset: int) -> int:
            data = bytes(buffers[0])
            real(disk, descriptor, [data[: data.index(b"\n") + 1]], offset)
            raise OSError(errno.ENOSPC, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr(OsDisk, "write", half)
            with pytest.raises(OSError, match="No space"):
                journal.claim(many)
        assert 256 == len(said(path).held)
        journal.reset([Part(0, 1000)])
        journal.close()

        found = load(OsDisk(), path)
        assert found is not None
        assert found.state is not None
        assert () == found.state.held


class TestLoading:
    def test_nothing_there(self, path: Path) -> None:
        """No file, no journal."""
        assert load(OsDisk(), path) is None

    @pytest.mark.parametrize("kind", ["directory", "fifo", "link"])
    def test_no_file(self, path: Path, kind: str) -> None:
        """What is no file is not read, nor waited for."""
        if kind == "directory":
            path.mkdir()
        elif kind == "fifo":
            os.mkfifo(path)
        else:
            path.with_name("target").write_bytes(b"")
            path.symlink_to("target")

        with pytest.raises(OSError):
            load(OsDisk(), path)

    def test_little_by_little(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """However little a read gives."""
        begun(path, held=HELD).close()
        monkeypatch.setattr(OsDisk, "read", lambda _, descriptor, __, offset: os.pread(descriptor, 3, offset))

        assert HELD == said(path).held

    def test_no_more_than_a_journal_has(self, path: Path) -> None:
        """A huge file of somebody else's is not read to its end."""
        with path.open("wb") as file:
            file.write(b"somebody's")
            file.truncate(1 << 40)

        with pytest.raises(JournalError):
            load(OsDisk(), path)


def test_forget(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For good: the directory is synced after the name is gone, and only if there was one."""
    synced: list[list[str]] = []
    monkeypatch.setattr(OsDisk, "sync_directory", lambda _, folder: synced.append(os.listdir(folder)))
    journal_file.forget(OsDisk(), path)
    path.write_bytes(b"")
    journal_file.forget(OsDisk(), path)

    assert [[]] == synced


def test_owners() -> None:
    """No two downloads have one token, and a journal takes it."""
    tokens = {journal_file.new_owner() for _ in range(100)}

    assert 100 == len(tokens)
    assert all(token.isalnum() and 16 == len(token) for token in tokens)
