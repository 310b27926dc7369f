"""The table of promises names tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
NAMED = sorted(set(re.findall(r"`([\w/]+\.py(?:::\w+)?)`", (TESTS / "SCENARIOS.md").read_text(encoding="utf-8"))))


def test_there_are_scenarios() -> None:
    """An empty table would pass every other test here."""
    assert len(NAMED) > 40


@pytest.mark.parametrize("named", NAMED)
def test_named_test_exists(named: str) -> None:
    """The file is there, and has that test in it."""
    file, _, test = named.partition("::")

    assert (TESTS / file).exists()
    assert re.search(rf"def {test or 'test_'}", (TESTS / file).read_text(encoding="utf-8"))
