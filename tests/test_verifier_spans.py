"""What a verifier knows of spans: claims, what an earlier download left, what comes anew, what is damaged."""

from __future__ import annotations

import asyncio

import pytest

from asyncdl import verifier
from asyncdl.edge import hashing, sums
from asyncdl.model import DIGEST_SIZES, Part
from asyncdl.rules.checksums import COMBINABLE
from asyncdl.rules.held import Held
from asyncdl.rules.parts import Coverage
from tests.support.job import turns
from tests.support.leaks import Snapshot
from tests.support.verifying import CONTENT, Feed, held

SIZE = len(CONTENT)
STEP = SIZE // 16
STEPS = [(start, start + STEP) for start in range(0, SIZE, STEP)]
every_algorithm = pytest.mark.parametrize("algorithm", sorted(DIGEST_SIZES))
every_crc = pytest.mark.parametrize("algorithm", sorted(COMBINABLE))


@pytest.fixture(autouse=True)
def _small_steps(monkeypatch: pytest.MonkeyPatch, no_leaks: Snapshot) -> None:
    """Reads and visits so short that the content needs many; and nothing may be left behind."""
    monkeypatch.setattr(verifier, "PIECE", 5000)
    monkeypatch.setattr(sums, "BLOCK", 1999)


class TestClaims:
    """What is said of the spans taken."""

    @every_crc
    async def test_windows(self, algorithm: str) -> None:
        """Each span is told once, joined with its neighbours of the same window, with the CRC wanted."""
        feed = Feed(algorithm)
        await feed.put((0, 10), (100, 110), (50, 60))
        await feed.put((10, 20), (40, 50))
        first = feed.verifier.claims()
        await feed.put((20, 40), (110, 120))

        assert [held(0, 20, algorithm), held(40, 60, algorithm), held(100, 110, algorithm)] == first
        assert [held(20, 40, algorithm), held(110, 120, algorithm)] == feed.verifier.claims()
        assert [] == feed.verifier.claims()

    async def test_crc_beside_a_hash(self) -> None:
        """Where the library for it is there, each span has the CRC that costs the least."""
        feed = Feed("sha256")
        await feed.put((0, 10))

        assert [held(0, 10, "crc32c")] == feed.verifier.claims()

    async def test_no_library(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Without it there is no CRC, and nothing can be said to be damaged."""
        monkeypatch.setattr(hashing, "best_crc", lambda: None)
        feed = Feed("sha256")
        await feed.put((20, SIZE), (0, 10))
        await feed.put((10, 20))
        feed.file.data[5] ^= 1

        assert [Held(0, SIZE)] == feed.verifier.claims()
        assert [] == await feed.verifier.damaged(SIZE)

    async def test_end_takes_no_claim_away(self) -> None:
        """What was not claimed before the checksum was asked for can be claimed afterwards."""
        feed = Feed("crc32")
        await feed.put((0, SIZE))
        await feed.finish()

        assert [held(0, SIZE, "crc32")] == feed.verifier.claims()

    async def test_forgotten_bytes(self) -> None:
        """They are not claimed; what is left of their span is, without a CRC."""
        feed = Feed("crc32")
        await feed.put((0, 100), (200, 300))
        await feed.forget(Part(40, 60), Part(150, 200))

        assert [Held(0, 40), Held(60, 100), held(200, 300, "crc32")] == feed.verifier.claims()


class TestResume:
    """Bytes that an earlier download left."""

    @every_crc
    async def test_known_crc(self, algorithm: str) -> None:
        """What an earlier download left is read, once: its CRC is of what came then, not of what is there now."""
        kept = [held(0, 10_000, algorithm), Held(20_000, 25_000), held(25_000, 26_000, algorithm)]
        feed = Feed(algorithm, kept=kept)
        await feed.put((10_000, 20_000), (26_000, SIZE))

        assert feed.wanted == await feed.finish()
        assert [Part(0, 10_000), Part(20_000, 26_000)] == Coverage(feed.file.reads).spans
        assert 16_000 == feed.file.read_bytes

    async def test_another_crc(self) -> None:
        """A CRC that is not the one wanted is of no use."""
        feed = Feed("crc32", kept=[held(0, 10_000, "crc32c")])
        await feed.put((10_000, SIZE))

        assert feed.wanted == await feed.finish()
        assert 10_000 == feed.file.read_bytes

    async def test_hash_reads_what_is_kept_meanwhile(self) -> None:
        """It begins before any chunk comes, and the end finds it done."""
        feed = Feed("sha256", kept=[Held(0, 30_000)])
        feed.verifier.written(feed.coverage)
        await feed.idle()
        assert [Part(0, 30_000)] == Coverage(feed.file.reads).spans
        await feed.put((30_000, SIZE))

        assert feed.wanted == await feed.finish()
        assert 30_000 == feed.file.read_bytes

    async def test_all_is_there(self) -> None:
        """Nothing is fetched, and everything is verified."""
        for algorithm in DIGEST_SIZES:
            feed = Feed(algorithm, kept=[Held(0, SIZE)])
            assert feed.wanted == await feed.finish()
            assert SIZE == feed.file.read_bytes

    async def test_damaged_since(self) -> None:
        """What the disk has changed in between shows by the CRC that the journal had."""
        feed = Feed("sha256", kept=[held(0, 1000), Held(1000, 2000), held(2000, 3000)])
        feed.file.data[2500] ^= 4
        await feed.put((3000, SIZE))

        assert feed.wanted != await feed.finish()
        assert [Part(2000, 3000)] == await feed.verifier.damaged(SIZE)


class TestRewriting:
    """Bytes that come a second time."""

    @every_algorithm
    async def test_from_the_beginning(self, algorithm: str) -> None:
        """A stream that starts again brings other bytes: nothing of the first ones is left in any sum."""
        feed = Feed(algorithm)
        feed.content = bytes(SIZE)
        await feed.put((0, 30_000))
        feed.content = CONTENT
        await feed.forget(Part(0, 30_000))
        await feed.put((0, 40_000))
        await feed.put((40_000, SIZE))

        assert feed.wanted == await feed.finish()
        assert [] == feed.file.reads

    @every_algorithm
    async def test_what_follows_the_hash(self, algorithm: str) -> None:
        """Bytes that the hash has not come to can be written anew without it beginning again."""
        feed = Feed(algorithm)
        await feed.put((0, 10_000), (20_000, 30_000))
        await feed.forget(Part(25_000, 30_000), Part(7, 7))
        await feed.put((25_000, SIZE), (10_000, 20_000))

        assert feed.wanted == await feed.finish()
        if algorithm in COMBINABLE:
            assert [Part(20_000, 25_000)] == Coverage(feed.file.reads).spans
        else:
            assert 10_000 <= min(feed.file.reads).start

    async def test_while_it_is_read(self) -> None:
        """Nobody reads the forgotten bytes when `forget` is done, also where somebody was about to."""
        feed = Feed("sha256")
        feed.file.go.clear()
        await feed.put((10_000, SIZE))
        await feed.put((0, 10_000))
        assert await asyncio.to_thread(feed.file.begun.wait, 60)
        forgetting = asyncio.create_task(feed.forget(Part(12_000, SIZE)))
        await asyncio.sleep(0.02)
        assert not forgetting.done()
        feed.file.go.set()
        await forgetting

        assert 0 == feed.file.inside
        assert 15_000 == max(feed.file.reads).stop
        await feed.put((12_000, SIZE))
        assert feed.wanted == await feed.finish()

    async def test_waits_for_one_visit(self) -> None:
        """`forget` does not wait until everything else has been read back."""
        feed = Feed("sha256")
        feed.file.go.clear()
        await feed.put((10_000, SIZE))
        await feed.put((0, 10_000))
        assert await asyncio.to_thread(feed.file.begun.wait, 60)
        forgetting = asyncio.create_task(feed.forget(Part(60_000, SIZE)))
        await turns()
        feed.file.go.set()
        await forgetting

        assert 15_000 == max(feed.file.reads).stop
        await feed.put((60_000, SIZE))
        assert feed.wanted == await feed.finish()
        assert 10_000 == min(feed.file.reads).start

    async def test_object_is_shorter(self) -> None:
        """What was taken beyond its end does not count."""
        feed = Feed("sha256", content=CONTENT[:1000])
        feed.content = CONTENT
        await feed.put((0, 2000))

        assert feed.wanted == await feed.verifier.finish(1000, feed.coverage)


class TestDamaged:
    """Which spans are not what came in."""

    @every_algorithm
    async def test_exactly_the_spans_that_changed(self, algorithm: str) -> None:
        """Claimed, not yet claimed, and on the edges; everything is read, once."""
        feed = Feed(algorithm)
        for step in STEPS[:-1]:
            await feed.put(step)
            feed.verifier.claims()
        await feed.put(STEPS[-1])
        assert feed.wanted == await feed.finish()
        feed.file.reads.clear()
        for place in (3 * STEP, 7 * STEP - 1, SIZE - 1):
            feed.file.data[place] ^= 0x80

        assert [Part(*STEPS[3]), Part(*STEPS[6]), Part(*STEPS[15])] == await feed.verifier.damaged(SIZE)
        assert SIZE == feed.file.read_bytes

    @every_algorithm
    async def test_fetched_again(self, algorithm: str) -> None:
        """After the damaged span has come again everything is right."""
        feed = Feed(algorithm)
        await feed.put((STEP, SIZE))
        feed.verifier.claims()
        feed.file.data[STEP + 5] ^= 1
        await feed.put((0, STEP))
        before = await feed.finish()
        wrong = await feed.verifier.damaged(SIZE)
        await feed.forget(*wrong)
        await feed.put(*wrong)

        # A CRC is of what came in, and that was right.
        assert (algorithm in COMBINABLE) == (feed.wanted == before)
        assert [Part(STEP, SIZE)] == wrong
        assert feed.wanted == await feed.finish()
        assert [] == await feed.verifier.damaged(SIZE)

    async def test_forgotten(self) -> None:
        """What is to be written anew is not looked at."""
        feed = Feed("crc32", kept=[held(0, 100, "crc32"), held(100, 200, "crc32")])
        feed.file.data[50] ^= 1
        await feed.forget(Part(0, 100))

        assert [] == await feed.verifier.damaged(200)
        assert [Part(100, 200)] == feed.file.reads

    async def test_size_first(self) -> None:
        """What lies beyond the end of the object is cut off anyway."""
        feed = Feed("crc32")
        await feed.put((0, 100), (200, 300))
        feed.file.data[250] ^= 1

        assert [] == await feed.verifier.damaged(250)
