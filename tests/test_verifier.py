"""Sums while the bytes come in: right in any order, and no byte is read back that need not be."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from asyncdl import verifier
from asyncdl.edge import hashing, sums
from asyncdl.edge.files import PartFile
from asyncdl.model import DIGEST_SIZES, Checksum, Chunk, Part
from asyncdl.rules.checksums import COMBINABLE
from asyncdl.rules.held import Held
from asyncdl.rules.parts import Coverage
from tests.support.leaks import Snapshot
from tests.support.verifying import CONTENT, Feed, checksum, chunk, held

SIZE = len(CONTENT)
STEP = SIZE // 16
STEPS = [(start, start + STEP) for start in range(0, SIZE, STEP)]
HASHES = sorted(DIGEST_SIZES.keys() - COMBINABLE)
every_algorithm = pytest.mark.parametrize("algorithm", sorted(DIGEST_SIZES))


@pytest.fixture(autouse=True)
def _small_steps(monkeypatch: pytest.MonkeyPatch, no_leaks: Snapshot) -> None:
    """Reads and visits so short that the content needs many; and nothing may be left behind."""
    monkeypatch.setattr(verifier, "PIECE", 5000)
    monkeypatch.setattr(sums, "BLOCK", 1999)


@every_algorithm
async def test_in_order(algorithm: str) -> None:
    """What comes in order is never read back."""
    feed = Feed(algorithm)
    for first, second in zip(STEPS[::2], STEPS[1::2], strict=True):
        await feed.put(first, second)

    assert feed.wanted == await feed.finish()
    assert [] == feed.file.reads


@every_algorithm
async def test_backwards(algorithm: str) -> None:
    """For a hash all but the first bytes are read back, each once; for a CRC none are."""
    feed = Feed(algorithm)
    for step in reversed(STEPS):
        await feed.put(step)

    assert feed.wanted == await feed.finish()
    assert (0 if algorithm in COMBINABLE else SIZE - STEP) == feed.file.read_bytes


@pytest.mark.parametrize("algorithm", HASHES)
async def test_read_behind(algorithm: str) -> None:
    """What came too early is read back as soon as what was missing has come, and the end has nothing left to read."""
    feed = Feed(algorithm)
    await feed.put(*STEPS[4:8])
    await feed.put(*STEPS[2:3])
    assert [] == feed.file.reads
    await feed.put(*STEPS[:2])
    await feed.idle()
    assert [Part(2 * STEP, 3 * STEP)] == Coverage(feed.file.reads).spans
    await feed.put(*STEPS[3:4])
    await feed.idle()
    await feed.put(*STEPS[8:])

    reads = feed.file.reads.copy()
    assert feed.wanted == await feed.finish()
    assert reads == feed.file.reads
    assert 5 * STEP == feed.file.read_bytes


@every_algorithm
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
@given(cuts=st.sets(st.integers(1, SIZE - 1), max_size=40), seed=st.integers(0, 1 << 32), batch=st.integers(1, 9))
def test_any_cutting_in_any_order(algorithm: str, cuts: set[int], seed: int, batch: int) -> None:
    """With claims between, with bytes that are forgotten and come again, and with a hash that reads behind."""
    spans, random = list(itertools.pairwise([0, *sorted(cuts), SIZE])), Random(seed)
    random.shuffle(spans)

    async def play() -> None:
        feed, claimed = Feed(algorithm), Coverage()
        while spans:
            await feed.put(*spans[:batch])
            done = spans[:batch]
            del spans[:batch]
            if random.random() < 0.3:
                for one in feed.verifier.claims():
                    # A span that was cut by forgotten bytes has none.
                    assert one.crc is None or held(one.start, one.stop, one.crc.algorithm) == one
                    claimed.add(one.start, one.stop)
            if random.random() < 0.2:
                again = random.choice(done)
                await feed.forget(Part(*again))
                claimed.remove(*again)
                spans.insert(random.randrange(len(spans) + 1), again)
        for one in feed.verifier.claims():
            claimed.add(one.start, one.stop)

        assert [Part(0, SIZE)] == claimed.spans
        assert feed.wanted == await feed.finish()
        assert [] == await feed.verifier.damaged(SIZE)
        await feed.verifier.aclose()

    asyncio.run(play())


@every_algorithm
async def test_nothing(algorithm: str) -> None:
    """An object without bytes has a checksum too, and an empty chunk changes none."""
    feed = Feed(algorithm, content=b"")
    await feed.put((0, 0))

    assert [] == feed.verifier.claims()
    assert feed.wanted == await feed.finish()


async def test_wrong_bytes() -> None:
    """The value is that of what came, not of what is wanted."""
    feed = Feed("sha256", content=bytes(100))
    feed.content = CONTENT[:100]
    await feed.put((50, 100), (0, 50))

    assert checksum("sha256", CONTENT[:100]) == await feed.finish()


async def test_nothing_wanted() -> None:
    """Spans are told, and no byte is added up or read."""
    feed = Feed(None, kept=[held(0, 100)])
    await feed.put((100, 200), (300, 400))
    await feed.put((200, 250))
    await feed.forget(Part(120, 130))

    assert [Held(100, 120), Held(130, 250), Held(300, 400)] == feed.verifier.claims()
    assert None is await feed.finish()
    assert [] == await feed.verifier.damaged(250)
    assert [] == feed.file.reads


async def test_gaps_have_no_checksum() -> None:
    """Whoever asks before everything is there is told so."""
    feed = Feed("sha256")
    await feed.put(*STEPS[1:])

    with pytest.raises(ValueError, match="not there"):
        await feed.finish()


async def test_loop_adds_nothing_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every sum is made in another thread than the loop's."""
    here, crc, new_hash = threading.current_thread(), hashing.crc, hashing.new_hash
    threads: set[threading.Thread] = set()

    def noted(algorithm: str, data: bytes | memoryview, value: int = 0) -> int:
        threads.add(threading.current_thread())
        return crc(algorithm, data, value)

    class Noted:
        def __init__(self, algorithm: str) -> None:
            self._hash = new_hash(algorithm)
            self.digest: Callable[[], bytes] = self._hash.digest

        def update(self, data: bytes | memoryview) -> None:
            threads.add(threading.current_thread())
            self._hash.update(data)

    monkeypatch.setattr(hashing, "crc", noted)
    monkeypatch.setattr(hashing, "new_hash", Noted)
    for algorithm in ("crc64nvme", "sha256"):
        feed = Feed(None)
        feed.verifier = verifier.Verifier(Checksum(algorithm, bytes(DIGEST_SIZES[algorithm])), feed.file.examine)
        for step in reversed(STEPS):
            await feed.put(step)
        await feed.finish()
        await feed.verifier.damaged(SIZE)

    assert threads
    assert here not in threads


async def test_summing_where_it_is_written() -> None:
    """The thread that writes chunks may add them up on its way; the result is the same."""
    feed = Feed("sha256")

    def write(work: Callable[[], None], chunks: list[Chunk]) -> None:
        work()
        feed.file.write(chunks)

    for step in reversed(STEPS):
        chunks = [feed.chunk(*step)]
        await asyncio.to_thread(write, feed.verifier.summing(chunks), chunks)
        feed.coverage.add(*step)
        feed.verifier.written(feed.coverage)

    assert feed.wanted == await feed.finish()


@every_algorithm
async def test_what_will_be_read(algorithm: str) -> None:
    """Who frees memory of what is on the disk knows from where on a hash may ask for it; a CRC asks for nothing."""
    feed = Feed(algorithm)
    is_hash = algorithm not in COMBINABLE
    before = feed.verifier.reads_from
    await feed.put((0, 10), (20, 30))

    assert (0 if is_hash else None) == before
    assert (10 if is_hash else None) == feed.verifier.reads_from


@every_algorithm
async def test_on_a_disk(algorithm: str, tmp_path: Path) -> None:
    """With a file instead of a memory that passes for one."""
    file = await PartFile.create(tmp_path / "file", if_exists="skip")
    on_disk, coverage = verifier.Verifier(checksum(algorithm, CONTENT), file.examine), Coverage()
    for step in reversed(STEPS):
        chunks = [chunk(*step)]
        await asyncio.gather(file.write(chunks), on_disk.take(chunks))
        coverage.add(*step)
        on_disk.written(coverage)

    assert checksum(algorithm, CONTENT) == await on_disk.finish(SIZE, coverage)
    assert [] == await on_disk.damaged(SIZE)
    await on_disk.aclose()
    await file.abandon()
