"""Threads without chance: blocking calls on the loop itself, or in threads of which one goes on at a time."""

from __future__ import annotations

import asyncio
import contextlib
import random
import selectors
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar
from unittest import mock

from asyncdl import crew
from asyncdl.edge import errands, threads

T = TypeVar("T")


class _Inline(ThreadPoolExecutor):
    """Has done the work when it has taken it."""

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        done: Future[T] = Future()
        try:
            done.set_result(fn(*args, **kwargs))
        except BaseException as error:  # noqa: BLE001  # it is for whoever waits
            done.set_exception(error)
        return done


class _AtOnce(errands.Errands):
    """Has run the errand when it has taken it."""

    def run(self, call: Callable[[], T | errands.Joint[T]]) -> asyncio.Future[T]:
        outcome: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._do(call, outcome)
        self._take_last_steps()
        self._hand_out()
        return outcome


@contextlib.contextmanager
def on_the_loop() -> Iterator[None]:
    """What would run in a thread runs at once, as `new_loop` has it: quick, and the same each time."""
    # Nobody waits to see how quick the first connection is: others would never be due while it has something to do.
    with mock.patch.object(crew, "FIRST_LOOK", 0.0):
        yield


class _Loop(asyncio.SelectorEventLoop):
    """Its clock stands while there is something to do, and then jumps to the next timer."""

    def __init__(self) -> None:
        self._now = 0.0
        selector = selectors.DefaultSelector()
        select = selector.select

        def jump(timeout: float | None = None) -> Any:
            events = select(timeout and 0)
            if not events:
                self._now += timeout or 0.0
            return events

        selector.select = jump  # type: ignore[method-assign]  # there is no other place
        super().__init__(selector)

    def time(self) -> float:
        return self._now


def new_loop() -> asyncio.AbstractEventLoop:
    """A loop without threads, without a real clock, and without the checks that make it slow."""
    loop = _Loop()
    loop.set_debug(False)
    loop.set_default_executor(_Inline(1))
    errands._of_loops[loop] = errands._long_of_loops[loop] = _AtOnce()
    return loop


class _Thread:
    """One blocking call, which goes from one `pause` to the next when it is told to."""

    def __init__(self, call: Callable[[], Any]) -> None:
        self._arrived, self._told = threading.Semaphore(0), threading.Semaphore(0)
        self._call, self._free = call, False
        self.ended = False
        self.outcome: Future[Any] = Future()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self, local: threading.local) -> None:
        """Run to the first pause, or the end."""
        self._local = local
        self._thread.start()
        self._arrived.acquire()

    def _run(self) -> None:
        self._local.thread = self
        try:
            self.outcome.set_result(self._call())
        except BaseException as error:  # noqa: BLE001  # it is for whoever waits
            self.outcome.set_exception(error)
        self.ended = True
        self._arrived.release()

    def pause(self) -> None:
        if not self._free:
            self._arrived.release()
            self._told.acquire()

    def go_on(self) -> None:
        """Run to the next pause, or the end."""
        self._told.release()
        self._arrived.acquire()

    def finish(self) -> None:
        """Run to the end."""
        if not self.ended:
            self._free = True
            self.go_on()
        self._thread.join()


class Steps:
    """Runs blocking calls in threads, which take turns where they call `pause`; the seed says in which order."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._local = threading.local()

    def pause(self) -> None:
        """Others may go on here; does nothing outside of such a thread."""
        thread: _Thread | None = getattr(self._local, "thread", None)
        if thread is not None:
            thread.pause()

    @contextlib.contextmanager
    def taken(self) -> Iterator[None]:
        """What would run in a thread runs in one of these."""
        with on_the_loop(), mock.patch.object(threads, "long_errand", self._begin):
            yield

    def _begin(self, call: Callable[[], T]) -> asyncio.Future[T]:
        return asyncio.ensure_future(self._run(call))

    async def _run(self, call: Callable[[], T]) -> T:
        thread = _Thread(call)
        try:
            thread.start(self._local)
            while not thread.ended:
                for _turn in range(self._rng.randrange(4)):
                    await asyncio.sleep(0)
                thread.go_on()
        finally:
            thread.finish()
        result: T = thread.outcome.result()
        return result
