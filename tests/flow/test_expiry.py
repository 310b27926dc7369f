"""URLs that expire in mid-download: renewed once for all who need it, read and not guessed, within bounds."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

import asyncdl
from asyncdl import refresher
from asyncdl.testing import POISON, SKINS, Fault, Origin, Provider
from tests.support.flow import PART, fetch, holds, small
from tests.support.stopwatch import Stopwatch

SIZE = 16 * PART + 321


async def expire_after(origin: Origin, requests: int, url: str) -> None:
    """Let `url` die as soon as that many data requests have been accepted."""
    await origin.ledger.until(lambda: len(origin.ledger.data_requests("/object")) >= requests)
    origin.expire(url)


@pytest.mark.parametrize("connections", [1, 4, 64])
@pytest.mark.parametrize("skin", SKINS)
async def test_download_outlives_its_url(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, skin: str, connections: int
) -> None:
    """A1, A2: each expiry costs one provider call, whatever the provider's words and however many connections."""
    monkeypatch.setattr(refresher, "_SHORTEST_INTERVAL", 0.05)  # a second between calls is tested by itself
    async with Origin() as origin:
        content = origin.add("/object", 8 * connections * PART)
        provider = origin.provider("/object", ttl=3600, skin=skin)
        origin.script(Fault(request=range(connections), delay=0.1))

        async def expiries() -> None:
            for generation in (1, 2, 3):
                await origin.ledger.until(lambda: len(provider.urls) >= generation)  # noqa: B023  # awaited at once
                await expire_after(origin, 2 * generation * connections - connections, provider.urls[-1])

        async with asyncio.TaskGroup() as group:
            expiring = group.create_task(expiries())
            result = await fetch(
                provider, tmp_path / "file", size=8 * connections * PART, options=small(connections, reuse_window=0)
            )
            expiring.cancel()

        assert holds(tmp_path / "file", content)
        assert 3 == result.refreshes
        assert 4 == provider.calls
        assert 1 == provider.max_concurrent
        assert 0 == origin.ledger.repeated("/object")
        assert 8 * connections * PART == result.fetched == origin.ledger.bytes_sent("/object")


async def test_stampede_costs_one_call(origin: Origin, tmp_path: Path) -> None:
    """A2: 64 connections whose URL dies for all of them at once: one provider call, and not one byte twice."""
    content = origin.add("/object", 128 * PART)

    async def sign() -> str:
        """Another URL, once everybody was refused the first one, or waits for this."""
        if provider.calls > 1:
            await origin.ledger.until(lambda: 0 == origin.ledger.in_flight)
        return origin.presign("/object", ttl=3600)

    provider, dead = Provider(sign), asyncio.Event()
    origin.script(Fault(request=range(64), gate=dead))

    async def expire() -> None:
        await _expire_first(origin, provider, 64)
        dead.set()

    async with asyncio.TaskGroup() as group:
        group.create_task(expire())
        result = await fetch(provider, tmp_path / "file", size=128 * PART, options=small(64))

    assert holds(tmp_path / "file", content)
    assert 1 < len(origin.ledger.refused) <= 64
    assert 2 == provider.calls
    assert 1 == provider.max_concurrent
    assert 0 == origin.ledger.repeated("/object")
    assert 128 * PART == origin.ledger.bytes_sent("/object")
    assert 1 == result.refreshes
    assert 0 == result.retries


async def _expire_first(origin: Origin, provider: object, requests: int) -> None:
    await origin.ledger.until(lambda: len(origin.ledger.data_requests("/object")) >= requests)
    origin.expire(provider.urls[0])  # type: ignore[attr-defined]


@pytest.mark.parametrize("ttl", [0.4, 1.0])
async def test_refreshes_follow_the_clock_not_the_connections(tmp_path: Path, ttl: float) -> None:
    """A download of several lives, its URL checked by the server's clock: at most one call for each life begun."""
    async with Origin(rate=6 * PART) as origin:
        content = origin.add("/object", 96 * PART)
        provider = origin.provider("/object", ttl=ttl)

        result = await fetch(provider, tmp_path / "file", options=small(8))

        assert holds(tmp_path / "file", content)
        # The engine never asks more often than once a second, however short the URL lives.
        assert 1 <= result.refreshes <= result.elapsed / max(ttl, 1.0) + 1
        assert result.refreshes + 1 == provider.calls
        assert 0 == origin.ledger.repeated("/object")


async def test_body_in_flight_is_left_alone(origin: Origin, tmp_path: Path) -> None:
    """A3: a response that was accepted runs on after its URL has died."""
    content = origin.add("/object", 2 * PART)
    provider = origin.provider("/object", ttl=3600)
    origin.script(Fault(rate=4 * PART))

    async with asyncio.TaskGroup() as group:
        group.create_task(_expire_first(origin, provider, 2))
        result = await fetch(provider, tmp_path / "file", size=2 * PART, options=small(2))

    assert holds(tmp_path / "file", content)
    assert 0 == result.refreshes


async def test_url_about_to_die_is_renewed_before_the_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A3: once the server's clock is known, no request is sent on a URL in its last moments."""
    monkeypatch.setattr(refresher, "_MARGIN_SHARE", 0.8)  # of a life too short for the real share of a 20th
    async with Origin(rate=2 * PART) as origin:
        content = origin.add("/object", 16 * PART)

        async def provider(rejected: asyncdl.SignedUrl | None) -> asyncdl.SignedUrl:
            return asyncdl.SignedUrl(origin.presign("/object", ttl=1.7), expires_at=origin.now() + 1.7)

        result = await fetch(
            provider, tmp_path / "file", options=small(4, reuse_window=0, refresh_margin=1.0), size=16 * PART
        )

        assert holds(tmp_path / "file", content)
        assert result.refreshes >= 1
        assert [] == origin.ledger.refused


@pytest.mark.parametrize("offset", [-7200.0, 7200.0])
async def test_clock_of_the_server_decides(tmp_path: Path, offset: float) -> None:
    """A local clock that is hours off neither kills good URLs nor keeps dead ones."""
    async with Origin(clock_offset=offset) as origin:
        content = origin.add("/object", SIZE)
        provider = origin.provider("/object", ttl=60)

        result = await fetch(provider, tmp_path / "file")

        assert holds(tmp_path / "file", content)
        assert 0 == result.refreshes


async def test_sequential_path_is_rescued_too(tmp_path: Path) -> None:
    """A6: a server without ranges, a URL that dies, a stream that breaks: the new URL begins again."""
    async with Origin(ranges=False) as origin:
        content = origin.add("/object", SIZE)
        provider = origin.provider("/object", ttl=3600)
        origin.script(Fault(request=0, delay=0.1, drop_after=5 * PART))

        async with asyncio.TaskGroup() as group:
            group.create_task(_expire_first(origin, provider, 1))
            result = await fetch(provider, tmp_path / "file")

        assert holds(tmp_path / "file", content)
        assert (1, 1) == (result.refreshes, result.retries)


async def test_small_file_is_rescued_too(origin: Origin, tmp_path: Path) -> None:
    """A6: the very first URL may be dead already."""
    content = origin.add("/object", 100)
    provider = origin.provider("/object", ttl=3600)

    async def stale(rejected: asyncdl.SignedUrl | None) -> str:
        url = await provider(rejected)
        if rejected is None:
            origin.expire(url)
        return url

    result = await fetch(stale, tmp_path / "file")

    assert holds(tmp_path / "file", content)
    assert 1 == result.refreshes


async def test_static_url_that_expires_says_so(origin: Origin, tmp_path: Path) -> None:
    """Without a provider nothing can be renewed: the error is the server's words, at once."""
    origin.add("/object", SIZE)
    url = origin.presign("/object", ttl=3600)
    origin.expire(url)

    with pytest.raises(asyncdl.UrlExpiredError, match="Request has expired") as caught:
        await fetch(url, tmp_path / "file")

    assert 403 == caught.value.status
    assert "Request has expired" in caught.value.body_excerpt
    assert 1 == len(origin.ledger.requests)
    assert [] == os.listdir(tmp_path)


async def test_redirect_to_a_url_that_expires_is_asked_again(origin: Origin, tmp_path: Path) -> None:
    """A static URL that redirects to signed ones renews itself: each request asks it anew."""
    content = origin.add("/object", SIZE)
    origin.add("/front", SIZE)
    signed: list[str] = []

    def target(record: object) -> str:
        signed.append(origin.presign("/object", ttl=3600))
        if len(signed) == 3:
            origin.expire(signed[-1])
        return signed[-1]

    origin.script(Fault(path="/front", redirect=target))

    result = await fetch(origin.url("/front"), tmp_path / "file", options=small(1))

    assert holds(tmp_path / "file", content)
    assert 1 == len(origin.ledger.refused)
    assert 0 == result.retries


async def test_clock_of_a_redirect_target_means_nothing(origin: Origin, tmp_path: Path) -> None:
    """Only the server that a URL is for knows whether its time is over; the one behind may be a day ahead."""
    origin.add("/object", SIZE)
    provider = origin.provider("/object", ttl=3600)
    async with Origin(clock_offset=86_400) as ahead:
        content = ahead.add("/object", SIZE)
        origin.script(Fault(redirect=ahead.url("/object")))

        result = await fetch(provider, tmp_path / "file", options=small(1, reuse_window=0.0))

    assert holds(tmp_path / "file", content)
    assert (0, 1) == (result.refreshes, provider.calls)


FORBIDDEN = {
    "S3 denies": (403, b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>", 2),
    "S3 cannot check the signature": (
        403,
        b"<Error><Code>SignatureDoesNotMatch</Code><Message>no</Message></Error>",
        1,
    ),
    "S3 knows no such key id": (403, b"<Error><Code>InvalidAccessKeyId</Code><Message>no</Message></Error>", 1),
    "a login page": (403, b"<html><title>Please sign in</title></html>", 2),
    "nothing": (403, b"", 2),
    "a plain 401": (401, b"who are you", 2),
}


@pytest.mark.parametrize("connections", [1, 8])
@pytest.mark.parametrize(("status", "body", "calls"), FORBIDDEN.values(), ids=FORBIDDEN.keys())
async def test_forbidden_is_not_mistaken_for_expired(
    origin: Origin, tmp_path: Path, status: int, body: bytes, calls: int, connections: int
) -> None:
    """A4: at most one renewal where the server does not say, none where it does; then its words."""
    origin.add("/object", SIZE)
    provider = origin.provider("/object", ttl=3600)
    origin.script(Fault(status=status, body=body))

    with pytest.raises(asyncdl.ForbiddenError) as caught:
        await fetch(provider, tmp_path / "file", size=SIZE, options=small(connections))

    assert calls == provider.calls
    assert status == caught.value.status
    words = body.decode().removesuffix("</Message></Error>").rpartition(">")[2] if b"Error" in body else ""
    assert words in str(caught.value)
    assert len(origin.ledger.requests) <= 2 * connections
    assert [] == os.listdir(tmp_path)


async def test_urls_that_are_dead_on_arrival_end_it(origin: Origin, tmp_path: Path) -> None:
    """Two renewals in a row without a byte are enough."""
    origin.add("/object", SIZE)
    calls = 0

    async def provider(rejected: asyncdl.SignedUrl | None) -> str:
        nonlocal calls
        calls += 1
        url = origin.presign("/object", ttl=3600)
        origin.expire(url)
        return url

    with pytest.raises(asyncdl.UrlExpiredError, match="after 2 refreshes"):
        await fetch(provider, tmp_path / "file", options=small(8), size=SIZE)

    assert 3 == calls


async def test_provider_that_raises(origin: Origin, tmp_path: Path) -> None:
    """A5: its words reach the caller, its exception is the cause, after one more try."""
    calls = 0

    async def provider(rejected: asyncdl.SignedUrl | None) -> str:
        nonlocal calls
        calls += 1
        raise LookupError("no such bucket")

    with pytest.raises(asyncdl.RefreshError, match="LookupError: no such bucket") as caught:
        await fetch(provider, tmp_path / "file")

    assert 2 == calls
    assert isinstance(caught.value.__cause__, LookupError)
    assert [] == os.listdir(tmp_path)


async def test_provider_that_raises_once_is_forgiven(origin: Origin, tmp_path: Path) -> None:
    """A hiccup of the service that signs is no reason to lose a night."""
    content = origin.add("/object", 100)
    good = origin.provider("/object", ttl=60)
    failures = [ConnectionResetError("hiccup")]

    async def provider(rejected: asyncdl.SignedUrl | None) -> str:
        if failures:
            raise failures.pop()
        return await good(rejected)

    await fetch(provider, tmp_path / "file")

    assert holds(tmp_path / "file", content)


@pytest.mark.parametrize("blocking", [False, True], ids=["async", "blocking thread"])
async def test_provider_that_hangs(origin: Origin, tmp_path: Path, blocking: bool) -> None:
    """A5: inside its own timeout, whether it awaits for ever or blocks."""
    import threading

    release = threading.Event()

    async def hangs(rejected: asyncdl.SignedUrl | None) -> str:
        await asyncio.Event().wait()
        raise AssertionError

    def blocks(rejected: asyncdl.SignedUrl | None) -> str:
        release.wait(20)
        return "http://host/"

    try:
        async with Stopwatch() as watch:
            with pytest.raises(asyncdl.RefreshError, match=r"no answer within 0\.3 s"):
                await fetch(blocks if blocking else hangs, tmp_path / "file", timeouts=asyncdl.Timeouts(refresh=0.3))
    finally:
        release.set()

    assert watch.seconds < 2


async def test_plain_function_is_a_provider(origin: Origin, tmp_path: Path) -> None:
    """A function that returns a str works too, and may block without stopping the loop."""
    content = origin.add("/object", SIZE)

    result = await fetch(lambda rejected: origin.presign("/object", ttl=60), tmp_path / "file")

    assert holds(tmp_path / "file", content)
    assert 0 == result.refreshes


async def test_provider_that_returns_the_same_dead_url(origin: Origin, tmp_path: Path) -> None:
    """A5: at once, not after hours of 403."""
    origin.add("/object", SIZE)
    url = origin.presign("/object", ttl=3600)
    origin.expire(url)

    async def provider(rejected: asyncdl.SignedUrl | None) -> str:
        return url

    with pytest.raises(asyncdl.RefreshError, match="the same URL that was refused"):
        await fetch(provider, tmp_path / "file")

    assert 1 == len(origin.ledger.requests)


@pytest.mark.parametrize("dead", [True, False], ids=["dead", "alive"])
async def test_provider_that_returns_an_expired_url(origin: Origin, tmp_path: Path, dead: bool) -> None:
    """A URL whose end has passed, as far as anyone can read, is tried once: the server's answer decides."""
    content = origin.add("/object", SIZE)
    provider = origin.provider("/object", ttl=3600)

    async def stale(rejected: asyncdl.SignedUrl | None) -> asyncdl.SignedUrl:
        url = await provider(rejected)
        if rejected is None or dead:
            origin.expire(url)
        return asyncdl.SignedUrl(url, expires_at=None if rejected is None else origin.now() - 60)

    if dead:
        with pytest.raises(asyncdl.RefreshError, match=r"already expired .*Request has expired"):
            await fetch(stale, tmp_path / "file")
        assert 2 == provider.calls
    else:
        await fetch(stale, tmp_path / "file")
        assert holds(tmp_path / "file", content)


@pytest.mark.parametrize("known", [True, False], ids=["size known", "size unknown"])
@pytest.mark.parametrize("same_size", [True, False], ids=["same size", "other size"])
async def test_provider_that_returns_another_object(
    origin: Origin, tmp_path: Path, known: bool, same_size: bool
) -> None:
    """A5: the first byte of another object ends it; nothing is mixed."""
    origin.add("/object", SIZE)
    origin.add("/other", SIZE if same_size else SIZE - 5, seed=99)
    provider = origin.provider("/object", ttl=3600)
    origin.script(Fault(path="/object", request={1, 2, 3, 4}, delay=0.1))

    async def crossed(rejected: asyncdl.SignedUrl | None) -> str:
        return await provider(rejected) if rejected is None else origin.presign("/other", ttl=3600)

    expected = asyncdl.IntegrityError if known and not same_size else asyncdl.RemoteChangedError
    async with asyncio.TaskGroup() as group:
        group.create_task(_expire_first(origin, provider, 3))
        with pytest.raises(expected):
            await fetch(crossed, tmp_path / "file", size=SIZE if known else None)

    assert not (tmp_path / "file").exists()


UNUSABLE = {
    "nothing": None,
    "a number": 7,
    "bytes": b"http://host/",
    "an empty text": "",
    "a file URL": "file:///etc/passwd",
    "a line break": "http://host/a\nb",
}


@pytest.mark.parametrize("answer", UNUSABLE.values(), ids=UNUSABLE.keys())
async def test_provider_that_returns_something_unusable(tmp_path: Path, answer: object) -> None:
    """Whatever it is, it is a `RefreshError` and no crash."""

    async def provider(rejected: asyncdl.SignedUrl | None) -> object:
        return answer

    with pytest.raises(asyncdl.RefreshError, match="unusable"):
        await fetch(provider, tmp_path / "file")  # type: ignore[arg-type]


async def test_refused_body_never_reaches_the_file(origin: Origin, tmp_path: Path) -> None:
    """Refusals in the middle of it all leave no trace in the bytes."""
    content = origin.add("/object", SIZE)
    provider = origin.provider("/object", ttl=3600)
    origin.script(
        Fault(
            request={2, 3, 6, 9},
            status=403,
            body=b"<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>" + POISON * 50,
        )
    )

    await fetch(provider, tmp_path / "file")

    assert holds(tmp_path / "file", content)
    assert POISON not in (tmp_path / "file").read_bytes()
