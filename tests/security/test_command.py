"""The command: what it prints, what its children are told and leave behind; and where files with hostile names go."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pty
import shlex
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

import pytest

from asyncdl.testing import Fault, Origin
from tests.support.flow import PART
from tests.support.secrets import ELSEWHERE, HEADERS, PROXYS, TOKEN, Ears, Scene

SIZE = 6 * PART + 999
#: Of an object that is not gathered in memory: what comes of it is in a partial file.
LARGE = 2 << 20
ROOT = Path(__file__).parents[2]
WITHIN = 150.0
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="terminals and process lists as POSIX has them")


@pytest.fixture
def scene(origin: Origin, tmp_path: Path) -> Scene:
    """An origin with one object, and where it is to go."""
    origin.add("/object", SIZE)
    (tmp_path / "into").mkdir()
    return Scene(origin, tmp_path / "into" / "file")


async def command(*argv: str, noise: tuple[str, ...] = ("--json", "-vv"), output: int | None = None) -> Ears:
    """What the command prints under Python's developer mode, to a terminal if `output` is one."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ASYNCDL_")}
    environment |= {"PYTHONPATH": str(ROOT), "PYTHONASYNCIODEBUG": "1", "NO_PROXY": "127.0.0.1", "TERM": "xterm"}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-X", "dev", "-m", "asyncdl", *noise, "--retries", "1", *argv),
        env=environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE if output is None else output,
        stderr=asyncio.subprocess.STDOUT if output is None else output,
    )
    ears = Ears()
    try:
        async with asyncio.timeout(WITHIN):
            printed, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    ears.heard.append((printed or b"").decode(errors="replace") + f"\nexit code {process.returncode}")
    return ears


@contextlib.contextmanager
def terminal() -> Iterator[tuple[int, bytearray]]:
    """A pseudo terminal: the descriptor to write to, and what was written."""
    reading, writing = pty.openpty()
    read = bytearray()
    loop = asyncio.get_running_loop()

    def take() -> None:
        with contextlib.suppress(OSError):
            read.extend(os.read(reading, 1 << 16))

    loop.add_reader(reading, take)
    try:
        yield writing, read
    finally:
        loop.remove_reader(reading)
        os.close(writing)
        os.close(reading)


Case: TypeAlias = Callable[[Scene], tuple[list[str], str]]


def _good(scene: Scene) -> tuple[list[str], str]:
    return [scene.sign()], "exit code 0"


def _refused(scene: Scene) -> tuple[list[str], str]:
    scene.origin.script(Fault(status=403, body=f"no {scene.plain} for {TOKEN}".encode()))
    return [scene.plain], "exit code 3"


def _expired(scene: Scene) -> tuple[list[str], str]:
    url = scene.sign()
    scene.origin.expire(url)
    return [url], "exit code 4"


def _retried(scene: Scene) -> tuple[list[str], str]:
    scene.origin.script(Fault(request={0, 2}, drop_after=1000))
    return [scene.plain], "exit code 0"


def _silent(scene: Scene) -> tuple[list[str], str]:
    scene.origin.script(Fault(stall_headers=True))
    return [scene.plain, "--max-time", "1"], "exit code 5"


def _redirected(scene: Scene) -> tuple[list[str], str]:
    scene.origin.script(Fault(redirect=f"ftp://u:{ELSEWHERE}@127.0.0.1/?ticket={ELSEWHERE}"))
    return [scene.plain], "exit code 3"


def _proxied(scene: Scene) -> tuple[list[str], str]:
    return [scene.plain, "--proxy", f"http://u:{PROXYS}@127.0.0.1:9"], "exit code 3"


def _nowhere(scene: Scene) -> tuple[list[str], str]:
    return [scene.plain.replace("127.0.0.1", "no-such-host.invalid")], "exit code 3"


def _bad_url(scene: Scene) -> tuple[list[str], str]:
    return [scene.plain.replace("http:", "gopher:")], "exit code 2"


def _bad_command(scene: Scene) -> tuple[list[str], str]:
    scene.origin.script(Fault(status=403, body=b"Request has expired"))
    return [scene.plain, "--refresh-shell", "--refresh-command", f"echo 'no {scene.plain}' >&2; exit 3"], "exit code 4"


CASES = [_good, _refused, _expired, _retried, _silent, _redirected, _proxied, _nowhere, _bad_url, _bad_command]
LOUD: dict[str, tuple[str, ...]] = {"json": ("--json", "-vv"), "terminal": ("-v",)}
#: Where what is printed differs from all that is printed anyway by its brevity alone.
TERSE = {"quiet": ("-q",), "plain": ()}


@pytest.mark.parametrize("case", CASES, ids=[case.__name__.strip("_") for case in CASES])
async def test_output(scene: Scene, case: Case) -> None:
    """Events, notes, tracebacks, a bar on a terminal: none holds what the command line did."""
    argv, ending = case(scene)
    argv += ["-d", str(scene.dest.parent), "--if-exists", "replace"]
    argv += [part for name, value in HEADERS.items() for part in ("-H", f"{name}: {value}")]
    noises = LOUD | (TERSE if case in {_refused, _retried} else {})
    with terminal() as (end, drawn):
        heard = await asyncio.gather(
            *(
                command(*argv, "-o", name, noise=noise, output=end if name == "terminal" else None)
                for name, noise in noises.items()
            )
        )
        await asyncio.sleep(0)  # the loop reads what is still in the terminal
    heard[1].heard.append(drawn.decode(errors="replace"))

    for ears in heard:
        assert [] == ears.told(scene.secrets)
        assert ears.heard_of(ending), ears.heard
    names = [str(path) for path in scene.dest.parent.rglob("*")]
    assert [] == [name for name in names for secret in scene.secrets if secret in name]


async def test_children(scene: Scene, tmp_path: Path) -> None:
    """While a URL from a command is in use, and while the next is asked for, no process list has it."""
    dead, fresh = scene.sign(), scene.sign()
    scene.origin.expire(dead)
    looked = tmp_path / "looked"
    looked.mkdir()
    for name, url in (("0", dead), ("1", fresh)):
        (tmp_path / name).write_text(url)
    script = tmp_path / "mint"
    # The second time it is called it knows, if from anywhere, the URL that was rejected.
    script.write_text(
        f"cd {shlex.quote(str(tmp_path))}\nn=$(ls looked | grep -c env)\n"
        "cat /proc/self/environ /proc/$PPID/environ > looked/env$n\n"
        # The home directory is this test's alone: other tests, side by side, do give URLs on command lines.
        'for found in $(grep -lsaF "$HOME" /proc/[0-9]*/environ); do cat ${found%environ}cmdline; done'
        " > looked/list$n 2>/dev/null\nls -l /proc/self/fd > looked/fds$n\ncat $n\n"
    )
    ears = await command("--refresh-command", f"sh {shlex.quote(str(script))}", "-o", str(scene.dest))
    for path in looked.iterdir():
        ears.heard.append(path.read_bytes().decode("latin-1"))

    assert ears.heard_of("exit code 0"), ears.heard
    assert ["env0", "env1", "fds0", "fds1", "list0", "list1"] == sorted(path.name for path in looked.iterdir())
    assert ears.heard_of("--refresh-command")
    assert [] == ears.told(scene.secrets)


async def test_temporary_files(scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is left in the places for temporary files, caches and settings; what is left is named after the file."""
    for name in ("TMPDIR", "HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME"):
        (tmp_path / name).mkdir()
        monkeypatch.setenv(name, str(tmp_path / name))
    scene.origin.add("/object", LARGE)
    scene.origin.script(Fault(request=range(1, 99), drop_after=0))
    await command(scene.sign(), "-d", str(scene.dest.parent), "-x", "1", "--part-size", "64K")

    assert ["into", "into/object.part", "into/object.part.journal"] == sorted(
        str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file() or path.name == "into"
    )


#: The last part of a URL's path, and the file it makes.
NAMES = {
    "../../x": "x",
    "..%2F..%2Fx": "_._.._x",
    "%2Fetc%2Fcron.d%2Fx": "_etc_cron.d_x",
    "C:%5CWindows%5Cx": "C__Windows_x",
    "..%5C..%5Cy": "_._.._y",
    "a%00b": "a_b",
    "a%0Ab%1B%5B2J": "a_b_[2J",
    ".bashrc": "_bashrc",
    "%2Enetrc": "_netrc",
    "~root": "~root",
    "-rf": "-rf",
    "$(id)": "$(id)",
}


async def test_hostile_names(scene: Scene, tmp_path: Path) -> None:
    """Files named by their URLs stay in the directory given, and hide from nobody."""
    outside = [tmp_path / name for name in ("x", ".bashrc", "file")]
    for path in outside:
        path.write_bytes(b"precious")
    for name in NAMES:
        scene.origin.add(f"/{name}", 100)
    urls = [f"{scene.origin.base_url}/{name}" for name in NAMES]
    ears = await command(*urls, "-d", str(scene.dest.parent), noise=())

    assert ears.heard_of("exit code 0"), ears.heard
    assert sorted(NAMES.values()) == sorted(path.name for path in scene.dest.parent.iterdir())
    assert {100} == {path.stat().st_size for path in scene.dest.parent.iterdir()}
    assert [b"precious"] * 3 == [path.read_bytes() for path in outside]
    assert sorted(["into", "x", ".bashrc", "file"]) == sorted(path.name for path in tmp_path.iterdir())


@pytest.mark.parametrize("name", ["x" * 5000, "CON", "%2E%2E"])
async def test_no_name(scene: Scene, name: str) -> None:
    """Where no safe name can be made, nobody is asked and nothing is written."""
    ears = await command(f"{scene.origin.base_url}/{name}", "-d", str(scene.dest.parent))

    assert ears.heard_of("name the file with -o"), ears.heard
    assert ([], []) == (scene.origin.ledger.requests, list(scene.dest.parent.iterdir()))


@pytest.mark.parametrize("value", ["../../evil", "/etc/evil", "C:\\evil", ".bashrc", "a\0b", "e" * 4000])
async def test_content_disposition(scene: Scene, tmp_path: Path, value: str) -> None:
    """What a server would like its file to be called has no say in it."""
    quoted = value.replace("\0", "%00")
    scene.origin.script(
        Fault(headers={"Content-Disposition": f"attachment; filename=\"{quoted}\"; filename*=UTF-8''{quoted}"})
    )
    ears = await command(scene.origin.url("/object"), "-d", str(scene.dest.parent))

    assert ears.heard_of("exit code 0"), ears.heard
    assert ["object"] == [path.name for path in scene.dest.parent.iterdir()]
    assert ["into"] == [path.name for path in tmp_path.iterdir()]


async def test_overwrites_nothing(scene: Scene) -> None:
    """A file that has the name already is kept, whatever its URL calls it."""
    kept = scene.dest.with_name("object")
    kept.write_bytes(b"precious")
    ears = await command(scene.origin.url("/object"), "-d", str(kept.parent))

    assert ears.heard_of("exit code 9")
    assert b"precious" == kept.read_bytes()
