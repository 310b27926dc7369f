"""The matrix as Markdown and as JSON; it judges nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from asyncdl.testing.scenarios.model import Scenario
from tests.matrix.clients import Client
from tests.matrix.notes import GENERAL, NOTES
from tests.matrix.trial import RATE
from tests.matrix.verdicts import LEFTOVER, Deed, Verdict, judge, leftover


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One client in one scenario; no deed: it was not put into it, or the scenario's server failed."""

    scenario: Scenario
    client: str
    deed: Deed | None
    broken: str = ""

    @property
    def verdict(self) -> Verdict:
        if self.deed is None:
            return Verdict.BROKEN if self.broken else Verdict.NOT_APPLICABLE
        return judge(self.scenario, self.deed)

    @property
    def leftover(self) -> bool:
        return self.deed is not None and leftover(self.deed)

    @property
    def mark(self) -> str:
        return self.verdict.mark + LEFTOVER * self.leftover


@dataclass(frozen=True, slots=True, kw_only=True)
class Matrix:
    """All cells of one run.

    Attributes:
        clients: who took part. versions: of each, by name; None: absent.
        date: of the run, as YYYY-MM-DD.
        size: of the objects, in bytes, where a scenario leaves it open. patience: of the clients, in seconds.
    """

    clients: Sequence[Client]
    versions: Mapping[str, str | None]
    cells: Sequence[Cell]
    date: str
    size: int
    patience: int

    @property
    def present(self) -> list[Client]:
        return [client for client in self.clients if self.versions[client.name] is not None]

    def cell(self, scenario: Scenario, client: Client) -> Cell | None:
        key = (str(scenario), client.name)
        return next((cell for cell in self.cells if (str(cell.scenario), cell.client) == key), None)

    @property
    def scenarios(self) -> list[Scenario]:
        return list({str(cell.scenario): cell.scenario for cell in self.cells}.values())


def as_json(matrix: Matrix) -> dict[str, Any]:
    """All of it, for programs."""
    return {
        "date": matrix.date,
        "size": matrix.size,
        "patience": matrix.patience,
        "versions": dict(matrix.versions),
        "settings": {client.name: client.settings for client in matrix.clients},
        "cells": [
            {
                "row": cell.scenario.row,
                "case": cell.scenario.case,
                "client": cell.client,
                "verdict": cell.verdict.name.lower(),
                "leftover": cell.leftover,
                "broken": cell.broken,
                **(asdict(cell.deed) if cell.deed else {}),
            }
            for cell in matrix.cells
        ],
    }


def as_markdown(matrix: Matrix) -> str:
    """The page that people read."""
    sections = [
        *_head(matrix),
        "## Who took part\n",
        *_clients(matrix),
        "\n## How they did\n",
        *_summary(matrix),
        "\n## Fair words\n",
        *_notes(matrix),
        "\n## Every scenario\n",
        *_full(matrix),
        "\n## What the rows are\n",
        *_rows(matrix),
    ]
    return "\n".join(sections) + "\n"


def _head(matrix: Matrix) -> Iterable[str]:
    yield "# asyncdl and other clients, before the same misbehaving servers\n"
    yield (
        f"Written by `python -m tests.matrix` on {matrix.date}: {len(matrix.scenarios)} scenarios, one object of "
        f"{matrix.size:,} bytes, at {RATE >> 20} MiB/s for each connection, where a scenario leaves it open. "
        "Each client ran as a process of its own, in an empty home, without configuration or proxies, with the "
        "settings a careful user would choose, and was to give up "
        f"after {matrix.patience} seconds where it can be told. Each scenario ran once for each client; a client that "
        "varies may differ the next time.\n"
    )
    yield "The scenarios were collected to test asyncdl, so they ask for what asyncdl promises; the notes say where"
    yield "another choice is as good. asyncdl was changed until it did what they ask; nobody did that for the others.\n"


def _clients(matrix: Matrix) -> Iterable[str]:
    yield "| client | version | settings |"
    yield "|---|---|---|"
    for client in matrix.clients:
        version = matrix.versions[client.name]
        yield f"| {client.name} | {version or f'absent: not installed ({client.how})'} | {client.settings} |"


def _summary(matrix: Matrix) -> Iterable[str]:
    shown = [verdict for verdict in Verdict if any(cell.verdict is verdict for cell in matrix.cells)]
    yield _line("client", *(verdict.mark for verdict in shown), f"leaves bytes {LEFTOVER}")
    yield _line("---", *("--:" for _ in shown), "--:")
    for client in matrix.present:
        cells = [cell for cell in matrix.cells if cell.client == client.name]
        counts = Counter(cell.verdict for cell in cells)
        yield _line(client.name, *(counts[verdict] or "" for verdict in shown), sum(c.leftover for c in cells) or "")
    yield ""
    for verdict in shown:
        yield f"- **{verdict.mark}**: {verdict.meaning}."
    yield f"- **{LEFTOVER}**: it said that it failed, and at the destination lies something that is not the object."


def _notes(matrix: Matrix) -> Iterable[str]:
    names = {client.name for client in matrix.present}
    yield from (f"- {note}" for note in GENERAL)
    yield from (f"- **{name}**: {note}" for name, notes in NOTES.items() if name in names for note in notes)


def _full(matrix: Matrix) -> Iterable[str]:
    yield _line("row", "the server", "right is", *(client.name for client in matrix.present))
    yield _line("---", "---", "---", *("---" for _ in matrix.present))
    for scenario in matrix.scenarios:
        cells = [matrix.cell(scenario, client) for client in matrix.present]
        marks = ("" if cell is None or cell.verdict is Verdict.NOT_APPLICABLE else _bold(cell) for cell in cells)
        right = "an error" if scenario.errors else "the object"
        if scenario.errors and scenario.harmless:
            right += ", or the object"
        yield _line(scenario.row, scenario.case, right, *marks)


def _bold(cell: Cell) -> str:
    return cell.mark if cell.verdict in {Verdict.PASS, Verdict.NOT_MET} and not cell.leftover else f"**{cell.mark}**"


def _rows(matrix: Matrix) -> Iterable[str]:
    for scenario in {scenario.row: scenario for scenario in matrix.scenarios}.values():
        source = f" ({scenario.source})" if scenario.source else ""
        yield f"- {scenario.row}: a server that {scenario.server}; a client {scenario.client}{source}."


def _line(*cells: object) -> str:
    return "| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |"
