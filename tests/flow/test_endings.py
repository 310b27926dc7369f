"""Answers after which little is left to do: nothing there any more, nothing in it, another version of a weak name."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import pytest

import asyncdl
from asyncdl.testing import Fault, Origin
from tests.support.flow import PART, absent, fetch, holds, small

SIZE = 6 * PART + 999
LATER = range(3, 10_000)
#: What S3 says of a range of an empty object, with no Content-Range beside it.
EMPTY = b"<Error><Code>InvalidRange</Code><Message>The requested range is not satisfiable</Message>%s</Error>"
#: Long enough to tell whether it was waited for.
REUSE = 0.3


def sized(size: int) -> bytes:
    return EMPTY % b"<ActualObjectSize>%d</ActualObjectSize>" % size


class TestNothingThereAnyMore:
    @pytest.mark.parametrize("connections", [1, 4])
    @pytest.mark.parametrize("status", [404, 410])
    async def test_url_that_nobody_renews(
        self, origin: Origin, tmp_path: Path, no_leaks: object, status: int, connections: int
    ) -> None:
        """It is final at once: no other URL is to be had, and the same one will not serve again."""
        origin.add("/object", SIZE)
        origin.script(Fault(request=LATER, status=status))

        with pytest.raises(asyncdl.HttpStatusError) as caught:
            await fetch(origin.url("/object"), tmp_path / "file", options=small(connections))
        starts = [record.range and record.range[0] for record in origin.ledger.requests]
        await origin.aclose()

        assert status == caught.value.status
        assert "gone" in (caught.value.hint or "")
        assert absent(tmp_path / "file")
        assert len(set(starts)) == len(starts)
        assert len(starts) <= 3 + connections

    async def test_url_that_somebody_renews(self, origin: Origin, tmp_path: Path) -> None:
        """A provider may have moved the object: it is asked once for all."""
        content = origin.add("/object", SIZE)
        origin.script(Fault(generation=0, request=LATER, status=404))
        provider = origin.provider("/object", ttl=3600, skin="opaque")

        result = await fetch(provider, tmp_path / "file", options=small(reuse_window=REUSE))

        assert holds(tmp_path / "file", content)
        assert (1, 2) == (result.refreshes, provider.calls)

    async def test_renewed_in_vain(self, origin: Origin, tmp_path: Path) -> None:
        """A new URL that leads nowhere either: gone it is."""
        origin.add("/object", SIZE)
        origin.script(Fault(request=LATER, status=404))
        provider = origin.provider("/object", ttl=3600, skin="opaque")

        with pytest.raises(asyncdl.HttpStatusError, match="404"):
            await fetch(provider, tmp_path / "file", options=small(reuse_window=REUSE))

        assert 2 == provider.calls
        assert absent(tmp_path / "file")

    async def test_url_that_is_known_to_die(self, origin: Origin, tmp_path: Path) -> None:
        """With an end to come "not found" may mean "expired": one that passes is got over."""
        content = origin.add("/object", SIZE)
        origin.script(Fault(request=3, status=404))
        source = asyncdl.SignedUrl(origin.url("/object"), expires_at=time.time() + 3600)

        result = await fetch(source, tmp_path / "file")

        assert holds(tmp_path / "file", content)
        assert 1 == result.retries

    async def test_target_of_a_redirect(self, origin: Origin, tmp_path: Path) -> None:
        """The first URL is asked again: it may know where the object is now."""
        content = origin.add("/object", SIZE)
        origin.add("/front", SIZE)
        origin.script(Fault(path="/front", redirect="/object"), Fault(path="/object", request=3, status=404))

        result = await fetch(origin.url("/front"), tmp_path / "file", options=small(1))

        assert holds(tmp_path / "file", content)
        assert 1 == result.retries
        assert result.requests == len([record for record in origin.ledger.requests if record.path == "/front"])

    async def test_not_there_from_the_start(self, origin: Origin, tmp_path: Path) -> None:
        """One request, for plain URLs and for such as would be renewed."""
        origin.add("/object", SIZE)
        origin.script(Fault(status=404))
        provider = origin.provider("/object", ttl=3600)

        for source in (origin.url("/object"), provider):
            with pytest.raises(asyncdl.HttpStatusError, match="404 Not Found"):
                await fetch(source, tmp_path / "file")

        assert 2 == len(origin.ledger.requests)
        assert 1 == provider.calls


class TestNothingInIt:
    @pytest.mark.parametrize("declared", [None, 0])
    async def test_empty(self, origin: Origin, tmp_path: Path, declared: int | None) -> None:
        """S3 says in the body of its 416 that there are no bytes: that is an empty file, after one request."""
        origin.add("/object", 0)
        origin.script(Fault(status=416, body=sized(0)))

        result = await fetch(origin.url("/object"), tmp_path / "file", size=declared)

        assert (0, 1, 0) == (result.size, result.requests, result.retries)
        assert b"" == await asyncio.to_thread((tmp_path / "file").read_bytes)
        assert ["file"] == os.listdir(tmp_path)

    @pytest.mark.parametrize(
        "body",
        [sized(SIZE), sized(10), EMPTY % b"", b"", b"<html>0</html>"],
        ids=["all", "10", "unsaid", "none", "page"],
    )
    async def test_not_said_to_be_empty(self, origin: Origin, tmp_path: Path, body: bytes) -> None:
        """Whatever else a 416 says: no file appears, and repeating it would not help."""
        origin.add("/object", SIZE)
        origin.script(Fault(status=416, body=body))

        with pytest.raises(asyncdl.HttpStatusError, match="416"):
            await fetch(origin.url("/object"), tmp_path / "file")

        assert absent(tmp_path / "file")
        assert 1 == len(origin.ledger.requests)

    async def test_declared_to_have_bytes(self, origin: Origin, tmp_path: Path) -> None:
        """Who was told a size gets no empty file."""
        origin.add("/object", 0)
        origin.script(Fault(status=416, body=sized(0)))

        with pytest.raises(asyncdl.TransferError):
            await fetch(origin.url("/object"), tmp_path / "file", size=SIZE, options=small(1))

        assert absent(tmp_path / "file")

    @pytest.mark.parametrize("connections", [1, 4])
    async def test_emptied_in_mid_download(self, origin: Origin, tmp_path: Path, connections: int) -> None:
        """What was large a moment ago does not become an empty file, nor one that is half of it."""
        origin.add("/object", SIZE)
        origin.script(Fault(request=LATER, status=416, body=sized(0)))

        with pytest.raises(asyncdl.TransferError):
            await fetch(origin.url("/object"), tmp_path / "file", options=small(connections))

        assert absent(tmp_path / "file")


class TestWeakNames:
    @pytest.mark.parametrize("connections", [1, 4])
    async def test_weak_that_becomes_strong(self, origin: Origin, tmp_path: Path, connections: int) -> None:
        """Apache's tag is weak for a second after the file was written, then the same one is strong."""
        content = origin.add("/object", SIZE, etag='"x"')
        origin.script(Fault(request={0, 1}, etag='W/"x"'))

        await fetch(origin.url("/object"), tmp_path / "file", options=small(connections))

        assert holds(tmp_path / "file", content)

    @pytest.mark.parametrize("first", ['W/"x"', '"x"'])
    @pytest.mark.parametrize("later", ['W/"y"', '"y"'])
    async def test_another_version(self, origin: Origin, tmp_path: Path, first: str, later: str) -> None:
        """Two tags that differ in more than their strength are of two versions, whatever else is the same."""
        origin.add("/object", SIZE, etag=first)
        origin.script(Fault(request=LATER, seed=2, etag=later))

        with pytest.raises(asyncdl.RemoteChangedError, match="entity tag"):
            await fetch(origin.url("/object"), tmp_path / "file")

        assert absent(tmp_path / "file")

    async def test_strong_that_becomes_weak_and_strong_again(self, origin: Origin, tmp_path: Path) -> None:
        """A weak tag proves nothing where there was a strong one: that part is asked for again."""
        content = origin.add("/object", SIZE, etag='"x"')
        fault = Fault(request={3, 4}, etag='W/"x"')
        origin.script(fault)

        result = await fetch(origin.url("/object"), tmp_path / "file", options=small(1))

        assert holds(tmp_path / "file", content)
        assert 2 == result.retries == origin.faults.applied(fault)

    async def test_stream_under_a_weak_name(self, origin: Origin, tmp_path: Path) -> None:
        """A server without ranges that is asked from the start again, and has another version by then."""
        origin.add("/object", SIZE, etag='W/"x"')
        origin.script(
            Fault(request=0, ignore_range=True, drop_after=PART),
            Fault(ignore_range=True, seed=2, etag='W/"y"'),
        )

        with pytest.raises(asyncdl.RemoteChangedError, match="entity tag"):
            await fetch(origin.url("/object"), tmp_path / "file")

        assert absent(tmp_path / "file")


async def test_every_request_has_a_range(origin: Origin, tmp_path: Path) -> None:
    """Whatever a server has answered before: a 206 is never the answer to a question nobody asked."""
    origin.add("/object", SIZE)
    origin.add("/front", SIZE)
    origin.add("/empty", 0)
    origin.script(
        Fault(path="/front", redirect="/object"),
        Fault(path="/object", request={0, 5}, ignore_range=True, drop_after=PART),
        Fault(path="/object", request={2, 6}, reset_after=1000),
        Fault(path="/object", request=7, status=503),
    )

    for number, path in enumerate(("/object", "/front", "/empty")):
        await fetch(origin.url(path), tmp_path / str(number))

    assert len(origin.ledger.requests) > 8
    assert [] == [record.path for record in origin.ledger.requests if record.headers.get("Range") is None]


async def test_object_that_gets_shorter_with_every_break(origin: Origin, tmp_path: Path) -> None:
    """A 416 right at the end of a second, shorter response: the bytes beyond it were of another version."""
    origin.add("/object", 200_000, etag=None, last_modified=None)
    cut = {"ignore_range": True, "chunked": True}
    origin.script(
        Fault(request=0, drop_after=150_000, **cut),  # type: ignore[arg-type]
        Fault(request=1, drop_after=50_000, **cut),  # type: ignore[arg-type]
        Fault(request=2, status=416, headers={"Content-Range": "bytes */50000"}),
    )

    with pytest.raises(asyncdl.RemoteChangedError, match="shorter"):
        await fetch(origin.url("/object"), tmp_path / "file")

    assert not (tmp_path / "file").exists()
