"""One file from several places, one of which may send what is not the object: further attempts with fewer of them.

Rule: only a checksum of the whole tells that somebody sent something else, and not who. Where one place sent all, it
was that one; where several did, each is then tried by itself.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from typing import Final

from asyncdl.edge.clock import Clock
from asyncdl.engine import FileDownload
from asyncdl.errors import AsyncdlError, IntegrityError, RefreshError, TransferError
from asyncdl.job import Aside, Commons
from asyncdl.model import Mirrors, Request, Result, SingleSource
from asyncdl.options import Options, Retry, Timeouts
from asyncdl.progress import Reporter

_logger = logging.getLogger("asyncdl")

#: Results of what was done are added up over all attempts.
_SUMS: Final = ("fetched", "requests", "retries", "refreshes")


class Trials:
    """As `FileDownload`, for a request whose source is `Mirrors`.

    Args:
        make: a download of a request.
    """

    def __init__(self, request: Request, make: Callable[[Request], FileDownload], clock: Clock) -> None:
        assert isinstance(request.source, Mirrors)  # noqa: S101  # see `download_of`
        self._request, self._make, self._clock = request, make, clock
        self._sources: tuple[SingleSource, ...] = request.source.sources
        self._began = clock.monotonic()
        self._earlier: list[Result] = []
        self._download = make(request)

    async def run(self, reporter: Reporter) -> Result:
        """As `FileDownload.run`; where the checksum is not right in the end, once more with others."""
        groups = deque([tuple(range(len(self._sources)))])
        while True:
            group = groups.popleft()
            try:
                return self._summed(await self._download.run(reporter))
            except (IntegrityError, TransferError, RefreshError) as error:
                if self._download.complete and isinstance(error, IntegrityError):
                    groups.extendleft(reversed(_smaller(group, self._download.used)))
                elif not self._earlier:
                    raise
                if not groups:
                    raise
                self._begin_anew(groups[0], error)

    def failed(self, error: Exception) -> Result:
        """As `FileDownload.failed`."""
        return self._summed(self._download.failed(error))

    def _begin_anew(self, group: Sequence[int], error: AsyncdlError) -> None:
        numbers = ", ".join(str(number + 1) for number in group)
        _logger.warning("%s; begun anew from mirror %s alone", error.message, numbers)
        self._earlier.append(self._download.failed(error))
        sources = [self._sources[number] for number in group]
        source = sources[0] if len(sources) == 1 else Mirrors(sources)
        # They go to the first one's origin alone.
        headers = self._request.headers if group[0] == 0 else ()
        self._download = self._make(replace(self._request, source=source, headers=headers))

    def _summed(self, result: Result) -> Result:
        sums = {name: sum(getattr(each, name) for each in (*self._earlier, result)) for name in _SUMS}
        return replace(result, request=self._request, elapsed=self._clock.monotonic() - self._began, **sums)


def download_of(
    request: Request,
    options: Options,
    timeouts: Timeouts,
    retry: Retry,
    commons: Commons,
    *,
    clock: Clock,
    deadline: float | None = None,
    admit: Callable[[], bool] = lambda: True,
    aside: Aside = nullcontext,
) -> FileDownload | Trials:
    """What brings the file of a request; the arguments are those of `FileDownload`."""

    def make(request: Request) -> FileDownload:
        return FileDownload(
            request, options, timeouts, retry, commons, clock=clock, deadline=deadline, admit=admit, aside=aside
        )

    return Trials(request, make, clock) if isinstance(request.source, Mirrors) else make(request)


def _smaller(group: Sequence[int], used: Sequence[int]) -> list[tuple[int, ...]]:
    """The places of a group that may yet have the object, in groups that are smaller in any case.

    Args:
        used: positions of those that sent what is not the object.
    """
    if len(group) == 1 or not used:
        return []
    senders = [group[position] for position in used]
    others = tuple(number for number in group if number not in senders)
    alone = [(number,) for number in senders] if len(senders) > 1 else []
    return [*alone, *([others] if others else [])]
