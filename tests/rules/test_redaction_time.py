"""Redaction is linear: a text that says the same thing over and over takes no longer than any other."""

from __future__ import annotations

from time import process_time

import pytest

from asyncdl.rules.redaction import MARK, redact_text

URL = "https://host/key?X-Amz-Signature=0123456789abcdef"
#: Bytes that are read of an error's body, and seconds of processor time for them; a second look at each would be some
#: seconds more.
SIZE, MOST_SECONDS = 64 * 1024, 0.5


@pytest.mark.parametrize(
    "unit", ["https%3A%2F%2F", "https%3a%2f%2fh%2F", "http://", "a.b-c_", "&token", "<Token-0>", "\\"]
)
def test_repetition(unit: str) -> None:
    """64 KiB of one beginning of a pattern, which is never completed."""
    text = unit * (SIZE // len(unit))

    spent = min(_seconds(text) for _ in range(2))

    assert spent < MOST_SECONDS


def _seconds(text: str) -> float:
    before = process_time()
    redact_text(text, URL)
    return process_time() - before


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("to https%3A%2F%2Fh%2Fk%3Fsig%3Dsecret now", f"to https%3A%2F%2Fh%2Fk%3F{MARK} now"),
        ("to HTTPS%3a%2f%2fh%2fk%3fsig%3dsecret&x=1", f"to HTTPS%3a%2f%2fh%2fk%3F{MARK}"),
        ("to https%3A%2F%2Fh%2Fk now", "to https%3A%2F%2Fh%2Fk now"),
        ("https%3A%2F%2Fa%2Fhttps%3A%2F%2Fb%3Fx", f"https%3A%2F%2Fa%2Fhttps%3A%2F%2Fb%3F{MARK}"),
    ],
)
def test_encoded_url(text: str, expected: str) -> None:
    """A URL inside another one loses its query, and only that."""
    assert expected == redact_text(text)
