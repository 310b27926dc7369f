"""The one owner of the URL: who needs it asks here, and however many find it dead, it is renewed once.

Rule: a URL is known by its generation. Whoever reports an older one gets the present one and costs no call.
Rule: a renewed URL has to serve something before the next may be asked for; how often it need not is bounded.
Rule: the lock is held only while the provider runs, which has a deadline; a holder that is cancelled leaves everything
as it was, and the next in line calls the provider itself.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass

from asyncdl.edge.clock import Clock
from asyncdl.edge.provider import ask
from asyncdl.errors import ForbiddenError, OptionsError, RefreshError, TransferError, UrlExpiredError
from asyncdl.model import Mirrors, SignedUrl, SingleSource, Source
from asyncdl.options import Options, Timeouts
from asyncdl.rules.expiry import expires_at, parse_http_date
from asyncdl.rules.rejection import Refusal, RefusalKind
from asyncdl.rules.urls import Origin, check_headers, check_url, origin_of

_logger = logging.getLogger("asyncdl")

#: Renewed URLs in a row that may turn out dead before they served a byte. One where the server never said "expired":
#: a second URL that is refused in the same words is forbidden.
_BARREN_REFRESHES = {
    RefusalKind.EXPIRED: 2,
    RefusalKind.PRESUMED_EXPIRED: 2,
    RefusalKind.CLOCK_SKEW: 1,
    RefusalKind.AMBIGUOUS: 1,
}
#: Fewest seconds between two calls of a provider, whatever the server says of its URLs.
_SHORTEST_INTERVAL = 1.0
#: A URL's early renewal takes at most this share of its life.
_MARGIN_SHARE = 1 / 20
#: Seconds by which the server's clock may be ahead of the Date it sent (RFC 9110 section 5.6.7 has whole seconds).
_DATE_RESOLUTION = 1.0


@dataclass(frozen=True, slots=True)
class Lease:
    """A URL to send requests to, and which one it is."""

    url: SignedUrl
    generation: int


class UrlRefresher:
    """Hands out leases.

    Attributes:
        home: the origin of the first URL, the only one that the caller's headers go to; None before there is one.
        origin: of the present URL; None before there is one.
        refreshes: the provider's calls after the first.
    """

    def __init__(self, source: SingleSource, options: Options, timeouts: Timeouts, clock: Clock) -> None:
        self._options, self._timeouts, self._clock = options, timeouts, clock
        self._provider = None if isinstance(source, str | SignedUrl) else source
        self._lock = asyncio.Lock()
        self._lease: Lease | None = None
        self._expires_at: float | None = None
        self._margin: float | None = None
        self._obtained = 0.0
        self._server_ahead: float | None = None
        self._worked = self._brought = False
        self._barren = 0
        self._stale = False
        self._failure: RefreshError | None = None
        self.home: Origin | None = None
        self.origin: Origin | None = None
        self.refreshes: int = 0
        if self._provider is None:
            self._adopt(_checked(source))
        elif not callable(self._provider):
            raise OptionsError(f"a source is a URL or a callable, not {type(source).__name__}")

    @property
    def shown(self) -> str:
        """The present URL, as far as it may be shown."""
        return "its provider" if self._lease is None else self._lease.url.public

    @property
    def expires_at(self) -> float | None:
        """When the present URL dies, as far as it or its provider says, in seconds since the epoch."""
        return self._expires_at

    @property
    def renewable(self) -> bool:
        """Whether there is anybody to ask for another URL."""
        return self._provider is not None

    def worked(self, lease: Lease) -> bool:
        """Whether a request to this lease has been accepted."""
        return lease != self._lease or self._worked

    def accepted(self, lease: Lease) -> None:
        """A request to this lease was answered with the object."""
        if lease is self._lease:
            self._worked = True

    def brought(self, lease: Lease) -> None:
        """A body byte came over this lease."""
        if lease is self._lease:
            self._brought, self._barren = True, 0

    def note_date(self, date: str | None) -> None:
        """Learn from a response's Date what the server's clock says; ours is compared with nothing."""
        if self._provider is None and self._expires_at is None and not self._stale:
            return  # this URL never dies, and there will be no other
        there = parse_http_date(date)
        if there is not None:
            self._server_ahead = there - self._clock.monotonic()
            self._set_margin()

    async def lease(self) -> Lease:
        """The URL for a new request, renewed first if there is none yet or it is about to die.

        Raises:
            RefreshError: the provider failed.
        """
        lease = self._lease
        if lease is not None and (self._provider is None or not self._dying()):
            return lease
        async with self._lock:
            if self._lease is None or (self._lease == lease and self._dying()):
                await self._renew(lease, refused=False)
            assert self._lease is not None  # noqa: S101  # `_renew` sets it or raises
            return self._lease

    async def rejected(self, lease: Lease, refusal: Refusal, *, redirected: bool) -> bool:
        """A server refused this lease. True: there is another one now; False: try the same one again, but not at once.

        A URL that has just worked, and was refused without a word of expiry, is not renewed before the reuse window
        has passed: that is waited for here, by one for all.

        Args:
            redirected: the refusal came from the target of a redirect; asking the same URL again gets a new target.

        Raises:
            ForbiddenError: a renewed URL was refused in the same way, or there is no way to renew it.
            UrlExpiredError: it expired, and cannot be renewed, or too many renewed ones were dead on arrival.
            RefreshError: the provider failed, or returned the URL that was refused.
        """
        async with self._lock:
            if self._lease != lease:
                return True
            if self._worked and refusal.kind is RefusalKind.PRESUMED_EXPIRED and self._young() and not self._dead():
                if self._provider is None:
                    return False
                await self._clock.sleep(self._obtained + self._options.reuse_window - self._clock.monotonic())
            if self._provider is not None and self._stale and not self._worked:
                words = f"status {refusal.status}: {refusal.excerpt}"
                raise self._fail(RefreshError(f"the URL provider returned a URL that has already expired ({words})"))
            barren = self._barren + (not self._brought)
            if barren > _BARREN_REFRESHES[refusal.kind] or (self._provider is None and not redirected):
                raise self._gave_up(refusal)
            if self._provider is None:
                self._adopt(lease.url)
            else:
                await self._renew(lease, refused=True)
            _logger.info("the URL was renewed after status %d: %s", refusal.status, refusal.excerpt)
            # Only now: a holder that is cancelled has not renewed anything.
            self._barren = barren
            return True

    def _gave_up(self, refusal: Refusal) -> TransferError:
        kinds = {RefusalKind.AMBIGUOUS: ForbiddenError, RefusalKind.CLOCK_SKEW: ForbiddenError}
        kind: type[ForbiddenError | UrlExpiredError] = kinds.get(refusal.kind, UrlExpiredError)
        words = f": {refusal.excerpt}" if refusal.excerpt else ""
        what = "refused" if kind is ForbiddenError else "expired"
        after = f" after {self.refreshes} refreshes" if self.refreshes else ""
        return kind(
            f"the URL is {what}{after} (status {refusal.status}{words})",
            status=refusal.status,
            body_excerpt=refusal.excerpt,
            hint=refusal.hint,
        )

    def _server_now(self) -> float | None:
        """The server's idea of now, at the earliest; it runs on with the monotonic clock, whatever ours does."""
        return None if self._server_ahead is None else self._server_ahead + self._clock.monotonic()

    def _young(self) -> bool:
        return self._clock.monotonic() - self._obtained < self._options.reuse_window

    def _dead(self) -> bool:
        if self._expires_at is None:
            return False
        now = self._server_now()
        return now is not None and now >= self._expires_at

    def _dying(self) -> bool:
        if self._provider is None or self._expires_at is None:
            return False
        now = self._server_now()
        if now is None:
            return False
        return self._dead() or (now >= self._expires_at - (self._margin or 0.0) and not self._young())

    async def _renew(self, old: Lease | None, *, refused: bool) -> None:
        """Get another URL; the lock is held. A failure is everybody's: those in line do not ask again."""
        if self._failure is not None:
            raise self._failure
        try:
            self._adopt(await self._obtain(old, refused=refused))
        except RefreshError as error:
            self._fail(error)
            raise

    def _fail(self, error: RefreshError) -> RefreshError:
        self._failure = error
        return error

    async def _obtain(self, old: Lease | None, *, refused: bool) -> SignedUrl:
        """A URL from the provider that may take the place of `old`."""
        if old is not None:
            pause = self._obtained + _SHORTEST_INTERVAL - self._clock.monotonic()
            if pause > 0:
                await self._clock.sleep(pause)
            self.refreshes += 1
        assert self._provider is not None  # noqa: S101  # nothing is renewed without one
        rejected = old.url if old else None
        answer = await ask(self._provider, rejected, timeout=self._timeouts.refresh, clock=self._clock)
        try:
            url = _checked(answer)
        except OptionsError as error:
            raise RefreshError(f"the URL provider returned something unusable: {error.message}") from None
        if old is not None and old.url.url.startswith("https:") and not url.url.startswith("https:"):
            raise RefreshError("the URL provider returned an http URL after an https one")
        if old is not None and url.url == old.url.url and refused:
            raise RefreshError("the URL provider returned the same URL that was refused")
        return url

    def _adopt(self, url: SignedUrl) -> None:
        self._lease = Lease(url, 0 if self._lease is None else self._lease.generation + 1)
        self.origin = origin_of(url.url)
        self.home = self.home or self.origin
        self._worked = self._brought = False
        self._obtained = self._clock.monotonic()
        self._expires_at = url.expires_at if url.expires_at is not None else expires_at(url.url)
        self._margin = None
        # Dead on arrival, as far as anyone can read: by a date that means something else, or by somebody's clock. The
        # server's answer decides.
        self._stale = self._dead()
        if self._stale:
            self._expires_at = None
        self._set_margin()

    def _set_margin(self) -> None:
        if self._margin is not None or self._expires_at is None:
            return
        now = self._server_now()
        if now is not None:
            margin = self._options.refresh_margin + _DATE_RESOLUTION
            self._margin = min(margin, max(0.0, self._expires_at - now) * _MARGIN_SHARE)


def refreshers_of(source: Source, options: Options, timeouts: Timeouts, clock: Clock) -> tuple[UrlRefresher, ...]:
    """One for each place that has the object."""
    if isinstance(source, Mirrors):
        return tuple(UrlRefresher(each, options, timeouts, clock) for each in source.sources)
    return (UrlRefresher(source, options, timeouts, clock),)


def _checked(answer: object) -> SignedUrl:
    """A `SignedUrl` whose URL and headers can be sent; OptionsError where they cannot."""
    if not isinstance(answer, SignedUrl):
        return SignedUrl(check_url(answer))
    return SignedUrl(check_url(answer.url), answer.expires_at, check_headers(answer.headers), answer.checksum)
