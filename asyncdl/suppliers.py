"""The places that one download is brought from: which one the next request goes to, and which are given up.

Rule: a response counts only where it is proven to be of the object that the first accepted one was of.
Rule: what would end a download from one place gives up that place, as long as there is another.
Where there is only one place, as nearly always, nothing here decides anything.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from asyncdl.edge.clock import Clock
from asyncdl.errors import AsyncdlError, RemoteChangedError, TransferError
from asyncdl.hosts import Host, Hosts
from asyncdl.model import Checksum, RemoteObject
from asyncdl.refresher import UrlRefresher
from asyncdl.rules.head import Head
from asyncdl.rules.identity import Match, same_object
from asyncdl.rules.promises import to_verify
from asyncdl.rules.sameness import Known, same_bytes
from asyncdl.rules.urls import Origin

_logger = logging.getLogger("asyncdl")

#: No server's: headers that are meant for it go nowhere.
_NOWHERE: Final = Origin("", "", 0)
#: How much one request changes what a place is held to be worth.
_WEIGHT: Final = 0.5
#: Seconds for which that holds while nothing is asked of it.
_MEMORY: Final = 30.0
#: Seconds, and waits for a first byte as they are usual, that a place is given to answer while others do.
_PATIENCE: Final = 2.0
_PATIENCE_LATENCIES: Final = 8
_UNPROVEN_HINT: Final = (
    "give a checksum: with it, mirrors that say too little of the object for anybody to know can be used"
)


class PassedOverError(TransferError):
    """A place whose answer could be used, but another one's may be better: it is asked first. Never seen outside."""


class Supplier:
    """One place.

    Attributes:
        number: from 0, in the order given.
        refresher: has its URL.
        remote: what it says that the object is, once that has been accepted.
        busy: requests on their way to it, or waiting to go.
        faulted: on the clock, when the last of them came.
        quiet_until: on the clock, when it is to be asked again, if there are others.
        aside: asked only where there is no other.
        given_up: for good.
    """

    __slots__ = (
        "_host",
        "_hosts",
        "_measured",
        "_origin",
        "_rate",
        "_tries",
        "aside",
        "busy",
        "faulted",
        "given_up",
        "latency",
        "number",
        "quiet_until",
        "refresher",
        "remote",
    )

    def __init__(self, number: int, refresher: UrlRefresher, hosts: Hosts) -> None:
        self.number: int = number
        self.refresher: UrlRefresher = refresher
        self._hosts = hosts
        self.remote: RemoteObject | None = None
        self.busy: int = 0
        self._tries: Counter[type[TransferError]] | None = None
        self.faulted: float = 0.0
        self.quiet_until: float = 0.0
        self.aside: bool = False
        self.given_up: bool = False
        self.latency: float = 0.0
        self._rate = 0.0
        self._measured = 0.0
        self._host: Host | None = None
        self._origin: Origin | None = None

    @property
    def host(self) -> Host:
        """The one that the present URL leads to."""
        if self._host is None or self.refresher.origin is not self._origin:
            self._origin = self.refresher.origin
            self._host = self._hosts.of(self._origin)
        return self._host

    @property
    def tries(self) -> Counter[type[TransferError]]:
        """Faults since its last new byte, by kind."""
        if self._tries is None:
            self._tries = Counter()
        return self._tries

    def blame(self, kind: type[TransferError], asked: float, now: float) -> None:
        """Count a fault of a request that was made at `asked`: what befalls several at once is one."""
        if asked >= self.faulted:
            self.tries[kind] += 1
            self.faulted = now

    def note(self, received: int, seconds: float, now: float) -> None:
        """So many bytes came of a request in so many seconds, the wait for the first of them included."""
        if seconds > 0:
            rate = max(1, received) / seconds
            self._rate = rate if not self._rate else self._rate + _WEIGHT * (rate - self._rate)
            self._measured = now

    def rate(self, now: float) -> float | None:
        """Bytes per second that a connection to it brings, or None where nobody can tell any more."""
        fresh = self._rate and (self.busy or now - self._measured < _MEMORY)
        return self._rate if fresh else None


class Suppliers:
    """All of them.

    Args:
        refreshers: one for each.
        pinned: the checksum that the caller gave.
        declared_size: bytes that the caller says the object has.

    Attributes:
        plural: whether there were several to begin with.
        several: whether more than one is left.
        only: the one that is left, if it is the only one.
        prior: what an earlier download was of, if it left anything.
        used: numbers of those of which a response was accepted.
    """

    __slots__ = (
        "_clock",
        "_declared_size",
        "_known",
        "_living",
        "_pinned",
        "all",
        "only",
        "plural",
        "prior",
        "several",
        "used",
    )

    def __init__(
        self,
        refreshers: Sequence[UrlRefresher],
        hosts: Hosts,
        clock: Clock,
        *,
        pinned: Checksum | None,
        declared_size: int | None,
    ) -> None:
        self.all: list[Supplier] = [Supplier(number, each, hosts) for number, each in enumerate(refreshers)]
        self.plural: bool = len(self.all) > 1
        self.several: bool = self.plural
        self.only: Supplier | None = None if self.plural else self.all[0]
        self.prior: Head | None = None
        self.used: set[int] = set()
        self._clock, self._pinned, self._declared_size = clock, pinned, declared_size
        self._living = list(self.all)
        self._known: Known | None = None

    @property
    def refreshes(self) -> int:
        """Calls of URL providers after the first of each."""
        if not self.plural:
            return self.all[0].refresher.refreshes
        return sum(supplier.refresher.refreshes for supplier in self.all)

    @property
    def served(self) -> int:
        """Requests to their hosts that brought something."""
        return self.only.host.gate.served if self.only else sum(each.host.gate.served for each in self._living)

    @property
    def limit(self) -> int:
        """Requests that may be in flight at once now."""
        return sum(each.host.gate.limit for each in self._living)

    @property
    def home(self) -> Origin:
        """The only origin that the headers of the request go to."""
        return self.all[0].refresher.home or _NOWHERE

    def passes(self, *, freed: int = 0) -> bool:
        """As `Gate.passes`, for any of them."""
        return any(supplier.host.gate.passes(freed=freed) for supplier in self._living)

    async def choose(self) -> Supplier:
        """Where the next request goes: to the quickest by experience, less the more requests it has already.

        Waits where every place has just failed, for at most `Retry.cap`.
        """
        while True:
            now = self._clock.monotonic()
            candidates = self._candidates()
            ready = [supplier for supplier in candidates if supplier.quiet_until <= now]
            if self.only or ready:
                # Whether one that has failed is well again, one request at a time may find out.
                well = [supplier for supplier in ready if not (supplier.tries and supplier.busy)]
                return self.only or self._best(well or ready, now)
            await self._clock.sleep(min(supplier.quiet_until for supplier in candidates) - now)

    def _candidates(self) -> list[Supplier]:
        """Those that are asked before others."""
        wanted = [each for each in self._living if not each.aside]
        if self._known is None:
            # What the object is the first one says, and not who is quickest.
            wanted = [each for each in wanted if not each.tries][:1]
        return wanted or self._living

    @staticmethod
    def _best(suppliers: Sequence[Supplier], now: float) -> Supplier:
        rates = {supplier.number: supplier.rate(now) for supplier in suppliers}
        # Who has shown nothing yet gets the chance to.
        best = max((rate for rate in rates.values() if rate), default=1.0)

        def cost(supplier: Supplier) -> tuple[bool, float, int]:
            waits = not supplier.host.gate.passes()
            return waits, (supplier.busy + 1) / (rates[supplier.number] or best), supplier.number

        return min(suppliers, key=cost)

    def patience(self, supplier: Supplier) -> float | None:
        """Seconds after which its answer is not waited for any longer, since another one's would come; None: no such.

        With each time that it took longer it is given twice as long.
        """
        others = [each for each in self._living if each is not supplier and not (each.tries or each.aside)]
        if self._known is not None:
            others = [each for each in others if each.remote]
        if not others:
            return None
        usual = max(other.latency for other in others)
        return max(_PATIENCE, _PATIENCE_LATENCIES * usual) * 2.0 ** min(supplier.tries.total(), 10)

    def give_up(self, supplier: Supplier, error: AsyncdlError) -> bool:
        """Whether the download can do without this one, which has failed for good; then it is asked no more."""
        if not supplier.given_up:
            if self.only:
                return False
            supplier.given_up = True
            self._living.remove(supplier)
            self.only = self._living[0] if len(self._living) == 1 else None
            self.several = self.only is None
            where, what = supplier.refresher.shown, error.message
            _logger.warning("mirror %d (%s) is given up: %s", supplier.number + 1, where, what)
        return True

    def expected(self, supplier: Supplier, remote: RemoteObject | None) -> RemoteObject | None:
        """What a response from it is judged by; `remote` is what the object is."""
        if not self.plural or remote is None:
            return remote
        known = supplier.remote
        # Of another server's tags and dates nothing follows.
        return RemoteObject(remote.size) if known is None else replace(known, size=remote.size)

    def vet(
        self,
        supplier: Supplier,
        remote: RemoteObject,
        promises: Sequence[Checksum],
        *,
        ranges: bool = True,
    ) -> None:
        """See whether a response that answers what was asked is of the object.

        Args:
            ranges: whether the server sent what was asked for, and not all of a large object.

        Raises:
            RemoteChangedError, IntegrityError: it is not, or nothing proves that it is.
            PassedOverError: it is the first one, and another place may have an answer that is better to begin with.
        """
        if self._known is None:
            to_verify(self._pinned, promises, ())
            if self._others_to_ask(supplier) and not (ranges and self._goes_on(remote)):
                supplier.aside = True
                raise PassedOverError("another mirror is asked first")
            return
        verdict = same_bytes(self._known, remote, promises, pinned=self._pinned)
        if not isinstance(verdict, Match):
            raise RemoteChangedError(f"this is not proven to be the object: {verdict.why}", hint=_UNPROVEN_HINT)

    def _others_to_ask(self, supplier: Supplier) -> bool:
        others = [each for each in self._living if each is not supplier]
        return any(not (each.aside or each.tries or each.remote) for each in others)

    def _goes_on(self, remote: RemoteObject) -> bool:
        """Whether what an earlier download left is certainly of this object, or there is nothing."""
        if self.prior is None:
            return True
        pinned = None if self._pinned is None else str(self._pinned)
        return isinstance(
            same_object(self.prior, remote, checksum=pinned, declared_size=self._declared_size),
            Match,
        )

    def accepted(
        self, supplier: Supplier, remote: RemoteObject, promises: Sequence[Checksum], so_far: RemoteObject | None
    ) -> RemoteObject:
        """A response has been vetted; returns what the object is, by all that is known.

        Args:
            so_far: what it was before.
        """
        supplier.remote = remote
        self.used.add(supplier.number)
        if so_far is None or self._known is None:
            self._known = Known().plus(remote, promises)
            return remote
        # What only the caller's checksum speaks for proves nothing to others.
        if isinstance(same_bytes(self._known, remote, promises), Match):
            self._known = self._known.plus(remote, promises)
        return so_far if so_far.size is not None else replace(so_far, size=remote.size)
