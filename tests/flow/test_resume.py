"""Downloads that go on with what an earlier one left, over real sockets: what is kept, when, and what is never kept."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

import asyncdl
from asyncdl.edge.files import PartFile
from asyncdl.model import Part
from asyncdl.testing import Content, Fault, Origin
from tests.support.flow import KIB, PART, absent, fetch, holds, small

SIZE = 12 * PART + 999
#: The first run ends where somebody asks for this byte.
BROKEN = 8 * PART
GONE = Fault(start=BROKEN, status=451, times=1)


async def begun(origin: Origin, dest: Path, *, source: Any = None, **changes: Any) -> None:
    """Let a download fail after eight parts of twelve."""
    origin.script(GONE)
    with pytest.raises(asyncdl.HttpStatusError):
        await fetch(source or origin.url("/object"), dest, **({"options": small(1)} | changes))
    assert absent(dest)
    assert dest.with_name(dest.name + ".part").exists()


def beside(dest: Path) -> list[str]:
    """Names in the directory."""
    return sorted(path.name for path in dest.parent.iterdir())


def sha256(content: Content) -> str:
    return "sha256:" + hashlib.sha256(content.read(0, content.size)).hexdigest()


class TestKept:
    @pytest.mark.parametrize("connections", [1, 4, 16])
    @pytest.mark.parametrize("part_size", [24 * KIB, PART, 5 * PART])
    async def test_rest_only(
        self, origin: Origin, tmp_path: Path, no_leaks: object, connections: int, part_size: int
    ) -> None:
        """D2: with another number of connections and another part size, nothing that was durable comes again."""
        content = origin.add("/object", SIZE)
        await begun(origin, tmp_path / "file")
        before = origin.ledger.bytes_sent()

        result = await fetch(origin.url("/object"), tmp_path / "file", options=small(connections, part_size=part_size))
        again = origin.ledger.bytes_sent() - before
        await origin.aclose()

        assert holds(tmp_path / "file", content)
        assert ["file"] == beside(tmp_path / "file")
        # The one byte that proves which object it is comes again.
        assert SIZE - BROKEN == result.fetched == again - 1
        assert BROKEN == result.resumed
        assert SIZE == result.resumed + result.fetched

    async def test_declared_size(self, origin: Origin, tmp_path: Path) -> None:
        """One request proves the identity first, also where the size is known."""
        content = origin.add("/object", SIZE)
        await begun(origin, tmp_path / "file", size=SIZE)

        result = await fetch(origin.url("/object"), tmp_path / "file", size=SIZE)

        assert holds(tmp_path / "file", content)
        assert BROKEN == result.resumed

    async def test_another_url_and_host(self, origin: Origin, tmp_path: Path) -> None:
        """D2: a presigned URL of today, of another origin, for the object begun yesterday."""
        origin.add("/object", SIZE)
        await begun(origin, tmp_path / "file", source=origin.provider("/object", ttl=60))

        async with Origin(host="127.0.0.2") as other:
            content = other.add("/moved", SIZE)
            result = await fetch(other.provider("/moved", ttl=60, skin="gcs"), tmp_path / "file")

        assert holds(tmp_path / "file", content)
        assert BROKEN == result.resumed

    async def test_of_a_resumed_one(self, origin: Origin, tmp_path: Path) -> None:
        """What was resumed once is as durable as what was fetched."""
        content = origin.add("/object", SIZE)
        await begun(origin, tmp_path / "file")
        origin.script(Fault(start=10 * PART, status=451, times=1))
        with pytest.raises(asyncdl.HttpStatusError):
            await fetch(origin.url("/object"), tmp_path / "file", options=small(1))

        result = await fetch(origin.url("/object"), tmp_path / "file")

        assert holds(tmp_path / "file", content)
        assert 10 * PART == result.resumed

    async def test_everything_was_there(self, origin: Origin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A crash between the last claim and the rename costs one byte."""
        content = origin.add("/object", SIZE)

        async def crash(*_: object) -> None:
            raise asyncdl.StorageError("power is gone")

        with monkeypatch.context() as patch:
            patch.setattr("asyncdl.edge.files.PartFile.publish", crash)
            with pytest.raises(asyncdl.StorageError):
                await fetch(origin.url("/object"), tmp_path / "file")

        result = await fetch(origin.url("/object"), tmp_path / "file")

        assert holds(tmp_path / "file", content)
        assert (0, SIZE) == (result.fetched, result.resumed)

    async def test_progress_counts_it_once(self, origin: Origin, tmp_path: Path) -> None:
        """B7: the bytes that were there are done at the first look, and the end is the size."""
        origin.add("/object", SIZE)
        await begun(origin, tmp_path / "file")
        seen: list[asyncdl.Progress] = []

        await fetch(origin.url("/object"), tmp_path / "file", on_progress=seen.append)

        assert SIZE == seen[-1].done == seen[-1].total
        assert all(progress.done <= SIZE for progress in seen)


class TestNotKept:
    async def check_begins_anew(self, origin: Origin, dest: Path, content: Content, **changes: Any) -> None:
        """The next download fetches everything, and brings `content`."""
        result = await fetch(origin.url("/object"), dest, **changes)

        assert holds(dest, content)
        assert ["file"] == beside(dest)
        assert (SIZE, 0) == (result.fetched, result.resumed)

    async def test_unless_wished(self, origin: Origin, tmp_path: Path) -> None:
        """`resume=False` takes nothing from before."""
        content = origin.add("/object", SIZE)
        await begun(origin, tmp_path / "file")

        await self.check_begins_anew(origin, tmp_path / "file", content, options=small(resume=False))

    async def test_another_version(self, origin: Origin, tmp_path: Path) -> None:
        """B19: the same name and size, another entity tag: the new object, and no byte of the old one."""
        origin.add("/object", SIZE)
        await begun(origin, tmp_path / "file")

        async with Origin(seed=2) as later:
            content = later.add("/object", SIZE)
            await self.check_begins_anew(later, tmp_path / "file", content)

    @pytest.mark.parametrize("size", [0, 1, 5 * PART, 20 * PART])
    async def test_another_size(self, origin: Origin, tmp_path: Path, size: int) -> None:
        """B19: shorter than what was there, longer, or empty."""
        origin.add("/object", SIZE)
        await begun(origin, tmp_path / "file")

        async with Origin(seed=2) as later:
            content = later.add("/object", size)
            result = await fetch(later.url("/object"), tmp_path / "file")

        assert holds(tmp_path / "file", content)
        assert (size, 0) == (result.size, result.resumed)

    async def test_without_a_validator(self, origin: Origin, tmp_path: Path) -> None:
        """Nothing says that the object is the same: it is not taken for it."""
        content = origin.add("/object", SIZE, etag=None, last_modified=None)
        await begun(origin, tmp_path / "file")

        await self.check_begins_anew(origin, tmp_path / "file", content)

    async def test_by_a_server_without_ranges(self, tmp_path: Path) -> None:
        """It sends everything, and everything is taken anew."""
        async with Origin() as origin:
            content = origin.add("/object", SIZE)
            await begun(origin, tmp_path / "file")
            origin.ranges = False

            await self.check_begins_anew(origin, tmp_path / "file", content)


class TestUnproven:
    async def test_on_request(self, origin: Origin, tmp_path: Path) -> None:
        """The caller takes the risk."""
        content = origin.add("/object", SIZE, etag=None, last_modified=None)
        await begun(origin, tmp_path / "file")

        result = await fetch(origin.url("/object"), tmp_path / "file", options=small(resume_unproven=True))

        assert holds(tmp_path / "file", content)
        assert BROKEN == result.resumed

    @pytest.mark.parametrize("begun_with", [True, False])
    async def test_with_a_checksum(self, origin: Origin, tmp_path: Path, begun_with: bool) -> None:
        """It will show whether the bytes were right, whether or not it was known when they came."""
        content = origin.add("/object", SIZE, etag=None, last_modified=None)
        checksum = sha256(content)
        await begun(origin, tmp_path / "file", checksum=checksum if begun_with else None)

        result = await fetch(origin.url("/object"), tmp_path / "file", checksum=checksum)

        assert holds(tmp_path / "file", content)
        assert BROKEN == result.resumed
        assert checksum == str(result.checksum)

    async def test_with_a_checksum_of_another_object(self, origin: Origin, tmp_path: Path) -> None:
        """The bytes that were there are of another version: when the checksum says so, all is fetched anew, at once."""
        origin.add("/object", SIZE, etag=None, last_modified=None)
        await begun(origin, tmp_path / "file")

        async with Origin(seed=2) as later:
            content = later.add("/object", SIZE, etag=None, last_modified=None)
            result = await fetch(later.url("/object"), tmp_path / "file", checksum=sha256(content))

        assert holds(tmp_path / "file", content)
        assert ["file"] == beside(tmp_path / "file")
        assert (2 * SIZE - BROKEN, 0) == (result.fetched, result.resumed)


class TestStreamThatBeginsAgain:
    @pytest.mark.parametrize("checksum", [True, False])
    async def test_comes_whole(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, checksum: bool) -> None:
        """A server without ranges breaks in mid-stream: what was claimed of the first stream is given up."""
        given_up: list[Part] = []
        forget = PartFile.forget

        async def noted(file: PartFile, spans: Sequence[Part]) -> None:
            given_up.extend(spans)
            await forget(file, spans)

        monkeypatch.setattr(PartFile, "forget", noted)
        monkeypatch.setattr("asyncdl.writer.FLUSH_MOST", PART)
        async with Origin(ranges=False) as origin:
            content = origin.add("/object", SIZE)
            origin.script(Fault(request=0, drop_after=7 * PART + 5), Fault(request=1, reset_after=3 * PART + 1))

            result = await fetch(
                origin.url("/object"), tmp_path / "file", checksum=sha256(content) if checksum else None
            )

        assert holds(tmp_path / "file", content)
        assert SIZE == result.size
        assert [0, 0] == [span.start for span in given_up]
        assert 6 * PART <= given_up[0].stop


class TestWrongInTheEnd:
    async def test_only_the_bad_part_again(self, origin: Origin, tmp_path: Path) -> None:
        """D5: a byte that turned on the disk is found by the hash, and its neighbourhood alone comes again."""
        pytest.importorskip("awscrt")
        content = origin.add("/object", SIZE)
        checksum = sha256(content)
        await begun(origin, tmp_path / "file", checksum=checksum)
        origin.script(Fault(start=10 * PART, status=451, times=1))
        with pytest.raises(asyncdl.HttpStatusError):
            await fetch(origin.url("/object"), tmp_path / "file", options=small(1), checksum=checksum)
        with (tmp_path / "file.part").open("r+b") as part:
            part.seek(9 * PART)
            part.write(bytes([content.read(9 * PART, 9 * PART + 1)[0] ^ 1]))

        result = await fetch(origin.url("/object"), tmp_path / "file", checksum=checksum)

        assert holds(tmp_path / "file", content)
        # What the second run brought, at most, and what neither had brought.
        assert SIZE - 10 * PART < result.fetched <= SIZE - BROKEN + 2 * PART + 2

    async def test_disk_that_never_gives_it_back(
        self, origin: Origin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Fetched twice and still wrong, it is an error, and nothing is believed later."""
        pytest.importorskip("awscrt")
        content = origin.add("/object", SIZE)
        await begun(origin, tmp_path / "file", checksum=sha256(content))
        real = os.pread

        def pread(descriptor: int, length: int, offset: int) -> bytes:
            data = real(descriptor, length, offset)
            return data.replace(content.read(PART, PART + 16), bytes(16))

        with monkeypatch.context() as patch:
            patch.setattr(os, "pread", pread)
            # A hash takes from memory what comes in order; here all is to be read.
            patch.setattr("asyncdl.edge.sums.RunningHash.in_hand", lambda *_: None)
            with pytest.raises(asyncdl.IntegrityError):
                await fetch(origin.url("/object"), tmp_path / "file", checksum=sha256(content))

        assert absent(tmp_path / "file")
        result = await fetch(origin.url("/object"), tmp_path / "file", checksum=sha256(content))
        assert holds(tmp_path / "file", content)
        assert 0 == result.resumed

    async def test_wrong_object(self, origin: Origin, tmp_path: Path) -> None:
        """D5: a wrong checksum renames nothing, names both values, and the next download begins anew."""
        content = origin.add("/object", SIZE)
        wrong = "sha256:" + "ab" * 32

        with pytest.raises(asyncdl.IntegrityError) as caught:
            await fetch(origin.url("/object"), tmp_path / "file", checksum=wrong)

        assert absent(tmp_path / "file")
        assert wrong in str(caught.value)
        assert sha256(content) in str(caught.value)
        result = await fetch(origin.url("/object"), tmp_path / "file", checksum=sha256(content))
        assert holds(tmp_path / "file", content)
        assert 0 == result.resumed
