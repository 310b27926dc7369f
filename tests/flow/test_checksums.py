"""Checksums of whole downloads over real sockets: given by the caller, promised by the server, and of what is there."""

from __future__ import annotations

import base64
import hashlib
import zlib
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import asyncdl
from asyncdl.edge import disk, files, hashing
from asyncdl.model import DIGEST_SIZES
from asyncdl.rules.checksums import COMBINABLE
from asyncdl.testing import Content, Fault, Origin
from tests.support.flow import PART, absent, fetch, holds, small

SIZE = 9 * PART + 321


def digest(algorithm: str, data: bytes) -> bytes:
    """By the libraries themselves."""
    if algorithm == "crc32":
        return zlib.crc32(data).to_bytes(4, "big")
    if algorithm in COMBINABLE:
        value: int = getattr(pytest.importorskip("awscrt.checksums"), algorithm)(data)
        return value.to_bytes(DIGEST_SIZES[algorithm], "big")
    return hashlib.new(algorithm, data).digest()


def of(content: Content, algorithm: str = "sha256") -> str:
    return f"{algorithm}:{digest(algorithm, content.read(0, content.size)).hex()}"


@pytest.mark.parametrize("ranges", [True, False], ids=["ranges", "one stream"])
@pytest.mark.parametrize("connections", [1, 4])
@pytest.mark.parametrize("algorithm", list(DIGEST_SIZES))
async def test_right(tmp_path: Path, no_leaks: object, algorithm: str, connections: int, ranges: bool) -> None:
    """D5: every algorithm, in parts and in one stream."""
    async with Origin(ranges=ranges) as origin:
        content = origin.add("/object", SIZE)
        checksum = of(content, algorithm)

        result = await fetch(origin.url("/object"), tmp_path / "file", checksum=checksum, options=small(connections))

    assert holds(tmp_path / "file", content)
    assert checksum == str(result.checksum)


@pytest.mark.parametrize("algorithm", ["sha256", "crc64nvme"])
async def test_loaded_before_bytes_come(
    origin: Origin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, algorithm: str
) -> None:
    """Nobody takes a connection for slow because the interpreter is loading a library."""
    pytest.importorskip("awscrt.checksums")
    content = origin.add("/object", SIZE)
    checksum = of(content, algorithm)
    order: list[str] = []
    load, write = hashing._awscrt.__wrapped__, disk.write_all

    def loads(name: str) -> Any:
        order.append(name)
        return load(name)

    def writes(*arguments: Any) -> None:
        order.append("write")
        write(*arguments)

    monkeypatch.setattr(hashing, "_awscrt", cache(loads))
    monkeypatch.setattr(files, "write_all", writes)
    await fetch(origin.url("/object"), tmp_path / "file", checksum=checksum, options=small(4))

    sums = [step for step in order if not step.startswith("combine_")]
    assert ["crc32c" if algorithm == "sha256" else algorithm, "write"] == sums[:2]
    assert {"write"} == set(sums[1:])


@pytest.mark.parametrize("size", [0, 1, PART])
@pytest.mark.parametrize("algorithm", list(DIGEST_SIZES))
async def test_small(origin: Origin, tmp_path: Path, algorithm: str, size: int) -> None:
    """An empty object has a checksum too, and may have a wrong one."""
    content = origin.add("/object", size)
    other = Content(2, size + 1)

    with pytest.raises(asyncdl.IntegrityError):
        await fetch(origin.url("/object"), tmp_path / "file", checksum=of(other, algorithm))
    assert absent(tmp_path / "file")
    await fetch(origin.url("/object"), tmp_path / "file", checksum=of(content, algorithm))

    assert holds(tmp_path / "file", content)


@pytest.mark.parametrize("algorithm", list(DIGEST_SIZES))
async def test_wrong(origin: Origin, tmp_path: Path, no_leaks: object, algorithm: str) -> None:
    """D5: one bit less, and there is no file; nothing of it is believed by the next download."""
    content = origin.add("/object", SIZE)
    value = bytearray(digest(algorithm, content.read(0, SIZE)))
    value[-1] ^= 1
    wrong = f"{algorithm}:{value.hex()}"

    with pytest.raises(asyncdl.IntegrityError) as caught:
        await fetch(origin.url("/object"), tmp_path / "file", checksum=wrong)
    result = await fetch(origin.url("/object"), tmp_path / "file")
    await origin.aclose()

    assert wrong in str(caught.value)
    assert of(content, algorithm) in str(caught.value)
    assert holds(tmp_path / "file", content)
    assert 0 == result.resumed


def promise(content: Content, data: bytes | None = None) -> dict[str, str]:
    """Repr-Digest of the object, or of `data`."""
    value = digest("sha256", content.read(0, content.size) if data is None else data)
    return {"Repr-Digest": f"sha-256=:{base64.b64encode(value).decode()}:"}


class TestPromised:
    async def test_kept(self, origin: Origin, tmp_path: Path) -> None:
        """A74: what the server says of the whole object is verified without being asked for."""
        content = origin.add("/object", SIZE)
        origin.script(Fault(headers=promise(content)))

        result = await fetch(origin.url("/object"), tmp_path / "file")

        assert holds(tmp_path / "file", content)
        assert of(content) == str(result.checksum)

    async def test_broken(self, origin: Origin, tmp_path: Path) -> None:
        """A74: bytes that are not what was promised never get the destination's name."""
        content = origin.add("/object", SIZE)
        origin.script(Fault(headers=promise(content, b"another object")))

        with pytest.raises(asyncdl.IntegrityError):
            await fetch(origin.url("/object"), tmp_path / "file")

        assert absent(tmp_path / "file")

    async def test_against_the_callers(self, origin: Origin, tmp_path: Path) -> None:
        """Two that contradict each other end it before a byte is written."""
        content = origin.add("/object", SIZE)
        origin.script(Fault(headers=promise(content, b"another object")))

        with pytest.raises(asyncdl.IntegrityError):
            await fetch(origin.url("/object"), tmp_path / "file", checksum=of(content))

        assert [] == list(tmp_path.iterdir())

    @pytest.mark.parametrize(
        "headers",
        [
            {"x-amz-checksum-crc32": "AAAAAA==-3"},
            {"x-amz-checksum-crc32": "AAAAAA==", "x-amz-checksum-type": "COMPOSITE"},
            {"Content-MD5": base64.b64encode(bytes(16)).decode()},
            {"x-amz-checksum-sha256": base64.b64encode(bytes(32)).decode(), "x-amz-checksum-type": "FULL_OBJECT"},
        ],
        ids=["composite by its hyphen", "composite by its type", "of a range", "of a part"],
    )
    async def test_not_of_the_whole(self, origin: Origin, tmp_path: Path, headers: dict[str, str]) -> None:
        """What may be of the parts of an upload, or of the range that was asked for, is not taken for the object's."""
        content = origin.add("/object", SIZE)
        origin.script(Fault(headers=headers))

        result = await fetch(origin.url("/object"), tmp_path / "file")

        assert holds(tmp_path / "file", content)
        assert result.checksum is None


class TestAlreadyThere:
    @pytest.mark.parametrize("size_known", [True, False])
    @pytest.mark.parametrize("algorithm", ["sha256", "crc32"])
    async def test_same(self, origin: Origin, tmp_path: Path, algorithm: str, size_known: bool) -> None:
        """D3: size and checksum agree: nothing is fetched."""
        content = origin.add("/object", SIZE)
        (tmp_path / "file").write_bytes(content.read(0, SIZE))

        result = await fetch(
            origin.url("/object"),
            tmp_path / "file",
            checksum=of(content, algorithm),
            size=SIZE if size_known else None,
        )

        assert asyncdl.Outcome.SKIPPED is result.outcome
        assert of(content, algorithm) == str(result.checksum)
        assert (0 if size_known else 1) == len(origin.ledger.requests)

    @pytest.mark.parametrize("size_known", [True, False])
    async def test_same_size_only(self, origin: Origin, tmp_path: Path, size_known: bool) -> None:
        """D3: one bit differs: it is another file, and is left alone."""
        content = origin.add("/object", SIZE)
        there = bytearray(content.read(0, SIZE))
        there[-1] ^= 1
        (tmp_path / "file").write_bytes(there)

        with pytest.raises(asyncdl.DestinationExistsError):
            await fetch(
                origin.url("/object"), tmp_path / "file", checksum=of(content), size=SIZE if size_known else None
            )

        assert there == (tmp_path / "file").read_bytes()
        assert ["file"] == [path.name for path in tmp_path.iterdir()]

    async def test_as_the_server_promises(self, origin: Origin, tmp_path: Path) -> None:
        """D3: a checksum is known as well if the server says it."""
        content = origin.add("/object", SIZE)
        origin.script(Fault(headers=promise(content)))
        (tmp_path / "file").write_bytes(bytes(SIZE))

        with pytest.raises(asyncdl.DestinationExistsError):
            await fetch(origin.url("/object"), tmp_path / "file")

    async def test_read_only(self, origin: Origin, tmp_path: Path) -> None:
        """A file that nobody may write can be looked at."""
        content = origin.add("/object", SIZE)
        (tmp_path / "file").write_bytes(content.read(0, SIZE))
        (tmp_path / "file").chmod(0o444)

        result = await fetch(origin.url("/object"), tmp_path / "file", checksum=of(content))

        assert asyncdl.Outcome.SKIPPED is result.outcome

    async def test_journal_that_power_failure_brought_back(self, origin: Origin, tmp_path: Path) -> None:
        """C12: the file is complete, and what speaks of its making goes."""
        content = origin.add("/object", SIZE)
        origin.script(Fault(start=7 * PART, status=451, times=1))
        with pytest.raises(asyncdl.HttpStatusError):
            await fetch(origin.url("/object"), tmp_path / "file")
        (tmp_path / "file.part").rename(tmp_path / "file")
        (tmp_path / "file").write_bytes(content.read(0, SIZE))

        result = await fetch(origin.url("/object"), tmp_path / "file")

        assert asyncdl.Outcome.SKIPPED is result.outcome
        assert ["file"] == [path.name for path in tmp_path.iterdir()]


class TestArguments:
    @pytest.mark.parametrize("checksum", ["sha256", "sha256:12", "sha3:00", "00" * 32, 5, b"sha256:"])
    async def test_refused(self, origin: Origin, tmp_path: Path, checksum: object) -> None:
        """What is no checksum is an error of the caller's, before anything is asked for."""
        with pytest.raises(asyncdl.OptionsError):
            await fetch(origin.url("/object"), tmp_path / "file", checksum=checksum)

        assert [] == origin.ledger.requests

    async def test_without_the_library(self, origin: Origin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """The error says what to install."""
        monkeypatch.setattr(hashing, "available", lambda algorithm: algorithm != "crc32c")

        with pytest.raises(asyncdl.OptionsError) as caught:
            await fetch(origin.url("/object"), tmp_path / "file", checksum="crc32c:00000000")

        assert "asyncdl[checksums]" in (caught.value.hint or "")


@pytest.mark.parametrize("size", [PART // 8, SIZE], ids=["small", "large"])
@pytest.mark.parametrize("right", [True, False])
async def test_known_to_whoever_makes_the_url(origin: Origin, tmp_path: Path, right: bool, size: int) -> None:
    """What comes with a URL is verified as if the server had said it."""
    content = origin.add("/object", size)
    checksum = asyncdl.Checksum.parse(of(content if right else Content(2, size)))

    async def provider(_: asyncdl.SignedUrl | None) -> asyncdl.SignedUrl:
        return asyncdl.SignedUrl(origin.url("/object"), checksum=checksum)

    if right:
        assert checksum == (await fetch(provider, tmp_path / "file")).checksum
    else:
        with pytest.raises(asyncdl.IntegrityError):
            await fetch(provider, tmp_path / "file")
    assert right is (tmp_path / "file").exists()
