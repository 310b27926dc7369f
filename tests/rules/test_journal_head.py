"""Heads of journals: what fits, what is left out, and that no validator can pass for more than itself."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from asyncdl.model import RemoteObject
from asyncdl.rules.head import MAX_VALIDATOR, Head
from asyncdl.rules.held import Held
from asyncdl.rules.journal import MAX_RECORD, Encoder, State, replay
from asyncdl.rules.ranges import MAX_SIZE
from tests.support.journals import TOKENS, heads

ANYTHING = heads(st.none() | st.integers(0, MAX_SIZE))
WIDEST = f'"{chr(0x10FFFF) * (MAX_VALIDATOR - 2)}"'


@pytest.mark.parametrize(
    "member",
    [
        {"size": -1},
        {"size": MAX_SIZE + 1},
        {"size": True},
        {"size": 9.0},
        {"size": "9"},
        {"declared_size": -1},
        {"part_size": 0},
        {"part_size": -4096},
        {"inode": -1},
        {"inode": 2**128},
        {"device": "sda"},
        {"etag": ""},
        {"etag": 'W/"weak"'},
        {"etag": "bare"},
        {"etag": '"'},
        {"etag": f'"{"x" * MAX_VALIDATOR}"'},
        {"etag": 7},
        {"weak_etag": '"strong"'},
        {"weak_etag": "W/"},
        {"last_modified": ""},
        {"last_modified": "\ud83d"},
        {"checksum": "sha256:"},
        {"checksum": "sha256:XYZ"},
        {"checksum": f"sha256:{'AB' * 32}"},
        {"checksum": "ab" * 32},
    ],
    ids=repr,
)
def test_no_head(member: dict[str, Any]) -> None:
    """A value that is impossible, or has two spellings, is refused before it is written."""
    with pytest.raises(ValueError, match="head"):
        dataclasses.replace(Head(size=9), **member)


def test_of_keeps_what_fits() -> None:
    """All that is known goes in."""
    remote = RemoteObject(9, '"a"', "Mon, 06 Jan 2025 00:00:00 GMT", 'W/"b"')
    expected = Head(
        size=9,
        etag='"a"',
        weak_etag='W/"b"',
        last_modified="Mon, 06 Jan 2025 00:00:00 GMT",
        checksum=f"md5:{'0a' * 16}",
        declared_size=9,
        part_size=4096,
        inode=7,
        device=8,
    )

    assert expected == Head.of(remote, checksum=f"md5:{'0a' * 16}", declared_size=9, part_size=4096, inode=7, device=8)


@pytest.mark.parametrize("text", ["x" * (MAX_VALIDATOR + 1), "", "\ud83d\ude00"], ids=["long", "empty", "surrogates"])
def test_of_leaves_out_what_does_not(text: str) -> None:
    """A server cannot fill the disk with its validators, nor stop a download with them."""
    too_long = f'"{text}"' if text else text

    assert Head(size=9) == Head.of(RemoteObject(9, too_long, text, f"W/{too_long}" if text else text))


@given(head=ANYTHING, owner=TOKENS)
@example(head=Head(size=0, etag='"\x00\r\n\x0b\x85\u2028 \\ \x7f"', last_modified="\udc80\udcff"), owner="a")
def test_comes_back_as_it_was(head: Head, owner: str) -> None:
    """Whatever a validator holds, the record is one line of visible ASCII and says the same when it is read."""
    record = Encoder().head(head, owner)

    assert State(head=head, owner=owner) == replay(record).state
    assert record[:-1].decode("ascii").replace("\x7f", "").isprintable()
    assert 1 == record.count(b"\n")
    assert record.endswith(b"\n")


@pytest.mark.parametrize(
    "forged",
    [
        pytest.param('"\nclaim [0,9)"', id="a line end"),
        pytest.param('"\r\nclaim [0,9)"', id="a line end of Windows"),
        pytest.param('" 00000000\nclaim [0,9) 00000000\n"', id="a whole record"),
        pytest.param('","size":0,"x":"', id="a member"),
        pytest.param('"}\n"', id="the end of the head"),
    ],
)
def test_no_validator_forges_a_record(forged: str) -> None:
    """Text of the server stays text."""
    encoder = Encoder()
    head = Head(size=9, etag=f'"{forged}"', weak_etag=f'W/"{forged}"', last_modified=forged)
    journal = encoder.head(head, "a") + encoder.claim([Held(3, 4)])

    assert State(head=head, owner="a", held=(Held(3, 4),)) == replay(journal).state


def test_the_longest_head_fits_a_record() -> None:
    """Three validators as long as they may be, of the characters that JSON writes longest."""
    head = Head(
        size=MAX_SIZE,
        etag=WIDEST,
        weak_etag=f"W/{WIDEST[:1]}{WIDEST[3:]}",
        last_modified=WIDEST,
        checksum=f"blake2b:{'ab' * 64}",
        declared_size=MAX_SIZE,
        part_size=MAX_SIZE,
        inode=2**128 - 1,
        device=2**128 - 1,
    )
    record = Encoder().head(head, "x" * 64)

    assert 40_000 > len(record)
    assert MAX_RECORD > 40_000
    assert State(head=head, owner="x" * 64) == replay(record).state
