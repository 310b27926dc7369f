"""The watch over one body: it ends the wait for a dead one, and for one that is given up, and for no other."""

from __future__ import annotations

import asyncio

import pytest

from asyncdl.edge.transport import Body
from asyncdl.model import Chunk
from asyncdl.options import Timeouts
from asyncdl.watch import Watch

QUICK = Timeouts(stall=0.08, low_speed=None)
PATIENT = Timeouts(stall=60, low_speed=None)


class Silent(Body):
    """A body that brings nothing; `received` is what the test says."""

    def __init__(self) -> None:
        self.count = 0

    @property
    def received(self) -> int:
        return self.count

    async def receive(self) -> Chunk | None:
        await asyncio.Event().wait()
        return None


async def test_silence_ends_the_wait() -> None:
    """The bound expires, and the fault says how long nothing came."""
    body = Silent()
    with Watch(QUICK, body) as watch:
        with pytest.raises(TimeoutError):
            async with watch.bound:
                await body.receive()

        assert watch.bound.expired()
        assert watch.age >= 0.08
        assert "the server sent nothing for 0.08 s" == watch.fault().message
        assert watch.fault().retryable


async def test_a_drip_ends_the_wait() -> None:
    """Too few bytes over the window are a fault of their own."""
    body = Silent()

    async def drip() -> None:
        while True:
            await asyncio.sleep(0.01)
            body.count += 1

    dripping = asyncio.create_task(drip())
    with Watch(Timeouts(stall=60, low_speed=(1e6, 0.08)), body) as watch:
        with pytest.raises(TimeoutError):
            async with watch.bound:
                await body.receive()
        dripping.cancel()

    assert "the server sent less than 1e+06 bytes/s for 0.08 s" == watch.fault().message
    assert 0 < watch.received == body.count


async def test_interrupt() -> None:
    """Who gives a connection up need not wait for it to stall."""
    body = Silent()
    with Watch(PATIENT, body) as watch:
        asyncio.get_running_loop().call_later(0, watch.interrupt)
        with pytest.raises(TimeoutError):
            async with watch.bound:
                await body.receive()

    assert watch.age < 30


@pytest.mark.parametrize("turns", [0, 1])
async def test_interrupt_twice(turns: int) -> None:
    """Stalled and given up in the same moment, before or after the first has taken effect: no second fault."""
    body, loop = Silent(), asyncio.get_running_loop()
    faults: list[BaseException] = []

    def interrupt(again: int) -> None:
        try:
            watch.interrupt()
        except RuntimeError as error:
            faults.append(error)
        if again:
            loop.call_soon(interrupt, again - 1)

    with Watch(PATIENT, body) as watch:
        loop.call_later(0, interrupt, turns)
        with pytest.raises(TimeoutError):
            async with watch.bound:
                await body.receive()
    interrupt(0)

    assert [] == faults


async def test_cancelled_is_not_timed_out() -> None:
    """A cancellation that meets an interruption stays one."""
    body = Silent()

    async def work() -> None:
        with Watch(PATIENT, body) as watch:
            async with watch.bound:
                asyncio.get_running_loop().call_soon(watch.interrupt)
                await body.receive()

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task


async def test_looks_no_more_once_left() -> None:
    """No timer stays behind, whether it ended well or not."""
    loop = asyncio.get_running_loop()
    with Watch(PATIENT, Silent()):
        pass
    with pytest.raises(KeyError), Watch(QUICK, Silent()):
        raise KeyError
    pending = [handle for handle in loop._scheduled if not handle.cancelled()]  # type: ignore[attr-defined]

    assert [] == [handle for handle in pending if "_look" in repr(handle)]


async def test_bytes_keep_it_alive() -> None:
    """As long as something comes, nobody interrupts."""
    body = Silent()
    with Watch(Timeouts(stall=0.4, low_speed=None), body) as watch:
        async with watch.bound:
            for _ in range(60):
                await asyncio.sleep(0.01)
                body.count += 1000

    assert not watch.bound.expired()
    assert (watch.keeper.rate or 0) > 0


async def test_tells_that_it_looked() -> None:
    """After each look at a body that gets on, and not after one that found it dead."""
    body = Silent()
    looks: list[int] = []
    with Watch(QUICK, body) as watch:

        def looked() -> None:
            looks.append(body.count)
            body.count += 1000 if len(looks) < 3 else 0

        watch.looked = looked
        body.count = 500
        with pytest.raises(TimeoutError):
            async with watch.bound:
                await body.receive()
        alive = len(looks)
        await asyncio.sleep(3 * watch.keeper.interval)

        assert watch.bound.expired()
    assert 3 <= alive == len(looks)
    assert [500, 1500, 2500] == looks[:3]
