"""Every byte that a server sends on one connection, for tests that look at heads, framing and what comes before."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from tests.support.rawclient import BOUND, connected, request_bytes, target_of


async def answer_bytes(
    url: str, *, span: tuple[int, int] | None = None, headers: Mapping[str, str] | None = None, method: str = "GET"
) -> bytes:
    """All bytes up to the server's FIN; `span` is the half-open range asked for."""
    sent = {"Connection": "close", **(headers or {})}
    if span is not None:
        sent["Range"] = f"bytes={span[0]}-{span[1] - 1}"
    async with connected(url) as (reader, writer), asyncio.timeout(BOUND):
        writer.write(request_bytes(target_of(url), sent, method))
        return await reader.read()


def head_lines(answer: bytes) -> list[bytes]:
    """Status line and header lines of the first response in an answer."""
    return answer.partition(b"\r\n\r\n")[0].split(b"\r\n")
