"""The server of the soak, in a process of its own: a share of all requests goes wrong, by a seed."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import random
import sys
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, urlsplit

from asyncdl.testing import Content, Fault, Origin, OriginProcess, RequestRecord
from asyncdl.testing.connection import RequestHead
from asyncdl.testing.response import Response, plain

KIB: Final = 1024
SIZES: Final = (0, 1, 70_001, 1 << 20, (5 << 20) + 13, 24 << 20)
#: Bytes per second of each connection: the large objects outlive their URLs.
RATE: Final = 6e6
#: Requests remembered; a day has millions.
_REMEMBERED: Final = 5000
_START: Final = 20.0
_END: Final = 5.0

FAULTS: Final[dict[str, dict[str, object]]] = {
    "drop": {"drop_after": 50 * KIB},
    "drop at once": {"drop_after": 0},
    "reset": {"reset_after": 20 * KIB},
    "stall": {"stall_after": 10 * KIB},
    "silence": {"stall_headers": True},
    "503": {"status": 503},
    "429": {"status": 429, "headers": {"Retry-After": "1"}},
    "wrong range": {"shift": 7},
    "wrong header": {"shift_header": 1},
    "403": {"status": 403},
    "drip": {"drip": (100, 0.02)},
}


class Dice:
    """Which requests go wrong and how: by the seed, the path and the how-manieth request for it."""

    def __init__(self, seed: int, share: float) -> None:
        self._seed, self._share = seed, share
        self._last: tuple[RequestRecord | None, str | None] = (None, None)
        self._served: dict[tuple[str, int | None], None] = {}
        self.thrown: Counter[str] = Counter()

    def fault(self, record: RequestRecord) -> str | None:
        """The fault's name, or None; the same however often it is asked."""
        if self._last[0] is not record:
            self._last = (record, self._throw(record))
        return self._last[1]

    def _throw(self, record: RequestRecord) -> str | None:
        rng = random.Random(f"{self._seed} {record.path} {record.index}")
        name = rng.choice(list(FAULTS)) if rng.random() < self._share else None
        url = (record.path, record.generation)
        if name == "403" and (record.generation is None or url not in self._served):
            # Nothing can be done about an unsigned URL, and a second new URL that is refused is final, as it should be.
            name = None
        self._served[url] = None
        if len(self._served) > _REMEMBERED:
            del self._served[next(iter(self._served))]
        if name:
            self.thrown[name] += 1
        return name


class SoakOrigin(Origin):
    """Serves one object of each size; control requests as those of `asyncdl.testing.process`."""

    def __init__(self, *, seed: int, share: float) -> None:
        super().__init__(seed=seed, rate=RATE)
        self._dice = Dice(seed, share)
        for size in SIZES:
            self.add(f"/{size}", size)
        for name, what in FAULTS.items():
            self.script(Fault(when=lambda record, name=name: self._dice.fault(record) == name, **what))  # type: ignore[arg-type,misc]  # see FAULTS

    def control(self, head: RequestHead) -> Response | None:
        """A signed URL, or how often what went wrong."""
        self._forget()
        split = urlsplit(head.target)
        if split.path == "/_ledger":
            return plain(200, json.dumps(self._dice.thrown).encode())
        if split.path.startswith("/_presign/"):
            ttl = float(parse_qs(split.query)["ttl"][0])
            return plain(200, self.presign(split.path.removeprefix("/_presign"), ttl=ttl).encode())
        return None

    def _forget(self) -> None:
        if len(self.ledger.requests) > 2 * _REMEMBERED:
            del self.ledger.requests[:_REMEMBERED]
            self._signer._grants = {
                name: grant for name, grant in self._signer._grants.items() if grant.expires > self.now() - _END
            }


@contextlib.asynccontextmanager
async def soak_origin(*, seed: int, share: float) -> AsyncIterator[dict[int, OriginProcess]]:
    """Run the server; its objects by size.

    Raises:
        TimeoutError: the process did not start.
    """
    root = str(Path(__file__).parents[2])
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", __name__, "--seed", str(seed), "--share", str(share)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))},
    )
    try:
        async with asyncio.timeout(_START):
            line = await process.stdout.readline()  # type: ignore[union-attr]  # a pipe
        base_url = json.loads(line)["url"]
        yield {size: OriginProcess(base_url, f"/{size}", Content(seed, size)) for size in SIZES}
    finally:
        try:
            async with asyncio.timeout(_END):
                await process.communicate(b"")
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()


async def _serve(seed: int, share: float) -> None:
    async with SoakOrigin(seed=seed, share=share) as origin:
        print(json.dumps({"url": origin.base_url}), flush=True)
        reader = asyncio.StreamReader()
        loop = asyncio.get_running_loop()
        transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        await reader.read()  # until the parent closes it, or is gone
        transport.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--share", type=float, required=True)
    options = parser.parse_args()
    asyncio.run(_serve(options.seed, options.share))
