"""Markdown out of the JSON of a run: goals with ratio, spread and limit, and every row of every scenario."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.document import samples, verdicts
from benchmarks.goals import GIB, Verdict
from benchmarks.measure import Sample
from benchmarks.table import BY_ID

#: Bytes from which on CPU time per GiB says something: below, starting the process is most of it.
_COUNTS = 16 << 20
BEGIN = "<!-- benchmarks: begin -->"
END = "<!-- benchmarks: end -->"


def report(document: dict[str, Any]) -> str:
    """All tables of a document."""
    found = samples(document)
    parts = [_machine(document), _goals(verdicts(found, quick=document["mode"] == "quick"))]
    parts += [_scenario(name, document["scenarios"][name], rows) for name, rows in found.items()]
    return "\n\n".join(parts) + "\n"


def between_markers(text: str, tables: str) -> str:
    """`text` with what stands between the two markers replaced.

    Raises:
        ValueError: a marker is missing.
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"no {BEGIN} and {END}")
    return f"{before}{BEGIN}\n\n{tables.strip()}\n\n{END}{after}"


def write_into(path: Path, tables: str) -> None:
    path.write_text(between_markers(path.read_text(encoding="utf-8"), tables), encoding="utf-8")


def _machine(document: dict[str, Any]) -> str:
    facts = document["machine"]
    clients = ", ".join(f"{name} {version}".strip() for name, version in document["clients"].items())
    missing = ", ".join(document["absent"]) or "none"
    return (
        f"{facts['cpu']}, {facts['cores']} cores, {facts['memory'] / GIB:.0f} GiB, {facts['system']} "
        f"{facts['kernel']}, Python {facts['python']}, nginx {facts['nginx']}; {document['mode']} run. "
        f"Clients: {clients}. Not there: {missing}."
    )


def _goals(judged: Sequence[Verdict]) -> str:
    lines = [("", "what", "median", "min-max", "goal", "", "against")]
    for verdict in judged:
        sign = "≥" if verdict.sense == "at least" else "≤"
        goal = "-" if verdict.bound is None else f"{sign} {_number(verdict.bound)}{verdict.unit}"
        if verdict.median is None:
            lines.append((verdict.scenario, verdict.words, "-", "-", goal, "not judged", verdict.why))
            continue
        spread = f"{_number(verdict.least)}-{_number(verdict.most)}"
        met = {True: "met", False: "**not met**", None: "the limit"}[verdict.met]
        median = f"{_number(verdict.median)}{verdict.unit}"
        lines.append((verdict.scenario, verdict.words, median, spread, goal, met, verdict.against))
    return _table(lines, "llrrrll")


def _scenario(name: str, scenario: dict[str, Any], rows: dict[str, list[Sample]]) -> str:
    about = BY_ID[name]
    facts = ", ".join(f"{key} {_count(value)}" for key, value in scenario["facts"].items())
    lines = [("", "s", "min-max", "MB/s", "CPU s/GiB", "peak MiB", "facts"), *map(_row, rows.items())]
    left = "".join(f"\n- left out: {row}: {why}" for row, why in scenario["left_out"].items())
    return f"### {name}: {about.title}\n\n{facts}\n\n{_table(lines, 'lrrrrrl')}{left}"


def _row(item: tuple[str, list[Sample]]) -> tuple[str, ...]:
    name, runs = item
    walls = [one.wall for one in runs]
    wall, size = statistics.median(walls), runs[0].size
    throughput = f"{size / wall / 1e6:.0f}" if size else "-"
    cpu = f"{statistics.median(one.cpu for one in runs) / size * GIB:.2f}" if size >= _COUNTS else "-"
    facts = ", ".join(
        f"{key} {_number(statistics.median(one.facts[key] for one in runs))}"
        for key in runs[0].facts
        if all(key in one.facts for one in runs) and key != "bound"
    )
    spread = f"{min(walls):.2f}-{max(walls):.2f}"
    return name, f"{wall:.2f}", spread, throughput, cpu, f"{max(one.peak for one in runs) / (1 << 20):.0f}", facts


def _count(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:g}"


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return (
        f"{value:.2f}" if abs(value) < 10 and value != int(value) else f"{value:.0f}" if value >= 10 else f"{value:g}"
    )


def _table(lines: Iterable[Sequence[str]], align: str) -> str:
    head, *rest = (f"| {' | '.join(line)} |" for line in lines)
    rule = "|".join("---:" if side == "r" else "---" for side in align)
    return "\n".join([head, f"|{rule}|", *rest])
