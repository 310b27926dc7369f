"""Interleaved rounds: every row once per round, in an order that turns, each in an empty directory of its own."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.measure import RunError, Sample

#: An absolute path: it says more about the machine than about the failure.
_PATH = re.compile(r"(?<![\w:/])(?:/[^\s/'\":]+){2,}")
#: What is told while it runs.
Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of a table.

    Attributes:
        run: carries it out in an empty directory, compares the bytes, and returns what it took; raises RunError.
        where: that directory's parent; None for the usual one.
    """

    name: str
    run: Callable[[Path], Sample]
    where: Path | None = None


@dataclass(slots=True, kw_only=True)
class Results:
    """What a scenario found.

    Attributes:
        samples: by row; only rows that succeeded in every round.
        left_out: why a row is not among them.
        facts: sizes and settings, for the reader.
    """

    samples: dict[str, list[Sample]] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    facts: dict[str, float] = field(default_factory=dict)


def interleave(
    rows: Sequence[Row], rounds: int, work: Path, tell: Tell, *, warm: bool = False, touch: int = 0
) -> Results:
    """Run every row `rounds` times.

    Args:
        work: where the directories are made.
        warm: whether to run everything once before, unmeasured, so that no row pays for the first look at a file.
        touch: bytes of memory to take and free before each run: a virtual machine may have given its free memory back,
            and whoever comes first would pay for getting it again, at some moments many times what a run takes.
    """
    results = Results()
    for number in range(-1 if warm else 0, rounds):
        turn = number % len(rows) if rows else 0
        for one in (*rows[turn:], *rows[:turn]):
            if one.name in results.left_out:
                continue
            directory = Path(tempfile.mkdtemp(dir=one.where or work))
            _touch(directory, touch)
            try:
                sample = one.run(directory)
            except RunError as error:
                tell(f"  {one.name}: {error}")
                results.left_out[one.name] = in_short(str(error))
                results.samples.pop(one.name, None)
            else:
                if number >= 0:
                    results.samples.setdefault(one.name, []).append(sample)
                    tell(f"  {number + 1}/{rounds} {one.name}: {sample.wall:.2f} s, {sample.cpu:.2f} s of CPU")
            finally:
                shutil.rmtree(directory, ignore_errors=True)
    # In the order of the table, whatever the order of the first round.
    results.samples = {one.name: results.samples[one.name] for one in rows if one.name in results.samples}
    return results


def _touch(directory: Path, size: int) -> None:
    file, block = directory / "touched", bytes(1 << 22)
    with file.open("wb", buffering=0) as target:
        for _ in range(0, size, len(block)):
            target.write(block)
    file.unlink()


def in_short(words: str) -> str:
    """The first word and the last line, which is where Python names the error; short, and without paths."""
    lines = [line.strip() for line in words.splitlines() if line.strip()]
    found = words if len(lines) < 2 else f"{lines[0].partition(':')[0]}: {lines[-1]}"
    return _PATH.sub("...", found)[:200]
