"""One range-fetch coroutine: claims parts and brings their bytes to the queue, whatever it takes within bounds.

Rule: a byte enters the queue only from a response that `judge` accepted, at the offset that response proved.
Rule: a part goes on from the last byte that entered the queue; only a byte that is new resets its attempts.
"""

from __future__ import annotations

import errno
import logging
from collections import Counter
from contextlib import nullcontext
from http import HTTPStatus
from typing import assert_never

from asyncdl.edge.transport import Response
from asyncdl.errors import (
    ConnectError,
    DeadlineError,
    ForbiddenError,
    HttpStatusError,
    IntegrityError,
    RefreshError,
    RemoteChangedError,
    ResponseMismatchError,
    TransferError,
)
from asyncdl.job import Job
from asyncdl.mirrored import SERVED, RangesIgnoredError, patiently, promises_of, vet
from asyncdl.model import RemoteObject
from asyncdl.receiver import Receiver
from asyncdl.refresher import Lease
from asyncdl.rules.parts import Claim
from asyncdl.rules.ranges import (
    Accept,
    Asked,
    Changed,
    Complete,
    Mismatch,
    RangeIgnored,
    Refused,
    Sequential,
    Verdict,
    WrongSize,
    judge,
)
from asyncdl.rules.rejection import Refusal, RefusalKind, read_refusal
from asyncdl.rules.retry import delay
from asyncdl.slots import Kind, Place
from asyncdl.suppliers import PassedOverError

_logger = logging.getLogger("asyncdl")

#: Bytes of an error body that are read: the largest seen are a few KiB (S3 echoes a whole canonical request).
ERROR_BODY_LIMIT = 64 * 1024
#: Attempts where repeating rarely helps: before any server was ever reached, and on answers to another question.
_FIRST_CONTACT_ATTEMPTS = 4
_MISMATCH_ATTEMPTS = 3
_NOT_FOUND = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.GONE})
_PHRASES = {int(status): status.phrase for status in HTTPStatus}
_NO_DESCRIPTORS = frozenset({errno.EMFILE, errno.ENFILE})
_RENEWABLE = frozenset(
    {RefusalKind.EXPIRED, RefusalKind.PRESUMED_EXPIRED, RefusalKind.CLOCK_SKEW, RefusalKind.AMBIGUOUS}
)


class Fetcher:
    """Works on one claim at a time until none is left."""

    def __init__(self, job: Job) -> None:
        self._job, self._receiver = job, Receiver(job)
        self._supplier = job.suppliers.all[0]
        self._crowded_out = False
        self._asked = 0.0
        self._places: tuple[Place, ...] = ()

    async def run(self, claim: Claim | None = None) -> None:
        """Fetch `claim`, if given, and then whatever the planner hands out.

        Raises:
            TransferError: a part could not be had.
            RefreshError, IntegrityError, DeadlineError: as they say.
        """
        scheduler = self._job.scheduler
        if claim is None:
            claim = await scheduler.next()
        else:
            scheduler.begin(claim)
        while claim is not None:
            await self._fetch(claim)
            scheduler.end(claim)
            if not self._job.queued:
                return  # it was all of a small object
            claim = await scheduler.next()

    async def _fetch(self, claim: Claim) -> None:
        own: Counter[type[TransferError]] | None = None  # since the last new byte, by what came of them
        suppliers = self._job.suppliers
        served = suppliers.served
        while not claim.done:
            furthest = claim.furthest
            fault: TransferError | None = None
            self._crowded_out = False
            try:
                await (self._request_anywhere(claim) if suppliers.plural else self._request(claim))
            except PassedOverError:
                continue
            except TransferError as error:
                fault = error
            except (RefreshError, IntegrityError) as error:
                if not suppliers.give_up(self._supplier, error):
                    raise
                continue
            supplier = self._supplier
            if claim.furthest > furthest:
                host = supplier.host
                host.budget.refund()
                self._job.own_budget.refund()
                host.gate.succeeded()
            if fault is None and claim.position == claim.stop and not suppliers.several:
                return  # what is counted below is for what comes after a fault, and for other claims
            # Turned away while others are served, it only has to wait for longer: its own budget bounds that.
            crowded_out = self._crowded_out and suppliers.served > served
            served = suppliers.served
            tries = supplier.tries if suppliers.several else (own := own or Counter())
            if fault is None or claim.furthest > furthest or crowded_out:
                tries.clear()
            if fault is not None:
                if suppliers.several:
                    supplier.blame(type(fault), self._asked, self._job.clock.monotonic())
                else:
                    tries[type(fault)] += 1
                fault.part, fault.attempts = (claim.position, claim.stop), tries.total()
                await self._back_off(fault, claim, tries)

    async def _back_off(self, fault: TransferError, claim: Claim, tries: Counter[type[TransferError]]) -> None:
        """Wait for the next attempt, or raise `fault` if there is none; where there are others, do without this one."""
        job, supplier, several = self._job, self._supplier, self._job.suppliers.several
        attempts = max(1, tries.total())
        limit = job.retry.attempts
        if isinstance(fault, ResponseMismatchError):
            limit = min(limit, _MISMATCH_ATTEMPTS)
        elif isinstance(fault, ConnectError) and (supplier.remote is None if several else job.remote is None):
            limit = min(limit, _FIRST_CONTACT_ATTEMPTS)
        limit = min(limit, fault.most_attempts or limit)
        # A limit of its own counts only its own kind: one odd answer among many 503 is not yet a habit.
        # One at a time, those of all parts are one row: each part's own would take as many times longer as there are.
        attempts_of_all = supplier.host.gate.in_vain if self._crowded_out else 0
        exhausted = max(attempts, attempts_of_all) >= job.retry.attempts or tries[type(fault)] >= limit
        if isinstance(fault, RangesIgnoredError) and exhausted and not several:
            job.go_sequential(claim)
            return
        if not fault.retryable or exhausted or not (job.own_budget.take() and supplier.host.budget.take()):
            if not job.suppliers.give_up(supplier, fault):
                raise fault
            return
        retry_after = getattr(fault, "retry_after", None)
        wait = delay(job.retry, attempts - 1, job.clock.jitter(), retry_after)
        if several:
            supplier.quiet_until = max(supplier.quiet_until, job.clock.monotonic() + wait)
            wait = 0.0
        if wait and retry_after and job.deadline is not None and job.clock.monotonic() + wait >= job.deadline:
            raise DeadlineError(
                f"the server is to be asked again in {wait:.0f} s, which is past the deadline: {fault.message}"
            ) from fault
        job.counters.retries += 1
        _logger.info("bytes from %d on again in %.1f s: %s", claim.position, wait, fault)
        if not several:
            await self._wait(wait)

    async def _wait(self, seconds: float) -> None:
        """Let time pass; where nothing has been begun, others need not wait for it."""
        job = self._job
        async with job.aside() if job.remote is None else nullcontext():
            await job.clock.sleep(seconds)

    async def _request_anywhere(self, claim: Claim) -> None:
        job = self._job
        supplier = self._supplier = job.suppliers.only or await job.suppliers.choose()
        self._receiver.refresher = supplier.refresher
        self._asked = job.clock.monotonic()
        supplier.busy += 1
        try:
            await self._request(claim)
        finally:
            supplier.busy -= 1

    async def _request(self, claim: Claim) -> None:
        """Ask once for the rest of a claim and take what comes."""
        job, supplier = self._job, self._supplier
        refresher = supplier.refresher
        await refresher.lease()  # it says which host's turn to wait for
        kind = Kind.FIRST if job.remote is None and job.scheduler.planner is None else Kind.PART
        while kind is Kind.FIRST and (pause := supplier.host.gate.pause) > 0:
            await self._wait(pause)
        async with supplier.host.gate.turn(kind) as turn, job.commons.slots.turn(kind) as place:
            if supplier.given_up:
                return
            self._places = turn, place
            lease = await refresher.lease()
            try:
                refusal, redirected = await self._exchange(claim, lease)
            except ConnectError as error:
                if getattr(error.__cause__, "errno", None) in _NO_DESCRIPTORS:
                    # As many connections as this process may have are at work, and will do.
                    self._crowded_out = True
                    turn.throttled(None)
                raise
        if refusal is None:
            return
        self._crowded_out = refusal.throttled
        if refusal.throttled:
            turn.throttled(refusal.retry_after, certain=refusal.says_too_many)
        # After the connection has gone back: a renewal may take long, and many may wait for it.
        await self._refused(refusal, lease, redirected=redirected)

    async def _exchange(self, claim: Claim, lease: Lease) -> tuple[Refusal | None, bool]:
        """One request and its response; a refusal, and whether it came from the target of a redirect."""
        job, supplier = self._job, self._supplier
        job.counters.requests += 1
        began, position, served = job.clock.monotonic(), claim.position, False
        opening = job.transport.open(
            lease.url, claim.position, claim.stop, headers=job.headers, home=job.suppliers.home
        )
        if job.suppliers.several:
            opening = patiently(opening, job.suppliers.patience(supplier))
        try:
            async with opening as response:
                served = response.status in SERVED
                if served:  # a refusal is quicker, or slower, than what is asked for
                    supplier.latency = job.clock.monotonic() - began
                    job.scheduler.note_latency(supplier.latency)
                if not response.hops:  # only the server that the URL itself leads to knows when that URL dies
                    supplier.refresher.note_date(response.headers.get("date"))
                return await self._take(response, claim, lease), response.hops > 0
        finally:
            if served and job.suppliers.plural:
                now = job.clock.monotonic()
                supplier.note(claim.position - position, now - began, now)

    def _judged(self, response: Response, claim: Claim, lease: Lease) -> Verdict:
        job = self._job
        expected = job.suppliers.expected(self._supplier, job.remote)
        verdict = judge(
            response.status, response.headers, Asked(claim.position, claim.stop, expected, job.declared_size)
        )
        if job.suppliers.plural:
            vet(job, self._supplier, verdict, response, lease)
        return verdict

    async def _take(self, response: Response, claim: Claim, lease: Lease) -> Refusal | None:
        """Do what the verdict on a response says; a refusal is only read here."""
        job = self._job
        match self._judged(response, claim, lease):
            case Accept(part, remote):
                await self._accept(response, remote, claim, lease, whole=part == (0, remote.size))
                if claim.stop is None:  # a stream of unknown length that broke: now its length is known
                    claim.stop = remote.size
                await self._receiver.part(response, part, claim, lease)
            case Sequential(remote):
                job.go_sequential(claim)
                await self._accept(response, remote, claim, lease, whole=True)
                await self._receiver.whole(response, remote, claim, lease)
            case RangeIgnored(remote) if job.sequential:
                # The stream broke and cannot be taken up where it did: once more from the start.
                await self._accept(response, remote, claim, lease)
                claim.position = 0
                await self._receiver.whole(response, remote, claim, lease)
            case RangeIgnored():
                raise RangesIgnoredError("the server ignored the range and sent the whole object", retryable=True)
            case Complete(remote):
                await self._accept(response, remote, claim, lease)
                self._receiver.end(claim)
            case Changed(why):
                hint = "a renewed URL may name another object than the first one did" if lease.generation else None
                raise RemoteChangedError(f"the remote object changed: {why}", hint=hint)
            case WrongSize(why):
                raise IntegrityError(why, hint="correct the size given, or leave it out")
            case Mismatch(why, retryable):
                raise ResponseMismatchError(why, retryable=retryable)
            case Refused():
                refusal = await self._read_refusal(response, lease)
                if not refusal.empty or claim.position or job.declared_size or job.remote is not None:
                    return refusal
                await self._accept(response, RemoteObject(0), claim, lease)
                claim.stop = 0
            case never:
                assert_never(never)
        return None

    async def _accept(
        self, response: Response, remote: RemoteObject, claim: Claim, lease: Lease, *, whole: bool = False
    ) -> None:
        """Tell the others; `whole` if the body is all of the object."""
        job = self._job
        promises = promises_of(response, lease, whole=whole)
        self._supplier.refresher.accepted(lease)
        if job.suppliers.plural:
            remote = job.suppliers.accepted(self._supplier, remote, promises, job.remote)
        await job.learn(remote, claim, promises)
        if job.queued:
            for place in self._places:
                place.is_of(Kind.PART)

    async def _read_refusal(self, response: Response, lease: Lease) -> Refusal:
        job, refresher = self._job, self._supplier.refresher
        return read_refusal(
            status=response.status,
            headers=response.headers,
            body=await response.excerpt(ERROR_BODY_LIMIT),
            url=lease.url.url,
            expires_at=refresher.expires_at,
            worked=refresher.worked(lease),
            first=(self._supplier.remote if job.suppliers.plural else job.remote) is None,
            secrets=response.secrets,
        )

    async def _refused(self, refusal: Refusal, lease: Lease, *, redirected: bool) -> None:
        """Renew the URL where that may help, else raise what the refusal means."""
        renewable = self._may_be_renewed(refusal, redirected=redirected)
        if renewable and await self._supplier.refresher.rejected(lease, refusal, redirected=redirected):
            return
        words = f": {refusal.excerpt}" if refusal.excerpt else ""
        kind = ForbiddenError if refusal.kind is RefusalKind.FORBIDDEN else HttpStatusError
        raise kind(
            f"the server answered {refusal.status} {_PHRASES.get(refusal.status, '')}".rstrip() + words,
            status=refusal.status,
            body_excerpt=refusal.excerpt,
            hint=refusal.hint,
            retry_after=refusal.retry_after,
            retryable=refusal.kind is RefusalKind.TRANSIENT or renewable,
        )

    def _may_be_renewed(self, refusal: Refusal, *, redirected: bool) -> bool:
        """Whether another URL may help; where there is none to be had, "not found" means what it says."""
        refresher = self._supplier.refresher
        if refusal.status in _NOT_FOUND and not refresher.renewable and not redirected and not refresher.expires_at:
            return False
        return refusal.kind in _RENEWABLE
