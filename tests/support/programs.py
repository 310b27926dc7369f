"""Carries out one drawn download, with its events in mid-download, and holds it to what must be true of every one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from functools import partial
from pathlib import Path
from typing import Final
from unittest import mock

import asyncdl
from asyncdl.testing import POISON, Content, Fault, Origin, Provider, RequestRecord
from tests.support.flow import fetch, holds, small
from tests.support.leaks import Snapshot
from tests.support.plans import PATH, Event, Plan, Spoil

#: Seconds: far more than any of these needs; who reaches it hangs.
FOR_EVER: Final = 100.0
#: Seconds that closing may take before something counts as left open.
_GRACE: Final = 30.0
TIMEOUTS: Final = asyncdl.Timeouts(connect=30, response=0.5, stall=0.5, low_speed=(2000, 0.5), refresh=30)
#: More attempts than any plan has faults, so that what passes must be got over.
RETRY: Final = asyncdl.Retry(attempts=40, base=0.001, cap=0.002, budget=200)
_FIRST_DATE: Final = datetime(2025, 1, 1, tzinfo=UTC)


class Program:
    """One plan against one origin."""

    def __init__(self, plan: Plan, origin: Origin) -> None:
        self.plan, self.origin = plan, origin
        self.versions: list[Content] = []
        self.hit: set[int] = set()
        self._publish(plan.size, tagged=plan.tagged)
        self.source: str | Provider = origin.url(PATH)
        if plan.source != "plain":
            self.source = origin.provider(PATH, ttl=plan.ttl, skin=plan.skin)
        if plan.source == "signed":
            self.source = origin.presign(PATH, ttl=plan.ttl, skin=plan.skin)

    def _publish(self, size: int, *, tagged: bool) -> None:
        number = len(self.versions)
        # No two versions of one date: without a tag there is nothing else to tell them by.
        date = format_datetime(_FIRST_DATE + timedelta(days=number), usegmt=True)
        add = self.origin.add
        self.versions.append(
            add(PATH, size, seed=1 + number, last_modified=date)
            if tagged
            else add(PATH, size, seed=1 + number, last_modified=date, etag=None)
        )

    def noting(self) -> Callable[[RequestRecord, int], Fault | None]:
        """The script's choice, with a note of which requests it hits."""
        choose = self.origin.faults.pick

        def pick(record: RequestRecord, size: int) -> Fault | None:
            fault = choose(record, size)
            if fault is not None:
                self.hit.add(record.number)
            return fault

        return pick

    async def happen(self) -> None:
        """Let the steps happen, each when its time has come."""
        for step in self.plan.steps:
            await self.origin.ledger.until(partial(self._answered, step.after), timeout=FOR_EVER)
            if isinstance(step.action, Spoil):
                self.origin.script(step.action.fault)
            else:
                await self._event(step.action)

    def _answered(self, least: int) -> bool:
        """Whether so many requests got the bytes they asked for, or begin to: what is spoilt moves nothing on."""
        requests = self.origin.ledger.requests
        return least <= sum(record.status in {200, 206} and record.number not in self.hit for record in requests)

    async def _event(self, event: Event) -> None:
        origin = self.origin
        match event.what:
            case "clear":
                origin.faults.clear()
            case "revoke" | "expire":
                urls = self.source.urls[-1:] if isinstance(self.source, Provider) else [self.source]
                for url in urls if self.plan.source != "plain" else ():
                    (origin.revoke if event.what == "revoke" else origin.expire)(url)
            case "replace" | "replace undated":
                size = max(0, self.versions[-1].size + event.amount)
                self._publish(size, tagged=event.what == "replace")
            case "ranges off" | "ranges on":
                origin.ranges = event.what == "ranges on"
            case "refuse":
                async with origin.refusing():
                    await asyncio.sleep(event.amount / 1000)

    async def download(self, dest: Path) -> asyncdl.Result:
        """The download itself, with the steps beside it; those not due at its end never happen."""
        plan = self.plan
        early = asyncio.create_task(self.happen())
        await asyncio.sleep(0)  # what is due before the first request happens now
        try:
            async with asyncio.timeout(FOR_EVER):
                return await fetch(
                    self.source,
                    dest,
                    size=plan.size if plan.known else None,
                    options=small(
                        plan.connections,
                        part_size=plan.part_size,
                        parallel_threshold=2 * plan.part_size,
                        chunk_size=plan.chunk_size,
                        queue_depth=plan.queue_depth,
                        reuse_window=0,
                    ),
                    timeouts=TIMEOUTS,
                    retry=RETRY,
                )
        finally:
            early.cancel()
            await asyncio.wait([early])
            if not early.cancelled():
                early.result()

    async def outcome(self, dest: Path) -> tuple[asyncdl.Result | None, asyncdl.AsyncdlError | None]:
        """What the download gives, or the error it raises."""
        try:
            return await self.download(dest), None
        except asyncdl.AsyncdlError as error:
            return None, error

    @property
    def excess(self) -> int:
        """Requests beyond those that brought a part, were answered badly, or were broken off."""
        good = [
            record
            for record in self.origin.ledger.requests
            if record.status in {200, 206, 416}
            and not (record.refused or record.aborted or record.number in self.hit)
            and not (record.status == 200 and record.range and record.range[0])
        ]
        size = max(version.size for version in self.versions)
        # One more for the probe, one for a stream that takes the place of the parts, and what each connection was at:
        # three times over where a new version lacks the tag of the old one.
        return len(good) - (-(-size // self.plan.part_size) + 2 + 3 * self.plan.connections)


async def carry_out(plan: Plan, directory: Path) -> str:
    """Carry out a plan in an empty directory and check it; how it ended.

    Raises:
        AssertionError: something that must hold does not.
        TimeoutError: there was no end.
    """
    dest, before = directory / "file", Snapshot.take()
    async with Origin(rate=plan.rate) as origin:
        program = Program(plan, origin)
        ended = "complete"
        with mock.patch.object(origin.faults, "pick", program.noting()):
            result, error = await program.outcome(dest)
            if result is None:
                ended = type(error).__name__
                assert type(error) in plan.may_end_in, f"{error!r} does not fit what was injected"
                assert not dest.exists(), "something is at the destination"
            else:
                whole = [version for version in program.versions if holds(dest, version)]
                assert whole, f"neither of {len(program.versions)} versions"
                assert whole[0].size == result.size, f"{result.size} bytes are reported"
                assert result.fetched >= result.size, f"{result.fetched} bytes make {result.size}"
                assert ["file"] == [path.name for path in directory.iterdir()], "something lies beside the file"
        assert len(origin.ledger.requests) <= _most_requests(plan), f"{len(origin.ledger.requests)} requests"
        assert program.excess <= 0, f"{program.excess} requests too many"
    for left in directory.iterdir():
        assert POISON not in left.read_bytes(), f"poison in {left.name}"
    leaked = await before.settled(_GRACE)
    assert [] == leaked, f"left open: {leaked}"
    return ended


def _most_requests(plan: Plan) -> int:
    """No plan may cost more, whatever happens: its parts, the budget, and three tries of each connection."""
    return -(-plan.size // plan.part_size) + RETRY.budget + 3 * plan.connections
