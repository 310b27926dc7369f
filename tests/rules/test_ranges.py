"""What a Content-Range says, read to the letter of RFC 9110 section 14.4, and the other fields a verdict rests on."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from asyncdl.errors import ResponseMismatchError
from asyncdl.model import Headers, Part
from asyncdl.rules.ranges import (
    MAX_SIZE,
    ContentRange,
    content_length,
    parse_content_range,
    range_header,
    strong_etag,
)


@pytest.mark.parametrize(
    ("start", "stop", "expected"),
    [
        pytest.param(0, 1, "bytes=0-0", id="one byte"),
        pytest.param(0, 500, "bytes=0-499", id="the RFC's first 500 bytes"),
        pytest.param(500, 1000, "bytes=500-999", id="the RFC's second 500 bytes"),
        pytest.param(9500, None, "bytes=9500-", id="to the end"),
        pytest.param(0, None, "bytes=0-", id="everything, as a range"),
        pytest.param(2**42, 2**42 + 1, f"bytes={2**42}-{2**42}", id="beyond 4 TiB"),
    ],
)
def test_range_header(start: int, stop: int | None, expected: str) -> None:
    """Half-open inside, inclusive on the wire."""
    assert expected == range_header(start, stop)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param("bytes 42-1233/1234", ContentRange(Part(42, 1234), 1234), id="the RFC's example"),
        pytest.param("bytes 42-1233/*", ContentRange(Part(42, 1234), None), id="the RFC's example, length unknown"),
        pytest.param("bytes */1234", ContentRange(None, 1234), id="the RFC's example, unsatisfied"),
        pytest.param("bytes 0-0/1", ContentRange(Part(0, 1), 1), id="one byte of one"),
        pytest.param("bytes */0", ContentRange(None, 0), id="an empty object"),
        pytest.param("*/1234", ContentRange(None, 1234), id="unsatisfied without a unit, as some servers have it"),
        pytest.param("BYTES 0-9/10", ContentRange(Part(0, 10), 10), id="the unit in any case"),
        pytest.param(" \tbytes 0-9/10\t ", ContentRange(Part(0, 10), 10), id="white space around a field"),
        pytest.param("bytes 000-009/0010", ContentRange(Part(0, 10), 10), id="leading zeros"),
        pytest.param(
            f"bytes 0-{MAX_SIZE - 1}/{MAX_SIZE}", ContentRange(Part(0, MAX_SIZE), MAX_SIZE), id="the largest file"
        ),
        pytest.param(
            f"bytes 0-{MAX_SIZE - 1}/*", ContentRange(Part(0, MAX_SIZE), None), id="the largest, length unknown"
        ),
    ],
)
def test_content_range(value: str, expected: ContentRange) -> None:
    """What the grammar allows is read."""
    assert expected == parse_content_range(value)


@pytest.mark.parametrize(
    "value",
    [
        pytest.param("", id="nothing"),
        pytest.param("bytes", id="only the unit"),
        pytest.param("bytes ", id="only the unit and a space"),
        pytest.param("bytes 0-9", id="no length"),
        pytest.param("bytes 0-9/", id="an empty length"),
        pytest.param("bytes -9/10", id="no first position"),
        pytest.param("bytes 0-/10", id="no last position"),
        pytest.param("bytes 9-0/10", id="backwards"),
        pytest.param("bytes 0-10/10", id="the last position is the length"),
        pytest.param("bytes 10-10/10", id="beyond the end"),
        pytest.param("bytes 0-0/0", id="a byte of an empty object"),
        pytest.param("bytes */*", id="neither range nor length"),
        pytest.param("bytes */", id="unsatisfied, and an empty length"),
        pytest.param("bytes=0-9/10", id="an equals sign, as in a request"),
        pytest.param("bytes: 0-9/10", id="a colon"),
        pytest.param("bytes  0-9/10", id="two spaces"),
        pytest.param("bytes\t0-9/10", id="a tab"),
        pytest.param("bytes\xa00-9/10", id="a no-break space"),
        pytest.param("bytes 0 - 9 / 10", id="spaces inside"),
        pytest.param("0-9/10", id="no unit"),
        pytest.param("items 0-9/10", id="another unit"),
        pytest.param("bytes 0-9/10, bytes 0-9/10", id="two of them"),
        pytest.param("bytes 0-4,5-9/10", id="two ranges"),
        pytest.param("bytes 0-9/10;x=y", id="a parameter"),
        pytest.param("bytes +0-9/10", id="a sign"),
        pytest.param("bytes -0-9/10", id="a minus sign"),
        pytest.param("bytes 0x0-0x9/10", id="hexadecimal"),
        pytest.param("bytes 0-9.0/10", id="a decimal point"),
        pytest.param("bytes 1_0-1_9/100", id="underscores, which int() would take"),
        pytest.param("bytes ٠-٩/١٠", id="digits of another script, which int() would take"),
        pytest.param("bytes ０-９/１０", id="full-width digits"),
        pytest.param("byteſ 0-9/10", id="a letter that is an s in another case"),
        pytest.param("bytes 0-9/10\n", id="a line end"),
        pytest.param("bytes 0-9/10\x00", id="a NUL"),
        pytest.param(f"bytes 0-9/{MAX_SIZE + 1}", id="a length beyond any file"),
        pytest.param(f"bytes */{MAX_SIZE + 1}", id="unsatisfied, and a length beyond any file"),
        pytest.param(f"bytes 0-{MAX_SIZE}/*", id="a position beyond any file"),
        pytest.param(f"bytes 0-9/{10**40}", id="an overflow"),
        pytest.param("bytes 0-9/" + "9" * 5000, id="more digits than int() reads"),
    ],
)
def test_no_content_range(value: str) -> None:
    """What the grammar does not allow, or no object can have, is refused without being repeated."""
    with pytest.raises(ResponseMismatchError) as caught:
        parse_content_range(value)

    assert caught.value.retryable
    assert not value.strip() or value not in str(caught.value)


@given(text=st.text() | st.from_regex(r"(?i)\A\s?bytes? ?[0-9*+ -]{0,25}/?[0-9*]{0,25}\s?\Z"))
@example("bytes 0-9/10")
def test_any_text_is_read_or_refused(text: str) -> None:
    """No text makes the parser do anything but answer or raise its one error."""
    try:
        found = parse_content_range(text)
    except ResponseMismatchError:
        return

    assert found.part is not None or found.total is not None
    if found.part is not None:
        assert 0 <= found.part.start < found.part.stop <= MAX_SIZE
        assert found.total is None or found.part.stop <= found.total
    assert found.total is None or 0 <= found.total <= MAX_SIZE


@st.composite
def content_ranges(draw: st.DrawFn) -> tuple[str, ContentRange]:
    """A valid ContentRange as a server would write it, and itself."""
    total = draw(st.integers(0, MAX_SIZE))
    if total == 0 or draw(st.booleans()):
        return f"bytes */{total}", ContentRange(None, total)
    start = draw(st.integers(0, total - 1))
    stop = draw(st.integers(start + 1, total))
    known = draw(st.booleans())
    text = f"bytes {start}-{stop - 1}/{total if known else '*'}"
    return text, ContentRange(Part(start, stop), total if known else None)


def test_largest_file() -> None:
    """Offsets are those of a signed 64-bit file position, `off_t`."""
    assert 9_223_372_036_854_775_807 == MAX_SIZE


@given(pair=content_ranges())
def test_round_trip(pair: tuple[str, ContentRange]) -> None:
    """Every range an object can have is read as what was written."""
    text, expected = pair

    assert expected == parse_content_range(text)


@given(start=st.integers(0, 2**62 - 1), length=st.integers(1, 2**62))
def test_answer_to_a_request(start: int, length: int) -> None:
    """What was asked for, sent back with a total, is the part that was asked for."""
    asked = range_header(start, start + length).replace("=", " ")

    assert Part(start, start + length) == parse_content_range(f"{asked}/{MAX_SIZE}").part


def lengths(*values: str) -> Headers:
    return Headers([("Content-Length", value) for value in values])


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        pytest.param([], None, id="absent"),
        pytest.param(["0"], 0, id="nothing"),
        pytest.param(["1234"], 1234, id="a number"),
        pytest.param([" 1234\t"], 1234, id="white space around it"),
        pytest.param(["7", "7"], 7, id="twice the same"),
        pytest.param(["7, 7"], 7, id="twice the same in one field"),
        pytest.param([str(MAX_SIZE)], MAX_SIZE, id="the largest file"),
    ],
)
def test_content_length(values: list[str], expected: int | None) -> None:
    """One length, however often it is said (RFC 9110 section 8.6)."""
    assert expected == content_length(lengths(*values))


IMPOSSIBLE_LENGTHS = {
    "empty": [""],
    "negative": ["-1"],
    "minus nothing": ["-0"],
    "a plus sign": ["+5"],
    "garbage": ["banana"],
    "hexadecimal": ["0x10"],
    "a fraction": ["10.0"],
    "underscores": ["1_000"],
    "another script": ["١٠"],
    "two that differ": ["10", "11"],
    "two that differ in one field": ["10, 11"],
    "two ways to write one": ["10", "010"],
    "a number and nothing": ["10,"],
    "space inside": ["1 0"],
    "beyond any file": [str(MAX_SIZE + 1)],
    "an overflow": [str(2**64 + 10)],
    "more digits than int() reads": ["9" * 5000],
}


@pytest.mark.parametrize("values", IMPOSSIBLE_LENGTHS.values(), ids=IMPOSSIBLE_LENGTHS)
def test_impossible_content_length(values: list[str]) -> None:
    """A length that is none, or two, is refused: nobody can know where the body ends."""
    with pytest.raises(ResponseMismatchError):
        content_length(lengths(*values))


@given(values=st.lists(st.text(max_size=30), max_size=3))
def test_any_content_length_is_read_or_refused(values: list[str]) -> None:
    """No text makes the reader do anything but answer or raise its one error."""
    try:
        found = content_length(lengths(*values))
    except ResponseMismatchError:
        return

    assert (found is None) == (not values)
    assert found is None or 0 <= found <= MAX_SIZE


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        pytest.param(['"xyzzy"'], '"xyzzy"', id="strong"),
        pytest.param(['""'], '""', id="strong, with nothing in it"),
        pytest.param(['"9b2c-17"'], '"9b2c-17"', id="of a multipart upload"),
        pytest.param(['"caf\xe9"'], '"caf\xe9"', id="with bytes beyond ASCII"),
        pytest.param(['"a"', '"a"'], '"a"', id="twice the same"),
        pytest.param(['W/"xyzzy"'], None, id="weak"),
        pytest.param(['w/"xyzzy"'], None, id="weak in lower case"),
        pytest.param(["xyzzy"], None, id="no quotes"),
        pytest.param(['"xyzzy'], None, id="one quote"),
        pytest.param(['"'], None, id="only a quote"),
        pytest.param(['"a"b"'], None, id="a quote inside"),
        pytest.param(['"a b"'], None, id="a space inside"),
        pytest.param(['"a\x7fb"'], None, id="a control character inside"),
        pytest.param(['"a"\n'], None, id="a line end after it"),
        pytest.param(['"a", "b"'], None, id="a list"),
        pytest.param(['"a"', '"b"'], None, id="two that differ"),
        pytest.param([""], None, id="empty"),
        pytest.param([], None, id="absent"),
    ],
)
def test_strong_etag(values: list[str], expected: str | None) -> None:
    """Only the one strong tag of RFC 9110 section 8.8.3 proves anything."""
    assert expected == strong_etag(Headers([("ETag", value) for value in values]))
