"""Ctrl-C and SIGTERM: the first cancels the work and lets it clean up, the second ends the process at once."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import threading
from typing import TYPE_CHECKING, Any, Final

from asyncdl.cli import exit_codes

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator
    from types import FrameType

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


def run_interruptible(
    main: Callable[[], Coroutine[Any, Any, int]],
    *,
    on_interrupt: Callable[[signal.Signals], None],
    on_abort: Callable[[], None],
) -> int:
    """Run `main` to its end on a new event loop; its exit code, or that of the signal which cut it short.

    Args:
        main: the work, as a function that begins it.
        on_interrupt: called when everything has been cleaned up after a first signal.
        on_abort: called just before the process ends on a second one; must be quick.
    """
    watch = _Watch(on_abort)
    with _handlers_restored():
        try:
            with asyncio.Runner() as runner:
                return runner.run(watch.over(main))
        except (asyncio.CancelledError, KeyboardInterrupt):
            # A KeyboardInterrupt came before our handlers were there, or where the loop cannot have any.
            if watch.received is None and threading.current_thread() is not threading.main_thread():
                raise
            received = watch.received or signal.SIGINT
            on_interrupt(received)
            return exit_codes.of_signal(received)


class _Watch:
    def __init__(self, on_abort: Callable[[], None]) -> None:
        self.received: signal.Signals | None = None
        self._on_abort = on_abort

    async def over(self, main: Callable[[], Coroutine[Any, Any, int]]) -> int:
        loop = asyncio.get_running_loop()
        task = asyncio.current_task()
        # Not on Windows, and not outside the main thread.
        with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
            for number in _SIGNALS:
                loop.add_signal_handler(number, self._first, number, loop, task)
        return await main()

    def _first(self, number: signal.Signals, loop: asyncio.AbstractEventLoop, task: asyncio.Task[int]) -> None:
        if self.received is not None:
            # Both signals arrived before the loop looked.
            self._abort(number, None)
        self.received = number
        for each in _SIGNALS:
            # From here on by the interpreter itself: a second signal works even while the loop is stuck or closing.
            loop.remove_signal_handler(each)
            signal.signal(each, self._abort)
        task.cancel()

    def _abort(self, number: int, _frame: FrameType | None) -> None:
        try:
            self._on_abort()
        finally:
            os._exit(exit_codes.of_signal(number))


@contextlib.contextmanager
def _handlers_restored() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            for number, handler in before.items():
                if handler is not None:
                    signal.signal(number, handler)
