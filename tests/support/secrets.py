"""Listening at every place where a secret could come out: logs, warnings, hooks, exceptions, reprs, file names."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
import traceback
import warnings
from collections.abc import Iterable, Iterator
from urllib.parse import quote, unquote


class Ears(logging.Handler):
    """Collects whatever is said anywhere while `listening`; `told` are the secrets found in it."""

    def __init__(self) -> None:
        super().__init__(logging.NOTSET)
        self.heard: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        # As written, and what another formatter would make of its parts.
        self.heard.append(f"{self.format(record)} {record.msg!r} {record.args!r}")

    def hear(self, *things: object) -> None:
        """Values as they show when printed."""
        self.heard += [f"{thing!r} {thing}" for thing in things]

    def hear_error(self, error: BaseException) -> None:
        """An exception, its attributes, and all that hangs on it."""
        self.heard += traceback.format_exception(error)
        seen: list[BaseException] = []
        left: list[BaseException | None] = [error]
        while left:
            link = left.pop()
            if link is None or any(link is known for known in seen):
                continue
            seen.append(link)
            self.heard.append(f"{link!r} {link} {link.args!r} {vars(link)!r}")
            left += [link.__cause__, link.__context__]
            left += link.exceptions if isinstance(link, BaseExceptionGroup) else ()

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Every logger at DEBUG, a loop that reports each of its steps, every warning, every hook."""
        root, loop = logging.getLogger(), asyncio.get_running_loop()
        level, debug, slow = root.level, loop.get_debug(), loop.slow_callback_duration
        hook, handler = sys.unraisablehook, loop.get_exception_handler()
        root.addHandler(self)
        root.setLevel(logging.DEBUG)
        loop.set_debug(True)
        loop.slow_callback_duration = 0.0
        loop.set_exception_handler(lambda _, context: self.hear(context))
        sys.unraisablehook = self.hear
        try:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                yield
            self.hear(*(warning.message for warning in caught))
        finally:
            sys.unraisablehook = hook
            loop.set_exception_handler(handler)
            loop.set_debug(debug)
            loop.slow_callback_duration = slow
            root.setLevel(level)
            root.removeHandler(self)

    def told(self, secrets: Iterable[str]) -> list[str]:
        """The secrets that came out, each with a line that holds it."""
        forms = {secret: {secret, unquote(secret), quote(secret, safe=""), quote(secret)} for secret in secrets}
        return [
            f"{secret}: {line}"
            for line in self.heard
            for secret, spellings in forms.items()
            if any(form in line for form in spellings)
        ]

    def heard_of(self, word: str) -> bool:
        """Whether a word that is no secret came out: the ears do hear."""
        return any(word in line for line in self.heard)
