"""`python -m tests.kill --kills N --seed S`: kill downloads, go on with them, say what it cost and what was wrong."""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from asyncdl.options import MIB
from tests.kill.campaign import Tally, campaign


def main(arguments: Sequence[str] | None = None) -> int:
    """1 when something was wrong, else 0."""
    parser = argparse.ArgumentParser(prog="python -m tests.kill", description=__doc__)
    parser.add_argument("--kills", type=int, default=1000, help="processes to kill (default 1000)")
    parser.add_argument("--seed", type=int, help="of everything that is drawn; default: a new one, which is printed")
    parser.add_argument("--dir", type=Path, help="where the files are; default: the system's folder for temporary ones")
    options = parser.parse_args(arguments)
    seed = random.randrange(2**32) if options.seed is None else options.seed
    print(f"seed {seed}", flush=True)
    with tempfile.TemporaryDirectory(dir=options.dir) as folder:
        tally = asyncio.run(campaign(Path(folder), kills=options.kills, seed=seed, on_file=_Line()))
    print(summary(tally))
    return 1 if tally.wrong else 0


class _Line:
    """A line now and then."""

    def __init__(self) -> None:
        self._next = 0

    def __call__(self, tally: Tally) -> None:
        if tally.killed >= self._next:
            self._next = tally.killed + 100
            print(f"{tally.seconds:>6.0f} s {tally.killed:>6,} kills {tally.files.total():>5,} files", flush=True)


def summary(tally: Tally) -> str:
    """All there is to say, the wrong ones with everything that happened to them."""
    verdict = "NOT WELL" if tally.wrong else "well"
    lines = [
        f"{tally.bytes / MIB:.0f} MiB in files: {_counts(tally.files)}",
        f"kills: {_counts(tally.kills)}",
        f"last disk call before them: {_counts(tally.last_calls)}",
        f"{tally.resumed:,} of {tally.lives:,} lives went on with what others left",
        f"fetched again: {tally.fetched_again / MIB:.1f} MiB of at most {tally.bound / MIB:.1f}",
        *(f"WRONG: {wrong}" for wrong in tally.wrong),
        f"{verdict}: {tally.killed:,} kills, {tally.files.total():,} files in {tally.seconds:.0f} s, seed {tally.seed}",
    ]
    return "\n".join(lines)


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items())) or "none"


if __name__ == "__main__":
    sys.exit(main())
