"""File after file, each downloaded by processes that are killed and followed by others; all drawn from one seed."""

from __future__ import annotations

import contextlib
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, TypeAlias

from asyncdl.edge import hashing
from asyncdl.edge.opening import Names
from asyncdl.options import KIB, MIB
from asyncdl.testing import Content, Origin
from asyncdl.testing.objects import LAST_MODIFIED, MADE_UP
from tests.kill.damage import DAMAGES
from tests.kill.doomed import How, Kill, Mutant
from tests.kill.evidence import Found, WrongError, look
from tests.kill.lives import End, Life, Zygote

Kind: TypeAlias = Literal[
    "plain", "sha256", "crc64nvme", "unvalidated", "stream", "over an old file", "damaged", "replaced"
]

#: The files of a campaign take turns.
KINDS: Final[tuple[Kind, ...]] = (
    "plain",
    "damaged",
    "sha256",
    "stream",
    "plain",
    "over an old file",
    "crc64nvme",
    "damaged",
    "replaced",
    "unvalidated",
)
#: Where nothing is damaged, exchanged or thrown away, a kill costs a bounded number of bytes.
ECONOMICAL: Final = frozenset({"plain", "sha256", "crc64nvme", "unvalidated"})
#: Ways to die, the sudden ones from outside first.
HOW: Final[tuple[How, ...]] = ("outside", "byte", "before", "half", "after")
#: Kills of one file; the process after them may finish.
_MOST_KILLS: Final = 12
#: Lives of one file after which something goes round in circles.
_MOST_LIVES: Final = 40
#: Wrong files after which a campaign has seen enough.
MOST_WRONG: Final = 5
_SKINS: Final = ("s3v4", "gcs", "azure", "cloudfront")


@dataclass(slots=True, kw_only=True)
class Tally:
    """What came of it.

    Attributes:
        fetched_again: bytes that were sent more than once, of files where that has a bound.
        bound: on those.
    """

    seed: int
    mutant: Mutant = ""
    seconds: float = 0.0
    files: Counter[str] = field(default_factory=Counter)
    kills: Counter[str] = field(default_factory=Counter)
    last_calls: Counter[str] = field(default_factory=Counter)
    lives: int = 0
    resumed: int = 0
    bytes: int = 0
    fetched_again: int = 0
    bound: int = 0
    wrong: list[str] = field(default_factory=list)

    @property
    def killed(self) -> int:
        return self.kills.total()


class Servers:
    """The same objects under several hosts, and under one that knows no ranges; what they sent, added up."""

    def __init__(self, origin: Origin, other: Origin, streaming: Origin) -> None:
        self._all = (origin, other, streaming)
        self._ranged = (origin, other)
        self._streaming = streaming

    @classmethod
    @contextlib.asynccontextmanager
    async def running(cls) -> AsyncIterator[Servers]:
        async with Origin() as origin, Origin(host="127.0.0.2") as other, Origin(ranges=False) as streaming:
            yield cls(origin, other, streaming)

    def add(self, path: str, size: int, seed: int, *, validated: bool = True) -> Content:
        tag = MADE_UP if validated else None
        for origin in self._all:
            origin.add(path, size, seed=seed, etag=tag, last_modified=LAST_MODIFIED if validated else None)
        return Content(seed, size)

    def url(self, path: str, rng: random.Random, *, stream: bool) -> str:
        """One that was never used before."""
        origin = self._streaming if stream else rng.choice(self._ranged)
        url = origin.presign(path, ttl=600, skin=rng.choice(_SKINS))
        return url.replace("//127.0.0.1:", "//localhost:") if rng.random() < 0.3 else url

    def sent(self, path: str) -> int:
        """Bytes of the object that went out."""
        return sum(origin.ledger.bytes_sent(path) for origin in self._all)


class Story:
    """One file, from its first life to its completion.

    Args:
        number: of the file in the campaign; with the seed it tells everything that is drawn.
    """

    def __init__(self, servers: Servers, zygote: Zygote, tally: Tally, folder: Path, number: int) -> None:
        self._servers, self._zygote, self._tally = servers, zygote, tally
        self._rng = rng = random.Random(f"{tally.seed} {number}")
        self.kind: Kind = KINDS[number % len(KINDS)]
        if self.kind == "crc64nvme" and not hashing.available("crc64nvme"):
            self.kind = "sha256"
        self._path, self._dest = f"/{number}", folder / str(number)
        self._size = self._drawn_size()
        self._versions = [self._version()]
        self._old: Content | None = None
        if self.kind == "over an old file":
            self._old = Content(99, rng.randrange(1, 512 * KIB))
            self._dest.write_bytes(self._old.read(0, self._old.size))
        self._kills = self._bound = 0
        self._found = Found()
        self._said: list[str] = []
        self._damaged = False

    def _drawn_size(self) -> int:
        return self._rng.randrange(1 * MIB, 6 * MIB)

    def _version(self) -> Content:
        seed = self._rng.randrange(1, 4)
        return self._servers.add(self._path, self._size, seed, validated=self.kind != "unvalidated")

    async def run(self, kills: int) -> None:
        """Live until the file is complete. Of the campaign's kills, so many are left.

        Raises:
            WrongError: something was not as it must be.
        """
        for _ in range(_MOST_LIVES):
            life = self._drawn(allowed=self._kills < min(_MOST_KILLS, kills))
            (end,) = await self._zygote.live(life)
            self._note(life, end)
            before, self._found = self._found, look(self._dest, self._versions, old=self._old)
            if end.killed:
                self._check_loss(life, end, before)
                self._meanwhile()
            elif end.outcome in {"downloaded", "skipped"}:
                self._check_end()
                return
            else:
                self._forgive(end)
        raise WrongError(f"not complete after {_MOST_LIVES} lives")

    def told(self) -> str:
        """What happened so far, to be read by people."""
        return "\n  ".join([f"file {self._path} ({self.kind}, {self._size} bytes)", *self._said])

    def _drawn(self, *, allowed: bool) -> Life:
        rng = self._rng
        part_size = rng.choice([16, 32, 50, 64]) * KIB
        checksum = None
        if self.kind in {"sha256", "unvalidated"} or (self.kind == "damaged" and rng.random() < 0.5):
            checksum = f"sha256:{self._versions[-1].sha256()}"
        elif self.kind == "crc64nvme":
            content = self._versions[-1]
            checksum = f"crc64nvme:{hashing.crc('crc64nvme', content.read(0, content.size)):016x}"
        return Life(
            url=self._servers.url(self._path, rng, stream=self.kind == "stream"),
            dest=str(self._dest),
            connections=rng.choice([1, 2, 4, 8]),
            part_size=part_size,
            flush=rng.choice([32, 64, 128]) * KIB,
            size=self._size if rng.random() < 0.3 else None,
            checksum=checksum,
            preallocate=rng.random() < 0.7,
            if_exists="replace" if self._old else "skip",
            mutant=self._tally.mutant,
            kill=self._kill() if allowed else None,
        )

    def _kill(self) -> Kill:
        rng = self._rng
        left = max(2, self._size - self._found.claimed)
        how = rng.choices(HOW, [6, 3, 1, 2, 1])[0]
        if how in {"outside", "byte"}:
            return Kill(how=how, at=rng.randrange(1, min(left, self._size // 3)))
        # Most lives have more calls than that; some of those that have not, end well instead.
        return Kill(how=how, at=rng.randrange(1, 100))

    def _note(self, life: Life, end: End) -> None:
        tally = self._tally
        tally.lives += 1
        tally.resumed += self._found.claimed > 0
        if end.killed and life.kill:
            self._kills += 1
            tally.kills[life.kill.how] += 1
            tally.last_calls[end.calls[-1] if end.calls else "nothing"] += 1
        self._bound += life.in_flight
        self._said.append(f"{life}\n    -> {end.status} {end.outcome} {end.message}, {end.written} written")

    def _check_loss(self, life: Life, end: End, before: Found) -> None:
        """What was written, and is not claimed, is at most what the writer may hold unclaimed."""
        if self.kind not in ECONOMICAL or not end.written or self._found.complete:
            return
        lost = end.written + before.claimed - self._found.claimed
        # A life begins with a request that may bring what was there already; that is in its part.
        if lost > life.unclaimed + life.part_size:
            raise WrongError(f"{lost} bytes were written and not claimed, at most {life.unclaimed} may be")

    def _meanwhile(self) -> None:
        rng = self._rng
        if self.kind == "damaged" and rng.random() < 0.5:
            damage = rng.choice(DAMAGES)
            damage(Names.of(self._dest), rng)
            self._damaged = True
            self._said.append(f"-- {damage.__name__}")
        if self.kind == "replaced" and len(self._versions) < 3 and rng.random() < 0.5 and not self._found.complete:
            self._size = rng.choice([self._size, self._drawn_size()])
            self._versions.append(self._version())
            self._said.append(f"-- replaced by {self._versions[-1]}")
        self._found = look(self._dest, self._versions, old=self._old)

    def _forgive(self, end: End) -> None:
        """A journal that looks as if of another program, or of a later release, is for the user to remove."""
        if not (self._damaged and end.outcome == "journal"):
            raise WrongError(f"ended with {end.status}, {end.outcome}: {end.message}")
        Names.of(self._dest).journal.unlink()

    def _check_end(self) -> None:
        tally, content = self._tally, self._versions[-1]
        if content.first_difference(self._dest) is not None:
            raise WrongError("another version of the object was brought")
        others = [path.name for path in self._dest.parent.iterdir() if path.name.startswith(f"{self._dest.name}.")]
        if others:
            raise WrongError(f"left behind: {others}")
        tally.files[self.kind] += 1
        tally.bytes += content.size
        if self.kind in ECONOMICAL:
            again = self._servers.sent(self._path) - content.size
            tally.fetched_again += again
            tally.bound += self._bound
            if again > self._bound:
                raise WrongError(f"{again} bytes were sent more than once, at most {self._bound} may be")
        self._dest.unlink()


async def campaign(
    folder: Path,
    *,
    kills: int,
    seed: int,
    mutant: Mutant = "",
    on_file: Callable[[Tally], object] = lambda tally: None,
) -> Tally:
    """Kill so many processes, and see every file they were at completed; ends early after a few wrong ones."""
    tally = Tally(seed=seed, mutant=mutant)
    began = time.monotonic()
    async with Servers.running() as servers, Zygote() as zygote:
        number = 0
        while tally.killed < kills and len(tally.wrong) < MOST_WRONG:
            story = Story(servers, zygote, tally, folder, number)
            try:
                await story.run(kills - tally.killed)
            except WrongError as error:
                tally.wrong.append(f"{error}\n{story.told()}")
            number += 1
            tally.seconds = time.monotonic() - began
            on_file(tally)
    return tally
