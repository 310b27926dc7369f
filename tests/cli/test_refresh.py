"""What renews URLs, from the command line on: an endpoint, whose secrets come from the environment or a file."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from asyncdl.cli import arguments, jobs, refresh
from asyncdl.errors import OptionsError
from asyncdl.sources.command import CommandSource
from asyncdl.testing import Origin
from tests.support.service import Service, serving
from tests.support.stuck import called_off

_URL = "https://host/model.bin?X-Amz-Signature=0123456789abcdef"
ROOT = Path(__file__).parents[2]
#: The command blocks its loop while it reads arguments and imports what it needs: nothing else runs yet.
pytestmark = pytest.mark.usefixtures("may_block")


@pytest.fixture
async def service(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Service]:
    """A running endpoint that gives one URL, in JSON."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    service = Service()
    service.answer = lambda _: web.json_response({"data": {"url": _URL}})
    async with serving(service.handle) as service.url:
        yield service


async def _asked(service: Service, *argv: str) -> dict[str, str]:
    """The headers that the endpoint is asked with."""
    asked = arguments.parse(["--refresh-url", f"{service.url}/x", "--refresh-pointer", "/data/url", *argv], {})
    (job,) = await jobs.plan(asked)

    assert ("model.bin", "https://host/model.bin?…") == (job.path.name, job.url)
    return dict(service.asked[-1][0].headers)


@pytest.mark.parametrize(
    ("flag", "value", "authorization"),
    [
        ("--refresh-bearer-env", "hunter2secret", "Bearer hunter2secret"),
        ("--refresh-basic-env", "user:pass:word", "Basic dXNlcjpwYXNzOndvcmQ="),
    ],
)
async def test_secrets_from_the_environment(
    service: Service, flag: str, value: str, authorization: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command line has the name of the variable only."""
    monkeypatch.setenv("FILES_KEY", value)

    assert authorization == (await _asked(service, flag, "FILES_KEY"))["Authorization"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="a FIFO stands for a file whose reading does not end")
@pytest.mark.parametrize(
    "argv", [["--refresh-url", "https://host/x", "--refresh-header", "@{}"], ["https://host/x", "--checksum", "@{}"]]
)
async def test_called_off_while_a_file_is_read(argv: list[str], tmp_path: Path) -> None:
    """Ctrl-C ends the command also where a file that it was given does not come to its end."""
    asked = arguments.parse([word.replace("{}", str(tmp_path / "file")) for word in argv], {})

    assert (True, []) == await called_off(tmp_path / "file", lambda: jobs.plan(asked))


async def test_headers_from_the_line_and_from_a_file(service: Service, tmp_path: Path) -> None:
    """All of them are sent."""
    (tmp_path / "headers").write_text("X-Key: hunter2secret\n\nX-Other: ö\n", encoding="utf-8")
    sent = await _asked(service, "--refresh-header", "X-Plain: 1", "--refresh-header", f"@{tmp_path}/headers")

    assert ("1", "hunter2secret", "ö") == (sent["X-Plain"], sent["X-Key"], sent["X-Other"])


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["--refresh-bearer-env", "NO_SUCH"], "environment variable NO_SUCH is not set"),
        (["--refresh-basic-env", "NO_COLON"], "NO_COLON must hold USER:PASSWORD"),
        (["--refresh-header", "@/none/headers"], "/none/headers cannot be read: No such file"),
        (["--refresh-header", "@{}/bad"], "must look like 'Name: value'"),
        (["--refresh-header", "@{}/long"], "too long"),
        (["--refresh-header", "@{}/binary"], "not text in UTF-8"),
        (["--refresh-bearer-env", "NO_COLON", "--refresh-header", "Authorization: x"], "only one of them"),
    ],
)
async def test_what_is_not_there(argv: list[str], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is said before anything is asked, and without a secret."""
    monkeypatch.setenv("NO_COLON", "hunter2secret")
    (tmp_path / "bad").write_text("hunter2secret\n")
    (tmp_path / "long").write_text("X: hunter2secret\n" * 10_000)
    (tmp_path / "binary").write_bytes(b"X: hunter2secret\xff\n")
    asked = arguments.parse(["--refresh-url", "http://127.0.0.1:9/x", *(each.format(tmp_path) for each in argv)], {})
    with pytest.raises(OptionsError, match=words) as caught:
        await refresh.source_of(asked)

    assert "hunter2secret" not in str(caught.value)


@pytest.mark.parametrize(
    "argv",
    [
        ["--refresh-url", "https://host/x", "--refresh-command", "x"],
        ["--refresh-url", "https://host/x", _URL, _URL],
        ["--refresh-url", "https://host/x", "--refresh-pointer", "hunter2secret"],
        ["--refresh-url", "https://host/x", "--refresh-header", "hunter2secret"],
        ["--refresh-url", "https://host/x", "--refresh-header", "@"],
        ["--refresh-url", "https://host/x", "--refresh-bearer-env", "A", "--refresh-basic-env", "B"],
    ],
)
def test_contradictions(argv: list[str]) -> None:
    """What cannot be meant is refused."""
    with pytest.raises(OptionsError) as caught:
        arguments.parse(argv, {})

    assert "hunter2secret" not in str(caught.value)


async def test_a_shell_only_if_asked_for() -> None:
    """Without one, what only a shell knows is refused."""
    plain = arguments.parse(["--refresh-command", "echo a | head -1"], {})
    by_shell = arguments.parse(["--refresh-shell"], {"ASYNCDL_REFRESH_COMMAND": "echo a | head -1"})
    with pytest.raises(OptionsError, match="for a shell"):
        await refresh.source_of(plain)
    source = await refresh.source_of(by_shell)

    assert isinstance(source, CommandSource)
    assert "a" == await source()


async def test_a_download(service: Service, origin: Origin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A dead URL is replaced by what the endpoint says; nothing that is printed holds a secret."""
    content = origin.add("/model.bin", 300_000)
    fresh = origin.presign("/model.bin", ttl=60)
    service.answer = lambda _: web.Response(status=307, headers={"Location": fresh})
    monkeypatch.setenv("FILES_KEY", "hunter2secret")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "asyncdl", "--json", "-vv", "-d", str(tmp_path)),
        *("--refresh-url", f"{service.url}/sign", "--refresh-bearer-env", "FILES_KEY"),
        origin.presign("/model.bin", ttl=-60),
        env=dict(os.environ),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said = (await process.communicate())[0].decode()

    assert 0 == process.returncode, said
    assert content.first_difference(tmp_path / "model.bin") is None
    assert "Bearer hunter2secret" == service.asked[0][0].headers["Authorization"]
    assert [] == [secret for secret in ("hunter2secret", fresh.partition("Signature=")[2]) if secret in said]
