"""How a `.part` file becomes the destination: in what order, with which mode, and what may stop it."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from asyncdl.edge import disk
from asyncdl.edge.disk import FileName, OsDisk
from asyncdl.edge.files import PartFile
from asyncdl.errors import DestinationExistsError, StorageError
from asyncdl.model import IfExists
from tests.support.partfiles import CONTENT, blocked, mode_of, part_of, piece, written


@pytest.fixture
def dest(tmp_path: Path) -> Path:
    """A destination in a directory of its own."""
    return tmp_path / "file"


@pytest.fixture
def umask() -> Iterator[None]:
    """Puts the process's umask back."""
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.mark.usefixtures("no_leaks", "umask")
class TestModes:
    @pytest.mark.parametrize(("mask", "expected"), [(0o077, 0o600), (0o022, 0o644), (0o000, 0o666), (0o027, 0o640)])
    async def test_new_file(self, dest: Path, mask: int, expected: int) -> None:
        """A new file gets what the umask leaves; while it grows nobody else may read it."""
        os.umask(mask)
        file = await written(dest)

        assert 0o600 == mode_of(part_of(dest))
        await file.publish(1000)
        assert expected == mode_of(dest)

    @pytest.mark.parametrize("mode", [0o600, 0o644, 0o755, 0o666, 0o400, 0o4755])
    @pytest.mark.parametrize("mask", [0o077, 0o022, 0o000])
    async def test_replaced_file(self, dest: Path, mask: int, mode: int) -> None:
        """The successor has its predecessor's mode, whatever the umask; never set-user-ID."""
        os.umask(mask)
        dest.write_bytes(b"old")
        dest.chmod(mode)
        file = await written(dest, if_exists="replace")

        assert 0o600 == mode_of(part_of(dest))
        await file.publish(1000)
        assert mode & 0o777 == mode_of(dest)

    async def test_never_open_to_others_beside_a_private_file(
        self, dest: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The successor of a private file is private from its very first moment."""
        os.umask(0)
        dest.write_bytes(b"old")
        dest.chmod(0o600)
        seen: list[int] = []
        real = OsDisk.lock

        def look(disk: OsDisk, descriptor: int) -> bool | None:
            seen.append(mode_of(part_of(dest)))
            return real(disk, descriptor)

        monkeypatch.setattr(OsDisk, "lock", look)
        file = await PartFile.create(dest, if_exists="replace")
        await file.abandon()

        assert [0o600] == seen

    async def test_link_gives_no_mode(self, dest: Path) -> None:
        """The mode of a link that was at the destination for a moment is nobody's."""
        dest.symlink_to("nowhere")
        file = await written(dest)
        dest.unlink()
        await file.publish(1000)

        assert 0o644 == mode_of(dest)

    @pytest.mark.parametrize("number", [errno.EPERM, errno.EOPNOTSUPP])
    async def test_file_system_without_modes(self, dest: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
        """Where permissions cannot be set (FAT, SMB), the download goes on."""

        def refuse(*_: object) -> None:
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(os, "fchmod", refuse)
        file = await written(dest)
        await file.publish(1000)

        assert 1000 == dest.stat().st_size

    async def test_disk_that_fails(self, dest: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A failing disk is no file system without modes; nothing of the attempt is left."""

        def refuse(*_: object) -> None:
            raise OSError(errno.EIO, "Input/output error")

        monkeypatch.setattr(os, "fchmod", refuse)
        with pytest.raises(StorageError):
            await PartFile.create(dest, if_exists="skip")

        assert [] == list(dest.parent.iterdir())


@pytest.mark.usefixtures("no_leaks")
class TestPublishing:
    async def test_order(self, dest: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Cut to size, then durable, then renamed, then the name durable too."""
        file = await PartFile.create(dest, if_exists="skip")
        await file.reserve(5000)
        await file.write([piece(0, 1000)])
        events: list[str] = []
        real_fsync, real_replace = os.fsync, os.replace

        def fsync(descriptor: int) -> None:
            status = os.fstat(descriptor)
            kind = "directory" if stat.S_ISDIR(status.st_mode) else f"file of {status.st_size}"
            events.append(f"fsync {kind}")
            real_fsync(descriptor)

        def replace(path: FileName, target: FileName) -> None:
            events.append(f"{Path(path).name} becomes {Path(target).name}")
            real_replace(path, target)

        monkeypatch.setattr(os, "fsync", fsync)
        monkeypatch.setattr(os, "replace", replace)
        await file.publish(1000)

        assert [
            "fsync file of 1000",
            "file.part becomes file.part.done",
            "file.part.done becomes file",
            "fsync directory",
        ] == events
        assert [dest] == list(dest.parent.iterdir())

    @pytest.mark.parametrize("old", [None, b"old"])
    async def test_failed_fsync_is_final(self, dest: Path, monkeypatch: pytest.MonkeyPatch, old: bytes | None) -> None:
        """It is not tried again; the destination is what it was, and the bytes stay in `.part`."""
        if old is not None:
            dest.write_bytes(old)
        file = await written(dest, if_exists="replace")
        calls: list[int] = []

        def refuse(descriptor: int) -> None:
            calls.append(descriptor)
            if len(calls) == 1:
                raise OSError(errno.EIO, "Input/output error")

        monkeypatch.setattr(os, "fsync", refuse)
        with pytest.raises(StorageError) as caught:
            await file.publish(1000)
        await file.abandon()

        assert (errno.EIO, 1) == (caught.value.errno, len(calls))
        assert old == (dest.read_bytes() if dest.exists() else None)
        assert CONTENT.read(0, 1000) == part_of(dest).read_bytes()

    async def test_name_that_is_not_durable(self, dest: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Success is not claimed when the directory could not be made durable."""
        file = await written(dest)
        real = os.fsync

        def refuse(descriptor: int) -> None:
            if stat.S_ISDIR(os.fstat(descriptor).st_mode):
                raise OSError(errno.EIO, "Input/output error")
            real(descriptor)

        monkeypatch.setattr(os, "fsync", refuse)
        with pytest.raises(StorageError) as caught:
            await file.publish(1000)
        await file.abandon()

        assert errno.EIO == caught.value.errno

    @pytest.mark.parametrize("number", [errno.EINVAL, errno.EOPNOTSUPP])
    async def test_directories_that_cannot_be_synced(
        self, dest: Path, monkeypatch: pytest.MonkeyPatch, number: int
    ) -> None:
        """Where a directory knows no fsync (SMB, FUSE), the finished file is no failure."""
        file = await written(dest)
        real = os.fsync

        def refuse(descriptor: int) -> None:
            if stat.S_ISDIR(os.fstat(descriptor).st_mode):
                raise OSError(number, os.strerror(number))
            real(descriptor)

        monkeypatch.setattr(os, "fsync", refuse)
        await file.publish(1000)

        assert 1000 == dest.stat().st_size

    async def test_directory_that_cannot_be_read(self, dest: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A directory one may write into and not read has no descriptor to sync."""
        file = await written(dest)
        real = os.open

        def refuse(path: Any, flags: int, *rest: Any, **named: Any) -> int:
            if flags & os.O_DIRECTORY:
                raise PermissionError(errno.EACCES, "Permission denied")
            return real(path, flags, *rest, **named)

        monkeypatch.setattr(os, "open", refuse)
        await file.publish(1000)

        assert 1000 == dest.stat().st_size

    async def test_no_directory_sync_on_windows(self, dest: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where directories cannot be opened at all, nothing is tried."""
        file = await written(dest)
        monkeypatch.delattr(os, "O_DIRECTORY")
        await file.publish(1000)

        assert 1000 == dest.stat().st_size

    @pytest.mark.parametrize("if_exists", ["skip", "error"])
    async def test_it_appeared(self, dest: Path, if_exists: IfExists) -> None:
        """A file that took the name during the download is kept, and the bytes stay in `.part`."""
        file = await written(dest, if_exists=if_exists)
        dest.write_bytes(b"theirs")
        with pytest.raises(DestinationExistsError):
            await file.publish(1000)
        await file.abandon()

        assert (b"theirs", CONTENT.read(0, 1000)) == (dest.read_bytes(), part_of(dest).read_bytes())

    @pytest.mark.parametrize("if_exists", ["skip", "error", "replace"])
    @pytest.mark.parametrize("kind", ["directory", "link", "fifo"])
    async def test_something_odd_appeared(self, dest: Path, if_exists: IfExists, kind: str) -> None:
        """Nothing but a regular file is ever replaced, and no link is written through."""
        victim = dest.with_name("victim")
        victim.write_bytes(b"precious")
        file = await written(dest, if_exists=if_exists)
        if kind == "directory":
            dest.mkdir()
        elif kind == "link":
            dest.symlink_to(victim)
        else:
            os.mkfifo(dest)
        with pytest.raises(StorageError):
            await file.publish(1000)
        await file.abandon()

        assert b"precious" == victim.read_bytes()
        assert not dest.is_file() or dest.is_symlink()

    async def test_part_taken_away(self, dest: Path) -> None:
        """Somebody who removes or swaps the `.part` file does not get his bytes published."""
        file = await written(dest)
        part_of(dest).unlink()
        part_of(dest).write_bytes(b"not ours")
        with pytest.raises(StorageError):
            await file.publish(1000)
        await file.abandon()

        assert not dest.exists()
        assert b"not ours" == part_of(dest).read_bytes()


@pytest.mark.usefixtures("no_leaks")
class TestBlockedRename:
    @pytest.mark.parametrize("winerror", [5, 32])
    async def test_let_go(self, dest: Path, monkeypatch: pytest.MonkeyPatch, winerror: int) -> None:
        """A program that holds the file for a moment is outwaited."""
        file = await written(dest)
        real, calls = os.replace, []

        def replace(path: FileName, target: FileName) -> None:
            calls.append(path)
            if len(calls) < 3:
                raise blocked(winerror)
            real(path, target)

        monkeypatch.setattr(os, "replace", replace)
        await file.publish(1000)

        # Twice in vain, and then the two steps of a rename.
        assert (4, 1000) == (len(calls), dest.stat().st_size)

    async def test_never_let_go(self, dest: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """One that holds it for longer than our patience is an error; the bytes stay."""
        file = await written(dest)

        def replace(path: FileName, target: FileName) -> None:
            raise blocked(32)

        monkeypatch.setattr(os, "replace", replace)
        monkeypatch.setattr(disk, "RENAME_PATIENCE", 0.15)
        with pytest.raises(StorageError):
            await file.publish(1000)
        await file.abandon()

        assert CONTENT.read(0, 1000) == part_of(dest).read_bytes()

    async def test_plain_refusal(self, dest: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A refusal that will not pass, and a move between file systems, are not tried twice."""
        for number in (errno.EACCES, errno.EXDEV):
            file = await written(dest)
            calls: list[FileName] = []

            def replace(path: FileName, target: FileName, number: int = number, calls: list[FileName] = calls) -> None:
                calls.append(path)
                raise OSError(number, os.strerror(number))

            with monkeypatch.context() as patch:
                patch.setattr(os, "replace", replace)
                with pytest.raises(StorageError) as caught:
                    await file.publish(1000)
            await file.abandon()

            assert (number, 1) == (caught.value.errno, len(calls))
