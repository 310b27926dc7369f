"""A first look at speed: asyncdl beside curl, one large file from nginx on loopback to tmpfs, interleaved."""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
import tempfile
from pathlib import Path

from benchmarks.measure import Sample, run, same
from benchmarks.nginx import serving

_GIB = 1 << 30
_CLIENT = """
import asyncio, sys
import asyncdl
url, dest, connections = sys.argv[1], sys.argv[2], int(sys.argv[3])
asyncio.run(asyncdl.download(url, dest, options=asyncdl.Options(connections=connections, use_environment=False)))
"""


def clients(connections: list[int]) -> dict[str, list[str]]:
    """Name and command line of every client; `{url}` and `{dest}` are filled in."""
    commands = {"curl": ["curl", "-sS", "--noproxy", "*", "-o", "{dest}", "{url}"]}
    for count in connections:
        commands[f"asyncdl -x{count}"] = [sys.executable, "-c", _CLIENT, "{url}", "{dest}", str(count)]
    return commands


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks speed", description=__doc__)
    parser.add_argument("--size", type=float, default=4.0, help="GiB (default 4)")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--connections", type=int, nargs="+", default=[1, 4, 8, 16])
    parser.add_argument("--dir", type=Path, default=Path("/dev/shm"), help="a tmpfs (default /dev/shm)")
    options = parser.parse_args(arguments)
    if shutil.which("curl") is None:
        raise SystemExit("curl is not installed")
    size = int(options.size * _GIB)
    samples: dict[str, list[Sample]] = {}
    with tempfile.TemporaryDirectory(dir=options.dir) as name, serving(Path(name), size) as (url, source):
        dest = Path(name) / "download.bin"
        for _ in range(options.rounds):
            for client, command in clients(options.connections).items():
                filled = [word.format(url=url, dest=dest) if word in {"{url}", "{dest}"} else word for word in command]
                samples.setdefault(client, []).append(run(filled))
                if not same(source, dest):
                    raise SystemExit(f"{client} brought wrong bytes")
                dest.unlink()
    _report(samples, size)


def _report(samples: dict[str, list[Sample]], size: int) -> None:
    print(f"{size / _GIB:g} GiB, {len(samples['curl'])} interleaved rounds, every run's bytes compared; medians")
    print(f"{'client':<14}{'MB/s':>7}{'x curl':>8}{'(min-max)':>14}{'cpu-s/GiB':>11}{'x curl':>8}{'peak MiB':>10}")
    for client, runs in samples.items():
        ratios = [curl.wall / one.wall for one, curl in zip(runs, samples["curl"], strict=True)]
        cpu = [one.cpu / curl.cpu for one, curl in zip(runs, samples["curl"], strict=True)]
        wall = statistics.median(one.wall for one in runs)
        print(
            f"{client:<14}{size / wall / 1e6:>7.0f}{statistics.median(ratios):>8.2f}"
            f"{f'({min(ratios):.2f}-{max(ratios):.2f})':>14}"
            f"{statistics.median(one.cpu for one in runs) / (size / _GIB):>11.2f}{statistics.median(cpu):>8.2f}"
            f"{max(one.peak for one in runs) / (1 << 20):>10.0f}"
        )
