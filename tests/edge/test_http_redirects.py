"""Redirects: followed within bounds, and what was meant for one origin is seen by no other."""

from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp
import pytest

from asyncdl.errors import ResponseMismatchError
from asyncdl.model import SignedUrl
from asyncdl.testing import Fault, Origin
from tests.support.http import SECRET, ask, transport, words_of

SIZE = 10_000
PRIVATE = (
    ("Authorization", "Bearer t"),
    ("Cookie", "c=d"),
    ("X-Api-Key", "k"),
    ("Proxy-Authorization", "Basic eA=="),
    ("User-Agent", "the-caller/1"),
    ("Referer", "http://private.test/"),
)
NAMES = [name for name, _ in PRIVATE if name != "User-Agent"]
pytestmark = pytest.mark.usefixtures("no_leaks")


@pytest.fixture
async def other() -> AsyncIterator[Origin]:
    """Another port of the same host: another origin."""
    async with Origin(seed=2) as running:
        running.add("/g", SIZE)
        yield running


def private_headers(origin: Origin) -> list[str]:
    """The values of the caller's headers that an origin saw."""
    return [value for name in NAMES for value in origin.ledger.headers_seen(name)]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_same_origin(origin: Origin, status: int) -> None:
    """Any kind of redirect is followed with everything, the range included; aiohttp has no say in it."""
    content = origin.add("/f", SIZE)
    origin.add("/old", SIZE)
    origin.script(Fault(path="/old", status=status, redirect="/f?x=%2F"))
    async with transport() as over:
        answer = await ask(over, origin.url("/old"), 5, 50, headers=PRIVATE)
    last = origin.ledger.requests[-1]

    assert (206, content.read(5, 50), 1) == (answer.status, answer.body, answer.hops)
    assert ("GET", "/f?x=%2F", "bytes=5-49") == (last.method, last.raw_target, last.headers.get("Range"))
    assert [value for _, value in PRIVATE] == [last.headers.get(name) for name, _ in PRIVATE]


@pytest.mark.parametrize("change", ["port", "host", "host and port"])
async def test_other_origin(origin: Origin, change: str) -> None:
    """Another port, another host, or both: followed, and nothing of the caller's arrives there."""
    host = "127.0.0.1" if change == "port" else "127.0.0.2"
    async with Origin(seed=2, host=host, port=origin.port if change == "host" else 0) as other:
        content = other.add("/g", SIZE)
        origin.add("/f", SIZE)
        origin.script(Fault(redirect=other.url("/g")))
        async with transport() as over:
            answer = await ask(over, origin.url("/f"), headers=PRIVATE)

        assert content.read(0, 100) == answer.body
        assert [] == private_headers(other)
        assert ["bytes=0-99"] == other.ledger.headers_seen("Range")
        assert other.ledger.headers_seen("User-Agent")[0].startswith("asyncdl/")


async def test_same_host_spelt_otherwise(origin: Origin) -> None:
    """`localhost` is not 127.0.0.1, whatever the resolver says."""
    origin.add("/f", SIZE)
    origin.add("/old", SIZE)
    origin.script(Fault(path="/old", redirect=f"http://localhost:{origin.port}/f"))
    async with transport() as over:
        await ask(over, origin.url("/old"), headers=PRIVATE)

    assert None is origin.ledger.requests[1].headers.get("Authorization")


async def test_away_and_back(origin: Origin, other: Origin) -> None:
    """Who leads a request away and back again does not get to choose where the headers go."""
    origin.add("/f", SIZE)
    origin.add("/trap", SIZE)
    origin.script(Fault(path="/f", redirect=other.url("/g")))
    other.script(Fault(redirect=origin.url("/trap")))
    url = SignedUrl(origin.url("/f"), headers=(("X-Url", "u"),))
    async with transport() as over:
        answer = await ask(over, url, headers=PRIVATE)

    first, second = origin.ledger.requests
    assert (2, "Bearer t", "u") == (answer.hops, first.headers.get("Authorization"), first.headers.get("X-Url"))
    assert (None, None) == (second.headers.get("Authorization"), second.headers.get("X-Url"))
    assert [] == private_headers(other)


@pytest.mark.parametrize("at_home", [True, False])
async def test_headers_of_the_url(origin: Origin, other: Origin, at_home: bool) -> None:
    """A signed URL's headers stay with its origin, home or not: there on a redirect, elsewhere never."""
    origin.add("/f", SIZE)
    origin.add("/f2", SIZE)
    origin.script(Fault(path="/f", redirect="/f2"), Fault(path="/f2", redirect=other.url("/g")))
    url = SignedUrl(origin.url("/f"), headers=(("X-Url", "u"),))
    async with transport() as over:
        await ask(over, url, headers=PRIVATE, home=None if at_home else "http://home.test/")

    assert ["u", "u"] == origin.ledger.headers_seen("X-Url")
    assert [] == other.ledger.headers_seen("X-Url")
    assert (["Bearer t"] * 2 if at_home else []) == origin.ledger.headers_seen("Authorization")


@pytest.mark.parametrize(("hops", "limit", "passes"), [(1, 1, True), (2, 1, False), (5, 5, True), (6, 5, False)])
async def test_limit(origin: Origin, hops: int, limit: int, passes: bool) -> None:
    """So many are followed and not one more; a redirect to the very same URL counts and is no loop by itself."""
    content = origin.add("/f", SIZE)
    origin.script(Fault(redirect="/f", times=hops))
    async with transport(max_redirects=limit) as over:
        if passes:
            answer = await ask(over, origin.url("/f"))

            assert (content.read(0, 100), hops) == (answer.body, answer.hops)
            return
        with pytest.raises(ResponseMismatchError) as caught:
            await ask(over, origin.url("/f"))
        assert not caught.value.retryable
        assert limit + 1 == len(origin.ledger.requests)


async def test_none_at_all(origin: Origin, other: Origin) -> None:
    """A limit of 0 means that nobody else is ever asked."""
    origin.add("/f", SIZE)
    origin.script(Fault(redirect=other.url("/g")))
    async with transport(max_redirects=0) as over:
        with pytest.raises(ResponseMismatchError, match="more than 0 redirects"):
            await ask(over, origin.url("/f"))

    assert 0 == other.ledger.connections


async def test_loop(origin: Origin, other: Origin) -> None:
    """Two servers that send us back and forth are left."""
    origin.add("/f", SIZE)
    origin.script(Fault(redirect=other.url("/g")))
    other.script(Fault(redirect=origin.url("/f")))
    async with transport() as over:
        with pytest.raises(ResponseMismatchError):
            await ask(over, origin.url("/f"))

    assert 6 == len(origin.ledger.requests) + len(other.ledger.requests)


@pytest.mark.parametrize(
    "location",
    ["file:///etc/passwd", "ftp://127.0.0.1/x", "data:,x", "gopher://x", "javascript:x", "http://", "http://[::1", "http://h:0/"],
)  # fmt: skip
async def test_nowhere_to_go(origin: Origin, location: str) -> None:
    """Only http and https are followed, and only to a host; the words do not repeat where it led."""
    origin.add("/f", SIZE)
    origin.script(Fault(redirect=f"{location}?{SECRET}"))
    async with transport() as over:
        with pytest.raises(ResponseMismatchError) as caught:
            await ask(over, f"{origin.url('/f')}?{SECRET}")

    assert not caught.value.retryable
    assert SECRET not in words_of(caught.value)


@pytest.mark.parametrize("relative", [True, False])
async def test_password_in_location(origin: Origin, other: Origin, relative: bool) -> None:
    """A user and password that a redirect brings along are not used; our own stay with their origin."""
    origin.add("/f", SIZE)
    origin.add("/f2", SIZE)
    target = "/f2" if relative else other.url("/g").replace("//", "//evil:pass@")
    origin.script(Fault(path="/f", redirect=target))
    async with transport() as over:
        await ask(over, origin.url("/f").replace("//", "//me:mine@"))

    assert ["Basic bWU6bWluZQ=="] * (2 if relative else 1) == origin.ledger.headers_seen("Authorization")
    assert [] == other.ledger.headers_seen("Authorization")


async def test_no_location(origin: Origin) -> None:
    """A redirect to nowhere is an answer like any other; what it is worth is decided elsewhere."""
    origin.add("/f", SIZE)
    origin.script(Fault(status=308, body=b"?"))
    async with transport() as over:
        answer = await ask(over, origin.url("/f"))

    assert (308, 0) == (answer.status, answer.hops)


@pytest.mark.parametrize("status", [300, 304, 305])
async def test_not_every_location_is_a_redirect(origin: Origin, other: Origin, status: int) -> None:
    """A Location beside another status leads nowhere."""
    origin.add("/f", SIZE)
    origin.script(Fault(status=status, body=b"", headers={"Location": other.url("/g")}))
    async with transport() as over:
        answer = await ask(over, origin.url("/f"))

    assert (status, 0) == (answer.status, other.ledger.connections)


async def test_endless_body_of_a_redirect(origin: Origin) -> None:
    """Nobody reads what a redirect says at length."""
    content = origin.add("/f", SIZE)
    origin.add("/big", 1 << 30)
    head = b"HTTP/1.1 302 Found\r\nLocation: /f\r\nContent-Length: 1000000000\r\n\r\n"
    origin.script(Fault(path="/big", raw=head + bytes(1 << 16)))
    async with transport() as over:
        answer = await ask(over, origin.url("/big"))

    assert content.read(0, 100) == answer.body


class TestSession:
    """The caller's session on the way to a foreign origin."""

    async def test_keeps_its_secrets(self, origin: Origin, other: Origin) -> None:
        """Its connections are used there, its headers, cookies and password are not."""
        origin.add("/f", SIZE)
        origin.script(Fault(redirect=other.url("/g")))
        jar = aiohttp.CookieJar(unsafe=True)
        async with aiohttp.ClientSession(
            headers={"X-Api-Key": "default", "Authorization": "Basic bWU="}, cookie_jar=jar
        ) as session:
            jar.update_cookies({"c": "d"})
            async with transport(session=session) as over:
                await ask(over, origin.url("/f"), headers=(("X-Own", "o"),))
                await ask(over, origin.url("/f"))

                assert not session.closed
            async with session.get(other.url("/g")) as response:
                await response.read()
        first, second, third = other.ledger.requests

        assert ["default", "default"] == origin.ledger.headers_seen("X-Api-Key")
        names = ("X-Api-Key", "Cookie", "Authorization", "X-Own")
        assert [None] * 8 == [record.headers.get(name) for record in (first, second) for name in names]
        assert "default" == third.headers.get("X-Api-Key")
        assert 1 == other.ledger.connections

    async def test_stays_itself_on_its_own_origin(self, origin: Origin) -> None:
        """A redirect within the origin asked for changes nothing."""
        origin.add("/f", SIZE)
        origin.add("/f2", SIZE)
        origin.script(Fault(path="/f", redirect="/f2"))
        async with (
            aiohttp.ClientSession(headers={"X-Api-Key": "default"}) as session,
            transport(session=session) as over,
        ):
            await ask(over, origin.url("/f"))
            await ask(over, origin.url("/f"), home="http://home.test/")

        # Away from home, where a provider may lead, nothing of the session goes along.
        assert ["default", "default"] == origin.ledger.headers_seen("X-Api-Key")
        assert 4 == len(origin.ledger.requests)

    async def test_cookie_set_abroad(self, origin: Origin, other: Origin) -> None:
        """A foreign origin's cookie does not get into the caller's jar."""
        origin.add("/f", SIZE)
        origin.script(Fault(redirect=other.url("/g")))
        other.script(Fault(headers={"Set-Cookie": "evil=1; Path=/"}))
        jar = aiohttp.CookieJar(unsafe=True)
        async with aiohttp.ClientSession(cookie_jar=jar) as session, transport(session=session) as over:
            await ask(over, origin.url("/f"))

        assert [] == list(jar)
