"""JSON lines: members as documented, and a bad line is a bad row."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncdl.errors import OptionsError
from asyncdl.rules.lists import jsonl
from asyncdl.rules.lists.row import BadRow, Row

_SHA256 = "ab" * 32


def _one(**members: object) -> Row | BadRow:
    (row,) = jsonl.rows([json.dumps(members)])
    return row


def test_all_members() -> None:
    """Each ends up in its place."""
    row = _one(
        urls=["https://h/a", "https://m/a"],
        out="x/a.bin",
        dir="d",
        size=7,
        checksum=f"sha256:{_SHA256}",
        headers={"X-A": "b"},
        if_exists="replace",
    )

    assert isinstance(row, Row)
    assert (("https://h/a", "https://m/a"), "x/a.bin", "d", 7, "replace") == (
        row.urls,
        row.out,
        row.dir,
        row.size,
        row.if_exists,
    )
    assert (f"sha256:{_SHA256}", (("X-A", "b"),)) == (str(row.checksum), row.headers)


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({"url": "https://h/a", "urls": ["https://h/b"]}, Row(line=1, urls=("https://h/a", "https://h/b"))),
        ({"urls": "https://h/a"}, Row(line=1, urls=("https://h/a",))),
        ({"url": "hf://org/repo@rev"}, Row(line=1, urls=("hf://org/repo@rev",))),
        ({"url": "s3://b/a key"}, Row(line=1, urls=("s3://b/a key",))),
        ({"url": "https://h/a", "dest": "x"}, Row(line=1, urls=("https://h/a",), out="x")),
        ({"url": "https://h/a", "size": "12"}, Row(line=1, urls=("https://h/a",), size=12)),
        ({"url": "https://h/a", "out": None, "size": None}, Row(line=1, urls=("https://h/a",))),
        ({"url": "https://h/a", "caption": "x"}, Row(line=1, urls=("https://h/a",), notes=("caption",))),
        ({"url": "https://h/a", "line": 7, "code": "stall"}, Row(line=1, urls=("https://h/a",))),
        ({"url": "https://h/a", "headers": [["A", "b"]]}, Row(line=1, urls=("https://h/a",), headers=(("A", "b"),))),
    ],
)
def test_spellings(members: dict[str, object], expected: Row) -> None:
    """What means the same is read the same; what nobody knows is noted."""
    assert expected == _one(**members)


def test_the_strongest_digest_counts() -> None:
    """Where each algorithm has a member of its own."""
    row = _one(url="https://h/a", md5="0f" * 16, sha256=_SHA256)

    assert isinstance(row, Row)
    assert f"sha256:{_SHA256}" == str(row.checksum)


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({}, "there is no URL"),
        ({"url": 7}, "url must be text"),
        ({"url": "hunter2secret"}, "the URL"),
        ({"urls": ["https://h/a", 7]}, "url must be text"),
        ({"urls": ["https://h/a", "s3://b/hunter2secret"]}, "neither http nor https"),
        ({"url": "https://h/a", "out": ""}, "out must be text"),
        ({"url": "https://h/a", "out": "a", "dest": "b"}, "out and dest mean the same"),
        ({"url": "https://h/a", "size": -1}, "whole number of bytes"),
        ({"url": "https://h/a", "size": True}, "whole number of bytes"),
        ({"url": "https://h/a", "size": 1.5}, "whole number of bytes"),
        ({"url": "https://h/a", "size": 2**63}, "whole number of bytes"),
        ({"url": "https://h/a", "checksum": "hunter2secret"}, "written with its algorithm"),
        ({"url": "https://h/a", "sha256": "hunter2secret"}, "a value of sha256"),
        ({"url": "https://h/a", "headers": "A: hunter2secret"}, "headers must be"),
        ({"url": "https://h/a", "headers": {"A": "hunter2secret\n"}}, "control character"),
        ({"url": "https://h/a", "if_exists": "hunter2secret"}, "if_exists must be one of"),
        ({"out": "a", "line": 7}, "the URL was left out of this list"),
    ],
)
def test_refused(members: dict[str, object], words: str) -> None:
    """What cannot be used makes the row a bad one, and is not repeated."""
    row = _one(**members)

    assert isinstance(row, BadRow)
    assert words in row.error.message
    assert row.error.message.startswith("line 1: ")
    assert "hunter2secret" not in row.error.message


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("hunter2secret", "not JSON: Expecting value at character 1"),
        ('"https://h/hunter2secret"', "not a JSON object"),
        ('{"a":' * 100_000, "not JSON that anybody reads"),
        ('{"url": "https://h/a", "size": ' + "9" * 5000 + "}", "not JSON that anybody reads"),
        ('{"url": "https://h/a", "url": "https://h/hunter2secret"}', "member url is there twice"),
    ],
)
def test_no_object(line: str, words: str) -> None:
    """Not one of them stops those that follow."""
    bad, good = jsonl.rows(["\n", line, '{"url": "https://h/b"}'][1:])

    assert isinstance(bad, BadRow)
    assert words in bad.error.message
    assert "hunter2secret" not in bad.error.message
    assert Row(line=2, urls=("https://h/b",)) == good


def test_an_array_is_not_lines() -> None:
    """It would have to be held in memory, and says how it becomes lines."""
    with pytest.raises(OptionsError) as caught:
        list(jsonl.rows(["[\n", '{"url": "https://h/a"}\n', "]\n"]))

    assert "jq" in str(caught.value.hint)


def test_many_members_and_one_of_them_twice() -> None:
    """A line of 256 KiB is refused at once: the work does not grow with the square of its members."""
    line = "{" + "".join(f'"{number:x}": 0, ' for number in range(25_000)) + '"url": "https://h/a", "url": ""}'
    began = time.process_time()

    (row,) = jsonl.rows([line])

    assert isinstance(row, BadRow)
    assert row.error.message == "line 1: member url is there twice"
    assert time.process_time() - began < 2.0


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
_KEYS = st.sampled_from(
    ["url", "urls", "out", "dest", "dir", "size", "checksum", "sha256", "headers", "if_exists", "x"]
)


@given(st.dictionaries(_KEYS, _JSON | st.just("https://h/a"), max_size=6))
def test_any_members(members: dict[str, object]) -> None:
    """A row, or a bad one; no other error."""
    row = _one(**members)

    assert isinstance(row, Row | BadRow)


@given(st.text(max_size=50))
def test_any_line(line: str) -> None:
    """A line that is none of ours raises nothing either, unless it begins an array."""
    try:
        rows = list(jsonl.rows([line]))
    except OptionsError:
        assert line.strip().startswith("[")
    else:
        assert len(rows) <= 1
