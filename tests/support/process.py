"""A server program as a child: started on a free loopback port, waited for, stopped for sure, its words kept."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Self

import pytest

HOST = "127.0.0.1"
_READY_WITHIN = 60.0
_STOPPED_WITHIN = 30.0
_POLL = 0.02
#: Between choosing a free port and binding it another process may take it.
_STARTS = 3


def unavailable(reason: str) -> None:
    """Skips a test whose server program is missing; where CI is set it fails, so that nothing is skipped unseen."""
    if os.environ.get("CI"):
        pytest.fail(f"{reason}; under CI the real servers must be there", pytrace=False)
    pytest.skip(reason)


def free_port() -> int:
    """A TCP port that nobody on the loopback address listens on at the moment."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
    return port


def accepts(port: int) -> bool:
    """Whether something answers a connect."""
    with contextlib.suppress(OSError), socket.create_connection((HOST, port), timeout=1.0):
        return True
    return False


class ServerError(Exception):
    """The program did not come up; the message holds what it printed."""


class ServerProcess:
    """One run of a server program, in a process group of its own.

    Args:
        command: program and arguments, made from the port to listen on.
        log: file that takes all its output.
    """

    def __init__(self, command: Callable[[int], Sequence[str]], log: Path) -> None:
        self._command = command
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0

    def __enter__(self) -> Self:
        for attempt in range(_STARTS):
            try:
                self._start()
            except ServerError:
                self.stop()
                if attempt == _STARTS - 1:
                    raise
            except BaseException:
                self.stop()
                raise
            else:
                return self
        raise AssertionError

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def words(self) -> str:
        """The end of what it printed."""
        return self._log.read_text(encoding="utf-8", errors="replace")[-4000:] if self._log.exists() else ""

    def _start(self) -> None:
        self.port = free_port()
        self.start()

    def start(self) -> None:
        """Runs the program once more, on the port it had.

        Raises:
            ServerError: it did not come up.
        """
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(
                list(self._command(self.port)),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        deadline = time.monotonic() + _READY_WITHIN
        while self._process.poll() is None:
            if accepts(self.port):
                return
            if time.monotonic() > deadline:
                raise ServerError(f"not ready within {_READY_WITHIN} s:\n{self.words}")
            time.sleep(_POLL)
        raise ServerError(f"ended with {self._process.returncode} instead of listening:\n{self.words}")

    def kill(self) -> None:
        """Ends the whole process group without a word, as a crash does, and waits for its port."""
        self._stop(signal.SIGKILL)

    def stop(self) -> None:
        """Ends the whole process group, by force if it must be, and waits for its port. Safe to call again."""
        self._stop(signal.SIGTERM)

    def _stop(self, number: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        self._signal(process, number)
        try:
            process.wait(_STOPPED_WITHIN)
        except subprocess.TimeoutExpired:
            pass
        finally:
            # Also when the leader is gone: a worker of its own may have outlived it.
            self._signal(process, signal.SIGKILL)
            process.wait(_STOPPED_WITHIN)
            # A worker is not our child and cannot be waited for; the port it shares tells when it is gone.
            deadline = time.monotonic() + _STOPPED_WITHIN
            while accepts(self.port) and time.monotonic() < deadline:
                time.sleep(_POLL)

    @staticmethod
    def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
