"""Tables: the header names the columns, cells may hold anything, and a bad row is alone."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncdl.errors import OptionsError
from asyncdl.rules.lists import table
from asyncdl.rules.lists.row import BadRow, Row


def _rows(text: str) -> list[Row | BadRow]:
    return list(table.rows(text.splitlines(keepends=True)))


def test_a_row_without_end() -> None:
    """Cells full of line ends are not gathered for ever."""
    left = iter(["url,out\n", 'https://h/a,"\n', *['","\n'] * 400_000])
    with pytest.raises(OptionsError, match="a row is longer than 1 MiB"):
        list(table.rows(left))

    assert sum(1 for _ in left) > 0


def test_columns() -> None:
    """In any order and case; empty cells say nothing; unknown ones are noted."""
    text = (
        "Out,URL,size,sha256,header:X-A,if_exists,colour\n"
        f"a b.bin,https://h/a?x=1,7,{'ab' * 32},v 1,replace,red\n"
        ",https://h/b,,,,,\n"
    )

    assert [
        Row(
            line=2,
            urls=("https://h/a?x=1",),
            out="a b.bin",
            size=7,
            checksum=_rows(text)[0].checksum,  # type: ignore[union-attr]
            headers=(("X-A", "v 1"),),
            if_exists="replace",
            notes=("colour",),
        ),
        Row(line=3, urls=("https://h/b",)),
    ] == _rows(text)
    assert "sha256:" + "ab" * 32 == str(_rows(text)[0].checksum)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("url\nhttps://h/a\n", Row(line=2, urls=("https://h/a",))),
        ("url;out\nhttps://h/a,b;c\n", Row(line=2, urls=("https://h/a,b",), out="c")),
        ("url\tout\nhttps://h/a;b\tc\n", Row(line=2, urls=("https://h/a;b",), out="c")),
        ("urls,out\nhttps://h/a https://m/a,c\n", Row(line=2, urls=("https://h/a", "https://m/a"), out="c")),
        ('"url","out"\r\n"https://h/a","c ""d"" e"\r\n', Row(line=2, urls=("https://h/a",), out='c "d" e')),
        ("url,out\n\n\nhttps://h/a\n", Row(line=4, urls=("https://h/a",))),
    ],
)
def test_delimiters_and_quotes(text: str, expected: Row) -> None:
    """What the header is written with holds for the rows."""
    assert [expected] == _rows(text)


def test_lines_are_counted_as_an_editor_does() -> None:
    """Also where a cell has several."""
    text = 'url,out\nhttps://h/a,"x\ny"\nhttps://h/b,z\nnonsense,\n'

    assert [2, 4, 5] == [row.line for row in _rows(text)]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("url,out\nhttps://h/a,b,hunter2secret\n", "line 2: 3 cells, and only 2 columns"),
        ("url,size\nhttps://h/a,hunter2secret\n", "line 2: the size"),
        ("url,header:A B\nhttps://h/a,hunter2secret\n", "line 2: a header's name"),
        ("url,headers\nhttps://h/a,A: hunter2secret\n", "line 2: a header has a column of its own"),
        ('url,out\n"https://h/hunter2secret"x,b\n', "line 2: not a row of a table"),
        ('url,out\nhttps://h/a,"hunter2secret\n', "line 2: not a row of a table"),
        ("url,out\n,hunter2secret\n", "line 2: there is no URL"),
    ],
)
def test_refused(text: str, words: str) -> None:
    """Row by row, without repeating what is in the cells."""
    bad = _rows(text)[-1]

    assert isinstance(bad, BadRow)
    assert words in bad.error.message
    assert "hunter2secret" not in bad.error.message


@pytest.mark.parametrize("text", ["", "https://h/a\n", "a,b\n1,2\n", "url,out,url\n", "url,size,SIZE\n"])
def test_no_table(text: str) -> None:
    """Without a column of URLs, or with a column twice, nothing in it means anything."""
    with pytest.raises(OptionsError):
        _rows(text)


_CELL = st.text(st.characters(codec="utf-8", exclude_characters="\x00\r"), max_size=15)


@given(st.lists(st.lists(_CELL, max_size=4), max_size=6))
def test_any_cells(rows: list[list[str]]) -> None:
    """Rows or bad rows, each at a line of the file; no other error."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([["url", "out", "size"], *rows])
    read = _rows(text.getvalue())

    assert sorted({row.line for row in read}) == [row.line for row in read]


@given(st.lists(_CELL.filter(lambda cell: cell.strip() == cell and cell != ""), max_size=6))
def test_what_was_written_is_read(names: list[str]) -> None:
    """Whatever the cells hold, quoted as the standard library does it."""
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows([["url", "out"], *(["https://h/a", name] for name in names)])

    assert names == [row.out for row in table.rows(io.StringIO(text.getvalue(), newline="\n")) if isinstance(row, Row)]
