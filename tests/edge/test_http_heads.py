"""Where a head ends and its body begins, whatever of them comes in one read, and whatever the body holds."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

import asyncdl
from asyncdl.edge.http_pooled import PooledBody
from asyncdl.model import SignedUrl
from asyncdl.rules.urls import origin_of
from tests.support.bodies import drained, handler_of, until
from tests.support.http import Bare, answering, transport

#: Text whose every line ends as a head does.
LINES = b"".join(b"line %06d\r\n\r\n" % number for number in range(20_000))
pytestmark = pytest.mark.usefixtures("no_leaks")


def head_for(start: int, stop: int, size: int = len(LINES)) -> bytes:
    return b"HTTP/1.1 206 P\r\nContent-Range: bytes %d-%d/%d\r\nContent-Length: %d\r\n\r\n" % (
        start,
        stop - 1,
        size,
        stop - start,
    )


@pytest.mark.parametrize("more", [1, 20, 1000, 100_000])
@pytest.mark.parametrize("ahead", [0, 1, 1000])
async def test_body_with_ends_of_heads(ahead: int, more: int) -> None:
    """What comes before the body is taken stays in order, though it looks like one head after another."""
    onward, taken = asyncio.Event(), asyncio.Event()

    async def serve(bare: Bare, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await bare.head(reader)
        writer.write(head_for(0, len(LINES)) + LINES[:ahead])
        await onward.wait()
        writer.write(LINES[ahead : ahead + more])
        await taken.wait()
        writer.write(LINES[ahead + more :])
        await bare.head(reader)

    async with Bare(serve) as server, transport(pooled_buffers=True) as over:
        url = SignedUrl(server.url())
        async with over.open(url, 0, len(LINES), headers=(), home=origin_of(url.url)) as response:
            handler, content = handler_of(response), response._raw.content  # type: ignore[attr-defined]

            def came() -> int:
                return int(content.total_bytes) + (len(handler.held.view) if handler.held else 0)

            await until(lambda: came() >= ahead)
            onward.set()
            await until(lambda: came() >= ahead + more)
            body = response.body(0, len(LINES))
            taken.set()
            data = b"".join([piece async for piece in drained(body, 0)])

    assert (PooledBody, LINES) == (type(body), data)


@pytest.mark.parametrize("cut", [1, 2, 3, 4, 10])
@pytest.mark.parametrize("more", [b"", b"x" * 1000], ids=["as long as it says", "longer"])
async def test_head_in_two_reads(cut: int, more: bytes) -> None:
    """The rest of a head, and the body behind it: that has an end of a head in it, which is none."""
    data = b"line\r\n\r\n" + bytes(range(256)) * 4
    # Of what is too long, as much follows the end that is none as there should have been in all.
    more = more and b"line\r\n\r\n" + more
    head = head_for(0, len(data), len(data))
    pieces = head[:-cut], head[-cut:] + data + more
    async with answering(*pieces, pause=0.02, stay=True) as server, transport(pooled_buffers=True) as over:
        url = SignedUrl(server.url())
        async with over.open(url, 0, len(data), headers=(), home=origin_of(url.url)) as response:
            chunk = response.at_hand(0, len(data))
            if chunk is None:
                chunk = await response.body(0, len(data)).receive()
            assert chunk is not None
            assert data == chunk.data
            chunk.release()


async def test_file_of_lines(tmp_path: Path) -> None:
    """A whole download, whose first body goes on to come while the file is made ready for it."""

    async def serve(bare: Bare, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await bare.head(reader):
            start, _, last = head.partition(b"bytes=")[2].partition(b"\r\n")[0].partition(b"-")
            begin, stop = int(start), min(int(last) + 1 if last else size, size)
            writer.write(head_for(begin, stop, size) + data[begin:stop])
            await writer.drain()

    data = LINES * 16
    size, dest = len(data), tmp_path / "f"
    async with Bare(serve) as server:
        await asyncdl.download(server.url(), dest)

    assert data == dest.read_bytes()
