"""What an origin can be asked too much of: connections, requests per second, bytes per second; data and sums alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from asyncdl.errors import OptionsError
from asyncdl.testing.response import Response, plain

#: Number of a connection -> bytes per second, or None where it gets no rate of its own.
ConnectionRates: TypeAlias = Mapping[int, float] | Callable[[int], float | None]

#: Amazon S3 API reference, "Error responses": the answer to too many requests.
_SLOW_DOWN: Final = (
    b'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>SlowDown</Code>'
    b"<Message>Please reduce your request rate.</Message><RequestId>4442587FB7D0A2F9</RequestId></Error>"
)


class Budget:
    """An amount per second for all who share it, handed out in the order asked.

    Attributes:
        rate: the amount per second.
    """

    def __init__(self, rate: float) -> None:
        self.rate: float = rate
        self._free_at = 0.0

    def take(self, amount: float, now: float) -> float:
        """Seconds to wait before using so much; what was not used earlier is lost."""
        begin = max(self._free_at, now)
        self._free_at = begin + amount / self.rate
        return begin - now


class Bucket:
    """Admits so many per second on average, and as many at once, but at least one."""

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._most = max(1.0, rate)
        self._left = self._most
        self._seen = 0.0

    def admits(self, now: float) -> bool:
        """Whether one more may pass; if so it has passed."""
        self._left = min(self._most, self._left + (now - self._seen) * self._rate)
        self._seen = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


@dataclass(slots=True, kw_only=True)
class Limits:
    """The limits of one origin; each may be changed at any time, and counts for what comes then.

    Attributes:
        max_connections: open at a time; each request on a further one is answered 503, and the connection closed.
        max_rate: data requests per second, with bursts of one second's worth; above that they get S3's 503 SlowDown.
        retry_after: value of Retry-After in both.
        total_rate: body bytes per second of all connections together; for connections that begin later.
        connection_rates: body bytes per second by number of connection; goes before the origin's rate.

    Raises:
        OptionsError: a limit is not above 0.
    """

    max_connections: int | None = None
    max_rate: float | None = None
    retry_after: float | str | None = None
    total_rate: float | None = None
    connection_rates: ConnectionRates | None = None
    _budget: Budget | None = field(default=None, init=False, repr=False)
    _bucket: tuple[float, Bucket] | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        for name in ("max_connections", "max_rate", "total_rate"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise OptionsError(f"{name} must be above 0: {value}")

    def crowded(self, connections: int) -> bool:
        """Whether one of so many open connections is one too many."""
        return self.max_connections is not None and connections > self.max_connections

    def budget(self) -> Budget | None:
        """What all connections share."""
        if self.total_rate is None:
            self._budget = None
        elif self._budget is None or self._budget.rate != self.total_rate:
            self._budget = Budget(self.total_rate)
        return self._budget

    def rate_of(self, connection: int) -> float | None:
        """Bytes per second of one connection, or None where nothing is said about it."""
        rates = self.connection_rates
        if rates is None:
            return None
        return rates.get(connection) if isinstance(rates, Mapping) else rates(connection)

    def admits(self, now: float) -> bool:
        """Whether a data request may be answered at `now`, in seconds of a clock that only goes forward."""
        if self.max_rate is None:
            return True
        if self._bucket is None or self._bucket[0] != self.max_rate:
            self._bucket = self.max_rate, Bucket(self.max_rate)
        return self._bucket[1].admits(now)

    def refusal(self, *, closing: bool = False) -> Response:
        """The 503 of a limit."""
        pause = () if self.retry_after is None else (("Retry-After", str(self.retry_after)),)
        headers = (("Content-Type", "application/xml"), *pause)
        return plain(503, _SLOW_DOWN, headers, ending="fin" if closing else "keep")
