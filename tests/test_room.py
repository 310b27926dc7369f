"""Room for chunks that downloads share: counted once each, given back once each, also by those that fail."""

from __future__ import annotations

import asyncio

import pytest

from asyncdl.model import Chunk
from asyncdl.room import Room, Share


def chunk(at: int, returned: list[int] | None = None) -> Chunk:
    """One that says where it is."""
    return Chunk(at, bytes([at]) * 4, None if returned is None else lambda: returned.append(at))


def free(room: Room) -> int:
    """Places that are free."""
    return room._places._value  # there is no other way to see it


async def test_one_bound_for_all() -> None:
    """Two downloads with queues of their own have no more chunks between them than there is room for."""
    room = Room(3)
    one, other = (Share(asyncio.Queue(10), room) for _ in range(2))
    await one.put(chunk(0))
    await one.put(chunk(1))
    assert not other.full()
    await other.put(chunk(2))

    assert one.full()
    assert other.full()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(other.put(chunk(3)), 0.01)


async def test_given_back_once_written() -> None:
    """A released chunk makes room, and what it was lent goes back too; a second release changes nothing."""
    room, queue, returned = Room(1), asyncio.Queue[Chunk | None](4), list[int]()
    share = Share(queue, room)
    await share.put(chunk(7, returned))
    waiting = asyncio.create_task(share.put(chunk(8, returned)))
    await asyncio.sleep(0)
    assert not waiting.done()
    first = queue.get_nowait()
    assert first is not None
    first.release()
    first.release()
    await asyncio.wait_for(waiting, 60)

    assert [7] == returned
    assert 0 == free(room)


async def test_what_a_failed_download_leaves() -> None:
    """Chunks that nobody will release are given back together, and a late release is not counted again."""
    room, queue, returned = Room(3), asyncio.Queue[Chunk | None](4), list[int]()
    share = Share(queue, room)
    for at in range(3):
        await share.put(chunk(at, returned))
    share.close()
    assert 3 == free(room)
    late = queue.get_nowait()
    assert late is not None
    late.release()

    assert 3 == free(room)
    assert [0] == returned


async def test_cancelled_before_the_queue_has_it() -> None:
    """One that is cancelled while its queue is full keeps its chunk as it was, and takes no room."""
    room, returned = Room(3), list[int]()
    share = Share(asyncio.Queue(1), room)
    await share.put(chunk(0))
    mine = chunk(1, returned)
    waiting = asyncio.create_task(share.put(mine))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting

    assert 2 == free(room)
    mine.release()
    assert [1] == returned
    assert 2 == free(room)
