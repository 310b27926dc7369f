"""A URL provider that asks a command; what the URL is good for is not its business.

Rule: nothing is passed to the command. What it needs it has from its own text and environment; so no signed URL ever
stands in a process list.
Rule: neither the command, which may hold a token, nor what it printed is part of a message, save the redacted end of
its standard error.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
import signal
from typing import TYPE_CHECKING, Any, Final

from asyncdl.errors import OptionsError, RefreshError
from asyncdl.rules.redaction import redact_text
from asyncdl.sources.terminal import without_escapes

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import Callable, Coroutine, Sequence

    from asyncdl.model import SignedUrl

#: Bytes a command may print on standard output, and on standard error; a URL is at most some KiB long.
MOST_OUTPUT: Final = 64 * 1024
_BLOCK: Final = 8192
#: Seconds for a killed process to be gone; more than that means a process that the system itself holds.
_REAP: Final = 5.0
#: Of standard error, this much is quoted in the message.
_TAIL_LINES: Final = 3
_TAIL_CHARACTERS: Final = 400
#: Words that no program is given on purpose.
_SHELLS_OWN: Final = frozenset({"|", "||", "&", "&&", ";", "<", ">", ">>", "2>", "2>&1", "<<<"})
#: The commands under way, for `kill_running`.
_running: Final[set[Process]] = set()


class CommandSource:
    """An `asyncdl.UrlProvider` that runs a command for every URL and takes the first line it prints.

        source = CommandSource(["aws", "s3", "presign", "s3://bucket/model.bin", "--expires-in", "600"])
        await asyncdl.download(source, "model.bin")

    The command runs in a session of its own, without standard input. It and whatever it started are killed when
    `timeout` seconds have passed, when it prints more than 64 KiB, and when the caller is cancelled. Processes that it
    leaves in the background with its output still open count as not ended.

    Args:
        command: the program and its arguments; or a line that is cut into these as a POSIX shell would, but in which
            nothing else means anything: no variables, patterns, pipes or redirections.
        shell: give the line, as it is, to the system's shell (`/bin/sh -c`).
        timeout: seconds for one run.

    Raises:
        OptionsError: the command is empty, ends in the middle of a quotation, or needs a shell; or the timeout is no
            positive number.
    """

    def __init__(self, command: str | Sequence[str], *, shell: bool = False, timeout: float = 30.0) -> None:
        if shell and not isinstance(command, str):
            msg = "a shell takes the refresh command as one str"
            raise OptionsError(msg)
        words = [command] if shell and isinstance(command, str) else _words(command)
        if not words or not words[0].strip() or any("\0" in word for word in words):
            msg = "the refresh command is empty or holds a NUL"
            raise OptionsError(msg)
        if not 0 < timeout < float("inf"):
            msg = f"the refresh command's timeout must be a number of seconds greater than 0, not {timeout!r}"
            raise OptionsError(msg)
        self._argv = words
        self._shell = shell
        self._timeout = timeout

    def __repr__(self) -> str:
        return f"CommandSource(timeout={self._timeout!r})"

    async def __call__(self, rejected: SignedUrl | None = None) -> str:
        """The URL that the command prints.

        Raises:
            RefreshError: the command could not be run, failed, printed nothing or too much, or took too long.
        """
        process = await self._spawn()
        _running.add(process)
        ended = False
        try:
            async with asyncio.timeout(self._timeout):
                output, errors, _ = await asyncio.gather(
                    _read(process, process.stdout), _read(process, process.stderr), process.wait()
                )
            ended = True
        except TimeoutError:
            msg = f"the refresh command did not end within {self._timeout:g} s"
            raise RefreshError(msg, hint="run it by hand; give it more time with a longer refresh timeout") from None
        finally:
            try:
                if not ended:
                    _kill_group(process)
                    await _reap(process)
            finally:
                _running.discard(process)
        if output is None or errors is None:
            msg = f"the refresh command printed more than {MOST_OUTPUT // 1024} KiB and was stopped"
            raise RefreshError(msg, hint="it must print a URL and nothing else")
        return _first_line(process.returncode, output, errors, rejected)

    async def _spawn(self) -> Process:
        start: Callable[..., Coroutine[Any, Any, Process]] = (
            asyncio.create_subprocess_shell if self._shell else asyncio.create_subprocess_exec
        )
        spawning = asyncio.ensure_future(
            start(
                *self._argv,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                start_new_session=True,
            )
        )
        try:
            return await asyncio.shield(spawning)
        except asyncio.CancelledError:
            # asyncio would kill the shell alone and leave what it had started.
            # One that cannot be started is no answer to being called off.
            with contextlib.suppress(OSError, ValueError):
                process = await spawning
                _kill_group(process)
                await _reap(process)
            raise
        except (OSError, ValueError) as error:
            # The system's error names the program, and a command line is not repeated.
            words = f": {os.strerror(error.errno)}" if isinstance(error, OSError) and error.errno else ""
            msg = f"the refresh command could not be started{words}"
        raise RefreshError(msg, hint="its first word must be a program; what only a shell knows is none")


def _words(command: str | Sequence[str]) -> list[str]:
    """The program and its arguments.

    Raises:
        OptionsError: they cannot be told, or a shell was meant.
    """
    if not isinstance(command, str):
        words = list(command)
        if not all(isinstance(word, str) for word in words):
            msg = "the refresh command is a str, or a list of them"
            raise OptionsError(msg)
        return words
    try:
        words = shlex.split(command)
    except ValueError:
        msg = "the refresh command ends in the middle of a quotation"
        raise OptionsError(msg) from None
    # Told now rather than by a program that does not know what to do with a "|".
    if any(word in _SHELLS_OWN or word.endswith(";") or word.startswith("$(") for word in words):
        msg = "the refresh command is for a shell, and is run without one"
        raise OptionsError(msg, hint="allow one with shell=True (--refresh-shell), or give a list of arguments")
    return words


def kill_running() -> None:
    """Kill every command under way, with all it started: for a process that is about to end without cleaning up."""
    for process in tuple(_running):
        _kill_group(process)


async def _read(process: Process, stream: asyncio.StreamReader | None) -> bytes | None:
    """All that comes, or None if it is too much; then the command is killed, so that the other stream ends too."""
    if stream is None:
        return b""
    data = bytearray()
    flood = False
    while block := await stream.read(_BLOCK):
        if not flood:
            data += block
            flood = len(data) > MOST_OUTPUT
            if flood:
                _kill_group(process)
    # Read to its end even then: what the pipe still holds would keep asyncio from seeing that end.
    return None if flood else bytes(data)


def _kill_group(process: Process) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()


async def _reap(process: Process) -> None:
    """Wait for a killed process, and give its pipes back even if something that escaped still holds the other ends."""
    transport = process._transport  # type: ignore[attr-defined]  # noqa: SLF001  # asyncio has no public way
    # asyncio calls a process ended when its pipes have ended too, and does not see the end of one it paused.
    for number in (1, 2):
        transport.get_pipe_transport(number).close()
    try:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_REAP):
                await process.wait()
    finally:
        transport.close()


def _first_line(status: int | None, output: bytes, errors: bytes, rejected: SignedUrl | None) -> str:
    lines = (line.strip() for line in output.decode(errors="replace").splitlines())
    url = next(filter(None, lines), None)
    if status:
        ending = f"was killed by signal {-status}" if status < 0 else f"failed with exit status {status}"
        words = _tail(errors, *(([rejected.url] if rejected else []) + ([url] if url else [])))
        raise RefreshError(f"the refresh command {ending}{words}", hint="run it by hand to see why")
    if url is None:
        msg = f"the refresh command printed no URL{_tail(errors, *([rejected.url] if rejected else []))}"
        raise RefreshError(msg, hint="it must print the URL on its standard output")
    return url


def _tail(errors: bytes, *secrets_from: str) -> str:
    # Redaction comes before cutting: half a signed URL is not recognised as one.
    text = redact_text(without_escapes(errors.decode(errors="replace")), *secrets_from)
    lines = [line.strip() for line in text.splitlines() if line.strip()][-_TAIL_LINES:]
    words = "".join(letter if letter.isprintable() else " " for letter in " | ".join(lines))
    if len(words) > _TAIL_CHARACTERS:
        words = "…" + words[-_TAIL_CHARACTERS:]
    return f": {words}" if words else ""
