"""Downloads that strace kills, or fails with EIO, at one system call after another; `nox -s crash` has them all."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.kill.syscalls import What, strike_all, unavailable

#: Every so many-th call of a kind, beside the first and the last.
STEP = 4


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("what", ["SIGKILL", "EIO"])
async def test_each_system_call(tmp_path: Path, what: What) -> None:
    """B06, B07, B27: nothing torn, no success that is none, an error believed at once, and the next run right."""
    reason = await unavailable()
    if reason:
        pytest.skip(reason)
    (tmp_path / "into").mkdir()

    tally = await strike_all(tmp_path / "into", what, step=STEP)

    assert [] == tally.wrong
    assert {"write", "fdatasync", "fsync", "rename", "unlink", "open", "ftruncate"} <= set(tally.struck)
