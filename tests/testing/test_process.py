"""The origin in a process of its own, and the pytest plugin, each as an adopter would use it."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
from pathlib import Path

import psutil  # type: ignore[import-untyped]  # its stubs are a package of their own
import pytest

from asyncdl.errors import ConnectError
from asyncdl.testing import origin_process
from asyncdl.testing.process import main, parse_size
from tests.support.rawclient import BOUND, ask

ROOT = Path(__file__).parents[2]
SIZE = 1_000_003


async def test_origin_process() -> None:
    """Data, presigning and counts come from the other process."""
    async with origin_process(size=SIZE, seed=9, ttl=60, skin="gcs") as origin:
        provider = origin.provider()
        url = await provider(None)
        whole, part = await ask(url), await ask(url, span=(5, 15))
        azure = await origin.presign(skin="azure", ttl=0.0)
        dead = await ask(azure)
        counts = await origin.ledger()

        assert origin.content.read(0, SIZE) == whole.body
        assert origin.content.read(5, 15) == part.body
        assert "X-Goog-Signature=" in url
        assert (403, "AuthenticationFailed") == (dead.status, dead.headers.get("x-ms-error-code"))
        assert {"requests": 3, "data_requests": 2, "refused": 1, "bytes_sent": SIZE + 10, "repeated": 10} == {
            key: counts[key] for key in ("requests", "data_requests", "refused", "bytes_sent", "repeated")
        }
        with pytest.raises(ConnectError, match="no skin is named"):
            await origin.presign(skin="none")


async def test_a_process_that_cannot_start_is_an_error() -> None:
    """Arguments nobody can serve end in an error, not in a wait."""
    with pytest.raises(ConnectError, match="did not start"):
        async with origin_process(size=1, skin="none"):
            pass


async def test_the_process_ends_with_its_standard_input() -> None:
    """When the parent is gone, its end of the pipe is, and the process ends by itself."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "asyncdl.testing", "--size", "5T"),
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    async with asyncio.timeout(BOUND):
        line = json.loads(await process.stdout.readline())
        reply = await ask(line["url"] + line["path"], span=((5 << 40) - 1, 5 << 40))
        rest, _ = await process.communicate(b"")

    assert 206 == reply.status
    assert (b"", 0) == (rest, process.returncode)


@pytest.mark.skipif(sys.platform == "win32", reason="sessions are POSIX's")
async def test_the_process_has_a_session_of_its_own() -> None:
    """Ctrl-C at the parent's terminal does not reach it: the parent ends it, without a traceback."""
    before = set(psutil.Process().children())
    async with origin_process(size=1):
        (child,) = set(psutil.Process().children()) - before

        assert child.pid == os.getsid(child.pid)


_TAKEN = "the port of a server that listens"


@pytest.mark.parametrize(
    "option",
    [
        ("--size", "-1"),
        ("--size", "many"),
        ("--size", "9999999T"),
        ("--rate", "-1"),
        ("--rate", "0"),
        ("--ttl", "nan"),
        ("--latency", "-1"),
        ("--port", "99999"),
        ("--port", _TAKEN),
        ("--path", "foo"),
        ("--path", "/a?b"),
        ("--skin", "none"),
    ],
)
def test_usage_errors(option: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    """One line that names the option, and no traceback."""
    name, value = option
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
        with pytest.raises(SystemExit) as caught:
            main([f"{name}={port if value is _TAKEN else value}"])
    said = capsys.readouterr()

    assert (2, "") == (caught.value.code, said.out)
    assert [f"python -m asyncdl.testing: error: argument {name}"] == [
        line.rpartition(name)[0] + name for line in said.err.splitlines()
    ]


@pytest.mark.parametrize(
    ("text", "size"),
    [("0", 0), ("1048576", 1 << 20), ("64k", 1 << 16), ("1M", 1 << 20), ("2GiB", 2 << 30), ("5T", 5 << 40), ("9B", 9)],
)
def test_sizes(text: str, size: int) -> None:
    """Sizes are powers of 1024, however they are written."""
    assert size == parse_size(text)


def test_no_size() -> None:
    """Anything else is an error that argparse understands."""
    with pytest.raises(ValueError, match="invalid literal"):
        parse_size("many")


async def test_plugin(tmp_path: Path) -> None:
    """The fixture works in a stranger's test suite, and is closed at its end."""
    (tmp_path / "pytest.ini").write_text("[pytest]\nasyncio_default_fixture_loop_scope = function\n")
    (tmp_path / "conftest.py").write_text('pytest_plugins = ["asyncdl.testing.pytest_plugin"]\n')
    (tmp_path / "test_it.py").write_text(
        "import pytest\n"
        "@pytest.mark.asyncio\n"
        "async def test_it(origin):\n"
        "    assert 10 == origin.add('/f', 10).size\n"
        "    assert origin.port\n"
    )
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "pytest", "-q", "-W", "error", "-c", str(tmp_path / "pytest.ini"), str(tmp_path)),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(BOUND):
        output, _ = await process.communicate()

    assert 0 == process.returncode, output.decode()
