"""Large files that a batch has held over, and the room beside those at work: it is not left empty."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from pathlib import Path

import pytest

import asyncdl
from asyncdl.batch import Batch
from asyncdl.job import Aside
from asyncdl.model import Outcome, Request, Result
from tests.support.bodies import until

#: At work at once; of them may be large as long as there are others; and held over.
FILES, LARGE, HELD_OVER = 8, 6, 64


@pytest.mark.parametrize("more", [0, 1, 2], ids=["no other rows", "another", "two others"])
async def test_room_beside_large_files(more: int, tmp_path: Path) -> None:
    """What is free beside them is given to small files behind them, and to large ones if there are no others."""
    at_work: deque[asyncio.Event] = deque()

    async def bring(request: Request, admit: Callable[[], bool], aside: Aside, deadline: float | None) -> Result:
        at_work.append(asyncio.Event())
        await at_work[-1].wait()
        return Result(request=request, path=request.dest, outcome=Outcome.DOWNLOADED, size=1, elapsed=0.0)

    async def next_result() -> Result:
        return await anext(batch)

    large = [asyncdl.Request("http://localhost/f", tmp_path / str(number), 9) for number in range(LARGE + HELD_OVER)]
    small = [asyncdl.Request("http://localhost/f", tmp_path / f"small {number}", 1) for number in range(more)]
    # In front of the small ones, one that is large more than may be held over.
    rows = [*large, *large[:more], *small]
    batch = Batch(rows, bring, files=FILES, connections=100, large=lambda size: size > 1, total=None)
    result = asyncio.create_task(next_result())
    try:
        await until(lambda: len(at_work) == LARGE)
        for _ in range(3):  # each makes room to look for another row
            at_work.popleft().set()
            await until(lambda: len(at_work) >= LARGE)
        await result

        await until(lambda: len(at_work) == FILES)
    finally:
        await batch.aclose()
