"""Signed URLs: every skin lives, dies with its provider's words, and is good for its exact bytes only."""

from __future__ import annotations

import asyncio
import re
import time
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, quote, unquote, urlsplit

import pytest

from asyncdl import refresher
from asyncdl.errors import ForbiddenError, HttpStatusError, OptionsError
from asyncdl.rules.expiry import expires_at
from asyncdl.rules.rejection import Refusal, read_refusal
from asyncdl.testing import SKINS, Origin
from asyncdl.testing.refusals import Life, gcs_v2_expired, iso
from asyncdl.testing.signer import Signer
from tests.support.flow import PART, fetch, holds, small
from tests.support.rawclient import Reply, ask, target_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PATH = "/bucket/a%2Fb%20c%2Bd"
#: The signature in a URL of any skin.
SIGNED = "(?:[Ss]ignature|[?&]sig|[?&]token)=([^&]+)"

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
    "minio": (403, r"<Code>AccessDenied</Code><Message>Request has expired</Message><BucketName>"),
    "ceph": (403, r"<Code>AccessDenied</Code><Message>The pre-signed URL has expired</Message>"),
    "oss": (
        403,
        r"<Code>AccessDenied</Code><Message>Request has expired\.</Message><Expires>\S+</Expires><ServerTime>",
    ),
    "gcs_v2": (
        400,
        r"<Message>The provided token has expired\.</Message><Details>Request signature expired at: ",
    ),
    "cloudfront": (403, r"<Code>AccessDenied</Code><Message>Access denied</Message>"),
    "hf": (403, r"<Code>AccessDenied</Code><Message>Access denied</Message>"),
    "opaque": (403, r"^Forbidden$"),
}

#: Reason of a refusal -> skin -> what a client must make of it; a skin that is not named is never refused so.
KINDS: dict[str, dict[str, str]] = {
    "expired": {
        **dict.fromkeys(SKINS, "EXPIRED"),
        # They never say so: the date in the URL decides, and where there is none, whether it worked before.
        **dict.fromkeys(("cloudfront", "hf"), "PRESUMED_EXPIRED"),
        "opaque": "AMBIGUOUS",
    },
    "mismatch": {**dict.fromkeys(SKINS, "FORBIDDEN"), **dict.fromkeys(("cloudfront", "hf", "opaque"), "AMBIGUOUS")},
    "denied": {
        **dict.fromkeys(SKINS, "AMBIGUOUS"),
        **dict.fromkeys(("s3sts", "azure", "cloudfront", "hf"), "FORBIDDEN"),
    },
    "skewed": dict.fromkeys(("s3v4", "s3sts", "r2", "minio", "ceph", "oss", "gcs", "azure"), "CLOCK_SKEW"),
    "not yet valid": {
        **dict.fromkeys(("s3v4", "s3sts", "r2", "minio", "ceph", "oss", "gcs", "azure"), "CLOCK_SKEW"),
        **dict.fromkeys(("cloudfront", "hf"), "AMBIGUOUS"),
    },
    "wrong range": {"hf": "BAD_RANGE"},
}

#: skin -> what the body must say when the target is not the one signed.
MISMATCH = {
    **dict.fromkeys(SKINS, "<Code>SignatureDoesNotMatch</Code>"),
    "azure": "Signature did not match",
    "cloudfront": "Access denied",
    "hf": "Access denied",
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
        url, deadline = origin.presign("/f", ttl=2), time.monotonic() + 60
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


@pytest.mark.parametrize("skin", ["s3v4", "r2", "minio", "ceph", "gcs", "gcs_v2", "oss", "s3v2", "cloudfront", "hf"])
def test_readable_expiry_is_rounded_up(skin: str) -> None:
    """What can be read in a URL is never earlier than its true end, and less than a second later."""
    query = parse_qs(urlsplit(Signer(b"key").mint("/f", skin=skin, ttl=1.5, now=1_700_000_000.75)).query)
    lived = query.get("X-Amz-Expires") or query.get("X-Goog-Expires") or query.get("x-oss-expires")
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


def presigned(origin: Origin, why: str, skin: str) -> str:
    """A URL that will be refused for this reason."""
    if why == "not yet valid":
        return origin.presign(PATH, ttl=7200, skin=skin, not_before=3600)
    if why == "skewed":
        return origin.presign(PATH, ttl=7200, skin=skin, skew=1200)
    if why == "wrong range":
        return origin.presign(PATH, ttl=7200, skin=skin, allowed=(0, 10))
    url = origin.presign(PATH, ttl=1.5, skin=skin) if why == "expired" else origin.presign(PATH, ttl=7200, skin=skin)
    if why == "denied":
        origin.revoke(url)
    if why == "expired":
        origin.clock_offset += 2
    return url.replace("%20", "+") if why == "mismatch" else url


def read(url: str, reply: Reply, *, worked: bool = False) -> Refusal:
    """What asyncdl makes of it."""
    return read_refusal(
        status=reply.status,
        headers=reply.headers,
        body=reply.body,
        url=url,
        expires_at=expires_at(url),
        worked=worked,
        first=not worked,
    )


@pytest.mark.parametrize(("why", "skin"), [(why, skin) for why in KINDS for skin in KINDS[why]])
async def test_every_refusal_is_understood(why: str, skin: str) -> None:
    """Each refusal of each provider is read as what it is, and what it repeats of the URL is kept out of sight."""
    async with Origin() as origin:
        origin.add(PATH, 1000)
        url = presigned(origin, why, skin)
        reply = await ask(url, span=(5, 15))
        refusal = read(url, reply)
        signature = re.search(SIGNED, url)

    assert KINDS[why][skin] == refusal.kind.name
    assert signature
    assert signature[1] not in repr(refusal)
    assert unquote(signature[1]) not in repr(refusal)


@pytest.mark.parametrize("skin", [skin for skin in SKINS if skin not in KINDS["skewed"]])
async def test_a_url_without_a_beginning_does_not_mind_a_clock_ahead(skin: str) -> None:
    """It only lives longer than was meant."""
    async with Origin() as origin:
        origin.add(PATH, 1000)
        url = origin.presign(PATH, ttl=60, skin=skin, skew=1200)
        origin.clock_offset += 1000
        reply = await ask(url)

        assert 200 == reply.status


@pytest.mark.parametrize("skin", SKINS)
async def test_a_clock_behind_shortens_the_life(skin: str) -> None:
    """A signer twenty minutes late signs URLs of ten minutes that are dead on arrival."""
    async with Origin() as origin:
        origin.add(PATH, 1000)
        reply = await ask(origin.presign(PATH, ttl=600, skin=skin, skew=-1200))

        assert EXPIRED[skin][0] == reply.status
        assert re.search(EXPIRED[skin][1], reply.body.decode(), re.DOTALL)


@pytest.mark.parametrize("skin", ["s3v4", "minio", "gcs", "oss"])
async def test_a_quarter_of_an_hour_is_tolerated(skin: str) -> None:
    """Signers whose clocks are ahead by up to fifteen minutes are served."""
    async with Origin() as origin:
        origin.add(PATH, 1000)
        tolerated = await ask(origin.presign(PATH, ttl=60, skin=skin, skew=890))
        refused = await ask(origin.presign(PATH, ttl=60, skin=skin, skew=910))

        assert (200, 403) == (tolerated.status, refused.status)


@pytest.mark.parametrize("skin", KINDS["not yet valid"])
async def test_a_url_begins_when_it_says(skin: str) -> None:
    """Refused before its time, served from then on, dead after its end."""
    async with Origin() as origin:
        origin.add(PATH, 1000)
        url = origin.presign(PATH, ttl=20, skin=skin, not_before=10)
        statuses = []
        for offset in (9.5, 10.5, 20.5):
            origin.clock_offset = offset
            statuses.append((await ask(url)).status)

        assert [403, 200, EXPIRED[skin][0]] == statuses


@pytest.mark.parametrize("skin", SKINS)
def test_what_a_url_cannot_say(skin: str) -> None:
    """A beginning or a range that the provider's URLs have no room for is the caller's mistake."""
    signer = Signer(b"key")
    if skin not in KINDS["not yet valid"]:
        with pytest.raises(OptionsError, match="cannot begin"):
            signer.mint("/f", skin=skin, ttl=60, now=1e9, not_before=1)
    if skin not in KINDS["wrong range"]:
        with pytest.raises(OptionsError, match="bytes 0 to 10"):
            signer.mint("/f", skin=skin, ttl=60, now=1e9, allowed=(0, 10))
    with pytest.raises(OptionsError, match="cannot begin"):
        signer.mint("/f", skin=skin, ttl=60, now=1e9, not_before=60)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ("bytes=10-19", None),
        ("bytes=12-12", None),
        ("bytes=9-19", "Auth failed: invalid range"),
        ("bytes=10-20", "Auth failed: invalid range"),
        ("bytes=19-10", "Auth failed: invalid range"),
        ("bytes=10-12,15-19", "Invalid Range Specified"),
        ("bytes=10-", "Invalid Range Specified"),
        (None, "Invalid Range Specified"),
    ],
)
async def test_a_url_for_one_range(asked: str | None, words: str | None) -> None:
    """It serves what lies within its range, and refuses all else in the words of Hugging Face's CDN."""
    async with Origin() as origin:
        content = origin.add(PATH, 1000)
        url = origin.presign(PATH, ttl=60, skin="hf", allowed=(10, 20))
        reply = await ask(url, headers={"Range": asked} if asked else {})

    assert "X-Xet-Signed-Range=bytes%3D10-19" in url
    assert (206 if words is None else 403) == reply.status
    assert reply.body in ({words.encode()} if words else {content.read(10, 20), content.read(12, 13)})


async def test_s3_repeats_what_was_signed() -> None:
    """S3's refusal of a changed target has every field of the real one, the signature among them."""
    fields = (
        "AWSAccessKeyId", "StringToSign", "SignatureProvided", "StringToSignBytes", "CanonicalRequest",
        "CanonicalRequestBytes", "RequestId", "HostId",
    )  # fmt: skip
    async with Origin() as origin:
        url = presigned(origin, "mismatch", "s3v4")
        reply = await ask(url)

    assert all(re.search(f"<{field}>[^<]+</{field}>".encode(), reply.body) for field in fields)
    assert url.rpartition("=")[2].encode() in reply.body


def test_google_forgets_after_a_week() -> None:
    """A version 2 signature is called expired for seven days, then it does not match any more."""
    week = 7 * 86400
    bodies = [gcs_v2_expired(Life(issued=0, expires=100, now=100 + age)).body for age in (week, week + 1)]

    assert [True, False] == [b"ExpiredToken" in body for body in bodies]
    assert b"SignatureDoesNotMatch" in bodies[1]


def test_an_early_url_reads_as_early() -> None:
    """However little is missing, the times in the refusal differ."""
    life = Life.before(issued=100.2, expires=160.2, now=100.1)

    assert Life(issued=101, expires=161, now=100) == life


async def test_an_opaque_url_is_presumed_expired_once_it_worked() -> None:
    """Without a word and without a date, that it worked before is all there is to go by."""
    async with Origin() as origin:
        origin.add(PATH, 10)
        url = presigned(origin, "expired", "opaque")
        refusal = read(url, await ask(url), worked=True)

    assert "PRESUMED_EXPIRED" == refusal.kind.name


@pytest.mark.parametrize("skin", SKINS)
async def test_a_download_outlives_its_url(skin: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the real clock: the URL dies under the download, which goes on with the next one."""
    monkeypatch.setattr(refresher, "_SHORTEST_INTERVAL", 0.05)  # a second between calls is tested elsewhere
    async with Origin(rate=4 * PART) as origin:
        content = origin.add("/x", 12 * PART)
        provider = origin.provider("/x", ttl=0.3, skin=skin)
        result = await fetch(provider, tmp_path / "x", options=small(reuse_window=0))

        assert holds(tmp_path / "x", content)
        assert 1 <= result.refreshes == provider.calls - 1
        assert 0 == origin.ledger.repeated("/x")


async def test_a_range_too_wide_is_no_reason_to_renew(origin: Origin, tmp_path: Path) -> None:
    """A58: a URL that is good for other bytes only ends the download; its provider is not asked again."""
    origin.add("/x", 12 * PART)
    provider = origin.provider("/x", ttl=60, skin="hf", allowed=(0, PART))
    with pytest.raises(HttpStatusError, match="Auth failed: invalid range"):
        await fetch(provider, tmp_path / "x")

    assert 1 == provider.calls
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("skin", KINDS["skewed"])
async def test_a_wrong_clock_is_named(
    origin: Origin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, skin: str
) -> None:
    """B31: a signer twenty minutes ahead is asked once more, then both times are in the hint."""
    monkeypatch.setattr(refresher, "_SHORTEST_INTERVAL", 0.05)
    origin.add("/x", 12 * PART)
    provider = origin.provider("/x", ttl=3600, skin=skin, skew=1200)
    with pytest.raises(ForbiddenError) as caught:
        await fetch(provider, tmp_path / "x")

    assert 2 == provider.calls
    assert 2 == len(set(re.findall(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", caught.value.hint or "")))
