"""Somebody else who is quick: what is swapped under a file's name between two steps is never written through."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from asyncdl.edge.files import PartFile
from asyncdl.errors import StorageError
from asyncdl.model import Chunk, IfExists
from tests.support.partfiles import mode_of, part_of

TRIES = 1000
OURS = b"ours" * 16


@pytest.fixture
def dest(tmp_path: Path) -> Path:
    """A destination in a directory of its own."""
    (tmp_path / "into").mkdir()
    return tmp_path / "into" / "file"


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    """A file that a link will point to."""
    path = tmp_path / "victim"
    path.write_bytes(b"precious")
    path.chmod(0o640)
    return path


@pytest.fixture
def no_sync(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand files need not last."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


@contextlib.contextmanager
def racing(step: Callable[[], None]) -> Iterator[list[int]]:
    """Repeat `step` in a thread as fast as it goes; how often is in the list at the end."""
    over = threading.Event()
    laps = [0]

    def race() -> None:
        while not over.is_set():
            with contextlib.suppress(OSError):
                step()
                laps[0] += 1

    thread = threading.Thread(target=race)
    thread.start()
    try:
        yield laps
    finally:
        over.set()
        thread.join(60)


async def attempt(dest: Path, if_exists: IfExists) -> bool:
    """Write and publish one file; whether that went well."""
    try:
        file = await PartFile.create(dest, if_exists=if_exists)
    except StorageError:
        return False
    try:
        await file.write([Chunk(0, OURS)])
        await file.publish(len(OURS))
    except StorageError:
        return False
    finally:
        await file.abandon()
    return True


def unharmed(victim: Path) -> bool:
    """Whether the link's target is what it was."""
    return (b"precious", 0o640) == (victim.read_bytes(), mode_of(victim))


@pytest.mark.usefixtures("no_sync", "no_leaks")
@pytest.mark.parametrize("dangling", [False, True])
async def test_destination_swapped_for_a_link(dest: Path, victim: Path, dangling: bool) -> None:
    """A thousand times, at any moment: the link is replaced or refused, its target neither written nor made."""
    target, spare = (victim.with_name("nothing") if dangling else victim), victim.with_name("link")

    def swap() -> None:
        spare.symlink_to(target)
        spare.replace(dest)
        dest.unlink()

    outcomes = []
    with racing(swap) as laps:
        for _ in range(TRIES):
            outcomes.append(await attempt(dest, "replace"))
            if not unharmed(victim):
                break
    outcomes.append(await attempt(dest, "replace") if not dest.is_symlink() else True)

    assert (TRIES + 1, True) == (len(outcomes), unharmed(victim))
    assert not victim.with_name("nothing").exists()
    assert any(outcomes[:-1])
    assert laps[0] > 10


@pytest.mark.usefixtures("no_sync", "no_leaks")
@pytest.mark.parametrize("kind", ["symbolic", "hard"])
async def test_part_swapped_for_a_link(dest: Path, victim: Path, kind: str) -> None:
    """The unfinished file's name as well: whoever plants another file there gets not a byte into it."""
    spare = victim.with_name("link")

    def swap() -> None:
        with contextlib.suppress(FileExistsError):
            spare.symlink_to(victim) if kind == "symbolic" else os.link(victim, spare)
        spare.replace(part_of(dest))
        part_of(dest).unlink()

    outcomes = []
    with racing(swap) as laps:
        for _ in range(TRIES // 2):
            outcomes.append(await attempt(dest, "replace"))
            if not unharmed(victim) or (dest.exists() and dest.read_bytes() not in {OURS, b"precious"}):
                break

    assert (TRIES // 2, True) == (len(outcomes), unharmed(victim))
    assert laps[0] > 10


@pytest.mark.usefixtures("no_sync", "no_leaks")
async def test_directory_swapped_for_a_link(dest: Path, victim: Path) -> None:
    """Where the directory itself is swapped, files go where the path leads, under their own name and no other."""
    real, elsewhere = dest.parent, victim.with_name("elsewhere")
    elsewhere.mkdir()
    (elsewhere / "file").write_bytes(b"precious")
    file = await PartFile.create(dest, if_exists="error")
    await file.write([Chunk(0, OURS)])
    real.rename(victim.with_name("away"))
    real.symlink_to(elsewhere)
    with pytest.raises(StorageError):
        await file.publish(len(OURS))
    await file.abandon()

    assert (["file"], b"precious") == (os.listdir(elsewhere), (elsewhere / "file").read_bytes())
    shutil.rmtree(victim.with_name("away"))


#: Of the file that is there, by the umask and the mode of what was there before: what a new file gets is the umask's
#: business, what a successor gets its predecessor's. Set-user-ID, set-group-ID and sticky bits are never passed on.
MODES: dict[tuple[int, int | None], int] = {
    (0o022, None): 0o644,
    (0o022, 0o600): 0o600,
    (0o022, 0o644): 0o644,
    (0o022, 0o666): 0o666,
    (0o022, 0o4755): 0o755,
    (0o022, 0o2640): 0o640,
    (0o022, 0o400): 0o400,
    (0o022, 0o000): 0o000,
    (0o077, None): 0o600,
    (0o077, 0o600): 0o600,
    (0o077, 0o644): 0o644,
    (0o077, 0o666): 0o666,
    (0o077, 0o4755): 0o755,
    (0o077, 0o2640): 0o640,
    (0o077, 0o400): 0o400,
    (0o077, 0o000): 0o000,
    (0o000, None): 0o666,
    (0o000, 0o600): 0o600,
    (0o000, 0o644): 0o644,
    (0o000, 0o666): 0o666,
    (0o000, 0o4755): 0o755,
    (0o777, None): 0o000,
    (0o777, 0o644): 0o644,
    (0o027, None): 0o640,
    (0o027, 0o600): 0o600,
}


@pytest.mark.usefixtures("no_sync", "no_leaks")
@pytest.mark.parametrize("directory", [0o755, 0o2775, 0o1777])
async def test_modes(dest: Path, monkeypatch: pytest.MonkeyPatch, directory: int) -> None:
    """The whole table, in plain, set-group-ID and sticky directories; until then nobody else may read a byte."""
    dest.parent.chmod(directory)
    seen: set[int] = set()
    real = os.ftruncate

    def ftruncate(descriptor: int, size: int) -> None:
        seen.add(stat.S_IMODE(os.fstat(descriptor).st_mode) & 0o777)
        real(descriptor, size)

    monkeypatch.setattr(os, "ftruncate", ftruncate)
    found: dict[tuple[int, int | None], int] = {}
    before = os.umask(0o022)
    try:
        for mask, old in MODES:
            dest.unlink(missing_ok=True)
            if old is not None:
                dest.write_bytes(b"old")
                dest.chmod(old)
            os.umask(mask)
            assert await attempt(dest, "replace")
            found[mask, old] = mode_of(dest)
    finally:
        os.umask(before)

    assert MODES == found
    assert {0o600} == seen
