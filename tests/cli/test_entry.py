"""How the process begins and ends: early Ctrl-C, threads that hang, streams that are closed, the second signal."""

from __future__ import annotations

import asyncio
import os
import shlex
import signal
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import psutil  # type: ignore[import-untyped]  # its stubs are a package of their own
import pytest

from asyncdl.cli import arguments, signals
from asyncdl.cli.main import main

if TYPE_CHECKING:
    from asyncdl.testing import Origin

_ROOT = Path(__file__).parents[2]
_ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("ASYNCDL_")}
_ENVIRONMENT |= {"PYTHONPATH": str(_ROOT), "NO_PROXY": "127.0.0.1"}
_WITHIN = 150.0
_posix = pytest.mark.skipif(sys.platform == "win32", reason="signals and shells are POSIX's")


def _run(*command: str) -> tuple[int, str, str]:
    done = subprocess.run(
        command,
        env=_ENVIRONMENT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_WITHIN,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def _python(code: str) -> tuple[int, str, str]:
    return _run(sys.executable, "-c", code)


def test_one_function_for_module_and_script() -> None:
    """What is installed as `asyncdl` is what `python -m asyncdl` runs; and what a release packs is there."""
    project = tomllib.loads((_ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    packed = project["tool"]["hatch"]["build"]["targets"]["sdist"]["include"]

    assert {"asyncdl": "asyncdl.__main__:entry"} == project["project"]["scripts"]
    assert [] == [name for name in packed if not (_ROOT / name).is_file() and not any((_ROOT / name).rglob("*.*"))]


def test_interrupted_before_anything_began(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Ctrl-C while arguments are read is one line and 130."""

    def parse(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(arguments, "parse", parse)

    assert 130 == main(["https://host/a"], environ={})
    assert "asyncdl: interrupted by SIGINT\n" == capsys.readouterr().err


_INTERRUPTED_IMPORT = """
import sys

class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == "asyncdl.cli.main":
            raise KeyboardInterrupt

sys.meta_path.insert(0, Interrupting())
from asyncdl.__main__ import entry
entry()
"""


def test_interrupted_while_importing() -> None:
    """Ctrl-C in the first tenth of a second is one line and 130 too."""
    assert (130, "", "asyncdl: interrupted by SIGINT\n") == _python(_INTERRUPTED_IMPORT)


_HANGING_THREAD = """
import threading
import asyncdl.cli.main
from asyncdl.__main__ import entry

def main():
    threading.Thread(target=threading.Event().wait).start()
    print("said")
    return 5

asyncdl.cli.main.main = main
entry()
"""


def test_a_thread_that_hangs_does_not_keep_the_process() -> None:
    """A worker inside a call that never returns: all is written out, and the code is the command's."""
    assert (5, "said\n", "") == _python(_HANGING_THREAD)


@_posix
@pytest.mark.parametrize("closed", ["2>&-", ">&-", "<&- >&- 2>&-"])
async def test_closed_streams(closed: str, origin: Origin, tmp_path: Path) -> None:
    """Nobody to talk to is no reason not to download, and no file gets the number of a standard stream."""
    content = origin.add("/a", 300_000)
    for index, options in enumerate((["-v"], ["--json"])):
        command = [sys.executable, "-m", "asyncdl", origin.base_url + "/a", "-o", str(tmp_path / str(index)), *options]
        ended = await asyncio.to_thread(_run, "sh", "-c", f'exec "$@" {closed}', "sh", *command)

        assert (0, "") == (ended[0], ended[2].partition("Traceback")[1])
        assert content.first_difference(tmp_path / str(index)) is None


@_posix
@pytest.mark.parametrize(("closed", "number"), [("2>&-", 2), (">&-", 1)])
def test_a_closed_stream_is_nowhere(closed: str, number: int) -> None:
    """Its number is taken, for children too."""
    code = (
        "import os; from asyncdl.cli.main import main; main(['--bogus']); "
        f"nowhere = os.path.samestat(os.fstat({number}), os.stat(os.devnull)); "
        f"os._exit(0 if nowhere and os.get_inheritable({number}) else 1)"
    )

    assert 0 == _run("sh", "-c", f'exec "$@" {closed}', "sh", sys.executable, "-c", code)[0]


@_posix
def test_nohup_is_honoured() -> None:
    """Whoever has SIGHUP ignored wants the download to go on without the terminal."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    try:
        heard = signals._watched()
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

        assert (signal.SIGINT, signal.SIGTERM, signal.SIGHUP) == heard
        assert (signal.SIGINT, signal.SIGTERM) == signals._watched()
    finally:
        signal.signal(signal.SIGHUP, before)


_STUCK = """
import asyncio, sys, time
from asyncdl.cli.main import main

async def download(source, dest, **options):
    asking = asyncio.ensure_future(source(None))
    if sys.argv[1] == "demo":
        dest.write_bytes(b"x")
    else:
        from asyncdl.sources import command
        while not command._running:
            await asyncio.sleep(0.005)
    print("started", flush=True)
    try:
        await asyncio.Event().wait()
    finally:
        print("cleaning", flush=True)
        time.sleep(1000)

main(sys.argv[1:], download=download, environ={})
"""


async def _until(process: asyncio.subprocess.Process, line: bytes) -> None:
    assert process.stdout is not None
    async with asyncio.timeout(_WITHIN):
        while (said := await process.stdout.readline()) != line:
            assert said


async def _start_stuck(*argv: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", _STUCK, *argv),
        env=_ENVIRONMENT,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
    )


async def _interrupt_twice(process: asyncio.subprocess.Process) -> int | None:
    try:
        process.send_signal(signal.SIGINT)
        await _until(process, b"cleaning\n")
        process.send_signal(signal.SIGINT)
        async with asyncio.timeout(_WITHIN):
            return await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


@_posix
async def test_the_second_signal_kills_the_refresh_command(tmp_path: Path) -> None:
    """It has a session of its own, and would go on for as long as it likes."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    command = f"echo $$ > {shlex.quote(str(fifo))}; exec sleep 1000"
    process = await _start_stuck("-q", "-o", str(tmp_path / "o"), "--refresh-shell", "--refresh-command", command)
    asked = psutil.Process(int(await asyncio.to_thread(fifo.read_text)))
    await _until(process, b"started\n")

    assert 130 == await _interrupt_twice(process)
    async with asyncio.timeout(_WITHIN):
        # Nobody but the system is told when a grandchild ends.
        while asked.is_running() and asked.status() != psutil.STATUS_ZOMBIE:  # noqa: ASYNC110
            await asyncio.sleep(0.005)


@_posix
async def test_the_second_signal_removes_what_the_demo_wrote(tmp_path: Path) -> None:
    """Nothing is left behind, however impatient the user."""
    process = await _start_stuck("demo", "--size", "1M", "--dir", str(tmp_path))
    await _until(process, b"started\n")
    was = len(list(tmp_path.iterdir()))

    assert 130 == await _interrupt_twice(process)
    assert (1, []) == (was, list(tmp_path.iterdir()))
