"""Looks for states that violate what must hold: plays a scenario, seed after seed, and tries what crashes leave."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from tests.crash import steps
from tests.crash.invariants import Expected, claims, violations, wrong_later
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
#: Traces in a row without anything new, after which there is nothing new.
_IN_VAIN = 20
#: Number of the owner of the first download after a crash; those before have lower ones.
_OWNER = 1 << 16


@dataclass(slots=True)
class Report:
    """What was tried, and what fell.

    Attributes:
        states: how many disks were tried.
        traces: how many downloads they are of.
        claims: how many of the disks had a journal that claims something of the partial file.
        wrong: states and what they violate.
    """

    states: int = 0
    traces: int = 0
    claims: int = 0
    wrong: dict[State, list[str]] = field(default_factory=dict)

    def add(self, state: State, found: Iterable[str]) -> None:
        """One more state."""
        self.states += 1
        claimed = claims(state.image)
        self.claims += claimed is not None and bool(claimed[0].held)
        if said := list(found):
            self.wrong[state] = said


def search(scenario: Scenario, states: int, *, seed: int = 0, enough: int = 20) -> Report:
    """Try `states` different disks that crashes of a scenario leave, or fewer: if there are, or `enough` are wrong."""
    report = Report()
    seen: set[int] = set()
    vain = 0
    while report.states < states and len(report.wrong) < enough and vain < _IN_VAIN:
        played = play(scenario, seed)
        drawn = [state for state in _drawn(played, seed) if hash(state) not in seen]
        # After success there is little that may differ, and everything to lose.
        drawn.sort(key=lambda state: not state.returned)
        drawn = drawn[: min(_PER_TRACE, states - report.states)]
        vain = 0 if drawn else vain + 1
        seen.update(map(hash, drawn))
        _try_all(report, scenario.expected, drawn, enough)
        report.traces += 1
        seed += 1
    return report


def _drawn(played: Recorded, seed: int) -> list[State]:
    """The states of one trace, in any order."""
    found = list(enumerate_states(played.trace, played.start, seed=seed))
    random.Random(seed).shuffle(found)
    return found


def _try_all(report: Report, expected: tuple[Expected, ...], states: list[State], enough: int) -> None:
    with loop() as runner, small_windows(1 << 20, first_owner=_OWNER), steps.on_the_loop():
        for number, state in enumerate(states):
            if len(report.wrong) >= enough:
                return
            report.add(state, violations(expected[number % len(expected)], state, runner))


def search_recovery(scenario: Scenario, states: int, *, seed: int = 0, enough: int = 20) -> Report:
    """The same for crashes of the download that follows a crash (I5)."""
    report = Report()
    with loop() as runner, small_windows(8192, first_owner=_OWNER), steps.on_the_loop():
        while report.states < states and len(report.wrong) < enough:
            for number, state in enumerate(_drawn(play(scenario, seed), seed)[:_RECOVERIES]):
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
