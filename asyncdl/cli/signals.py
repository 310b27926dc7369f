"""Ctrl-C, SIGTERM and SIGHUP: the first cancels the work and lets it clean up, the second ends the process at once."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import threading
from typing import TYPE_CHECKING, Any, Final

from asyncdl.cli import exit_codes

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from types import FrameType

#: Windows has no SIGHUP.
_SIGNALS: Final = tuple(
    signal.Signals[name] for name in ("SIGINT", "SIGTERM", "SIGHUP") if name in signal.Signals.__members__
)


def _watched() -> tuple[signal.Signals, ...]:
    """All of them; but under nohup, which is there to have SIGHUP ignored, not that one."""
    return tuple(
        number for number in _SIGNALS if number.name != "SIGHUP" or signal.getsignal(number) is not signal.SIG_IGN
    )


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
    before = {number: signal.getsignal(number) for number in _watched()}
    watch = _Watch(tuple(before), on_abort)
    try:
        with asyncio.Runner() as runner:
            code = runner.run(watch.over(main))
    except KeyboardInterrupt:
        # It came before our handlers were there, or where the loop cannot have any.
        watch.received = watch.received or signal.SIGINT
        code = exit_codes.ExitCode.INTERNAL
    except asyncio.CancelledError:
        if watch.received is None:
            raise
        code = exit_codes.ExitCode.INTERNAL
    if watch.received is None:
        _restore(before)
        return code
    # The handlers stay: a second signal must work while the interpreter waits for a thread inside a write.
    if code == exit_codes.ExitCode.OK:
        return code
    on_interrupt(watch.received)
    return exit_codes.of_signal(watch.received)


class _Watch:
    def __init__(self, signals: tuple[signal.Signals, ...], on_abort: Callable[[], None]) -> None:
        self._signals = signals
        self.received: signal.Signals | None = None
        self._on_abort = on_abort

    async def over(self, main: Callable[[], Coroutine[Any, Any, int]]) -> int:
        loop = asyncio.get_running_loop()
        task = asyncio.current_task()
        # Not on Windows, and not outside the main thread.
        with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
            for number in self._signals:
                loop.add_signal_handler(number, self._first, number, loop, task)
        return await main()

    def _first(self, number: signal.Signals, loop: asyncio.AbstractEventLoop, task: asyncio.Task[Any] | None) -> None:
        if self.received is not None:
            # Both signals arrived before the loop looked.
            self._abort(number, None)
        self.received = number
        for each in self._signals:
            # From here on by the interpreter itself: a second signal works even while the loop is stuck or closing.
            loop.remove_signal_handler(each)
            signal.signal(each, self._abort)
        if task is not None:
            task.cancel()

    def _abort(self, number: int, _frame: FrameType | None) -> None:
        try:
            self._on_abort()
        finally:
            os._exit(exit_codes.of_signal(number))


def _restore(handlers: dict[signal.Signals, Any]) -> None:
    if threading.current_thread() is threading.main_thread():
        for number, handler in handlers.items():
            if handler is not None:
                signal.signal(number, handler)
