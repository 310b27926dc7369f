"""The journal's format, to the byte: what is written, what is read, and where reading stops."""

from __future__ import annotations

import json
import re
import zlib
from pathlib import Path

import pytest
from hypothesis import given

import asyncdl.rules.journal
from asyncdl.model import Part
from asyncdl.rules.head import Head
from asyncdl.rules.held import Crc, Held
from asyncdl.rules.journal import MAX_JOURNAL, MAX_RECORD, Encoder, Fault, Journal, State, compacted, replay
from asyncdl.rules.ranges import MAX_SIZE
from tests.support.journals import histories

PAGE = Path(__file__).parents[2] / "docs" / "journal.md"
HEAD = Head(size=100, etag='"a"', part_size=40, inode=7, device=8)
MEMBERS = (
    b'{"owner":"o1","size":100,"etag":"\\"a\\"","weak_etag":null,"last_modified":null,"checksum":null,'
    b'"declared_size":null,"part_size":40,"inode":7,"device":8}'
)
CRC = Crc("crc32c", 0xE3069283)


def journal(*texts: bytes) -> bytes:
    """Records of any text, whole."""
    lines, chain = [], 0
    for text in texts:
        chain = zlib.crc32(text, chain)
        lines.append(b"%s %08x\n" % (text, chain))
    return b"".join(lines)


FIRST = b"asyncdl-journal 1 " + MEMBERS


def test_written_to_the_byte() -> None:
    """Each kind of record, as docs/journal.md describes it."""
    encoder = Encoder()
    written = (
        encoder.head(HEAD, "o1")
        + encoder.claim([Held(0, 40), Held(40, 80, CRC)])
        + encoder.beat("o1", 3)
        + encoder.reset([Part(0, 40), Part(50, 60)])
        + encoder.reset()
    )

    assert written == journal(
        FIRST, b"claim [0,40) [40,80)=crc32c:e3069283", b"owner o1 3", b"reset [0,40) [50,60)", b"reset"
    )
    assert encoder.chain == replay(written).chain


def test_the_page_shows_a_journal() -> None:
    """The example of docs/journal.md can be read, and says what the page says of it."""
    example = re.findall(r"^```text\n(asyncdl-journal 1 .*?)^```$", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    read = replay(example[0].encode())

    assert (1, None) == (len(example), read.fault)
    assert read.state is not None
    assert (
        Head(
            size=20_971_520,
            etag='"5d41402abc4b2a76-3"',
            last_modified="Mon, 06 Jan 2025 08:00:00 GMT",
            part_size=8_388_608,
            inode=131_074,
            device=2049,
        )
        == read.state.head
    )
    assert ("9f86d081884c7d65", 2) == (read.state.owner, read.state.beats)
    assert (Held(0, 4_194_304), Held(8_388_608, 16_777_216, CRC)) == read.state.held


def test_replayed() -> None:
    """The records in order: claims add up, a reset takes away, the last owner counts."""
    data = journal(
        FIRST, b"claim [0,40) [40,80)=crc32c:e3069283", b"owner o2 1", b"reset [0,10)", b"owner o2 2", b"claim [90,100)"
    )
    expected = State(head=HEAD, owner="o2", beats=2, held=(Held(10, 40), Held(40, 80, CRC), Held(90, 100)))
    read = replay(data)

    assert expected == read.state
    assert (Part(10, 80), Part(90, 100)) == expected.spans
    assert (None, 1, len(data), True) == (read.fault, read.version, read.valid_length, read.usable)


def test_a_reset_without_ranges_takes_everything() -> None:
    """Nothing claimed before counts, what is claimed after does."""
    data = journal(FIRST, b"claim [0,40) [40,80)=crc32c:e3069283", b"reset", b"claim [1,2)")

    assert State(head=HEAD, owner="o1", held=(Held(1, 2),)) == replay(data).state


def test_an_object_without_a_size() -> None:
    """Where the end is not known, ranges end where files do."""
    encoder = Encoder()
    data = encoder.head(Head(size=None), "o1") + encoder.claim([Held(0, MAX_SIZE)])

    assert State(head=Head(size=None), owner="o1", held=(Held(0, MAX_SIZE),)) == replay(data).state


@pytest.mark.parametrize("text", [b"note", b"note about [0,100)", b"claims [0,100)", b"x-1 2", b"reset-all"])
def test_unknown_kinds_are_passed_over(text: bytes) -> None:
    """A record of a kind that came later claims nothing, and hides nothing that follows."""
    expected = State(head=HEAD, owner="o1", held=(Held(0, 20),))
    read = replay(journal(FIRST, b"claim [0,10)", text, b"claim [10,20)"))

    assert (None, expected) == (read.fault, read.state)


@pytest.mark.parametrize(
    "text",
    [
        b"claim",
        b"claim ",
        b"claim  [0,9)",
        b"claim [0,9) ",
        b"claim [0,9)\t[10,11)",
        b"claim [9,9)",
        b"claim [9,3)",
        b"claim [-1,3)",
        b"claim [0,101)",
        b"claim [0,9223372036854775808)",
        b"claim [0,99999999999999999999)",
        b"claim [00,9)",
        b"claim [0,+9)",
        b"claim [0,9]",
        b"claim (0,9)",
        b"claim 0-9",
        b"claim [0,9)=",
        b"claim [0,9)=crc32c:e306928",
        b"claim [0,9)=crc32c:E3069283",
        b"claim [0,9)=crc32c:00000000e3069283",
        b"claim [0,9)=crc64nvme:e3069283",
        b"claim [0,9)=md5:e3069283",
        "claim [0,٩)".encode(),
        b"claim [0,9)\xff",
        b"reset ",
        b"reset everything",
        b"owner",
        b"owner o1",
        b"owner o1 -1",
        b"owner o1 9223372036854775808",
        b"owner o\xc3\xa9 1",
        b"owner " + b"x" * 65 + b" 1",
        b"",
        b" claim [0,9)",
        b"Claim [0,9)",
        b"note \xff",
        FIRST,
    ],
)
def test_a_record_that_says_nothing_possible_ends_it(text: bytes) -> None:
    """What stands before counts, and nothing of the record or after it."""
    good = journal(FIRST, b"claim [0,10)")
    read = replay(journal(FIRST, b"claim [0,10)", text, b"claim [20,30)"))

    assert State(head=HEAD, owner="o1", held=(Held(0, 10),)) == read.state
    assert (Fault.DAMAGED, len(good), True) == (read.fault, read.valid_length, read.usable)


def members(**changes: object) -> bytes:
    return b"asyncdl-journal 1 " + json.dumps({**json.loads(MEMBERS), **changes}).encode()


def without(name: str) -> bytes:
    loaded = json.loads(MEMBERS)
    del loaded[name]
    return b"asyncdl-journal 1 " + json.dumps(loaded).encode()


@pytest.mark.parametrize(
    "first",
    [
        pytest.param(members(size=-1), id="size"),
        pytest.param(members(size=True), id="bool"),
        pytest.param(members(owner=None), id="no owner"),
        pytest.param(members(owner="o 1"), id="owner"),
        pytest.param(without("owner"), id="owner missing"),
        pytest.param(without("etag"), id="member missing"),
        pytest.param(b"asyncdl-journal 1 []", id="list"),
        pytest.param(b"asyncdl-journal 1 ", id="nothing"),
        pytest.param(b"asyncdl-journal 1 {", id="no JSON"),
        pytest.param(b"asyncdl-journal 1 " + b"[" * 60_000, id="deep JSON"),
        pytest.param(b'asyncdl-journal 1 {"size":' + b"9" * 5000 + b"}", id="a huge number"),
        pytest.param(FIRST.replace(b'\\"a\\"', b'\\"\xc3\xa9\\"'), id="no ASCII"),
    ],
)
def test_a_first_record_that_says_nothing_possible(first: bytes) -> None:
    """Without a head nothing counts."""
    read = replay(journal(first, b"claim [0,10)"))

    assert Journal(fault=Fault.DAMAGED, version=1) == read
    assert not read.usable


def test_unknown_members_of_the_head_are_passed_over() -> None:
    """What a later release notes besides does not make the journal unreadable."""
    assert State(head=HEAD, owner="o1") == replay(journal(members(note={"a": [1]}))).state


@pytest.mark.parametrize("version", [2, 10, 999_999_999])
@pytest.mark.parametrize("rest", [b" " + MEMBERS, b' {"size":"many","parts":{}}', b" anything at all \xff", b" "])
def test_newer(version: int, rest: bytes) -> None:
    """A later version is recognised by its first line, whatever else has changed."""
    read = replay(journal(b"asyncdl-journal %d%s" % (version, rest)) + b"\x00binary\n")

    assert Journal(fault=Fault.NEWER, version=version) == read
    assert not read.usable


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"hello\n", id="text"),
        pytest.param(b"\x80\x04\x95pickle", id="pickle"),
        pytest.param(b"\x00asyncdl-journal 1 ", id="not from the first byte"),
        pytest.param(b"asyncdl-journals 1 {}\n", id="another name"),
        pytest.param(journal(b"claim [0,9)"), id="no head"),
        pytest.param(journal(b""), id="a record without text"),
        pytest.param(journal(b"asyncdl-journal 0 " + MEMBERS), id="version 0"),
        pytest.param(journal(b"asyncdl-journal 01 " + MEMBERS), id="version 01"),
        pytest.param(journal(b"asyncdl-journal one " + MEMBERS), id="version one"),
    ],
)
def test_foreign(data: bytes) -> None:
    """A file that is not ours is said to be so; nobody should delete it."""
    assert Journal(fault=Fault.FOREIGN) == replay(data)


@pytest.mark.parametrize("length", [0, 1, 511, 512, 4096, 100_000])
def test_empty(length: int) -> None:
    """No bytes, or only zeros as file systems leave them after a crash, say nothing."""
    assert Journal(fault=Fault.EMPTY) == replay(bytes(length))


def test_a_record_of_the_greatest_length() -> None:
    """The bound counts the whole line, and what is longer is not read."""
    longest = MAX_RECORD - len(b" 00000000\n")

    assert replay(journal(FIRST, b"x " + b"x" * (longest - 2))).fault is None
    assert Fault.TORN is replay(journal(FIRST, b"x " + b"x" * (longest - 1))).fault


def test_many_ranges_make_several_records() -> None:
    """No record grows beyond its bound, also with the longest ranges."""
    huge = MAX_SIZE - 100_000
    held = tuple(Held(huge + 2 * at, huge + 2 * at + 1, Crc("crc64nvme", 2**64 - 1 - at)) for at in range(1000))
    encoder = Encoder()
    data = encoder.head(Head(size=MAX_SIZE), "o1") + encoder.claim(held)

    assert MAX_RECORD > max(map(len, data.splitlines(keepends=True)))
    assert State(head=Head(size=MAX_SIZE), owner="o1", held=held) == replay(data).state
    assert b"" == encoder.claim([])


def test_too_many_ranges_end_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A journal cannot fill the memory; the record that would go too far changes nothing."""
    monkeypatch.setattr(asyncdl.rules.journal, "MAX_RANGES", 3)
    full = replay(journal(FIRST, b"claim [0,9) [10,19)", b"claim [20,29)"))
    assert full.state is not None

    assert full.fault is None
    for text in (b"claim [30,39)", b"claim [9,10) [40,41) [42,43) [44,45)", b"reset [3,4)"):
        read = replay(journal(FIRST, b"claim [0,9) [10,19)", b"claim [20,29)", text))
        assert (Fault.DAMAGED, full.state) == (read.fault, read.state)
    assert (Held(0, 19), Held(20, 29)) == (
        replay(journal(FIRST, b"claim [0,9) [10,19)", b"claim [20,29)", b"claim [9,10)")).state or full.state
    ).held
    assert full.state == replay(compacted(full.state)).state


def test_what_lies_beyond_the_bound_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """A journal is never read for ever."""
    data = journal(FIRST, b"claim [0,10)", b"claim [20,30)")
    monkeypatch.setattr(asyncdl.rules.journal, "MAX_JOURNAL", len(data) - 1)
    read = replay(data)

    assert (Fault.TORN, State(head=HEAD, owner="o1", held=(Held(0, 10),))) == (read.fault, read.state)
    assert 2**25 == MAX_JOURNAL


@pytest.mark.parametrize("token", ["", "a b", "a\n", "x" * 65, "é", 'a"'])
def test_no_token(token: str) -> None:
    """An owner's token is a word of bounded length."""
    with pytest.raises(ValueError, match="token"):
        Encoder().head(HEAD, token)
    with pytest.raises(ValueError, match="token"):
        Encoder().beat(token, 1)
    with pytest.raises(ValueError, match="token"):
        compacted(State(head=HEAD, owner="o1"), owner=token)


@pytest.mark.parametrize("count", [-1, MAX_SIZE + 1])
def test_no_count(count: int) -> None:
    """A count is one that any reader can hold."""
    with pytest.raises(ValueError, match="count"):
        Encoder().beat("o1", count)


def test_a_refused_record_leaves_the_encoder_as_it_was() -> None:
    """The next record continues the last one that was made."""
    encoder = Encoder()
    data = encoder.head(HEAD, "o1")
    with pytest.raises(ValueError, match="token"):
        encoder.beat("no token", 1)

    assert replay(data + encoder.beat("o1", 1)).fault is None


def test_compacted_to_the_byte() -> None:
    """As few records as say the same; a new owner begins at nought."""
    state = State(head=HEAD, owner="o2", beats=7, held=(Held(0, 40, CRC), Held(50, 60)))
    first = FIRST.replace(b"o1", b"o2")

    assert journal(first, b"owner o2 7", b"claim [0,40)=crc32c:e3069283 [50,60)") == compacted(state)
    assert journal(FIRST, b"claim [0,40)=crc32c:e3069283 [50,60)") == compacted(state, owner="o1")


@given(records=histories())
def test_compacted_says_the_same(records: list[bytes]) -> None:
    """Compacting loses nothing, and twice is as good as once."""
    state = replay(b"".join(records)).state
    assert state is not None
    once = compacted(state)
    again = replay(once)
    assert again.state is not None

    assert (state, None) == (again.state, again.fault)
    assert once == compacted(again.state)


@given(records=histories(), more=histories())
def test_a_journal_goes_on_where_it_ended(records: list[bytes], more: list[bytes]) -> None:
    """Records appended after a replay are as good as records written in one go."""
    data = b"".join(records)
    state = replay(b"".join(more)).state
    assert state is not None
    encoder = Encoder(replay(data).chain)
    data += encoder.beat("o9", 1) + encoder.reset() + encoder.claim(state.held)
    read = replay(data)
    assert read.state is not None

    assert (None, "o9", 1, state.held) == (read.fault, read.state.owner, read.state.beats, read.state.held)
