"""The table of promises is whole: every row there should be, every scenario in one of them, every named test there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from asyncdl.testing import SKINS
from asyncdl.testing.scenarios import ALL

TESTS = Path(__file__).parent
TEXT = (TESTS / "SCENARIOS.md").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"`([\w/]+\.py(?:::\w+)?)`", TEXT)))
RUNS_SCENARIOS = "hostile/test_rows.py::test_scenario"
#: Ways in which a server can be bad, by their lasting ids. Numbers that are not here were never given out.
BAD_SERVERS = [
    f"A{number:02}"
    for number in (
        1, 2, 3, 5, 6, 7, 8, 10, 11, 12, 13, 15, 16, 17, 18, 20, 21, 22, 23, 24, 25, 26, 27, 29, 30, 31, 32,
        33, 34, 35, 36, 37, 39, 40, 41, 43, 44, 45, 46, 47, 48, 49, 50, 51, 53, 54, 55, 56, 57, 58, 59, 60,
        61, 63, 64, 65, 67, 68, 71, 72, 73, 74, 75, 78, 79, 80, 81, 82, 83, 84, 85, 87, 88, 89, 90
    )
]  # fmt: skip
#: Rows without a test, each for a reason that its text gives or a feature that is not there yet.
OPEN = {"P18"}


def section(title: str) -> str:
    """What stands between one heading and the next."""
    match = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", TEXT, re.DOTALL | re.MULTILINE)
    assert match is not None, title
    return match[1]


def rows(text: str) -> dict[str, list[str]]:
    """The tests of each row."""
    found = re.findall(r"^\| ([A-Z]\d+) \| [^|]+ \|([^|]*)\|$", text, re.MULTILINE)
    assert len({row for row, _ in found}) == len(found)
    return {row: re.findall(r"`([^`]+)`", tests) for row, tests in found}


def test_there_are_scenarios() -> None:
    """An empty table would pass every other test here."""
    assert len(NAMED) > 150


def test_every_row_can_be_read() -> None:
    """No row is lost to a typing error: each line of a table is one."""
    lines = [line for line in TEXT.splitlines() if line.startswith("|") and not line.startswith(("| row |", "|---"))]

    assert len(rows(TEXT)) == len(lines)


@pytest.mark.parametrize("named", NAMED)
def test_named_test_exists(named: str) -> None:
    """The file is there, and has that test in it."""
    file, _, test = named.partition("::")

    assert (TESTS / file).exists()
    assert re.search(rf"def {test}\(" if test else r"def test_", (TESTS / file).read_text(encoding="utf-8"))


def test_open_rows() -> None:
    """A promise that is kept is said to be, and none is forgotten silently."""
    assert OPEN == {row for row, tests in rows(TEXT).items() if not tests}


def test_every_bad_server_has_its_row() -> None:
    """None is missing, none was made up, and they stand in order."""
    assert BAD_SERVERS == list(rows(section("Bad servers")))


def test_every_scenario_has_its_row() -> None:
    """What is run is in the table, and what the table says is run is."""
    named = {row for row, tests in rows(section("Bad servers")).items() if RUNS_SCENARIOS in tests}

    assert {scenario.row for scenario in ALL} == named


def test_every_bad_server_is_tested_or_open() -> None:
    """A row of the table has scenarios, other tests, or is one of those that are known to be open."""
    scenarios = {scenario.row for scenario in ALL}
    held = {row for row, tests in rows(section("Bad servers")).items() if set(tests) - {RUNS_SCENARIOS}}

    assert OPEN & set(BAD_SERVERS) == set(BAD_SERVERS) - scenarios - held


def test_every_advisory_has_its_row() -> None:
    """Numbered without a gap."""
    assert [f"E{number:02}" for number in range(1, 14)] == list(rows(section("Advisories")))


def test_every_skin_has_its_row() -> None:
    """The words of each provider that the origin can imitate are in the table."""
    assert set(SKINS) == set(re.findall(r"\(`(\w+)`\)", section("Provider words")))
