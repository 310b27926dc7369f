"""How many requests a server bears at once: fewer when it throttles, slowly more while it does not.

Rule: additive increase, multiplicative decrease, as TCP does it (RFC 5681 section 3.1): connections that do not know of
each other share a server fairly that way.
Rule: the step up to what was too much last time is made with hesitation, as CUBIC does it (RFC 9438 section 4.1).
"""

from __future__ import annotations

from math import inf

#: Rounds without a refusal before what was too much is tried again.
_HESITATION = 8


class Allowance:
    """Requests that may be in flight at once: from 1 to `most`, and `most` to begin with.

    Attributes:
        limit: how many that is now.
        epoch: to be noted when a request begins, and handed in when it is throttled.
    """

    def __init__(self, most: int) -> None:
        self._most = self._limit = float(most)
        self._too_much = inf
        self._served_since_doubt = inf
        self.limit: int = most
        self.epoch: int = 0

    def throttled(self, epoch: int, *, certain: bool = True) -> None:
        """Halve; once for all requests that were under way together, for they all met the same overload.

        Args:
            certain: the server said that there are too many. Where it only failed in a way that may mean this (a 503
                without a word), the second such failure within a round counts, and not the first: one request in a
                hundred fails at some servers however few there are.
        """
        if epoch != self.epoch:
            return
        doubted, self._served_since_doubt = self._served_since_doubt < self.limit, 0.0
        if certain or doubted:
            self._too_much = max(2.0, self.limit)
            self._limit = max(1.0, self._limit / 2)
            self.limit = int(self._limit)
            self.epoch += 1

    def succeeded(self) -> None:
        """A request was served: one more for every round of them, and for several where one more was too much."""
        self._served_since_doubt += 1
        hesitation = _HESITATION if self._limit >= self._too_much - 1 else 1
        self._limit = min(self._most, self._limit + 1 / self._limit / hesitation)
        self.limit = int(self._limit)
        if self._limit >= self._too_much:
            self._too_much = inf
