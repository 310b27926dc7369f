"""`python -m tests.kill.syscalls`: a download that strace kills, or fails, at each of its system calls; then the next.

Only calls on the download's own files count. They are numbered as strace does it: by kind, in each thread anew.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, TypeAlias

from asyncdl.edge.opening import Names
from asyncdl.testing import Content, Origin
from tests.kill.evidence import WrongError, look
from tests.kill.lives import KIB, ROOT, Life, Zygote

What: TypeAlias = Literal["SIGKILL", "EIO"]

SIZE: Final = 300 * KIB + 77
#: What a download does to its files, by each of the names that systems and architectures have for it.
CALLS: Final = {
    "write": "?pwritev,?pwritev2,?pwrite64",
    "fdatasync": "fdatasync",
    "fsync": "fsync",
    "rename": "?rename,?renameat,?renameat2",
    "unlink": "?unlink,?unlinkat",
    "open": "?open,?openat",
    "ftruncate": "?ftruncate,?ftruncate64",
    "fallocate": "fallocate",
    "fchmod": "fchmod",
    "flock": "flock",
}
#: Calls whose failure need not be one of the download: a file that cannot be locked, a look that others go without,
#: a journal that stays behind beside a file that is complete.
FORGIVEN: Final = frozenset({"flock", "open", "unlink"})
_WITHIN: Final = 150.0
_DOWNLOAD: Final = """
import asyncio, sys, asyncdl, asyncdl.calls
from asyncdl import writer
writer.FLUSH_MOST = 64 * 1024
options = asyncdl.Options(connections=1, part_size=65536, parallel_threshold=0, chunk_size=32768, queue_depth=8,
                          use_environment=False)
try:
    print(asyncio.run(asyncdl.download(sys.argv[1], sys.argv[2], options=options)).outcome.value)
except asyncdl.AsyncdlError as error:
    print(error.code)
"""


@dataclass(slots=True)
class Tally:
    """How often each kind of call was the last, and what was wrong."""

    struck: Counter[str] = field(default_factory=Counter)
    spared: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)


async def unavailable() -> str | None:
    """Why system calls cannot be injected here; None if they can."""
    if shutil.which("strace") is None:
        return "strace is not installed (Debian: apt-get install strace)"
    process = await asyncio.create_subprocess_exec(
        *("strace", "-f", "-qq", "-o", os.devnull, "-e", "inject=fsync:error=EIO", "true"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    _, errors = await process.communicate()
    return f"strace may not trace here: {errors.decode().strip()}" if process.returncode else None


class Bench:
    """One object, one destination, one strace at a time."""

    def __init__(self, origin: Origin, zygote: Zygote, folder: Path) -> None:
        self._origin, self._zygote, self._folder = origin, zygote, folder
        self._content: Content = origin.add("/object", SIZE)
        self._dest = folder / "file"
        self._trace = folder.with_name(f"{folder.name}.trace")

    async def run(self, inject: str | None = None) -> tuple[int, str]:
        """A download under strace; its status and what it said."""
        names = Names.of(self._dest)
        own = [*(names.dest, names.part, names.journal, names.done), f"{names.journal}.new", self._folder]
        process = await asyncio.create_subprocess_exec(
            *("strace", "-f", "-qq", "-o", str(self._trace), "-e", "trace=" + ",".join(CALLS.values())),
            *(argument for path in own for argument in ("-P", str(path))),
            *(("-e", f"inject={inject}") if inject else ()),
            *(sys.executable, "-c", _DOWNLOAD, self._origin.url("/object"), str(self._dest)),
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(_WITHIN):
                said, errors = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.communicate()
        if b"Traceback" in errors:
            raise WrongError(errors.decode())
        return process.returncode or 0, said.decode().strip()

    async def most(self) -> dict[str, int]:
        """The most calls of each kind that one thread of an undisturbed download makes."""
        await self.run()
        found: Counter[tuple[str, str]] = Counter()
        for line in self._trace.read_text().splitlines():
            thread, _, call = line.partition(" ")
            name = call.strip().partition("(")[0]
            found.update((kind, thread) for kind, names in CALLS.items() if name in names.replace("?", "").split(","))
        return {kind: max((found[key] for key in found if key[0] == kind), default=0) for kind in CALLS}

    async def strike(self, kind: str, number: int, what: What) -> bool:
        """Let a call end the download, and the next download complete it; False where there was no such call.

        Raises:
            WrongError: something was not as it must be.
        """
        for path in self._folder.iterdir():
            path.unlink()
        action = "signal=SIGKILL" if what == "SIGKILL" else "error=EIO"
        status, said = await self.run(f"{CALLS[kind]}:{action}:when={number}")
        struck = "INJECTED" in self._trace.read_text() if what == "EIO" else status != 0
        found = look(self._dest, [self._content])
        if what == "EIO" and struck and kind not in FORGIVEN and said != "storage":
            raise WrongError(f"went on as if nothing had been: {said}")
        if said == "downloaded" and not found.complete:
            raise WrongError("said that all was well, and it is not there")
        (last,) = await self._zygote.live(Life(url=self._origin.url("/object"), dest=str(self._dest)))
        if last.outcome not in {"downloaded", "skipped"}:
            raise WrongError(f"the next one ended with {last}")
        if self._content.first_difference(self._dest) is not None or os.listdir(self._folder) != ["file"]:
            raise WrongError(f"the next one left {os.listdir(self._folder)}")
        return struck


async def strike_all(folder: Path, what: What, *, step: int = 1, first: int = 1) -> Tally:
    """Strike every `step`-th call of each kind, and the first and the last of each."""
    tally = Tally()
    async with Origin() as origin, Zygote() as zygote:
        bench = Bench(origin, zygote, folder)
        for kind, most in (await bench.most()).items():
            for number in sorted({1, most, *range(first, most + 1, step)} - {0}):
                try:
                    struck = await bench.strike(kind, number, what)
                except WrongError as error:
                    tally.wrong.append(f"{what} at {kind} {number}: {error}")
                else:
                    (tally.struck if struck else tally.spared)[kind] += 1
    return tally


def main(arguments: Sequence[str] | None = None) -> int:
    """1 when something was wrong, else 0; also where nothing can be traced, which is said."""
    parser = argparse.ArgumentParser(prog="python -m tests.kill.syscalls", description=__doc__)
    parser.add_argument("--step", type=int, default=1, help="only every so many-th call (default 1: all)")
    options = parser.parse_args(arguments)
    reason = asyncio.run(unavailable())
    if reason:
        print(f"skipped: {reason}")
        return 0
    wrong = 0
    for what in ("SIGKILL", "EIO"):
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "into").mkdir()
            tally = asyncio.run(strike_all(Path(folder) / "into", what, step=options.step))
        print(f"{what}: {dict(tally.struck)}, no such call: {dict(tally.spared)}, {len(tally.wrong)} wrong")
        print(*tally.wrong, sep="\n", end="\n" if tally.wrong else "")
        wrong += len(tally.wrong)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
