"""`python -m tests.crash [SCENARIO...] --states N --seed S`: crash downloads, and say what was tried and what fell."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor

from tests.crash.invariants import told
from tests.crash.scenarios import SCENARIOS
from tests.crash.search import Report, search, search_recovery

_WIDTH = max(map(len, SCENARIOS))
#: Of the states, those where the download after the crash crashes too.
_OF_RECOVERY = 0.2


def main(arguments: Sequence[str] | None = None) -> int:
    """1 when something was violated, else 0."""
    options = _parser().parse_args(arguments)
    unknown = set(options.scenarios) - set(SCENARIOS)
    if unknown:
        known = "; ".join(SCENARIOS)
        print(f"no such scenario: {', '.join(sorted(unknown))}; there are: {known}", file=sys.stderr)
        return 2
    names = options.scenarios or list(SCENARIOS)
    total = wrong = 0
    began = time.monotonic()
    each = -(-options.states // len(names))
    for name, report, again in _reports(names, each, options.seed, options.jobs):
        total += report.states + again.states
        wrong += len(report.wrong) + len(again.wrong)
        figures = f"{report.states:>9,} + {again.states:>8,} states of {report.traces:>6,} downloads"
        print(f"{name:<{_WIDTH}} {figures}  {'FAILED' if report.wrong or again.wrong else 'ok'}", flush=True)
        for found in (report.wrong, again.wrong):
            if found:
                print(told(found))
    print(f"{total:,} states in {time.monotonic() - began:.0f} s, {wrong} of them wrong")
    return 1 if wrong else 0


def _parser() -> argparse.ArgumentParser:
    lines = "\n".join(f"  {name}" for name in SCENARIOS)
    parser = argparse.ArgumentParser(
        prog="python -m tests.crash",
        description=__doc__,
        epilog=f"scenarios:\n{lines}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help="default: all")
    parser.add_argument("--states", type=int, default=100_000, help="in all, about (default 100,000)")
    parser.add_argument("--seed", type=int, default=0, help="of the first download of each scenario (default 0)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes (default: one for each CPU)")
    return parser


def _reports(names: Sequence[str], each: int, seed: int, jobs: int) -> Iterator[tuple[str, Report, Report]]:
    if jobs == 1:
        for name in names:
            yield (name, *_both(name, each, seed))
        return
    with ProcessPoolExecutor(jobs) as pool:
        running = [(name, pool.submit(_both, name, each, seed)) for name in names]
        for name, future in running:
            yield (name, *future.result())


def _both(name: str, states: int, seed: int) -> tuple[Report, Report]:
    scenario = SCENARIOS[name]
    of_recovery = int(states * scenario.share * _OF_RECOVERY)
    report = search(scenario, int(states * scenario.share) - of_recovery, seed=seed)
    return report, search_recovery(scenario, of_recovery, seed=seed)


if __name__ == "__main__":
    sys.exit(main())
