"""Bodies and faults that are used often enough to have a name: a decompression bomb, a chain of redirects."""

from __future__ import annotations

import struct
import zlib
from functools import lru_cache
from typing import TYPE_CHECKING

from asyncdl.testing.faults import Fault

if TYPE_CHECKING:
    from asyncdl.testing.ledger import RequestRecord

_BLOCK = 1 << 20
#: RFC 1952 section 2.3: magic number, deflate, no flags, no time, best compression, unknown system.
_GZIP_HEAD = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\xff"
#: RFC 1951 section 3.2.4: a final stored block of no bytes.
_LAST_BLOCK = b"\x01\x00\x00\xff\xff"
_HOP = "hop="


@lru_cache(maxsize=4)
def bomb(size: int) -> bytes:
    """A gzip stream (RFC 1952) of about a thousandth of `size` bytes that expands to `size` zeros.

    The zeros never exist all at once: 1 GiB takes about a second and 1 MiB of memory.

        Fault(status=200, body=bomb(1 << 30), headers={"Content-Encoding": "gzip"})
    """
    whole, rest = divmod(size, _BLOCK)
    zeros, checksum = bytes(_BLOCK), 0
    for _ in range(whole):
        checksum = zlib.crc32(zeros, checksum)
    checksum = zlib.crc32(zeros[:rest], checksum)
    # RFC 1952 section 2.3.1: the size is kept modulo 2**32.
    end = struct.pack("<II", checksum, size & 0xFFFFFFFF)
    return b"".join((_GZIP_HEAD, _deflated(_BLOCK) * whole, _deflated(rest), _LAST_BLOCK, end))


def _deflated(size: int) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    # A full flush ends on a byte and forgets what was before: such pieces can be repeated and joined.
    return packer.compress(bytes(size)) + packer.flush(zlib.Z_FULL_FLUSH) if size else b""


def redirect_hops(count: float, path: str, *, status: int = 302) -> Fault:
    """A fault that redirects `count` times, each time to another URL, before `path` serves its object.

    The places on the way are `path` with a query `hop=1`, `hop=2` and so on, unsigned; with a count of `ENDLESS` there
    is always another. (For ever the same URL, or a loop: `Fault(redirect="{self}/path")`.)
    """

    def hop(record: RequestRecord) -> int:
        _, found, number = record.raw_target.rpartition(_HOP)
        return int(number) if found and number.isdecimal() else 0

    return Fault(
        path=path,
        status=status,
        when=lambda record: hop(record) < count,
        redirect=lambda record: f"{{self}}{path}?{_HOP}{hop(record) + 1}",
    )
