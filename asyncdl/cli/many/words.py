"""Many files in words: one line about all of them, and the table at the end; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asyncdl.cli.text import PROGRAM, clean, counted, human_size, human_time, there_already

if TYPE_CHECKING:
    from asyncdl.cli.many.tally import Tally


def counts(tally: Tally) -> str:
    """`3 files: 1 downloaded, 1 skipped, 1 failed`, of what has ended."""
    summary = tally.summary
    kinds = {"downloaded": summary.downloaded, "skipped": summary.skipped, "failed": summary.failed}
    parts = [f"{number:,} {kind}" for kind, number in kinds.items() if number]
    return f"{summary.files:,} {'file' if summary.files == 1 else 'files'}" + (f": {', '.join(parts)}" if parts else "")


def note(line: str) -> str:
    """Something that is no error."""
    return clean(f"{PROGRAM}: note: {line}")


def total_line(tally: Tally) -> str:
    """How everything stands, for a log."""
    at_work = f"{len(tally.at_work)} at work"
    return f"{counts(tally)}; {at_work}; {human_size(tally.done)}, {human_size(tally.rate())}/s"


def table(tally: Tally) -> list[str]:
    """The end of a batch, line by line."""
    summary, elapsed = tally.summary, tally.elapsed
    already = there_already(summary.resumed)
    rate = summary.fetched / elapsed if elapsed > 0 else 0.0
    tries = (
        counted(summary.requests, "request", "requests"),
        counted(summary.retries, "retry", "retries"),
        counted(summary.refreshes, "refresh", "refreshes"),
    )
    lines = [
        f"files     {counts(tally)}",
        f"bytes     {human_size(summary.size)}" + (f", {already}" if already else ""),
        f"time      {human_time(elapsed)}, {human_size(rate)}/s",
        f"requests  {', '.join(tries)}",
    ]
    return [*lines, *_failures(tally)]


def _failures(tally: Tally) -> list[str]:
    if not tally.failures:
        return []
    width = max(len(failure.code) for failure in tally.failures)
    lines = ["failed"]
    for failure in tally.failures:
        lines.append(clean(f"  {failure.code:{width}}  {failure.place}: {failure.message}"))
        if failure.hint:
            lines.append(clean(f"  {'':{width}}  hint: {failure.hint}"))
    more = tally.summary.failed - len(tally.failures)
    return [*lines, *([f"  and {more:,} more"] if more > 0 else [])]
