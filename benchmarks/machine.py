"""What a figure was measured on: facts without a name or a path of the machine."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from pathlib import Path
from typing import TypedDict

from benchmarks.clients import CLIENTS
from benchmarks.nginx import program


class Machine(TypedDict):
    """`memory` is in bytes."""

    cpu: str
    cores: int
    memory: int
    system: str
    kernel: str
    python: str
    nginx: str


def machine() -> Machine:
    """This one."""
    return {
        "cpu": _cpu(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        "memory": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "system": f"{platform.system()} {platform.machine()}",
        "kernel": re.match(r"[\d.]*\d", platform.release())[0],  # type: ignore[index]  # all begin with a number
        "python": platform.python_version(),
        "nginx": _nginx(),
    }


def versions() -> dict[str, str]:
    """Of the clients that are there, by name."""
    return {client.name: client.version() for client in CLIENTS if client.missing() is None}


def absent() -> dict[str, str]:
    """Why a client is not there, by name."""
    return {client.name: why for client in CLIENTS if (why := client.missing()) is not None}


def _cpu() -> str:
    try:
        found = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    except OSError:
        found = None
    return found[1].strip() if found else platform.processor() or "unknown"


def _nginx() -> str:
    found = program()
    if found is None:
        return ""
    words = subprocess.run([found, "-v"], capture_output=True, check=False, timeout=10).stderr
    version = re.search(rb"\d+(\.\d+)+", words)
    return version[0].decode() if version else ""
