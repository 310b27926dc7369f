"""What an earlier download left, and what is made of it: gone on with, cleared away, or left alone."""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from asyncdl.edge.files import PartFile
from asyncdl.errors import JournalError
from asyncdl.rules.head import Head
from asyncdl.rules.held import Held
from asyncdl.rules.journal import FORMAT, VERSION, Encoder
from tests.support.partfiles import CONTENT, part_of, piece

HEAD = Head(size=10_000, etag='"one"')
HELD = Held(0, 4000)

pytestmark = pytest.mark.usefixtures("no_leaks")


@pytest.fixture
def dest(tmp_path: Path) -> Path:
    return tmp_path / "file"


def journal_of(dest: Path) -> Path:
    return dest.with_name(dest.name + ".part.journal")


async def leave(dest: Path) -> None:
    """A download that is interrupted: 5,000 bytes are there, 4,000 of them claimed."""
    file = await PartFile.create(dest, if_exists="skip")
    await file.begin(HEAD)
    await file.reserve(10_000)
    await file.write([piece(0, 5000)])
    await file.commit([HELD])
    await file.abandon()


async def found(dest: Path, *, resume: bool = True) -> tuple[Held, ...] | None:
    """What the next download may keep; None: it begins with an empty file and without a journal."""
    file = await PartFile.create(dest, if_exists="skip", resume=resume)
    prior = file.prior
    if prior is None:
        assert 0 == part_of(dest).stat().st_size
        assert not journal_of(dest).exists()
    await file.abandon()
    return None if prior is None else prior.held


async def test_kept(dest: Path) -> None:
    """What was claimed, and nothing that was only written; to look at it changes nothing."""
    await leave(dest)

    for _ in range(2):
        assert (HELD,) == await found(dest)
    assert CONTENT.read(0, 4000) == part_of(dest).read_bytes()[:4000]


async def test_not_wanted(dest: Path) -> None:
    """Whoever wants to begin anew does."""
    await leave(dest)

    assert await found(dest, resume=False) is None


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:10])


def zero(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[30] ^= 4
    path.write_bytes(data)


@pytest.mark.parametrize("damage", [Path.unlink, zero, cut, flip, lambda path: path.write_bytes(b"")])
async def test_journal_that_says_nothing(dest: Path, damage: Callable[[Path], object]) -> None:
    """B20 to B22, B25: without a journal the bytes are no evidence, however many there are."""
    await leave(dest)
    damage(journal_of(dest))

    assert await found(dest) is None


def shorter(part: Path) -> None:
    os.truncate(part, 3999)


def another(part: Path) -> None:
    data = part.read_bytes()
    part.rename(part.with_name("old"))
    part.write_bytes(data)


def linked(part: Path) -> None:
    part.with_name("other").hardlink_to(part)


def of_a_stranger(part: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("to give a file away takes root")
    os.chown(part, 65534, 65534)


@pytest.mark.parametrize("change", [Path.unlink, shorter, another, linked, of_a_stranger])
async def test_another_file(dest: Path, change: Callable[[Path], object]) -> None:
    """B24: the file is gone, too short, not the one that was written, or one that somebody else can write."""
    await leave(dest)
    change(part_of(dest))

    assert await found(dest) is None


async def test_link_that_was_broken_is_not_written_through(dest: Path) -> None:
    """A name that the partial file has elsewhere keeps the bytes it had."""
    await leave(dest)
    linked(part_of(dest))
    before = part_of(dest).with_name("other").read_bytes()

    file = await PartFile.create(dest, if_exists="skip", resume=True)
    await file.write([piece(6000, 7000)])
    await file.abandon()

    assert before == part_of(dest).with_name("other").read_bytes()


@pytest.mark.parametrize("resume", [True, False])
@pytest.mark.parametrize("part", [True, False])
@pytest.mark.parametrize("data", [b"Dear diary,\n", b"\x89PNG\r\n\x1a\n", None], ids=["text", "picture", "newer"])
async def test_not_ours_to_judge(dest: Path, data: bytes | None, part: bool, resume: bool) -> None:
    """B23: another program's file, or a later release's journal: an error, and everything stays."""
    if part:
        part_of(dest).write_bytes(b"somebody's bytes")
    if data is None:
        line = Encoder().head(HEAD, "me").replace(f"{FORMAT} {VERSION} ".encode(), b"")
        data = _record(f"{FORMAT} {VERSION + 1} ".encode() + line.rpartition(b" ")[0])
    journal_of(dest).write_bytes(data)

    with pytest.raises(JournalError) as caught:
        await PartFile.create(dest, if_exists="skip", resume=resume)

    assert caught.value.hint
    assert data == journal_of(dest).read_bytes()
    assert part is part_of(dest).exists()
    assert not part or b"somebody's bytes" == part_of(dest).read_bytes()


def _record(text: bytes) -> bytes:
    return text + b" %08x\n" % zlib.crc32(text)


class TestOnTheWayToItsName:
    async def test_taken_back(self, dest: Path) -> None:
        """C8: a crash between the two steps of the rename loses nothing."""
        await leave(dest)
        part_of(dest).rename(dest.with_name("file.part.done"))

        assert (HELD,) == await found(dest)
        assert not dest.with_name("file.part.done").exists()

    async def test_without_a_journal(self, dest: Path) -> None:
        """What nothing speaks of goes."""
        dest.with_name("file.part.done").write_bytes(b"whose?")

        assert await found(dest) is None
        assert not dest.with_name("file.part.done").exists()

    async def test_beside_a_newer_part(self, dest: Path) -> None:
        """The one that is being written counts."""
        await leave(dest)
        dest.with_name("file.part.done").write_bytes(b"left by an older one")

        assert (HELD,) == await found(dest)
        assert not dest.with_name("file.part.done").exists()


async def test_journal_that_was_being_written(dest: Path) -> None:
    """A half-written successor of the journal is nobody's, and is overwritten by the next."""
    await leave(dest)
    dest.with_name("file.part.journal.new").write_bytes(b"half a jour")

    file = await PartFile.create(dest, if_exists="skip", resume=True)
    assert file.prior is not None
    await file.begin(HEAD, file.prior.held)
    await file.publish(10_000)

    assert [dest] == list(dest.parent.iterdir())


@pytest.mark.parametrize("mask", [0o077, 0o022, 0o002])
async def test_modes(dest: Path, mask: int) -> None:
    """B33: while it is incomplete nobody else reads it or its journal; then it has what the umask leaves."""
    before = os.umask(mask)
    try:
        await leave(dest)
        private = [path.stat().st_mode & 0o777 for path in (part_of(dest), journal_of(dest))]
        file = await PartFile.create(dest, if_exists="skip", resume=True)
        assert file.prior is not None
        await file.begin(HEAD, file.prior.held)
        private.append(journal_of(dest).stat().st_mode & 0o777)
        await file.publish(10_000)
    finally:
        os.umask(before)

    assert {0o600} == set(private)
    assert 0o666 & ~mask == dest.stat().st_mode & 0o777
