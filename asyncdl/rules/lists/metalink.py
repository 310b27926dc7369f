"""Metalink version 4 (RFC 5854): names, sizes, hashes and URLs of files, out of XML as it comes in.

Rule: a document that declares a type (DTD) is refused, and with it every entity that could grow or lead elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from typing import Final
from xml.parsers import expat

from asyncdl.errors import OptionsError
from asyncdl.model import DIGEST_SIZES, Checksum
from asyncdl.rules.lists import row
from asyncdl.rules.lists.row import BadRow, Row, made

#: Section 3: the namespace of all elements, with what expat is told to put after it.
_NAMESPACE: Final = "urn:ietf:params:xml:ns:metalink "
_VERSION_3: Final = "http://www.metalinker.org/ "
#: Elements below `file` whose text is used.
_USED: Final = frozenset({"size", "hash", "url"})
#: Of one file; nobody has more, and somebody who means harm would.
_MOST_ELEMENTS: Final = 1000
_LONGEST_TEXT: Final = 65536
#: Bytes of a tag or a comment: expat keeps one until it ends, and before 2.6 reads it anew with each piece.
_LONGEST_TAG: Final = 65536
#: Elements within elements; the standard has four.
_DEEPEST: Final = 100
#: Section 4.2.16.2: from 1, the best, to this, which is what an element without one has.
_LAST_PRIORITY: Final = 999_999
_DEPTH_OF_FILE: Final = 2


def rows(lines: Iterable[str]) -> Iterator[Row | BadRow]:
    """The rows of a Metalink document, lazily.

    Raises:
        OptionsError: it is no such document, or not well-formed from some line on.
    """
    document = _Document()
    for line in lines:
        # Bytes as they were: the document itself says how its characters are encoded.
        yield from document.take(line.encode("utf-8", "surrogateescape"))
    yield from document.take(b"", last=True)


class _File:
    def __init__(self, line: int, name: str | None) -> None:
        self.line = line
        self.name = name
        self.elements: list[tuple[str, dict[str, str], str]] = []
        self.notes: list[str] = []


class _Document:
    """The state between two pieces of a document."""

    def __init__(self) -> None:
        self._parser = expat.ParserCreate(namespace_separator=" ")
        self._parser.buffer_text = True
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._characters
        self._parser.StartDoctypeDeclHandler = self._refuse_type
        self._path: list[str] = []
        self._file: _File | None = None
        self._attributes: dict[str, str] = {}
        self._text: list[str] | None = None
        self._length = self._taken = 0
        self._done: list[Row | BadRow] = []

    def take(self, data: bytes, *, last: bool = False) -> list[Row | BadRow]:
        try:
            self._parser.Parse(data, last)
        except expat.ExpatError as error:
            words = expat.ErrorString(error.code)
            raise OptionsError(f"line {error.lineno}: not well-formed XML: {words}") from None
        self._taken += len(data)
        if self._taken - self._parser.CurrentByteIndex > _LONGEST_TAG:
            raise OptionsError(f"line {self._parser.CurrentLineNumber}: a tag or a comment without end")
        done, self._done = self._done, []
        return done

    def _refuse_type(self, *_: object) -> None:
        raise OptionsError("the document declares a type (DTD), which no Metalink needs")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        if not self._path and name != _NAMESPACE + "metalink":
            version = "of version 3, and" if name.startswith(_VERSION_3) else "no Metalink, or"
            raise OptionsError(f"the document is {version} not of version 4 (RFC 5854)")
        if len(self._path) == _DEEPEST:
            raise OptionsError(f"line {self._parser.CurrentLineNumber}: more than {_DEEPEST} elements in each other")
        self._path.append(name.removeprefix(_NAMESPACE))
        if self._path[1:] == ["file"]:
            self._file = _File(self._parser.CurrentLineNumber, attributes.get("name"))
        elif self._file is not None and len(self._path) == _DEPTH_OF_FILE + 1:
            if self._path[-1] in _USED:
                self._attributes, self._text, self._length = attributes, [], 0
            elif self._path[-1] == "metaurl" and "metaurl" not in self._file.notes:
                self._file.notes.append("metaurl")

    def _characters(self, text: str) -> None:
        if self._text is not None:
            self._text.append(text)
            self._length += len(text)
            if self._length > _LONGEST_TEXT:
                raise OptionsError(f"line {self._parser.CurrentLineNumber}: an element without end")

    def _end(self, _: str) -> None:
        name, file = self._path.pop(), self._file
        if file is None:
            return
        if self._text is not None and len(self._path) == _DEPTH_OF_FILE:
            file.elements.append((name, self._attributes, "".join(self._text).strip()))
            self._text = None
            if len(file.elements) > _MOST_ELEMENTS:
                raise OptionsError(f"line {file.line}: a file with more than {_MOST_ELEMENTS} URLs and hashes")
        elif len(self._path) == _DEPTH_OF_FILE - 1:
            self._done.append(made(file.line, partial(_row, file)))
            self._file = None


def _row(file: _File) -> Row:
    if not file.name:
        raise OptionsError("a file without a name")
    urls = [(_priority(attributes), text) for name, attributes, text in file.elements if name == "url"]
    usable = [url for _, url in sorted(urls, key=lambda each: each[0]) if row.scheme_of(url) in {"http", "https"}]
    if len(usable) < len(urls):
        file.notes.append("url that is not http")
    sizes = [text for name, _, text in file.elements if name == "size"]
    return Row(
        line=file.line,
        urls=row.checked_urls(usable),
        out=file.name,
        size=row.size(sizes[0]) if sizes else None,
        checksum=_checksum(file),
        notes=tuple(dict.fromkeys(file.notes)),
    )


def _priority(attributes: dict[str, str]) -> int:
    text = attributes.get("priority", "")
    return (
        min(int(text), _LAST_PRIORITY) if text.isdecimal() and len(text) <= len(str(_LAST_PRIORITY)) else _LAST_PRIORITY
    )


def _checksum(file: _File) -> Checksum | None:
    """The strongest of those whose kind is known; a value of such a kind that cannot be read is an error."""
    found: dict[str, Checksum] = {}
    for name, attributes, text in file.elements:
        # The IANA's names of hash functions, as in sha-256.
        kind = attributes.get("type", "").lower().replace("-", "")
        if name == "hash" and kind in DIGEST_SIZES:
            found[kind] = Checksum.parse(f"{kind}:{text}")
        elif name == "hash":
            file.notes.append("hash of another kind")
    return next((found[kind] for kind in DIGEST_SIZES if kind in found), None)
