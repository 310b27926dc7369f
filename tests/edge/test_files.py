"""The `.part` file before its first byte: where it lies, who may open it, and what may be in the way."""

from __future__ import annotations

import errno
import os
import socket
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from asyncdl.edge import files
from asyncdl.edge.destination import look
from asyncdl.edge.disk import OsDisk
from asyncdl.edge.files import PartFile
from asyncdl.errors import DestinationExistsError, StorageError
from asyncdl.model import IfExists
from asyncdl.rules.head import Head
from tests.support.partfiles import part_of, written


async def existing_size(dest: Path, if_exists: IfExists) -> int | None:
    """On the real disk."""
    return (await look(dest, if_exists, OsDisk())).size


@pytest.fixture
def dest(tmp_path: Path) -> Path:
    """A destination in a directory of its own."""
    return tmp_path / "file"


@pytest.mark.usefixtures("no_leaks")
class TestOpening:
    async def test_beside_the_destination(self, dest: Path) -> None:
        """The bytes gather in the same directory, under a name that says so."""
        file = await PartFile.create(dest, if_exists="skip")

        assert [part_of(dest)] == list(dest.parent.iterdir())
        await file.abandon()

    async def test_no_child_inherits_it(self, dest: Path) -> None:
        """A program started meanwhile does not keep the file, and its lock, open."""
        file = await PartFile.create(dest, if_exists="skip")

        assert not os.get_inheritable(file._descriptor)
        await file.abandon()

    async def test_flags(self, dest: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Only a new file will do, never one behind a link."""
        seen: list[int] = []
        real = os.open

        def spy(path: Any, flags: int, *rest: Any, **named: Any) -> int:
            seen.append(flags)
            return real(path, flags, *rest, **named)

        monkeypatch.setattr(os, "open", spy)
        file = await PartFile.create(dest, if_exists="skip")
        await file.abandon()

        links = os.O_NOFOLLOW | os.O_CLOEXEC
        assert {links} == {flags & links for flags in seen}
        assert [os.O_CREAT | os.O_EXCL] == [
            made for flags in seen if (made := flags & (os.O_CREAT | os.O_EXCL | os.O_TRUNC))
        ]

    @pytest.mark.parametrize("target", ["there", "dangling"])
    async def test_link_in_the_way(self, dest: Path, target: str) -> None:
        """A link at `.part` is not followed, not even into a file that is there, and not removed."""
        victim = dest.with_name("victim")
        if target == "there":
            victim.write_bytes(b"precious")
        part_of(dest).symlink_to(victim)

        with pytest.raises(StorageError):
            await PartFile.create(dest, if_exists="skip")
        assert part_of(dest).is_symlink()
        assert (b"precious" if target == "there" else None) == (victim.read_bytes() if victim.exists() else None)

    @pytest.mark.parametrize("kind", ["directory", "fifo", "socket"])
    async def test_something_odd_in_the_way(self, dest: Path, kind: str) -> None:
        """Whatever has the `.part` name is refused without waiting for anybody at its other end."""
        part = part_of(dest)
        if kind == "directory":
            part.mkdir()
        elif kind == "fifo":
            os.mkfifo(part)
        else:
            with socket.socket(socket.AF_UNIX) as listener:
                listener.bind(str(part))

        with pytest.raises(StorageError):
            await PartFile.create(dest, if_exists="skip")
        assert part.exists()

    async def test_device_in_the_way(self, dest: Path) -> None:
        """A device at `.part` is refused."""
        try:
            os.mknod(part_of(dest), 0o600 | stat.S_IFCHR, os.makedev(1, 3))
        except PermissionError:
            pytest.skip("making a device node needs root")

        with pytest.raises(StorageError):
            await PartFile.create(dest, if_exists="skip")

    @pytest.mark.parametrize("size", [230, 238, 239, 250, 251, 254, 255])
    @pytest.mark.parametrize("letter", ["n", "\u00e9", "\U0001f600"], ids=["1 byte", "2 bytes", "4 bytes"])
    async def test_long_names(self, tmp_path: Path, letter: str, size: int) -> None:
        """B32: any name that a file can have is good; those beside it fit in the file system's 255 bytes too."""
        length = len(letter.encode())
        dest = tmp_path / (letter * (size // length) + "x" * (size % length))
        file = await written(dest)
        await file.begin(Head(size=1000))
        await file.publish(1000)

        assert [dest] == list(tmp_path.iterdir())
        assert 1000 == dest.stat().st_size

    async def test_long_names_with_one_beginning(self, tmp_path: Path) -> None:
        """What is cut off tells them apart."""
        first, second = [
            await written(tmp_path / ("n" * 254 + letter), size) for letter, size in (("a", 10), ("b", 20))
        ]
        await first.publish(10)
        await second.publish(20)

        assert {("a", 10), ("b", 20)} == {(path.name[-1], path.stat().st_size) for path in tmp_path.iterdir()}

    async def test_name_that_no_file_can_have(self, tmp_path: Path) -> None:
        """256 bytes are refused by the system, with a hint."""
        with pytest.raises(StorageError) as caught:
            await existing_size(tmp_path / ("n" * 256), "skip")

        assert errno.ENAMETOOLONG == caught.value.errno
        assert caught.value.hint is not None

    @pytest.mark.parametrize("name", ["a\nb", "caf\u00e9", "\udcff\udcfe", " ", "-rf", ".part", "a.part", "*?\"'"])
    async def test_strange_names(self, tmp_path: Path, name: str) -> None:
        """A name is a name."""
        file = await written(tmp_path / name)
        await file.publish(1000)

        assert [name] == os.listdir(tmp_path)


class TestExisting:
    """What is looked at before the first byte goes over the network."""

    async def test_nothing_there(self, dest: Path) -> None:
        """A name that is free has no size."""
        assert await existing_size(dest, "skip") is None

    @pytest.mark.parametrize("if_exists", ["skip", "replace"])
    async def test_a_file(self, dest: Path, if_exists: IfExists) -> None:
        """A file has one."""
        dest.write_bytes(b"12345")

        assert 5 == await existing_size(dest, if_exists)

    async def test_a_file_that_may_not_be_there(self, dest: Path) -> None:
        """With "error" any file is one, an empty one too."""
        dest.write_bytes(b"")

        with pytest.raises(DestinationExistsError):
            await existing_size(dest, "error")

    @pytest.mark.parametrize("if_exists", ["skip", "replace", "error"])
    @pytest.mark.parametrize("kind", ["directory", "fifo", "socket", "link", "dangling link", "link to a directory"])
    async def test_something_odd(self, dest: Path, kind: str, if_exists: IfExists) -> None:
        """Anything but a regular file is refused, whatever is to happen to files, and the words say what it is."""
        other = dest.with_name("other")
        match kind:
            case "directory":
                dest.mkdir()
            case "fifo":
                os.mkfifo(dest)
            case "socket":
                with socket.socket(socket.AF_UNIX) as listener:
                    listener.bind(str(dest))
            case "link":
                other.write_bytes(b"12345")
                dest.symlink_to(other)
            case "dangling link":
                dest.symlink_to(other)
            case _:
                other.mkdir()
                dest.symlink_to(other)

        with pytest.raises(StorageError) as caught:
            await existing_size(dest, if_exists)
        assert ("symbolic link" if "link" in kind else kind.lower()) in str(caught.value).lower()
        assert not isinstance(caught.value, DestinationExistsError)

    @pytest.mark.parametrize("path", ["/dev/null", "/dev/full"])
    async def test_a_device(self, path: str) -> None:
        """A device is no file."""
        with pytest.raises(StorageError, match="device"):
            await existing_size(Path(path), "replace")

    @pytest.mark.parametrize(
        ("below", "number"),
        [("missing/file", errno.ENOENT), ("plain/file", errno.ENOTDIR), ("plain/x/f", errno.ENOTDIR)],
    )
    async def test_no_directory(self, tmp_path: Path, below: str, number: int) -> None:
        """The directory must be there, and be one."""
        (tmp_path / "plain").write_bytes(b"")

        with pytest.raises(StorageError) as caught:
            await existing_size(tmp_path / below, "skip")
        assert number == caught.value.errno

    async def test_a_directory_behind_a_link(self, tmp_path: Path) -> None:
        """A link may stand for the directory: only the last name is ours."""
        (tmp_path / "real").mkdir()
        (tmp_path / "link").symlink_to("real")

        assert await existing_size(tmp_path / "link" / "file", "skip") is None

    @pytest.mark.parametrize("name", ["a\0b", "\ud800", "x\udbff"])
    async def test_no_name(self, tmp_path: Path, name: str) -> None:
        """Text that no file can be named is refused in words that can be printed."""
        with pytest.raises(StorageError) as caught:
            await existing_size(tmp_path / name, "skip")

        assert str(caught.value).isascii()

    async def test_name_that_is_too_long(self, tmp_path: Path) -> None:
        """A name that no file can have for its length is refused as early."""
        with pytest.raises(StorageError) as caught:
            await existing_size(tmp_path / ("n" * 256), "skip")

        assert errno.ENAMETOOLONG == caught.value.errno

    def test_read_only_directory(self, tmp_path: Path) -> None:
        """Without permission to write in the directory nothing starts; root, who may always, becomes somebody else."""
        program = """
import asyncio, os, sys
from pathlib import Path
from asyncdl.edge.files import PartFile
from asyncdl.errors import StorageError
async def main():
    # Once with permission, so that everything is loaded before the rights are gone.
    await (await PartFile.create(Path("open/file"), if_exists="skip")).abandon()
    if os.geteuid() == 0:
        os.setgid(65534)
        os.setuid(65534)
    try:
        await PartFile.create(Path("closed/file"), if_exists="skip")
    except StorageError as error:
        print(error.errno)
sys.path.insert(0, sys.argv[1])
os.chdir(sys.argv[2])
asyncio.run(main())
"""
        (tmp_path / "open").mkdir()
        (tmp_path / "closed").mkdir(mode=0o555)
        run = subprocess.run(
            [sys.executable, "-c", program, str(Path(files.__file__).parents[2]), str(tmp_path)],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

        assert [str(errno.EACCES)] == run.stdout.splitlines(), run.stderr
