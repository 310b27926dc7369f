"""The command as a source of URLs: it answers, fails, hangs, floods, and never stays behind."""

from __future__ import annotations

import asyncio
import os
import shlex
import sys
from functools import partial
from typing import TYPE_CHECKING, Any

import psutil  # type: ignore[import-untyped]  # its stubs are a package of their own
import pytest

from asyncdl.errors import OptionsError, RefreshError
from asyncdl.model import SignedUrl
from asyncdl.sources.command import CommandSource

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the commands are for a POSIX shell")

shell = partial(CommandSource, shell=True)

_REJECTED = SignedUrl("https://host/a?X-Amz-Signature=0123456789abcdef")


def _descriptors() -> int:
    return len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0  # noqa: PTH112


def _family(fifo: Path) -> str:
    """A shell that starts a child, says both ids through the pipe, and hangs."""
    return f"sleep 1000 & echo $$ $! > {shlex.quote(str(fifo))}; wait"


async def _ids(fifo: Path) -> list[int]:
    os.mkfifo(fifo)
    return [int(word) for word in (await asyncio.to_thread(fifo.read_text)).split()]


def _living(ids: list[int]) -> list[int]:
    """Those that still run; a child of the shell that waits for init to bury it does not."""
    found = []
    for number in ids:
        try:
            if psutil.Process(number).status() != psutil.STATUS_ZOMBIE:
                found.append(number)
        except psutil.NoSuchProcess:
            continue
    return found


async def _until_dead(ids: list[int]) -> None:
    async with asyncio.timeout(100):
        # Nobody but the system is told when a grandchild ends.
        while _living(ids):  # noqa: ASYNC110
            await asyncio.sleep(0.005)


def _zombies() -> list[int]:
    return [child.pid for child in psutil.Process().children() if child.status() == psutil.STATUS_ZOMBIE]


async def test_first_line() -> None:
    """The first line that is not empty is the URL, without the blanks around it."""
    source = shell("echo; echo '  https://host/a?sig=1  '; echo more; echo noise >&2")

    assert "https://host/a?sig=1" == await source(None)
    assert "https://host/a?sig=1" == await source(_REJECTED)


async def test_nothing_is_left_open() -> None:
    """No zombie and no descriptor, however it ended."""
    await shell("echo x")(None)
    before = _descriptors()
    for command in ("echo x", "exit 3", "true", "cat /dev/zero", "sleep 1000"):
        try:
            await shell(command, timeout=0.2)(None)
        except RefreshError:
            continue

    assert [] == _zombies()
    assert before == _descriptors()


async def test_no_input_and_no_argument() -> None:
    """The command cannot wait for a keyboard, and is not told the dead URL."""
    source = shell('cat; echo "$#|$(env | grep -c 0123456789abcdef)"')

    assert "0|0" == await source(_REJECTED)


async def test_failure_is_told_without_secrets() -> None:
    """Status and the last words of the command; neither the command itself nor a signature."""
    command = (
        f"echo first >&2; echo 'denied: {_REJECTED.url} token=hunter2secret 0123456789abcdef' >&2; exit 7 # hunter3"
    )
    with pytest.raises(RefreshError) as caught:
        await shell(command)(_REJECTED)
    words = f"{caught.value} {caught.value.hint}"

    assert "failed with exit status 7: first | denied: https://host/a" in words
    assert [] == [secret for secret in ("hunter2secret", "hunter3", "0123456789abcdef") if secret in words]


async def test_what_it_said_is_bounded_and_harmless() -> None:
    """Thousands of lines become a few, control characters become blanks."""
    with pytest.raises(RefreshError) as caught:
        await shell("seq 1000 >&2; printf '\\033[2J\\007end' >&2; exit 1")(None)

    assert caught.value.message.endswith(": 999 | 1000 |  end")


async def test_killed_by_a_signal() -> None:
    """A command that crashed is told from one that failed."""
    with pytest.raises(RefreshError, match="was killed by signal 9"):
        await shell("kill -9 $$")(None)


@pytest.mark.parametrize("command", ["true", "echo; echo ' '"])
async def test_no_output(command: str) -> None:
    """Nothing printed is no URL."""
    with pytest.raises(RefreshError, match="printed no URL"):
        await shell(command)(None)


@pytest.mark.parametrize("command", ["cat /dev/zero", "cat /dev/zero >&2", "yes & cat /dev/zero"])
async def test_flood(command: str) -> None:
    """Too much output ends the command at once, on either stream."""
    async with asyncio.timeout(100):
        with pytest.raises(RefreshError, match="more than 64 KiB"):
            await shell(command, timeout=60)(None)


async def test_hang_kills_the_group(tmp_path: Path) -> None:
    """Its own timeout ends the command and what it started."""
    reading = asyncio.ensure_future(_ids(tmp_path / "fifo"))
    await asyncio.sleep(0)
    with pytest.raises(RefreshError, match="did not end within 5 s"):
        await shell(_family(tmp_path / "fifo"), timeout=5)(None)

    await _until_dead(await reading)


async def test_cancellation_kills_the_group(tmp_path: Path) -> None:
    """A caller that leaves takes the whole family with it."""
    reading = asyncio.ensure_future(_ids(tmp_path / "fifo"))
    await asyncio.sleep(0)
    task = asyncio.ensure_future(shell(_family(tmp_path / "fifo"), timeout=60)(None))
    ids = await reading
    assert 2 == len(_living(ids))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    await _until_dead(ids)
    assert [] == _zombies()


@pytest.mark.parametrize("steps", [1, 2])
async def test_cancellation_while_it_cannot_be_started(steps: int) -> None:
    """Cancellation wins over a program that is not there, and its name is in no error."""
    task = asyncio.ensure_future(CommandSource(["/nowhere/token-0123456789"])())
    for _ in range(steps):
        await asyncio.sleep(0)

    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("steps", range(12))
async def test_cancellation_at_any_moment(steps: int) -> None:
    """Also while the process is being started."""
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    task = asyncio.ensure_future(shell("sleep 1000 & sleep 1000")(None))
    for _ in range(steps):
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    await _until_dead([child.pid for child in psutil.Process().children(recursive=True) if child.pid not in before])
    assert [] == _zombies()


@pytest.mark.parametrize(("command", "timeout"), [("", 1.0), (" ", 1.0), ("x\0", 1.0), ("x", 0.0), ("x", float("nan"))])
@pytest.mark.parametrize("by_shell", [True, False])
def test_refused(command: str, timeout: float, by_shell: bool) -> None:
    """What cannot work is refused before it is needed."""
    with pytest.raises(OptionsError):
        CommandSource(command, shell=by_shell, timeout=timeout)


@pytest.mark.parametrize(
    "command",
    [
        "./presign hunter2secret | head -1", "a hunter2secret && b", "a hunter2secret; b", "a hunter2secret 2> b",
        "a $(cat hunter2secret)", "a 'hunter2secret", [], [""], ["a", "b\0"], ["hunter2secret", 1], b"a",
    ],
)  # fmt: skip
def test_refused_without_a_shell(command: Any) -> None:
    """What only a shell understands is told at once, and not repeated."""
    with pytest.raises(OptionsError) as caught:
        CommandSource(command)

    assert "hunter2secret" not in f"{caught.value} {caught.value.hint}"


def test_a_list_is_not_for_a_shell() -> None:
    """It would run the first word, and call the others its own parameters."""
    with pytest.raises(OptionsError, match="as one str"):
        CommandSource(["echo", "x"], shell=True)


@pytest.mark.parametrize(
    ("command", "url"),
    [
        (["printf", "%s|", "https://host/a?b=1&c=2", "$HOME; `id` *"], "https://host/a?b=1&c=2|$HOME; `id` *|"),
        ("printf '%s|' https://host/a?b=1&c=2 'two words' \"$HOME\" *", "https://host/a?b=1&c=2|two words|$HOME|*|"),
    ],
)
async def test_without_a_shell(command: str | list[str], url: str) -> None:
    """Arguments arrive as they are."""
    assert url == await CommandSource(command)()


async def test_nothing_stands_between() -> None:
    """The program is our own child."""
    assert str(os.getpid()) == await CommandSource([sys.executable, "-c", "import os; print(os.getppid())"])()


@pytest.mark.parametrize("command", [["/none/hunter2secret"], ["/", "x"], "hunter2secret --x"])
async def test_no_such_program(command: str | list[str]) -> None:
    """The system's words, and none of the command's."""
    with pytest.raises(RefreshError, match=r"could not be started: (No such file|Permission denied)") as caught:
        await CommandSource(command)()

    assert "hunter2secret" not in f"{caught.value} {caught.value.__cause__!r} {caught.value.__context__!r}"


def test_repr_hides_the_command() -> None:
    """It may hold a token."""
    assert "hunter2secret" not in repr(CommandSource("curl -H 'Authorization: hunter2secret'"))
