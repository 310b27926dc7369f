"""What became of many files, counted; pure."""

from __future__ import annotations

from dataclasses import dataclass

from asyncdl.model import Outcome, Result


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """The sum of the results of a batch.

    Attributes:
        downloaded, skipped, failed: files.
        size: bytes of the files that are there now, skipped ones included.
        fetched: body bytes taken from the network.
        resumed: bytes that earlier downloads had left and that were kept.
        requests, retries, refreshes: as in `Result`.
    """

    downloaded: int = 0
    skipped: int = 0
    failed: int = 0
    size: int = 0
    fetched: int = 0
    resumed: int = 0
    requests: int = 0
    retries: int = 0
    refreshes: int = 0

    @property
    def files(self) -> int:
        """Results so far."""
        return self.downloaded + self.skipped + self.failed

    def plus(self, result: Result) -> Summary:
        """With one more."""
        outcome = result.outcome
        return Summary(
            downloaded=self.downloaded + (outcome is Outcome.DOWNLOADED),
            skipped=self.skipped + (outcome is Outcome.SKIPPED),
            failed=self.failed + (outcome is Outcome.FAILED),
            size=self.size + (0 if outcome is Outcome.FAILED else result.size or 0),
            fetched=self.fetched + result.fetched,
            resumed=self.resumed + result.resumed,
            requests=self.requests + result.requests,
            retries=self.retries + result.retries,
            refreshes=self.refreshes + result.refreshes,
        )
