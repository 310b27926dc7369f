"""The JSON of a run: everything that was measured, written and read back, with a version of its own."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.goals import Found, Verdict, judge
from benchmarks.machine import absent, machine, versions
from benchmarks.measure import Sample
from benchmarks.rounds import Results
from benchmarks.table import SCENARIOS

#: What the document calls itself, and the version that is raised whenever a member changes its meaning or goes.
FORMAT = "asyncdl-benchmarks"
SCHEMA = 1


def assemble(results: dict[str, Results], *, mode: str) -> dict[str, Any]:
    """A document of what was found, judged."""
    found = {name: one.samples for name, one in results.items()}
    return {
        "format": FORMAT,
        "schema": SCHEMA,
        "mode": mode,
        "machine": machine(),
        "clients": versions(),
        "absent": absent(),
        "scenarios": {
            name: {
                "facts": one.facts,
                "left_out": one.left_out,
                "rows": {label: [asdict(sample) for sample in samples] for label, samples in one.samples.items()},
            }
            for name, one in results.items()
        },
        "verdicts": [asdict(verdict) for verdict in verdicts(found, quick=mode == "quick")],
    }


def verdicts(found: Found, *, quick: bool) -> list[Verdict]:
    """Of every goal whose scenario, or one that it reads, was run."""
    return [
        judge(scenario.id, goal, found, quick=quick)
        for scenario in SCENARIOS
        if scenario.id in found or any(name in found for name in scenario.needs)
        for goal in scenario.goals
    ]


def save(document: dict[str, Any], path: Path) -> None:
    path.write_text(json.dumps(document, indent=1, sort_keys=False) + "\n", encoding="utf-8")


def load(path: Path) -> dict[str, Any]:
    """Read a document.

    Raises:
        ValueError: it is none, or of another version.
    """
    document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    if document.get("format") != FORMAT or document.get("schema") != SCHEMA:
        raise ValueError(f"not a document of {FORMAT}, schema {SCHEMA}")
    return document


def samples(document: dict[str, Any]) -> dict[str, dict[str, list[Sample]]]:
    """The samples of a document, by scenario and row."""
    return {
        name: {label: [Sample(**one) for one in runs] for label, runs in scenario["rows"].items()}
        for name, scenario in document["scenarios"].items()
    }
