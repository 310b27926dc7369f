"""Progress: never too much, never backwards, one end and only one, and no display that can cost a file."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path

import pytest

import asyncdl
from asyncdl import Outcome, Phase, Progress, ProgressStream, progress
from asyncdl.progress import ProgressCallback, Reporter
from asyncdl.testing import Fault, Origin
from tests.support.clock import ManualClock
from tests.support.flow import PART, fetch, holds
from tests.support.job import turns

SIZE = 12 * PART + 999


def reporter(
    callback: ProgressCallback | None, clock: ManualClock | None = None, *states: tuple[int, int | None]
) -> Reporter:
    """A reporter that sees these states, the last of them for ever."""
    made = Reporter(callback, clock or ManualClock())
    left = list(states or [(0, None)])
    made.state = lambda: (*(left.pop(0) if len(left) > 1 else left[0]), 0, 3, 2)
    return made


class TestReporter:
    def test_says_what_the_state_says(self) -> None:
        """Done, total, retries and refreshes are passed on."""
        seen: list[Progress] = []
        clock = ManualClock()
        made = reporter(seen.append, clock, (500, 1000))
        clock.advance(2)

        made.report(Phase.DOWNLOADING)

        assert [Progress(done=500, total=1000, rate=250.0, eta=2.0, elapsed=2.0, retries=3, refreshes=2)] == seen

    def test_rate_is_of_the_last_seconds(self) -> None:
        """A download that slows down shows it, and the time to go follows."""
        seen: list[Progress] = []
        clock = ManualClock()
        states = [(1000 * (second + 1), 20_000) for second in range(10)] + [(10_000, 20_000)] * 5
        made = reporter(seen.append, clock, *states)
        for _ in range(15):
            clock.advance(1)
            made.report(Phase.DOWNLOADING)

        assert 1000.0 == seen[9].rate
        assert 10.0 == seen[9].eta
        assert 0.0 == seen[-1].rate
        assert seen[-1].eta is None

    def test_rate_at_the_end_is_of_the_whole(self) -> None:
        """The summary is the average from call to end."""
        seen: list[Progress] = []
        clock = ManualClock()
        made = reporter(seen.append, clock, (1000, 21_000), (1000, 21_000), (21_000, 21_000))
        for seconds, phase in [(1, Phase.DOWNLOADING), (8, Phase.DOWNLOADING), (1, Phase.FINISHED)]:
            clock.advance(seconds)
            made.report(phase)

        assert (2100.0, 0.0) == (seen[-1].rate, seen[-1].eta)

    def test_unknown_total(self) -> None:
        """Then nobody knows how long it takes."""
        seen: list[Progress] = []
        clock = ManualClock()
        made = reporter(seen.append, clock, (500, None))
        clock.advance(1)

        made.report(Phase.DOWNLOADING)

        assert (None, None) == (seen[0].total, seen[0].eta)

    def test_no_time_has_passed(self) -> None:
        """An end in the same instant as the beginning divides by nothing."""
        seen: list[Progress] = []

        reporter(seen.append, None, (0, 0)).report(Phase.FINISHED)

        assert (0.0, 0.0, 0.0) == (seen[0].rate, seen[0].eta, seen[0].elapsed)

    def test_before_anything_is_known(self) -> None:
        """A download that fails at once has an end too."""
        seen: list[Progress] = []

        Reporter(seen.append, ManualClock()).report(Phase.FAILED)

        assert [Phase.FAILED] == [event.phase for event in seen]
        assert (0, None) == (seen[0].done, seen[0].total)

    async def test_reports_at_intervals(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """At once, and then again and again until it is cancelled."""
        monkeypatch.setattr(progress, "INTERVAL", 0.0)
        third, seen = asyncio.Event(), 0

        def callback(event: Progress) -> None:
            nonlocal seen
            seen += 1
            if seen == 3:
                third.set()

        task = asyncio.create_task(reporter(callback).run())
        await third.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    async def test_nobody_listens(self) -> None:
        """Without a callback there is nothing to do, and it ends."""
        made = reporter(None)
        made.state = lambda: pytest.fail("nobody wants to know")

        await made.run()
        made.report(Phase.FINISHED)

    @pytest.mark.parametrize("error", [None, ValueError("x"), asyncio.CancelledError(), KeyboardInterrupt()])
    def test_to_the_end(self, error: BaseException | None) -> None:
        """However a block ends, its end is reported once, and what it raised goes on."""
        seen: list[Progress] = []
        made = Reporter(seen.append, ManualClock())
        raised: BaseException | None = None
        try:
            with made.to_the_end():
                if error is not None:
                    raise error
        except BaseException as caught:  # noqa: BLE001  # whatever came is compared
            raised = caught

        assert error is raised
        assert [Phase.FINISHED if error is None else Phase.FAILED] == [event.phase for event in seen]

    def test_callback_that_raises(self, caplog: pytest.LogCaptureFixture) -> None:
        """It is told to the log once, without its words, and goes on being called."""
        calls = 0

        def callback(event: Progress) -> None:
            nonlocal calls
            calls += 1
            raise ValueError("https://host/?sig=secret")

        made = reporter(callback)
        with caplog.at_level(logging.DEBUG):
            for _ in range(5):
                made.report(Phase.DOWNLOADING)
            made.report(Phase.FINISHED)

        assert 6 == calls
        assert ["the progress callback raised ValueError; the download goes on"] == caplog.messages

    def test_callback_that_wants_to_end_the_program(self) -> None:
        """Ctrl-C in a callback is Ctrl-C."""

        def callback(event: Progress) -> None:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            reporter(callback).report(Phase.DOWNLOADING)


def event(done: int, phase: Phase = Phase.DOWNLOADING) -> Progress:
    """Progress with so many bytes."""
    return Progress(done=done, total=100, rate=1.0, eta=1.0, elapsed=1.0, phase=phase)


class TestStream:
    @staticmethod
    async def read(stream: ProgressStream) -> list[int]:
        """What one reader gets to see until the end."""
        async with asyncio.timeout(60):
            return [progress.done async for progress in stream]

    @pytest.mark.parametrize("end", [Phase.FINISHED, Phase.FAILED])
    async def test_ends(self, end: Phase) -> None:
        """A reader that keeps up sees every event, and then the end."""
        stream = ProgressStream()
        reading = asyncio.create_task(self.read(stream))
        for done in (1, 2):
            await turns()
            stream(event(done))
        await turns()
        stream(event(3, end))

        assert [1, 2, 3] == await reading

    async def test_slow_reader_gets_the_latest(self) -> None:
        """What it missed is not kept for it."""
        stream = ProgressStream()
        reader: AsyncIterator[Progress] = aiter(stream)
        stream(event(1))
        first = await anext(reader)
        for done in range(2, 1000):
            stream(event(done))
        second = await anext(reader)
        stream(event(1000, Phase.FINISHED))
        rest = [progress.done async for progress in reader]

        assert (1, 999, [1000]) == (first.done, second.done, rest)

    async def test_end_overtakes_what_came_before(self) -> None:
        """A reader that comes when it is all over sees the end and nothing else."""
        stream = ProgressStream()
        stream(event(1))
        stream(event(2, Phase.FINISHED))

        assert [2] == await self.read(stream)

    async def test_every_reader_sees_the_end(self) -> None:
        """Of several at once, and of one that comes again."""
        stream = ProgressStream()
        reading = [asyncio.create_task(self.read(stream)) for _ in range(3)]
        await turns()
        stream(event(1))
        await turns()
        stream(event(2, Phase.FINISHED))
        ended = await asyncio.gather(*reading)

        assert [2, 2, 2] == [seen[-1] for seen in ended]
        assert [2] == await self.read(stream)

    async def test_waits_for_news(self) -> None:
        """The same event is not given twice."""
        stream = ProgressStream()
        reading = asyncio.create_task(self.read(stream))
        stream(event(1))
        await turns(100)

        assert not reading.done()
        stream(event(2, Phase.FAILED))

        assert [1, 2] == await reading


class Record:
    """A callback that keeps every event; what it raised itself would only be logged."""

    def __init__(self) -> None:
        self.events: list[Progress] = []

    def __call__(self, event: Progress) -> None:
        self.events.append(event)

    def ended(self, phase: Phase) -> Progress:
        """The last event, which alone is an end; each before it fits the next."""
        for before, after in pairwise(self.events):
            assert before.done <= after.done
            assert before.elapsed <= after.elapsed
            assert before.total in {None, after.total}
        for event in self.events:
            assert event.total is None or event.done <= event.total
            assert event.rate >= 0
            assert event.eta is None or event.eta >= 0
        assert [phase] == [event.phase for event in self.events if event.phase is not Phase.DOWNLOADING]
        assert phase is self.events[-1].phase
        return self.events[-1]


@pytest.fixture
def record(monkeypatch: pytest.MonkeyPatch) -> Record:
    """A record of a download that reports as often as it can."""
    monkeypatch.setattr(progress, "INTERVAL", 0.001)
    return Record()


@pytest.mark.parametrize("size", [None, SIZE], ids=["size unknown", "size known"])
async def test_download(origin: Origin, tmp_path: Path, record: Record, size: int | None) -> None:
    """From nothing to all of it, and its numbers are those of the result."""
    origin.add("/object", SIZE)
    origin.script(Fault(rate=20 * PART), Fault(request={1, 3}, status=503))

    result = await fetch(origin.url("/object"), tmp_path / "file", size=size, on_progress=record)
    last = record.ended(Phase.FINISHED)

    assert (0, SIZE) == (record.events[0].done, last.done)
    assert (size, SIZE) == (record.events[0].total, last.total)
    assert len(record.events) > 3
    assert (result.retries, result.refreshes) == (last.retries, last.refreshes)
    assert last.elapsed <= result.elapsed + 1


async def test_stream_that_starts_again_never_goes_back(tmp_path: Path, record: Record) -> None:
    """Bytes that come a second time are no progress, and not more than there are."""
    async with Origin(ranges=False) as origin:
        origin.add("/object", SIZE)
        origin.script(Fault(request={0, 1}, drop_after=SIZE - 50_000))

        await fetch(origin.url("/object"), tmp_path / "file", on_progress=record)

    assert SIZE == record.ended(Phase.FINISHED).done


async def test_size_that_nobody_says(origin: Origin, tmp_path: Path, record: Record) -> None:
    """A stream in chunks has no total until it ends."""
    origin.add("/object", SIZE)
    origin.script(Fault(ignore_range=True, chunked=True))

    await fetch(origin.url("/object"), tmp_path / "file", on_progress=record)

    assert SIZE == record.ended(Phase.FINISHED).done


@pytest.mark.parametrize("size", [None, SIZE], ids=["size unknown", "size known"])
async def test_skipped(origin: Origin, tmp_path: Path, record: Record, size: int | None) -> None:
    """What is there already ends too, whether it takes a request to know that or not."""
    content = origin.add("/object", SIZE)
    (tmp_path / "file").write_bytes(content.read(0, SIZE))

    result = await fetch(origin.url("/object"), tmp_path / "file", size=size, on_progress=record)

    assert Outcome.SKIPPED is result.outcome
    assert (SIZE, SIZE) == (record.ended(Phase.FINISHED).done, record.ended(Phase.FINISHED).total)


async def _refused(origin: Origin, dest: Path) -> dict[str, object]:
    origin.script(Fault(status=404))
    return {"source": origin.url("/object")}


async def _broken_midway(origin: Origin, dest: Path) -> dict[str, object]:
    origin.script(Fault(request=range(3, 99), status=404))
    return {"source": origin.url("/object")}


async def _there(origin: Origin, dest: Path) -> dict[str, object]:
    dest.write_bytes(b"something else")
    return {"source": origin.url("/object")}


async def _no_directory(origin: Origin, dest: Path) -> dict[str, object]:
    return {"source": origin.url("/object"), "dest": dest / "below" / "file"}


async def _no_url(origin: Origin, dest: Path) -> dict[str, object]:
    return {"source": "ftp://host/object"}


async def _no_proxy(origin: Origin, dest: Path) -> dict[str, object]:
    return {"source": origin.url("/object"), "options": asyncdl.Options(proxy="socks5://host")}


async def _bad_size(origin: Origin, dest: Path) -> dict[str, object]:
    return {"source": origin.url("/object"), "size": -1}


async def _deadline(origin: Origin, dest: Path) -> dict[str, object]:
    origin.script(Fault(stall_headers=True))
    return {"source": origin.url("/object"), "timeouts": asyncdl.Timeouts(total=0.1)}


async def _provider(origin: Origin, dest: Path) -> dict[str, object]:
    async def provider(rejected: asyncdl.SignedUrl | None) -> str:
        return "nowhere"

    return {"source": provider}


FAILURES = [
    _refused, _broken_midway, _there, _no_directory, _no_url, _no_proxy, _bad_size, _deadline, _provider
]  # fmt: skip


@pytest.mark.parametrize("prepare", FAILURES, ids=[prepare.__name__.strip("_") for prepare in FAILURES])
async def test_failure(origin: Origin, tmp_path: Path, record: Record, prepare: object) -> None:
    """Every download that fails says so once, however early: who reads a stream of events would wait for ever."""
    origin.add("/object", SIZE)
    stream = ProgressStream()

    def both(event: Progress) -> None:
        record(event)
        stream(event)

    arguments = {"dest": tmp_path / "file"} | await prepare(origin, tmp_path / "file")  # type: ignore[operator]

    with pytest.raises(asyncdl.AsyncdlError):
        await fetch(**arguments, on_progress=both)
    seen = await TestStream.read(stream)

    assert [record.ended(Phase.FAILED).done] == seen


async def test_cancelled(origin: Origin, tmp_path: Path, record: Record) -> None:
    """A cancelled download has failed."""
    origin.add("/object", SIZE)
    origin.script(Fault(stall_headers=True))
    task = asyncio.create_task(fetch(origin.url("/object"), tmp_path / "file", on_progress=record))
    await origin.ledger.until(lambda: len(origin.ledger.requests) == 1)

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    record.ended(Phase.FAILED)


async def test_callback_that_always_raises_costs_nothing(
    origin: Origin, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The file is complete, and the log has one line."""
    content = origin.add("/object", SIZE)

    def callback(event: Progress) -> None:
        raise ValueError("no")

    await fetch(origin.url("/object"), tmp_path / "file", on_progress=callback)

    assert holds(tmp_path / "file", content)
    assert 1 == len(caplog.messages)


async def test_stream_beside_a_download(origin: Origin, tmp_path: Path) -> None:
    """As it is documented: one task downloads, another reads."""
    origin.add("/object", SIZE)
    stream = ProgressStream()
    task = asyncio.create_task(fetch(origin.url("/object"), tmp_path / "file", on_progress=stream))

    seen = [progress async for progress in stream]

    assert Outcome.DOWNLOADED is (await task).outcome
    assert (SIZE, Phase.FINISHED) == (seen[-1].done, seen[-1].phase)
