"""Signed URLs and refusals for tests that have no server, and a provider that counts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from email.utils import formatdate

from asyncdl.model import SignedUrl
from asyncdl.rules.rejection import Refusal, RefusalKind
from tests.support.clock import EPOCH


def signed(number: int, *, dies: float | None = None, scheme: str = "https") -> str:
    """URL number `number`; with `dies`, its query says that it dies so many seconds after `EPOCH`."""
    expires = "" if dies is None else f"&Expires={round(EPOCH + dies)}"
    return f"{scheme}://bucket.example/object?Signature=signature-number-{number}{expires}"


def date(seconds: float = 0.0) -> str:
    """The Date header of a server whose clock shows `EPOCH` and so many seconds."""
    return formatdate(EPOCH + seconds, usegmt=True)


def refusal(kind: RefusalKind, *, status: int = 403, excerpt: str = "Request has expired") -> Refusal:
    """A refusal of a kind."""
    return Refusal(
        kind=kind, status=status, code=None, message=excerpt, excerpt=excerpt, retry_after=None, hint="look here"
    )


class Signer:
    """An async URL provider that counts, and can be held back.

    Args:
        mint: makes URL number n, from 0.
        gate: no call ends before it is set.

    Attributes:
        calls, running, most_running: begun so far; under way now; and at most at any time.
        asked: signalled by each call that begins.
        rejected: the argument of each call.
    """

    def __init__(self, mint: Callable[[int], SignedUrl | str] = signed, *, gate: asyncio.Event | None = None) -> None:
        self._mint, self.gate = mint, gate
        self.calls = self.running = self.most_running = 0
        self.asked = asyncio.Event()
        self.rejected: list[SignedUrl | None] = []

    async def __call__(self, rejected: SignedUrl | None) -> SignedUrl | str:
        number = self.calls
        self.calls += 1
        self.rejected.append(rejected)
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        self.asked.set()
        try:
            await asyncio.sleep(0)
            if self.gate is not None:
                await self.gate.wait()
        finally:
            self.running -= 1
        return self._mint(number)
