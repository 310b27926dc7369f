"""The demo's arguments, and what it asks the engine for."""

from __future__ import annotations

import asyncio
import io
from pathlib import Path
from typing import Any

import pytest

from asyncdl.cli import demo
from asyncdl.cli.display import Display
from asyncdl.cli.jobs import Job
from asyncdl.errors import OptionsError
from asyncdl.model import Outcome, Result

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


def test_no_proxy_is_asked() -> None:
    """The server is on this machine, whatever the environment says."""
    asked: dict[str, Any] = {}

    async def download(source: Any, dest: Path, **options: Any) -> Result:
        asked.update(options)
        return Result(path=dest, outcome=Outcome.DOWNLOADED, size=1, elapsed=1.0)

    job = Job(source="http://127.0.0.1/a", path=Path("a"), url=None)
    asyncio.run(demo._fetch(demo.parse(["-x", "3"]), job, Display(io.StringIO()), download))

    assert (False, 3) == (asked["options"].use_environment, asked["options"].connections)
