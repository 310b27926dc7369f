"""What is gathered of a small object: always its bytes from the first on, each once, however often they come."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from asyncdl.edge.disk import OsDisk
from asyncdl.edge.opening import Names
from asyncdl.edge.small_file import SmallFile
from asyncdl.model import Chunk
from asyncdl.small import SmallObject

DATA = bytes(range(200))


def gathering(size: int = len(DATA)) -> SmallObject:
    file = SmallFile(Names.of(Path("file")), if_exists="skip", mode=None, check_space=False, disk=OsDisk())
    return SmallObject(size, file, pinned=None, promises=())


@given(st.lists(st.tuples(st.integers(0, 200), st.lists(st.integers(1, 90), max_size=6)), max_size=8))
def test_begins_again_anywhere(streams: list[tuple[int, list[int]]]) -> None:
    """Streams that each begin where an earlier one had come, or before: their bytes in order, and buffers go back."""
    small, end, lent = gathering(), 0, 0
    returned: Counter[int] = Counter()
    for start, lengths in streams:
        at = min(start, end)
        for length in lengths:
            stop = min(at + length, len(DATA))
            small.put_nowait(Chunk(at, DATA[at:stop], on_release=lambda number=lent: returned.update([number])))  # type: ignore[misc]
            lent, at = lent + 1, stop
            end = stop

    assert DATA[:end] == b"".join(chunk.data for chunk in small.chunks)
    assert sum(len(chunk.data) for chunk in small.chunks) <= len(DATA)
    assert set(returned.values()) <= {1}
    for chunk in small.chunks:
        chunk.release()
    assert set(range(lent)) == set(returned)


def test_byte_at_a_time() -> None:
    """Crumbs take no more room than what they add up to, and not for ever to put together."""
    size = 200_000
    small = gathering(size)
    for at in range(size):
        small.put_nowait(Chunk(at, bytes([at % 251])))

    assert bytes(at % 251 for at in range(size)) == b"".join(chunk.data for chunk in small.chunks)
    assert len(small.chunks) <= 20


def test_what_has_just_come_is_left_alone() -> None:
    """Whoever brings a chunk counts its bytes afterwards."""
    small = gathering()
    for at in range(0, 40, 10):
        chunk = Chunk(at, DATA[at : at + 10])
        small.put_nowait(chunk)

        assert (at, at + 10) == (chunk.offset, chunk.stop)


def test_never_full() -> None:
    """Whoever brings bytes does not wait: there are no more of them than of one chunk."""
    small = gathering()
    small.put_nowait(Chunk(0, DATA))

    assert not small.full()
