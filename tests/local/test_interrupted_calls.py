"""System calls that a signal interrupts, thousands of times in one download."""

from __future__ import annotations

from pathlib import Path

from asyncdl.testing import Origin
from tests.support.flow import PART, holds
from tests.support.python import run_python

SIZE = 64 * PART + 3


async def test_storm_of_signals(origin: Origin, tmp_path: Path) -> None:
    """B09: a timer that fires every other millisecond disturbs neither reading nor writing."""
    content = origin.add("/object", SIZE)
    origin.rate = 8.0 * PART
    code = """
        import asyncio, signal, sys, asyncdl, asyncdl.calls
        fired = []
        signal.signal(signal.SIGALRM, lambda *_: fired.append(1))
        signal.siginterrupt(signal.SIGALRM, True)
        signal.setitimer(signal.ITIMER_REAL, 0.002, 0.002)
        options = asyncdl.Options(connections=8, first_connections=8, part_size=65536, parallel_threshold=0,
                                  use_environment=False)
        result = asyncio.run(asyncdl.download(sys.argv[1], sys.argv[2], options=options))
        signal.setitimer(signal.ITIMER_REAL, 0)
        print(result.fetched, result.retries, len(fired) > 100)
    """

    said = await run_python(code, origin.url("/object"), tmp_path / "file")

    assert [f"{SIZE} 0 True"] == said
    assert holds(tmp_path / "file", content)
