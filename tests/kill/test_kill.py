"""Processes killed at random places of downloads, and others that go on with what is left; and the eyes that watch."""

from __future__ import annotations

from pathlib import Path

import pytest

from asyncdl.edge import hashing
from asyncdl.edge.opening import Names
from asyncdl.testing import Origin
from tests.kill.__main__ import summary
from tests.kill.campaign import HOW, KINDS, campaign
from tests.kill.doomed import Kill, Mutant
from tests.kill.evidence import WrongError, look
from tests.kill.lives import KIB, Life, Zygote

#: What pull requests are tested with; `nox -s crash` has more.
KILLS = 250
SEED = 20


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_killed_again_and_again(tmp_path: Path) -> None:
    """B27: other settings, URLs, hosts and ways to die in every life: the right bytes, and few of them twice."""
    tally = await campaign(tmp_path, kills=KILLS, seed=SEED)
    print(summary(tally))

    assert [] == tally.wrong
    assert tally.killed >= KILLS
    assert tally.resumed > KILLS // 2
    assert set(HOW) == set(tally.kills)
    assert set(KINDS) - set(tally.files) <= (set() if hashing.available("crc64nvme") else {"crc64nvme"})
    assert tally.fetched_again <= tally.bound


@pytest.mark.slow
@pytest.mark.parametrize(
    ("mutant", "words"), [("loses writes", "is claimed, and is not the object's"), ("claims nothing", "not claimed")]
)
async def test_what_is_wrong_is_seen(tmp_path: Path, mutant: Mutant, words: str) -> None:
    """A disk that loses writes, and a writer that claims nothing, do not get far; all that was drawn is told."""
    tally = await campaign(tmp_path, kills=60, seed=SEED, mutant=mutant)

    assert any(words in wrong and "kill=Kill(" in wrong for wrong in tally.wrong), tally.wrong


async def test_one_seed_one_story(tmp_path: Path) -> None:
    """What is drawn for the first life of a file follows from the seed."""
    from tests.kill.campaign import Servers, Story, Tally

    async with Servers.running() as servers, Zygote() as zygote:
        first, again, other = (
            Story(servers, zygote, Tally(seed=seed), tmp_path, 0)._drawn(allowed=True) for seed in (1, 1, 2)
        )

    assert (first.kill, first.connections, first.part_size) == (again.kill, again.connections, again.part_size)
    assert (first.kill, first.part_size, first.flush) != (other.kill, other.part_size, other.flush)


async def test_a_byte_is_a_byte(origin: Origin, tmp_path: Path) -> None:
    """The write that reaches the byte ends there: one more is not in the file."""
    content = origin.add("/object", 1024 * KIB)
    dest = tmp_path / "file"
    kill = Kill(how="byte", at=300_001)
    async with Zygote() as zygote:
        (end,) = await zygote.live(
            Life(url=origin.url("/object"), dest=str(dest), connections=1, preallocate=False, kill=kill)
        )

    assert end.killed
    assert not dest.exists()
    part = Names.of(dest).part.read_bytes()
    # A file without reserved space is as long as it was ever said to be, and zero where nobody wrote.
    assert content.read(0, 300_001) == part[:300_001]
    assert not any(part[300_001:])


async def test_evidence(origin: Origin, tmp_path: Path) -> None:
    """A claim that is not true is found, and a destination that is torn."""
    content = origin.add("/object", 1024 * KIB)
    dest = tmp_path / "file"
    async with Zygote() as zygote:
        await zygote.live(Life(url=origin.url("/object"), dest=str(dest), kill=Kill(how="byte", at=900_000)))
    found = look(dest, [content])
    with Names.of(dest).part.open("r+b") as part:
        part.write(b"\0" * 600_000)

    assert found.claimed > 0
    with pytest.raises(WrongError, match="claimed"):
        look(dest, [content])
    Names.of(dest).journal.unlink()
    dest.write_bytes(content.read(0, 1000))
    with pytest.raises(WrongError, match="destination"):
        look(dest, [content])
