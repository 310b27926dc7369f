"""What a client's deed in a scenario is worth; Rule: values in, values out."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Literal

from asyncdl.testing.scenarios.model import Scenario


class Verdict(enum.Enum):
    """Every way to come out of a scenario, with its mark and its meaning; best first."""

    PASS = ("ok", "right: brought the object byte for byte, or refused where that is right")
    FAILS = ("fails", "ended with an error where the object could be had")
    HANG = ("hang", "had not ended long after its own bound, and was killed")
    ACCEPTED = ("took it", "brought bytes by a way that must be refused")
    NOTHING = ("nothing", "reported success, and brought no file")
    WRONG = ("WRONG", "reported success, and brought something that is not the object")
    NOT_MET = ("not met", "never made the request that the fault waits for")
    NOT_APPLICABLE = ("n/a", "the scenario needs something the client cannot do")
    BROKEN = ("broken", "the scenario's own server failed; says nothing about the client")

    @property
    def mark(self) -> str:
        return self.value[0]

    @property
    def meaning(self) -> str:
        return self.value[1]


#: Beside a mark: the client said that it failed, and what lies at the destination is not the object.
LEFTOVER = "*"


@dataclass(frozen=True, slots=True, kw_only=True)
class Deed:
    """What one client did in one scenario.

    Attributes:
        ended: well (exit status 0), ill (any other), or not at all: it was killed.
        brought: what is at the destination, as `Stage.brought` says.
        applied: how many faults were applied.
        requests: how many requests came.
        seconds: it took.
        words: the end of what it printed, without queries and paths.
    """

    ended: Literal["well", "ill", "never"]
    brought: Literal["whole", "nothing", "wrong"]
    applied: int = 0
    requests: int = 0
    seconds: float = 0.0
    words: str = ""


def judge(scenario: Scenario, deed: Deed) -> Verdict:
    """What the deed is worth."""
    if deed.ended == "never":
        return Verdict.HANG
    if deed.ended == "well" and deed.brought != "whole":
        return Verdict.WRONG if deed.brought == "wrong" else Verdict.NOTHING
    met = deed.applied > 0 or not scenario.reached or not any(host.faults for host in scenario.hosts.values())
    refuses = bool(scenario.errors)
    if not met and (refuses or deed.ended == "well"):
        return Verdict.NOT_MET
    if deed.ended == "ill":
        return Verdict.PASS if refuses else Verdict.FAILS
    return Verdict.ACCEPTED if refuses and not scenario.harmless else Verdict.PASS


def leftover(deed: Deed) -> bool:
    """Whether a program that looks at the destination alone would be fooled: the client failed, yet a file is there."""
    return deed.ended == "ill" and deed.brought == "wrong"
