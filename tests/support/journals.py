"""Journals to test with: a drawn history of records, and what each beginning of it says."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import strategies as st

from asyncdl.model import Part
from asyncdl.rules.head import Head
from asyncdl.rules.held import CRC_BITS, Crc, Held
from asyncdl.rules.journal import Encoder, State, replay
from asyncdl.rules.ranges import MAX_SIZE

#: One record to write: takes the encoder, gives the bytes.
Write = Callable[[Encoder], bytes]

COUNTS = st.integers(0, MAX_SIZE)
VALIDATOR_TEXT = st.text(st.characters(exclude_categories=["Cs"]) | st.integers(0xDC80, 0xDCFF).map(chr), max_size=40)
ETAGS = VALIDATOR_TEXT.map(lambda text: f'"{text}"')
WEAK_ETAGS = ETAGS.map(lambda tag: f"W/{tag}")
CHECKSUMS = st.binary(min_size=32, max_size=32).map(lambda digest: f"sha256:{digest.hex()}")
TOKENS = st.text("0123456789abcdef", min_size=1, max_size=32)
#: Small, so that ranges meet.
OFFSETS = st.integers(0, 60)


def crcs() -> st.SearchStrategy[Crc]:
    return st.sampled_from(sorted(CRC_BITS)).flatmap(
        lambda name: st.integers(0, 2 ** CRC_BITS[name] - 1).map(lambda value: Crc(name, value))
    )


def heads(sizes: st.SearchStrategy[int | None]) -> st.SearchStrategy[Head]:
    return st.builds(
        Head,
        size=sizes,
        etag=st.none() | ETAGS,
        weak_etag=st.none() | WEAK_ETAGS,
        last_modified=st.none() | VALIDATOR_TEXT.filter(bool),
        checksum=st.none() | CHECKSUMS,
        declared_size=st.none() | COUNTS,
        part_size=st.none() | st.integers(1, MAX_SIZE),
        inode=st.none() | st.integers(0, 2**128 - 1),
        device=st.none() | st.integers(0, 2**128 - 1),
    )


def ranges() -> st.SearchStrategy[Held]:
    bounds = st.tuples(OFFSETS, OFFSETS).filter(lambda pair: pair[0] != pair[1])
    return st.builds(lambda pair, crc: Held(min(pair), max(pair), crc), bounds, st.none() | crcs())


def _claims(held: list[Held]) -> Write:
    return lambda encoder: encoder.claim(held)


def _beats(owner: str, count: int) -> Write:
    return lambda encoder: encoder.beat(owner, count)


def _resets(held: list[Held]) -> Write:
    return lambda encoder: encoder.reset([Part(item.start, item.stop) for item in held])


CLAIMS = st.builds(_claims, st.lists(ranges(), min_size=1, max_size=4))
BEATS = st.builds(_beats, TOKENS, COUNTS)
RESETS = st.builds(_resets, st.lists(ranges(), max_size=2))


def written(head: Head, owner: str, writes: list[Write]) -> list[bytes]:
    """The records, one by one."""
    encoder = Encoder()
    return [encoder.head(head, owner), *(write(encoder) for write in writes)]


def histories(
    writes: st.SearchStrategy[Write] = CLAIMS | BEATS | RESETS, *, most: int = 8
) -> st.SearchStrategy[list[bytes]]:
    """The records of a journal of an object of at least 60 bytes."""
    sizes = st.none() | st.integers(60, MAX_SIZE)
    return st.builds(written, heads(sizes), TOKENS, st.lists(writes, max_size=most))


def beginnings(records: list[bytes]) -> list[State | None]:
    """What the journal says after no record, after the first, ... after all."""
    return [replay(b"".join(records[:count])).state for count in range(len(records) + 1)]


def offsets(state: State | None) -> set[int]:
    """The bytes that a journal of a small object claims."""
    return set() if state is None else {at for span in state.spans for at in range(span.start, span.stop)}
