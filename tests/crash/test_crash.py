"""Downloads that crash at any point, by a signal or a loss of power, and those that follow: nothing comes out wrong.

`nox -s crash`, or `python -m tests.crash --states N`, tries more of the same.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from asyncdl.edge import errands
from asyncdl.model import Outcome
from tests.crash.__main__ import main
from tests.crash.invariants import told
from tests.crash.scenarios import SCENARIOS, play
from tests.crash.search import search, search_recovery
from tests.crash.trace import Rename

pytestmark = pytest.mark.usefixtures("may_block")

#: Disks of each scenario that are tried; of one with few, its share.
STATES = 740
#: Of each scenario, where the download after the crash crashes too.
STATES_OF_RECOVERY = 120


def share(name: str, states: int) -> int:
    return int(states * SCENARIOS[name].share)


@pytest.mark.parametrize("name", SCENARIOS)
def test_crash(name: str) -> None:
    """Every disk that a crash leaves is sound (I1, I3, I4), and the next download makes the best of it (I2, I6)."""
    report = search(SCENARIOS[name], share(name, STATES))
    print(f"{report.states} states of {report.traces} downloads, {report.claims} with claims")

    assert 0 == len(report.wrong), told(report.wrong)
    assert share(name, STATES) == report.states
    assert report.claims > report.states / 10 or SCENARIOS[name].share < 1


@pytest.mark.parametrize("name", SCENARIOS)
def test_crash_of_what_follows_a_crash(name: str) -> None:
    """The same holds when the download after the crash crashes (I5)."""
    report = search_recovery(SCENARIOS[name], share(name, STATES_OF_RECOVERY))
    print(f"{report.states} states of what followed crashes of {report.traces} downloads")

    assert 0 == len(report.wrong), told(report.wrong)
    assert share(name, STATES_OF_RECOVERY) <= report.states


def test_enough_is_tried() -> None:
    """All of this together is at least 20,000 states."""
    assert 20_000 <= sum(share(name, STATES) + share(name, STATES_OF_RECOVERY) for name in SCENARIOS)


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_scenario_does_what_it_says(name: str) -> None:
    """Its last download succeeds unless there is no room, and goes on with what an earlier one left if it may."""
    played = [play(SCENARIOS[name], seed) for seed in range(8)]
    results = [one.result for one in played]
    goes_on = name.startswith(("resumed", "no locks", "replacing, resumed", "unproven, ", "sha256", "crc32"))

    assert all(early is None for one in played for early in one.early)
    assert name.startswith("no room") == (None in results)
    assert {Outcome.DOWNLOADED} >= {result.outcome for result in results if result}
    assert goes_on == any(result.resumed for result in results if result) or name.startswith("changed")
    if name.endswith("long journal"):
        # One journal for each download, and two names for the file in the end.
        most = len(SCENARIOS[name].runs) + 2
        assert any(most < sum(isinstance(step, Rename) for step in one.trace) for one in played)


def test_one_seed_one_trace() -> None:
    """What is found once can be found again."""
    first, again, other = (play(SCENARIOS["resumed"], seed) for seed in (3, 3, 4))

    assert first.trace == again.trace
    assert first.trace != other.trace


def test_no_thread_goes_on_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every blocking call takes its turn: with one that does not, a seed says nothing."""
    monkeypatch.setattr(errands.Errands, "_send_one", lambda self: pytest.fail("a thread that no seed knows of"))

    assert play(SCENARIOS["resumed"], 3).result


def test_command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A line for each scenario, and exit code 0; with a violation 1, and what it is."""
    arguments = ["fresh", "resumed", "--states", "120", "--seed", "3", "--jobs", "1"]

    assert 0 == main(arguments)
    assert 3 == capsys.readouterr().out.count(" states")
    monkeypatch.setattr("tests.crash.simdisk.SimDisk.sync_directory", lambda self, path: None)
    assert 1 == main(arguments)
    assert "I4" in capsys.readouterr().out


def test_command_knows_its_scenarios(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """A wrong name is answered with the right ones."""
    assert 2 == main(["refresh"])
    assert "fresh, size given" in capsys.readouterr().err
