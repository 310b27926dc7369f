"""Blocking calls in worker threads that are waited for, even by a task that is being cancelled.

A descriptor closed under a running write could be another file's by the time the bytes land; so a cancelled task
waits for its call to end, for as long as `GRACE`, and a call that takes longer owns what it uses until it ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from typing import Generic, TypeVar

from asyncdl.edge.errands import Joint, errand, long_errand

T = TypeVar("T")

#: Seconds a cancelled task waits for the blocking call that is under way.
GRACE = 2.0


class Worker:
    """Runs one blocking call at a time in each lane; `close` runs after the last of all, at once or in its thread.

    Args:
        release: gives back what the calls use (a descriptor); called exactly once, from any thread.
    """

    def __init__(self, release: Callable[[], None]) -> None:
        self._release = release
        self._lanes: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._lock = threading.Lock()
        self._running = 0
        self._closed = False

    async def run(self, call: Callable[[], T], *, lane: str = "") -> T:
        """The result of `call`. A cancellation is raised after the call has ended, or after `GRACE` seconds.

        Raises:
            RuntimeError: the system gives us no thread.
        """
        with self._lock:
            self._running += 1
        turn = self._lanes[lane]
        try:
            await turn.acquire()
            try:
                running = long_errand(partial(self._guarded, call))
            except BaseException:
                turn.release()
                raise
        except BaseException:
            self._end()
            raise
        # Not before the call has ended, however little anybody still waits for it.
        running.add_done_callback(lambda _: turn.release())
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            await _outwait(running)
            raise

    def _guarded(self, call: Callable[[], T]) -> T:
        try:
            return call()
        finally:
            self._end()

    def _end(self) -> None:
        with self._lock:
            self._running -= 1
            last = self._closed and not self._running
        if last:
            self._release()

    def close(self) -> None:
        """Release now if no call is running, else when the last one ends. Closing again does nothing."""
        with self._lock:
            now = not self._closed and not self._running
            self._closed = True
        if now:
            self._release()

    async def aclose(self) -> None:
        """Release in a worker thread; where a call is still running, that call does it, and is not waited for."""
        with self._lock:
            idle = not self._running and not self._closed
        try:
            if idle:
                await self.run(self.close)
        finally:
            self.close()


class Errand(Generic[T]):
    """One blocking call that owns all it uses, and gives it back itself.

    Args:
        call: given this object.

    Attributes:
        called_off: whoever waited for it was cancelled: what is not final yet should not become so.
    """

    __slots__ = ("_call", "_ended", "_lock", "_running", "called_off")

    def __init__(self, call: Callable[[Errand[T]], T | Joint[T]]) -> None:
        self._call = call
        self._lock = threading.Lock()
        self._running = False
        self._ended: asyncio.Future[None] | None = None
        self.called_off: bool = False

    async def run(self) -> T:
        """The result of the call. A cancellation is raised after that has ended, or after `GRACE` seconds."""
        try:
            return await errand(self._guarded)
        except asyncio.CancelledError:
            with self._lock:
                self.called_off = True
                if self._running:
                    self._ended = asyncio.get_running_loop().create_future()
            if self._ended is not None:
                await _outwait(self._ended)
            raise

    def _guarded(self) -> T | Joint[T]:
        with self._lock:
            if self.called_off:
                raise RuntimeError("nobody waits for this call any more")
            self._running = True
        try:
            return self._call(self)
        finally:
            with self._lock:
                self._running = False
                ended = self._ended
            if ended is not None:
                with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                    ended.get_loop().call_soon_threadsafe(_set, ended)


def _set(ended: asyncio.Future[None]) -> None:
    if not ended.done():
        ended.set_result(None)


async def _outwait(running: asyncio.Future[T]) -> None:
    """Wait for a call whose task is cancelled already; further cancellations do not shorten the wait."""
    loop = asyncio.get_running_loop()
    until = loop.time() + GRACE
    while not running.done() and (left := until - loop.time()) > 0:
        with contextlib.suppress(asyncio.CancelledError):  # the caller raises the one that brought it here
            await asyncio.wait({running}, timeout=left)
    # What the call raises is of no interest any more, but must not be reported as never retrieved.
    running.add_done_callback(lambda ended: None if ended.cancelled() else ended.exception() and None)
