"""The process that forks downloading ones, with everything imported. Lives come as JSON lines, their ends go back.

A life says on a pipe of its own, once for every disk call, which call it was and how many bytes `.part` got so far.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import logging
import os
import selectors
import signal
import sys
import time
from dataclasses import asdict
from typing import Any, NoReturn
from unittest import mock

import aiohttp  # noqa: F401  # imported before the first fork, as all that follows
import anyio.to_thread  # noqa: F401

import asyncdl
import asyncdl.calls
from asyncdl import engine, large, writer
from asyncdl.edge import files, hashing
from tests.kill.doomed import Doomed, Forgetful
from tests.kill.lives import HANGS, End, Life

_TIMEOUTS = asyncdl.Timeouts(connect=10, response=20, stall=20, low_speed=None)
_RETRY = asyncdl.Retry(base=0.01, cap=0.05)


async def _download(life: Life, pipe: int) -> dict[str, Any]:
    def said(name: str, written: int) -> None:
        os.write(pipe, f"{name} {written}\n".encode())

    kind = Forgetful if life.mutant == "loses writes" else Doomed
    disk = kind(said, life.kill, life.locks)
    flush = 1 << 60 if life.mutant == "claims nothing" else life.flush
    with contextlib.ExitStack() as stack:
        stack.enter_context(mock.patch.object(engine, "OsDisk", return_value=disk))
        stack.enter_context(mock.patch.object(writer, "FLUSH_MOST", flush))
        if life.beat is not None:
            for module in (large, files):
                stack.enter_context(mock.patch.object(module, "BEAT", life.beat))
        try:
            result = await asyncdl.download(
                life.url,
                life.dest,
                size=life.size,
                checksum=life.checksum,
                if_exists=life.if_exists,
                options=asyncdl.Options(
                    connections=life.connections,
                    part_size=life.part_size,
                    parallel_threshold=2 * life.part_size,
                    chunk_size=life.chunk_size,
                    queue_depth=life.queue_depth,
                    preallocate=life.preallocate,
                    use_environment=False,
                ),
                timeouts=_TIMEOUTS,
                retry=_RETRY,
            )
        except asyncdl.AsyncdlError as error:
            return {"outcome": error.code, "message": str(error)}
    return {"outcome": result.outcome.value, "fetched": result.fetched, "resumed": result.resumed}


def _child(life: Life, pipe: int) -> NoReturn:
    status = 1
    try:
        found = asyncio.run(_download(life, pipe))
        status = 0
    except BaseException as error:  # noqa: BLE001  # a fork must never return into its parent's code
        found = {"outcome": type(error).__name__, "message": str(error)}
    finally:
        with contextlib.suppress(Exception):
            os.write(pipe, json.dumps(found).encode() + b"\n")
        os._exit(status)


class _Child:
    """One life, as seen by its parent."""

    def __init__(self, life: Life) -> None:
        self.life = life
        self.written = 0
        self._calls: list[str] = []
        self._rest = b""
        self._found: dict[str, Any] = {}
        self._status = 0
        self.hung = False
        self.pipe, theirs = os.pipe()
        self._pid = os.fork()
        if not self._pid:
            os.close(self.pipe)
            _child(life, theirs)
        os.close(theirs)

    def read(self) -> bool:
        """Take what it says; False when it has ended."""
        data = os.read(self.pipe, 1 << 16)
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            if line.startswith(b"{"):
                self._found = json.loads(line)
            else:
                name, written = line.decode().split()
                self._calls.append(name)
                self.written = int(written)
        kill = self.life.kill
        if data and kill and kill.how == "outside" and self.written >= kill.at:
            self.kill()
        if not data:
            os.close(self.pipe)
            self._status = os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])
        return bool(data)

    def kill(self) -> None:
        os.kill(self._pid, signal.SIGKILL)

    @property
    def end(self) -> End:
        found = {"outcome": "hung"} if self.hung else self._found
        return End(status=self._status, written=self.written, calls=tuple(self._calls), **found)


def live(lives: list[Life]) -> list[End]:
    """Fork them, each when the one before it is far enough or has ended, and outlive them."""
    waiting = lives[:]
    children: list[_Child] = []
    deadline = time.monotonic() + HANGS
    with selectors.DefaultSelector() as selector:
        while waiting or selector.get_map():
            last = children[-1] if children else None
            if waiting and (last is None or last.written >= waiting[0].after or last.pipe not in selector.get_map()):
                children.append(_Child(waiting.pop(0)))
                selector.register(children[-1].pipe, selectors.EVENT_READ, children[-1])
                continue
            ready = selector.select(max(0.1, deadline - time.monotonic()))
            for key, _ in ready:
                selector.unregister(key.fd)
                if key.data.read():
                    selector.register(key.fd, selectors.EVENT_READ, key.data)
            if not ready:
                for key in list(selector.get_map().values()):
                    key.data.hung = True
                    key.data.kill()
    return [child.end for child in children]


def main() -> None:
    hashing.available("crc64nvme")
    # What a life that begins anew warns of is what is tested.
    logging.getLogger("asyncdl").addHandler(logging.NullHandler())
    gc.freeze()
    for line in sys.stdin.buffer:
        ends = live([Life.from_json(life) for life in json.loads(line)])
        print(json.dumps([asdict(end) for end in ends]), flush=True)


if __name__ == "__main__":
    main()
