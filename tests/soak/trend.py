"""What a process holds over time: samples, the line through them, and the bound on its slope."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

_MIB: Final = 1 << 20
#: Of the run, at its begin: code is loaded, pools fill, the allocator takes what it will keep.
WARM_UP: Final = 1 / 3
#: Where Linux says what a process holds (proc(5)); elsewhere those two figures are 0.
_DESCRIPTORS: Final = "/proc/self/fd"
_STATM: Final = Path("/proc/self/statm")


def _resident() -> int:
    """Bytes of memory; the second field of statm is in pages."""
    return int(_STATM.read_text().split()[1]) * os.sysconf("SC_PAGESIZE") if _STATM.exists() else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What this process holds at one moment; `rss` in MiB."""

    seconds: float
    rss: float
    descriptors: float
    threads: float
    tasks: float

    @classmethod
    def take(cls, began: float) -> Self:
        """Now, after a collection of garbage; `began` is on the monotonic clock."""
        gc.collect()
        return cls(
            seconds=time.monotonic() - began,
            rss=_resident() / _MIB,
            descriptors=len(os.listdir(_DESCRIPTORS)) if os.path.isdir(_DESCRIPTORS) else 0,  # noqa: PTH112
            threads=threading.active_count(),
            tasks=len(asyncio.all_tasks()),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """How much something may grow: a slope above `per_minute` is a leak, if it also came to more than `in_all`.

    The second figure is for short runs, in which a single step makes a steep line, and on a busy machine the pools of
    threads and memory still fill after the warm-up.
    """

    per_minute: float
    in_all: float


#: A leak of one object a download would be some hundreds a minute; of one buffer, some MiB.
BOUNDS: Final[dict[str, Bound]] = {
    "rss": Bound(per_minute=0.5, in_all=20.0),
    "descriptors": Bound(per_minute=0.2, in_all=2.0),
    "threads": Bound(per_minute=0.2, in_all=12.0),
    "tasks": Bound(per_minute=0.1, in_all=0.5),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Trend:
    """The line through one figure's samples after the warm-up."""

    name: str
    first: float
    last: float
    most: float
    per_minute: float
    rise: float

    @property
    def leaks(self) -> bool:
        """Whether it grows more than its bound allows."""
        bound = BOUNDS[self.name]
        return self.per_minute > bound.per_minute and self.rise > bound.in_all


def slope(points: Sequence[tuple[float, float]]) -> float:
    """Of the least-squares line; 0 for fewer than two different times."""
    if not points:
        return 0.0
    middle = sum(x for x, _ in points) / len(points)
    level = sum(y for _, y in points) / len(points)
    width = sum((x - middle) ** 2 for x, _ in points)
    return sum((x - middle) * (y - level) for x, y in points) / width if width else 0.0


def trends(samples: Sequence[Sample]) -> list[Trend]:
    """One line for each figure, through what was sampled after the warm-up."""
    warm = samples[-1].seconds * WARM_UP if samples else 0.0
    settled = [sample for sample in samples if sample.seconds >= warm]
    found = []
    for name in BOUNDS:
        points = [(sample.seconds, float(getattr(sample, name))) for sample in settled]
        values = [value for _, value in points] or [0.0]
        each = slope(points)
        rise = each * (points[-1][0] - points[0][0]) if points else 0.0
        found.append(
            Trend(name=name, first=values[0], last=values[-1], most=max(values), per_minute=60 * each, rise=rise)
        )
    return found
