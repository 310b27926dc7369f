"""Who fetches what: parts from the planner, and when there are none left, the rest of what is slowest.

Rule: every byte is in one open claim at most. What is cut off one claim begins where that claim now ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass

from asyncdl.model import Chunk
from asyncdl.rules.parts import Claim, Planner
from asyncdl.rules.stealing import Standing, place_to_cut, slowest
from asyncdl.watch import Watch

_logger = logging.getLogger("asyncdl")

#: Seconds after which an idle fetcher looks again at how the others get on.
_POLL = 0.25
#: How much one finished request changes what is held to be usual.
_WEIGHT = 0.3


@dataclass(slots=True, eq=False)
class Transfer:
    """A claim whose body is coming in.

    Attributes:
        cut: another connection has taken over what comes from `claim.stop` on.
    """

    claim: Claim
    watch: Watch
    cut: bool = False

    @property
    def over(self) -> bool:
        """Whether the rest of the body is for another connection to bring."""
        return self.cut and self.claim.done

    def shorten(self, chunk: Chunk) -> None:
        """Leave out what another connection brings."""
        stop = self.claim.stop
        if self.cut and stop is not None and chunk.stop > stop:
            chunk.data = chunk.data[: max(0, stop - chunk.offset)]

    @property
    def standing(self) -> Standing | None:
        """How it gets on; None while nobody can tell, or while it waits for us."""
        keeper, claim = self.watch.keeper, self.claim
        if keeper.rate is None or keeper.held_up or claim.stop is None:
            return None
        return Standing(position=claim.position, stop=claim.stop, rate=keeper.rate)


class Scheduler:
    """Hands out claims until all bytes have been brought.

    Attributes:
        planner: has the parts, once there is a size to cut.
    """

    def __init__(self) -> None:
        self.planner: Planner | None = None
        self._open: list[Claim] = []
        self._transfers: list[Transfer] = []
        self._changed = asyncio.Event()
        self._usual: float | None = None
        self._latency = 0.0

    def begin(self, claim: Claim) -> None:
        """A claim that did not come from here is being worked on."""
        self._open.append(claim)

    def end(self, claim: Claim) -> None:
        """A claim has been brought, or given up."""
        if claim in self._open:
            self._open.remove(claim)
        self._changed.set()

    def only(self, claim: Claim) -> None:
        """Hand out nothing more: this claim brings everything."""
        self._open = [claim]
        if self.planner:
            self.planner.close()

    async def next(self) -> Claim | None:
        """Something to fetch for an idle fetcher; None when everything has been brought.

        Waits, while others still fetch, for one of them to fall behind; they have bounds of their own.
        """
        while True:
            claim = (self.planner.claim() if self.planner else None) or self._take_over()
            if claim is not None:
                self._open.append(claim)
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
        transfer = Transfer(claim, watch)
        if divisible:
            self._transfers.append(transfer)
        try:
            yield transfer
        finally:
            if divisible:
                self._transfers.remove(transfer)
            if watch.received and watch.age > 0:
                self._usual = _moved(self._usual, watch.received / watch.age)

    def note_latency(self, seconds: float) -> None:
        """So long it took from a request to its response."""
        self._latency = _moved(self._latency or None, seconds)

    def _take_over(self) -> Claim | None:
        candidates = {standing: transfer for transfer in self._transfers if (standing := transfer.standing)}
        standing = slowest(candidates)
        if standing is None or self._usual is None:
            return None
        place = place_to_cut(standing, usual=self._usual, latency=self._latency)
        if place is None:
            return None
        transfer = candidates[standing]
        transfer.cut, transfer.claim.stop = True, place
        _logger.info("bytes %d to %d go to another connection: %.0f bytes/s", place, standing.stop, standing.rate)
        if place == standing.position:
            transfer.watch.interrupt()
        return Claim(place, standing.stop)


def _moved(before: float | None, now: float) -> float:
    return now if before is None else before + _WEIGHT * (now - before)
