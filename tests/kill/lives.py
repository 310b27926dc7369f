"""What a life of a downloading process is: its settings, how it is to end, how it ended."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from asyncdl.model import IfExists
from tests.kill.doomed import Kill, Locks, Mutant

KIB: Final = 1024
ROOT: Final = Path(__file__).parents[2]
#: Seconds in which any life has ended by itself: hundreds of times what the longest takes.
HANGS: Final = 150.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """One process that downloads.

    Attributes:
        flush: bytes after which a claim begins.
        size: declared; None: not.
        beat: seconds between signs of life; None: as ever.
        mutant: what is wrong with it.
        after: bytes that the life before this one has written when this one begins.
    """

    url: str
    dest: str
    connections: int = 4
    part_size: int = 64 * KIB
    chunk_size: int = 16 * KIB
    queue_depth: int = 8
    flush: int = 256 * KIB
    size: int | None = None
    checksum: str | None = None
    preallocate: bool = True
    if_exists: IfExists = "skip"
    locks: Locks = "real"
    beat: float | None = None
    mutant: Mutant = ""
    kill: Kill | None = None
    after: int = 0

    @classmethod
    def from_json(cls, found: dict[str, Any]) -> Self:
        kill = found.pop("kill")
        return cls(**found, kill=Kill(**kill) if kill else None)

    @property
    def batch(self) -> int:
        """Most bytes the writer takes to the disk in one go; a quarter of the queue."""
        return max(1, self.queue_depth // 4) * self.chunk_size

    @property
    def unclaimed(self) -> int:
        """Most bytes written and not claimed: one window that is being flushed, one that fills up meanwhile."""
        return 2 * (self.flush + self.batch)

    @property
    def in_flight(self) -> int:
        """Most bytes sent and not claimed. No request asks for more than a part, so no socket holds more."""
        return self.unclaimed + self.queue_depth * self.chunk_size + (self.connections + 1) * self.part_size


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """How a life ended.

    Attributes:
        status: exit code, or the signal's number, negative.
        written: bytes it said it had written into `.part`.
        calls: names of the disk calls it finished.
        outcome: "downloaded", "skipped", or an error's code; None for one that was killed.
    """

    status: int
    written: int = 0
    calls: tuple[str, ...] = ()
    outcome: str | None = None
    message: str = ""
    fetched: int = 0
    resumed: int = 0

    @property
    def killed(self) -> bool:
        return self.status == -9


class Zygote:
    """A process that has everything imported and forks others, so that a life takes milliseconds to begin.

    async with Zygote() as zygote:
        (end,) = await zygote.live(Life(url=url, dest=dest, kill=Kill(how="byte", at=100_000)))
    """

    _process: asyncio.subprocess.Process

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.kill.zygote"),
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            # Ctrl-C at a terminal is for the parent, which ends this one as well.
            start_new_session=True,
            limit=1 << 24,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            async with asyncio.timeout(HANGS):
                await self._process.communicate(b"")
        finally:
            if self._process.returncode is None:
                self._process.kill()
                await self._process.wait()

    async def live(self, *lives: Life) -> list[End]:
        """Let processes live side by side, each beginning when the one before it is far enough; all have ended then."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(json.dumps([asdict(life) for life in lives]).encode() + b"\n")
        async with asyncio.timeout(HANGS + 10):
            line = await stdout.readline()
        return [End(**{**end, "calls": tuple(end["calls"])}) for end in json.loads(line)]
