"""`python -m tests.soak --seconds N`: download without pause, and say what grew."""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import json
import random
import sys
from collections.abc import Sequence

from tests.soak.lanes import Tally, soak
from tests.soak.trend import BOUNDS, WARM_UP

_ROWS = 20


def main(arguments: Sequence[str] | None = None) -> int:
    """1 when a download failed or something grew, else 0."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="default 60; a minute is the least that tells much")
    parser.add_argument("--seed", type=int, help="of settings and faults; default: a new one, which is printed")
    parser.add_argument("--faults", type=float, default=0.01, help="share of the requests that go wrong (default 0.01)")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of tables")
    options = parser.parse_args(arguments)
    seed = random.randrange(2**32) if options.seed is None else options.seed
    table = _Table(options.seconds)
    if not options.json:
        print(f"seed {seed}, {options.faults:.1%} of the requests go wrong\n{_Table.HEAD}")
    tally = asyncio.run(
        soak(
            seconds=options.seconds,
            seed=seed,
            share=options.faults,
            on_sample=(lambda tally: None) if options.json else table.row,
        )
    )
    print(json.dumps(as_json(tally)) if options.json else _summary(tally))
    return 0 if tally.well else 1


class _Table:
    HEAD = (
        f"{'s':>7} {'files':>7} {'GiB':>7} {'retries':>8} {'renewed':>8} {'RSS MiB':>8} {'fds':>5} {'threads':>8}"
        f" {'tasks':>6}"
    )

    def __init__(self, seconds: float) -> None:
        self._every, self._next = seconds / _ROWS, 0.0

    def row(self, tally: Tally) -> None:
        last = tally.samples[-1]
        if last.seconds < self._next:
            return
        self._next = last.seconds + self._every
        print(
            f"{last.seconds:>7.0f} {tally.downloads:>7,} {tally.fetched / 2**30:>7.2f} {tally.retries:>8,} "
            f"{tally.refreshes:>8,} {last.rss:>8.1f} {last.descriptors:>5.0f} {last.threads:>8.0f} {last.tasks:>6.0f}",
            flush=True,
        )


def _summary(tally: Tally) -> str:
    lines = [
        f"\nafter the first {WARM_UP:.0%}:",
        f"{'':<12} {'first':>8} {'last':>8} {'most':>8} {'a minute':>9} {'bound':>6}",
    ]
    for trend in tally.trends:
        bound = BOUNDS[trend.name].per_minute
        verdict = "  GROWS" if trend.leaks else ""
        lines.append(
            f"{trend.name:<12} {trend.first:>8.1f} {trend.last:>8.1f} {trend.most:>8.1f} {trend.per_minute:>+9.3f} "
            f"{bound:>6.1f}{verdict}"
        )
    thrown = ", ".join(f"{name} {count}" for name, count in sorted(tally.faults.items()))
    lines += [f"\nfaults: {thrown or 'none'}", *(f"FAILED: {failure}" for failure in tally.failures[:20])]
    lines.append(
        f"{'well' if tally.well else 'NOT WELL'}: {tally.downloads:,} files, {tally.fetched / 2**30:.2f} GiB, "
        f"{tally.requests:,} requests, {sum(tally.faults.values()):,} faults, {len(tally.failures)} failures, "
        f"{sum(trend.leaks for trend in tally.trends)} leaks in {tally.seconds:.0f} s"
    )
    return "\n".join(lines)


def as_json(tally: Tally) -> dict[str, object]:
    """The tally with its trends and the verdict."""
    found = dataclasses.asdict(tally)
    found["trends"] = {
        trend.name: {**dataclasses.asdict(trend), **dataclasses.asdict(BOUNDS[trend.name]), "leaks": trend.leaks}
        for trend in tally.trends
    }
    return {**found, "well": tally.well}


if __name__ == "__main__":
    sys.exit(main())
