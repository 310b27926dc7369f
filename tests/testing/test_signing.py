"""Signed URLs: every skin lives, dies with its provider's words, and is good for its exact bytes only."""

from __future__ import annotations

import asyncio
import re
import time
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, quote, unquote, urlsplit

import pytest

from asyncdl.errors import OptionsError
from asyncdl.testing import SKINS, Origin
from asyncdl.testing.refusals import Life, iso
from asyncdl.testing.signer import Signer
from tests.support.rawclient import ask, target_of

if TYPE_CHECKING:
    from collections.abc import Callable

PATH = "/bucket/a%2Fb%20c%2Bd"

#: skin -> status, and what the body must say when the URL's time is over.
EXPIRED = {
    "s3v4": (403, r"<Code>AccessDenied</Code><Message>Request has expired</Message><X-Amz-Expires>\d+</X-Amz-Expires>"),
    "s3sts": (400, r"<Code>ExpiredToken</Code><Message>The provided token has expired\.</Message>"),
    "r2": (403, r"<Code>ExpiredRequest</Code><Message>Request has expired</Message>"),
    "s3v2": (403, r"<Message>Request has expired</Message><Expires>\S+</Expires><ServerTime>"),
    "gcs": (
        400,
        r"<Code>ExpiredToken</Code>.*<Details>\[The provided token has expired\. \]Request signature expired at",
    ),
    "azure": (403, r"^\ufeff<\?xml.*Signature not valid in the specified time frame: Start \[.*GMT\] - Expiry \[.*\]"),
    "cloudfront": (403, r"<Code>AccessDenied</Code><Message>Access denied</Message>"),
    "opaque": (403, r"^Forbidden$"),
}

#: skin -> what the body must say when the target is not the one signed.
MISMATCH = {
    **dict.fromkeys(("s3v4", "s3sts", "r2", "s3v2", "gcs"), "<Code>SignatureDoesNotMatch</Code>"),
    "azure": "Signature did not match",
    "cloudfront": "Access denied",
    "opaque": "Forbidden",
}


@pytest.mark.parametrize("skin", SKINS)
async def test_a_signed_url_is_served(skin: str) -> None:
    """A living URL gives the object, and the ledger knows its generation."""
    async with Origin() as origin:
        content = origin.add(PATH, 1000)
        urls = [origin.presign(PATH, ttl=60, skin=skin) for _ in range(2)]
        reply = await ask(urls[1], span=(10, 20))

        assert 206 == reply.status
        assert content.read(10, 20) == reply.body
        assert [1] == [record.generation for record in origin.ledger.data_requests(PATH)]
        assert 2 == len(set(urls))


@pytest.mark.parametrize("skin", SKINS)
async def test_an_expired_url_is_refused_in_the_providers_words(skin: str) -> None:
    """A life of a fraction of a second is kept, and its end reads as at that provider."""
    status, words = EXPIRED[skin]
    async with Origin() as origin:
        origin.add(PATH, 1000)
        url = origin.presign(PATH, ttl=5.4, skin=skin)
        alive = await ask(url)
        origin.clock_offset += 5.4
        reply = await ask(url)

        assert 200 == alive.status
        assert status == reply.status
        assert re.search(words, reply.body.decode(), re.DOTALL)
        assert str(len(reply.body)) == reply.headers.get("Content-Length")
        assert [1] == [record.number for record in origin.ledger.refused]


async def test_expiry_follows_the_real_clock() -> None:
    """Without any help a URL is alive before its time and dead after it."""
    async with Origin() as origin:
        origin.add("/f", 10)
        url, deadline = origin.presign("/f", ttl=0.5), time.monotonic() + 10
        statuses = [(await ask(url)).status]
        while statuses[-1] == 200 and time.monotonic() < deadline:
            statuses.append((await ask(url)).status)

        assert {200} == set(statuses[:-1])
        assert 403 == statuses[-1]


@pytest.mark.parametrize("skin", SKINS)
@pytest.mark.parametrize(
    "change",
    [
        lambda target: target.replace("%2F", "/", 1),
        lambda target: target.replace("%20", "+", 1),
        lambda target: target.replace("%2B", "%2b", 1),
        lambda target: quote(unquote(target), safe="/?&="),
        lambda target: target + "&x-extra=1",
        lambda target: target[:-1] + ("A" if target[-1] != "A" else "B"),
    ],
    ids=["decoded-slash", "plus-for-space", "lower-case-escape", "normalised", "appended", "last-character"],
)
async def test_any_other_spelling_is_refused(skin: str, change: Callable[[str], str]) -> None:
    """The signature covers the raw bytes of the target: re-encoding breaks it."""
    async with Origin() as origin:
        origin.add(PATH, 1000)
        url = origin.presign(PATH, ttl=60, skin=skin)
        changed = origin.base_url + change(target_of(url))
        reply = await ask(changed)

        assert url != changed
        assert 403 == reply.status
        assert MISMATCH[skin] in reply.body.decode("utf-8-sig")


@pytest.mark.parametrize("skin", ["s3v4", "r2", "gcs", "s3v2", "cloudfront"])
def test_readable_expiry_is_rounded_up(skin: str) -> None:
    """What can be read in a URL is never earlier than its true end, and less than a second later."""
    query = parse_qs(urlsplit(Signer(b"key").mint("/f", skin=skin, ttl=1.5, now=1_700_000_000.75)).query)
    lived = query.get("X-Amz-Expires") or query.get("X-Goog-Expires")
    readable = 1_700_000_000 + int(lived[0]) if lived else int(query["Expires"][0])

    assert 1_700_000_003 == readable


def test_azure_expiry_is_rounded_up() -> None:
    """Azure writes ISO dates."""
    query = parse_qs(urlsplit(Signer(b"key").mint("/f", skin="azure", ttl=1.5, now=1_700_000_000.75)).query)

    assert [iso(1_700_000_003)] == query["se"]
    assert [iso(1_700_000_000)] == query["st"]


@pytest.mark.parametrize("skin", ["s3sts", "opaque"])
def test_some_expiries_cannot_be_read(skin: str) -> None:
    """A session token, or an opaque one, dies at a time the URL does not tell."""
    target = Signer(b"key").mint("/f", skin=skin, ttl=1.5, now=1_700_000_000.0)
    query = parse_qs(urlsplit(target).query)

    assert ["3600"] == query.get("X-Amz-Expires", ["3600"])
    assert "1700000002" not in target


def test_a_dead_url_reads_as_dead() -> None:
    """The times in a refusal agree with it, although the readable expiry may lie a fraction of a second ahead."""
    life = Life.at(issued=100.2, expires=101.4, now=101.45)

    assert Life(issued=100, expires=102, now=102) == life


async def test_a_revoked_url_says_nothing_of_expiry() -> None:
    """Withdrawn permission is not expiry; other URLs live on."""
    async with Origin() as origin:
        origin.add("/f", 10)
        revoked, other = origin.presign("/f", ttl=60), origin.presign("/f", ttl=60)
        origin.revoke(revoked)
        refused, served = await ask(revoked), await ask(other)

        assert 403 == refused.status
        assert b"<Message>Access Denied</Message>" in refused.body
        assert 200 == served.status


async def test_a_url_can_be_ended_early() -> None:
    """`expire` gives the provider's words for expiry at once."""
    async with Origin() as origin:
        origin.add("/f", 10)
        url = origin.presign("/f", ttl=60, skin="gcs")
        origin.expire(url)
        reply = await ask(url)

        assert 400 == reply.status
        assert b"ExpiredToken" in reply.body


async def test_signatures_can_be_required() -> None:
    """Unsigned requests for a path that needs a signature are refused, others are not."""
    async with Origin() as origin:
        origin.add("/open", 10)
        origin.add("/closed", 10)
        origin.require_signature("/closed")
        replies = [await ask(url) for url in (origin.url("/open"), origin.url("/closed"))]
        signed = await ask(origin.presign("/closed", ttl=60))

        assert [200, 403] == [reply.status for reply in replies]
        assert 200 == signed.status


async def test_strangers_urls_cannot_be_revoked() -> None:
    """Revoking what was not signed here, and an unknown skin, are the caller's mistakes."""
    async with Origin() as origin:
        with pytest.raises(OptionsError, match="did not sign"):
            origin.revoke(origin.url("/f"))
        with pytest.raises(OptionsError, match="no skin is named 'none'"):
            origin.presign("/f", ttl=1, skin="none")


async def test_a_provider_keeps_count() -> None:
    """Each call signs a new generation; calls, arguments and concurrency are remembered."""
    async with Origin() as origin:
        origin.add("/f", 10)
        provider = origin.provider("/f", ttl=60, delay=0.01)
        await asyncio.gather(provider(None), provider())
        replies = [await ask(url) for url in provider.urls]

        assert [200, 200] == [reply.status for reply in replies]
        assert 2 == provider.calls == provider.max_concurrent == len(set(provider.urls))
        assert [None, None] == provider.rejected
        assert 2 == origin.ledger.generations("/f")


async def test_head_is_refused() -> None:
    """A URL signed for GET is not good for HEAD; no body follows."""
    async with Origin() as origin:
        origin.add("/f", 10)
        reply = await ask(origin.presign("/f", ttl=60), method="HEAD")

        assert 403 == reply.status
        assert b"" == reply.body
