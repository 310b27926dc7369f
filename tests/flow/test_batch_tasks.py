"""Which task brings a file: one for several with plain URLs, and one of its own where a stranger's code runs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from pathlib import Path

import pytest

import asyncdl
from asyncdl.model import SignedUrl
from asyncdl.testing import Origin
from tests.flow.test_batch import downloader, every, into, noted, rows, stock
from tests.support.flow import small

pytestmark = pytest.mark.usefixtures("no_leaks")

_left_behind: ContextVar[int] = ContextVar("left behind", default=0)


def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The tasks in which files are begun: a list that grows."""
    seen: list[str] = []
    bring = asyncdl.Downloader._bring

    async def noted(self: asyncdl.Downloader, *about: object) -> asyncdl.Result:
        task = asyncio.current_task()
        assert task is not None
        seen.append(task.get_name())
        return await bring(self, *about)  # type: ignore[arg-type]

    monkeypatch.setattr(asyncdl.Downloader, "_bring", noted)
    return seen


@pytest.mark.parametrize("signed", [False, True])
async def test_plain_urls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, signed: bool) -> None:
    """Each file once, and fewer tasks than files: a task ends only where results wait to be taken."""
    seen = counted(monkeypatch)
    async with Origin() as origin, downloader(files=3) as many:
        stock(origin, 30)
        wanted = rows(origin, tmp_path, 30)
        if signed:
            wanted = [asyncdl.Request(SignedUrl(str(row.source)), row.dest) for row in wanted]
        results = await every(many.run(wanted))

    assert {asyncdl.Outcome.DOWNLOADED} == {result.outcome for result in results}
    assert sorted(row.dest for row in wanted) == sorted(result.path for result in results)
    assert 30 == len(seen)
    assert 3 <= len(set(seen)) < 20


async def test_providers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What one leaves in its context, or does to its task, is for no other file."""
    seen = counted(monkeypatch)
    found: list[int] = []

    def provider(url: str) -> Callable[[SignedUrl | None], object]:
        async def give(_: SignedUrl | None) -> str:
            found.append(_left_behind.get())
            _left_behind.set(1)
            return url

        return give

    async with Origin() as origin, downloader(files=2) as many:
        stock(origin, 12)
        wanted = [
            asyncdl.Request(provider(str(row.source)), row.dest)  # type: ignore[arg-type]
            for row in rows(origin, tmp_path, 12)
        ]
        results = await every(many.run(wanted))

    assert {asyncdl.Outcome.DOWNLOADED} == {result.outcome for result in results}
    assert [0] * 12 == found
    assert 12 == len(set(seen))


async def test_rows_that_break_in_the_middle(tmp_path: Path) -> None:
    """What was begun ends well, and then the rows' error comes out; nothing is taken after it."""
    taken: list[asyncdl.Request] = []

    async with Origin() as origin, downloader(files=2) as many:
        stock(origin, 12)

        def broken() -> Iterator[asyncdl.Request]:
            yield from noted(rows(origin, tmp_path, 7), taken)
            raise LookupError("no more of these")

        results: list[asyncdl.Result] = []
        with pytest.raises(LookupError, match="no more of these"):
            await into(results, many.run(broken()))

    assert (7, 7) == (len(taken), len(results))


async def test_rows_that_cannot_begin(tmp_path: Path) -> None:
    """An iterable whose iterator fails fails the batch, and nothing else."""

    class Odd:
        def __iter__(self) -> Iterator[asyncdl.Request]:
            raise LookupError("no rows here")

    async with downloader() as many:
        with pytest.raises(LookupError, match="no rows here"):
            await every(many.run(Odd()))


async def test_rows_that_raise_a_cancellation(tmp_path: Path) -> None:
    """Nobody cancelled anything: it is an error of the rows."""

    def odd() -> Iterator[asyncdl.Request]:
        yield from rows(origin, tmp_path, 3)
        raise asyncio.CancelledError

    async with Origin() as origin, downloader() as many:
        stock(origin, 3)
        results: list[asyncdl.Result] = []
        with pytest.raises(asyncdl.SourceError, match="cancelled by something they waited for"):
            await into(results, many.run(odd()))

    assert 3 == len(results)


async def test_no_results_are_taken(tmp_path: Path) -> None:
    """While nobody takes results, no more files are begun than there may be results waiting."""
    taken: list[asyncdl.Request] = []

    async with Origin() as origin, downloader(files=2) as many:
        stock(origin, 20)
        batch = many.run(noted(rows(origin, tmp_path, 20), taken))
        first = await anext(batch)
        await asyncio.sleep(0.3)  # nothing announces that nothing more happens
        at_rest = len(taken)
        rest = await every(batch)

    assert first.error is None
    assert at_rest <= 6
    assert 19 == len(rest)


async def test_deadline_between_files(tmp_path: Path) -> None:
    """When the time is over no further file is begun, in whichever task."""
    async with Origin(rate=30_000.0) as origin, downloader(files=2, options=small()) as many:
        stock(origin, 400)
        results: list[asyncdl.Result] = []
        with pytest.raises(asyncdl.DeadlineError):
            await into(results, many.run(rows(origin, tmp_path, 400), total=0.5))

    assert len(results) < 400
