"""How many requests a server bears at once: fewer when it throttles, slowly more while it does not.

Rule: additive increase, multiplicative decrease, as TCP does it (RFC 5681 section 3.1): connections that do not know of
each other share a server fairly that way.
"""

from __future__ import annotations


class Allowance:
    """Requests that may be in flight at once: from 1 to `most`, and `most` to begin with."""

    def __init__(self, most: int) -> None:
        self._most = self._limit = float(most)
        self._epoch = 0

    @property
    def limit(self) -> int:
        return int(self._limit)

    @property
    def epoch(self) -> int:
        """To be noted when a request begins, and handed in when it is throttled."""
        return self._epoch

    def throttled(self, epoch: int) -> None:
        """Halve; once for all requests that were under way together, for they all met the same overload."""
        if epoch == self._epoch:
            self._limit = max(1.0, self._limit / 2)
            self._epoch += 1

    def succeeded(self) -> None:
        """A request was served: one more for every round of them."""
        self._limit = min(self._most, self._limit + 1 / self._limit)
