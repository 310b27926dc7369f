"""Fetches one file with asyncdl, with the bounds that the other clients of the matrix are given."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import asyncdl

_IDLE = 3.0
_PART = 256 << 10


def renewing(port: int) -> asyncdl.UrlProvider:
    """A provider that asks the port for a URL each time."""

    async def provide(rejected: asyncdl.SignedUrl | None) -> str:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            return (await reader.read()).decode()
        finally:
            writer.close()

    return provide


async def fetch(errand: dict[str, Any], connections: int) -> None:
    await asyncdl.download(
        errand["url"] if errand["renewal"] is None else renewing(errand["renewal"]),
        errand["dest"],
        size=errand["declared"],
        options=asyncdl.Options(
            connections=connections,
            first_connections=connections,
            part_size=_PART,
            parallel_threshold=_PART,
            ca_file=errand["ca_file"],
            reuse_window=0.5,
            use_environment=False,
        ),
        timeouts=asyncdl.Timeouts(
            total=errand["patience"], connect=_IDLE, response=_IDLE, stall=_IDLE, low_speed=(1024, _IDLE)
        ),
        retry=asyncdl.Retry(attempts=10, base=0.1, cap=2.0),
    )


def main() -> None:
    try:
        asyncio.run(fetch(json.loads(sys.argv[1]), int(sys.argv[2])))
    except asyncdl.AsyncdlError as error:
        raise SystemExit(f"{error.code}: {error}") from None


if __name__ == "__main__":
    main()
