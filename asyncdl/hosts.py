"""What is known of each host that URLs lead to: how many requests it bears, and how many more tries it is worth."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Final

from asyncdl.edge.clock import Clock
from asyncdl.gate import Gate
from asyncdl.options import Retry
from asyncdl.rules.retry import RetryBudget

#: Hosts that are remembered; of others, what had been learnt is learnt again.
_MOST: Final = 1024


@dataclass(frozen=True, slots=True)
class Host:
    """One of them.

    Attributes:
        gate: passed by every request to it.
        budget: of the retries, for all downloads from it.
    """

    gate: Gate
    budget: RetryBudget


class Hosts:
    """Those that the downloads over one transport have to do with.

    Args:
        most: requests in flight at once to one of them, as long as it says nothing.
        kept: as many of them are for first requests alone.
    """

    def __init__(self, most: int, clock: Clock, retry: Retry, *, kept: int = 0) -> None:
        self._kept = kept
        self._most, self._clock, self._retry = most, clock, retry
        self._known: OrderedDict[Hashable, Host] = OrderedDict()

    def of(self, origin: Hashable) -> Host:
        """The one that requests to `origin` go to."""
        host = self._known.get(origin)
        if host is None:
            host = Host(Gate(self._most, self._clock, self._retry, kept=self._kept), RetryBudget(self._retry.budget))
            self._known[origin] = host
            if len(self._known) > _MOST:
                self._known.popitem(last=False)
        else:
            self._known.move_to_end(origin)
        return host
