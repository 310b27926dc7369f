"""File systems for one test: a small one, and a view that cannot be written. Mounting takes root; skipped without."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

_WITHIN = 60


@contextlib.contextmanager
def tmpfs(at: Path, size: int) -> Iterator[Path]:
    """A file system of its own, of `size` bytes, at a new folder."""
    at.mkdir()
    _mount("-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(at))
    try:
        yield at
    finally:
        subprocess.run(["umount", "-l", str(at)], timeout=_WITHIN, check=True)


@contextlib.contextmanager
def read_only(source: Path, at: Path) -> Iterator[Path]:
    """`source` once more, where nothing can be written; `source` itself stays as it is."""
    at.mkdir()
    _mount("--bind", str(source), str(at))
    try:
        _mount("-o", "remount,bind,ro", str(at))
        yield at
    finally:
        subprocess.run(["umount", "-l", str(at)], timeout=_WITHIN, check=True)


def _mount(*arguments: str) -> None:
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("mounting takes Linux and root")
    done = subprocess.run(["mount", *arguments], capture_output=True, timeout=_WITHIN, check=False)
    if done.returncode:
        pytest.skip(f"cannot mount: {done.stderr.decode(errors='replace').strip()}")
