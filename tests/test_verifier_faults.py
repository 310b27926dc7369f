"""A verifier whose disk fails, whose library is missing, and that is cancelled wherever it waits."""

from __future__ import annotations

import asyncio
import errno
import threading
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest

from asyncdl import verifier
from asyncdl.edge import hashing, sums
from asyncdl.errors import OptionsError, StorageError
from asyncdl.model import Part
from asyncdl.rules.held import Held
from tests.support.job import turns
from tests.support.leaks import Snapshot
from tests.support.verifying import CONTENT, Feed, held

SIZE = len(CONTENT)
#: Seconds after which a test has failed.
BOUND = 60.0
EIO = OSError(errno.EIO, "Input/output error")


@pytest.fixture(autouse=True)
def _small_steps(monkeypatch: pytest.MonkeyPatch, no_leaks: Snapshot) -> None:
    """Reads and visits so short that the content needs many; and nothing may be left behind."""
    monkeypatch.setattr(verifier, "PIECE", 5000)
    monkeypatch.setattr(sums, "BLOCK", 1999)


class SlowSums:
    """Makes every CRC wait until it is let go, once `go` has been cleared."""

    def __init__(self) -> None:
        self.begun, self.go = threading.Event(), threading.Event()
        self.go.set()
        self.inside = 0
        self._crc = hashing.crc

    def __call__(self, algorithm: str, data: bytes | memoryview, value: int = 0) -> int:
        self.inside += 1
        self.begun.set()
        assert self.go.wait(BOUND)
        result = self._crc(algorithm, data, value)
        self.inside -= 1
        return result


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Iterator[SlowSums]:
    """Sums that can be made slow; let go when the test ends."""
    slowed = SlowSums()
    monkeypatch.setattr(hashing, "crc", slowed)
    yield slowed
    slowed.go.set()


async def behind(feed: Feed) -> None:
    """Let the hash begin to read back, and stop it in its first read."""
    feed.file.go.clear()
    await feed.put((10_000, 30_000))
    await feed.put((0, 10_000))
    assert await asyncio.to_thread(feed.file.begun.wait, BOUND)


class TestFaults:
    """The disk refuses."""

    async def test_in_the_background(self) -> None:
        """Whatever is called next says so, again and again; nobody reads on."""
        feed = Feed("sha256")
        feed.file.fail_once = EIO
        await feed.put((10_000, 30_000))
        await feed.put((0, 10_000))
        await feed.idle()
        feed.verifier.written(feed.coverage)
        await feed.idle()

        for call in (lambda: feed.put((30_000, SIZE)), lambda: feed.put((30_000, SIZE)), feed.finish):
            with pytest.raises(StorageError) as caught:
                await call()
            assert EIO is caught.value.__cause__
        assert [] == feed.file.reads

    async def test_in_the_background_at_the_end(self) -> None:
        """Also where the fault comes while the end is waiting for the background."""
        feed = Feed("sha256")
        await behind(feed)
        await feed.put((30_000, SIZE))
        finishing = asyncio.create_task(feed.finish())
        await turns()
        feed.file.fail_once = EIO
        feed.file.go.set()

        with pytest.raises(StorageError):
            await finishing

    @pytest.mark.parametrize("algorithm", ["sha256", "crc32"])
    async def test_at_the_end(self, algorithm: str) -> None:
        """What cannot be read has no checksum; where it can be read later, it has one."""
        feed = Feed(algorithm, kept=[Held(0, 30_000)])
        await feed.put((30_000, SIZE))
        await feed.idle()
        await feed.forget(Part(0, 1))
        feed.coverage.add(0, 1)
        feed.file.fail = EIO
        with pytest.raises(StorageError):
            await feed.finish()
        feed.file.fail = None

        assert feed.wanted == await feed.finish()

    async def test_damaged(self) -> None:
        """A disk that cannot be read is no reason to fetch again."""
        feed = Feed("crc32")
        await feed.put((0, SIZE))
        feed.file.fail = EIO

        with pytest.raises(StorageError):
            await feed.verifier.damaged(SIZE)

    async def test_file_was_cut(self) -> None:
        """Somebody made the file shorter."""
        feed = Feed("sha256", kept=[Held(0, SIZE)])
        del feed.file.data[SIZE - 1 :]

        with pytest.raises(StorageError):
            await feed.finish()

    async def test_a_bug_is_not_lost(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Anything that goes wrong in the background is raised in the end."""
        feed = Feed("sha256")
        monkeypatch.setattr(sums.RunningHash, "read_on", lambda *_: 1 // 0)
        await feed.put((10_000, SIZE))
        await feed.put((0, 10_000))
        await feed.idle()

        with pytest.raises(ZeroDivisionError):
            await feed.finish()

    @pytest.mark.parametrize("algorithm", ["crc32c", "crc64nvme"])
    async def test_no_library(self, algorithm: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """What cannot be added up is said before any byte is believed."""
        feed = Feed(algorithm)
        monkeypatch.setattr(hashing, "_awscrt", lambda _: None)

        with pytest.raises(OptionsError, match="needs awscrt"):
            await feed.put((0, 10))

    async def test_library_that_cannot_be_read(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A disk fault while it is loaded early is left to the write that needs it, which says what it is of."""

        def fail() -> None:
            raise EIO

        feed = Feed("sha256")
        monkeypatch.setattr(hashing, "best_crc", fail)
        await feed.verifier.load()

        with pytest.raises(OSError, match="Input/output error"):
            await feed.put((0, 10))


class TestCancellation:
    """Somebody loses patience."""

    async def test_take(self, slow: SlowSums) -> None:
        """No thread looks at a chunk any more when `take` has ended."""
        feed = Feed("crc32")
        slow.begun.clear()
        slow.go.clear()
        taking = asyncio.create_task(feed.put((0, 1000), (1000, 2000)))
        assert await asyncio.to_thread(slow.begun.wait, BOUND)
        taking.cancel()
        await turns()
        assert not taking.done()
        slow.go.set()
        with pytest.raises(asyncio.CancelledError):
            await taking

        assert 0 == slow.inside

    @pytest.mark.parametrize(
        ("algorithm", "call"),
        [
            ("sha256", lambda feed: feed.finish()),
            ("crc32", lambda feed: feed.finish()),
            ("sha256", lambda feed: feed.verifier.damaged(SIZE)),
        ],
    )
    async def test_at_the_end(self, algorithm: str, call: Callable[[Feed], Coroutine[Any, Any, object]]) -> None:
        """No thread reads any more when it has ended; it can be called again."""
        feed = Feed(algorithm, kept=[Held(0, 10_000), held(10_000, SIZE)])
        feed.file.go.clear()
        task = asyncio.create_task(call(feed))
        assert await asyncio.to_thread(feed.file.begun.wait, BOUND)
        task.cancel()
        await turns()
        assert not task.done()
        feed.file.go.set()
        with pytest.raises(asyncio.CancelledError):
            await task

        assert 0 == feed.file.inside
        assert feed.wanted == await feed.finish()
        assert [] == await feed.verifier.damaged(SIZE)

    @pytest.mark.parametrize("call", [lambda feed: feed.finish(), lambda feed: feed.forget(Part(40_000, 40_001))])
    async def test_waiting_for_the_background(self, call: Callable[[Feed], Coroutine[Any, Any, object]]) -> None:
        """The background goes on, and ends when the verifier is closed."""
        feed = Feed("sha256")
        await behind(feed)
        await feed.put((30_000, SIZE))
        task = asyncio.create_task(call(feed))
        await turns()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert 1 == feed.file.inside
        feed.file.go.set()
        await feed.verifier.aclose()

        assert 0 == feed.file.inside

    async def test_closing(self) -> None:
        """The background is called off, and waited for until its thread has ended."""
        feed = Feed("sha256")
        await behind(feed)
        closing = asyncio.create_task(feed.verifier.aclose())
        await turns()
        assert not closing.done()
        feed.file.go.set()
        await closing

        assert 0 == feed.file.inside
        assert 5000 >= feed.file.read_bytes
        await feed.verifier.aclose()

    async def test_closing_is_cancelled(self) -> None:
        """However often: it does not end before the thread, and then it was cancelled."""
        feed = Feed("sha256")
        await behind(feed)
        closing = asyncio.create_task(feed.verifier.aclose())
        for _ in range(3):
            await turns()
            closing.cancel()
        await turns()
        assert not closing.done()
        feed.file.go.set()
        with pytest.raises(asyncio.CancelledError):
            await closing

        assert 0 == feed.file.inside

    @pytest.mark.parametrize("algorithm", ["sha256", "crc32", "md5"])
    async def test_at_any_moment(self, algorithm: str) -> None:
        """Wherever a whole download is cancelled, closing leaves no thread at work and no task."""
        ended = False
        for moment in range(0, 400, 3):
            feed = Feed(algorithm, kept=[Held(0, 5000), held(5000, 9000)])
            task = asyncio.create_task(_download(feed))
            await turns(moment)
            ended = ended or task.done()
            task.cancel()
            await asyncio.wait({task})
            await feed.verifier.aclose()

            assert 0 == feed.file.inside
            assert {asyncio.current_task()} == asyncio.all_tasks()


async def _download(feed: Feed) -> None:
    feed.verifier.written(feed.coverage)
    await feed.put((20_000, 40_000))
    await feed.put((9000, 20_000))
    await feed.forget(Part(7000, 12_000))
    await feed.put((7000, 12_000), (40_000, SIZE))
    await feed.finish()
    await feed.verifier.damaged(SIZE)
