"""Many files over one pool: rows taken late, each its own outcome, small ones beside large ones, every end clean."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

import asyncdl
from asyncdl.model import Phase
from asyncdl.testing import Content, Fault, Origin, RequestRecord
from tests.support.flow import EAGER, KIB, PART, QUICK, holds, small

pytestmark = pytest.mark.usefixtures("no_leaks")

#: Bytes of a file that is small, and of one that is not, with the options below.
SMALL, LARGE = 3 * KIB, 6 * PART
#: Only what hangs takes so long.
BOUND = 100.0


def downloader(**changes: Any) -> asyncdl.Downloader:
    """One whose files are quick to bring."""
    defaults: dict[str, Any] = {"options": small(), "timeouts": QUICK, "retry": EAGER, "files": 4, "connections": 8}
    return asyncdl.Downloader(**(defaults | changes))


async def into(results: list[asyncdl.Result], batch: asyncdl.Batch) -> None:
    """All results that come, even if an error follows them."""
    async with asyncio.timeout(BOUND):
        async for result in batch:
            results.append(result)  # noqa: PERF401  # a comprehension would lose those before the error


async def every(batch: asyncdl.Batch) -> list[asyncdl.Result]:
    """All results, within a bound."""
    async with asyncio.timeout(BOUND):
        return [result async for result in batch]


def stock(origin: Origin, count: int, size: int = SMALL, name: str = "small") -> list[Content]:
    """So many objects."""
    return [origin.add(f"/{name}-{number}", size + number) for number in range(count)]


def rows(origin: Origin, where: Path, count: int, name: str = "small", **more: Any) -> list[asyncdl.Request]:
    """A row for each of them."""
    return [
        asyncdl.Request(origin.url(f"/{name}-{number}"), where / f"{name}-{number}", **more) for number in range(count)
    ]


def noted(wanted: Iterable[asyncdl.Request], taken: list[asyncdl.Request]) -> Iterator[asyncdl.Request]:
    """These rows; each is written down as it is taken."""
    for row in wanted:
        taken.append(row)
        yield row


def is_more_of_a_large_one(record: RequestRecord) -> bool:
    """Whether a part is asked for that is not the first one."""
    return record.path.startswith("/large") and record.index != 0


async def test_brings_them_all(tmp_path: Path) -> None:
    """Thirty small files and three large ones: every byte, one result each, and a summary that adds up."""
    async with Origin() as origin, downloader() as many:
        contents = stock(origin, 30) + stock(origin, 3, LARGE, "large")
        wanted = rows(origin, tmp_path, 30) + rows(origin, tmp_path, 3, "large")
        batch = many.run(wanted)
        results = await every(batch)

        for request, content in zip(wanted, contents, strict=True):
            assert holds(request.dest, content)
    assert sorted(request.dest for request in wanted) == sorted(result.path for result in results)
    assert {asyncdl.Outcome.DOWNLOADED} == {result.outcome for result in results}
    summary, size = batch.summary, sum(content.size for content in contents)
    assert (33, 0, 0, size) == (summary.downloaded, summary.skipped, summary.failed, summary.size)
    assert size <= summary.fetched <= size + 3 * PART
    assert 33 == summary.files
    assert wanted == sorted((r.request for r in results if r.request), key=wanted.index)


async def test_connections_are_shared(tmp_path: Path) -> None:
    """Forty files one after another come over the connections of the first few."""
    async with Origin() as origin, downloader(files=3) as many:
        stock(origin, 40)
        await every(many.run(rows(origin, tmp_path, 40)))

        assert origin.ledger.connections <= 3


async def test_async_rows(tmp_path: Path) -> None:
    """Rows may come from an async iterable, and it is closed."""
    closed = []

    async with Origin() as origin, downloader() as many:
        stock(origin, 9)

        async def listing() -> AsyncIterator[asyncdl.Request]:
            try:
                for row in rows(origin, tmp_path, 9):
                    await asyncio.sleep(0)
                    yield row
            finally:
                closed.append(True)

        results = await every(many.run(listing()))
    assert 9 == len(results)
    assert [True] == closed


async def test_rows_are_taken_late(tmp_path: Path) -> None:
    """With two files at work, of endless rows no more than a handful is ever taken ahead of what has ended."""
    taken: list[asyncdl.Request] = []
    async with Origin() as origin, downloader(files=2) as many:
        stock(origin, 1)
        endless = (asyncdl.Request(origin.url("/small-0"), tmp_path / str(number)) for number in itertools.count())

        batch, seen = many.run(noted(endless, taken)), 0
        assert [] == taken
        async for _ in batch:
            seen += 1
            # At work, ended and not yet looked at, the next one, and the one after it.
            assert len(taken) <= seen + 2 + 2 + 2
            if seen == 30:
                break
        await batch.aclose()
    assert 30 == batch.summary.files


async def test_unread_results_stop_it(tmp_path: Path) -> None:
    """Results that nobody takes keep new files from being begun."""
    async with Origin() as origin, downloader(files=3) as many:
        stock(origin, 30)
        batch = many.run(rows(origin, tmp_path, 30))
        await anext(batch)
        await origin.ledger.until(lambda: len(origin.ledger.requests) >= 4)
        await asyncio.sleep(0.2)  # time in which it could go on, and must not
        begun = len(origin.ledger.requests)
        rest = await every(batch)
    assert begun <= 1 + 3 + 3
    assert 29 == len(rest)


async def test_one_fails_alone(tmp_path: Path) -> None:
    """A missing object, a bad row and a bad path are results with errors among those that are well."""
    async with Origin() as origin, downloader() as many:
        stock(origin, 6)
        wanted = rows(origin, tmp_path, 6)
        wanted[1] = asyncdl.Request(origin.url("/nothing"), tmp_path / "nothing")
        wanted[3] = asyncdl.Request("ftp://host.example/x", tmp_path / "ftp")
        wanted[4] = asyncdl.Request(origin.url("/small-4"), tmp_path / "no" / "such" / "directory")
        batch = many.run(wanted)
        results = {result.path.name: result for result in await every(batch)}

    assert {
        "nothing": asyncdl.HttpStatusError,
        "ftp": asyncdl.OptionsError,
        "directory": asyncdl.StorageError,
    } == {name: type(result.error) for name, result in results.items() if result.error}
    assert (3, 0, 3) == (batch.summary.downloaded, batch.summary.skipped, batch.summary.failed)
    assert asyncdl.Outcome.FAILED is results["nothing"].outcome
    assert 1 == results["nothing"].requests


async def test_same_destination(tmp_path: Path) -> None:
    """Two rows to one file at once: one brings its object whole, and the other is refused; nothing is mixed."""
    async with Origin() as origin, downloader() as many:
        contents = {LARGE: origin.add("/object", LARGE), LARGE + 1: origin.add("/other", LARGE + 1)}
        same = tmp_path / "file"
        results = await every(many.run([asyncdl.Request(origin.url(f"/{name}"), same) for name in ("object", "other")]))

        brought = [result.size for result in results if result.outcome is asyncdl.Outcome.DOWNLOADED]
        assert 1 == len(brought)
        assert holds(same, contents[brought[0] or 0])
    refused = [result.error for result in results if result.error]
    assert 1 == len(refused)
    assert isinstance(refused[0], asyncdl.DestinationBusyError | asyncdl.DestinationExistsError)


async def test_skipped_without_its_bytes(tmp_path: Path) -> None:
    """Files that are there are found so with a byte each, or no request where the size is known."""
    async with Origin() as origin, downloader() as many:
        stock(origin, 5)
        await every(many.run(rows(origin, tmp_path, 5)))
        sent = sum(record.sent for record in origin.ledger.requests)
        again = many.run(rows(origin, tmp_path, 5))
        await every(again)
        sent_again = sum(record.sent for record in origin.ledger.requests) - sent
        asked = len(origin.ledger.requests)
        sized = many.run(
            [
                asyncdl.Request(row.source, row.dest, size=SMALL + number)
                for number, row in enumerate(rows(origin, tmp_path, 5))
            ]
        )
        await every(sized)

        assert len(origin.ledger.requests) == asked
    assert (0, 5) == (again.summary.downloaded, again.summary.skipped)
    assert (0, 5) == (sized.summary.downloaded, sized.summary.skipped)
    assert 5 == sent_again


async def test_urls_are_asked_for_late(tmp_path: Path) -> None:
    """However long a batch takes, no URL gets old in it: each is asked for when its file's turn comes."""
    ended, ahead = 0, []

    def note(_: asyncdl.Request, progress: asyncdl.Progress) -> None:
        nonlocal ended
        ended += progress.phase is Phase.FINISHED

    async with Origin() as origin, downloader(files=2, connections=2, on_progress=note) as many:
        contents = stock(origin, 20)

        def provider(number: int) -> Callable[[asyncdl.SignedUrl | None], Awaitable[str]]:
            async def sign(_: asyncdl.SignedUrl | None) -> str:
                ahead.append(number - ended)
                return origin.presign(f"/small-{number}", ttl=3600)

            return sign

        batch = many.run([asyncdl.Request(provider(number), tmp_path / str(number)) for number in range(20)])
        await every(batch)

        for number, content in enumerate(contents):
            assert holds(tmp_path / str(number), content)
    assert (20, 0, 20) == (batch.summary.downloaded, batch.summary.refreshes, batch.summary.requests)
    assert 20 == len(ahead)
    assert max(ahead) <= 1


async def test_large_ones_renew_theirs(tmp_path: Path) -> None:
    """Large files in a batch outlive their URLs as they do alone."""
    async with Origin(rate=120_000.0) as origin, downloader(options=small(2), connections=4) as many:
        contents = stock(origin, 2, 12 * PART, "large")
        wanted = [
            asyncdl.Request(origin.provider(f"/large-{number}", ttl=2), tmp_path / str(number)) for number in range(2)
        ]
        batch = many.run(wanted)
        await every(batch)

        for number, content in enumerate(contents):
            assert holds(tmp_path / str(number), content)
    assert batch.summary.refreshes >= 2


async def test_small_ones_go_beside_large_ones(tmp_path: Path) -> None:
    """Large files first in line, more than there are places: small ones behind them do not wait for their end."""
    async with Origin() as origin, downloader(files=4, connections=8) as many:
        stock(origin, 6, LARGE, "large")
        stock(origin, 20)
        all_small = asyncio.Event()
        # All but the first part of each, by which it is known to be large.
        origin.script(Fault(when=is_more_of_a_large_one, gate=all_small))
        batch = many.run(rows(origin, tmp_path, 6, "large") + rows(origin, tmp_path, 20))
        order = []
        async with asyncio.timeout(BOUND):
            async for result in batch:
                order.append(result.path.name.split("-")[0])
                if order.count("small") == 20:
                    all_small.set()

    assert ["small"] * 20 + ["large"] * 6 == order
    assert 26 == batch.summary.downloaded


async def test_large_ones_do_not_starve(tmp_path: Path) -> None:
    """Two large files at the head of very many small ones end while there are still small ones to come."""
    async with Origin() as origin, downloader(files=4, connections=4) as many:
        origin.add("/small-0", SMALL)
        stock(origin, 2, LARGE, "large")

        def mixed() -> Iterator[asyncdl.Request]:
            yield from rows(origin, tmp_path, 2, "large")
            for number in range(2000):
                yield asyncdl.Request(origin.url("/small-0"), tmp_path / str(number))

        batch, large = many.run(mixed()), 0
        async with asyncio.timeout(BOUND):
            async for result in batch:
                large += result.path.name.startswith("large")
                if large == 2:
                    break
        assert batch.summary.files < 2000
        await batch.aclose()


async def test_never_more_requests_than_connections(tmp_path: Path) -> None:
    """Five large files with eight connections each, and no more than six requests at once to one server."""
    async with Origin(rate=400_000.0) as origin:
        async with downloader(options=small(8), files=5, connections=6) as many:
            contents = stock(origin, 5, LARGE, "large")
            await every(many.run(rows(origin, tmp_path, 5, "large")))

            for number, content in enumerate(contents):
                assert holds(tmp_path / f"large-{number}", content)
        assert 5 <= origin.ledger.max_in_flight() <= 6


async def test_one_host_is_slow_alone(tmp_path: Path) -> None:
    """One host asks for peace for longer than this test may take; files of the other host are not held up by it."""
    async with Origin(host="127.0.0.2") as busy, Origin(host="127.0.0.3") as idle, downloader(files=8) as many:
        stock(busy, 1)
        stock(idle, 12)
        busy.script(Fault(request=0, status=503, headers={"Retry-After": "600"}))
        batch = many.run(rows(busy, tmp_path, 1) + rows(idle, tmp_path, 12)[1:])
        async with asyncio.timeout(BOUND):
            results = [await anext(batch) for _ in range(11)]
        await batch.aclose()

    assert 11 == batch.summary.downloaded
    assert {"small-0"}.isdisjoint(result.path.name for result in results)


async def test_retries_of_a_host_are_shared(tmp_path: Path) -> None:
    """A host that fails always costs no more retries than the budget, however many files are to come from it."""
    async with Origin() as origin, downloader(retry=asyncdl.Retry(base=0.001, cap=0.002, budget=5)) as many:
        stock(origin, 12)
        origin.script(Fault(when=lambda _: True, status=500))
        batch = many.run(rows(origin, tmp_path, 12))
        await every(batch)

        assert 12 + 5 == len(origin.ledger.requests)
    assert (12, 5) == (batch.summary.failed, batch.summary.retries)


async def test_deadline_of_each(tmp_path: Path) -> None:
    """The deadline is each file's own: one that hangs fails, and those after it have time of their own."""
    timeouts = asyncdl.Timeouts(total=3.0, low_speed=None)
    async with Origin(latency=0.02) as origin, downloader(timeouts=timeouts, files=1) as many:
        stock(origin, 6)
        origin.script(Fault(when=lambda record: record.path == "/small-1", stall_headers=True))
        batch = many.run(rows(origin, tmp_path, 6))
        results = await every(batch)

    assert ["small-1"] == [result.path.name for result in results if isinstance(result.error, asyncdl.DeadlineError)]
    assert 5 == batch.summary.downloaded


async def test_deadline_of_all(tmp_path: Path) -> None:
    """When the time for the batch is over, what is at work fails and can be resumed, and the end says so."""
    async with Origin(rate=50_000.0) as origin, downloader(files=2) as many:
        stock(origin, 5, 40 * PART, "large")
        batch = many.run(rows(origin, tmp_path, 5, "large"), total=2.0)
        results: list[asyncdl.Result] = []
        with pytest.raises(asyncdl.DeadlineError, match="the batch is not complete after 2 s"):
            await into(results, batch)
        with pytest.raises(StopAsyncIteration):
            await anext(batch)

    assert [asyncdl.DeadlineError] * len(results) == [type(result.error) for result in results]
    assert len(results) >= 1
    assert all(result.path.with_name(result.path.name + ".part").exists() for result in results if result.fetched)


async def test_faulty_rows(tmp_path: Path) -> None:
    """What the iterable raises comes out when the files begun before have ended, and once."""
    async with Origin() as origin, downloader() as many:
        stock(origin, 5)

        def broken() -> Iterator[asyncdl.Request]:
            yield from rows(origin, tmp_path, 5)
            raise LookupError("no more of these")

        batch = many.run(broken())
        results: list[asyncdl.Result] = []
        with pytest.raises(LookupError, match="no more of these"):
            await into(results, batch)
        assert [] == await every(batch)
    assert 5 == len(results)


async def test_rows_of_another_kind() -> None:
    """Something that is no request is a mistake of the caller's, and said so."""
    async with downloader() as many:
        with pytest.raises(asyncdl.OptionsError, match=r"asyncdl\.Request, not str"):
            await every(many.run(["http://host.example/"]))  # type: ignore[list-item]


async def test_leaving_early(tmp_path: Path) -> None:
    """Whoever leaves the context in mid-batch gets no task left over, and whole, resumable or absent files."""
    async with Origin(rate=100_000.0) as origin:
        contents = stock(origin, 4, LARGE, "large") + stock(origin, 3)
        wanted = rows(origin, tmp_path, 3) + rows(origin, tmp_path, 4, "large")
        async with downloader() as many:
            async for _ in many.run(wanted):
                break
        await origin.ledger.until(lambda: 0 == origin.ledger.open_connections)
        origin.rate = None
        async with downloader() as many:
            batch = many.run(wanted)
            await every(batch)
        for content, row in zip(contents[4:] + contents[:4], wanted, strict=True):
            assert holds(row.dest, content)
    assert 7 == batch.summary.files == batch.summary.downloaded + batch.summary.skipped


async def test_cancelled(tmp_path: Path) -> None:
    """Cancelling the task that iterates ends every file, and the cancellation comes through."""
    async with Origin(rate=10_000.0) as origin:
        stock(origin, 4, LARGE, "large")

        async def work() -> None:
            async with downloader() as many:
                await every(many.run(rows(origin, tmp_path, 4, "large")))

        task = asyncio.create_task(work())
        await origin.ledger.until(lambda: len(origin.ledger.requests) >= 4)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert [] == [path.name for path in tmp_path.iterdir() if not path.name.startswith("large-")]
    assert not any((tmp_path / f"large-{number}").exists() for number in range(4))


async def test_progress_of_each(tmp_path: Path) -> None:
    """Progress comes with its request, and each file's last word is its end, once."""
    ends: list[tuple[str, Phase]] = []

    def note(request: asyncdl.Request, progress: asyncdl.Progress) -> None:
        if progress.phase is not Phase.DOWNLOADING:
            ends.append((request.dest.name, progress.phase))

    async with Origin() as origin, downloader(on_progress=note, files=2) as many:
        stock(origin, 2)
        stock(origin, 4, LARGE, "large")
        wanted = rows(origin, tmp_path, 4, "large") + rows(origin, tmp_path, 3)
        await every(many.run(wanted))
    assert sorted(row.dest.name for row in wanted) == sorted(name for name, _ in ends)
    assert {("small-2", Phase.FAILED)} == {end for end in ends if end[1] is Phase.FAILED}


async def test_two_batches_at_once(tmp_path: Path) -> None:
    """Two runs over one pool do not mix their results."""
    async with Origin() as origin, downloader() as many:
        stock(origin, 10)
        stock(origin, 10, name="other")
        one, other = many.run(rows(origin, tmp_path, 10)), many.run(rows(origin, tmp_path, 10, "other"))
        both = await asyncio.gather(every(one), every(other))

    assert [{"small"}, {"other"}] == [{result.path.name.split("-")[0] for result in each} for each in both]
    assert [10, 10] == [len(each) for each in both]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"files": 0}, "files must be"),
        ({"files": True}, "files must be"),
        ({"connections": 0}, "connections must be"),
        ({"options": asyncdl.Timeouts()}, "options must be"),
        ({"on_progress": 3}, "on_progress must be"),
    ],
)
def test_arguments_are_checked(arguments: dict[str, Any], words: str) -> None:
    """What cannot be used is refused when it is given."""
    with pytest.raises(asyncdl.OptionsError, match=words):
        asyncdl.Downloader(**arguments)


async def test_used_as_meant(tmp_path: Path) -> None:
    """Outside its context, entered twice, with something that is no iterable, or with no time: an error each."""
    with pytest.raises(asyncdl.OptionsError, match="async with"):
        downloader().run([])
    async with downloader() as many:
        with pytest.raises(asyncdl.OptionsError, match="entered once"):
            await many.__aenter__()
        with pytest.raises(asyncdl.OptionsError, match="iterable"):
            many.run(3)  # type: ignore[arg-type]
        with pytest.raises(asyncdl.OptionsError, match="seconds"):
            many.run([], total=0)
        assert [] == await every(many.run([]))


def test_memory_bound() -> None:
    """The bound counts the queue once, each connection, and a chunk for each file."""
    many = asyncdl.Downloader(files=3, connections=5, options=asyncdl.Options(chunk_size=2 << 20, queue_depth=7))

    assert (7 + 5 + 3) * (2 << 20) == many.memory_bound
