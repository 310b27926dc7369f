"""Who fetches what: parts from the planner, and when there are none left, the rest of what is slowest.

Rule: every byte is in one open claim at most. What is cut off one claim begins where that claim now ends.
Rule: what a connection far below the others has not brought goes back to the planner, for whoever is next.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from asyncdl.model import Chunk, Part
from asyncdl.rules.parts import Claim, Planner, measured_part_size
from asyncdl.rules.stealing import Standing, place_to_cut, slowest_first
from asyncdl.watch import Watch

_logger = logging.getLogger("asyncdl")

#: Seconds after which an idle fetcher looks again at how the others get on.
_POLL = 0.25
#: How much one request changes what is held to be usual; where bytes are counted, one of many bytes changes more.
_WEIGHT = 0.3


class Passage(Protocol):
    """What the next request has to pass: a gate, or several."""

    def passes(self, *, freed: int = 0) -> bool:
        """Whether it could go at once, were it not for `freed` of those in flight."""
        ...


@dataclass(slots=True, eq=False)
class Transfer:
    """A claim whose body is coming in.

    Attributes:
        cut: another connection has taken over what comes from `claim.stop` on.
        divisible: one may do so.
    """

    claim: Claim
    watch: Watch
    cut: bool = False
    divisible: bool = True

    @property
    def over(self) -> bool:
        """Whether the rest of the body is for another connection to bring."""
        return self.cut and self.claim.done

    def cut_at(self, place: int) -> None:
        """Another connection brings what comes from `place` on."""
        self.cut, self.claim.stop = True, place

    def keeps(self, chunk: Chunk) -> bool:
        """Leave out of a chunk what another connection brings; False, and it is given back, if that is all of it."""
        if self.over:
            chunk.release()
            return False
        stop = self.claim.stop
        if self.cut and stop is not None and chunk.stop > stop:
            chunk.data = chunk.data[: stop - chunk.offset]
        return True

    def standing(self, replaced: int) -> Standing | None:
        """How it gets on; None while nobody can tell, or while it waits for us.

        Args:
            replaced: as in `Standing`.
        """
        watch, claim = self.watch, self.claim
        if not self.divisible or watch.keeper.held_up or claim.stop is None or (rate := watch.rate) is None:
            return None
        return Standing(position=claim.position, stop=claim.stop, rate=rate, age=watch.age, replaced=replaced)


class Scheduler:
    """Hands out claims until all bytes have been brought.

    Args:
        gate: what the next request has to pass; what could not pass now is not taken over.

    Attributes:
        planner: has the parts, once there is a size to cut.
        most: claims that may be open at once; who would have one more goes home. None: no bound but the number of
            fetchers.
        presumed: bytes per second of one connection, as far as can be told before a part has ended; 0: not at all.
        expected: connections among which what is left will be shared, though they may not all be there yet.
    """

    def __init__(self, gate: Passage) -> None:
        self.planner: Planner | None = None
        self.most: int | None = None
        self.presumed: float = 0.0
        self.expected: int = 1
        self._gate = gate
        self._open: dict[int, Claim] = {}
        self._transfers: list[Transfer] = []
        self._given_back: list[tuple[Part, int]] = []  # and how many connections were given up for these bytes
        self._changed = asyncio.Event()
        self._usual = self._weight = 0.0
        self._latency: float | None = None
        self._received = 0

    @property
    def received(self) -> int:
        """Bytes of all bodies so far."""
        return self._received + sum(transfer.watch.received for transfer in self._transfers)

    @property
    def bodies(self) -> int:
        """Bodies that are coming in."""
        return len(self._transfers)

    @property
    def held_up(self) -> bool:
        """Whether half of them or more wait for us."""
        return 2 * sum(transfer.watch.keeper.parked for transfer in self._transfers) >= max(1, len(self._transfers))

    def begin(self, claim: Claim) -> None:
        """A claim that did not come from here is being worked on."""
        self._open[id(claim)] = claim

    def end(self, claim: Claim) -> None:
        """A claim has been brought, or given up."""
        self._open.pop(id(claim), None)
        self._changed.set()

    def only(self, claim: Claim) -> None:
        """Hand out nothing more: this claim brings everything."""
        self._open = {id(claim): claim}
        if self.planner:
            self.planner.close()

    async def next(self) -> Claim | None:
        """Something to fetch for an idle fetcher; None when everything has been brought, or others are enough.

        Waits, while others still fetch, for one of them to fall behind; they have bounds of their own.
        """
        while True:
            if self.most is not None and len(self._open) >= self.most:
                return None
            claim = self._part() or self._take_over()
            if claim is not None:
                self.begin(claim)
                return claim
            if not self._open:
                return None
            self._changed.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_POLL):
                    await self._changed.wait()

    @contextlib.contextmanager
    def receiving(self, claim: Claim, watch: Watch, *, divisible: bool) -> Iterator[Transfer]:
        """A claim's body is coming in; if `divisible`, others may take over what it has not brought."""
        transfer = Transfer(claim, watch, divisible=divisible)
        self._transfers.append(transfer)
        watch.looked = partial(self._look_at, transfer)
        try:
            yield transfer
        finally:
            self._transfers.remove(transfer)
            watch.looked = bool  # or the two would keep each other, and the body
            self._received += watch.received
            self._note_rate(watch.received, watch.age)

    def note_latency(self, seconds: float) -> None:
        """So long it took from a request to its response."""
        before = seconds if self._latency is None else self._latency
        self._latency = before + _WEIGHT * (seconds - before)

    def _note_rate(self, received: int, age: float) -> None:
        # A short body comes along with its headers: only the wait for those says how long it took.
        seconds = max(age, self._latency or 0.0)
        if received and seconds > 0:
            self._weight = (1 - _WEIGHT) * self._weight + received
            self._usual += (received / seconds - self._usual) * received / self._weight

    def _part(self) -> Claim | None:
        planner = self.planner
        if planner is None:
            return None
        rate = self._usual or self.presumed
        if not planner.measured or not rate:
            return planner.claim()
        size = measured_part_size(
            planner.rest,
            sum(claim.stop - claim.position for claim in self._open.values() if claim.stop is not None),
            connections=max(self.expected, len(self._open) + 1),
            rate=rate,
            latency=self._latency or 0.0,
        )
        # A connection that has only just begun may become much faster, and never brings too little for the default.
        return planner.claim(size if self._usual else max(size, planner.part_size))

    def _take_over(self) -> Claim | None:
        if self.planner is None:
            return None
        standings = ((transfer, self._standing(transfer)) for transfer in self._transfers)
        candidates = {standing: transfer for transfer, standing in standings if standing}
        for standing in slowest_first(candidates):
            place = self._place_to_cut(standing)
            if place == standing.position:
                self._give_up_on(candidates[standing], standing, self.planner)
                return self._part()
            if place is not None:
                _logger.info("bytes %d to %d go to another connection", place, standing.stop)
                candidates[standing].cut_at(place)
                return Claim(place, standing.stop)
        return None

    def _look_at(self, transfer: Transfer) -> None:
        """Give up its connection if that is far below the others; who brought it will ask for something else."""
        standing = self._standing(transfer)
        if self.planner and standing and self._place_to_cut(standing) == standing.position:
            self._give_up_on(transfer, standing, self.planner)
            self._changed.set()

    def _standing(self, transfer: Transfer) -> Standing | None:
        position, stop = transfer.claim.position, transfer.claim.stop
        if not self._usual or stop is None:
            return None
        times = (number for span, number in self._given_back if span.start < stop and position < span.stop)
        return transfer.standing(max(times, default=0))

    def _place_to_cut(self, standing: Standing) -> int | None:
        """As the rule says, unless the request that is needed then could not be sent."""
        place = place_to_cut(standing, usual=self._usual, latency=self._latency or 0.0)
        return place if place is not None and self._gate.passes(freed=place == standing.position) else None

    def _give_up_on(self, transfer: Transfer, standing: Standing, planner: Planner) -> None:
        _logger.info("bytes %d to %d are for others: %.0f bytes/s", standing.position, standing.stop, standing.rate)
        rest = Part(standing.position, standing.stop)
        transfer.cut_at(rest.start)
        transfer.watch.interrupt()
        self._given_back.append((rest, standing.replaced + 1))
        planner.give_back(rest)
