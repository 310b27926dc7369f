"""What the origin was asked and what it sent, for tests to ask about; it decides nothing."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING

from asyncdl.model import Headers
from asyncdl.testing.content import merged

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(slots=True, kw_only=True, eq=False)
class RequestRecord:
    """One request and what became of it. The query is kept out of `repr`: it holds a signature.

    Attributes:
        number: position among all requests of this origin, from 0.
        connection: number of the connection it came on, from 0.
        method, path: as sent; the path ends before the query.
        raw_target: the request target as sent, query included.
        headers: request headers.
        range: half-open range asked for, or None; an end left open, or a count from the end, is resolved.
        generation: of the signed URL used, or None for an unsigned one.
        index: position among the data requests of this path, from 0; None while refused.
        age: seconds since the first data request of this path; 0.0 for that one, and while refused.
        refused: the URL was not accepted, so no object was involved.
        limited: answered 503 for a limit of the origin, so no object was involved.
        status: HTTP status sent, or 0 while none was.
        sent: body bytes handed to the socket.
        body_start: offset in the object of the first body byte sent, or None if the body is no part of the object.
        started, finished: `time.monotonic()`; None while it runs.
        aborted: ended before the complete response was sent, by the client or on purpose.
    """

    number: int
    connection: int
    method: str
    path: str
    raw_target: str = field(repr=False)
    headers: Headers = field(default_factory=Headers, repr=False)
    range: tuple[int, int] | None = None
    generation: int | None = None
    index: int | None = None
    age: float = 0.0
    refused: bool = False
    limited: bool = False
    status: int = 0
    sent: int = 0
    body_start: int | None = None
    started: float = 0.0
    finished: float | None = None
    aborted: bool = False


class Ledger:
    """Everything one origin was asked and has sent.

        assert 1 == ledger.generations("/model") - 1            # one refresh
        assert 0 == ledger.repeated("/model")                   # no byte twice
        await ledger.until(lambda: ledger.bytes_sent() > 1000)  # instead of sleeping

    Bytes count as sent when the operating system took them. A client that reads slowly, or leaves, has therefore seen
    fewer: what fits into both sockets' buffers (some MiB on loopback) may be on its way. When a connection breaks, up
    to one block (256 KiB) that was just being handed over may be missing from the count.
    """

    def __init__(self) -> None:
        self.requests: list[RequestRecord] = []
        self.open_connections: int = 0
        self.max_open: int = 0
        self.connections: int = 0
        self._waiting: list[tuple[Callable[[], bool], asyncio.Future[None]]] = []

    @property
    def refused(self) -> list[RequestRecord]:
        """Requests whose URL was not accepted: expired, revoked, altered or unsigned."""
        return [record for record in self.requests if record.refused]

    @property
    def limited(self) -> list[RequestRecord]:
        """Requests that were answered 503 because of a limit of the origin."""
        return [record for record in self.requests if record.limited]

    @property
    def heads(self) -> list[RequestRecord]:
        """HEAD requests, whatever became of them."""
        return [record for record in self.requests if record.method == "HEAD"]

    @property
    def in_flight(self) -> int:
        """Requests that are being answered now."""
        return sum(record.finished is None for record in self.requests)

    def data_requests(self, path: str | None = None) -> list[RequestRecord]:
        """Requests that got as far as an object, of `path` or of all."""
        return [
            record for record in self.requests if record.index is not None and (path is None or record.path == path)
        ]

    def asked(self, start: int, path: str | None = None) -> list[RequestRecord]:
        """Data requests that began at this offset; one without a range begins at 0."""
        return [record for record in self.data_requests(path) if start == (record.range or (0, 0))[0]]

    def since(self, moment: float) -> list[RequestRecord]:
        """Requests of any kind that came at `moment` (of `time.monotonic()`) or later."""
        return [record for record in self.requests if record.started >= moment]

    def per_generation(self, path: str) -> Counter[int | None]:
        """How many data requests each signed URL of `path` served; unsigned ones count under None."""
        return Counter(record.generation for record in self.data_requests(path))

    def max_in_flight(self, path: str | None = None) -> int:
        """The most data requests, of `path` or of all, that were ever being answered at the same time."""
        moments = [
            moment
            for record in self.data_requests(path)
            for moment in ((record.started, 1), (math.inf if record.finished is None else record.finished, -1))
        ]
        # At equal times the end sorts before the beginning: what touches does not overlap.
        return max(accumulate(change for _, change in sorted(moments)), default=0)

    def bytes_sent(self, path: str | None = None) -> int:
        """Bytes of objects sent, of `path` or of all; error bodies do not count."""
        return sum(record.sent for record in self.data_requests(path) if record.body_start is not None)

    def coverage(self, path: str) -> list[tuple[int, int]]:
        """Half-open ranges of the object that were sent at least once, sorted and joined."""
        return merged(self._spans(path))

    def repeated(self, path: str) -> int:
        """Bytes sent more than once, each further time counted."""
        spans = self._spans(path)
        return sum(stop - start for start, stop in spans) - sum(stop - start for start, stop in merged(spans))

    def times_sent(self, path: str) -> list[tuple[int, int, int]]:
        """Half-open ranges of the object with how often their bytes were sent: (start, stop, times), times above 0."""
        changes: Counter[int] = Counter()
        for start, stop in self._spans(path):
            changes[start] += 1
            changes[stop] -= 1
        places = sorted(place for place, change in changes.items() if change)
        counts = accumulate(changes[place] for place in places)
        return [
            (start, stop, times) for (start, stop), times in zip(pairwise(places), counts, strict=False) if times > 0
        ]

    def generations(self, path: str) -> int:
        """How many different signed URLs of `path` served a data request."""
        return len({record.generation for record in self.data_requests(path) if record.generation is not None})

    def headers_seen(self, name: str) -> list[str]:
        """Every value of a request header, in the order received."""
        return [value for record in self.requests for value in record.headers.all(name)]

    async def until(self, condition: Callable[[], bool], *, timeout: float = 60.0) -> None:  # noqa: ASYNC109
        """Wait until `condition()` holds; it is looked at whenever the ledger changes.

        Raises:
            TimeoutError: it did not within `timeout` seconds.
        """
        if condition():
            return
        entry = (condition, asyncio.get_running_loop().create_future())
        self._waiting.append(entry)
        try:
            async with asyncio.timeout(timeout):
                await entry[1]
        finally:
            self._waiting.remove(entry)

    def opened(self) -> int:
        """Note a new connection; returns its number."""
        self.connections += 1
        self.open_connections += 1
        self.max_open = max(self.max_open, self.open_connections)
        self.changed()
        return self.connections - 1

    def closed(self) -> None:
        """Note the end of a connection."""
        self.open_connections -= 1
        self.changed()

    def changed(self) -> None:
        """Let those in `until` look again."""
        for condition, future in self._waiting:
            if not future.done() and condition():
                future.set_result(None)

    def _spans(self, path: str) -> list[tuple[int, int]]:
        return [
            (record.body_start, record.body_start + record.sent)
            for record in self.data_requests(path)
            if record.body_start is not None
        ]
