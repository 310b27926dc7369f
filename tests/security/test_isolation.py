"""Downloads that know nothing of each other: what one was given never serves another, in one process or one session."""

from __future__ import annotations

import asyncio
import netrc
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import pytest

import asyncdl
from asyncdl.testing import Fault, Origin
from tests.support.flow import PART, fetch, holds, small
from tests.support.proxy import Proxy
from tests.support.secrets import CALLERS, NETRC, SIGNED, spellings

SIZE = 8 * PART + 7


@pytest.fixture
async def shared() -> AsyncIterator[aiohttp.ClientSession]:
    """A session that several downloads are to use."""
    async with aiohttp.ClientSession() as session:
        yield session


def seen(origin: Origin, name: str, path: str | None = None) -> set[str | None]:
    """The values of a header in the requests for one path, or for all; None where it was missing."""
    return {record.headers.get(name) for record in origin.ledger.requests if path in {None, record.path}}


async def test_every_request_at_home(origin: Origin, tmp_path: Path) -> None:
    """Several connections, broken ones, refused URLs and new ones: each request has the headers, and its URL's own."""
    content = origin.add("/f", SIZE)
    origin.script(
        Fault(request=range(1, 4), reset_after=5000), Fault(request={5}, status=503), Fault(request={6}, drop_after=0)
    )
    urls: list[str] = []

    async def provider(rejected: asyncdl.SignedUrl | None) -> asyncdl.SignedUrl:
        urls.append(origin.presign("/f", ttl=3600))
        return asyncdl.SignedUrl(urls[-1], headers=(("X-Signed", f"{SIGNED}-{len(urls)}"),))

    origin.script(Fault(generation=0, request=range(8, 99), status=403, body=b"<Code>ExpiredToken</Code>"))
    result = await fetch(provider, tmp_path / "f", headers={"Authorization": CALLERS}, options=small(reuse_window=0))

    assert (True, 1) == (holds(tmp_path / "f", content), result.refreshes)
    assert result.retries >= 4
    assert {CALLERS} == seen(origin, "Authorization")
    expected = [(urls.index(origin.base_url + record.raw_target) + 1) for record in origin.ledger.requests]
    assert [f"{SIGNED}-{number}" for number in expected] == origin.ledger.headers_seen("X-Signed")


@pytest.mark.parametrize("session", [False, True])
async def test_renewed_elsewhere(tmp_path: Path, shared: aiohttp.ClientSession, session: bool) -> None:
    """A provider that moves to another host gets its own headers there and nobody else's; back home, both again."""
    shared.headers["X-Default"] = CALLERS
    async with AsyncExitStack() as stack:
        home = await stack.enter_async_context(Origin())
        away = await stack.enter_async_context(Origin(host="127.0.0.2", port=home.port))
        content = home.add("/f", SIZE)
        away.add("/f", SIZE)
        places = [home, away, home]

        async def provider(rejected: asyncdl.SignedUrl | None) -> asyncdl.SignedUrl:
            number = 3 - len(places)
            place = places.pop(0)
            return asyncdl.SignedUrl(f"{place.url('/f')}?n={number}", headers=(("X-Signed", f"{SIGNED}-{number}"),))

        def refused(number: int) -> Fault:
            return Fault(
                when=lambda record: record.raw_target.endswith(f"n={number}"),
                request=range(2, 99),
                status=403,
                body=b"<Code>ExpiredToken</Code>",
            )

        home.script(refused(0))
        away.script(refused(1))
        await fetch(
            provider,
            tmp_path / "f",
            headers={"Authorization": CALLERS, "Cookie": f"c={CALLERS}"},
            options=small(1, reuse_window=0),
            **({"session": shared} if session else {}),
        )

    assert holds(tmp_path / "f", content)
    assert (set(), {f"{SIGNED}-1"}) == (_told(away, CALLERS), seen(away, "X-Signed"))
    assert ({CALLERS}, {f"{SIGNED}-0", f"{SIGNED}-2"}) == (seen(home, "Authorization"), seen(home, "X-Signed"))
    assert {CALLERS if session else None} == seen(home, "X-Default")


def _told(origin: Origin, secret: str) -> set[str]:
    text = repr([(record.raw_target, list(record.headers)) for record in origin.ledger.requests])
    return {form for form in spellings(secret) if form in text}


@pytest.mark.parametrize("session", [False, True])
async def test_side_by_side(origin: Origin, tmp_path: Path, shared: aiohttp.ClientSession, session: bool) -> None:
    """Two downloads from one origin, each with a token of its own, on connections that both may use."""
    more = {"session": shared} if session else {}
    contents = {name: origin.add(f"/{name}", SIZE) for name in "abcd"}
    origin.script(Fault(request={1, 4}, drop_after=5000))
    await asyncio.gather(
        *(
            fetch(
                asyncdl.SignedUrl(origin.url(f"/{name}"), headers=(("X-Signed", f"{SIGNED}-{name}"),)),
                tmp_path / name,
                headers={"Authorization": f"Bearer {CALLERS}-{name}"},
                options=small(2),
                **more,
            )
            for name in contents
        )
    )

    assert [True] * 4 == [holds(tmp_path / name, content) for name, content in contents.items()]
    for name in contents:
        assert {f"Bearer {CALLERS}-{name}"} == seen(origin, "Authorization", f"/{name}")
        assert {f"{SIGNED}-{name}"} == seen(origin, "X-Signed", f"/{name}")


async def test_one_after_another(origin: Origin, tmp_path: Path, shared: aiohttp.ClientSession) -> None:
    """A download without credentials, over the very connection of one that had some, has none."""
    for name in "ab":
        origin.add(f"/{name}", 100)
    url = asyncdl.SignedUrl(origin.url("/a").replace("://", "://me:mine@"), headers=(("X-Signed", SIGNED),))
    await fetch(url, tmp_path / "a", headers={"Cookie": CALLERS}, session=shared)
    await fetch(origin.url("/b"), tmp_path / "b", session=shared)

    assert (1, 2) == (origin.ledger.connections, len(origin.ledger.requests))
    assert [{None}] * 3 == [seen(origin, name, "/b") for name in ("Authorization", "Cookie", "X-Signed")]


class TestTrust:
    """Whom one download trusts is nothing to another."""

    @pytest.fixture
    async def secure(self, authority: Path) -> AsyncIterator[Origin]:
        """An https origin whose authority nobody knows."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(authority.with_name("server.pem"))
        async with Origin(ssl=context) as running:
            running.add("/f", 100)
            yield running

    @pytest.mark.parametrize("session", [False, True])
    async def test_does_not_stick(
        self, secure: Origin, authority: Path, tmp_path: Path, shared: aiohttp.ClientSession, session: bool
    ) -> None:
        """After a download that trusts an authority comes one that does not, and the open connection is not for it."""
        more: dict[str, Any] = {"session": shared} if session else {}
        for attempt in range(2):
            await fetch(secure.url("/f"), tmp_path / f"{attempt}", options=small(1, ca_file=authority), **more)
            with pytest.raises(asyncdl.ConnectError, match="TLS certificate refused"):
                await fetch(secure.url("/f"), tmp_path / "none", options=small(1), **more)

        assert 2 == len(secure.ledger.requests)

    async def test_at_the_same_time(self, secure: Origin, authority: Path, tmp_path: Path) -> None:
        """Nor do they learn it from each other while both run."""
        secure.latency = 0.05
        outcomes = await asyncio.gather(
            *(
                fetch(secure.url("/f"), tmp_path / f"{number}", options=small(1, ca_file=authority if trusts else None))
                for number, trusts in enumerate([True, False] * 3)
            ),
            return_exceptions=True,
        )

        assert [asyncdl.Result, asyncdl.ConnectError] * 3 == [type(outcome) for outcome in outcomes]
        assert 3 == len(secure.ledger.requests)

    async def test_careless_session(self, secure: Origin, tmp_path: Path) -> None:
        """A caller's session that believes everybody does so for itself alone."""
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=False)) as careless:
            await fetch(secure.url("/f"), tmp_path / "f", session=careless)
            with pytest.raises(asyncdl.ConnectError, match="TLS certificate refused"):
                await fetch(secure.url("/f"), tmp_path / "g")

    async def test_tunnel(self, secure: Origin, authority: Path, tmp_path: Path, shared: aiohttp.ClientSession) -> None:
        """A tunnel that was opened with the right password is not for who has the wrong one, or none."""
        async with Proxy(credentials="u:right") as proxy:
            for number, (userinfo, passes) in enumerate([("u:right", True), ("u:wrong", False), ("", False)] * 2):
                call = fetch(
                    secure.url("/f"),
                    tmp_path / f"{number}",
                    options=small(1, ca_file=authority, proxy=proxy.url(userinfo)),
                    session=shared,
                )
                if passes:
                    await call
                    continue
                with pytest.raises(asyncdl.ConnectError, match="407"):
                    await call

        assert 2 == len(secure.ledger.requests)


SUPER_COOKIES = (
    ("Set-Cookie", "plain=1"),
    ("Set-Cookie", "rooted=1; Path=/"),
    ("Set-Cookie", "domain=1; Domain=127.0.0.1"),
    ("Set-Cookie", "dotted=1; Domain=.0.0.1"),
    ("Set-Cookie", "top=1; Domain=com"),
    ("Set-Cookie", "all=1; Domain=."),
    ("Set-Cookie", "old=1; Max-Age=99999999; Path=/; HttpOnly; SameSite=None"),
    *(("Set-Cookie", f"flood{number}={'x' * 100}; Path=/") for number in range(60)),
)


async def test_cookies_are_forgotten(origin: Origin, tmp_path: Path) -> None:
    """No cookie comes back: not with the next part, after a retry, through a redirect, from the next download."""
    origin.add("/f", SIZE)
    origin.add("/old", SIZE)
    origin.script(
        Fault(path="/old", redirect=origin.url("/f"), headers=SUPER_COOKIES),
        Fault(path="/f", request={2}, status=503, headers=SUPER_COOKIES),
        Fault(headers=SUPER_COOKIES),
    )
    for name in "ab":
        await fetch(origin.url("/old"), tmp_path / name)

    assert len(origin.ledger.requests) > 30
    assert {None} == seen(origin, "Cookie")


class TestNetrc:
    """Nobody asks a .netrc; the one that all tests here run with has an entry for every host."""

    async def test_is_not_even_read(self, origin: Origin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """With the environment in use or not."""
        read: list[object] = []
        monkeypatch.setattr(netrc.netrc, "__init__", lambda *arguments, **_: read.append(arguments))
        origin.add("/f", 100)
        for name, use in (("a", True), ("b", False)):
            await fetch(origin.url("/f"), tmp_path / name, options=small(1, use_environment=use))

        assert ([], {None}) == (read, seen(origin, "Authorization"))

    async def test_session_that_does(self, origin: Origin, tmp_path: Path) -> None:
        """What a session of the caller's reads of it is for the origin asked for; a redirect takes none of it along."""
        async with Origin(host="127.0.0.2") as other, aiohttp.ClientSession(trust_env=True) as session:
            other.add("/g", 100)
            origin.add("/f", 100)
            origin.script(Fault(redirect=other.url("/g")))
            await fetch(origin.url("/f"), tmp_path / "f", session=session)

        assert (1, set()) == (len(other.ledger.requests), _told(other, NETRC))
        assert _told(origin, NETRC)
