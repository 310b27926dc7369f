"""One client in one scenario: the stage is set, the client runs as a process of its own, and is gone afterwards."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from pathlib import Path

from asyncdl.testing.provider import Provider
from asyncdl.testing.scenarios.model import Scenario
from asyncdl.testing.scenarios.stage import Stage, staged
from tests.matrix.clients import MIB, Client, Errand
from tests.matrix.verdicts import Deed

#: Bytes of an object where the scenario leaves it open: enough for aria2 to split it, and no multiple of anything.
SIZE = 3 * MIB + 999
#: Bytes per second that a connection gets where the scenario leaves it open: slow enough that a client with several
#: connections uses them all.
RATE = 4 * MIB
#: Seconds within which a client is to give up.
PATIENCE = 20
#: Seconds on top of a client's own bound, for its start and for a machine that does other things as well.
MARGIN = 10.0
_LAST_WORDS = 400


async def attempt(
    client: Client, scenario: Scenario, *, size: int = SIZE, patience: int = PATIENCE, margin: float = MARGIN
) -> Deed:
    """Let a client fetch the object of a scenario.

    Raises:
        Exception: the scenario's servers failed.
    """
    with tempfile.TemporaryDirectory(prefix="matrix-", ignore_cleanup_errors=True) as name:
        root = Path(name).resolve()
        for folder in ("home", "dest", "stage"):
            (root / folder).mkdir()
        async with contextlib.AsyncExitStack() as stack:
            stage = await stack.enter_async_context(staged(paced(scenario), root / "stage", size=size))
            renewal = None
            if "renewal" in client.can and "renewal" in scenario.needs:
                renewal = await stack.enter_async_context(_renewing(stage.provider))
            errand = Errand(
                url=stage.url,
                dest=str(root / "dest" / "file"),
                home=str(root / "home"),
                ca_file=str(stage.ca_file) if stage.ca_file else None,
                size=stage.size,
                declared=stage.declared if "size" in client.can else None,
                patience=patience,
                renewal=renewal,
            )
            return await _watched(client, errand, stage, root, patience * client.bound + margin)


def paced(scenario: Scenario) -> Scenario:
    """The scenario with servers that are no faster than a network."""
    hosts = {name: replace(host, origin={"rate": RATE, **host.origin}) for name, host in scenario.hosts.items()}
    return replace(scenario, hosts=hosts)


async def _watched(client: Client, errand: Errand, stage: Stage, root: Path, seconds: float) -> Deed:
    began = time.monotonic()
    log = root / "log"
    code = await run(
        [client.found() or client.program, *client.arguments(errand)],
        clean(root / "home", client.environment(errand)),
        log,
        seconds,
    )
    return Deed(
        ended="never" if code is None else "ill" if code else "well",
        brought=await asyncio.to_thread(stage.brought, Path(errand.dest)),
        applied=stage.applied,
        requests=len(stage.requests),
        seconds=round(time.monotonic() - began, 1),
        words=last_words(log.read_text(encoding="utf-8", errors="replace"), root),
    )


async def run(command: list[str], environment: Mapping[str, str], log: Path, seconds: float) -> int | None:
    """The exit status of a command, or None if it was killed; nothing of its process group is left."""
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=asyncio.subprocess.STDOUT,
            cwd=environment["HOME"],
            env=environment,
            start_new_session=True,
        )
    try:
        async with asyncio.timeout(seconds):
            return await process.wait()
    except TimeoutError:
        return None
    finally:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


def clean(home: Path, more: Mapping[str, str]) -> dict[str, str]:
    """An environment without anybody's configuration, proxies or passwords."""
    kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ}
    return {**kept, "HOME": str(home), "TMPDIR": str(home), "XDG_CONFIG_HOME": str(home), "LC_ALL": "C.UTF-8", **more}


def last_words(text: str, root: Path) -> str:
    """The end of a log, without the queries that sign URLs and without this machine's paths."""
    text = text.replace("\0", "")
    text = re.sub(r"\?[^\s'\"<>)\]]+", "?...", text.replace(str(root), "."))
    text = re.sub(r"(/[\w.+-]+){2,}/(?=[\w.+-]+)", ".../", text)
    return " ".join(text.split())[-_LAST_WORDS:]


@contextlib.asynccontextmanager
async def _renewing(provider: Provider) -> AsyncIterator[int]:
    """A loopback port that says a fresh URL to everybody who connects."""

    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            writer.write((await provider()).encode())
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
