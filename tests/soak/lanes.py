"""Downloads side by side, one after the other, each compared with what it should be; and a sample between rounds."""

from __future__ import annotations

import asyncio
import random
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import asyncdl
from asyncdl.testing import OriginProcess
from tests.soak.origin import KIB, soak_origin
from tests.soak.trend import Sample, Trend, trends

LANES: Final = 4
#: Seconds for one download: a hundred times what the largest needs.
_HANGS: Final = 120.0
#: Seconds in which what was closed goes; nobody announces a closed descriptor.
_SETTLE: Final = 0.1
_TIMEOUTS: Final = asyncdl.Timeouts(connect=5, response=1, stall=1, low_speed=(20_000, 1))
_RETRY: Final = asyncdl.Retry(attempts=20, base=0.02, cap=0.5)


@dataclass(slots=True, kw_only=True)
class Tally:
    """What came of a soak; `failures` names each download that did not end as it should."""

    seed: int
    seconds: float = 0.0
    downloads: int = 0
    fetched: int = 0
    requests: int = 0
    retries: int = 0
    refreshes: int = 0
    faults: dict[str, int] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)

    @property
    def trends(self) -> list[Trend]:
        return trends(self.samples)

    @property
    def well(self) -> bool:
        """Nothing failed, nothing grew, and there was something to see."""
        return bool(self.downloads and not self.failures and not any(trend.leaks for trend in self.trends))


async def soak(
    *, seconds: float, seed: int, share: float, on_sample: Callable[[Tally], object] = lambda tally: None
) -> Tally:
    """Download for so many seconds.

    Args:
        share: of the requests that go wrong, from 0 to 1.
        on_sample: called after each round.
    """
    tally = Tally(seed=seed)
    began = time.monotonic()
    every = min(10.0, max(0.5, seconds / 40))
    with tempfile.TemporaryDirectory() as directory:
        async with soak_origin(seed=seed, share=share) as objects:
            rngs = [random.Random(f"{seed} {number}") for number in range(LANES)]
            while (now := time.monotonic()) < began + seconds:
                until = min(now + every, began + seconds)
                async with asyncio.TaskGroup() as group:
                    for number, rng in enumerate(rngs):
                        group.create_task(_lane(rng, objects, Path(directory) / f"{number}", until, tally))
                await asyncio.sleep(_SETTLE)
                tally.samples.append(Sample.take(began))
                tally.seconds = time.monotonic() - began
                on_sample(tally)
            tally.faults = await next(iter(objects.values())).ledger()
    return tally


async def _lane(rng: random.Random, objects: dict[int, OriginProcess], dest: Path, until: float, tally: Tally) -> None:
    while time.monotonic() < until:
        size = rng.choice(list(objects))
        source, settings = _drawn(rng, objects[size])
        try:
            async with asyncio.timeout(_HANGS):
                result = await asyncdl.download(source, dest, timeouts=_TIMEOUTS, retry=_RETRY, **settings)
            difference = await asyncio.to_thread(objects[size].content.first_difference, dest)
        except (asyncdl.AsyncdlError, TimeoutError) as error:
            tally.failures.append(f"{size} bytes, {settings}: {type(error).__name__}: {error}")
        else:
            if difference is not None:
                tally.failures.append(f"{size} bytes, {settings}: differs at {difference}")
            tally.fetched += result.fetched
            tally.requests += result.requests
            tally.retries += result.retries
            tally.refreshes += result.refreshes
        tally.downloads += 1
        dest.unlink(missing_ok=True)


def _drawn(rng: random.Random, thing: OriginProcess) -> tuple[Any, dict[str, Any]]:
    source = thing.provider(ttl=rng.choice([1.0, 2.0])) if rng.random() < 0.6 else thing.url
    options = asyncdl.Options(
        connections=rng.choice([1, 2, 4, 8, 16]),
        part_size=rng.choice([128, 256, 512]) * KIB,
        parallel_threshold=512 * KIB,
        chunk_size=64 * KIB,
        queue_depth=rng.choice([4, 32]),
        use_environment=False,
    )
    return source, {"options": options, "size": thing.content.size if rng.random() < 0.5 else None}
