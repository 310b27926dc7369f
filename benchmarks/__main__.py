"""`python -m benchmarks COMMAND`: run, report, plot, micro or list."""

from __future__ import annotations

import argparse
import compileall
import sys
from pathlib import Path

import asyncdl
from asyncdl.testing.process import parse_size
from benchmarks import micro
from benchmarks.document import assemble, load, save
from benchmarks.plot import plot
from benchmarks.report import report, write_into
from benchmarks.rounds import Results
from benchmarks.settings import Settings
from benchmarks.table import BY_ID, SCENARIOS


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_run(commands.add_parser("run", help="measure, and write what was found as JSON"))
    tables = commands.add_parser("report", help="Markdown tables of a JSON file")
    tables.add_argument("file", type=Path)
    tables.add_argument("--into", type=Path, help="a Markdown file, between whose markers they are put")
    tables.set_defaults(call=_report)
    picture = commands.add_parser("plot", help="an SVG of a JSON file's P1")
    picture.add_argument("file", type=Path)
    picture.add_argument("--out", type=Path, default=Path("docs/benchmarks.svg"), help="(default docs/benchmarks.svg)")
    picture.set_defaults(call=_plot)
    micro.add_arguments(commands.add_parser("micro", help="costs of the smallest steps, and their guard"))
    commands.add_parser("list", help="the scenarios").set_defaults(call=_list)
    options = parser.parse_args(arguments)
    try:
        options.call(options)
    except (RuntimeError, ValueError) as error:
        parser.exit(1, f"{parser.prog}: {error}\n")


def _add_run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--quick", action="store_true", help="small files and few rounds: minutes in all")
    parser.add_argument("--only", nargs="+", choices=list(BY_ID), metavar="P", help="scenarios (default: all)")
    parser.add_argument(
        "--clients", nargs="+", default=[], metavar="NAME", help="parts of the names of the rows wanted"
    )
    parser.add_argument("--size", type=parse_size, help="bytes of the large files instead of each scenario's own")
    parser.add_argument("--rounds", type=int, help="instead of each scenario's own")
    parser.add_argument("--memory", type=Path, default=Path("/dev/shm"), help="a tmpfs (default /dev/shm)")
    parser.add_argument("--disk", type=Path, default=Path(), help="a directory on a disk (default: the current one)")
    parser.add_argument("--out", type=Path, required=True, help="the JSON file")
    parser.set_defaults(call=_run)


def _run(options: argparse.Namespace) -> None:
    settings = Settings(
        quick=options.quick,
        size=options.size,
        rounds=options.rounds,
        clients=options.clients,
        memory=options.memory,
        disk=options.disk,
        tell=lambda line: print(line, file=sys.stderr, flush=True),
    )
    # Otherwise the first run of the first round would pay for it.
    compileall.compile_dir(Path(asyncdl.__file__).parent, quiet=2)
    compileall.compile_dir(Path(__file__).parent, quiet=2)
    wanted = set(options.only or BY_ID)
    wanted |= {name for one in wanted for name in BY_ID[one].needs}
    results: dict[str, Results] = {}
    for scenario in SCENARIOS:
        if scenario.id not in wanted or scenario.run is None:
            continue
        settings.tell(f"{scenario.id}: {scenario.title}")
        results[scenario.id] = scenario.run(settings)
        # After each, so that what was measured is there whatever happens to the next.
        save(assemble(results, mode="quick" if options.quick else "full"), options.out)
    print(report(load(options.out)))


def _report(options: argparse.Namespace) -> None:
    tables = report(load(options.file))
    if options.into:
        write_into(options.into, tables)
    else:
        print(tables)


def _plot(options: argparse.Namespace) -> None:
    plot(load(options.file), options.out)


def _list(_: argparse.Namespace) -> None:
    for scenario in SCENARIOS:
        print(f"{scenario.id:<4} {scenario.title}: {scenario.goal}")


if __name__ == "__main__":
    main()
