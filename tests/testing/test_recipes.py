"""The decompression bomb: a gzip stream that every decoder takes, of the size it says."""

from __future__ import annotations

import gzip
import zlib

import pytest

from asyncdl.testing import Fault, Origin, bomb
from tests.support.rawclient import ask


@pytest.mark.parametrize("size", [0, 1, 1 << 20, (5 << 20) + 3])
def test_bomb(size: int) -> None:
    """It expands to so many zeros, and its checksum is right."""
    assert bytes(size) == gzip.decompress(bomb(size))


def test_a_large_bomb_is_small() -> None:
    """A GiB of zeros takes about a thousandth, in one stream that goes on to its end."""
    stream = bomb(1 << 30)
    decoder = zlib.decompressobj(zlib.MAX_WBITS | 16)
    expanded, rest = 0, stream
    while rest:
        expanded += len(decoder.decompress(rest, 1 << 24))
        rest = decoder.unconsumed_tail

    assert len(stream) < 2 << 20
    assert (1 << 30, True, b"") == (expanded, decoder.eof, decoder.unused_data)


async def test_a_bomb_is_served() -> None:
    """As a body it comes as it is."""
    async with Origin() as origin:
        origin.add("/f", 10)
        origin.script(Fault(status=206, body=bomb(3 << 20), headers={"Content-Encoding": "gzip"}))
        reply = await ask(origin.url("/f"), span=(0, 10))

    assert (206, "gzip", bomb(3 << 20)) == (reply.status, reply.headers.get("Content-Encoding"), reply.body)
