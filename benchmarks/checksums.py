"""What verifying costs: downloads with and without a checksum, interleaved, as ratios of their times."""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from asyncdl.edge import hashing
from asyncdl.model import DIGEST_SIZES, Checksum
from asyncdl.rules.checksums import COMBINABLE
from asyncdl.testing import Content, origin_process
from benchmarks.measure import Sample, run
from benchmarks.nginx import serving

_GIB = 1 << 30
_NONE = "unverified"
#: Highest ratio to the time without a checksum.
_GOALS = {"sha256": 1.10, "crc64nvme": 1.03}
_CLIENT = """
import asyncio, sys
import asyncdl
url, dest, connections, checksum = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4] or None
options = asyncdl.Options(connections=connections, use_environment=False)
asyncio.run(asyncdl.download(url, dest, checksum=checksum, options=options))
"""


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks checksums", description=__doc__)
    parser.add_argument("--size", type=float, default=2.0, help="GiB (default 2)")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--rate", type=float, help="MB/s that the origin gives to each connection (default: no bound)")
    parser.add_argument("--nginx", action="store_true", help="nginx instead of the test kit's origin; has no --rate")
    parser.add_argument("--dir", type=Path, default=Path("/dev/shm"), help="a tmpfs (default /dev/shm)")
    parser.add_argument(
        "--algorithms", nargs="+", choices=list(DIGEST_SIZES), default=["sha256", "crc64nvme", "crc32c", "md5"]
    )
    asyncio.run(_measure(parser.parse_args(arguments)))


async def _measure(options: argparse.Namespace) -> None:
    content = Content(1, int(options.size * _GIB))
    wanted = {_NONE: "", **sums(content, options.algorithms)}
    samples: dict[str, list[Sample]] = {name: [] for name in wanted}
    with tempfile.TemporaryDirectory(dir=options.dir) as name:
        dest = Path(name) / "download.bin"
        async with _source(options, Path(name), content) as url:
            for number in range(options.rounds):
                # There and back, so that none always follows the same one.
                for client in list(wanted)[:: 1 if number % 2 else -1]:
                    command = [sys.executable, "-c", _CLIENT, url, str(dest), str(options.connections), wanted[client]]
                    samples[client].append(run(command))
                    # asyncdl has compared the checksum; that it did so with the right bytes is looked at once.
                    if not number and content.first_difference(dest) is not None:
                        raise SystemExit(f"{client}: wrong bytes")
                    dest.unlink()
    _report(samples, options)


@asynccontextmanager
async def _source(options: argparse.Namespace, directory: Path, content: Content) -> AsyncIterator[str]:
    if options.nginx:
        with serving(directory, content.size) as (url, _):
            yield url
        return
    rate = None if options.rate is None else options.rate * 1e6
    async with origin_process(size=content.size, seed=content.seed, rate=rate) as origin:
        yield await origin.presign()


def sums(content: Content, algorithms: list[str]) -> dict[str, str]:
    """What the content adds up to, as text, by algorithm.

    Raises:
        SystemExit: one of them needs a library that is not installed.
    """
    for algorithm in algorithms:
        if not hashing.available(algorithm):
            raise SystemExit(f"{algorithm} needs awscrt: install asyncdl[checksums]")
    hashes = {algorithm: hashing.new_hash(algorithm) for algorithm in algorithms if algorithm not in COMBINABLE}
    crcs = dict.fromkeys((algorithm for algorithm in algorithms if algorithm in COMBINABLE), 0)
    for block in content.blocks(0, content.size, block=1 << 20):
        for one in hashes.values():
            one.update(block)
        for algorithm, value in crcs.items():
            crcs[algorithm] = hashing.crc(algorithm, block, value)
    digests = {algorithm: one.digest() for algorithm, one in hashes.items()}
    digests |= {algorithm: value.to_bytes(DIGEST_SIZES[algorithm], "big") for algorithm, value in crcs.items()}
    return {algorithm: str(Checksum(algorithm, digests[algorithm])) for algorithm in algorithms}


def _report(samples: dict[str, list[Sample]], options: argparse.Namespace) -> None:
    origin = "nginx" if options.nginx else "the test kit's origin"
    rate = "" if options.rate is None else f", {options.rate:g} MB/s each"
    print(
        f"{options.size:g} GiB from {origin} over {options.connections} connections{rate}, "
        f"{options.rounds} interleaved rounds; medians"
    )
    print(f"{'checksum':<12}{'MB/s':>7}{'x time':>8}{'(min-max)':>14}{'goal':>7}{'cpu-s/GiB':>11}{'peak MiB':>10}")
    for client, runs in samples.items():
        ratios = [one.wall / plain.wall for one, plain in zip(runs, samples[_NONE], strict=True)]
        wall = statistics.median(one.wall for one in runs)
        goal = f"{_GOALS[client]:.2f}" if client in _GOALS else ""
        print(
            f"{client:<12}{options.size * _GIB / wall / 1e6:>7.0f}{statistics.median(ratios):>8.2f}"
            f"{f'({min(ratios):.2f}-{max(ratios):.2f})':>14}{goal:>7}"
            f"{statistics.median(one.cpu for one in runs) / options.size:>11.2f}"
            f"{max(one.peak for one in runs) / (1 << 20):>10.0f}"
        )
