"""The bound of a wait for a server: each part of the wait has its own time, also where the event loop was blocked."""

from __future__ import annotations

import asyncio
import time

from asyncdl.edge.waits import Bound, Row


async def test_second_chance_of_what_is_over() -> None:
    """A bound that rang late, and then moved on, rings when the new row says, and not when it would have rung again."""
    connecting, answering = Row(0.01), Row(60.0)
    bound = Bound(connecting)
    try:
        async with bound.timeout:
            time.sleep(0.2)  # whatever else keeps the event loop
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            second_chance = bound._timer
            assert second_chance is not None
            bound.move(answering)

            assert second_chance.cancelled()
            assert not bound.timeout.expired()
            assert bound._due > asyncio.get_running_loop().time() + 30
    finally:
        bound.cancel()
        connecting.close()
        answering.close()
