"""The functions that sum up bytes: hashes of the standard library, CRC-32 of zlib, the other CRCs of awscrt.

awscrt, which is optional, is the C library under AWS's own SDKs; its CRC32C and CRC64NVME use what the processor has
for them. They sum 27 to 88 GB/s where zlib does 5.6, and awscrt's own CRC-32 does 3.5 (x86-64, two cores, buffers of
8 MiB and of 64 KiB): so CRC-32 stays with zlib.

Rule: whatever takes time lets other threads run meanwhile. The first question about awscrt loads it, in about 35 ms.
"""

from __future__ import annotations

import hashlib
import importlib
import zlib
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any, Protocol

from asyncdl.errors import OptionsError
from asyncdl.model import DIGEST_SIZES, Checksum
from asyncdl.rules import checksums
from asyncdl.rules.checksums import COMBINABLE


class Hash(Protocol):
    """What is needed of the objects in `hashlib`."""

    def update(self, data: bytes | memoryview, /) -> None:
        """Take the next bytes."""
        ...

    def digest(self) -> bytes:
        """The value for the bytes taken so far."""
        ...


def available(algorithm: str) -> bool:
    """Whether sums of this algorithm can be made here."""
    if algorithm in COMBINABLE - {"crc32"}:
        return _awscrt(algorithm) is not None
    return algorithm in DIGEST_SIZES


def best_crc() -> str | None:
    """The CRC that costs next to nothing beside a hash; None where there is none."""
    return "crc32c" if available("crc32c") else None


def new_hash(algorithm: str) -> Hash:
    """A hash of no bytes yet.

    Raises:
        ValueError: `algorithm` is no hash that asyncdl knows.
    """
    if algorithm not in DIGEST_SIZES.keys() - COMBINABLE:
        raise ValueError(f"{algorithm} is no hash")
    # A system under FIPS rules refuses md5 and sha1 unless told that nothing is protected by them.
    return hashlib.new(algorithm, usedforsecurity=False)


def checksum(algorithm: str, blocks: Iterable[bytes | memoryview]) -> Checksum:
    """What the blocks, one behind the other, add up to.

    Raises:
        OptionsError: the library for it is not installed.
    """
    if algorithm not in COMBINABLE:
        hashed = new_hash(algorithm)
        for block in blocks:
            hashed.update(block)
        return Checksum(algorithm, hashed.digest())
    value = 0
    for block in blocks:
        value = crc(algorithm, block, value)
    return Checksum(algorithm, value.to_bytes(DIGEST_SIZES[algorithm], "big"))


def crc(algorithm: str, data: bytes | memoryview, value: int = 0) -> int:
    """The CRC of what had the CRC `value`, and `data` after it.

    Raises:
        OptionsError: the library for it is not installed.
        ValueError: `algorithm` is no CRC that asyncdl knows.
    """
    if algorithm == "crc32":
        return zlib.crc32(data, value)
    if algorithm not in COMBINABLE:
        raise ValueError(f"{algorithm} is no CRC")
    function = _awscrt(algorithm)
    if function is None:
        raise OptionsError(f"{algorithm} needs awscrt", hint='pip install "asyncdl[checksums]"')
    return function(data, value)


def combine(algorithm: str, crc1: int, crc2: int, length2: int) -> int:
    """As `asyncdl.rules.checksums.combine`, in a microsecond instead of up to a hundred where awscrt is installed."""
    function = _awscrt(f"combine_{algorithm}") if algorithm in COMBINABLE else None
    return checksums.combine(algorithm, crc1, crc2, length2) if function is None else function(crc1, crc2, length2)


@cache
def _awscrt(name: str) -> Callable[..., int] | None:
    """A function of awscrt.checksums; None if it is not installed, does not load, or is too old to have it."""
    try:
        module: Any = importlib.import_module("awscrt.checksums")
    except ImportError:
        return None
    function: Callable[..., int] | None = getattr(module, name, None)
    return function
