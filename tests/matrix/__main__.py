"""Runs clients through scenarios, several at once, and writes the matrix."""

from __future__ import annotations

import argparse
import asyncio
import datetime as dt
import importlib
import itertools
import json
import signal
import sys
from collections.abc import Coroutine, Sequence
from pathlib import Path

from asyncdl.testing.scenarios.model import Scenario
from tests.matrix import report, trial
from tests.matrix.clients import CLIENTS, ROOT, Client
from tests.matrix.verdicts import Verdict

_PAGE = ROOT / "docs" / "matrix.md"


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.matrix", description=__doc__)
    parser.add_argument("--client", action="append", default=[], metavar="NAME", help="only this one; repeatable")
    parser.add_argument("--row", action="append", default=[], metavar="ROW", help="only this row; repeatable")
    parser.add_argument("--list", action="store_true", help="say who is there and what would run, and run nothing")
    parser.add_argument("--json", type=Path, metavar="FILE", help="everything seen, for programs")
    parser.add_argument(
        "--markdown", type=Path, metavar="FILE", help="the page; default: docs/matrix.md if all clients and rows ran"
    )
    parser.add_argument("--jobs", type=int, default=8, metavar="N", help="clients at once; default: 8")
    parser.add_argument("--size", type=int, default=trial.SIZE, metavar="BYTES", help="of an object")
    parser.add_argument("--patience", type=int, default=trial.PATIENCE, metavar="S", help="of a client; default: 20")
    parser.add_argument(
        "--scenarios",
        default="asyncdl.testing.scenarios",
        metavar="MODULE",
        help="has them as ALL; default: %(default)s",
    )
    return parser.parse_args(arguments)


async def _cell(
    client: Client, scenario: Scenario, options: argparse.Namespace, turn: asyncio.Semaphore
) -> report.Cell:
    if not scenario.needs <= client.can:
        return report.Cell(scenario=scenario, client=client.name, deed=None)
    async with turn:
        try:
            deed = await trial.attempt(client, scenario, size=options.size, patience=options.patience)
        except Exception as error:  # noqa: BLE001  # one broken scenario shall not cost the whole run
            return report.Cell(scenario=scenario, client=client.name, deed=None, broken=repr(error.__cause__ or error))
        cell = report.Cell(scenario=scenario, client=client.name, deed=deed)
    _say(cell)
    return cell


def _say(cell: report.Cell) -> None:
    if cell.verdict is Verdict.PASS and not cell.leftover:
        return
    deed = cell.deed
    facts = f"{deed.seconds:g} s, {deed.requests} requests: {deed.words}" if deed else cell.broken
    print(f"{cell.mark:8} {cell.client:10} {cell.scenario}: {facts}", file=sys.stderr, flush=True)


async def _matrix(
    clients: Sequence[Client], scenarios: Sequence[Scenario], options: argparse.Namespace
) -> report.Matrix:
    versions = dict(zip((c.name for c in clients), [await asyncio.to_thread(c.version) for c in clients], strict=True))
    present = [client for client in clients if versions[client.name] is not None]
    turn = asyncio.Semaphore(options.jobs)
    pairs = itertools.product(scenarios, present)
    cells = await asyncio.gather(*(_cell(client, scenario, options, turn) for scenario, client in pairs))
    return report.Matrix(
        clients=clients,
        versions=versions,
        cells=cells,
        date=dt.datetime.now(dt.UTC).date().isoformat(),
        size=options.size,
        patience=options.patience,
    )


async def _ending(work: Coroutine[None, None, report.Matrix]) -> report.Matrix:
    """The work, which SIGTERM ends as Ctrl-C does: no client and no directory stays behind."""
    task = asyncio.ensure_future(work)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await task


def _list(clients: Sequence[Client], scenarios: Sequence[Scenario]) -> None:
    for client in clients:
        print(f"{client.name:12} {client.version() or f'absent: not installed ({client.how})'}")
    for scenario in scenarios:
        print(scenario)


def main(arguments: Sequence[str]) -> int:
    """Returns the exit status: 0 even where clients fail, 2 where a name is unknown."""
    options = _options(arguments)
    scenarios: Sequence[Scenario] = importlib.import_module(options.scenarios).ALL
    rows, names = {scenario.row for scenario in scenarios}, {client.name for client in CLIENTS}
    for unknown in (*(set(options.row) - rows), *(set(options.client) - names)):
        print(f"there is no {unknown}: see --list", file=sys.stderr)
        return 2
    clients = [client for client in CLIENTS if not options.client or client.name in options.client]
    scenarios = [scenario for scenario in scenarios if not options.row or scenario.row in options.row]
    if options.list:
        _list(clients, scenarios)
        return 0
    matrix = asyncio.run(_ending(_matrix(clients, scenarios, options)))
    page = options.markdown or (None if options.row or options.client else _PAGE)
    text = report.as_markdown(matrix)
    if page is None:
        print(text)
    else:
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(text, encoding="utf-8")
    if options.json is not None:
        options.json.write_text(json.dumps(report.as_json(matrix), indent=1), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
