"""One client as a child process: its wall time, its CPU time with that of its children, and its peak memory."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

#: Seconds after which a client is given up; no run here takes a tenth of it.
_PATIENCE = 600.0


@dataclass(frozen=True, slots=True)
class Sample:
    """What one run took. `peak` is the largest resident set, in bytes."""

    wall: float
    cpu: float
    peak: int


def run(command: Sequence[str]) -> Sample:
    """Run a command to its end.

    Raises:
        RuntimeError: it failed, or took longer than ten minutes.
    """
    began = time.perf_counter()
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    deadline = began + _PATIENCE
    # A blocking wait would be exact and unbounded; a poll each millisecond is off by less than the noise.
    while True:
        pid, status, usage = os.wait4(process.pid, os.WNOHANG)
        if pid:
            break
        if time.perf_counter() > deadline:
            process.kill()
            raise RuntimeError(f"{command[0]} took longer than {_PATIENCE:g} s")
        time.sleep(0.001)
    wall = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{command[0]} ended with status {process.returncode}")
    return Sample(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)


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
