"""Settings that make whole downloads quick to test: small parts, short waits, the same code paths."""

from __future__ import annotations

from typing import Any

import asyncdl
from asyncdl.testing import Content

KIB = 1024
PART = 64 * KIB
#: For what is quick: only what hangs reaches these, however busy the machine is. Who waits for one, sets his own.
QUICK = asyncdl.Timeouts(connect=30, response=30, stall=30, low_speed=None, refresh=30)
EAGER = asyncdl.Retry(base=0.005, cap=0.02)


def small(connections: int = 4, **changes: Any) -> asyncdl.Options:
    """Options with parts of 64 KiB, so that a file of 1 MiB has sixteen of them, and all connections at once."""
    defaults: dict[str, Any] = {
        "connections": connections,
        "first_connections": connections,
        "part_size": PART,
        "parallel_threshold": 2 * PART,
        "chunk_size": 16 * KIB,
        "queue_depth": 8,
        "use_environment": False,
    }
    return asyncdl.Options(**(defaults | changes))


async def fetch(source: asyncdl.model.Source, dest: Any, **changes: Any) -> asyncdl.Result:
    """`asyncdl.download` with those settings."""
    defaults: dict[str, Any] = {"options": small(), "timeouts": QUICK, "retry": EAGER}
    return await asyncdl.download(source, dest, **(defaults | changes))


def holds(dest: Any, content: Content) -> bool:
    """Whether `dest` is exactly `content`."""
    return content.first_difference(dest) is None


def absent(dest: Any) -> bool:
    """Whether nothing appeared at the destination."""
    return not dest.exists()
