"""What is shown of many files: the line about all, the table, the bars, and nothing in them that could hurt."""

from __future__ import annotations

import io
import json
import signal
from pathlib import Path

from rich.console import Console

from asyncdl.cli.many import words
from asyncdl.cli.many.bars import ManyBars
from asyncdl.cli.many.display import ManyDisplay, ManyJson, ManyPlain
from asyncdl.cli.many.items import Item, Refused
from asyncdl.cli.many.run import choose_display
from asyncdl.cli.many.tally import Tally
from asyncdl.errors import ConnectError, OptionsError
from asyncdl.model import Outcome, Phase, Progress, Request, Result
from asyncdl.rules.lists.row import Row

_MIB = 1 << 20
_SIGNED = "https://host/a?sig=hunter2secret"


class _Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def _item(number: int = 1) -> Item:
    path = Path(f"dir/[red]{number}.bin")
    row = Row(line=number, urls=(_SIGNED,))
    return Item(source=_SIGNED, path=path, url="https://host/a?…", request=Request(_SIGNED, path), row=row)


def _progress(done: int, *, elapsed: float = 2.0, phase: Phase = Phase.DOWNLOADING) -> Progress:
    return Progress(done=done, total=4 * _MIB, rate=2.0 * _MIB, eta=1.0, elapsed=elapsed, phase=phase)


def _result(item: Item, error: Exception | None = None) -> Result:
    outcome = Outcome.FAILED if error else Outcome.DOWNLOADED
    size, path = None if error else 4 * _MIB, item.path
    return Result(path=path, outcome=outcome, size=size, elapsed=2.0, fetched=4 * _MIB, requests=2, error=error)


def _tally(failures: int = 2) -> tuple[Tally, _Clock]:
    """One downloaded, one at work, so many failed, in four seconds."""
    clock = _Clock()
    tally = Tally(clock=clock)
    clock.now += 4.0
    tally.ended(_item(1), _result(_item(1)))
    tally.progressed(_item(2), _progress(_MIB))
    for number in range(3, 3 + failures):
        tally.ended(_item(number), _result(_item(number), ConnectError("lost\x1b[2J", hint="try again")))
    tally.refused(Refused(label="list: line 9", line=9), OptionsError(f"bad {_SIGNED}"))
    return tally, clock


def test_the_line_about_all() -> None:
    """What has ended, what is at work, bytes and rate."""
    tally, _ = _tally()

    assert "4 files: 1 downloaded, 3 failed; 1 at work; 5.0 MiB, 3.2 MiB/s" == words.total_line(tally)


def test_the_table() -> None:
    """Counts, bytes, time, and each failure with its code, its place and its hint; no control characters, no keys."""
    tally, _ = _tally()

    assert [
        "files     4 files: 1 downloaded, 3 failed",
        "bytes     4.0 MiB",
        "time      4.0 s, 3.0 MiB/s",
        "requests  6 requests, 0 retries, 0 refreshes",
        "failed",
        "  connect  dir/[red]3.bin (line 3): lost ",
        "           hint: try again",
        "  connect  dir/[red]4.bin (line 4): lost ",
        "           hint: try again",
        "  options  list: line 9: bad https://host/a?…",
    ] == [line.replace("?[redacted]", "?…") for line in words.table(tally)]


def test_a_long_table_is_cut() -> None:
    """Thousands of failures do not scroll everything else away, and take no memory."""
    tally, _ = _tally(failures=5000)

    assert "  and 4,981 more" == words.table(tally)[-1]
    assert 20 == len(tally.failures)


def test_nothing_at_all() -> None:
    """An empty batch."""
    assert "files     0 files" == words.table(Tally())[0]


def test_plain() -> None:
    """A line about all every five seconds, one for each file, and the table."""
    (tally, _), out, clock = _tally(0), io.StringIO(), _Clock()
    display = ManyPlain(out, tally, clock=clock)
    for second in range(12):
        clock.now = 100.0 + second
        display.progressed(_item(2), _progress(second))
    display.finished(_item(2), _result(_item(2)))
    display.warned("x\x1b is not heeded")
    display.ended()
    lines = out.getvalue().splitlines()

    assert [line.startswith("2 files: 1 downloaded, 1 failed; 1 at work") for line in lines[:2]] == [True, True]
    assert ["dir/[red]2.bin: 4.0 MiB in 2.0 s, 2.0 MiB/s, 2 requests, 0 retries, 0 refreshes"] == lines[2:3]
    assert "asyncdl: note: x? is not heeded" == lines[3]
    assert words.table(tally) == lines[4:]


def test_quiet() -> None:
    """Errors, and nothing else."""
    (tally, _), out = _tally(), io.StringIO()
    display = ManyDisplay(out, tally)
    display.started(_item())
    display.progressed(_item(), _progress(1))
    display.finished(_item(), _result(_item()))
    display.warned("x")
    display.failed(_item(7), ConnectError("lost"))
    display.ended()

    assert ["asyncdl: error: dir/[red]7.bin: lost"] == out.getvalue().splitlines()


def test_json_is_quiet_too() -> None:
    """Then only failures are events."""
    (tally, _), out, errors = _tally(), io.StringIO(), io.StringIO()
    display = ManyJson(out, errors, tally, quiet=True)
    display.started(_item())
    display.failed(_item(7), ConnectError("lost"))
    display.warned("x")
    display.ended()

    assert [("failed", 7)] == [
        (event["event"], event["line"]) for event in map(json.loads, out.getvalue().splitlines())
    ]
    assert ["asyncdl: error: dir/[red]7.bin: lost"] == errors.getvalue().splitlines()


def _bars(tally: Tally, *, verbose: int = 0) -> tuple[ManyBars, io.StringIO]:
    drawn = io.StringIO()
    console = Console(file=drawn, force_terminal=True, width=100, color_system=None, highlight=False)
    return ManyBars(drawn, tally, verbose=verbose, console=console), drawn


def test_bars() -> None:
    """One line for all; a file has one of its own when it takes longer; markup in names is text."""
    tally, clock = _tally(0)
    tally.at_work.clear()
    display, drawn = _bars(tally)
    tally.progressed(_item(1), _progress(_MIB, elapsed=0.5))
    display.progressed(_item(1), _progress(_MIB, elapsed=0.5))
    quick = drawn.getvalue()
    clock.now += 1
    tally.progressed(_item(2), _progress(_MIB))
    display.progressed(_item(2), _progress(_MIB))
    both = drawn.getvalue()[len(quick) :]
    clock.now += 1
    tally.ended(_item(2), _result(_item(2)))
    display.finished(_item(2), _result(_item(2)))
    display.ended()
    rest = drawn.getvalue()[len(quick + both) :]

    assert "2 files: 1 downloaded" in quick
    assert "[red]1.bin" not in quick + both
    assert "[red]2.bin" in both
    assert "1.0 MiB / 4.0 MiB" in both
    assert "[red]2.bin" not in rest.partition("3 files")[2]
    assert "files     3 files: 2 downloaded, 1 failed" in rest


def test_bars_are_bounded() -> None:
    """However many files are at work; and what comes sooner than a tenth of a second is not drawn."""
    tally, clock = _tally(0)
    display, drawn = _bars(tally)
    for number in range(50):
        tally.progressed(_item(number), _progress(1))
        display.progressed(_item(number), _progress(1))
    clock.now += 0.05
    display.progressed(_item(1), _progress(1))
    soon = len(drawn.getvalue())
    display.progressed(_item(1), _progress(1))
    same = len(drawn.getvalue())
    clock.now += 0.1
    display.progressed(_item(1), _progress(1))
    last = drawn.getvalue().rpartition("2 files:")[2]

    assert soon == same
    assert 8 == last.count(".bin")


def test_bars_and_errors() -> None:
    """They come above, whole; and what is interrupted says how far it came. Closed twice is closed."""
    tally, _ = _tally(0)
    display, drawn = _bars(tally, verbose=1)
    display.progressed(_item(2), _progress(_MIB))
    display.failed(_item(2), ConnectError("lost"))
    display.refused(Refused(label="list", line=3), OptionsError("line 3: bad"))
    display.finished(_item(1), _result(_item(1)))
    display.close()
    display.close()
    display.interrupted(signal.SIGINT)
    lines = [line.rstrip() for line in drawn.getvalue().replace("\r", "\n").splitlines()]

    assert any(line.endswith("asyncdl: error: dir/[red]2.bin: lost") for line in lines)
    assert any(line.endswith("asyncdl: error: list: line 3: bad") for line in lines)
    assert any("dir/[red]1.bin: 4.0 MiB in 2.0 s" in line for line in lines)
    assert "asyncdl: interrupted by SIGINT" == lines[-1]


def test_choice() -> None:
    """JSON if asked for, errors only if quiet, lines where there is no terminal."""
    tally, out = Tally(), io.StringIO()
    kinds = [
        type(choose_display(out, tally, output=out, json=json, quiet=quiet))
        for json, quiet in ((True, False), (True, True), (False, True), (False, False))
    ]

    assert [ManyJson, ManyJson, ManyDisplay, ManyPlain] == kinds
