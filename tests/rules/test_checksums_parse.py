"""A checksum is read as people and programs write it, and what is none is refused with words that help."""

from __future__ import annotations

import base64
import hashlib
import pickle
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import asyncdl
from asyncdl.errors import OptionsError
from asyncdl.model import DIGEST_SIZES, Checksum

SHA256 = hashlib.sha256(b"123456789").digest()
ALGORITHMS = st.sampled_from(sorted(DIGEST_SIZES))


@given(data=st.data(), algorithm=ALGORITHMS)
def test_every_spelling(data: st.DataObject, algorithm: str) -> None:
    """Every value in every alphabet, with and without padding, is read as what it is."""
    size = DIGEST_SIZES[algorithm]
    digest = data.draw(st.binary(min_size=size, max_size=size))
    standard, for_urls = base64.b64encode(digest).decode(), base64.urlsafe_b64encode(digest).decode()
    expected = Checksum(algorithm, digest)
    for value in (digest.hex(), digest.hex().upper(), standard, for_urls, standard.rstrip("="), for_urls.rstrip("=")):
        assert expected == Checksum.parse(f"{algorithm}:{value}")
        assert expected == Checksum.parse(f" {algorithm.upper()} : {value}\n")
    assert f"{algorithm}:{digest.hex()}" == str(expected)


@pytest.mark.parametrize(
    ("text", "algorithm"),
    [
        ("SHA-256:" + "0" * 64, "sha256"),
        ("sha-512:" + "0" * 128, "sha512"),
        ("Sha-1:" + "0" * 40, "sha1"),
        ("MD5:" + "0" * 32, "md5"),
        ("BLAKE2b:" + "0" * 128, "blake2b"),
        ("blake2b-512:" + "0" * 128, "blake2b"),
        ("CRC-32:00000000", "crc32"),
        ("crc32c:AAAAAA==", "crc32c"),
        ("crc-32c:AAAAAA", "crc32c"),
        ("CRC64NVME:AAAAAAAAAAA=", "crc64nvme"),
        ("crc64-nvme:0000000000000000", "crc64nvme"),
    ],
)
def test_names(text: str, algorithm: str) -> None:
    """The usual spellings of a name are one name, and the length says in which alphabet the value is."""
    assert Checksum(algorithm, bytes(DIGEST_SIZES[algorithm])) == Checksum.parse(text)


@pytest.mark.parametrize(
    ("algorithm", "digest"),
    [
        ("sha512", hashlib.sha512(b"").digest()),
        ("blake2b", hashlib.blake2b(b"").digest()),
        ("sha256", hashlib.sha256(b"").digest()),
        ("sha1", hashlib.sha1(b"").digest()),
        ("md5", hashlib.md5(b"").digest()),
        ("crc32", zlib.crc32(b"123456789").to_bytes(4, "big")),
    ],
)
def test_lengths_are_those_of_the_library(algorithm: str, digest: bytes) -> None:
    """What the standard library computes is a value of the algorithm as it is."""
    assert digest == Checksum(algorithm, digest).digest


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "with its algorithm"),
        (SHA256.hex(), "with its algorithm"),
        (f"sha256={SHA256.hex()}", "with its algorithm"),
        (None, "with its algorithm"),
        (SHA256, "with its algorithm"),
        ("sha224:" + "0" * 56, "unknown checksum algorithm"),
        ("crc64:" + "0" * 16, "unknown checksum algorithm"),
        (":" + "0" * 64, "unknown checksum algorithm"),
        ("sha256:", "64 hexadecimal digits, or 44 characters of base64: this one has 0 characters"),
        ("sha256:" + "0" * 63, "has 63 characters"),
        ("sha256:" + "0" * 65, "has 65 characters"),
        ("sha256:" + "0" * 128, "has 128 characters"),
        ("sha256:" + "x" * 64, "is neither"),
        ("sha256:" + "0" * 63 + "\u0661", "is neither"),
        ("sha256:" + "A" * 42 + "*=", "is neither"),
        ("sha256:" + "A" * 42 + "\n=", "is neither"),
        ("sha256:" + "A" * 42 + "B=", "is neither"),
        ("sha256:" + "A" * 42 + "é", "is neither"),
        ("sha512:" + "A" * 86 + "=", "has 87 characters"),
        ("crc32:AAAAAB==", "is neither"),
        ("crc32:cbf4392", "has 7 characters"),
        ("crc32:cbf4392g", "is neither"),
    ],
)
def test_refused(text: Any, words: str) -> None:
    """What is no checksum says why, and never repeats what was given: it may be a secret in the wrong place."""
    with pytest.raises(OptionsError) as caught:
        Checksum.parse(text)

    assert words in str(caught.value)
    assert str(text)[8:] not in str(caught.value) or len(str(text)) <= 8


@given(name=st.text(max_size=10) | ALGORITHMS, value=st.text(max_size=140))
def test_any_text(name: str, value: str) -> None:
    """Any text is a checksum that is written back as an equal one, or an error of ours."""
    try:
        checksum = Checksum.parse(f"{name}:{value}")
    except OptionsError:
        return
    assert checksum == Checksum.parse(str(checksum))


@pytest.mark.parametrize(
    ("algorithm", "digest"),
    [("SHA-256", SHA256), ("sha256", SHA256[1:]), ("md5", SHA256), ("sha256", bytearray(SHA256)), ("", b"")],
)
def test_value_is_valid(algorithm: str, digest: Any) -> None:
    """A name that is not canonical, or a digest of another length or type, makes no checksum."""
    with pytest.raises(OptionsError):
        Checksum(algorithm, digest)


def test_is_a_value() -> None:
    """It is public, compares and hashes by what it is, and comes back from another process."""
    checksum = asyncdl.Checksum("sha256", SHA256)

    assert {checksum} == {asyncdl.Checksum.parse(str(checksum)), pickle.loads(pickle.dumps(checksum))}


def test_strongest_first() -> None:
    """The order of the algorithms, which decides what is verified of several, is by what they can detect."""
    assert ["sha512", "blake2b", "sha256", "sha1", "md5", "crc64nvme", "crc32c", "crc32"] == list(DIGEST_SIZES)
