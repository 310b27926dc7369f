"""Two processes at one destination, where locks work, where everybody gets them, and where there are none."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pytest

import asyncdl
from asyncdl.edge.opening import Names
from asyncdl.testing import Content, Origin
from tests.kill.doomed import Kill, Locks
from tests.kill.evidence import look
from tests.kill.lives import KIB, End, Life, Zygote

SIZE = 1024 * KIB + 3
#: Seconds between signs of life, and as many as a loaded machine may be late by.
_BEAT = 0.1
_WELL = {"downloaded", "skipped"}
_TYPED = {
    kind.code
    for kind in vars(asyncdl.errors).values()
    if isinstance(kind, type) and issubclass(kind, asyncdl.AsyncdlError)
}


def _pair(rng: random.Random, origin: Origin, later: Origin, dest: Path, locks: Locks, *, small: bool) -> list[Life]:
    """Two lives, the second of which begins anywhere in the first; some are killed, some are of a later version.

    Args:
        small: whether the object is gathered in memory.
    """
    return [
        Life(
            url=(later if number and rng.random() < 0.3 else origin).presign("/object", ttl=600),
            dest=str(dest),
            connections=rng.choice([1, 2, 4]),
            part_size=2048 * KIB if small else rng.choice([16, 64]) * KIB,
            chunk_size=(2048 if small else 16) * KIB,
            flush=rng.choice([32, 128]) * KIB,
            preallocate=rng.random() < 0.5,
            locks=locks,
            beat=_BEAT,
            kill=Kill(how="byte", at=rng.randrange(1, SIZE)) if rng.random() < 0.2 else None,
            after=after,
        )
        for number, after in enumerate((0, rng.choice([0, rng.randrange(SIZE), SIZE])))
    ]


def _judged(ends: list[End], dest: Path, contents: list[Content]) -> str:
    """What came of a pair, in a few words; fails the test where it should not have."""
    look(dest, contents)
    for end in ends:
        assert end.killed or end.outcome in _WELL | _TYPED, ends
    said = [str("killed" if end.killed else end.outcome) for end in ends]
    assert dest.exists() or not _WELL & set(said), ends
    return " and ".join(said)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("small", [False, True], ids=["large", "small"])
@pytest.mark.parametrize(("locks", "pairs"), [("real", 15), ("lying", 50), ("none", 20)])
async def test_pairs(tmp_path: Path, locks: Locks, pairs: int, small: bool) -> None:
    """B15, B17: whatever the locks are worth, no file is ever wrong, no failure without its type, the next run good."""
    rng = random.Random(f"{locks} 3")
    seen: Counter[str] = Counter()
    async with Origin() as origin, Origin(host="127.0.0.2", seed=2) as later, Zygote() as zygote:
        contents = [host.add("/object", SIZE) for host in (origin, later)]
        for number in range(pairs):
            dest = tmp_path / str(number)
            ends = await zygote.live(*_pair(rng, origin, later, dest, locks, small=small))
            seen[_judged(ends, dest, contents)] += 1
            (last,) = await zygote.live(Life(url=origin.url("/object"), dest=str(dest), locks=locks, beat=_BEAT))

            assert last.outcome in _WELL, (ends, last)
            assert any(content.first_difference(dest) is None for content in contents), ends
            # Who came second to a file that is complete by now leaves what he has: it may be another version.
            names = Names.of(dest)
            assert set(tmp_path.iterdir()) <= {dest, names.part, names.journal}, ends
            for path in tmp_path.iterdir():
                path.unlink()
    print(locks, dict(seen))

    if locks == "real" and not small:
        assert any("destination-busy" in said for said in seen)
    assert any("downloaded" in said for said in seen)
