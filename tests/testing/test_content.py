"""The content oracle: position-dependent bytes, the same however they are read, and found wrong when they are."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncdl.testing import Content
from asyncdl.testing.content import PAGE, SPAN, merged

if TYPE_CHECKING:
    from pathlib import Path

TIB = 1 << 40
SIZE = 5 * TIB
offsets = st.integers(0, SIZE)
lengths = st.integers(0, 3 * PAGE)
content = Content(seed=7, size=SIZE)


@given(offsets, lengths, lengths)
def test_reads_join(start: int, first: int, second: int) -> None:
    """Two neighbouring reads are one read."""
    middle, stop = start + first, start + first + second

    assert content.read(start, stop) == content.read(start, middle) + content.read(middle, stop)


@given(st.integers(0, SIZE - 2 * SPAN), st.integers(1, 2 * SPAN), st.integers(1, SPAN))
def test_block_size_does_not_matter(start: int, length: int, block: int) -> None:
    """Any block size gives the same bytes, in views no larger than asked for."""
    blocks = list(content.blocks(start, start + length, block=max(block, length // 50)))

    assert content.read(start, start + length) == b"".join(blocks)
    assert max(map(len, blocks)) <= max(block, length // 50)


@given(st.integers(0, SIZE - TIB), st.integers(1, TIB - 2 * PAGE))
def test_every_shift_shows(start: int, shift: int) -> None:
    """Bytes from beside their place differ from those that belong there."""
    assert content.read(start, start + PAGE + 8) != content.read(start + shift, start + shift + PAGE + 8)


@pytest.mark.parametrize("shift", [1, 2, 7, 8, PAGE, 1 << 16, SPAN - 1, SPAN, SPAN + 1, 100 * SPAN, 256 * SPAN, TIB])
def test_likely_shifts_show_in_few_bytes(shift: int) -> None:
    """The shifts that real faults make (a byte, a page, a part) show in 16 bytes already."""
    for start in (0, 1, PAGE - 4, SPAN - 8, 3 * SPAN + 5, TIB):
        assert content.read(start, start + 16) != content.read(start + shift, start + shift + 16)


def test_seeds_differ() -> None:
    """Another seed has nothing in common, the same one everything."""
    assert content.read(0, 64) != Content(8, SIZE).read(0, 64)
    assert content.read(0, 64) == Content(7, 64).read(0, 64)


def test_bytes_are_fixed_for_ever() -> None:
    """The bytes of a seed do not change between versions, so that stored figures stay comparable."""
    known = "471f6badd43f174910c38650ca58bde077a878a14e7397d2dd03ebdf6a9a65e8"

    assert known == Content(1, SPAN + 5).sha256()
    assert known == hashlib.sha256(Content(1, SPAN + 5).read(0, SPAN + 5)).hexdigest()


@pytest.mark.parametrize("size", [0, 1, PAGE, SPAN, SPAN + 1])
def test_reads_stop_at_the_end(size: int) -> None:
    """What lies behind the end is not made up."""
    assert size == len(Content(1, size).read(0, size + 10))
    assert b"" == Content(1, size).read(size, size + 10)


@pytest.mark.parametrize("size", [0, 1, PAGE + 1, 2 * SPAN, 2 * SPAN + 17])
def test_the_file_itself_does_not_differ(tmp_path: Path, size: int) -> None:
    """A file with the object's bytes, all of them and no more, has no difference."""
    path = tmp_path / "file"
    path.write_bytes(Content(3, size).read(0, size))

    assert Content(3, size).first_difference(path) is None


@given(st.integers(0, 2 * SPAN + 16))
def test_the_first_wrong_byte_is_found(tmp_path_factory: pytest.TempPathFactory, place: int) -> None:
    """One flipped byte, and another one behind it, give the place of the first."""
    path = tmp_path_factory.getbasetemp() / "flipped"
    small = Content(3, 2 * SPAN + 17)
    data = bytearray(small.read(0, small.size))
    data[place] ^= 1
    data[-1] ^= 2
    path.write_bytes(data)

    assert place == small.first_difference(path)


@pytest.mark.parametrize("length", [0, 1, SPAN, SPAN + 3, SPAN + 11])
def test_a_wrong_length_is_a_difference(tmp_path: Path, length: int) -> None:
    """A file cut short differs where it ends, one too long where the object ends."""
    path = tmp_path / "file"
    path.write_bytes(Content(3, length).read(0, length))

    assert min(length, SPAN + 7) == Content(3, SPAN + 7).first_difference(path)


def test_views_stay_valid() -> None:
    """A block keeps its bytes after later ones were made."""
    kept = list(content.blocks(0, 4 * SPAN))

    assert content.read(0, 4 * SPAN) == b"".join(kept)


def test_ranges_merge() -> None:
    """Ranges are sorted and joined where they touch, overlap or contain each other; empty ones vanish."""
    spans = [(20, 30), (0, 5), (5, 7), (22, 24), (29, 31), (9, 9)]

    assert [(0, 7), (20, 31)] == merged(spans)
