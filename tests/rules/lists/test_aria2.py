"""Input files of aria2, and plain lists of URLs: read as its manual has them, or refused row by row."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncdl.rules.lists import aria2
from asyncdl.rules.lists.row import BadRow, Row

_SHA1 = "0192ba11326fe2298c8cb4de616f4d4140213838"


def _one(text: str) -> Row:
    (row,) = aria2.rows(text.splitlines(keepends=True))
    assert isinstance(row, Row), row
    return row


def _refusal(text: str) -> str:
    (row,) = aria2.rows(text.splitlines(keepends=True))
    assert isinstance(row, BadRow), row
    return f"{row.error} {row.error.hint}"


def test_options_without_end() -> None:
    """A file with more than 1 MiB of options is refused, and the next one is not."""
    lines = ["https://h/a\n", *[f" header=X-{'y' * 50}: 1\n"] * 20_000, "https://h/b\n", " out=c\n"]
    bad, good = aria2.rows(lines)

    assert isinstance(bad, BadRow)
    assert "line 1: the options are longer than 1 MiB" == bad.error.message
    assert isinstance(good, Row)
    assert "c" == good.out


def test_the_manuals_example() -> None:
    """Mirrors on one line with a TAB between, options below, and a second file without any."""
    text = "http://server/file.iso\thttp://mirror/file.iso\n  dir=/iso_images\n  out=file.img\nhttp://foo/bar\n"

    assert [
        Row(
            line=1,
            urls=("http://server/file.iso", "http://mirror/file.iso"),
            dir="/iso_images",
            out="file.img",
        ),
        Row(line=4, urls=("http://foo/bar",)),
    ] == list(aria2.rows(text.splitlines(keepends=True)))


def test_every_option_that_counts() -> None:
    """Each ends up in its place, whatever blanks are around it."""
    row = _one(
        "https://h/a\n\tout = a b.bin\n  dir=d/e\n checksum=sha-1=" + _SHA1 + "\n header=X-A: b78\n"
        " header=X-B:9J1\n referer=https://r/\n user-agent=U\n allow-overwrite=true\n"
    )

    assert ("a b.bin", "d/e", f"sha1:{_SHA1}", "replace") == (row.out, row.dir, str(row.checksum), row.if_exists)
    assert (("X-A", "b78"), ("X-B", "9J1"), ("Referer", "https://r/"), ("User-Agent", "U")) == row.headers


def test_comments_and_blank_lines() -> None:
    """They are none of the rows, also between a URL and its options, and lines keep their numbers."""
    text = "\n# first\nhttps://h/a\n# between\n\n   \n out=x\n#last\nhttps://h/b\n"

    assert [(3, "x"), (9, None)] == [
        (row.line, row.out) for row in aria2.rows(text.splitlines(keepends=True)) if isinstance(row, Row)
    ]


def test_what_only_says_how_fast_is_noted() -> None:
    """It is kept in mind, and the file is fetched."""
    row = _one("https://h/a\n split=5\n max-connection-per-server=4\n bt-max-peers=3\n pause=false\n")

    assert ("split", "max-connection-per-server", "bt-max-peers", "pause") == row.notes


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("all-proxy=http://p:1", "option all-proxy is none"),
        ("http-passwd=hunter2secret", "option http-passwd is none"),
        ("dry-run=true", "option dry-run is none"),
        ("index-out=1=x", "option index-out is none"),
        ("ou=x", "option ou is none"),
        ("--out=x", "no hyphens"),
        ("out", "NAME=VALUE"),
        ("http://mirror/hunter2secret", "follow after a TAB"),
        ("http://mirror/a?sig=hunter2secret", "one with a strange name"),
        ("checksum=sha-1=hunter2secret", "a value of sha1"),
        ("checksum=adler32=00000000", "unknown checksum algorithm"),
        ("header=hunter2secret", "Name: value"),
        ("header=A: hunter2secret\x01", "a control character"),
        ("header=Range: bytes=0-", "header Range is set by the download itself"),
        ("allow-overwrite=yes", "true or false"),
    ],
)
def test_refused(options: str, words: str) -> None:
    """One bad option makes a bad row: nothing is fetched in another way than was asked for. Its value stays secret."""
    said = _refusal(f"https://h/a\n {options}\n")

    assert said.startswith("line 1: ")
    assert words in said
    assert "hunter2secret" not in said


@pytest.mark.parametrize(
    "line",
    [
        "hunter2secret",
        "https://u:hunter2secret@/",
        "https://h/a https://h/hunter2secret",
        "https://h/a\ts3://b/hunter2secret",
        " out=hunter2secret",
    ],
)
def test_bad_urls(line: str) -> None:
    """They are refused without being repeated."""
    assert "hunter2secret" not in _refusal(line)


def test_a_bad_row_is_alone() -> None:
    """Those before and after it are read."""
    text = "https://h/a\nnonsense\nhttps://h/b\n x=y\nhttps://h/c"

    assert [(1, Row), (2, BadRow), (3, BadRow), (5, Row)] == [
        (row.line, type(row)) for row in aria2.rows(text.splitlines(keepends=True))
    ]


def test_lazy() -> None:
    """A row is there as soon as the next one begins, and no line is taken in advance."""
    taken: list[int] = []

    def lines() -> Iterator[str]:
        for number in range(1_000_000):
            taken.append(number)
            yield f"https://h/{number}\n"

    rows = aria2.rows(lines())
    next(rows)

    assert [0, 1] == taken


def test_plain() -> None:
    """One URL a line, and a TAB separates nothing."""
    rows = list(aria2.plain(["# c\n", "  https://h/a?sig=1  \r\n", "\n", "https://h/b\thttps://h/c\n"]))

    assert [(2, Row), (4, BadRow)] == [(row.line, type(row)) for row in rows]
    assert Row(line=2, urls=("https://h/a?sig=1",)) == rows[0]


@given(st.lists(st.text(st.characters(codec="utf-8") | st.sampled_from("\t =#:/"), max_size=60), max_size=8))
def test_any_text(lines: list[str]) -> None:
    """Whatever is in the file: rows, each with a line of it; no other error, and each line begins at most one row."""
    rows = list(aria2.rows(lines))

    assert sorted({row.line for row in rows}) == [row.line for row in rows]
    assert all(1 <= row.line <= len(lines) for row in rows)
    assert all(row.urls for row in rows if isinstance(row, Row))


_NAME = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1, max_size=20)


@given(
    st.lists(
        st.tuples(st.lists(st.integers(0, 10**6), min_size=1, max_size=3, unique=True), st.none() | _NAME), max_size=20
    )
)
def test_what_was_written_is_read(files: list[tuple[list[int], str | None]]) -> None:
    """Any files, written as aria2 has them."""
    text = "".join(
        "\t".join(f"https://h/{number}?s={number}" for number in numbers) + "\n" + (f" out={out}\n" if out else "")
        for numbers, out in files
    )

    assert [(tuple(f"https://h/{number}?s={number}" for number in numbers), out) for numbers, out in files] == [
        (row.urls, row.out) for row in aria2.rows(text.split("\n")) if isinstance(row, Row)
    ]
