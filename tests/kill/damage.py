"""What happens to the files of a dead download before somebody goes on with it; each leaves less to believe."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable
from typing import Final, TypeAlias

from asyncdl.edge.opening import Names

Damage: TypeAlias = Callable[[Names, random.Random], object]


def no_journal(names: Names, rng: random.Random) -> None:
    names.journal.unlink(missing_ok=True)


def cut_journal(names: Names, rng: random.Random) -> None:
    if names.journal.exists():
        os.truncate(names.journal, rng.randrange(names.journal.stat().st_size + 1))


def flipped_bit(names: Names, rng: random.Random) -> None:
    if names.journal.exists() and (data := bytearray(names.journal.read_bytes())):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        names.journal.write_bytes(data)


def zeroed_journal(names: Names, rng: random.Random) -> None:
    if names.journal.exists():
        names.journal.write_bytes(bytes(names.journal.stat().st_size))


def no_part(names: Names, rng: random.Random) -> None:
    names.part.unlink(missing_ok=True)


def cut_part(names: Names, rng: random.Random) -> None:
    if names.part.exists():
        os.truncate(names.part, rng.randrange(names.part.stat().st_size + 1))


def grown_part(names: Names, rng: random.Random) -> None:
    if names.part.exists():
        os.truncate(names.part, names.part.stat().st_size + rng.randrange(1 << 20))


def another_part(names: Names, rng: random.Random) -> None:
    """A file of zeros under the name; what it was is kept meanwhile, so that no number comes again."""
    if names.part.exists():
        size, kept = names.part.stat().st_size, names.part.with_suffix(".kept")
        names.part.rename(kept)
        names.part.write_bytes(bytes(size))
        kept.unlink()


def copied_part(names: Names, rng: random.Random) -> None:
    """The same bytes in another file: as good, and not believed."""
    if names.part.exists():
        kept = names.part.with_suffix(".kept")
        names.part.rename(kept)
        shutil.copyfile(kept, names.part)
        kept.unlink()


DAMAGES: Final[tuple[Damage, ...]] = (
    no_journal,
    cut_journal,
    flipped_bit,
    zeroed_journal,
    no_part,
    cut_part,
    grown_part,
    another_part,
    copied_part,
)
