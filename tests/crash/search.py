"""Looks for states that violate what must hold: plays a scenario with one seed after the other, and tries what it left."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from tests.crash import steps
from tests.crash.invariants import Expected, violations, wrong_later, wrong_now
from tests.crash.rig import DEST, loop, small_windows
from tests.crash.scenarios import Recorded, Scenario, play
from tests.crash.simdisk import SimDisk
from tests.crash.states import State, enumerate_states

#: States that are tried of one trace; where it has more, they are drawn.
_PER_TRACE = 500
#: Crashes of the download after the crash that are tried for one state.
_PER_RECOVERY = 40
#: States of one trace whose recovery crashes.
_RECOVERIES = 10


@dataclass(slots=True)
class Report:
    """What was tried, and what fell.

    Attributes:
        states: how many disks were tried.
        traces: how many downloads they are of.
        wrong: states and what they violate.
    """

    states: int = 0
    traces: int = 0
    wrong: dict[State, list[str]] = field(default_factory=dict)

    def add(self, state: State, found: Iterable[str]) -> None:
        """One more state."""
        self.states += 1
        if said := list(found):
            self.wrong[state] = said


def search(scenario: Scenario, states: int, *, seed: int = 0, enough: int = 20) -> Report:
    """Try `states` disks that crashes of a scenario leave, or fewer, once `enough` are wrong."""
    report = Report()
    while report.states < states and len(report.wrong) < enough:
        played = play(scenario, seed)
        drawn = _drawn(played, seed, min(_PER_TRACE, states - report.states))
        _try_all(report, scenario.expected, drawn, enough)
        report.traces += 1
        seed += 1
    return report


def _drawn(played: Recorded, seed: int, most: int) -> list[State]:
    """States of one trace: those of a killed process first, they are few."""
    found = list(enumerate_states(played.trace, played.start, seed=seed))
    random.Random(seed).shuffle(found)
    # After success there is little that may differ, and everything to lose.
    found.sort(key=lambda state: not state.returned)
    return found[:most]


def _try_all(report: Report, expected: tuple[Expected, ...], states: list[State], enough: int) -> None:
    with loop() as runner, small_windows(1 << 20), steps.on_the_loop():
        for number, state in enumerate(states):
            if len(report.wrong) >= enough:
                return
            report.add(state, violations(expected[number % len(expected)], state, runner))


def search_recovery(scenario: Scenario, states: int, *, seed: int = 0, enough: int = 20) -> Report:
    """The same for crashes of the download that follows a crash (I5)."""
    report = Report()
    with loop() as runner, small_windows(8192), steps.on_the_loop():
        while report.states < states and len(report.wrong) < enough:
            for number, state in enumerate(_drawn(play(scenario, seed), seed, _RECOVERIES)):
                expected = scenario.expected[number % len(scenario.expected)]
                disk = SimDisk(state.image)
                report.add(state, wrong_later(expected, state.image, disk, runner))
                then = replace(expected, new=expected.then.object, old=state.image.at(str(DEST)))
                again = list(enumerate_states(disk.trace, state.image, seed=seed, drawn=5))
                for later in random.Random(seed).sample(again, min(_PER_RECOVERY, len(again))):
                    if report.states < states:
                        report.add(later, violations(then, later, runner))
            report.traces += 1
            seed += 1
    return report
