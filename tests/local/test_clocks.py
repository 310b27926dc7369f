"""A wall clock that jumps in mid-download: an hour either way, to 1970, to 2100; by libfaketime, in another process."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from asyncdl.testing import origin_process
from tests.support.python import run_python

SIZE = 6 << 20
#: Seconds that a URL lives; the download takes several of them.
TTL = 2.0
_LIBRARIES = ("/usr/lib/*/faketime/libfaketimeMT.so.1", "/usr/local/lib/faketime/libfaketimeMT.so.1")
_CODE = """
    import asyncio, sys, time, asyncdl, asyncdl.calls
    from pathlib import Path
    from asyncdl.testing import Content, OriginProcess
    base, path, size, dest, clock, jump, ttl, total = sys.argv[1:]
    jumped = []
    def look(progress):
        if not jumped and progress.done > int(size) // 8:
            jumped.append(time.time())
            Path(clock).write_text(jump)
    async def main():
        origin = OriginProcess(base, path, Content(1, int(size)))
        provider = origin.provider(ttl=float(ttl))
        options = asyncdl.Options(connections=3, part_size=1 << 18, parallel_threshold=0, use_environment=False)
        began = time.monotonic()
        try:
            result = await asyncdl.download(provider, dest, options=options, on_progress=look,
                                            timeouts=asyncdl.Timeouts(total=float(total), low_speed=(1000, 5)))
            print(result.outcome.value, len(provider.urls))
        except asyncdl.DeadlineError:
            print("deadline", 0)
        print(time.monotonic() - began, time.time() - jumped[0])
    asyncio.run(main())
"""


@pytest.fixture
def faketime() -> str:
    """The library that lies to a process about the time."""
    found = [path for pattern in _LIBRARIES for path in Path("/").glob(pattern.lstrip("/"))]
    if not found or sys.platform != "linux":
        pytest.skip("libfaketime is not installed (Debian: apt-get install libfaketime)")
    return str(found[0])


def _environment(library: str, clock: Path) -> dict[str, str]:
    clock.write_text("+0")
    return {
        "LD_PRELOAD": library,
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_NO_CACHE": "1",
        # Only the wall clock jumps: no administrator can turn the monotonic one.
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "FAKETIME_FORCE_MONOTONIC_FIX": "0",
    }


@pytest.mark.slow
@pytest.mark.parametrize(
    ("jump", "least", "most"),
    [
        ("+1h", 3600, 3700),
        ("-1h", -3600, -3500),
        ("@1970-01-02 00:00:00", -4e9, -1e9),
        ("@2100-01-01 00:00:00", 1e9, 4e9),
    ],
    ids=["an hour on", "an hour back", "1970", "2100"],
)
async def test_clock_that_jumps(tmp_path: Path, faketime: str, jump: str, least: float, most: float) -> None:
    """B29: the URL is renewed when the server's clock says so, and no oftener; no deadline passes early."""
    async with origin_process(size=SIZE, ttl=TTL, rate=SIZE / 3 / 4) as origin:
        ended, times = await run_python(
            *(_CODE, origin.base_url, origin.path, SIZE, tmp_path / "file", tmp_path / "clock", jump, TTL, 30),
            environ=_environment(faketime, tmp_path / "clock"),
        )
        counts = await origin.ledger()
    outcome, urls = ended.split()
    elapsed, jumped = map(float, times.split())

    assert "downloaded" == outcome
    assert origin.content.first_difference(tmp_path / "file") is None
    assert least <= jumped <= most
    # At its rate it takes four seconds, which is two lives of a URL.
    assert 2 <= int(urls) <= elapsed / (TTL / 2) + 2
    # Every connection may find out for itself that a URL is dead.
    assert counts["refused"] <= 3 * int(urls)
    assert 0 == counts["repeated"]


@pytest.mark.slow
@pytest.mark.parametrize("jump", ["-1h", "@2100-01-01 00:00:00"])
async def test_deadline_is_not_moved(tmp_path: Path, faketime: str, jump: str) -> None:
    """B29: what was to take two seconds at most takes two, whatever the wall clock says."""
    async with origin_process(size=SIZE, rate=SIZE / 3 / 10) as origin:
        ended, times = await run_python(
            *(_CODE, origin.base_url, origin.path, SIZE, tmp_path / "file", tmp_path / "clock", jump, 600, 2),
            environ=_environment(faketime, tmp_path / "clock"),
        )

    assert "deadline 0" == ended
    # Without a deadline it would take ten, and end otherwise.
    assert 1.9 < float(times.split()[0])
