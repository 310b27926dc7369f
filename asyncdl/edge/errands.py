"""Short blocking calls: one thread runs them one after another, and more do where a call takes long.

Each thread that runs Python wants the interpreter's lock for itself, and the event loop has to get it back from each;
so calls that take some microseconds are done soonest by one. A disk that takes its time to sync is a different case.
"""

from __future__ import annotations

import asyncio
import concurrent.futures.thread  # noqa: F401  # the loop loads it late, when there may be no descriptor left to do so
import contextlib
import threading
from collections import deque
from collections.abc import Callable
from typing import Any, Final, TypeVar
from weakref import WeakKeyDictionary

T = TypeVar("T")

#: Seconds that a call waits before another thread comes to help; the loop's pool bounds how many there are.
_PATIENCE: Final = 0.002

_of_loops: WeakKeyDictionary[asyncio.AbstractEventLoop, Errands] = WeakKeyDictionary()


def errand(call: Callable[[], T]) -> asyncio.Future[T]:
    """The outcome of `call`, which runs in the loop's own pool. Once begun, it goes on even if this is cancelled."""
    loop = asyncio.get_running_loop()
    errands = _of_loops.get(loop)
    if errands is None:
        errands = _of_loops[loop] = Errands(loop)
    return errands.run(call)


class Errands:
    """Those of one event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._lock = threading.Lock()
        self._waiting: deque[tuple[Callable[[], Any], asyncio.Future[Any]]] = deque()
        self._threads = 0
        self._done: deque[tuple[asyncio.Future[Any], Any, BaseException | None]] = deque()
        self._told = False
        self._timer: asyncio.TimerHandle | None = None

    def run(self, call: Callable[[], T]) -> asyncio.Future[T]:
        """See `errand`."""
        outcome: asyncio.Future[T] = self._loop.create_future()
        with self._lock:
            self._waiting.append((call, outcome))
            idle = not self._threads
        if idle:
            self._send_one()
        elif self._timer is None:
            self._timer = self._loop.call_later(_PATIENCE, self._send_help)
        return outcome

    def _send_one(self) -> None:
        with self._lock:
            self._threads += 1
        try:
            # The pool keeps what it runs; nothing comes of it but what `_tell` tells.
            _ = self._loop.run_in_executor(None, self._work)
        except BaseException:
            self._threads -= 1
            raise

    def _send_help(self) -> None:
        self._timer = None
        if self._waiting:
            self._send_one()
            self._timer = self._loop.call_later(_PATIENCE, self._send_help)

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    self._threads -= 1
                    return
                call, outcome = self._waiting.popleft()
            if outcome.cancelled():
                continue
            try:
                self._tell(outcome, call(), None)
            except BaseException as error:  # noqa: BLE001  # it is for whoever waits
                self._tell(outcome, None, error)

    def _tell(self, outcome: asyncio.Future[Any], result: object, error: BaseException | None) -> None:
        self._done.append((outcome, result, error))
        if not self._told:
            self._told = True
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                self._loop.call_soon_threadsafe(self._hand_out)

    def _hand_out(self) -> None:
        self._told = False  # before the first look: what comes later is told again
        while self._done:
            outcome, result, error = self._done.popleft()
            if outcome.done():
                continue
            if error is None:
                outcome.set_result(result)
            else:
                outcome.set_exception(error)
