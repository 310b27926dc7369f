"""The sums: published values, any cutting, and what is said where a library is missing, broken or old."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Iterator
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncdl.edge import hashing
from asyncdl.errors import OptionsError
from asyncdl.model import DIGEST_SIZES
from asyncdl.rules import checksums
from asyncdl.rules.checksums import COMBINABLE

DIGITS = b"123456789"
#: Of the nine digits (the check values of the CRC RevEng catalogue).
CRCS = {"crc32": 0xCBF43926, "crc32c": 0xE3069283, "crc64nvme": 0xAE8B14860A799888}
#: Of "abc": FIPS 180-2 appendices A to C, RFC 1321 appendix A.5, RFC 7693 appendix A.
HASHES = {
    "sha512": "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
    "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
    "blake2b": "ba80a53f981c4d0d6a2797b69f12f6e94c212f14685ac4b74b12bb6fdbffa2d1"
    "7d87c5392aab792dc252d5de4533cc9518d38aa8dbf1925ab92386edd4009923",
    "sha256": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    "sha1": "a9993e364706816aba3e25717850c26c9cd0d89d",
    "md5": "900150983cd24fb0d6963f7d28e17f72",
}
NEEDS_AWSCRT = sorted(COMBINABLE - {"crc32"})


@pytest.fixture
def awscrt(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """What to set in `sys.modules` in its place; nothing of it is remembered before or after."""
    hashing._awscrt.cache_clear()
    yield monkeypatch
    hashing._awscrt.cache_clear()


def test_every_algorithm_is_tested() -> None:
    """Whatever a checksum may be of."""
    assert DIGEST_SIZES.keys() == CRCS.keys() | HASHES.keys()


@pytest.mark.parametrize("algorithm", sorted(HASHES))
def test_hashes(algorithm: str) -> None:
    """The published value, whole and in two goes."""
    once, twice = hashing.new_hash(algorithm), hashing.new_hash(algorithm)
    once.update(b"abc")
    twice.update(memoryview(b"ab"))
    twice.update(b"c")

    assert HASHES[algorithm] == once.digest().hex()
    assert HASHES[algorithm] == twice.digest().hex()
    assert DIGEST_SIZES[algorithm] == len(once.digest())


@pytest.mark.parametrize("algorithm", sorted(CRCS))
def test_crcs(algorithm: str) -> None:
    """The published value, cut anywhere, from any kind of buffer."""
    assert 0 == hashing.crc(algorithm, b"")
    for cut in range(10):
        head = hashing.crc(algorithm, memoryview(bytearray(DIGITS))[:cut])
        assert CRCS[algorithm] == hashing.crc(algorithm, DIGITS[cut:], head)


@given(
    algorithm=st.sampled_from(sorted(COMBINABLE)),
    first=st.binary(max_size=50),
    second=st.binary(max_size=50),
)
def test_combine(algorithm: str, first: bytes, second: bytes) -> None:
    """With the library or by our own rule, the values of two neighbours give that of both."""
    one, other = hashing.crc(algorithm, first), hashing.crc(algorithm, second)

    assert hashing.crc(algorithm, first + second) == hashing.combine(algorithm, one, other, len(second))
    assert hashing.crc(algorithm, first + second) == checksums.combine(algorithm, one, other, len(second))


def test_md5_is_not_for_security(monkeypatch: pytest.MonkeyPatch) -> None:
    """A system that forbids weak hashes is told that this one protects nothing."""
    asked: list[tuple[str, bool]] = []
    monkeypatch.setattr(hashlib, "new", lambda name, *, usedforsecurity: asked.append((name, usedforsecurity)))
    hashing.new_hash("md5")

    assert [("md5", False)] == asked


def test_all_are_available_with_awscrt() -> None:
    """And nothing else is."""
    assert [*DIGEST_SIZES] == [name for name in (*DIGEST_SIZES, "rot13", "", "sha3_256") if hashing.available(name)]
    assert "crc32c" == hashing.best_crc()


def test_without_awscrt(awscrt: pytest.MonkeyPatch) -> None:
    """Everything else is there; what to install is said."""
    awscrt.setitem(sys.modules, "awscrt.checksums", None)

    assert NEEDS_AWSCRT == sorted(name for name in DIGEST_SIZES if not hashing.available(name))
    assert None is hashing.best_crc()
    assert CRCS["crc32"] == hashing.crc("crc32", DIGITS)
    for algorithm in NEEDS_AWSCRT:
        with pytest.raises(OptionsError) as caught:
            hashing.crc(algorithm, DIGITS)
        assert f"{algorithm} needs awscrt" in str(caught.value)
        assert "asyncdl[checksums]" in str(caught.value.hint)


@pytest.mark.parametrize("algorithm", sorted(COMBINABLE))
def test_combine_without_awscrt(algorithm: str, awscrt: pytest.MonkeyPatch) -> None:
    """Values from a journal are combined also where none can be made."""
    head, tail = hashing.crc(algorithm, DIGITS[:4]), hashing.crc(algorithm, DIGITS[4:])
    hashing._awscrt.cache_clear()
    awscrt.setitem(sys.modules, "awscrt.checksums", None)

    assert CRCS[algorithm] == hashing.combine(algorithm, head, tail, 5)


def test_old_awscrt(awscrt: pytest.MonkeyPatch) -> None:
    """One that has not all of the functions is used for those that it has."""
    old = ModuleType("awscrt.checksums")
    old.crc32c = lambda _data, _value: 7  # type: ignore[attr-defined]
    awscrt.setitem(sys.modules, "awscrt.checksums", old)

    assert hashing.available("crc32c")
    assert not hashing.available("crc64nvme")
    assert 7 == hashing.crc("crc32c", DIGITS)


def test_nonsense() -> None:
    """A hash is no CRC, a CRC is no hash, and an unknown name is neither."""
    for name in (*CRCS, "sha3_256", ""):
        with pytest.raises(ValueError, match="is no hash"):
            hashing.new_hash(name)
    for name in (*HASHES, "crc16", ""):
        with pytest.raises(ValueError, match="is no CRC"):
            hashing.crc(name, DIGITS)
        with pytest.raises(ValueError, match="cannot be combined"):
            hashing.combine(name, 0, 0, 1)


def test_loaded_when_needed() -> None:
    """A download without a checksum does not wait for awscrt to load."""
    program = "import asyncdl, asyncdl.verifier, sys; print('awscrt' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=120)

    assert "False" == done.stdout.strip()
