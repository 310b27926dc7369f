"""Batches in a process of their own: how much memory one takes at most, and one that is killed."""

from __future__ import annotations

import asyncio
import json
import resource
import sys
from collections.abc import Iterator
from pathlib import Path

import asyncdl


def rows(orders: dict[str, int], base: str, where: Path, *, sized: dict[str, int]) -> Iterator[asyncdl.Request]:
    """Rows named `KIND-N`, in turns of the kinds; of each kind the one object `/KIND-N`, or where given its size."""
    left = dict(orders)
    most = max(orders.values())
    for turn in range(most):
        for kind, count in orders.items():
            # Spread evenly over the batch.
            if turn * count // most < (turn + 1) * count // most:
                number = count - left[kind]
                left[kind] -= 1
                yield asyncdl.Request(f"{base}/{kind}-{number}", where / f"{kind}-{number}", sized.get(kind))


def peak() -> float:
    """MiB that this process had resident at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


async def bring(order: dict[str, object], base: str, where: Path) -> None:
    """One batch; says how it went, and what the peak was after each tenth of it."""
    kinds = order["kinds"]
    assert isinstance(kinds, dict)
    sized = order.get("sized", {})
    assert isinstance(sized, dict)
    options = asyncdl.Options(use_environment=False, parallel_threshold=1 << 20, part_size=1 << 20)
    peaks, seen, total = [], 0, sum(kinds.values())
    async with asyncdl.Downloader(options=options, connections=16) as downloader:
        batch = downloader.run(rows(kinds, base, where, sized=sized))
        async for result in batch:
            if result.error:
                raise result.error
            seen += 1
            if seen * 10 % total < 10:
                peaks.append(peak())
    summary = batch.summary
    print(json.dumps({"peaks": peaks, "downloaded": summary.downloaded, "skipped": summary.skipped}))


if __name__ == "__main__":
    asyncio.run(bring(json.loads(sys.argv[1]), sys.argv[2], Path(sys.argv[3])))
