"""Blocking calls in threads: short ones one after another, and those that take their time each at once.

Each thread that runs Python wants the interpreter's lock for itself, and the event loop has to get it back from each;
so calls that take some microseconds are done soonest by one, and more help where a call takes long. What is known to
take long, as a large write or a sync does, has a thread of its own.

The threads are not of the loop's own pool: `asyncio.run` waits for those without a bound, and so would whoever gave up
on a disk that hangs; and where others keep that pool busy, nothing would be done here.

Calls that end in the same last step, as files do that appear in one directory, take it together: once for all of them.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Generic, TypeAlias, TypeVar
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from _thread import LockType

T = TypeVar("T")

#: What the threads are called.
NAME: Final = "asyncdl errands"
#: Most threads of one loop: what they wait for is one disk, or a few.
MOST: Final = 16
#: Seconds that a call waits before another thread comes to help.
_PATIENCE: Final = 0.002
#: Seconds after which a thread with nothing to do ends: it may outlive its loop for as long.
_IDLE: Final = 0.25
#: Calls that wait for the others before their last step is taken.
_MOST_HELD: Final = 16

# Nothing that is kept here between calls may lead to the loop: no loop would ever go.
_of_loops: WeakKeyDictionary[asyncio.AbstractEventLoop, Errands] = WeakKeyDictionary()
_long_of_loops: WeakKeyDictionary[asyncio.AbstractEventLoop, Errands] = WeakKeyDictionary()


@dataclass(frozen=True, slots=True)
class Joint(Generic[T]):
    """What a call returns whose last step may be taken together with that of others.

    Attributes:
        key: steps with equal keys do the same.
        step: blocks; once it has been taken for all whose calls have returned, their results are told.
        failed: the error for this call if the step raises this one.
    """

    key: Hashable
    step: Callable[[], None]
    failed: Callable[[OSError], Exception]
    result: T


_Outcome: TypeAlias = "asyncio.Future[Any]"


def errand(call: Callable[[], T | Joint[T]]) -> asyncio.Future[T]:
    """The outcome of `call`, which runs in a thread. Once begun, it goes on even if this is cancelled.

    Raises:
        RuntimeError: the system gives us no thread; `call` will not run.
    """
    return _those_in(_of_loops).run(call)


def long_errand(call: Callable[[], T]) -> asyncio.Future[T]:
    """As `errand`, for a call that takes long: it waits for no other. How many there are at once is the caller's."""
    return _those_in(_long_of_loops, at_once=True).run(call)


def _those_in(of_loops: WeakKeyDictionary[asyncio.AbstractEventLoop, Errands], *, at_once: bool = False) -> Errands:
    """The running loop's, made when first asked for."""
    loop = asyncio.get_running_loop()
    errands = of_loops.get(loop)
    if errands is None:
        errands = of_loops[loop] = Errands(at_once=at_once)
    return errands


class Errands:
    """Those of one event loop.

    Args:
        at_once: each call has a thread, however many there are.
    """

    def __init__(self, *, at_once: bool = False) -> None:
        self._at_once = at_once
        # To begin a thread makes objects: the collector may run there, and finalize whoever wants a call in his turn.
        self._lock = threading.RLock()
        #: Each idle thread waits to get its own; the one that has been idle for the shortest time is called first.
        self._bells: list[LockType] = []
        self._waiting: deque[tuple[Callable[[], Any], _Outcome]] = deque()
        self._held: list[tuple[Joint[Any], _Outcome]] = []
        self._busy = 0
        self._done: deque[tuple[_Outcome, Any, BaseException | None]] = deque()
        self._told = False
        self._help_is_due = False

    def run(self, call: Callable[[], T | Joint[T]]) -> asyncio.Future[T]:
        """See `errand`."""
        loop = asyncio.get_running_loop()
        outcome: asyncio.Future[T] = loop.create_future()
        with self._lock:
            at_work = self._busy > 0 and not self._at_once
            if not at_work:
                self._send_one()  # it looks for something to do once we are out of here
            self._waiting.append((call, outcome))
        if at_work:
            self._have_help(loop)
        return outcome

    def _have_help(self, loop: asyncio.AbstractEventLoop) -> None:
        if not self._help_is_due:
            self._help_is_due = True
            loop.call_later(_PATIENCE, self._send_help, loop)

    def _send_help(self, loop: asyncio.AbstractEventLoop) -> None:
        self._help_is_due = False
        with self._lock:
            # Where all are at work, each takes what waits when it comes back.
            if not self._waiting or self._busy >= MOST:
                return
            with contextlib.suppress(RuntimeError):  # no thread to be had: those at work will do it
                self._send_one()
        self._have_help(loop)

    def _send_one(self) -> None:
        if self._bells:
            self._bells.pop().release()
        else:
            # One that a disk never lets go must not keep the process from ending.
            threading.Thread(target=self._work, name=NAME, daemon=True).start()
        self._busy += 1

    def _work(self) -> None:
        bell = threading.Lock()
        bell.acquire()
        while (item := self._next(bell)) is not None:
            self._do(*item)
            del item  # it is not to be kept while there is nothing to do
        self._forget_closed()

    def _forget_closed(self) -> None:
        """What was told to a loop just before it was closed would keep that loop."""
        with contextlib.suppress(IndexError):
            if self._done[0][0].get_loop().is_closed():
                self._done.clear()

    def _next(self, bell: LockType) -> tuple[Callable[[], Any], _Outcome] | None:
        """What to do next; None after a while without."""
        while True:
            if self._held and (len(self._waiting) <= 1 or len(self._held) >= _MOST_HELD):
                # Before the last call that waits: nobody would come to help if that took long.
                self._take_last_steps()
            with self._lock:
                if self._waiting:
                    return self._waiting.popleft()
                if self._held:
                    continue
                self._busy -= 1
                self._bells.append(bell)
            if bell.acquire(timeout=_IDLE):
                continue
            with self._lock:
                if bell in self._bells:
                    self._bells.remove(bell)
                    return None
            bell.acquire()  # called at the very last moment

    def _do(self, call: Callable[[], Any], outcome: _Outcome) -> None:
        if outcome.cancelled():
            return
        try:
            result = call()
        except BaseException as error:  # noqa: BLE001  # it is for whoever waits
            self._tell(outcome, None, error)
            return
        if isinstance(result, Joint):
            with self._lock:
                self._held.append((result, outcome))
        else:
            self._tell(outcome, result, None)

    def _take_last_steps(self) -> None:
        with self._lock:
            held, self._held = self._held, []
        faults: dict[Hashable, BaseException | None] = {}
        for joint, outcome in held:
            if joint.key not in faults:
                faults[joint.key] = None
                try:
                    joint.step()
                except BaseException as error:  # noqa: BLE001  # it is for whoever waits
                    faults[joint.key] = error
            fault = faults[joint.key]
            self._tell(outcome, joint.result, joint.failed(fault) if isinstance(fault, OSError) else fault)

    def _tell(self, outcome: _Outcome, result: object, error: BaseException | None) -> None:
        self._done.append((outcome, result, error))
        if not self._told:
            self._told = True
            try:
                outcome.get_loop().call_soon_threadsafe(self._hand_out)
            except RuntimeError:  # the loop is closed: nobody waits any more
                self._done.clear()
                self._told = False

    def _hand_out(self) -> None:
        self._told = False  # before the first look: what comes later is told again
        while self._done:
            outcome, result, error = self._done.popleft()
            if outcome.done():
                continue
            if error is None:
                outcome.set_result(result)
                continue
            if isinstance(error, StopIteration):  # no future takes one
                said, error = error, RuntimeError("the call raised StopIteration")
                error.__cause__ = said
            outcome.set_exception(error)
