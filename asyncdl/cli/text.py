"""Words and numbers for people: sizes, durations, error lines, and text made safe for a terminal; pure."""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING, Final

from asyncdl.errors import AsyncdlError
from asyncdl.model import Outcome, Phase
from asyncdl.rules.redaction import redact_text
from asyncdl.sources.terminal import without_escapes

if TYPE_CHECKING:
    from asyncdl.model import Progress, Result

PROGRAM: Final = "asyncdl"
_UNITS: Final = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
_STEP: Final = 1024


def clean(text: str) -> str:
    """One line without control characters: whoever wrote it cannot move the cursor or forge another line."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def redacted(text: str) -> str:
    """`clean`, and without signed queries, tokens and passwords."""
    return clean(redact_text(without_escapes(text)))


def human_size(number: float) -> str:
    """`1536` is `1.5 KiB`; units in powers of 1024 (IEC 80000-13)."""
    value, place = float(number), 0
    # A value that would be printed as 1024.0 belongs to the next unit.
    while round(value, 1) >= _STEP and place < len(_UNITS) - 1:
        value, place = value / _STEP, place + 1
    return f"{value:.1f} {_UNITS[place]}" if place else f"{int(value)} B"


def human_time(number: float | None) -> str:
    """Seconds as `4.2 s`, `3:07` or `1:02:03`; None as `-`."""
    if number is None:
        return "-"
    if number < 60:  # a minute
        return f"{number:.1f} s"
    minutes, seconds = divmod(int(number), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def counted(number: int, one: str, many: str) -> str:
    """`1 retry`, `2 retries`."""
    return f"{number} {one if number == 1 else many}"


def troubles(progress: Progress | Result) -> str:
    """Refreshes and retries so far, as far as there were any."""
    parts = []
    if progress.refreshes:
        parts.append(counted(progress.refreshes, "refresh", "refreshes"))
    if progress.retries:
        parts.append(counted(progress.retries, "retry", "retries"))
    return ", ".join(parts)


def there_already(number: int) -> str:
    """What an earlier download had left, if it had left anything."""
    return f"{human_size(number)} were there already" if number else ""


def progress_line(name: str, progress: Progress) -> str:
    """One line of a log."""
    if progress.total:
        share = percent(progress.done, progress.total)
        done = f"{human_size(progress.done)} of {human_size(progress.total)} ({share} %)"
    else:
        done = human_size(progress.done)
    parts = [done, *filter(None, [there_already(progress.resumed)]), f"{human_size(progress.rate)}/s"]
    if progress.eta is not None and progress.phase is Phase.DOWNLOADING:
        parts.append(f"{human_time(progress.eta)} to go")
    if trouble := troubles(progress):
        parts.append(trouble)
    return clean(f"{name}: {', '.join(parts)}")


def percent(done: int, total: int) -> int:
    """Rounded down, so that 100 means all of it."""
    return min(100, done * 100 // total) if total else 100


def summary_line(result: Result) -> str:
    """What was done for one file."""
    size = "size unknown" if result.size is None else human_size(result.size)
    if result.outcome is Outcome.SKIPPED:
        return clean(f"{result.path}: {size}, is there already, skipped")
    rate = result.fetched / result.elapsed if result.elapsed > 0 else 0.0
    kept = f", {human_size(result.resumed)} of it were there already" if result.resumed else ""
    verified = f", {result.checksum.algorithm} verified" if result.checksum else ""
    counts = (
        counted(result.requests, "request", "requests"),
        counted(result.retries, "retry", "retries"),
        counted(result.refreshes, "refresh", "refreshes"),
    )
    speed = f"in {human_time(result.elapsed)}, {human_size(rate)}/s"
    return clean(f"{result.path}: {size}{kept} {speed}{verified}, {', '.join(counts)}")


def message_of(error: BaseException) -> str:
    """The error in words, without secrets."""
    if isinstance(error, AsyncdlError):
        return redacted(error.message)
    return redacted(f"unexpected {type(error).__name__}: {error}".removesuffix(": "))


def hint_of(error: BaseException) -> str | None:
    """What to do next, if anybody knows."""
    if isinstance(error, AsyncdlError):
        return redacted(error.hint) if error.hint else None
    return "this is a fault of asyncdl; run it again with -vv and report what it prints"


def code_of(error: BaseException) -> str:
    """The kebab-case name of the kind of error."""
    return error.code if isinstance(error, AsyncdlError) else "internal"


def error_lines(error: BaseException, *, about: str | None = None, with_traceback: bool = False) -> list[str]:
    """The lines on standard error for an error that ended something; `about` says what, where that is a question."""
    lines = []
    if with_traceback:
        whole = redact_text(without_escapes("".join(traceback.format_exception(error))))
        lines += [clean(line) for line in whole.splitlines()]
    subject = f"{clean(about)}: " if about else ""
    lines.append(f"{PROGRAM}: error: {subject}{message_of(error)}")
    if hint := hint_of(error):
        lines.append(f"hint: {hint}")
    return lines
