"""Which format a list is in, and lists of checksums below one URL."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator

import pytest

from asyncdl.errors import OptionsError
from asyncdl.model import Checksum
from asyncdl.rules.lists import formats
from asyncdl.rules.lists.formats import Format, by_content, by_name, read
from asyncdl.rules.lists.row import BadRow, Row, checked_source

_MD5 = "0f" * 16


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a/list.jsonl", "jsonl"),
        ("list.NDJSON", "jsonl"),
        ("list.json.gz", "jsonl"),
        ("x.csv", "csv"),
        ("x.tsv", "csv"),
        ("x.meta4", "metalink"),
        ("x.metalink", "metalink"),
        ("SHA256SUMS", "checksums"),
        ("dir\\sha512sums.txt", "checksums"),
        ("ubuntu-24.04-SHA256SUMS", "checksums"),
        ("model.bin.sha256", "checksums"),
        ("B2SUMS", "checksums"),
        ("checksums.txt", "checksums"),
        ("list.txt", None),
        ("csv", None),
        ("-", None),
        ("", None),
    ],
)
def test_by_name(name: str, expected: Format | None) -> None:
    """The end of the name, whatever case it is in and however the list is compressed."""
    assert expected == by_name(name)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('{"url": "https://h/a"}', "jsonl"),
        (" [", "jsonl"),
        ("<?xml version='1.0'?>", "metalink"),
        ("url,out", "csv"),
        ("OUT;URL", "csv"),
        ("url", "csv"),
        (f"{_MD5}  a.bin", "checksums"),
        (f"MD5 (a.bin) = {_MD5}", "checksums"),
        ("https://h/a", "aria2"),
        ("https://h/a,b?url=,url", "aria2"),
        ("https://h/a\thttps://h/b", "aria2"),
        ("s3://b/k", "aria2"),
        ("nonsense", "aria2"),
        ("", "aria2"),
    ],
)
def test_by_content(line: str, expected: Format) -> None:
    """The first line that says something."""
    assert expected == by_content(line)


def test_long_comments() -> None:
    """No more than some MiB of them is looked past, and none is lost."""
    left = iter(["#" * (1 << 19)] * 100)
    rows = read(left)

    assert 97 == sum(1 for _ in left)
    assert [] == list(rows)


def test_comments_before_a_table() -> None:
    """They are looked past there too, and the lines are counted all the same."""
    rows = list(read(["# a list\n", "\n", "url,out\n", "https://h/a,b\n", ",c\n"]))

    assert [(4, Row), (5, BadRow)] == [(row.line, type(row)) for row in rows]


def test_comments_are_looked_past() -> None:
    """And no line is lost by looking."""
    rows = list(read(["\n", "# a list\n", '{"url": "https://h/a"}\n', '{"url": "https://h/b"}\n'], wanted=None))

    # A comment is none in JSON lines, and says so.
    assert [(2, BadRow), (3, Row), (4, Row)] == [(row.line, type(row)) for row in rows]


@pytest.mark.parametrize(
    ("wanted", "line"),
    [("urls", "https://h/a\n"), ("aria2", "https://h/a\n"), ("jsonl", '{"url": "https://h/a"}\n')],
)
def test_what_was_asked_for_counts(wanted: Format, line: str) -> None:
    """Whatever the name says."""
    assert [Row(line=1, urls=("https://h/a",))] == list(read([line], name="x.csv", wanted=wanted))


@pytest.mark.parametrize(
    ("base", "url"),
    [
        ("https://h/d", "https://h/d/x/a%20b.bin"),
        ("https://h/d/", "https://h/d/x/a%20b.bin"),
        ("https://h/d?sig=1", "https://h/d/x/a%20b.bin?sig=1"),
        ("s3://bucket/d/", "s3://bucket/d/x/a b.bin"),
    ],
)
def test_checksums_below_a_url(base: str, url: str) -> None:
    """The name is below the directory, encoded as its scheme wants it; the query, which may permit it, stays."""
    rows = list(read([f"{_MD5} *./x/a b.bin\r\n", "# c\n", "\n"], name="MD5SUMS", base_url=base))

    assert [Row(line=1, urls=(url,), out="x/a b.bin", checksum=Checksum.parse(f"md5:{_MD5}"))] == rows


def test_128_digits_in_a_list_of_blake2() -> None:
    """The list's name says what they are."""
    lines = [f"{'ab' * 64}  a\n"]
    kinds = [
        row.checksum.algorithm
        for name in ("B2SUMS", "SHA512SUMS")
        for row in read(lines, name=name, base_url="https://h/")
        if isinstance(row, Row) and row.checksum
    ]

    assert ["blake2b", "sha512"] == kinds


def test_a_line_that_is_no_checksum() -> None:
    """It is a bad row, and not passed over: the file would be missing without a word."""
    (bad,) = read(["nonsense\n"], wanted="checksums", base_url="https://h/")

    assert isinstance(bad, BadRow)
    assert "line 1: not a checksum and a name" == bad.error.message


@pytest.mark.parametrize("lines", [[], ["\n"], ["# nothing yet\n", "\n"]])
def test_nothing_in_it(lines: list[str]) -> None:
    """A list may be empty, or say nothing but comments."""
    assert [] == list(read(lines))


def test_base_url() -> None:
    """Where it is needed it must be there, and only there."""
    with pytest.raises(OptionsError, match="no URLs"):
        list(read([f"{_MD5}  a\n"]))
    with pytest.raises(OptionsError, match="of the format aria2"):
        list(read(["https://h/a\n"], base_url="https://h/"))


def test_every_format_is_read() -> None:
    """None is offered that nothing reads."""
    for wanted in formats.FORMATS:
        base = "https://h/" if wanted == "checksums" else None
        lines = (
            ["url\n"]
            if wanted == "csv"
            else ['<metalink xmlns="urn:ietf:params:xml:ns:metalink"/>'] * (wanted == "metalink")
        )

        assert [] == list(read(lines, wanted=wanted, base_url=base))


_LINES: dict[Format, Callable[[int], str]] = {
    "aria2": lambda number: f"https://host/{number}?sig={number}\n  out=d/{number}.bin\n",
    "checksums": lambda number: f"{number:064x}  d/{number}.bin\n",
    "csv": lambda number: f"https://host/{number},d/{number}.bin\n",
    "jsonl": lambda number: f'{{"url": "https://host/{number}", "out": "d/{number}.bin"}}\n',
    "metalink": lambda number: f'<file name="d/{number}.bin"><url>https://host/{number}</url></file>\n',
    "urls": lambda number: f"https://host/{number}\n",
}
_FIRST: dict[Format, str] = {"csv": "url,out\n", "metalink": '<metalink xmlns="urn:ietf:params:xml:ns:metalink">\n'}


@pytest.mark.parametrize("wanted", formats.FORMATS)
def test_memory_is_flat(wanted: Format) -> None:
    """Ten times as many rows take no more of it."""

    def peak(count: int) -> int:
        def lines() -> Iterator[str]:
            yield _FIRST.get(wanted, "\n")
            for number in range(count):
                yield from _LINES[wanted](number).splitlines(keepends=True)
            if wanted == "metalink":
                yield "</metalink>\n"

        tracemalloc.start()
        try:
            seen = sum(
                1 for _ in read(lines(), wanted=wanted, base_url="https://h/" if wanted == "checksums" else None)
            )
            return tracemalloc.get_traced_memory()[1] if seen == count else -1
        finally:
            tracemalloc.stop()

    peak(500)  # what is loaded, compiled and remembered when first used
    few, many = peak(500), peak(5000)

    assert few > 0
    assert many < few + 100_000


@pytest.mark.parametrize("url", ["s3://bucket/a\x01b", "wandb://a/b/c:v1\x7f"])
def test_control_characters_in_other_urls(url: str) -> None:
    """URLs that are for a source are taken as they stand, but not with what no line should hold."""
    with pytest.raises(OptionsError, match="control character") as caught:
        checked_source(url)
    assert url not in str(caught.value)
