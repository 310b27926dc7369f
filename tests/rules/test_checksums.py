"""Checksums of parts, in whatever order they come, add up to that of the whole; a hash gets the bytes in order."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncdl.model import DIGEST_SIZES, Part
from asyncdl.rules.checksums import COMBINABLE, PartSums, Prefix, combine
from asyncdl.rules.parts import Coverage

TIB = 1 << 40
#: Longer than any object: files end at 2^63.
LENGTHS = st.integers(0, 1000) | st.integers(0, 5 * TIB) | st.integers(0, (1 << 63) - 1)
ALGORITHMS = st.sampled_from(sorted(COMBINABLE))
RANDOMS = st.randoms(use_true_random=False)


def slow_crc(bits: int, polynomial: int) -> Callable[[bytes], int]:
    """A CRC by its definition: long division, bit by bit, of the bytes with their lowest bits first."""

    def crc(data: bytes) -> int:
        register = (1 << bits) - 1
        for byte in data:
            for position in range(8):
                carry = register >> (bits - 1) ^ byte >> position & 1
                register = (register << 1) & ((1 << bits) - 1)
                if carry & 1:
                    register ^= polynomial
        return int(f"{register:0{bits}b}"[::-1], 2) ^ ((1 << bits) - 1)

    return crc


#: With the polynomials as RFC 3720 section 12.1 and the NVM Command Set Specification print them.
DIRECT: dict[str, Callable[[bytes], int]] = {
    "crc32": zlib.crc32,
    "crc32c": slow_crc(32, 0x1EDC6F41),
    "crc64nvme": slow_crc(64, 0xAD93D23594C93659),
}
#: The published values for the nine digits (the check values of the CRC RevEng catalogue).
CHECKS = {"crc32": 0xCBF43926, "crc32c": 0xE3069283, "crc64nvme": 0xAE8B14860A799888}


@st.composite
def values(draw: st.DrawFn, algorithm: str, count: int) -> list[int]:
    return [draw(st.integers(0, (1 << 8 * DIGEST_SIZES[algorithm]) - 1)) for _ in range(count)]


@pytest.mark.parametrize("algorithm", sorted(CHECKS))
def test_published_values(algorithm: str) -> None:
    """The published value comes out, directly and from the value of each head and tail of the nine digits."""
    digits, crc = b"123456789", DIRECT[algorithm]

    assert CHECKS.keys() == set(COMBINABLE)
    assert CHECKS[algorithm] == crc(digits)
    for cut in range(10):
        assert CHECKS[algorithm] == combine(algorithm, crc(digits[:cut]), crc(digits[cut:]), 9 - cut)


@given(algorithm=ALGORITHMS, first=st.binary(max_size=70), second=st.binary(max_size=300))
def test_combine(algorithm: str, first: bytes, second: bytes) -> None:
    """The values of two neighbours give that of both."""
    crc = DIRECT[algorithm]

    assert crc(first + second) == combine(algorithm, crc(first), crc(second), len(second))


@given(data=st.data(), algorithm=ALGORITHMS, length2=LENGTHS, length3=LENGTHS)
def test_combine_in_any_order(data: st.DataObject, algorithm: str, length2: int, length3: int) -> None:
    """Of three neighbours the first two or the last two may be combined first, however long they are."""
    crc1, crc2, crc3 = data.draw(values(algorithm, 3))
    expected = combine(algorithm, crc1, combine(algorithm, crc2, crc3, length3), length2 + length3)

    assert expected == combine(algorithm, combine(algorithm, crc1, crc2, length2), crc3, length3)


def test_combine_is_that_of_zlib_at_length() -> None:
    """Many zeros after some bytes, as zlib has it for them directly."""
    zeros = bytes(3 << 20)
    expected = zlib.crc32(zeros, zlib.crc32(b"head"))

    assert expected == combine("crc32", zlib.crc32(b"head"), zlib.crc32(zeros), len(zeros))


@given(data=st.data(), algorithm=ALGORITHMS, length=LENGTHS)
def test_combine_as_another_library_does(data: st.DataObject, algorithm: str, length: int) -> None:
    """The AWS common runtime, where it is installed, combines to the same, at every length of an object."""
    theirs = pytest.importorskip("awscrt.checksums")
    first, second = data.draw(values(algorithm, 2))
    # No bytes have one value only, and theirs does not look at it.
    second = second if length else 0
    expected = getattr(theirs, f"combine_{algorithm}")(first, second, length)

    assert expected == combine(algorithm, first, second, length)


@pytest.mark.parametrize("algorithm", sorted(COMBINABLE))
def test_another_library_computes_the_same(algorithm: str) -> None:
    """What will be combined comes from a library: its values are those of the definition, also in parts."""
    theirs = getattr(pytest.importorskip("awscrt.checksums"), algorithm)
    content = bytes(position * 7 % 251 for position in range(5000))
    expected = DIRECT[algorithm](content)

    assert expected == theirs(content)
    assert expected == combine(algorithm, theirs(content[:1234]), theirs(content[1234:]), len(content) - 1234)


@pytest.mark.parametrize(
    ("algorithm", "crc1", "crc2", "length2"),
    [
        ("sha256", 0, 0, 0),
        ("crc32", -1, 0, 0),
        ("crc32", 0, -1, 0),
        ("crc32", 1 << 32, 0, 1),
        ("crc32c", 0, 1 << 32, 1),
        ("crc64nvme", 1 << 64, 0, 1),
        ("crc64nvme", 0, 0, -1),
    ],
)
def test_combine_refuses(algorithm: str, crc1: int, crc2: int, length2: int) -> None:
    """What is no value of the algorithm, or no length, is a mistake of the caller."""
    with pytest.raises(ValueError, match=r"combined|bits|negative"):
        combine(algorithm, crc1, crc2, length2)


def cut(random: Random, content: bytes, pieces: int) -> list[tuple[int, int]]:
    """The spans of `content` between random cuts, in random order."""
    cuts = sorted({0, len(content), *(random.randrange(len(content)) for _ in range(pieces))})
    spans = list(pairwise(cuts))
    random.shuffle(spans)
    return spans


@given(algorithm=ALGORITHMS, content=st.binary(min_size=1, max_size=120), random=RANDOMS, pieces=st.integers(0, 12))
def test_parts_add_up(algorithm: str, content: bytes, random: Random, pieces: int) -> None:
    """Parts in any order add up to the whole, and on the way each joined span has the value of its bytes."""
    sums, crc, covered = PartSums(algorithm), DIRECT[algorithm], Coverage()
    for start, stop in cut(random, content, pieces):
        assert None is sums.whole(len(content))
        sums.add(start, stop, crc(content[start:stop]))
        covered.add(start, stop)

        assert [(part, crc(content[slice(*part)])) for part in covered.spans] == sums.spans
        assert list(covered.missing(len(content))) == list(sums.missing(len(content)))

    assert crc(content) == sums.whole(len(content))
    assert None is sums.whole(len(content) + 1)
    assert None is sums.whole(len(content) - 1)


@given(random=RANDOMS, steps=st.integers(1, 30))
def test_rewritten_parts(random: Random, steps: int) -> None:
    """Whatever is added, written anew and read back: what is known stays right, and the rest can be made up for."""
    content, sums = bytearray(random.randbytes(60)), PartSums("crc32")
    for _ in range(steps):
        start, stop = sorted((random.randrange(61), random.randrange(61)))
        if random.random() < 0.4:
            lost = [part for part, _ in sums.spans if part.start < stop and start < part.stop] if start < stop else []
            kept = [span for span in sums.spans if span[0] not in lost]
            sums.discard(start, stop)
            content[start:stop] = random.randbytes(stop - start)

            assert kept == sums.spans
        else:
            free = [part for part in sums.missing(60) if part.start <= start < stop <= part.stop]
            if free:
                sums.add(start, stop, zlib.crc32(content[start:stop]))

        assert [zlib.crc32(content[slice(*part)]) for part, _ in sums.spans] == [value for _, value in sums.spans]

    for part in list(sums.missing(60)):
        sums.add(*part, zlib.crc32(content[slice(*part)]))
    assert zlib.crc32(content) == sums.whole(60)


@pytest.mark.parametrize(
    ("start", "stop", "crc"),
    [
        (10, 20, 0),
        (5, 11, 0),
        (19, 25, 0),
        (12, 13, 0),
        (5, 25, 0),
        (20, 31, 0),
        (5, 41, 0),
        (0, 0, 0),
        (3, 2, 0),
        (-1, 3, 0),
        (0, 5, 1 << 32),
        (20, 25, -1),
    ],
)
def test_add_refuses(start: int, stop: int, crc: int) -> None:
    """What overlaps, is no span or no value is refused, and then nothing has changed."""
    sums = PartSums("crc32c")
    sums.add(30, 40, 8)
    sums.add(10, 20, 7)

    with pytest.raises(ValueError, match=r"added before|span|bits"):
        sums.add(start, stop, crc)

    assert [(Part(10, 20), 7), (Part(30, 40), 8)] == sums.spans


@pytest.mark.parametrize(
    ("start", "stop", "expected"),
    [
        (20, 30, [(10, 20), (30, 40)]),
        (19, 30, [(30, 40)]),
        (20, 31, [(10, 20)]),
        (40, 99, [(10, 20), (30, 40)]),
        (0, 10, [(10, 20), (30, 40)]),
        (15, 15, [(10, 20), (30, 40)]),
        (15, 12, [(10, 20), (30, 40)]),
        (15, 16, [(30, 40)]),
        (0, 99, []),
    ],
)
def test_discard(start: int, stop: int, expected: list[tuple[int, int]]) -> None:
    """A span with one byte that is written anew is forgotten, one that merely touches those is not."""
    sums = PartSums("crc32")
    sums.add(10, 20, 7)
    sums.add(30, 40, 8)

    sums.discard(start, stop)

    assert expected == [part for part, _ in sums.spans]


def test_sums_of_what_cannot_be_combined() -> None:
    """Hashes of parts say nothing of the whole."""
    with pytest.raises(ValueError, match="cannot be combined"):
        PartSums("sha256")


def test_empty_object() -> None:
    """No bytes have the value of no bytes; an object that was thought empty and is not has none."""
    sums = PartSums("crc64nvme")

    assert DIRECT["crc64nvme"](b"") == sums.whole(0)
    assert None is sums.whole(1)
    sums.add(0, 1, DIRECT["crc64nvme"](b"x"))
    assert None is sums.whole(0)


@given(content=st.binary(min_size=1, max_size=200), random=RANDOMS, pieces=st.integers(0, 20))
def test_prefix(content: bytes, random: Random, pieces: int) -> None:
    """A hash fed as told is that of the content, and only what came out of order was read back, each byte once."""
    prefix, written, sha = Prefix(), Coverage(), hashlib.sha256()
    out_of_order, read_back = 0, 0
    for start, stop in cut(random, content, pieces):
        written.add(start, stop)
        part = prefix.in_hand(start, stop)
        if part is None:
            out_of_order += stop - start
        else:
            sha.update(content[start:stop][part.start - start :])
            prefix.advance(part)
        while behind := prefix.on_disk(written):
            piece = Part(behind.start, min(behind.stop, behind.start + 7))
            sha.update(content[slice(*piece)])
            prefix.advance(piece)
            read_back += piece.length

        assert prefix.hashed == next((part.stop for part in written.spans if part.start == 0), 0)

    assert hashlib.sha256(content).digest() == sha.digest()
    assert out_of_order == read_back


@pytest.mark.parametrize(
    ("start", "stop", "expected"),
    [
        (0, 100, None),
        (0, 101, (100, 101)),
        (99, 150, (100, 150)),
        (100, 150, (100, 150)),
        (100, 100, None),
        (101, 150, None),
    ],
)
def test_what_is_in_hand(start: int, stop: int, expected: tuple[int, int] | None) -> None:
    """Bytes that were hashed before are not hashed again, and none is skipped; on the disk it is the same."""
    written = Coverage()
    written.add(start, stop)

    assert expected == Prefix(100).in_hand(start, stop)
    assert expected == Prefix(100).on_disk(written)


@pytest.mark.parametrize("part", [Part(99, 101), Part(101, 102), Part(100, 99)])
def test_prefix_has_no_gap(part: Part) -> None:
    """A part that is not the next one is refused, and the hash stands where it stood."""
    prefix = Prefix(100)

    with pytest.raises(ValueError, match="in order"):
        prefix.advance(part)

    assert 100 == prefix.hashed
