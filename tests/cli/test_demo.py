"""The demo's arguments, what it asks the engine for, and how it tells what happened."""

from __future__ import annotations

import asyncio
import io
from pathlib import Path
from typing import Any

import pytest

from asyncdl.cli import demo
from asyncdl.cli.display import Display
from asyncdl.cli.jobs import Job
from asyncdl.cli.streams import Lines
from asyncdl.errors import DeadlineError, OptionsError
from asyncdl.model import Outcome, Phase, Progress, Result
from asyncdl.testing import Provider
from asyncdl.testing.content import Content

_MIB = 1 << 20


@pytest.mark.parametrize(
    "argv",
    [
        ["--ttl", "0.09"],
        ["--ttl", "3601"],
        ["--ttl", "nan"],
        ["--size", "17T"],
        ["--size", "0"],
        ["--rate", "0"],
        ["--rate", "65G"],
        ["--bogus"],
        ["URL"],
    ],
)
def test_usage_errors(argv: list[str]) -> None:
    """What cannot be shown is refused at once, and the hint is for the demo."""
    with pytest.raises(OptionsError) as caught:
        demo.parse(argv)

    assert "see asyncdl demo --help" == caught.value.hint


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (["--size", "64M", "-x", "4", "--ttl", "2"], 64 * _MIB / (4.5 * 2 * 4)),
        # Sixteen parts of 64 KiB are for sixteen connections, however many are allowed.
        (["--size", "1M", "-x", "5000", "--ttl", "2"], _MIB / (4.5 * 2 * 16)),
        (["--size", "1", "--ttl", "2"], 1 / (4.5 * 2)),
        (["--rate", "3M"], 3 * _MIB),
    ],
)
def test_rate(argv: list[str], expected: float) -> None:
    """Such that the file takes four and a half lives of a URL."""
    assert expected == pytest.approx(demo.parse(argv).rate)


class _Server:
    """Of the origin, what the demo asks for; each look at its counts finds one byte more sent twice."""

    content = Content(1, 1000)

    def __init__(self) -> None:
        self.looks = 0

    async def ledger(self) -> dict[str, int]:
        self.looks += 1
        return {"repeated": self.looks, "requests": 7}


class _Engine:
    """Reports as much progress as it is told, run by run, and ends when nobody has interrupted it by then."""

    def __init__(self, *runs: tuple[int, ...]) -> None:
        self.runs = list(runs)
        self.asked: list[dict[str, Any]] = []

    async def __call__(self, source: Any, dest: Path, **options: Any) -> Result:
        self.asked.append(options)
        report = options["on_progress"]
        done = 0
        try:
            for done in self.runs.pop(0):
                report(self._progress(done, Phase.DOWNLOADING))
                await asyncio.sleep(0)
                await asyncio.sleep(0)
        except asyncio.CancelledError:
            report(self._progress(done + 5, Phase.FAILED))
            raise
        return Result(
            path=dest, outcome=Outcome.DOWNLOADED, size=1000, elapsed=1.0, resumed=390, checksum=options["checksum"]
        )

    @staticmethod
    def _progress(done: int, phase: Phase) -> Progress:
        return Progress(done=done, total=1000, rate=1.0, eta=None, elapsed=1.0, refreshes=2, phase=phase)


def _shown(engine: _Engine) -> tuple[str, str]:
    """The line between the runs, and the report."""
    lines, server = io.StringIO(), _Server()
    settings = demo.parse(["--size", "1000", "-x", "3"])
    job = Job(source="http://127.0.0.1/a", path=Path("a"), url=None)

    async def show() -> str:
        story = await demo._download(settings, server, job, Display(io.StringIO()), Lines(lines), engine)  # type: ignore[arg-type]
        return "\n".join(demo._report(story, Provider(lambda: ""), await server.ledger()))

    return asyncio.run(show()), lines.getvalue()


def test_interrupted_once() -> None:
    """After two fifths, and not again; both runs are one download, and what it cost is told apart."""
    engine = _Engine((0, 399, 400, 500), (400, 500, 900, 1000))
    report, lines = _shown(engine)

    assert ("Interrupted. The same download again, with another URL:\n", []) == (lines, engine.runs)
    assert engine.asked[0]["options"] == engine.asked[1]["options"]
    assert engine.asked[0]["checksum"] == engine.asked[1]["checksum"]
    assert "390 of 405 bytes that were there when it was interrupted" in report
    assert "1 bytes before the interruption, 1 after it" in report
    assert "refreshes            2\n" in report


def test_too_short_to_be_interrupted() -> None:
    """A file that is there before anybody looks needs no second run."""
    report, lines = _shown(_Engine((0, 1000)))

    assert "" == lines
    assert "interrupt" not in report
    assert "sent more than once  1 bytes, by the server's own count" in report


def test_an_interruption_of_its_own_only() -> None:
    """A timeout of the engine's is no interruption."""
    calls: list[Path] = []

    async def download(source: Any, dest: Path, **options: Any) -> Result:
        calls.append(dest)
        raise DeadlineError("not complete after 3 s")

    with pytest.raises(DeadlineError):
        _shown(download)  # type: ignore[arg-type]

    assert 1 == len(calls)


def test_no_proxy_is_asked() -> None:
    """The server is on this machine, whatever the environment says; what it serves is known."""
    engine = _Engine((0, 1000))
    _shown(engine)
    asked = engine.asked[0]

    assert (False, 3) == (asked["options"].use_environment, asked["options"].connections)
    assert f"sha256:{_Server.content.sha256()}" == str(asked["checksum"])
