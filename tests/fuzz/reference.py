"""Content-Range and the verdict on a response once more: slow, without patterns, by another way; the fuzzer's oracle.

Rule: nothing of `asyncdl.rules` is called here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

_MOST = (1 << 63) - 1
_VISIBLE = range(0x21, 0x7F)
#: The verdict's name, and for those that let bytes pass what they are: start and stop, size, tag, date.
Verdict: TypeAlias = tuple[object, ...]


class Span(NamedTuple):
    """A Content-Range; start and stop are None for an unsatisfied one."""

    start: int | None
    stop: int | None
    total: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What was asked, and what was known then."""

    start: int
    stop: int | None = None
    begun: bool = False
    size: int | None = None
    etag: str | None = None
    weak: str | None = None
    modified: str | None = None
    declared: int | None = None


def number(text: str) -> int | None:
    """A number of one to nineteen ASCII digits."""
    if not 1 <= len(text) <= 19:
        return None
    value = 0
    for letter in text:
        digit = "0123456789".find(letter)
        if digit < 0:
            return None
        value = 10 * value + digit
    return value


def content_range(value: str) -> Span | None:
    """The header, or None where it is none or impossible."""
    text = value.strip(" \t")
    unit = text[:6]
    has_unit = unit.isascii() and unit.lower() == "bytes "
    span, slash, total_text = (text[6:] if has_unit else text).partition("/")
    if not slash:
        return None
    total = number(total_text)
    if total is not None and total > _MOST:
        return None
    if span == "*":
        return None if total is None else Span(None, None, total)
    first_text, dash, last_text = span.partition("-")
    first, last = number(first_text), number(last_text)
    if not has_unit or not dash or first is None or last is None or (total is None and total_text != "*"):
        return None
    if first > last or last + 1 > (_MOST if total is None else total):
        return None
    return Span(first, last + 1, total)


def judge(status: int, fields: Sequence[tuple[str, str]], asked: Question) -> Verdict:
    """What the response may be used for."""
    if status == 412:
        return ("changed",)
    if status == 416:
        return _unsatisfied(fields, asked)
    if status not in {200, 206}:
        return ("refused",) if status >= 400 or status == 308 else ("mismatch",)
    transfer = _members(fields, "transfer-encoding")
    others = [coding for coding in transfer if coding not in {"identity", "chunked"}]
    if others or set(_members(fields, "content-encoding")) - {"identity"}:
        return ("mismatch",)
    if "chunked" in transfer and transfer.index("chunked") + 1 < len(transfer):
        return ("mismatch",)
    length = _length(fields)
    if length == -1:
        return ("mismatch",)
    if status == 206:
        return _partial(fields, asked, length)
    if transfer.count("chunked"):
        length = None
    size = asked.declared if length is None else length
    if size is None and asked.size is None and "chunked" not in transfer:
        return ("mismatch",)
    name = "ignored" if asked.start else "sequential"
    return _another(fields, asked, size, with_proof=True) or (name, *_object(fields, asked, size))


def _partial(fields: Sequence[tuple[str, str]], asked: Question, length: int | None) -> Verdict:
    spans = {value for name, value in fields if name.lower() == "content-range"}
    kinds = [value.strip().lower() for name, value in fields if name.lower() == "content-type"]
    if len(spans) != 1 or any(kind[:20] == "multipart/byteranges" for kind in kinds):
        return ("mismatch",)
    span = content_range(spans.pop())
    if span is None or span.start is None or span.stop is None or span.start != asked.start:
        return ("mismatch",)
    if asked.stop is not None and span.stop > asked.stop:
        return ("mismatch",)
    if length not in {None, span.stop - span.start}:
        return ("mismatch",)
    size = span.total
    for other in (asked.size or None, asked.declared):
        size = other if size is None else size
    if size is None or span.stop > size:
        return ("mismatch",)
    found = _another(fields, asked, size, with_proof=True)
    return found or ("accept", span.start, span.stop, *_object(fields, asked, size))


def _unsatisfied(fields: Sequence[tuple[str, str]], asked: Question) -> Verdict:
    spans = {value for name, value in fields if name.lower() == "content-range"}
    span = content_range(spans.pop()) if len(spans) == 1 else None
    size = span.total if span else (0 if asked.declared == 0 else None)
    if size is None:
        # The first answer of all: its body may say more.
        return ("mismatch",) if asked.start or asked.begun or asked.declared else ("refused",)
    if size == 0 and asked.start == 0 and not asked.declared and not asked.size:
        return ("complete", 0, None, None, None)
    found = _another((), asked, size, with_proof=False)
    if found is None and asked.stop is None and asked.start == size:
        return ("complete", *_object((), asked, size))
    return found or ("mismatch",)


def _another(
    fields: Sequence[tuple[str, str]], asked: Question, size: int | None, *, with_proof: bool
) -> Verdict | None:
    """Why the response may be of another object."""
    if size is not None and asked.declared not in {None, size}:
        return ("wrong-size",)
    if not asked.begun:
        return None
    if size is not None and asked.size not in {None, size}:
        return ("changed",)
    tag = _tag(fields)
    known = asked.etag or asked.weak
    if tag and known and tag.replace("W/", "", 1) != known.replace("W/", "", 1):
        return ("changed",)
    if asked.etag is not None:
        # Only a strong tag proves that two ranges belong together.
        proven = tag is not None and tag[0] == '"'
        return ("mismatch",) if with_proof and asked.etag and not proven else None
    dates = [value for name, value in fields if name.lower() == "last-modified"]
    return ("changed",) if asked.modified and dates and dates[0] not in {"", asked.modified} else None


def _object(fields: Sequence[tuple[str, str]], asked: Question, size: int | None) -> Verdict:
    dates = [value for name, value in fields if name.lower() == "last-modified"]
    tag = _tag(fields) or ""
    strong, weak = (None, tag) if tag[:1] == "W" else (tag or None, None)
    modified = asked.modified or (dates[0] if dates else None)
    return (asked.size if size is None else size, asked.etag or strong, asked.weak or weak, modified)


def _members(fields: Sequence[tuple[str, str]], name: str) -> list[str]:
    text = ",".join(value for found, value in fields if found.lower() == name)
    return [member for member in (item.strip(" \t").lower() for item in text.split(",")) if member]


def _length(fields: Sequence[tuple[str, str]]) -> int | None:
    """Content-Length; None where there is none, -1 where it cannot be one."""
    values = [value for name, value in fields if name.lower() == "content-length"]
    if not values:
        return None
    texts = [item.strip(" \t") for item in ",".join(values).split(",")]
    value = number(texts[0])
    return value if value is not None and value <= _MOST and texts == [texts[0]] * len(texts) else -1


def _tag(fields: Sequence[tuple[str, str]]) -> str | None:
    tags = sorted({value for name, value in fields if name.lower() == "etag"})
    text = "".join(tags)[2 * "".join(tags).startswith("W/") :]
    if len(tags) != 1 or len(text) < 2 or text[0] != '"' or text[-1] != '"':
        return None
    inner = [ord(letter) for letter in text[1:-1]]
    return tags[0] if all(code != 0x22 and (code in _VISIBLE or code >= 0x80) for code in inner) else None
