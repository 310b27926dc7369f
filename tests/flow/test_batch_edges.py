"""Batches at their edges: rows that break, rows that must not wait, whoever leaves in a hurry, what is kept after."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import asyncdl
from asyncdl.edge.buffers import BufferPool
from asyncdl.model import Chunk, Phase
from asyncdl.testing import Fault, Origin
from tests.flow.test_batch import BOUND, LARGE, downloader, every, into, is_more_of_a_large_one, rows, stock
from tests.support.flow import PART, small

pytestmark = pytest.mark.usefixtures("no_leaks")


async def test_rows_that_are_cancelled(tmp_path: Path) -> None:
    """Rows that wait for something cancelled are no rows that end: the batch says so, after what was begun."""
    async with Origin() as origin, downloader() as many:
        stock(origin, 5)

        async def listing() -> AsyncIterator[asyncdl.Request]:
            for row in rows(origin, tmp_path, 3):
                yield row
            page = asyncio.get_running_loop().create_future()
            page.cancel()
            await page

        results: list[asyncdl.Result] = []
        with pytest.raises(asyncdl.SourceError, match="rows of the batch were cancelled"):
            await into(results, many.run(listing()))
    assert 3 == len(results)


async def test_rows_that_break_before_the_deadline(tmp_path: Path) -> None:
    """When rows are broken and time is over too, the deadline's error has the other one as its cause."""
    async with Origin(rate=1000.0) as origin, downloader(files=4) as many:
        stock(origin, 6, LARGE, "large")

        def broken() -> Iterator[asyncdl.Request]:
            for number, row in enumerate(rows(origin, tmp_path, 6, "large")):  # of which two have to wait
                yield replace(row, size=LARGE + number)
            raise LookupError("no more of these")

        with pytest.raises(asyncdl.DeadlineError, match="the batch is not complete") as caught:
            await into([], many.run(broken(), total=2.0))
    assert "LookupError('no more of these')" == repr(caught.value.__cause__)


async def test_no_row_waits_for_its_turn(tmp_path: Path) -> None:
    """A row, in which there may be a URL that does not live for long, is taken when its file can be begun."""
    ended, ahead = 0, []

    def note(_: asyncdl.Request, progress: asyncdl.Progress) -> None:
        nonlocal ended
        ended += progress.phase is Phase.FINISHED

    async with Origin() as origin, downloader(files=2, on_progress=note) as many:
        stock(origin, 8)

        def listing() -> Iterator[asyncdl.Request]:
            for number, row in enumerate(rows(origin, tmp_path, 8)):
                ahead.append(number - ended)
                yield row

        await every(many.run(listing()))
    assert 8 == ended == len(ahead)
    assert max(ahead) <= 1


async def test_cancelled_twice(tmp_path: Path) -> None:
    """Whoever is cancelled again while leaving still waits for the files, and leaves no task."""
    async with Origin(rate=10_000.0) as origin:
        stock(origin, 4, LARGE, "large")

        async def work() -> None:
            async with downloader() as many:
                await every(many.run(rows(origin, tmp_path, 4, "large")))

        before = asyncio.all_tasks()
        task = asyncio.create_task(work())
        await origin.ledger.until(lambda: len(origin.ledger.requests) >= 4)
        for _ in range(3):
            task.cancel()
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        await asyncio.wait({task})
        left = [each for each in asyncio.all_tasks() - before if "Batch" in repr(each) or "Guard" in repr(each)]

    assert task.cancelled()
    assert [] == left


async def test_cancelled_twice_while_rows_hold_on(tmp_path: Path) -> None:
    """Rows that take for ever to end are ended by the second cancellation."""
    async with Origin() as origin:
        stock(origin, 1)
        holding = asyncio.Event()

        async def listing() -> AsyncIterator[asyncdl.Request]:
            yield rows(origin, tmp_path, 1)[0]
            try:
                await asyncio.Event().wait()
            finally:
                holding.set()
                await asyncio.Event().wait()

        async def work() -> None:
            async with downloader() as many:
                await every(many.run(listing()))

        task = asyncio.create_task(work())
        await origin.ledger.until(lambda: len(origin.ledger.requests) >= 1)
        task.cancel()
        await asyncio.wait_for(holding.wait(), BOUND)
        task.cancel()
        await asyncio.wait({task}, timeout=BOUND)
        assert task.cancelled()


async def test_batches_that_ended_are_forgotten(tmp_path: Path) -> None:
    """A Downloader that lives for long does not keep the batches it once ran."""
    async with Origin() as origin, downloader() as many:
        stock(origin, 1)
        for number in range(5):
            await every(many.run([asyncdl.Request(origin.url("/small-0"), tmp_path / str(number))]))

        assert len(many._batches) <= 1


async def test_no_batch_after_the_end() -> None:
    """Whoever has left a Downloader is told so, and not by each file."""
    async with downloader() as many:
        pass
    with pytest.raises(asyncdl.OptionsError, match="async with"):
        many.run([])


async def test_a_callback_that_is_cancelled_costs_no_result(tmp_path: Path) -> None:
    """What a stranger's callback raises as cancelled, though nobody cancelled, is a result that failed."""

    def note(_: asyncdl.Request, __: asyncdl.Progress) -> None:
        raise asyncio.CancelledError

    async with Origin() as origin, downloader(on_progress=note) as many:
        stock(origin, 3)
        results = await every(many.run(rows(origin, tmp_path, 3)))
    assert [asyncdl.Outcome.FAILED] * 3 == [result.outcome for result in results]


@pytest.mark.parametrize("fault", ["checksum", "connection"])
async def test_errors_keep_no_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str) -> None:
    """Whoever keeps the results of files that failed does not keep what had come of those files."""
    gc.collect()
    others = [each for each in gc.get_objects() if isinstance(each, Chunk)]  # of other tests in this process
    pools: list[BufferPool] = []
    made = BufferPool.__init__

    def note(pool: BufferPool, chunk_size: int, connections: int) -> None:
        made(pool, chunk_size, connections)
        pools.append(pool)

    monkeypatch.setattr(BufferPool, "__init__", note)
    wrong = asyncdl.Checksum.parse("sha256:" + "0" * 64) if fault == "checksum" else None
    retry = asyncdl.Retry(attempts=1, budget=0)
    options = asyncdl.Options(use_environment=False)
    async with Origin() as origin, downloader(files=1, retry=retry, options=options) as many:
        stock(origin, 12, 300_000)
        if fault == "connection":
            origin.script(Fault(when=lambda _: True, drop_after=200_000))
        results = await every(many.run(rows(origin, tmp_path, 12, checksum=wrong)))
    gc.collect()

    assert [asyncdl.Outcome.FAILED] * 12 == [result.outcome for result in results]
    kept = [each for each in gc.get_objects() if isinstance(each, Chunk) and each.data]
    assert [] == [each for each in kept if not any(each is other for other in others)]
    # One for the file that is at work, and one that is still on its way back.
    assert [True] == [1 <= len(pool._free) <= 2 for pool in pools]


async def test_others_do_not_feed_one_that_gets_nowhere(tmp_path: Path) -> None:
    """A file that is always told to come back ends after the budget, however many others are served meanwhile."""
    retry = asyncdl.Retry(attempts=5, base=0.04, cap=0.2, budget=20)
    async with Origin() as origin, downloader(retry=retry) as many:
        stock(origin, 1)
        stock(origin, 1, name="never")
        origin.script(Fault(when=lambda record: record.path == "/never-0", status=503))

        def listing() -> Iterator[asyncdl.Request]:
            yield from rows(origin, tmp_path, 1, "never")
            for number in range(1000):
                yield asyncdl.Request(origin.url("/small-0"), tmp_path / str(number))

        batch = many.run(listing())
        async with asyncio.timeout(BOUND):
            async for result in batch:
                if result.error:
                    break
        assert result.path == tmp_path / "never-0"
        assert result.requests <= 1 + 20
        await batch.aclose()


@pytest.mark.parametrize("sized", [False, True], ids=["sizes unknown", "sizes known"])
async def test_small_ones_find_a_connection(tmp_path: Path, sized: bool) -> None:
    """Small files do not wait for the parts of large ones, which do not end, over all connections there are."""
    async with Origin() as origin, downloader(files=8, options=small(8)) as many:
        origin.script(Fault(when=is_more_of_a_large_one, gate=asyncio.Event()))
        stock(origin, 7, 40 * PART, "large")
        stock(origin, 8, 200)
        requests = origin.ledger.requests

        def held() -> int:
            return sum(is_more_of_a_large_one(record) and record.finished is None for record in requests)

        # All that there are for parts: two of eight are kept.
        full = asyncio.create_task(origin.ledger.until(lambda: held() >= 6))

        async def listing() -> AsyncIterator[asyncdl.Request]:
            for number, row in enumerate(rows(origin, tmp_path, 6, "large")):
                yield replace(row, size=40 * PART + number) if sized else row
            await full
            for row in rows(origin, tmp_path, 8):
                yield row

        batch = many.run(listing())
        async with asyncio.timeout(BOUND):
            results = [await anext(batch) for _ in range(8)]
        await batch.aclose()
    assert {"small"} == {result.path.name.split("-")[0] for result in results}


async def test_a_host_at_rest_keeps_no_places(tmp_path: Path) -> None:
    """More files than there are places wait for a host that asked for peace, for long: those of another host go on."""
    (tmp_path / "busy").mkdir()
    async with Origin(host="127.0.0.2") as busy, Origin(host="127.0.0.3") as idle, downloader() as many:
        stock(busy, 12)
        stock(idle, 12)
        busy.script(Fault(times=1, status=429, headers={"Retry-After": "600"}))
        mixed = [
            row
            for pair in zip(rows(busy, tmp_path / "busy", 12), rows(idle, tmp_path, 12), strict=True)
            for row in pair
        ]
        batch, paths = many.run(mixed), list[Path]()
        async with asyncio.timeout(BOUND):
            while sum(path.parent == tmp_path for path in paths) < 12:
                paths.append((await anext(batch)).path)
        await batch.aclose()
    assert 12 <= len(paths) == batch.summary.downloaded < 24


async def test_those_who_return_wait_for_a_place(tmp_path: Path) -> None:
    """Many that waited for a host come back together: no more than there are places are at work, and none is lost."""
    taken = 0
    async with Origin(latency=0.01) as origin, downloader(files=2) as many:
        stock(origin, 1)
        origin.script(Fault(times=1, status=429, headers={"Retry-After": "1"}))

        def listing() -> Iterator[asyncdl.Request]:
            nonlocal taken
            for number in range(200):
                taken += 1
                yield asyncdl.Request(origin.url("/small-0"), tmp_path / str(number))

        batch = many.run(listing())
        first = await anext(batch)
        assert 2 < taken <= 64 + 2 + 2
        rest = await every(batch)
        assert origin.ledger.max_in_flight() <= 2
    assert 200 == len({first.path, *(result.path for result in rest)}) == batch.summary.downloaded


async def test_leaving_while_a_host_is_at_rest(tmp_path: Path) -> None:
    """Whoever leaves while files wait for a host, or for a place after that, leaves nothing behind."""
    async with Origin() as origin, downloader(files=2) as many:
        stock(origin, 8)
        origin.script(Fault(when=lambda _: True, status=429, headers={"Retry-After": "60"}))
        results = await every(many.run(rows(origin, tmp_path, 8), total=2.0))
        other = asyncio.create_task(every(many.run(rows(origin, tmp_path, 8))))
        await asyncio.sleep(0.1)  # time in which all of them begin to wait
        other.cancel()
        await asyncio.wait({other})
    assert [asyncdl.DeadlineError] * 8 == [type(result.error) for result in results]
    assert [] == await asyncio.to_thread(lambda: list(tmp_path.iterdir()))


@pytest.mark.parametrize("sized", [False, True], ids=["sizes unknown", "sizes known"])
async def test_large_ones_have_every_place_where_there_are_no_others(tmp_path: Path, sized: bool) -> None:
    """The places for files that are not large are not kept once all rows are known, and none of them is small."""
    async with Origin(rate=300_000.0) as origin, downloader(files=4, options=small(1)) as many:
        stock(origin, 4, LARGE, "large")
        wanted = rows(origin, tmp_path, 4, "large")
        if sized:
            wanted = [replace(row, size=LARGE + number) for number, row in enumerate(wanted)]
        batch = many.run(wanted)
        first = await anext(batch)

        begun = await asyncio.to_thread(lambda: {path.name.partition(".")[0] for path in tmp_path.iterdir()})
        assert 4 == len(begun)
        rest = await every(batch)
    assert 4 == 1 + len(rest) == batch.summary.downloaded
    assert first.error is None


async def test_rows_are_closed_early(tmp_path: Path) -> None:
    """An async generator of rows is closed when a batch ends before it does, and not some time later."""
    closed = asyncio.Event()

    async def listing() -> AsyncIterator[asyncdl.Request]:
        try:
            for number in range(1000):
                yield asyncdl.Request(origin.url("/small-0"), tmp_path / str(number))
        finally:
            closed.set()

    async with Origin() as origin, downloader(files=1) as many:
        stock(origin, 1)
        listed = listing()  # by name, so that no garbage collector ends it
        batch = many.run(listed)
        await anext(batch)
        await batch.aclose()
        assert closed.is_set()


@pytest.mark.parametrize("who", ["rows", "source"])
async def test_closed_from_within(tmp_path: Path, who: str) -> None:
    """Rows or a source that close the batch they are of end it, and do not wait for themselves."""

    async def close() -> None:
        await batch.aclose()
        await asyncio.sleep(0)

    async def source(_: asyncdl.SignedUrl | None) -> str:
        await close()
        return ""

    async def listing() -> AsyncIterator[asyncdl.Request]:
        yield asyncdl.Request(origin.url("/small-0"), tmp_path / "file")
        if who == "rows":
            await close()
        yield asyncdl.Request(source, tmp_path / "other")

    async with Origin() as origin, downloader(files=1) as many:
        stock(origin, 1)
        batch = many.run(listing())
        results = await every(batch)
    assert [tmp_path / "file"] == [result.path for result in results]
