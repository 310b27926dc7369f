"""The format of aria2's input files, which a plain list of URLs is too.

URLs of one file stand on one line, with TABs between them; lines that begin with white space are options of the file
before them; those that begin with `#` are comments (aria2 manual, "Input File").

Rule: of aria2's options, what says which file, where to and how it is proven is heeded; what only says how fast, is
noted; every other one makes the row a bad one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from typing import Final

from asyncdl.errors import OptionsError
from asyncdl.model import Checksum, IfExists
from asyncdl.rules.lists.row import LONGEST, BadRow, Row, checked_urls, header, made, shown

#: They change how a file is fetched, or what else aria2 does, and not what is in it or where it goes.
# fmt: off
_NOTED: Final = frozenset((
    "allow-piece-length-change", "always-resume", "async-dns", "auto-file-renaming", "check-integrity",
    "connect-timeout", "content-disposition-default-utf8", "continue", "enable-http-keep-alive",
    "enable-http-pipelining", "enable-mmap", "file-allocation", "force-save", "gid", "http-accept-gzip",
    "http-auth-challenge", "http-no-cache", "lowest-speed-limit", "max-connection-per-server", "max-download-limit",
    "max-file-not-found", "max-mmap-limit", "max-resume-failure-tries", "max-tries", "max-upload-limit",
    "min-split-size", "no-file-allocation-limit", "no-netrc", "pause-metadata", "piece-length",
    "realtime-chunk-checksum", "remote-time", "remove-control-file", "retry-wait", "reuse-uri",
    "rpc-save-upload-metadata", "save-not-found", "split", "stream-piece-selector", "timeout", "uri-selector",
    "use-head",
))
# fmt: on
#: Of BitTorrent and Metalink, which no http URL is.
_NOT_OURS: Final = ("bt-", "enable-peer-", "follow-", "metalink-", "seed-")
#: They say no more than what is the case here anyhow where their value is false.
_OFF_IS_FINE: Final = frozenset({"conditional-get", "dry-run", "hash-check-only", "parameterized-uri", "pause"})
_FLAGS: Final = {"true": True, "false": False}
_HEADERS: Final = {"referer": "Referer", "user-agent": "User-Agent"}


def rows(lines: Iterable[str]) -> Iterator[Row | BadRow]:
    """The rows of an input file of aria2, lazily."""
    began = length = 0
    urls: list[str] = []
    options: list[str] = []
    for number, line in enumerate(lines, 1):
        text = line.rstrip("\r\n")
        if text.startswith("#") or not text.strip():
            continue
        if text[0] in " \t" and began:
            length += len(text)
            if length <= LONGEST:
                options.append(text.strip())
            continue
        if began:
            yield _row(began, urls, options, length)
        length = 0
        began, urls, options = number, [url.strip() for url in text.split("\t")], []
    if began:
        yield _row(began, urls, options, length)


def plain(lines: Iterable[str]) -> Iterator[Row | BadRow]:
    """The rows of a list with one URL on each line, and comments that begin with `#`, lazily."""
    for number, line in enumerate(lines, 1):
        url = line.strip()
        if url and not url.startswith("#"):
            yield _row(number, [url], [])


def _row(line: int, urls: list[str], options: list[str], length: int = 0) -> Row | BadRow:
    if length > LONGEST:
        return BadRow(line=line, error=OptionsError(f"line {line}: the options are longer than {LONGEST >> 20} MiB"))
    return made(line, partial(_made, line, urls, options))


def _made(line: int, urls: list[str], options: list[str]) -> Row:
    out = folder = checksum = None
    exists: IfExists | None = None
    headers: list[tuple[str, str]] = []
    notes: list[str] = []
    for option in options:
        name, equals, value = (part.strip() for part in option.partition("="))
        if not equals:
            raise OptionsError("an option is written as NAME=VALUE", hint="further URLs of a file follow after a TAB")
        if name == "out":
            out = value
        elif name == "dir":
            folder = value
        elif name == "checksum":
            checksum = _checksum(value)
        elif name == "header":
            headers.append(header(value))
        elif name in _HEADERS:
            headers.append(header(f"{_HEADERS[name]}: {value}"))
        elif name == "allow-overwrite":
            exists = "replace" if _flag(name, value) else exists
        elif _is_noted(name, value):
            notes.append(name)
        else:
            raise _refusal(name)
    return Row(
        line=line,
        urls=checked_urls(filter(None, urls)),
        out=out or None,
        dir=folder or None,
        checksum=checksum,
        headers=tuple(headers),
        if_exists=exists,
        notes=tuple(notes),
    )


def _checksum(value: str) -> Checksum:
    algorithm, _, digest = value.partition("=")
    return Checksum.parse(f"{algorithm}:{digest}")


def _flag(name: str, value: str) -> bool:
    if value not in _FLAGS:
        raise OptionsError(f"option {name} must be true or false")
    return _FLAGS[value]


def _is_noted(name: str, value: str) -> bool:
    return name in _NOTED or name.startswith(_NOT_OURS) or (name in _OFF_IS_FINE and value == "false")


def _refusal(name: str) -> OptionsError:
    if name.startswith("-"):
        return OptionsError("an option in a list has no hyphens before it")
    return OptionsError(
        f"option {shown(name)} is none that is heeded here", hint="take it out, or set it on the command line"
    )
