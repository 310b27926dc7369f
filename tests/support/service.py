"""HTTP services that answer as a test tells them to, over aiohttp."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, cast

from aiohttp import web


class Service:
    """A server that answers as it is told to, and keeps what it was asked."""

    def __init__(self) -> None:
        self.url = ""
        self.answer: Callable[[web.Request], web.StreamResponse] = lambda _: web.Response()
        self.asked: list[tuple[web.Request, bytes]] = []

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Whatever is asked."""
        self.asked.append((request, await request.read()))
        return self.answer(request)


@asynccontextmanager
async def serving(handle: Callable[[web.Request], Any]) -> AsyncIterator[str]:
    """An aiohttp server with one handler, on a port of the system's choice; its URL."""
    runner = web.ServerRunner(web.Server(cast("Any", handle), handler_cancellation=True), shutdown_timeout=1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
