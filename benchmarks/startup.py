"""What a cold process costs: one small file by the command, beside curl, Python's own start and what it must import."""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import sys
import tempfile
from pathlib import Path

from benchmarks.measure import Sample, run, same
from benchmarks.nginx import serving

#: Seconds, and times the sum of curl's and of `python -c pass`: what the command should stay within.
MOST_SECONDS = 0.35
MOST_RATIO = 2.0
_COMMAND = "python -m asyncdl"
_PASS = "python -c pass"
#: Nothing of these is ours: no client built on them can be faster.
_FLOORS = ("import asyncio", "import aiohttp")
#: Nothing that a developer's shell sets may count: neither compiling at each start, nor a proxy, nor options of ours.
_UNWANTED = ("PYTHONDONTWRITEBYTECODE", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy")
_PLAIN = """
import asyncio, sys
import aiohttp
async def main(url, dest):
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        with open(dest, "wb") as file:
            file.write(await response.read())
asyncio.run(main(*sys.argv[1:]))
"""


def clients() -> dict[str, list[str]]:
    """Name and command line of every process; `{url}` and `{dest}` are filled in. Only some download."""
    python = sys.executable
    return {
        "curl": ["curl", "-sS", "--noproxy", "*", "-o", "{dest}", "{url}"],
        _PASS: [python, "-c", "pass"],
        **{f"python -c '{floor}'": [python, "-c", floor] for floor in _FLOORS},
        "aiohttp, 8 lines": [python, "-c", _PLAIN, "{url}", "{dest}"],
        "python -c 'import asyncdl'": [python, "-c", "import asyncdl"],
        "python -m asyncdl --version": [python, "-m", "asyncdl", "--version"],
        _COMMAND: [python, "-m", "asyncdl", "-q", "{url}", "-o", "{dest}"],
    }


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks startup", description=__doc__)
    parser.add_argument("--size", type=int, default=1_000_000, help="bytes (default 1000000)")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--dir", type=Path, default=Path("/dev/shm"), help="a tmpfs (default /dev/shm)")
    options = parser.parse_args(arguments)
    if shutil.which("curl") is None:
        raise SystemExit("curl is not installed")
    for name in [name for name in os.environ if name in _UNWANTED or name.startswith("ASYNCDL_")]:
        del os.environ[name]
    samples: dict[str, list[Sample]] = {name: [] for name in clients()}
    with tempfile.TemporaryDirectory(dir=options.dir) as name, serving(Path(name), options.size) as (url, source):
        dest = Path(name) / "download.bin"
        # The first round warms the caches, and compiles what has not been compiled yet.
        for number in range(options.rounds + 1):
            for client, command in clients().items():
                sample = run([word.format(url=url, dest=dest) if word[:1] == "{" else word for word in command])
                if "{dest}" in command:
                    if not same(source, dest):
                        raise SystemExit(f"{client} brought wrong bytes")
                    dest.unlink()
                if number:
                    samples[client].append(sample)
    _report(samples, options.size)


def _report(samples: dict[str, list[Sample]], size: int) -> None:
    units = [curl.wall + own.wall for curl, own in zip(samples["curl"], samples[_PASS], strict=True)]
    print(f"{size} bytes, {len(units)} interleaved rounds, cold processes, every file's bytes compared; medians")
    print(f"{'process':<30}{'seconds':>9}{'cpu-s':>8}{'x (curl + pass)':>17}{'(min-max)':>15}")
    ratios = {}
    for client, runs in samples.items():
        found = [one.wall / unit for one, unit in zip(runs, units, strict=True)]
        ratios[client] = statistics.median(found)
        print(
            f"{client:<30}{statistics.median(one.wall for one in runs):>9.3f}"
            f"{statistics.median(one.cpu for one in runs):>8.3f}{ratios[client]:>17.2f}"
            f"{f'({min(found):.2f}-{max(found):.2f})':>15}"
        )
    seconds = statistics.median(one.wall for one in samples[_COMMAND])
    print(f"within {MOST_SECONDS:g} s: {'yes' if seconds <= MOST_SECONDS else 'NO'} ({seconds:.3f})")
    limit = ratios["python -c 'import aiohttp'"]
    print(
        f"within {MOST_RATIO:g} x (curl + pass): {'yes' if ratios[_COMMAND] <= MOST_RATIO else 'NO'} "
        f"({ratios[_COMMAND]:.2f}; {limit:.2f} for the import of aiohttp alone)"
    )
