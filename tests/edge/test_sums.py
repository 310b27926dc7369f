"""What threads add up: spans that grow and join, a bounded number of them, and a hash that two threads may feed."""

from __future__ import annotations

import errno
import hashlib
import itertools
import threading
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncdl.edge import hashing, sums
from asyncdl.edge.sums import RunningHash, Sums, Window, blocks, joined
from asyncdl.model import Chunk, Part
from asyncdl.rules.held import Crc, Held
from tests.support.verifying import CONTENT, chunk, held

BOUND = 60.0


def read(offset: int, length: int) -> bytes:
    """The content, as a file would have it."""
    return CONTENT[offset : offset + length]


def test_blocks_are_read_to_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """However little a read gives; no more is asked for than a block, or than is left."""
    monkeypatch.setattr(sums, "BLOCK", 64)
    asked: list[tuple[int, int]] = []

    def little(offset: int, length: int) -> bytes:
        asked.append((offset, length))
        return read(offset, min(length, 50))

    assert CONTENT[10:150] == b"".join(blocks(little, 10, 150))
    assert [(10, 64), (60, 64), (110, 40)] == asked
    assert [] == list(blocks(little, 5, 5))


def test_blocks_of_a_file_that_was_cut() -> None:
    """Its end is an error of the disk, not the end of the object."""
    with pytest.raises(OSError, match="shorter") as caught:
        list(blocks(read, len(CONTENT) - 5, len(CONTENT) + 5))

    assert errno.EIO == caught.value.errno


def test_joined() -> None:
    """Neighbours of a kind become one; a gap, another kind, or too great a length keep them apart."""
    bare = [Held(0, 5), Held(5, 9), Held(10, 12)]
    kinds = [Held(0, 5), held(5, 9), held(9, 12, "crc32"), held(12, 20, "crc32")]

    assert [Held(0, 9), Held(10, 12)] == joined(bare)
    assert [Held(0, 5), held(5, 9), held(9, 20, "crc32")] == joined(kinds)
    assert [held(0, 8), held(8, 12)] == joined([held(0, 4), held(4, 8), held(8, 12)], most=8)
    assert [] == joined([])


@pytest.mark.parametrize("algorithm", ["crc32", "crc32c", "crc64nvme", None])
@given(cuts=st.sets(st.integers(1, 999)), dropped=st.sets(st.integers(0, 30)), random=st.randoms())
def test_window(algorithm: str | None, cuts: set[int], dropped: set[int], random: Random) -> None:
    """In whatever order chunks come, their spans come out whole, with the CRC of their bytes."""
    spans = list(itertools.pairwise([0, *sorted(cuts), 1000]))
    taken = [span for number, span in enumerate(spans) if number not in dropped]
    expected = joined([Held(*span) for span in taken])
    random.shuffle(taken)
    window = Window()
    for start, stop in taken:
        window.add(algorithm, chunk(start, stop))
    window.add(algorithm, Chunk(3, b""))

    if algorithm is not None:
        expected = [held(span.start, span.stop, algorithm) for span in expected]
    assert expected == window.close()
    assert [] == window.close()


def test_few_spans_where_they_touch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neighbours are joined once there are many, and to longer ones when there are many again; no CRC is lost."""
    monkeypatch.setattr(sums, "MOST_SPANS", 8)
    monkeypatch.setattr(sums, "JOINED", 40)
    many = Sums([])
    lengths = []
    for start in range(0, 1000, 10):
        many.put(held(start, start + 10))
        many.shorten()
        lengths.append(len(many.items))

    assert 8 == max(lengths)
    assert [held(0, 1000)] == joined(many.items)
    # They are no longer than need be: little is fetched again if one is damaged.
    assert [held(0, 320), held(320, 640)] == list(many.items[:2])


def test_spans_that_do_not_touch(monkeypatch: pytest.MonkeyPatch) -> None:
    """They stay, and are not gone through again with every chunk."""
    monkeypatch.setattr(sums, "MOST_SPANS", 4)
    tried: list[int] = []

    def counted(spans: tuple[Held, ...], most: int) -> list[Held]:
        tried.append(len(spans))
        return joined(spans, most)

    monkeypatch.setattr(sums, "joined", counted)
    many = Sums([])
    for start in range(0, 1000, 10):
        many.put(held(start, start + 9))
        many.shorten()

    assert 100 == len(many.items)
    assert [5, 5, 11, 11, 23, 23, 47, 47, 95, 95] == tried


def test_hash_from_memory_and_disk() -> None:
    """It takes what comes next from wherever it is, the new part of what it has in part, and nothing twice."""
    running = RunningHash("sha256")
    running.in_hand([chunk(50, 60), chunk(10, 20), chunk(0, 10), chunk(20, 30)])
    assert 30 == running.prefix.hashed
    running.in_hand([chunk(5, 40), chunk(0, 8)])
    assert 40 == running.prefix.hashed
    running.read_on(70, read)
    running.read_on(60, read)

    assert 70 == running.prefix.hashed
    assert hashlib.sha256(CONTENT[:70]).digest() == running.digest()
    assert hashlib.sha256().digest() == running.anew().digest()
    assert 0 == running.anew().prefix.hashed


def test_in_hand_does_not_wait_for_the_disk() -> None:
    """Whoever has chunks in hand goes on at once while another thread reads back, and leaves them to it."""
    running = RunningHash("sha256")
    reading, go = threading.Event(), threading.Event()

    def slow(offset: int, length: int) -> bytes:
        reading.set()
        assert go.wait(BOUND)
        return read(offset, length)

    thread = threading.Thread(target=running.read_on, args=(100, slow))
    thread.start()
    assert reading.wait(BOUND)
    running.in_hand([chunk(0, 50)])
    assert 0 == running.prefix.hashed
    go.set()
    thread.join(BOUND)
    running.in_hand([chunk(100, 150)])

    assert Part(0, 150) == (0, running.prefix.hashed)
    assert hashlib.sha256(CONTENT[:150]).digest() == running.digest()


def test_held_of_the_content() -> None:
    """The helper of these tests says what the content adds up to."""
    assert Held(0, 9, Crc("crc32c", hashing.crc("crc32c", CONTENT[:9]))) == held(0, 9)
