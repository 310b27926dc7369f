"""Metalink documents: as RFC 5854 has them, lazily, and none that could grow or lead elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from xml.sax.saxutils import quoteattr

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncdl.errors import OptionsError
from asyncdl.rules.lists import metalink
from asyncdl.rules.lists.row import BadRow, Row

_OPEN = '<?xml version="1.0" encoding="UTF-8"?>\n<metalink xmlns="urn:ietf:params:xml:ns:metalink">\n'
_SHA256 = "3d6fece8033d146d8611eab4f032df738c8c1283620fd02a1f2bfec6e27d590d"


def _rows(text: str) -> list[Row | BadRow]:
    return list(metalink.rows(text.splitlines(keepends=True)))


def _taken(piece: str, head: str) -> int:
    """How many pieces are taken of a document without end before it is refused."""
    left = iter([_OPEN, head, *[piece] * 200_000])
    with pytest.raises(OptionsError):
        list(metalink.rows(left))
    return 200_000 - sum(1 for _ in left)


@pytest.mark.parametrize(
    ("head", "piece", "most"),
    [
        ('<file name="', "0123456789 abcdef\n" * 10, 1000),
        ("<!-- ", "0123456789 abcdef\n" * 10, 1000),
        ('<file name="a">\n', "<a>\n", 1000),
    ],
    ids=["tag", "comment", "depth"],
)
def test_without_end(head: str, piece: str, most: int) -> None:
    """A tag, a comment and elements within elements are bounded: in memory, and in time."""
    assert _taken(piece, head) < most


def test_a_document_as_in_the_standard() -> None:
    """Section 1.1: two files with sizes, hashes, mirrors in several countries and a torrent."""
    text = f"""{_OPEN}  <published>2009-05-15T12:23:23Z</published>
  <file name="example.ext">
    <size>14471447</size>
    <identity>Example</identity>
    <version>1.0</version>
    <language>en</language>
    <description>A description of the example file for download.</description>
    <hash type="sha-256">{_SHA256}</hash>
    <url location="de" priority="1">ftp://ftp.example.com/example.ext</url>
    <url location="fr" priority="1">http://example.com/example.ext</url>
    <metaurl mediatype="torrent" priority="2">http://example.com/example.ext.torrent</metaurl>
  </file>
  <file name="dir/example2.ext">
    <size>14471447</size>
    <hash type="sha-256">{_SHA256}</hash>
    <pieces length="262144" type="sha-1">
      <hash>5bd9f7248df0f3a6a86ab6c95f48787d546efa14</hash>
    </pieces>
    <url location="de" priority="2">http://ftp.example.com/example2.ext</url>
    <url location="fr" priority="1">http://example.com/example2.ext</url>
  </file>
</metalink>
"""
    first, second = _rows(text)

    assert isinstance(first, Row)
    assert isinstance(second, Row)
    assert (4, ("http://example.com/example.ext",), "example.ext", 14471447) == (
        first.line,
        first.urls,
        first.out,
        first.size,
    )
    assert ("metaurl", "url that is not http") == first.notes
    assert ("http://example.com/example2.ext", "http://ftp.example.com/example2.ext") == second.urls
    assert (15, "dir/example2.ext", ()) == (second.line, second.out, second.notes)
    assert {f"sha256:{_SHA256}"} == {str(first.checksum), str(second.checksum)}


def _file(inside: str, name: str = "f") -> str:
    return f'{_OPEN}<file name="{name}">{inside}</file></metalink>'


@pytest.mark.parametrize(
    ("priorities", "expected"),
    [
        (["3", "1", "2"], [1, 2, 0]),
        (["", "999999", "5"], [2, 0, 1]),
        (["x", "1000000000000", "1"], [2, 0, 1]),
        (["1", "1", "1"], [0, 1, 2]),
    ],
)
def test_priorities(priorities: list[str], expected: list[int]) -> None:
    """From 1 on, the lowest first; one without is last; equal ones keep their order."""
    urls = "".join(
        f"<url priority={quoteattr(text)}>https://h/{number}</url>" if text else f"<url>https://h/{number}</url>"
        for number, text in enumerate(priorities)
    )
    (row,) = _rows(_file(urls))

    assert isinstance(row, Row)
    assert tuple(f"https://h/{number}" for number in expected) == row.urls


def test_the_strongest_hash_of_a_known_kind() -> None:
    """Others are noted."""
    hashes = f"<hash type='md5'>{'0f' * 16}</hash><hash type='sha-256'>{_SHA256}</hash><hash type='sha-384'>x</hash>"
    (row,) = _rows(_file(hashes + "<url>https://h/a</url>"))

    assert isinstance(row, Row)
    assert (f"sha256:{_SHA256}", ("hash of another kind",)) == (str(row.checksum), row.notes)


@pytest.mark.parametrize(
    ("inside", "words"),
    [
        ("", "there is no URL"),
        ("<url>ftp://h/hunter2secret</url>", "there is no URL"),
        ("<url>https://h/a hunter2secret</url>", "white space"),
        ("<url>https://h/a</url><size>-1</size>", "whole number of bytes"),
        ("<url>https://h/a</url><hash type='sha-256'>hunter2secret</hash>", "a value of sha256"),
    ],
)
def test_refused(inside: str, words: str) -> None:
    """A file that cannot be had, or could not be verified, is a bad row, and the next one is read."""
    bad, good = _rows(f'{_OPEN}<file name="x">{inside}</file>\n<file name="y"><url>https://h/b</url></file></metalink>')

    assert isinstance(bad, BadRow)
    assert words in bad.error.message
    assert bad.error.message.startswith("line 3: ")
    assert "hunter2secret" not in bad.error.message
    assert Row(line=4, urls=("https://h/b",), out="y") == good


_LAUGHS = '<!DOCTYPE metalink [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;">]>'
_OUTSIDE = '<!DOCTYPE metalink [<!ENTITY a SYSTEM "file:///etc/passwd">]>'


@pytest.mark.parametrize("kind", [_LAUGHS, _OUTSIDE, '<!DOCTYPE metalink SYSTEM "http://h/x.dtd">'])
def test_no_document_types(kind: str) -> None:
    """Entities that grow, or lead to files and servers, do not get as far as being declared."""
    text = f'<?xml version="1.0"?>{kind}<metalink xmlns="urn:ietf:params:xml:ns:metalink"><file name="&a;"/></metalink>'
    with pytest.raises(OptionsError, match="declares a type"):
        _rows(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "line 1: not well-formed XML: no element found"),
        ("<a>", "no Metalink"),
        ("<metalink><file name='a'/></metalink>", "no Metalink"),
        ('<metalink xmlns="http://www.metalinker.org/" version="3.0"/>', "of version 3"),
        (f"{_OPEN}<file", "not well-formed XML: unclosed token"),
        (f"{_OPEN}<file name='a'></metalink>", "line 3: not well-formed XML: mismatched tag"),
        (_file("<url>" + "x" * 70_000 + "</url>"), "an element without end"),
        (_file("<url>https://h/</url>" * 1001), "more than 1000"),
    ],
)
def test_no_metalink(text: str, words: str) -> None:
    """What is none, or goes on for ever, ends the list."""
    with pytest.raises(OptionsError) as caught:
        _rows(text)

    assert words in caught.value.message


def test_other_encodings() -> None:
    """The document says how its characters are encoded, whatever the lines were decoded as."""
    text = '<?xml version="1.0" encoding="ISO-8859-1"?><metalink xmlns="urn:ietf:params:xml:ns:metalink">'
    data = f'{text}<file name="\u00e4"><url>https://h/a</url></file></metalink>'.encode("latin-1")

    assert [Row(line=1, urls=("https://h/a",), out="\u00e4")] == _rows(data.decode("utf-8", "surrogateescape"))


def test_lazy() -> None:
    """A row is there as soon as its element ends."""
    taken: list[int] = []

    def lines() -> Iterator[str]:
        yield _OPEN
        for number in range(1_000_000):
            taken.append(number)
            yield f'<file name="{number}"><url>https://h/{number}</url></file>\n'

    next(metalink.rows(lines()))

    assert [0] == taken


_TEXT = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1, max_size=20)


@given(st.lists(st.tuples(_TEXT, st.lists(_TEXT, min_size=1, max_size=3, unique=True)), max_size=5), st.integers(1, 40))
def test_cut_anywhere(files: list[tuple[str, list[str]]], length: int) -> None:
    """However the document comes in pieces, the rows are the same."""
    body = "".join(
        f"<file name={quoteattr(name)}>"
        + "".join(f"<url>https://h/{path.encode().hex()}</url>" for path in paths)
        + "</file>\n"
        for name, paths in files
    )
    text = f"{_OPEN}{body}</metalink>"
    pieces = [text[start : start + length] for start in range(0, len(text), length)]

    assert list(metalink.rows(pieces)) == _rows(text)
    assert [name for name, _ in files] == [row.out for row in _rows(text) if isinstance(row, Row)]


@given(st.text(st.characters(codec="utf-8") | st.sampled_from('<>/="& '), max_size=80))
def test_any_text(text: str) -> None:
    """Rows, or an OptionsError; nothing else."""
    try:
        rows = list(metalink.rows([_OPEN, text, "</metalink>"]))
    except OptionsError:
        return

    assert all(isinstance(row, Row | BadRow) for row in rows)


def test_a_file_without_a_name() -> None:
    """It cannot be written anywhere; the others can."""
    bad, good = _rows(
        f'{_OPEN}<file><url>https://h/a</url></file><file name="b"><url>https://h/b</url></file></metalink>'
    )

    assert isinstance(bad, BadRow)
    assert "without a name" in bad.error.message
    assert isinstance(good, Row)
