"""Bytes on the disk: short writes, full disks, space taken ahead, and what is left when it is given up."""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

import pytest

from asyncdl.edge import disk, space
from asyncdl.edge.disk import OsDisk, write_all
from asyncdl.edge.files import PartFile
from asyncdl.errors import DiskFullError, StorageError
from asyncdl.model import Chunk
from tests.support.partfiles import CONTENT, part_of, piece, written


@pytest.fixture
def dest(tmp_path: Path) -> Path:
    """A destination in a directory of its own."""
    return tmp_path / "file"


@pytest.mark.usefixtures("no_leaks")
class TestWriting:
    async def test_far_apart(self, dest: Path) -> None:
        """A byte beyond 4 GiB lands there, and the hole before it takes no space."""
        file = await PartFile.create(dest, if_exists="skip")
        far = 5 << 30
        await file.write([Chunk(far, b"end"), piece(0, 10)])
        await file.publish(far + 3)

        with dest.open("rb") as handle:
            head = handle.read(10)
            handle.seek(far)
            assert (CONTENT.read(0, 10), b"end") == (head, handle.read())
        assert dest.stat().st_blocks * 512 < 1 << 20

    async def test_more_pieces_than_one_call_takes(self, dest: Path) -> None:
        """Three thousand neighbours need several calls (IOV_MAX is 1024)."""
        file = await PartFile.create(dest, if_exists="skip")
        await file.write([piece(at, at + 7) for at in range(0, 21_000, 7)])
        await file.publish(21_000)

        assert CONTENT.read(0, 21_000) == dest.read_bytes()

    @pytest.mark.parametrize("most", [1, 3, 1000, 1001])
    async def test_short_writes(self, dest: Path, monkeypatch: pytest.MonkeyPatch, most: int) -> None:
        """However little the system takes at a time, everything is written once and in its place."""

        def little(descriptor: int, buffers: list[Any], offset: int) -> int:
            taken = b"".join(bytes(buffer) for buffer in buffers)[:most]
            return os.pwrite(descriptor, taken, offset)

        monkeypatch.setattr(os, "pwritev", little)
        file = await PartFile.create(dest, if_exists="skip")
        await file.write([piece(5000, 5500), piece(0, 1000), piece(1000, 2000), piece(2000, 2000), piece(2000, 2001)])
        await file.publish(5500)

        assert CONTENT.read(0, 2001) + bytes(2999) + CONTENT.read(5000, 5500) == dest.read_bytes()

    async def test_system_that_takes_nothing(self, dest: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A system that says "0 bytes" for ever ends in an error, not in a loop."""
        monkeypatch.setattr(os, "pwritev", lambda *_: 0)
        file = await PartFile.create(dest, if_exists="skip")

        with pytest.raises(StorageError):
            await file.write([piece(0, 10), piece(10, 10), piece(10, 20)])
        await file.abandon()

    async def test_without_positional_writes(self, dest: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where there is no pwritev, seek and write do the same."""
        monkeypatch.delattr(os, "pwritev")
        file = await PartFile.create(dest, if_exists="skip")
        await file.write([piece(5000, 6000), piece(0, 1000), piece(1000, 1500)])
        await file.publish(6000)

        assert CONTENT.read(0, 1500) + bytes(3500) + CONTENT.read(5000, 6000) == dest.read_bytes()

    def test_file_size_limit(self, dest: Path) -> None:
        """A limit on the file's size gives a short write and then an error, which says so (RLIMIT_FSIZE)."""
        program = f"""
import asyncio, resource
from pathlib import Path
from asyncdl.edge.files import PartFile
from asyncdl.errors import DiskFullError
from asyncdl.model import Chunk
async def main():
    file = await PartFile.create(Path({str(dest)!r}), if_exists="skip")
    resource.setrlimit(resource.RLIMIT_FSIZE, (4000, resource.RLIM_INFINITY))
    for attempt in (lambda: file.write([Chunk(0, b"x" * 3000), Chunk(3000, b"y" * 3000)]), lambda: file.reserve(9000)):
        try:
            await attempt()
        except DiskFullError as error:
            print(error.errno, error.hint)
            print(Path({str(part_of(dest))!r}).stat().st_size)
    await file.abandon()
asyncio.run(main())
"""
        run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=True)

        refused = f"{errno.EFBIG} None"
        assert [refused, "4000", refused, "4000"] == run.stdout.splitlines()

    @pytest.mark.parametrize(
        ("number", "kind", "hint"),
        [
            (errno.ENOSPC, DiskFullError, True),
            (errno.EDQUOT, DiskFullError, True),
            (errno.EFBIG, DiskFullError, False),
            (errno.EROFS, StorageError, False),
            (errno.EIO, StorageError, False),
        ],
    )
    async def test_refused(
        self, dest: Path, monkeypatch: pytest.MonkeyPatch, number: int, kind: type[StorageError], hint: bool
    ) -> None:
        """Each refusal keeps its number and its words; the bytes before it stay in `.part`."""
        file = await written(dest)

        def refuse(*_: object) -> int:
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(os, "pwritev", refuse)
        with pytest.raises(StorageError) as caught:
            await file.write([piece(1000, 2000)])
        await file.abandon()

        assert (kind, number) == (type(caught.value), caught.value.errno)
        assert os.strerror(number) in str(caught.value)
        assert hint == (caught.value.hint is not None)
        assert CONTENT.read(0, 1000) == part_of(dest).read_bytes()

    def test_full_device(self) -> None:
        """The real thing, from a device that is always full."""
        with Path("/dev/full").open("wb", buffering=0) as full, pytest.raises(OSError, match="No space") as caught:
            write_all(OsDisk(), full.fileno(), [piece(0, 10)])

        assert errno.ENOSPC == caught.value.errno


@pytest.mark.usefixtures("no_leaks")
class TestReserving:
    async def test_takes_the_space(self, dest: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """The blocks are the file's before a byte is written."""
        monkeypatch.setattr(space, "_TMPFS_MAGIC", 0)  # that of the test may be one
        file = await PartFile.create(dest, if_exists="skip")
        await file.reserve(1 << 20)
        status = part_of(dest).stat()
        await file.abandon()

        assert 1 << 20 == status.st_size
        assert status.st_blocks * 512 >= 1 << 20

    @pytest.mark.parametrize("number", [errno.EOPNOTSUPP, errno.EINVAL, errno.ENODEV, errno.ENOSYS])
    async def test_cannot_be_done_here(self, dest: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
        """Where space cannot be reserved, the size is set and no block is written."""
        monkeypatch.setattr(disk, "fallocate", lambda *_: number)
        file = await PartFile.create(dest, if_exists="skip")
        await file.reserve(1 << 30)
        status = part_of(dest).stat()
        await file.abandon()

        assert 1 << 30 == status.st_size
        assert status.st_blocks * 512 < 1 << 20

    @pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace to take a system call away")
    def test_nothing_is_written_instead(self, dest: Path) -> None:
        """A file system without fallocate is not written full of zeros, as glibc's posix_fallocate would do."""
        trace = dest.with_name("trace")
        program = f"""
import asyncio
from pathlib import Path
from asyncdl.edge import space
from asyncdl.edge.files import PartFile
space._TMPFS_MAGIC = 0
async def main():
    file = await PartFile.create(Path({str(dest)!r}), if_exists="skip")
    await file.reserve(1 << 20)
    await file.abandon()
asyncio.run(main())
"""
        command = ["strace", "-f", "-o", str(trace), "-e", "trace=fallocate,pwrite64", "-e"]
        run = subprocess.run(
            [*command, "inject=fallocate:error=EOPNOTSUPP", sys.executable, "-c", program],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        if "ptrace" in run.stderr:
            pytest.skip("tracing is not permitted here")

        assert 0 == run.returncode, run.stderr
        calls = trace.read_text()
        assert (1, 0) == (calls.count("fallocate("), calls.count("pwrite64("))

    @pytest.mark.skipif(not Path("/dev/shm").is_mount(), reason="needs a tmpfs")
    async def test_memory_is_not_reserved(self) -> None:
        """A tmpfs would take its pages one by one, and writes would wait for it."""
        with tempfile.TemporaryDirectory(dir="/dev/shm") as place:
            file = await PartFile.create(Path(place) / "file", if_exists="skip")
            await file.reserve(1 << 20)
            status = part_of(Path(place) / "file").stat()
            await file.abandon()

        assert (1 << 20, 0) == (status.st_size, status.st_blocks)

    async def test_no_such_call(self, dest: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """The same where the system has no such call at all."""
        monkeypatch.setattr("asyncdl.edge.space._fallocate", lambda: None)
        file = await PartFile.create(dest, if_exists="skip")
        await file.reserve(1 << 30)
        size = part_of(dest).stat().st_size
        await file.abandon()

        assert 1 << 30 == size

    def test_other_systems(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Elsewhere than on Linux, and in a C library without it, there is no such call."""
        find = space._fallocate.__wrapped__
        monkeypatch.setattr(ctypes, "CDLL", lambda *_, **__: object())

        assert find() is None
        monkeypatch.setattr(sys, "platform", "darwin")
        monkeypatch.setattr(ctypes, "CDLL", None)
        assert find() is None

    def test_interrupted(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A signal in the middle is no refusal."""
        calls: list[tuple[int, ...]] = []

        class Library:
            @staticmethod
            def fallocate(*arguments: int) -> int:
                calls.append(arguments)
                ctypes.set_errno(errno.EINTR)
                return -1 if len(calls) < 3 else 0

        monkeypatch.setattr(ctypes, "CDLL", lambda *_, **__: Library)
        reserve = space._fallocate.__wrapped__()

        assert reserve is not None
        assert (0, [(7, 0, 0, 1 << 40)] * 3) == (reserve(7, 1 << 40), calls)

    @pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
    async def test_no_room(self, dest: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
        """A disk that is too small says so before the first byte, and keeps nothing of the attempt."""
        file = await PartFile.create(dest, if_exists="skip")
        monkeypatch.setattr(disk, "fallocate", lambda *_: number)
        with pytest.raises(DiskFullError) as caught:
            await file.reserve(1 << 20)
        size = part_of(dest).stat().st_size
        await file.abandon()

        assert (number, 0) == (caught.value.errno, size)
        assert [] == list(dest.parent.iterdir())

    @pytest.mark.skipif(sys.platform != "linux", reason="tmpfs is Linux's")
    async def test_small_disk(self, tmp_path: Path) -> None:
        """The real thing: a file system of 1 MiB, full at the reservation, and full in the middle of a write."""
        mount = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=1m", "asyncdl", str(tmp_path)], capture_output=True, check=False
        )
        if mount.returncode:
            if os.environ.get("CI") and os.geteuid() == 0:
                pytest.fail("root under CI must be able to mount a tmpfs")
            pytest.skip(f"cannot mount a tmpfs here: {mount.stderr.decode().strip()}")
        try:
            file = await PartFile.create(tmp_path / "file", if_exists="skip")
            with pytest.raises(DiskFullError):
                await file.reserve(2 << 20)
            kept = part_of(tmp_path / "file").stat().st_blocks
            with pytest.raises(DiskFullError) as caught:
                await file.write([Chunk(0, bytes(1 << 20)), Chunk(1 << 20, bytes(1 << 20))])
            await file.abandon()

            assert (0, errno.ENOSPC) == (kept, caught.value.errno)
        finally:
            subprocess.run(["umount", str(tmp_path)], check=True)


@pytest.mark.usefixtures("no_leaks")
class TestAbandoning:
    async def test_unwritten(self, dest: Path) -> None:
        """Where nothing was written, nothing is left, though space was reserved."""
        file = await PartFile.create(dest, if_exists="skip")
        await file.reserve(5000)
        await file.abandon()

        assert [] == list(dest.parent.iterdir())

    async def test_written(self, dest: Path) -> None:
        """What was written stays."""
        file = await written(dest)
        await file.abandon()

        assert [part_of(dest)] == list(dest.parent.iterdir())
        assert CONTENT.read(0, 1000) == part_of(dest).read_bytes()

    async def test_number_of_a_closed_descriptor(self, dest: Path) -> None:
        """Whichever file gets the number that was given back gets none of our bytes."""
        file = await written(dest)
        descriptor = file._descriptor
        await file.abandon()
        other = os.open(dest.with_name("other"), os.O_CREAT | os.O_RDWR)
        if other != descriptor:
            os.dup2(other, descriptor)
            os.close(other)
        with pytest.raises(StorageError):
            await file.write([piece(0, 10)])
        with pytest.raises(StorageError):
            await file.publish(10)
        os.close(descriptor)

        assert b"" == dest.with_name("other").read_bytes()

    async def test_closes_off_the_loop(self, dest: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Closing may write (NFS): it is done in a thread, as everything else."""
        file = await written(dest)
        descriptor, real, seen = file._descriptor, os.close, set[bool]()

        def close(number: int) -> None:
            if number == descriptor:
                seen.add(threading.current_thread() is threading.main_thread())
            real(number)

        monkeypatch.setattr(os, "close", close)
        await file.abandon()

        assert {False} == seen
