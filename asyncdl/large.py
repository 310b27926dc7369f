"""An object on its way through a `.part` file: what is kept of an earlier download, the writer, and a right end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence
from dataclasses import replace

from asyncdl.edge.disk import Disk
from asyncdl.edge.files import BEAT, PartFile
from asyncdl.edge.sink import FileSink
from asyncdl.errors import DiskFullError, IntegrityError, StorageError
from asyncdl.job import Job, Start
from asyncdl.model import Checksum, Part, RemoteObject, Request
from asyncdl.resume import keep
from asyncdl.rules.head import Head
from asyncdl.rules.held import Held
from asyncdl.rules.journal import State
from asyncdl.rules.parts import Claim
from asyncdl.small import unlike
from asyncdl.verifier import Verifier
from asyncdl.writer import Writer

_logger = logging.getLogger("asyncdl")


class LargeObject:
    """One object, from the opened file to the published one; made by `open`.

    Attributes:
        writer: of its bytes.
    """

    writer: Writer

    def __init__(self, request: Request, job: Job, sink: FileSink) -> None:
        self._request, self._job, self._sink = request, job, sink
        self._wanted: Checksum | None = None
        self._pinned = None if request.checksum is None else str(request.checksum)
        self._proven = True
        self.writer = Writer(sink, job.queue, job.write_batch, job.clock, one_stream=lambda: job.sequential)

    @classmethod
    async def open(cls, request: Request, job: Job, disk: Disk) -> LargeObject:
        """Take the `.part` file.

        Raises:
            JournalError, StorageError: as `PartFile.create`.
        """
        resume = job.options.resume
        return cls(
            request,
            job,
            await PartFile.create(request.dest, if_exists=request.if_exists, resume=resume, disk=disk),
        )

    @property
    def prior(self) -> State | None:
        """What an earlier download left, until `begin`."""
        return self._sink.prior

    async def begin(
        self, remote: RemoteObject, claim: Claim, wanted: Checksum | None, part_size: int | None
    ) -> tuple[Held, ...]:
        """Take the file for this object; what of an earlier download is gone on with.

        Args:
            claim: what the first response is for.
            wanted: the checksum to verify.
            part_size: for the journal's readers.
        """
        self._wanted = wanted
        keep = self._keep(remote, claim)
        # An entity tag in the journal speaks of every byte that it claims: not of bytes kept without that proof.
        known = remote if self._proven or not keep else replace(remote, etag=None)
        head = Head.of(known, checksum=self._pinned, declared_size=self._request.size, part_size=part_size)
        await self._sink.begin(head, keep)
        verifier = Verifier(wanted, self._sink.examine, held=keep)
        await verifier.load()
        self.writer.begin(verifier, keep)
        return keep

    def _keep(self, remote: RemoteObject, claim: Claim) -> tuple[Held, ...]:
        """What of an earlier download is gone on with."""
        prior = self._sink.prior
        if prior is None:
            return ()
        self._proven, held = keep(
            prior,
            remote,
            claim,
            in_one_piece=self._job.sequential,
            checksum=self._pinned,
            declared_size=self._request.size,
            verified=self._wanted is not None,
            trusting=self._job.options.resume_unproven,
        )
        return held

    async def reserve(self, size: int, start: Start) -> None:
        """Look whether there is room for an object of `size` bytes, and begin to take it, in a task of `start`'s."""
        options = self._job.options
        if options.check_space:
            await self._sink.reserve(size, preallocate=False)
        if options.preallocate:
            self.writer.reserving = start(self._sink.reserve(size, check_space=False))

    async def beat(self) -> None:
        """Show others that this download is alive, until cancelled."""
        while True:
            await asyncio.sleep(BEAT)
            await self._sink.beat()

    def size(self, *, complete: bool = True) -> int:
        """Bytes of the object.

        Raises:
            IntegrityError: it is to be complete, and something is missing.
        """
        remote, coverage = self._job.remote, self.writer.coverage
        size = remote.size if remote else None
        if size is None:
            size = coverage.stop
        missing = _length(coverage.missing(size))
        if complete and (missing or coverage.stop != size):
            raise IntegrityError(f"{missing} of {size} bytes are missing at the end")
        return size

    async def wrong(self) -> list[Part]:
        """What has to be fetched again, given up already: with it the file has not the checksum that it should have.

        Raises:
            IntegrityError: it has not, and fetching would not help.
        """
        wrong = await self._verify()
        if wrong:
            _logger.warning("%d bytes are not what was sent, and are fetched again", _length(wrong))
            await self.writer.forget(wrong)
        return wrong

    async def check_again(self) -> None:
        """After what was wrong has been fetched again.

        Raises:
            IntegrityError: it still is.
        """
        if await self._verify():
            await self.writer.forget([Part(0, self.writer.coverage.stop)])
            raise IntegrityError("the disk does not give back what was written to it, not even the second time")

    async def _verify(self) -> list[Part]:
        writer, size = self.writer, self.size()
        actual = await writer.verifier.finish(size, writer.coverage)
        if actual is None or self._wanted is None or actual == self._wanted:
            return []
        wrong = await writer.verifier.damaged(size)
        if not wrong and not self._proven:
            wrong = [Part(0, size)]  # what was kept was of another object
            self._proven = True
        if wrong:
            return wrong
        await writer.forget([Part(0, size)])
        raise unlike(actual, self._wanted)

    async def publish(self) -> int:
        """Give the complete file its name; how many bytes it has."""
        size = self.size()
        await self._sink.publish(size)
        return size

    async def abandon(self) -> None:
        """Close, and keep nothing, since the destination turned out to be the object already."""
        await self._sink.abandon(discard=True)

    async def give_up(self, error: BaseException) -> None:
        """Close after `error`, and claim what there is where that can be done."""
        try:
            await self.writer.verifier.aclose()
            if not isinstance(error, StorageError) or isinstance(error, DiskFullError):
                await self.writer.settle()
        finally:
            await self._sink.abandon()


def _length(spans: Iterable[Part] | Sequence[Part]) -> int:
    return sum(span.length for span in spans)
