"""Planted secrets, and listening at every place where one could come out: logs, warnings, exceptions, reprs, names."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import logging
import os
import pickle
import sys
import traceback
import warnings
from collections.abc import Awaitable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit

import asyncdl
from asyncdl.testing import Origin
from tests.support.flow import fetch, small

# Short, so that half of what surrounds them is enough; with characters that are written in several ways.
TOKEN = "tq7%2Bf3%2F9e"
USER, PASSWORD = "uq8a41c", "pq9d22%3D"
CALLERS, SIGNED = "hq5b77+x", "sq6c88/y"
ELSEWHERE = "eq4d55%2Bz"
PROXYS = "xq3e66p"
NETRC = "nq2f33r"
MARKERS = [TOKEN, USER, PASSWORD, CALLERS, SIGNED, ELSEWHERE, PROXYS, NETRC]

HEADERS = {"X-Api-Key": CALLERS, "Cookie": f"session={CALLERS}"}
#: Not beside a user in the URL: there can be one Authorization only.
BEARER = HEADERS | {"Authorization": f"Bearer {CALLERS}"}
OF_THE_URL = (("X-Amz-Security-Token", SIGNED), ("X-Signed-For", SIGNED))
#: For who says nothing any more; what is sent by others must not take so long on the busiest machine.
QUICK = asyncdl.Timeouts(connect=60, response=2, stall=2, low_speed=None, refresh=2)
RETRY = asyncdl.Retry(attempts=2, base=0.001, cap=0.002)


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
            self.heard.append(f"{link!r} {link} {link.args!r} {vars(link)!r} {getattr(link, '__notes__', ())!r}")
            # How an error travels to another process; the protocol that is text shows it as it is.
            with contextlib.suppress(pickle.PicklingError, TypeError, AttributeError):
                self.heard.append(pickle.dumps(link, 0).decode("latin-1"))
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
        forms = {secret: spellings(secret) for secret in secrets}
        return [
            f"{secret}: {line}"
            for line in self.heard
            for secret, ways in forms.items()
            if any(form in line for form in ways)
        ]

    def heard_of(self, word: str) -> bool:
        """Whether a word that is no secret came out: the ears do hear."""
        return any(word in line for line in self.heard)


def spellings(secret: str) -> set[str]:
    """A secret as it may be written: as it is, decoded, encoded, or in base64 at any place of a longer text."""
    plain = {secret, unquote(secret)}
    encoded = {quote(form, safe=safe) for form in plain for safe in ("", "/")}
    return plain | encoded | {core for form in plain for core in _in_base64(form)}


def _in_base64(secret: str) -> Iterator[str]:
    for before in range(3):
        # The first and the last characters hold bits of the neighbours too.
        yield base64.b64encode(bytes(before) + secret.encode()).decode().rstrip("=")[before + bool(before) : -1]


@dataclass
class Scene:
    """One download under observation.

    Attributes:
        secrets: what must not come out; signed URLs add theirs.
    """

    origin: Origin
    dest: Path
    ears: Ears = field(default_factory=Ears)
    secrets: set[str] = field(default_factory=lambda: set(MARKERS))

    @property
    def plain(self) -> str:
        """An unsigned URL with a token in its query, and a user and a password."""
        host = self.origin.base_url.removeprefix("http://")
        return f"http://{USER}:{PASSWORD}@{host}/object?format=bin&ticket={TOKEN}"

    def sign(self, *, path: str = "/object", ttl: float = 3600, skin: str = "s3v4") -> str:
        """A signed URL whose query has the token too; all of its longer values are secrets from here on."""
        url = self.origin.presign(f"{path}?response-content-disposition={TOKEN}", ttl=ttl, skin=skin)
        # Not the scopes and dates that anybody could write: they stand in other words too.
        self.secrets |= {value for _, value in parse_qsl(urlsplit(url).query) if len(value) >= 20}
        # asyncio shows 30 characters of a text in its middle shortened: half a signature is one still.
        self.secrets.add(url[-10:])
        return url

    async def run(self, *, cancel_after: Awaitable[object] | None = None, **changes: Any) -> BaseException | None:
        """Download, and look everywhere; what it raised, or None."""
        arguments: dict[str, Any] = {"source": asyncdl.SignedUrl(self.plain, headers=OF_THE_URL), "headers": HEADERS}
        arguments |= {"options": small(2), "timeouts": QUICK, "retry": RETRY} | changes
        error: BaseException | None = None
        with self.ears.listening():
            task = asyncio.create_task(
                fetch(
                    dest=self.dest,
                    on_progress=self.ears.hear,
                    **arguments,
                )
            )
            try:
                if cancel_after is not None:
                    await cancel_after
                    task.cancel()
                self.ears.hear(await task)
            except (Exception, asyncio.CancelledError) as caught:  # noqa: BLE001  # whatever it is, it is looked at
                self.ears.hear_error(caught)
                error = caught
            self.ears.hear(task)
        # Names, and what was left in a file that is not complete.
        for folder, _, names in os.walk(self.dest.parent):
            paths = [Path(folder, name) for name in names]
            self.ears.heard += map(str, paths)
            self.ears.heard += (path.read_bytes().decode("latin-1") for path in paths if path.suffix == ".part")
        return error

    def check(self) -> None:
        """Nothing came out, and something was heard."""
        assert [] == self.ears.told(self.secrets)
        assert self.ears.heard_of("Progress(done=")
        assert self.ears.heard_of("Task")
