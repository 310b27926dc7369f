"""The command as a process, against a real server: exit codes, output, signals, and what it must never print."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import re
import shlex
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlsplit

import pytest

from asyncdl.testing import Fault

if TYPE_CHECKING:
    from asyncdl.testing import Origin

_ROOT = Path(__file__).parents[2]
_ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("ASYNCDL_")}
_ENVIRONMENT |= {"PYTHONPATH": str(_ROOT), "NO_PROXY": "127.0.0.1"}
_WITHIN = 150.0
_SIZE = 300_000


class _Ended:
    def __init__(self, code: int | None, out: bytes, err: bytes) -> None:
        self.code, self.out, self.err = code, out.decode(), err.decode()

    @property
    def events(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self.out.splitlines()]

    def assert_clean(self, *urls: str) -> None:
        """No traceback, and no value of any query long enough to be a secret."""
        secrets = {value for url in urls for _, value in parse_qsl(urlsplit(url).query) if len(value) > 12}

        assert secrets or not urls
        assert [] == [secret for secret in secrets if secret in self.out + self.err]
        assert "Traceback" not in self.err


async def _start(
    *argv: str, program: tuple[str, ...] = ("-m", "asyncdl"), cwd: Path | None = None
) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, *program, *argv),
        cwd=cwd,
        env=_ENVIRONMENT,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def _end(process: asyncio.subprocess.Process, said: bytes = b"") -> _Ended:
    try:
        async with asyncio.timeout(_WITHIN):
            out, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()
    return _Ended(process.returncode, said + out, err)


async def _run(*argv: str, cwd: Path | None = None) -> _Ended:
    return await _end(await _start(*argv, cwd=cwd))


async def _line(process: asyncio.subprocess.Process) -> bytes:
    assert process.stdout is not None
    async with asyncio.timeout(_WITHIN):
        return await process.stdout.readline()


async def test_version_needs_nothing() -> None:
    """It is printed without importing what only a download or a display needs."""
    code = (
        "import sys\nfrom asyncdl.cli.main import main\ncode = main(['--version'])\n"
        "late = ('aiohttp', 'anyio', 'asyncio', 'rich', 'asyncdl.calls', 'asyncdl.engine', 'asyncdl.testing')\n"
        "print(code, [name for name in late if name in sys.modules])"
    )
    ended = await _end(await _start(program=("-c", code)))

    assert ["0", "[]"] == ended.out.splitlines()[-1].split()


async def test_version_and_help() -> None:
    """Both are answers, not errors."""
    version, usage, demo = await asyncio.gather(_run("--version"), _run("--help"), _run("demo", "--help"))

    assert (0, "") == (version.code, version.err)
    assert version.out.startswith("asyncdl 0.")
    assert (0, True) == (usage.code, "ASYNCDL_CONNECTIONS" in usage.out)
    assert (0, True) == (demo.code, "--ttl" in demo.out)


async def test_usage_error() -> None:
    """Two lines on standard error, nothing on standard output."""
    ended = await _run()

    assert (2, "", "asyncdl: error: no URL given\nhint: see asyncdl --help\n") == (ended.code, ended.out, ended.err)


async def test_download(origin: Origin, tmp_path: Path) -> None:
    """The file is there, complete, named by the URL; its summary is one line; no signature shows."""
    content = origin.add("/dir/model.bin", _SIZE)
    url = origin.presign("/dir/model.bin", ttl=60)
    ended = await _run(url, "-vv", cwd=tmp_path)

    ended.assert_clean(url)
    assert 0 == ended.code
    assert content.first_difference(tmp_path / "model.bin") is None
    assert ended.err.splitlines()[-1].startswith("model.bin: 293.0 KiB in ")


async def test_json(origin: Origin, tmp_path: Path) -> None:
    """Every line is an object; the last says what was done. A second run skips the file."""
    origin.add("/model.bin", _SIZE)
    url = origin.presign("/model.bin", ttl=60)
    first = await _run(url, "--json", "-d", str(tmp_path))
    second = await _run(url, "--json", "-d", str(tmp_path))

    first.assert_clean(url)
    assert ("start", "finished") == (first.events[0]["event"], first.events[-1]["event"])
    assert ("downloaded", "skipped") == (first.events[-1]["outcome"], second.events[-1]["outcome"])
    assert (_SIZE, _SIZE) == (first.events[-1]["done"], first.events[-1]["total"])
    assert {origin.base_url + "/model.bin?…"} == {event["url"] for event in first.events}
    assert (0, 0, "") == (first.code, second.code, first.err)


async def test_several_urls(origin: Origin, tmp_path: Path) -> None:
    """One that is missing does not keep the others from coming, and -q speaks of it alone."""
    origin.add("/a", _SIZE)
    origin.add("/b", _SIZE)
    urls = [origin.base_url + path for path in ("/a", "/missing", "/b")]
    ended = await _run(*urls, "-q", "-d", str(tmp_path))

    ended.assert_clean()
    assert (1, "") == (ended.code, ended.out)
    assert 1 == ended.err.count("asyncdl: error: ")
    assert ["a", "b"] == sorted(path.name for path in tmp_path.iterdir() if path.stat().st_size == _SIZE)


async def test_headers_reach_the_server(origin: Origin, tmp_path: Path) -> None:
    """As given, and they are not shown."""
    origin.add("/a", _SIZE)
    ended = await _run(origin.base_url + "/a", "-H", "X-Token: hunter2secret", "-vv", "-d", str(tmp_path))

    assert 0 == ended.code
    assert {"hunter2secret"} == {record.headers.get("X-Token") for record in origin.ledger.requests}
    assert "hunter2secret" not in ended.out + ended.err


async def test_exit_codes(origin: Origin, tmp_path: Path) -> None:
    """Each kind of failure has its code, an error line, and neither traceback nor signature."""
    origin.add("/a", _SIZE)
    origin.script(Fault(path="/silent", stall_headers=True))
    origin.add("/silent", _SIZE)
    dead, good = origin.presign("/a", ttl=-60), origin.presign("/a", ttl=60)
    (tmp_path / "there").write_bytes(b"x")
    base, into = origin.base_url, str(tmp_path)
    cases: list[tuple[int, list[str]]] = [
        (3, [f"{base}/missing"]),
        (3, ["http://127.0.0.1:9/closed", "--retries", "0"]),
        (4, [dead, "-o", "expired"]),
        (4, [dead, "-o", "unrenewed", "--refresh-shell", "--refresh-command", "exit 3"]),
        (5, [f"{base}/silent", "--max-time", "0.5"]),
        (6, [good, "-o", "no/such/directory/a"]),
        (7, [good, "-o", "other-size", "--size", "17"]),
        (9, [good, "-o", "there"]),
        (9, [good, "-o", "there", "--if-exists", "error"]),
    ]
    for expected, argv in cases:
        ended = await _run(*argv, "-d", into)
        ended.assert_clean(dead, good)

        assert expected == ended.code, (argv[1:], ended.err)
        assert ended.err.splitlines()[-1].startswith(("asyncdl: error: ", "hint: "))


@pytest.mark.skipif(sys.platform == "win32", reason="the command is for a POSIX shell")
async def test_refresh_command(origin: Origin, tmp_path: Path) -> None:
    """A dead URL is replaced by what the command prints, and the file gets the name of the URL."""
    content = origin.add("/model.bin", _SIZE)
    dead, good = origin.presign("/model.bin", ttl=-60), origin.presign("/model.bin", ttl=60)
    fresh = tmp_path / "url"
    fresh.write_text(good)
    command = f"cat {shlex.quote(str(fresh))}"
    replaced = await _run(dead, "--json", "-o", "replaced", "--refresh-command", command, "-d", str(tmp_path))
    named = await _run("-v", "--refresh-command", command, "-d", str(tmp_path))

    replaced.assert_clean(dead, good)
    named.assert_clean(dead, good)
    assert (0, 0, 1) == (replaced.code, named.code, replaced.events[-1]["refreshes"])
    assert content.first_difference(tmp_path / "replaced") is None
    assert content.first_difference(tmp_path / "model.bin") is None


#: The tests may run under nohup themselves, and children inherit what is ignored; and the disk may be busy.
_WITHOUT_NOHUP = """
import runpy, signal
from asyncdl import writer
signal.signal(signal.SIGHUP, signal.SIG_DFL)
writer._LAST_FLUSH = 60.0
runpy.run_module("asyncdl", run_name="__main__", alter_sys=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX's")
@pytest.mark.parametrize(("number", "code"), [("SIGINT", 130), ("SIGTERM", 143), ("SIGHUP", 129)])
async def test_one_signal(number: str, code: int, origin: Origin, tmp_path: Path) -> None:
    """In the middle of a body that stalls: one line, one event, the code of the signal, no file that looks finished."""
    origin.add("/model.bin", _SIZE)
    origin.script(Fault(stall_after=100_000))
    url = origin.presign("/model.bin", ttl=60)
    process = await _start(url, "--json", "-d", str(tmp_path), program=("-c", _WITHOUT_NOHUP))
    said = await _line(process)
    async with asyncio.timeout(_WITHIN):
        await origin.ledger.until(lambda: origin.ledger.bytes_sent() >= 100_000)
    process.send_signal(signal.Signals[number])
    ended = await _end(process, said)

    ended.assert_clean(url)
    assert code == ended.code
    assert [f"asyncdl: interrupted by {number}"] == ended.err.splitlines()
    assert ("failed", "interrupted", code) == tuple(ended.events[-1][key] for key in ("event", "code", "exit_code"))
    assert not (tmp_path / "model.bin").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX's")
async def test_same_command_again(origin: Origin, tmp_path: Path) -> None:
    """D2, B36: interrupted, it says that it can go on; and it does, with another URL, and verifies the whole."""
    size = (6 << 20) + 5
    content = origin.add("/model.bin", size)
    checksum = f"sha256:{hashlib.sha256(content.read(0, size)).hexdigest()}"
    origin.script(Fault(stall_after=(5 << 20) + 7, times=1))
    command = ("--json", "-d", str(tmp_path), "--checksum", checksum)
    first, second = origin.presign("/model.bin", ttl=60), origin.presign("/model.bin", ttl=60)
    process = await _start(first, *command, program=("-c", _WITHOUT_NOHUP))
    said = b""
    async with asyncio.timeout(_WITHIN):
        while f'"done": {(5 << 20) + 7}'.encode() not in said:
            said += await _line(process)
    process.send_signal(signal.SIGINT)
    interrupted = await _end(process, said)
    ended = await _run(second, *command)

    hint = "the same command goes on with what has come, if the server can send the rest of the same file"
    assert 130 == interrupted.code
    assert ["asyncdl: interrupted by SIGINT", f"hint: {hint}"] == interrupted.err.splitlines()
    assert hint == interrupted.events[-1]["hint"]
    interrupted.assert_clean(first, second)
    ended.assert_clean(first, second)
    assert 0 == ended.code
    assert content.first_difference(tmp_path / "model.bin") is None
    assert (checksum, (5 << 20) + 7) == (ended.events[-1]["checksum"], ended.events[-1]["resumed"])


async def test_list_of_checksums(origin: Origin, tmp_path: Path) -> None:
    """D5: the line of the file decides, and a wrong one keeps the file from appearing."""
    content = origin.add("/model.bin", _SIZE)
    for name, digest in (("GOOD", content.sha256()), ("BAD", "0" * 64)):
        (tmp_path / name).write_text(f"{'1' * 64}  other.bin\n{digest} *model.bin\n", encoding="ascii")
    bad = await _run(origin.url("/model.bin"), "--checksum", "@BAD", cwd=tmp_path)
    there = (tmp_path / "model.bin").exists()
    good = await _run(origin.url("/model.bin"), "--checksum", "@GOOD", cwd=tmp_path)

    assert (7, False, 0) == (bad.code, there, good.code)
    assert "sha256 verified" in good.err
    assert content.first_difference(tmp_path / "model.bin") is None


async def test_journal_of_another_program(origin: Origin, tmp_path: Path) -> None:
    """Whatever has the journal's name and is none is left alone, and what to do is said."""
    origin.add("/model.bin", _SIZE)
    (tmp_path / "model.bin.part").write_bytes(b"somebody's")
    (tmp_path / "model.bin.part.journal").write_bytes(b"somebody's diary")

    ended = await _run(origin.url("/model.bin"), "-d", str(tmp_path))

    assert 6 == ended.code
    assert b"somebody's diary" == (tmp_path / "model.bin.part.journal").read_bytes()
    assert b"somebody's" == (tmp_path / "model.bin.part").read_bytes()


_STUBBORN = """
import asyncio, sys, time
from asyncdl.cli.main import main

async def download(source, dest, **options):
    print("started", flush=True)
    try:
        await asyncio.Event().wait()
    finally:
        print("cleaning", flush=True)
        {stubborn}

main(["https://host/a"], download=download, environ={{}})
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX's")
@pytest.mark.parametrize("stubborn", ["await asyncio.Event().wait()", "time.sleep(1000)"])
@pytest.mark.parametrize(
    ("first", "second", "code"),
    [(signal.SIGINT, signal.SIGINT, 130), (signal.SIGTERM, signal.SIGTERM, 143), (signal.SIGTERM, signal.SIGINT, 130)],
)
async def test_two_signals(first: signal.Signals, second: signal.Signals, code: int, stubborn: str) -> None:
    """The second ends it at once, even if the cleaning up hangs, or blocks the loop."""
    process = await _start(program=("-c", _STUBBORN.format(stubborn=stubborn)))
    assert b"started\n" == await _line(process)
    process.send_signal(first)
    assert b"cleaning\n" == await _line(process)
    process.send_signal(second)
    ended = await _end(process)

    assert (code, "") == (ended.code, ended.err)


async def test_demo(tmp_path: Path) -> None:
    """Several lives, an interruption, every byte compared, nothing left behind."""
    ended = await _run("demo", "--size", "8M", "--ttl", "1", "-x", "2", "--rate", "1M", "--dir", str(tmp_path))
    rows = (line.strip().partition("  ") for line in ended.out.splitlines() if line.startswith("  "))
    report = {name: value.strip() for name, _, value in rows}

    ended.assert_clean()
    assert 0 == ended.code, ended.err
    assert "every one of 8388608 bytes is the one that was served" == report["verified"]
    assert int(report["refreshes"]) >= 2
    # Each of the two runs begins with a URL of its own.
    assert int(report["refreshes"]) + 2 == int(report["URL lives"].split()[0])
    assert report["sent more than once"].startswith("0 bytes before the interruption, ")
    kept, there = (int(words) for words in re.findall(r"\b[0-9]+\b", report["kept"]))
    assert kept == there
    assert 0.4 * 8388608 <= there < 8388608
    assert "sha256, added up while they came in" == report["checksum"]
    assert {"time", "retries", "requests", "peak memory"} <= set(report)
    assert [] == list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("argv", "code"), [(["--size", "0"], 2), (["--if-exists", "skip"], 2), (["--dir", "no/such/directory"], 6)]
)
async def test_demo_refused(argv: list[str], code: int, tmp_path: Path) -> None:
    """Its own arguments are checked as all others are."""
    ended = await _run("demo", *argv, cwd=tmp_path)

    ended.assert_clean()
    assert (code, "") == (ended.code, ended.out)
    assert ended.err.startswith("asyncdl: error: ")
