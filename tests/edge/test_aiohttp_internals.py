"""What is used of aiohttp without a public name is there: another version could switch protection off in silence."""

from __future__ import annotations

import asyncio

import aiohttp
from aiohttp.client_proto import ResponseHandler

from asyncdl.edge.http_connections import Connector


async def test_connections_speak_our_protocol() -> None:
    """The connector makes protocols of ours, and a protocol knows the body it is at."""
    async with aiohttp.TCPConnector() as plain, Connector(1.0) as ours:
        assert type(plain._factory()) is ResponseHandler
        assert isinstance(ours._factory(), ResponseHandler)
        assert type(ours._factory()) is not ResponseHandler
        assert ResponseHandler(asyncio.get_running_loop())._payload is None


async def test_session_knows_its_proxy() -> None:
    """What a session of a caller's was made with."""
    async with aiohttp.ClientSession(proxy="http://127.0.0.1:1") as session:
        assert "http://127.0.0.1:1" == str(session._default_proxy)
