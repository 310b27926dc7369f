"""How long to wait before the next try, and how many tries there are; the waiting itself is done elsewhere.

Rule: randomness comes in as an argument, and no input gives a delay that is negative, infinite or above its cap.
"""

from __future__ import annotations

from typing import Final

from asyncdl.options import Retry
from asyncdl.patterns import Pattern
from asyncdl.rules.expiry import parse_http_date

#: Doublings after which any base that matters has long met its cap, and 2.0 ** n is still a finite float.
_MOST_DOUBLINGS: Final = 1000
#: Seconds that stand for every longer wait: 31 million years, exact as a float.
_LONGEST: Final = 10**15
_DELTA_SECONDS: Final = Pattern(r"[0-9]+")


def backoff(retry: Retry, attempt: int, jitter: float) -> float:
    """Seconds to wait before try number `attempt + 1`, by "full jitter".

    Evenly drawn from 0 to `min(cap, base * 2**attempt)`: AWS Architecture Blog, "Exponential Backoff And Jitter".

    Args:
        retry: gives `base` and `cap`.
        attempt: tries that have failed before this one; 0 for the first wait.
        jitter: a random number from 0 to 1.
    """
    return jitter * min(retry.cap, retry.base * 2.0 ** min(max(attempt, 0), _MOST_DOUBLINGS))


def parse_retry_after(value: str | None, *, date: str | None) -> float | None:
    """Seconds a Retry-After header asks to wait (RFC 9110 section 10.2.3), or None where it says nothing usable.

    Args:
        value: the header; digits, or an HTTP-date. A date that has passed gives 0.
        date: the Date header of the same response, which an HTTP-date is measured against, so that the local clock
            does not matter. Without it an HTTP-date gives None.
    """
    text = (value or "").strip(" \t")
    if _DELTA_SECONDS.fullmatch(text):
        digits = text.lstrip("0") or "0"
        return float(_LONGEST if len(digits) > len(str(_LONGEST)) else min(int(digits), _LONGEST))
    until, now = parse_http_date(text), parse_http_date(date)
    return None if until is None or now is None else max(0.0, until - now)


def delay(retry: Retry, attempt: int, jitter: float, retry_after: float | None) -> float:
    """Seconds to wait: the backoff, or what the server asked for up to `retry.retry_after_cap`, whichever is longer."""
    return max(backoff(retry, attempt, jitter), min(retry_after or 0.0, retry.retry_after_cap))


class RetryBudget:
    """Retries that all fetchers of one download share: a retry takes one, a request with new bytes returns one."""

    __slots__ = ("_left", "_start")

    def __init__(self, tokens: int) -> None:
        self._start = self._left = max(0, tokens)

    @property
    def left(self) -> int:
        """Retries that may still be taken."""
        return self._left

    def take(self) -> bool:
        """Use one retry; False, and nothing used, when none is left."""
        if self._left == 0:
            return False
        self._left -= 1
        return True

    def refund(self) -> None:
        """Give one retry back; never above the number begun with."""
        if self._left < self._start:
            self._left += 1
