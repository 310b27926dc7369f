"""The command `python -m asyncdl` as a process of its own, with what it said and what it must not say."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

_ROOT = Path(__file__).parents[2]
_ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("ASYNCDL_")}
#: Seconds that a command may take.
WITHIN = 150.0


class Ended:
    """What a command left: its exit code and its words."""

    def __init__(self, code: int | None, out: bytes, err: bytes) -> None:
        self.code, self.out, self.err = code, out.decode(), err.decode()

    @property
    def events(self) -> list[dict[str, Any]]:
        """Of `--json`."""
        return [json.loads(line) for line in self.out.splitlines()]

    def of(self, event: str) -> list[dict[str, Any]]:
        """The events of that name."""
        return [each for each in self.events if each["event"] == event]

    def assert_silent_on(self, *urls: str, files: tuple[Path, ...] = ()) -> None:
        """No traceback, and no value of any query, in what was said or in files that were written."""
        secrets = {value for url in urls for _, value in parse_qsl(urlsplit(url).query) if len(value) > 12}
        said = self.out + self.err + "".join(file.read_text() for file in files)

        assert secrets or not urls
        assert [] == [secret for secret in secrets if secret in said]
        assert "Traceback" not in self.err


class Command:
    """One that runs."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self._said = b""

    async def line(self) -> str:
        """The next line on standard output."""
        assert self.process.stdout is not None
        async with asyncio.timeout(WITHIN):
            line = await self.process.stdout.readline()
        self._said += line
        return line.decode()

    async def write(self, text: str) -> None:
        """To its standard input."""
        assert self.process.stdin is not None
        self.process.stdin.write(text.encode())
        await self.process.stdin.drain()

    async def end(self) -> Ended:
        """Close its standard input and wait for its end."""
        assert self.process.stdin is not None
        try:
            async with asyncio.timeout(WITHIN):
                out, err = await self.process.communicate(b"")
        finally:
            if self.process.returncode is None:
                self.process.kill()
                await self.process.communicate()
        return Ended(self.process.returncode, self._said + out, err)


async def start(*argv: object, cwd: Path | None = None, environ: Mapping[str, str] | None = None) -> Command:
    """Begin the command; its standard input is a pipe."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "asyncdl", *map(str, argv)),
        cwd=cwd,
        env={**_ENVIRONMENT, "PYTHONPATH": str(_ROOT), "NO_PROXY": "127.0.0.1", **(environ or {})},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    return Command(process)


async def run(
    *argv: object, stdin: str = "", cwd: Path | None = None, environ: Mapping[str, str] | None = None
) -> Ended:
    """The command from beginning to end."""
    command = await start(*argv, cwd=cwd, environ=environ)
    if stdin:
        await command.write(stdin)
    return await command.end()
