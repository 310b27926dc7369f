"""The downloads that crash: each as what is on the disk, what is run, and what is run after the crash."""

from __future__ import annotations

import errno
import hashlib
import random
import zlib
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

from asyncdl.model import Checksum, Result
from asyncdl.testing import Content
from tests.crash.invariants import MODE, Expected
from tests.crash.rig import DEST, Fetch, record
from tests.crash.simdisk import SimDisk
from tests.crash.states import enumerate_states
from tests.crash.trace import File, Image, Trace
from tests.crash.transport import Object


def _object(seed: int, size: int, etag: str | None = None, **changes: bool) -> Object:
    return Object(Content(seed, size).read(0, size), etag, **changes)


FIRST = _object(1, 40_000, '"1"')
SECOND = _object(2, 33_000, '"2"')
THIRD = _object(3, 40_000, '"3"')
NAMELESS = replace(FIRST, etag=None)
STREAM = replace(FIRST, ranges=False)
ENDLESS = replace(STREAM, says_size=False, etag=None)
EMPTY = _object(1, 0, '"0"')
OLD = File(12, 0o640, Content(9, 25_000).read(0, 25_000))

SHA256 = Checksum("sha256", hashlib.sha256(FIRST.data).digest())
SHA256_OF_THIRD = Checksum("sha256", hashlib.sha256(THIRD.data).digest())
CRC32 = Checksum("crc32", zlib.crc32(FIRST.data).to_bytes(4, "big"))

#: How the runs before the last one end.
End: TypeAlias = Literal["killed", "power lost", "sync fails", "cancelled"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One way to crash.

    Attributes:
        runs: downloads one after the other; the crash is in the last, or, where the page cache outlives the earlier
            ones, in any.
        then: the downloads after the crash, each for its share of the states.
        ends: of the runs before the last, each seed takes one.
        old: what is at the destination.
        capacity: bytes that fit on the disk until the crash.
        locks: whether there are locks.
        share: of the states that other scenarios get, for one that has few.
    """

    name: str
    runs: tuple[Fetch, ...]
    then: tuple[Fetch, ...]
    ends: tuple[End, ...] = ("killed", "power lost")
    old: File | None = None
    capacity: int | None = None
    locks: bool = True
    share: float = 1.0
    versions: tuple[Object, ...] = field(init=False)

    def __post_init__(self) -> None:
        found = {fetch.object: None for fetch in (*self.runs, *self.then)}
        object.__setattr__(self, "versions", tuple(found))

    @property
    def expected(self) -> tuple[Expected, ...]:
        """What states are judged by, each for its share."""
        new = self.runs[-1].object
        return tuple(Expected(old=self.old, new=new, versions=self.versions, then=fetch) for fetch in self.then)


@dataclass(frozen=True, slots=True)
class Recorded:
    """What a scenario did, with one seed.

    Attributes:
        start: what was certain before.
        early: what came of the runs before the last one; None where one failed or was ended.
        result: what came of the last one.
    """

    trace: Trace
    start: Image
    early: tuple[Result | None, ...]
    result: Result | None


def play(scenario: Scenario, seed: int) -> Recorded:
    """Run a scenario; all but the last of its downloads come to an early end, where the seed says."""
    rng = random.Random(f"{scenario.name} {seed}")
    start = Image() if scenario.old is None else Image(((str(DEST), scenario.old),))
    disk = _disk(scenario, start)
    results = []
    for number, fetch in enumerate(scenario.runs[:-1]):
        end = scenario.ends[(seed + number) % len(scenario.ends)]
        at = len(disk.trace) + rng.randrange(9, _length(scenario, disk.image, fetch, seed + number) - 4)
        if end == "sync fails":
            disk.failing_syncs = {disk.syncs + rng.randrange(12)}
            # What a quota or NFS says at a sync is as final as an I/O error.
            disk.failing_with = rng.choice([errno.EIO, errno.ENOSPC])
        elif end != "cancelled":
            disk.dies_at = at
        early = record(
            disk, fetch, seed=seed + number, first_owner=number, cancelled_at=at if end == "cancelled" else None
        )
        results.append(early)
        disk.restart()
        if end == "power lost":
            start = rng.choice(list(enumerate_states(disk.trace, start, seed=seed))).image
            disk = _disk(scenario, start)
    result = record(disk, scenario.runs[-1], seed=seed + len(scenario.runs), first_owner=len(scenario.runs))
    return Recorded(tuple(disk.trace), start, tuple(results), result)


def _disk(scenario: Scenario, start: Image) -> SimDisk:
    return SimDisk(start, capacity=scenario.capacity, locks=scenario.locks)


def _length(scenario: Scenario, image: Image, fetch: Fetch, seed: int) -> int:
    """How many steps a download takes that nothing ends."""
    disk = _disk(scenario, image)
    record(disk, fetch, seed=seed)
    return len(disk.trace)


def _one(name: str, fetch: Fetch, *, runs: int = 1, **changes: object) -> Scenario:
    """One object, and after the crash another number of connections, and other parts."""
    calm = replace(fetch, breaks=None, beats=False)
    wider = replace(calm, connections=2, part_size=16_384, piece=16_384, flush=16_384)
    narrower = replace(calm, connections=4, part_size=5_000, piece=10_000, queue_depth=8)
    return Scenario(name=name, runs=(fetch,) * runs, then=(wider, narrower), **changes)  # type: ignore[arg-type]


def _small(name: str, fetch: Fetch, **changes: object) -> Scenario:
    """One object that is gathered in memory; after the crash it is again, or goes through a partial file."""
    fetch = replace(fetch, part_size=65_536, chunk=65_536)
    calm = replace(fetch, breaks=None)
    return Scenario(
        name=name,
        runs=(fetch,),
        then=(calm, replace(calm, part_size=16_384, chunk=None)),
        **changes,  # type: ignore[arg-type]
    )


_FIRST = Fetch(object=FIRST)
_NAMELESS = Fetch(object=NAMELESS)
_REPLACING = Fetch(object=FIRST, if_exists="replace")
_LATER = replace(_REPLACING, object=THIRD, piece=16_384)

SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        _one("fresh", replace(_FIRST, flush=16_384, queue_depth=8)),
        _one("fresh, no reservation", replace(_FIRST, preallocate=False)),
        _one("fresh, size given", replace(_FIRST, size=len(FIRST.data))),
        _one("empty object", Fetch(object=EMPTY), share=0.007),
        _small("small", _FIRST, share=0.22),
        _small("small, size given", replace(_FIRST, size=len(FIRST.data)), share=0.22),
        _small("small, replacing", _REPLACING, old=OLD, share=0.43),
        _small("small, broken connection", replace(_FIRST, breaks=6), share=0.22),
        _small("small, without ranges", Fetch(object=STREAM, breaks=7), share=0.22),
        _small("small, no locks", _FIRST, locks=False, share=0.22),
        _small("small, sha256", replace(_FIRST, checksum=SHA256), share=0.22),
        _one("resumed", _FIRST, runs=2),
        _one("resumed twice", replace(_FIRST, flush=4096), runs=3),
        _one("resumed after a cancellation", _FIRST, runs=2, ends=("cancelled",)),
        _one("resumed after a failed sync", _FIRST, runs=2, ends=("sync fails",)),
        _one("fresh, broken connection", replace(_FIRST, breaks=6)),
        _one("fresh, beating", replace(_FIRST, beats=True)),
        _one("fresh, long journal", replace(_FIRST, flush=4096, beats=True, long_journal=1)),
        _one("no room", replace(_FIRST, preallocate=False, check_space=False), capacity=30_000),
        _one("no room to reserve", replace(_FIRST, check_space=False), capacity=30_000, share=0.03),
        _one("resumed, long journal", replace(_FIRST, flush=4096, long_journal=1), runs=2),
        _one("no locks", _FIRST, runs=2, locks=False),
        _one("replacing", _REPLACING, old=OLD),
        _one("replacing, resumed", _REPLACING, old=OLD, runs=2),
        _one("sequential", Fetch(object=STREAM), runs=2),
        _one("sequential, broken connection", Fetch(object=STREAM, breaks=7, beats=True)),
        _one("sequential, of unknown length", Fetch(object=ENDLESS, flush=16_384, if_exists="replace"), runs=2),
        _one("unproven, with a checksum", replace(_NAMELESS, checksum=SHA256), runs=2),
        _one("unproven, on request", replace(_NAMELESS, resume_unproven=True), runs=2),
        _one("unproven", _NAMELESS, runs=2),
        _one("sha256", replace(_FIRST, checksum=SHA256), runs=2),
        _one("crc32", replace(_FIRST, checksum=CRC32), runs=2),
        Scenario(
            name="changed, begun anew",
            runs=(_FIRST, Fetch(object=SECOND)),
            then=(replace(_FIRST, object=SECOND, part_size=4096),),
        ),
        Scenario(
            name="changed without a trace, and a checksum",
            runs=(_NAMELESS, Fetch(object=THIRD, checksum=SHA256_OF_THIRD)),
            then=(Fetch(object=THIRD), Fetch(object=THIRD, checksum=SHA256_OF_THIRD)),
        ),
        Scenario(
            name="changed without a trace, on request",
            runs=(_NAMELESS, Fetch(object=THIRD, resume_unproven=True, checksum=SHA256_OF_THIRD)),
            then=(Fetch(object=THIRD), Fetch(object=THIRD, checksum=SHA256_OF_THIRD)),
        ),
        Scenario(
            name="changed, with a checksum",
            runs=(Fetch(object=FIRST, checksum=SHA256_OF_THIRD), Fetch(object=THIRD, checksum=SHA256_OF_THIRD)),
            then=(Fetch(object=THIRD), Fetch(object=THIRD, checksum=SHA256_OF_THIRD)),
        ),
        Scenario(name="changed after the crash", runs=(_REPLACING,), then=(_LATER,)),
        Scenario(
            name="changed twice",
            runs=(_REPLACING, replace(_REPLACING, object=SECOND)),
            then=(_LATER, _REPLACING),
            old=replace(OLD, mode=MODE),
        ),
    )
}
