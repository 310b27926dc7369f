"""The body of an accepted response, chunk by chunk into the queue, and nothing of it that does not belong there.

Rule: a byte enters the queue only at the offset that its response proved, and only once.
"""

from __future__ import annotations

import asyncio

from asyncdl.edge.transport import Body, Response
from asyncdl.errors import (
    ConnectError,
    IntegrityError,
    RemoteChangedError,
    ResponseMismatchError,
    TransferError,
)
from asyncdl.job import Job
from asyncdl.model import Chunk, Part, RemoteObject
from asyncdl.refresher import Lease, UrlRefresher
from asyncdl.rules.pace import PaceKeeper
from asyncdl.rules.parts import Claim
from asyncdl.rules.ranges import body_length, has_length
from asyncdl.watch import Watch


class _TooLongError(ResponseMismatchError):
    """A body goes on where it should have ended."""


class Receiver:
    """Takes bodies for one fetcher.

    Attributes:
        refresher: told of what its URL has brought.
    """

    def __init__(self, job: Job) -> None:
        self._job = job
        self.refresher: UrlRefresher = job.refresher

    async def whole(self, response: Response, remote: RemoteObject, claim: Claim, lease: Lease) -> None:
        """Take a 200; where its framing has no length, it must end by itself, and where it should."""
        claim.stop = remote.size
        try:
            await self._receive(response.body(0, body_length(response.headers)), claim, lease, remote.size)
        except _TooLongError:
            raise IntegrityError(f"the object is longer than its {remote.size} bytes") from None
        if remote.size is not None and claim.position < remote.size:
            raise ConnectError("the body ended before the object did", retryable=True)
        self.end(claim)

    @staticmethod
    def end(claim: Claim) -> None:
        """The object ends here, as it must have ended in every response for it."""
        if claim.position < claim.furthest:
            raise RemoteChangedError("the remote object changed: a second response for it is shorter than the first")
        claim.stop = claim.position

    async def part(self, response: Response, part: Part, claim: Claim, lease: Lease) -> None:
        """Take a 206; where its framing has no length, it must end by itself, and exactly where it said."""
        if claim.done:  # it was asked for its head; the byte is there
            await response.excerpt(part.length)
            return
        if has_length(response.headers):
            if not self._job.queued and (chunk := response.at_hand(part.start, part.stop)) is not None:
                # There is no wait to bound, nothing to take over, and nobody to whom the rate would mean anything.
                await self._job.intake.put(chunk)
                self._brought(chunk, claim, lease)
                return
            # The only stream may go on as a part: nobody is there to bring what would be taken from it.
            divisible = not self._job.sequential
            await self._receive(response.body(part.start, part.stop), claim, lease, part.stop, divisible=divisible)
            return
        try:
            await self._receive(response.body(part.start, None), claim, lease, part.stop)
        except _TooLongError:
            claim.position = part.start  # whatever it was, it was not that part
            raise
        if claim.position < part.stop:
            raise ConnectError("the body ended before the part did", retryable=True)

    async def _receive(
        self, body: Body, claim: Claim, lease: Lease, limit: int | None, *, divisible: bool = False
    ) -> None:
        """Bring a body to the queue; nothing of it belongs beyond `limit`.

        Args:
            divisible: others may take over what has not come yet.

        Raises:
            _TooLongError: something does.
            StallError: the server sent nothing, or too little, while we were ready to take it.
        """
        job = self._job
        with (
            Watch(job.timeouts, body) as watch,
            job.scheduler.receiving(claim, watch, divisible=divisible) as transfer,
        ):
            try:
                async with watch.bound:
                    while not transfer.over and (chunk := await body.receive()) is not None:
                        if limit is not None and chunk.stop > limit:
                            chunk.release()
                            raise _TooLongError("the body is longer than its Content-Range", retryable=True)
                        if not transfer.keeps(chunk):  # cut off while it was on its way
                            break
                        await self._put(chunk, watch.keeper)
                        self._brought(chunk, claim, lease)
                        del chunk  # or the traceback of what goes wrong next would keep its bytes
            except (TimeoutError, TransferError) as error:
                if transfer.over:
                    return  # however it ended: the rest is for another connection to bring
                if isinstance(error, TransferError) or not watch.bound.expired():
                    raise
                raise watch.fault() from error

    def _brought(self, chunk: Chunk, claim: Claim, lease: Lease) -> None:
        self.refresher.brought(lease)
        self._job.counters.fetched += chunk.stop - claim.position
        claim.advance(chunk.stop)

    async def _put(self, chunk: Chunk, keeper: PaceKeeper) -> None:
        intake = self._job.intake
        full = intake.full()
        if full:
            keeper.park()
        try:
            await intake.put(chunk)
        except asyncio.CancelledError:
            chunk.release()  # it is in no queue, and is asked for again
            raise
        if full:
            keeper.unpark()
