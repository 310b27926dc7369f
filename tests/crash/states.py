"""Every disk that a crash can leave behind, at every point of a trace.

Two kinds. When the process is killed, all that it called is there, and the call under way may be there in part. When
power is lost, only what was synced is certain: of everything else each combination of there, lost, zeroed and torn is
legal, as far as it is one that a file system could leave.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from tests.crash.trace import NOTHING, Image, Returned, Trace, Write
from tests.crash.volume import LOST, THERE, ZEROED, Entry, Outcome, Volume, head, tail

#: What disks and file systems write in one piece.
_GRAINS = (512, 4096)
#: Combinations of one point of the trace that are all gone through; where there are more, some are drawn.
_ALL_OF = 64

Kind: TypeAlias = Literal["killed", "power lost"]


@dataclass(frozen=True, slots=True)
class State:
    """One disk after one crash.

    Attributes:
        image: what is there.
        kind: of crash.
        step: how many steps of the trace had been begun.
        returned: whether the download had reported success before.
        how: which of the uncertain things happened, for whoever looks for the cause.
    """

    image: Image
    returned: bool
    kind: Kind = field(compare=False)
    step: int = field(compare=False)
    how: str = field(compare=False)


def enumerate_states(trace: Trace, start: Image = NOTHING, *, seed: int = 0, drawn: int = 40) -> Iterator[State]:
    """Each different state once.

    Args:
        trace: what was done.
        start: what was there, durably, before.
        seed: of what is drawn where there are too many combinations.
        drawn: how many are drawn then, for each set of names, besides the ones that are always gone through.
    """
    rng = random.Random(seed)
    volume = Volume(start)
    seen: set[tuple[Image, bool]] = set()
    returned = False
    for place in range(len(trace) + 1):
        for image, kind, how in _at(volume, trace, place, rng, drawn):
            if (image, returned) not in seen:
                seen.add((image, returned))
                yield State(image, returned, kind, place, how)
        if place < len(trace):
            returned = returned or isinstance(trace[place], Returned)
            volume.take(place, trace[place])


def _at(volume: Volume, trace: Trace, place: int, rng: random.Random, drawn: int) -> Iterator[tuple[Image, Kind, str]]:
    yield volume.seen(), "killed", "all that was called is there"
    if place < len(trace) and isinstance(step := trace[place], Write):
        for cut in _cuts(step):
            yield volume.seen(Write(step.file, step.offset, step.data[:cut])), "killed", f"{cut} bytes of a write"
    # Nothing is less certain after a sync than before it, nor after a return.
    for naming in _namings(volume, rng):
        names = volume.names_after(naming)
        units = [(entry, _outcomes(entry, rng)) for entry in volume.uncertain(names.values())]
        for outcomes in _combinations(units, rng, drawn):
            chosen = {entry: outcome for (entry, _), outcome in zip(units, outcomes, strict=True)}
            yield volume.image(names, chosen), "power lost", _told(naming, outcomes)


def _cuts(write: Write) -> list[int]:
    """Bytes of a write after which it may end: where sectors and pages do."""
    stop = write.offset + len(write.data)
    return sorted(
        {edge - write.offset for grain in _GRAINS for edge in range(-(-write.offset // grain) * grain, stop, grain)}
        - {0}
    )


def _outcomes(entry: Entry, rng: random.Random) -> list[Outcome]:
    if not isinstance(entry.content, Write):
        return [THERE, LOST]
    # A short write has no edge of a sector within; where the disk is a server or a card, it may be cut anywhere.
    cuts = _cuts(entry.content) or ([rng.randrange(1, len(entry.content.data))] if len(entry.content.data) > 1 else [])
    return [THERE, LOST, ZEROED, *(end(cut) for cut in cuts for end in (head, tail))]


def _combinations(
    units: list[tuple[Entry, list[Outcome]]], rng: random.Random, drawn: int
) -> Iterator[tuple[Outcome, ...]]:
    """All combinations of outcomes; where they are too many, all of a kind, all but one, and some at random."""
    choices = [outcomes for _, outcomes in units]
    if math.prod(map(len, choices)) <= _ALL_OF:
        yield from itertools.product(*choices)
        return
    several = [[outcome if outcome in outcomes else LOST for outcomes in choices] for outcome in (THERE, LOST, ZEROED)]
    yield from map(tuple, several)
    odd = [
        (*rest[:at], outcome, *rest[at + 1 :])
        for rest in several
        for at, outcomes in enumerate(choices)
        for outcome in outcomes
        if outcome != rest[at]
    ]
    yield from rng.sample(odd, min(drawn, len(odd)))
    for _ in range(drawn):
        yield tuple(rng.choice(outcomes) for outcomes in choices)


def _namings(volume: Volume, rng: random.Random) -> Iterator[frozenset[int]]:
    """Which of the uncertain changes of names may be there together, as sets of their places among them."""
    needs = volume.needs()
    found = [frozenset[int]()]
    for place, before in enumerate(needs):
        found += [chosen | {place} for chosen in found if before <= chosen]
    if len(found) > _ALL_OF:
        found = [found[0], found[-1], *rng.sample(found[1:-1], _ALL_OF)]
    yield from found


def _told(naming: frozenset[int], outcomes: tuple[Outcome, ...]) -> str:
    return f"changes of names {sorted(naming)}; writes {', '.join(map(str, outcomes)) or 'none'}"
