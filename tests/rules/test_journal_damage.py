"""Damaged journals: cut, flipped, zeroed, shuffled, foreign bytes; they say less, and never anything else."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncdl.model import Part
from asyncdl.rules.head import Head
from asyncdl.rules.held import Crc, Held
from asyncdl.rules.journal import Encoder, Fault, Journal, State, replay
from tests.support.journals import BEATS, CLAIMS, Write, beginnings, histories, offsets, written

#: What a download of some length leaves, with everything a journal can hold.
WRITES: list[Write] = [
    lambda encoder: encoder.claim([Held(0, 8), Held(16, 24, Crc("crc32c", 0xE3069283))]),
    lambda encoder: encoder.beat("9f86d081", 1),
    lambda encoder: encoder.claim([Held(8, 12), Held(32, 40, Crc("crc64nvme", 0xAE8B14860A799888))]),
    lambda encoder: encoder.reset([Part(4, 6)]),
    lambda encoder: encoder.beat("0a1b2c3d", 0),
    lambda encoder: encoder.reset(),
    lambda encoder: encoder.claim([Held(16, 60)]),
]
HEAD = Head(size=60, etag='"\u00e9\udc80"', weak_etag='W/"a"', last_modified="Mon, 06 Jan 2025 00:00:00 GMT", inode=7)
RECORDS = written(HEAD, "9f86d081", WRITES)
DATA = b"".join(RECORDS)
STATES = beginnings(RECORDS)
CLAIMS_ONLY = written(HEAD, "9f86d081", [write for at, write in enumerate(WRITES) if at in {0, 2, 6}])


def ends(records: list[bytes]) -> list[int]:
    """Where each beginning of the journal ends."""
    return [len(b"".join(records[:count])) for count in range(len(records) + 1)]


def check(records: list[bytes], damaged: bytes) -> Journal:
    """What is read is a beginning of the undamaged journal, and stands within the bytes that are good."""
    read = replay(damaged)
    count = ends(records).index(read.valid_length)

    assert beginnings(records)[count] == read.state
    assert damaged[: read.valid_length] == b"".join(records)[: read.valid_length]
    return read


def test_cut_at_every_byte() -> None:
    """The records that are whole count, and the rest of one is torn."""
    for length in range(len(DATA)):
        whole = max(count for count, end in enumerate(ends(RECORDS)) if end <= length)
        expected = None if length in ends(RECORDS)[1:] else Fault.TORN if length else Fault.EMPTY
        read = replay(DATA[:length])

        assert (STATES[whole], expected, ends(RECORDS)[whole]) == (read.state, read.fault, read.valid_length), length


@pytest.mark.parametrize("zeros", [1, 600, 5000])
def test_cut_at_every_byte_and_filled_with_zeros(zeros: int) -> None:
    """A length that reached the disk before its bytes is the same as one that did not."""
    for length in range(len(DATA)):
        whole = max(count for count, end in enumerate(ends(RECORDS)) if end <= length)
        read = replay(DATA[:length] + bytes(zeros))

        assert (STATES[whole], Fault.TORN if length else Fault.EMPTY) == (read.state, read.fault), length


def test_every_bit_flipped() -> None:
    """The record it is in and all after it are gone; those before count."""
    for bit in range(8 * len(DATA)):
        damaged = bytearray(DATA)
        damaged[bit // 8] ^= 1 << bit % 8
        hit = max(count for count, end in enumerate(ends(RECORDS)) if end <= bit // 8)
        read = replay(bytes(damaged))

        assert (STATES[hit], ends(RECORDS)[hit]) == (read.state, read.valid_length), bit
        assert read.fault in {Fault.TORN, Fault.DAMAGED, Fault.FOREIGN}, bit


def test_every_byte_replaced() -> None:
    """Also a byte that becomes a line end, a digit, a zero or a capital letter."""
    for at in range(len(DATA)):
        for byte in {*b"\n\r\0 0aAf[\xff"} - {DATA[at]}:
            check(RECORDS, DATA[:at] + bytes([byte]) + DATA[at + 1 :])


def test_every_byte_dropped_or_doubled() -> None:
    """A byte too few or too many is found where it is."""
    for at in range(len(DATA)):
        assert check(RECORDS, DATA[:at] + DATA[at + 1 :]).fault
        assert check(RECORDS, DATA[:at] + DATA[at : at + 1] + DATA[at:]).fault


@pytest.mark.parametrize("block", [16, 64, 512])
def test_every_block_lost(block: int) -> None:
    """A sector that was not written, in the middle of others that were."""
    for start in range(0, len(DATA), block):
        lost = DATA[:start] + bytes(len(DATA[start : start + block])) + DATA[start + block :]
        read = check(RECORDS, lost)

        assert max(end for end in ends(RECORDS) if end <= start) == read.valid_length


def test_without_resets_damage_never_adds_a_byte() -> None:
    """Whatever happens to a journal of claims, each byte it claims the undamaged one claimed too."""
    data, most = b"".join(CLAIMS_ONLY), offsets(replay(b"".join(CLAIMS_ONLY)).state)
    for bit in range(8 * len(data)):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        assert offsets(replay(bytes(damaged)).state) < most
    for length in range(len(data) - 1):
        assert offsets(replay(data[:length]).state) <= most


@given(records=histories(CLAIMS | BEATS), rng=st.randoms(use_true_random=False))
def test_lines_dropped_doubled_and_swapped(records: list[bytes], rng: random.Random) -> None:
    """Records count only in the order in which they were written, each once and none left out."""
    lines = records[:]
    for _ in range(rng.randint(1, 3)):
        at, other = rng.randrange(len(lines)), rng.randrange(len(lines))
        change = rng.choice(["drop", "double", "swap"])
        if change == "drop" and len(lines) > 1:
            del lines[at]
        elif change == "double":
            lines.insert(other, lines[at])
        else:
            lines[at], lines[other] = lines[other], lines[at]
    read = check(records, b"".join(lines))

    same = next((at for at, pair in enumerate(zip(lines, records, strict=False)) if pair[0] != pair[1]), None)
    expected = min(len(lines), len(records)) if same is None else same
    assert ends(records)[expected] == read.valid_length
    assert offsets(read.state) <= offsets(replay(b"".join(records)).state)


@given(records=histories(), data=st.data())
def test_any_piece_replaced_by_anything(records: list[bytes], data: st.DataObject) -> None:
    """Bytes of any kind over any piece of any journal: a beginning of it, or nothing."""
    whole = b"".join(records)
    start = data.draw(st.integers(0, len(whole)))
    stop = data.draw(st.integers(start, len(whole)))
    filler = data.draw(st.binary(max_size=40) | st.sampled_from([*records, b"\n", b" 00000000\n"]))

    check(records, whole[:start] + filler + whole[stop:])


@given(first=histories(), second=histories(), data=st.data())
def test_the_end_of_another_journal(first: list[bytes], second: list[bytes], data: st.DataObject) -> None:
    """Records that a file of the same name left on the disk do not continue this one."""
    kept = data.draw(st.integers(1, len(first)))
    left = data.draw(st.integers(0, len(second)))
    spliced = b"".join(first[:kept] + second[left:])
    read = replay(spliced)
    agree = first[:kept] == second[:left]

    assert (replay(spliced if agree else b"".join(first[:kept])).state) == read.state


@given(data=st.binary(max_size=300) | st.binary(max_size=300).map(lambda tail: DATA[:40] + tail))
def test_any_bytes(data: bytes) -> None:
    """Nothing raises, and nothing is claimed."""
    read = replay(data)

    assert (None, (), 0) == (read.state, () if read.state is None else read.state.held, read.valid_length)
    assert read.fault is not None


def test_appended_after_a_torn_record_without_a_cut() -> None:
    """Good records behind a torn one do not count, whoever wrote them: that is why the file is cut first."""
    torn = DATA[:-5]
    read = replay(torn)
    encoder = Encoder(read.chain)

    assert read.state == replay(torn + encoder.claim([Held(1, 2)])).state
    assert Fault.DAMAGED is replay(torn + encoder.claim([Held(3, 4)]) + encoder.beat("a", 1)).fault


@given(records=histories(), cut=st.integers(1, 60))
def test_appended_after_a_cut(records: list[bytes], cut: int) -> None:
    """Cut to `valid_length`, the journal is whole, says the same, and goes on."""
    data = b"".join(records)
    read = replay(data[:-cut])
    mended = data[: read.valid_length]
    if read.state is None:
        assert b"" == mended
        return
    again = replay(mended)
    appended = replay(mended + Encoder(read.chain).claim([Held(0, 60)]))

    assert (read.state, None, read.chain) == (again.state, again.fault, again.chain)
    assert (set(range(60)), None) == (offsets(appended.state), appended.fault)


def test_two_writers_on_one_file() -> None:
    """Where locks lie: who took the file over stays its owner, and nothing the other appends later counts."""
    first = Encoder()
    data = first.head(HEAD, "first") + first.claim([Held(0, 8)])
    second = Encoder(replay(data).chain)
    data += second.beat("second", 1)
    data += first.beat("first", 2) + first.claim([Held(8, 16)])
    data += second.claim([Held(16, 24)])
    read = replay(data)

    assert State(head=HEAD, owner="second", beats=1, held=(Held(0, 8),)) == read.state
    assert Fault.DAMAGED is read.fault


def test_a_writer_whose_file_was_begun_anew() -> None:
    """Claims about an object that is no longer the one do not count for the next."""
    first, second = Encoder(), Encoder()
    first.head(HEAD, "first")
    begun = second.head(Head(size=60, etag='"new"'), "second")
    read = replay(begun + first.claim([Held(0, 60)]) + second.claim([Held(0, 1)]))

    assert State(head=Head(size=60, etag='"new"'), owner="second") == read.state


@pytest.mark.parametrize(
    ("tail", "expected"),
    [
        pytest.param(b"claim [16,", Fault.TORN, id="a piece"),
        pytest.param(b"claim [16,60) 00000000\n", Fault.TORN, id="a whole line with a wrong checksum"),
        pytest.param(b"claim [16,60) 00000000\n" + bytes(512), Fault.TORN, id="and zeros after it"),
        pytest.param(b"\n", Fault.TORN, id="an empty line"),
        pytest.param(b"claim [16,60) 00000000\nc", Fault.DAMAGED, id="and more after it"),
        pytest.param(bytes(512) + RECORDS[-1] + b"c", Fault.DAMAGED, id="a hole with more after it"),
    ],
)
def test_torn_is_only_the_last_record(tail: bytes, expected: Fault) -> None:
    """What a crash leaves is told from what it cannot leave; both keep what stands before."""
    read = replay(DATA + tail)

    assert (STATES[-1], expected, len(DATA)) == (read.state, read.fault, read.valid_length)
