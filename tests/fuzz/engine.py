"""Inputs by mutation, thrown at a check as fast as Python goes, and the smallest one that fails.

Rule: a seed and a number of inputs fix every input, so that a failure comes back.
"""

from __future__ import annotations

import contextlib
import random
import signal
import time
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, field

#: Inputs kept because they made the check answer something new.
_MOST_KEPT = 4000
#: Tries of the shrinker; each costs one call of the check.
_MOST_SHRINKS = 3000
#: Of so many inputs one is put together from words alone, without a model.
_FROM_WORDS = 4
#: Seconds after which a batch counts as hanging.
_BATCH_LIMIT = 20.0


class HangError(Exception):
    """A check did not come back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One thing to fuzz.

    Attributes:
        name: for the command line.
        about: one sentence on what holds for every input.
        check: raises where it does not hold; what it returns names the way taken, and an input with a new one is kept.
        corpus: inputs to begin with. words: what inputs of this kind are made of.
        batch: inputs between two looks at the clock.
        short: inputs that take about a second.
        longest: bytes of an input.
    """

    name: str
    about: str
    check: Callable[[bytes], Hashable] = field(repr=False)
    corpus: tuple[bytes, ...] = field(repr=False)
    words: tuple[bytes, ...] = field(repr=False)
    batch: int = 256
    short: int = 20_000
    longest: int = 600


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """The smallest input found that fails, and how it does."""

    data: bytes
    error: str

    @property
    def literal(self) -> str:
        """The input as Python and `--replay` read it."""
        return repr(self.data)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a run did."""

    name: str
    inputs: int
    seconds: float
    ways: int
    failure: Failure | None

    @property
    def rate(self) -> float:
        """Inputs per second."""
        return self.inputs / self.seconds if self.seconds else 0.0


class Mutator:
    """An endless row of inputs for a target, fixed by the seed and by which of them were `keep`-ed."""

    def __init__(self, target: Target, seed: int) -> None:
        self._random = random.Random(f"{target.name} {seed}")
        self._pool = list(target.corpus)
        self._words = target.words
        self._longest = target.longest

    def keep(self, data: bytes) -> None:
        """Make later inputs from this one too."""
        if len(self._pool) < _MOST_KEPT:
            self._pool.append(data)

    def next(self) -> bytes:
        """The next input."""
        draw = self._random.random
        if draw() * _FROM_WORDS < 1:
            return b"".join(self._random.choices(self._words, k=1 + int(draw() * 12)))[: self._longest]
        data = self._pool[int(draw() * len(self._pool))]
        for _ in range(1 + int(draw() * 3)):
            data = self._mutated(data)
        return data[: self._longest]

    def _mutated(self, data: bytes) -> bytes:
        draw = self._random.random
        at, kind = int(draw() * (len(data) + 1)), int(draw() * 8)
        if kind <= 1:
            word = self._words[int(draw() * len(self._words))]
            return data[:at] + word + data[at + kind * len(word) :]
        stop = at + 1 + int(draw() * draw() * 24)
        if kind == 2:
            return data[:at] + data[stop:]
        if kind == 3:
            return data[:stop] + data[at:stop] * int(draw() * 4) + data[stop:]
        if kind == 4:
            return data[:at] + bytes((int(draw() * 256),)) + data[at + 1 :]
        if kind == 5:
            return data[:at] + b"0123456789"[int(draw() * 10) :][:1] + data[at + 1 :]
        if kind == 6:
            return data[:at] + data[at:stop].swapcase() + data[stop:]
        other = self._pool[int(draw() * len(self._pool))]
        return data[:at] + other[int(draw() * (len(other) + 1)) :]


def run(
    target: Target,
    *,
    seed: int,
    seconds: float | None = None,
    inputs: int | None = None,
    on_batch: Callable[[], object] = lambda: None,
) -> Report:
    """Check inputs until so many were tried or so much time has passed, or one fails.

    Args:
        on_batch: called between batches.
    """
    mutator, check, clock = Mutator(target, seed), target.check, time.perf_counter
    seen: set[Hashable] = set()
    began, tried, data = clock(), 0, b""
    first = iter(target.corpus)
    try:
        while (inputs is None or tried < inputs) and (seconds is None or clock() - began < seconds):
            on_batch()
            for _ in range(target.batch if inputs is None else min(target.batch, inputs - tried)):
                data = next(first, b"") or mutator.next()
                tried += 1
                way = check(data)
                if way not in seen:
                    seen.add(way)
                    mutator.keep(data)
    except Exception as error:  # noqa: BLE001  # whatever it is, it is the finding
        # What hangs would hang again.
        hangs = isinstance(error, HangError)
        small = data if hangs else shrunk(check, data, type(error))
        failure = Failure(
            data=small, error=(None if hangs else _why(check, small)) or f"{type(error).__name__}: {error}"
        )
        return Report(name=target.name, inputs=tried, seconds=clock() - began, ways=len(seen), failure=failure)
    return Report(name=target.name, inputs=tried, seconds=clock() - began, ways=len(seen), failure=None)


def shrunk(check: Callable[[bytes], object], data: bytes, kind: type[Exception]) -> bytes:
    """A smaller input that fails in the same way: spans are cut out, then bytes made plain."""
    left = _MOST_SHRINKS

    def fails(candidate: bytes) -> bool:
        nonlocal left
        left -= 1
        try:
            check(candidate)
        except Exception as error:  # noqa: BLE001  # only its type matters
            return type(error) is kind
        return False

    length = len(data)
    while length and left > 0:
        at = 0
        while at < len(data) and left > 0:
            shorter = data[:at] + data[at + length :]
            if fails(shorter):
                data = shorter
            else:
                at += length
        length //= 2
    for at in range(len(data)):
        plain = data[:at] + b"a" + data[at + 1 :]
        if left > 0 and plain != data and fails(plain):
            data = plain
    return data


def _why(check: Callable[[bytes], object], data: bytes) -> str | None:
    try:
        check(data)
    except Exception as error:  # noqa: BLE001  # to be shown
        return f"{type(error).__name__}: {error}"
    return None


@contextlib.contextmanager
def no_hanging() -> Iterator[Callable[[], object]]:
    """Raises `HangError` in the main thread when what it yields is not called again in time; not where SIGALRM is not.

    A regular expression that runs away looks at signals, so this ends even that.
    """
    if not hasattr(signal, "SIGALRM"):
        yield lambda: None
        return

    def ring(_number: int, _frame: object) -> None:
        raise HangError(f"a batch took longer than {_BATCH_LIMIT:g} s")

    before = signal.signal(signal.SIGALRM, ring)
    try:
        yield lambda: signal.setitimer(signal.ITIMER_REAL, _BATCH_LIMIT)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
