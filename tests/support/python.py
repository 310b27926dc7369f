"""Some lines of Python in a process of their own, for what would hurt this one: limits, other users, other clocks."""

from __future__ import annotations

import asyncio
import os
import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path

_ROOT = str(Path(__file__).parents[2])
_WITHIN = 150.0


async def run_python(
    code: str, *arguments: object, environ: Mapping[str, str] | None = None, cwd: Path | None = None
) -> list[str]:
    """What the lines printed; fails where they raised, or printed anything to standard error."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)),
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": _ROOT, **(environ or {})},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(_WITHIN):
            out, errors = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()

    if process.returncode or errors:
        raise AssertionError(f"ended with {process.returncode}: {errors.decode(errors='replace')}")
    return out.decode().splitlines()
