"""What a fetcher does only where several places have the object: it doubts what they send, and waits for none long."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from http import HTTPStatus

from asyncdl.edge.transport import Response
from asyncdl.edge.waits import Bound, Row
from asyncdl.errors import ResponseMismatchError, StallError, TransferError
from asyncdl.job import Job
from asyncdl.model import Checksum
from asyncdl.refresher import Lease
from asyncdl.rules.promises import promised
from asyncdl.rules.ranges import Accept, Complete, RangeIgnored, Sequential, Verdict
from asyncdl.suppliers import Supplier

#: Statuses of responses that bring bytes of an object.
SERVED = frozenset({HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT})


class RangesIgnoredError(ResponseMismatchError):
    """A server that serves ranges, or was thought to, sent the whole object."""


def promises_of(response: Response, lease: Lease, *, whole: bool) -> tuple[Checksum, ...]:
    """The checksums of the whole object that come with a response, or came with its URL.

    Args:
        whole: whether the body is all of the object.
    """
    promises = promised(response.headers, whole=whole) if response.status in SERVED else ()
    return promises if lease.url.checksum is None else (lease.url.checksum, *promises)


def vet(job: Job, supplier: Supplier, verdict: Verdict, response: Response, lease: Lease) -> None:
    """See whether a response that answers its request is of the object that other places have.

    Raises:
        RemoteChangedError, IntegrityError, PassedOverError: as `Suppliers.vet`.
        RangesIgnoredError: it is, but as one stream, and others send ranges.
    """
    suppliers = job.suppliers
    match verdict:
        case Accept(part, remote):
            suppliers.vet(supplier, remote, promises_of(response, lease, whole=part == (0, remote.size)))
        case Sequential(remote):
            fits = remote.size is not None and remote.size <= job.options.chunk_size
            suppliers.vet(supplier, remote, promises_of(response, lease, whole=True), ranges=fits)
            if job.remote is not None and suppliers.several and not job.sequential:
                raise RangesIgnoredError("the server sent the whole object instead of a range", retryable=True)
        case RangeIgnored(remote):
            suppliers.vet(supplier, remote, promises_of(response, lease, whole=True))
        case Complete(remote):
            suppliers.vet(supplier, remote, promises_of(response, lease, whole=False))
        case _:
            pass


@asynccontextmanager
async def patiently(opening: AbstractAsyncContextManager[Response], seconds: float | None) -> AsyncIterator[Response]:
    """A response, if its headers come within `seconds`; None for no bound but its own.

    Raises:
        StallError: they do not.
    """
    if seconds is None:
        async with opening as response:
            yield response
        return
    row = Row(seconds)
    bound = Bound(row)
    try:
        async with bound.timeout, opening as response:
            bound.cancel()
            if not bound.timeout.expired():
                bound.timeout.reschedule(None)  # it may have rung in this very turn of the loop
            yield response
    except TimeoutError as error:
        if not bound.timeout.expired() or isinstance(error, TransferError):
            raise
        raise StallError("it does not answer, and another mirror does", retryable=True) from None
    finally:
        bound.cancel()
        row.close()
