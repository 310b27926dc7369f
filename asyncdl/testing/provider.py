"""A URL provider that hands out an origin's short-lived URLs and remembers how it was asked."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from asyncdl.model import SignedUrl


class Provider:
    """An `asyncdl.UrlProvider`: each call signs a URL of a new generation.

        provider = origin.provider("/model", ttl=2.0)
        await asyncdl.download(provider, "model.bin")
        assert 3 == provider.calls

    Attributes:
        calls: so far, those still waiting included.
        rejected: the argument of each call, in order; None the first time.
        urls: what was returned, in order. They are signed: do not print them.
        max_concurrent: most calls that ever ran at the same time.
    """

    def __init__(self, mint: Callable[[], str | Awaitable[str]], *, delay: float = 0.0) -> None:
        self.calls: int = 0
        self.rejected: list[SignedUrl | None] = []
        self.urls: list[str] = []
        self.max_concurrent: int = 0
        self._mint = mint
        self._delay = delay
        self._running = 0

    async def __call__(self, rejected: SignedUrl | None = None) -> str:
        """A fresh URL, after `delay` seconds."""
        self.calls += 1
        self.rejected.append(rejected)
        self._running += 1
        self.max_concurrent = max(self.max_concurrent, self._running)
        try:
            if self._delay:
                await asyncio.sleep(self._delay)
            made = self._mint()
            url = made if isinstance(made, str) else await made
        finally:
            self._running -= 1
        self.urls.append(url)
        return url
