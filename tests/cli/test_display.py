"""What the user sees: lines, bar and JSON events, and nothing in them that could hurt."""

from __future__ import annotations

import io
import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from asyncdl.cli import text
from asyncdl.cli.bar import BarDisplay
from asyncdl.cli.display import Display, JsonDisplay, PlainDisplay
from asyncdl.cli.jobs import Job
from asyncdl.cli.run import choose_display
from asyncdl.cli.streams import Lines
from asyncdl.errors import AsyncdlError, ConnectError
from asyncdl.model import Checksum, Outcome, Phase, Progress, Result

_JOB = Job(source="https://host/a?sig=hunter2secret", path=Path("dir/[red]a.bin"), url="https://host/a?…")
_MIB = 1 << 20


def _progress(
    done: int, *, total: int | None = 4 * _MIB, phase: Phase = Phase.DOWNLOADING, refreshes: int = 0
) -> Progress:
    return Progress(
        done=done,
        total=total,
        rate=2.0 * _MIB,
        eta=90.0,
        elapsed=1.0,
        phase=phase,
        refreshes=refreshes,
        retries=refreshes,
    )


_RESULT = Result(
    path=Path("dir/a.bin"),
    outcome=Outcome.DOWNLOADED,
    size=4 * _MIB,
    elapsed=2.0,
    fetched=4 * _MIB,
    requests=5,
    retries=1,
)


@pytest.mark.parametrize(
    ("number", "expected"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (1536, "1.5 KiB"), (_MIB - 1, "1.0 MiB"), (5 << 40, "5.0 TiB")],
)
def test_human_size(number: int, expected: str) -> None:
    """Powers of 1024, and never 1024.0 of anything."""
    assert expected == text.human_size(number)


@pytest.mark.parametrize(
    ("number", "expected"), [(None, "-"), (0.04, "0.0 s"), (59.9, "59.9 s"), (187.0, "3:07"), (3723.0, "1:02:03")]
)
def test_human_time(number: float | None, expected: str) -> None:
    """As short as it can be told."""
    assert expected == text.human_time(number)


def test_hundred_percent_means_all() -> None:
    """One byte short is 99 %."""
    assert (99, 100, 100) == (text.percent(10**12 - 1, 10**12), text.percent(7, 7), text.percent(0, 0))


def test_plain_lines() -> None:
    """A line every five seconds, and at the end none but the summary."""
    out, now = io.StringIO(), [0.0]
    display = PlainDisplay(out, clock=lambda: now[0])
    display.started(_JOB)
    for second in range(12):
        now[0] = float(second)
        display.progressed(_JOB, _progress(second * 1000, refreshes=second // 10))
    display.progressed(_JOB, _progress(4 * _MIB, phase=Phase.FINISHED))
    display.progressed(_JOB, _progress(5, phase=Phase.FAILED))
    display.finished(_JOB, _RESULT)

    assert [
        "[red]a.bin: 4.9 KiB of 4.0 MiB (0 %), 2.0 MiB/s, 1:30 to go",
        "[red]a.bin: 9.8 KiB of 4.0 MiB (0 %), 2.0 MiB/s, 1:30 to go, 1 refresh, 1 retry",
        "dir/a.bin: 4.0 MiB in 2.0 s, 2.0 MiB/s, 5 requests, 1 retry, 0 refreshes",
    ] == out.getvalue().splitlines()


def test_plain_lines_without_a_size() -> None:
    """No total, no share of it."""
    assert "a: 3 B, 2.0 MiB/s, 1:30 to go" == text.progress_line("a", _progress(3, total=None))


def test_what_was_there_already() -> None:
    """Resumed bytes are no speed, and what was verified is said."""
    result = Result(
        path=Path("a"),
        outcome=Outcome.DOWNLOADED,
        size=4 << 20,
        elapsed=1.0,
        fetched=1 << 20,
        resumed=3 << 20,
        checksum=Checksum.parse("md5:" + "0f" * 16),
    )
    progress = Progress(done=3 << 20, total=4 << 20, rate=0.0, eta=None, elapsed=0.1, resumed=3 << 20)

    assert "a: 4.0 MiB, 3.0 MiB of it were there already in 1.0 s, 1.0 MiB/s, md5 verified" in text.summary_line(result)
    assert "3.0 MiB were there already" in text.progress_line("a", progress)
    assert "already" not in text.progress_line("a", _progress(3))


def test_bar_tells_what_was_there_already() -> None:
    """Beside the troubles; and the events say it in bytes."""
    (display, drawn), events = _bar(160), io.StringIO()
    progress = Progress(
        done=3 << 20, total=4 << 20, rate=0.0, eta=None, elapsed=0.1, resumed=(3 << 20) - 1, refreshes=1
    )
    for each in (display, JsonDisplay(events, io.StringIO())):
        each.started(_JOB)
        each.progressed(_JOB, progress)
        each.close()

    assert "3.0 MiB were there already, 1 refresh" in drawn.getvalue()
    assert (3 << 20) - 1 == json.loads(events.getvalue().splitlines()[1])["resumed"]


def test_skipped() -> None:
    """A file that was there is no download."""
    line = text.summary_line(Result(path=Path("a"), outcome=Outcome.SKIPPED, size=3, elapsed=0.0))

    assert "a: 3 B, is there already, skipped" == line


def test_a_skipped_file_shows_no_progress() -> None:
    """It is there, and 0 % of it has been downloaded: only the first of these is said."""
    plain, events, (bar, drawn) = io.StringIO(), io.StringIO(), _bar(140)
    skipped = Result(path=Path("dir/a.bin"), outcome=Outcome.SKIPPED, size=3, elapsed=0.0)
    for display in (PlainDisplay(plain), JsonDisplay(events, io.StringIO()), bar):
        display.started(_JOB)
        display.progressed(_JOB, _progress(0, phase=Phase.FINISHED))
        display.finished(_JOB, skipped)

    assert "dir/a.bin: 3 B, is there already, skipped\n" == plain.getvalue()
    assert ["start", "finished"] == [json.loads(line)["event"] for line in events.getvalue().splitlines()]
    assert " %" not in drawn.getvalue()


def test_errors_are_one_line_and_a_hint() -> None:
    """Nobody can forge a line or steer the terminal, and no signature shows."""
    out = io.StringIO()
    error = ConnectError("lost\n\x1b[2Jhttps://u:hunter2secret@host/a?sig=hunter2secret", hint="wait\na bit")
    Display(out).failed(_JOB, error)

    lines = out.getvalue().splitlines()
    assert ["hint: wait?a bit"] == lines[1:]
    assert lines[0].startswith("asyncdl: error: lost? https://")
    assert "hunter2secret" not in out.getvalue()


def _raised(error: Exception) -> Exception:
    with pytest.raises(type(error)) as caught:
        raise error
    return caught.value


@pytest.mark.parametrize(("verbose", "expected"), [(0, 0), (1, 0), (2, 1)])
def test_tracebacks_only_when_asked_for(verbose: int, expected: int) -> None:
    """And without secrets even then."""
    out = io.StringIO()
    Display(out, verbose=verbose).failed(_JOB, _raised(ValueError("https://host/a?sig=hunter2secret")))

    assert expected == out.getvalue().count("Traceback")
    assert "asyncdl: error: unexpected ValueError: https://host/a" in out.getvalue()
    assert "hunter2secret" not in out.getvalue()


@pytest.mark.parametrize("error", [ConnectError("no", hint="h"), KeyError()])
def test_json_events(error: Exception) -> None:
    """One object a line, from start to end."""
    out = io.StringIO()
    display = JsonDisplay(out, io.StringIO())
    display.started(_JOB)
    display.progressed(_JOB, _progress(3))
    display.progressed(_JOB, _progress(3, phase=Phase.FAILED))
    display.finished(_JOB, _RESULT)
    display.failed(_JOB, error)
    events = [json.loads(line) for line in out.getvalue().splitlines()]

    assert ["start", "progress", "finished", "failed"] == [event["event"] for event in events]
    assert {("https://host/a?…", "dir/[red]a.bin")} == {(event["url"], event["path"]) for event in events}
    assert (3, 4 * _MIB, 90.0) == (events[1]["done"], events[1]["total"], events[1]["eta"])
    assert ("downloaded", 5, 1, 0) == tuple(events[2][key] for key in ("outcome", "requests", "retries", "refreshes"))
    assert ("connect", 3) == (events[3]["code"], events[3]["exit_code"]) or not isinstance(error, AsyncdlError)
    assert ("internal", 70) == (events[3]["code"], events[3]["exit_code"]) or isinstance(error, AsyncdlError)
    assert "hunter2secret" not in out.getvalue()


def test_json_quiet_and_interrupted() -> None:
    """With -q only failures are events; an interruption is one, of the file under way."""
    out = io.StringIO()
    display = JsonDisplay(out, io.StringIO(), quiet=True)
    display.started(_JOB)
    display.progressed(_JOB, _progress(3))
    display.interrupted(signal.SIGTERM)
    events = [json.loads(line) for line in out.getvalue().splitlines()]

    assert [("failed", "interrupted", 143, "dir/[red]a.bin")] == [
        (event["event"], event["code"], event["exit_code"], event["path"]) for event in events
    ]


def _bar(width: int) -> tuple[BarDisplay, io.StringIO]:
    out = io.StringIO()
    return BarDisplay(out, console=Console(file=out, force_terminal=True, width=width, color_system=None)), out


def test_bar() -> None:
    """Name, size, rate, time to go, refreshes; then the summary in its place, and the cursor is back."""
    display, out = _bar(140)
    display.started(_JOB)
    display.progressed(_JOB, _progress(_MIB, refreshes=2))
    drawn = out.getvalue()
    display.finished(_JOB, _RESULT)

    for words in ("[red]a.bin", "25 %", "1.0 MiB / 4.0 MiB", "2.0 MiB/s", "1:30", "2 refreshes, 2 retries"):
        assert words in drawn
    assert text.summary_line(_RESULT) == out.getvalue().splitlines()[-1].rpartition("\x1b[2K")[2]
    assert out.getvalue().count("\x1b[?25l") == out.getvalue().count("\x1b[?25h") == 1


@pytest.mark.parametrize("width", [20, 40, 80])
def test_bar_fits(width: int) -> None:
    """A narrow terminal gets one line, not several."""
    display, out = _bar(width)
    display.started(_JOB)
    display.progressed(_JOB, _progress(_MIB, refreshes=2))
    display.close()

    assert out.getvalue().count("\x1b[1A") <= 1


def test_bar_makes_room_for_errors() -> None:
    """The error is whole, and a second file gets a bar of its own."""
    display, out = _bar(80)
    for _ in range(2):
        display.started(_JOB)
        display.progressed(_JOB, _progress(_MIB, total=None))
        display.failed(_JOB, ConnectError("x" * 200 + " [bold]"))

    assert 2 == out.getvalue().count("asyncdl: error: " + "x" * 200 + " [bold]\n")


class _GoneTerminal(io.StringIO):
    gone = False

    def write(self, text: str) -> int:
        if self.gone:
            raise OSError(5, "Input/output error")
        return super().write(text)


def test_bar_on_a_terminal_that_is_closed() -> None:
    """It draws nothing any more, and disturbs nobody."""
    out = _GoneTerminal()
    display = BarDisplay(out, console=Console(file=out, force_terminal=True, width=80, color_system=None))
    display.started(_JOB)
    out.gone = True
    display.progressed(_JOB, _progress(_MIB))
    display.finished(_JOB, _RESULT)
    display.started(_JOB)
    display.failed(_JOB, ConnectError("x"))
    display.interrupted(signal.SIGTERM)

    assert "x" not in out.getvalue().partition("a.bin")[2].replace("\x1b", "")


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bar on a terminal only, lines there too if it is dumb or rich is missing, JSON and silence on request."""
    monkeypatch.setenv("TERM", "xterm")

    assert PlainDisplay is type(choose_display(io.StringIO()))
    assert BarDisplay is type(choose_display(_Terminal()))
    assert JsonDisplay is type(choose_display(_Terminal(), output=io.StringIO(), json=True))
    assert Display is type(choose_display(_Terminal(), quiet=True))

    monkeypatch.setenv("TERM", "dumb")

    assert PlainDisplay is type(choose_display(_Terminal()))

    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setitem(sys.modules, "rich.console", None)
    monkeypatch.delitem(sys.modules, "asyncdl.cli.bar")

    assert PlainDisplay is type(choose_display(_Terminal()))


def test_a_reader_that_left_is_no_error() -> None:
    """`asyncdl --json … | head -1` still downloads; nothing is said at the end either."""
    code = (
        "import sys; from asyncdl.cli.streams import Lines; sys.stdin.read()\n"
        "for _ in 'ab': Lines(sys.stdout).write('x')"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        child.stdout.close()
        _, said = child.communicate(b"", timeout=120)

    assert (0, b"") == (child.returncode, said)


def test_lines_after_close() -> None:
    """A closed stream takes nothing any more."""
    stream = io.StringIO()
    lines = Lines(stream)
    lines.write("a")
    stream.close()
    lines.write("b")
    lines.write("c")

    assert stream.closed
