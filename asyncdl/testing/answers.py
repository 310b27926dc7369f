"""Which response a request gets: limits, signatures, objects and the script decide; nothing is sent here."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from asyncdl.testing.objects import StoredObject
from asyncdl.testing.refusals import s3_mismatch
from asyncdl.testing.response import Response, honest, parse_range, plain, rangeless, refused
from asyncdl.testing.script import Script
from asyncdl.testing.spoiling import faulty

if TYPE_CHECKING:
    from asyncdl.testing.ledger import RequestRecord
    from asyncdl.testing.limits import Limits
    from asyncdl.testing.signer import Signer


class Answers:
    """Decides what an origin answers, and notes in the record of the request what it decided.

    Attributes:
        objects: by path.
        signed_only: paths for which unsigned requests are refused.
        faults: the script.
        ranges: False ignores Range and says so.
    """

    def __init__(self, signer: Signer, limits: Limits, *, ranges: bool) -> None:
        self.objects: dict[str, StoredObject] = {}
        self.signed_only: set[str] = set()
        self.faults: Script = Script()
        self.ranges: bool = ranges
        self._signer = signer
        self._limits = limits
        self._asked: Counter[str] = Counter()
        self._first_asked: dict[str, float] = {}

    def answer(self, record: RequestRecord, *, crowded: bool, base_url: str, now: float) -> Response:
        """The response to a request.

        Args:
            crowded: it came on a connection that is one too many.
            base_url: of the origin.
            now: the server's clock, in seconds since the epoch.
        """
        refusal = self._refusal(record, now, crowded=crowded)
        if refusal is not None:
            return refusal
        stored = self.objects[record.path]
        if record.method == "GET":
            record.index = self._asked[record.path]
            record.age = record.started - self._first_asked.setdefault(record.path, record.started)
            self._asked[record.path] += 1
        record.range = parse_range(record.headers.get("Range"), stored.content.size)
        fault = self.faults.pick(record, stored.content.size)
        if fault is not None:
            fault = fault if self.ranges else replace(fault, ignore_range=True)
            return faulty(fault, stored, record, base_url=base_url)
        if record.method == "HEAD":
            record.refused = True
            return refused(s3_mismatch())
        return honest(stored, record.headers, record.range) if self.ranges else rangeless(stored, record.headers)

    def _refusal(self, record: RequestRecord, now: float, *, crowded: bool) -> Response | None:
        """The answer to a request that gets no further than its URL, or None."""
        record.limited = crowded
        if crowded:
            return self._limits.refusal(closing=True)
        if record.method not in {"GET", "HEAD"}:
            return plain(405, b"", (("Allow", "GET"),), ending="fin")
        known, refusal = record.path in self.objects, None
        if record.method == "HEAD":
            # Signed for GET alone; where there is an object, a fault may still want it otherwise.
            refusal = None if known else s3_mismatch()
        elif self._signer.is_signed(record.raw_target) or record.path in self.signed_only:
            refusal = self._signer.verify(record.raw_target, now, asked=record.headers.get("Range"))
        record.refused = refusal is not None
        if refusal is not None:
            return refused(refusal)
        if not known:
            return plain(404, b"<Error><Code>NoSuchKey</Code></Error>")
        record.limited = record.method == "GET" and not self._limits.admits(record.started)
        return self._limits.refusal() if record.limited else None
