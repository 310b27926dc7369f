"""Values of options: what is read, and what is refused without being repeated."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncdl.cli import values
from asyncdl.errors import OptionsError

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.mark.parametrize(
    ("text", "expected"),
    [("0", 0), ("17", 17), ("64K", 65536), ("1m", 1048576), ("2MiB", 2097152), ("1G", 1 << 30), ("5T", 5 << 40)],
)
def test_size(text: str, expected: int) -> None:
    """Bytes, units in powers of 1024."""
    assert expected == values.size(text)


@pytest.mark.parametrize("text", ["", "-1", "1.5G", "1MB", "K", "0x10", "١", "1e3", "9" * 20])
def test_size_refused(text: str) -> None:
    """What could mean two things, or nothing, is no size."""
    with pytest.raises(OptionsError):
        values.size(text)


@pytest.mark.parametrize(("text", "expected"), [("1", 1.0), ("0.5", 0.5), ("30s", 30.0)])
def test_seconds(text: str, expected: float) -> None:
    """Seconds, with or without the unit."""
    assert expected == values.seconds(text)


@pytest.mark.parametrize("text", ["", "0", "-1", "nan", "inf", "1m", "soon"])
def test_seconds_refused(text: str) -> None:
    """Never nothing, never for ever."""
    with pytest.raises(OptionsError):
        values.seconds(text)


@pytest.mark.parametrize(
    ("read", "text"),
    [
        (values.count, "0"),
        (values.count, "1.0"),
        (values.natural, "-1"),
        (values.positive_size, "0"),
        (values.some_text, " "),
    ],
)
def test_others_refused(read: Callable[[str], object], text: str) -> None:
    """Counts, part sizes and texts have their bounds."""
    with pytest.raises(OptionsError):
        read(text)


def test_header() -> None:
    """The blanks around the value are not part of it, further colons are."""
    assert ("Authorization", "Bearer a:b") == values.header("Authorization:  Bearer a:b ")


@pytest.mark.parametrize(
    "text",
    ["hunter2secret", ": hunter2secret", "A B: hunter2secret", "A: hunter2secret\r\nB: c", "Range: hunter2secret"],
)
def test_header_refused(text: str) -> None:
    """The message does not repeat the value."""
    with pytest.raises(OptionsError) as caught:
        values.header(text)

    assert "hunter2secret" not in f"{caught.value} {caught.value.hint}"


@given(st.text())
def test_readers_only_raise_options_errors(text: str) -> None:
    """Whatever is typed, there is a clear answer."""
    for read in (values.size, values.seconds, values.count, values.natural, values.header):
        with contextlib.suppress(OptionsError):
            read(text)
