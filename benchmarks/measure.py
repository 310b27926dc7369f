"""One client as a child process: its wall time, its CPU time with that of its children, its peak memory, its facts."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import select
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

#: Seconds between two looks at the memory of a client: at first, and once it has grown for a while.
_FIRST_LOOK, _LOOK = 0.001, 0.01
#: Bytes of a client's last words that are shown.
_WORDS = 2000


class RunError(Exception):
    """A client failed, took too long, or brought wrong bytes; the message is for the report."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What one run took.

    Attributes:
        wall: seconds from the start of the process to its end.
        cpu: seconds of CPU, user and system, children included.
        peak: largest resident set of any one of its processes, in bytes.
        size: bytes that it had to bring.
        facts: what the client or the origin said besides, such as `requests` or `refreshes`.
    """

    wall: float
    cpu: float
    peak: int
    size: int = 0
    facts: Mapping[str, float] = field(default_factory=dict)


def run(
    command: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    size: int = 0,
    patience: float = 600.0,
    kill_when: Callable[[], bool] | None = None,
) -> Sample:
    """Run a command to its end. A last line of its output that is a JSON object becomes its facts.

    Args:
        env: variables besides those of this process.
        patience: seconds after which it is killed, and has failed.
        kill_when: asked about a hundred times a second; it is killed then, which is a fact of the sample.

    Raises:
        RunError: it failed, or took too long.
    """
    began = time.perf_counter()
    process = start(command, env=env)
    with process:
        try:
            peak, cpu, wall = _watch(process, began, patience, kill_when)
            out, err = (pipe.read() if pipe else b"" for pipe in (process.stdout, process.stderr))
        finally:
            stop(process)
    if kill_when is not None and process.returncode == -signal.SIGKILL:
        return Sample(wall=wall, cpu=cpu, peak=peak, size=size, facts={"killed": 1})
    if process.returncode:
        words = (err or out)[-_WORDS:].decode(errors="replace").strip()
        raise RunError(f"ended with status {process.returncode}: {words}")
    return Sample(wall=wall, cpu=cpu, peak=peak, size=size, facts=_facts(out))


def start(command: Sequence[str], *, env: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
    """Start a client in a process group of its own, without any proxy of the environment."""
    clean = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    root = str(Path(__file__).parents[1])
    clean["PYTHONPATH"] = os.pathsep.join(filter(None, [root, clean.get("PYTHONPATH", "")]))
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**clean, **(env or {})},
        start_new_session=True,
    )


def stop(process: subprocess.Popen[bytes]) -> None:
    """Kill what is left of a client and its children."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _watch(
    process: subprocess.Popen[bytes], began: float, patience: float, kill_when: Callable[[], bool] | None
) -> tuple[int, float, float]:
    """Peak, CPU and wall time of a process that has been started."""
    peak, pause = _resident(process.pid), _FIRST_LOOK
    descriptor = os.pidfd_open(process.pid)
    try:
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        while not poll.poll(pause * 1000):
            pause = min(pause * 2, _LOOK)
            peak, age = max(peak, _resident(process.pid)), time.perf_counter() - began
            if kill_when is not None and kill_when():
                os.killpg(process.pid, signal.SIGKILL)
            if age > patience:
                raise RunError(f"took longer than {patience:g} s")
        wall = time.perf_counter() - began
    finally:
        os.close(descriptor)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    # The system counts what this process had at the fork as well: what is not beyond that says nothing.
    said = usage.ru_maxrss * 1024
    if not peak or said > resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024:
        peak = max(peak, said)
    return peak, usage.ru_utime + usage.ru_stime, wall


def _resident(pid: int) -> int:
    """The largest resident set so far, in bytes, of a process or any of its children."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return 0
    _, found, rest = status.partition("VmHWM:")
    own = int(rest.split()[0]) * 1024 if found else 0
    return max([own, *(_resident(int(child)) for child in children)])


def _facts(out: bytes) -> dict[str, float]:
    last = out.strip().rpartition(b"\n")[2]
    if not last.startswith(b"{"):
        return {}
    try:
        found = json.loads(last)
    except ValueError:
        return {}
    return {name: value for name, value in found.items() if isinstance(value, int | float)}


def same(left: Path, right: Path) -> bool:
    """Whether two files hold the same bytes."""
    if left.stat().st_size != right.stat().st_size:
        return False
    with left.open("rb", buffering=0) as a, right.open("rb", buffering=0) as b:
        ours, theirs = bytearray(1 << 22), bytearray(1 << 22)
        while count := a.readinto(ours):
            if b.readinto(theirs) != count or ours[:count] != theirs[:count]:
                return False
    return True
