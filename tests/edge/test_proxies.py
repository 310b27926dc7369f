"""Proxies: which one is asked, what it gets to see, and that its password stays with it."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
import trustme

from asyncdl.errors import ConnectError, OptionsError, TransferError
from asyncdl.testing import Content, Fault, Origin
from tests.support.http import SECRET, ask, transport, words_of
from tests.support.process import free_port
from tests.support.proxy import Proxy

SIZE = 10_000
CONTENT = Content(1, SIZE)
TARGET = "/f?a=%2F+%20%c3%a9&b=~&X-Marker=" + SECRET
VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "REQUEST_METHOD")
pytestmark = pytest.mark.usefixtures("no_leaks")


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy of this machine's gets in the way."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
async def proxy() -> AsyncIterator[Proxy]:
    """An open proxy."""
    async with Proxy() as running:
        yield running


@pytest.fixture(scope="module")
def ca_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An authority's certificate; its key and chain lie beside it."""
    authority, folder = trustme.CA(), tmp_path_factory.mktemp("tls")
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(folder / "server.pem")
    authority.cert_pem.write_to_path(folder / "ca.pem")
    return folder / "ca.pem"


@pytest.fixture
async def secure(ca_file: Path) -> AsyncIterator[Origin]:
    """An https origin."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(ca_file.with_name("server.pem"))
    async with Origin(ssl=context) as running:
        running.add("/f", SIZE)
        yield running


async def test_plain(origin: Origin, proxy: Proxy) -> None:
    """The proxy is asked for the whole URL, byte for byte, and passes on what the origin gets."""
    origin.add("/f", SIZE)
    async with transport(proxy=proxy.url()) as over:
        answer = await ask(over, origin.base_url + TARGET, headers=(("X-Own", "o"),))

    assert [("GET", origin.base_url + TARGET)] == [(seen.method, seen.target) for seen in proxy.seen]
    assert [TARGET] == [record.raw_target for record in origin.ledger.requests]
    assert (CONTENT.read(0, 100), ["o"]) == (answer.body, origin.ledger.headers_seen("X-Own"))


async def test_tunnel(secure: Origin, proxy: Proxy, ca_file: Path) -> None:
    """For https the proxy learns host and port, and nothing of the URL or the headers."""
    async with transport(proxy=proxy.url(), ca_file=ca_file) as over:
        answer = await ask(over, secure.base_url + TARGET, headers=(("X-Own", "o"),))

    assert [("CONNECT", f"127.0.0.1:{secure.port}")] == [(seen.method, seen.target) for seen in proxy.seen]
    assert proxy.seen[0].headers.get("X-Own") is None
    assert SECRET not in repr(list(proxy.seen[0].headers))
    assert [TARGET] == [record.raw_target for record in secure.ledger.requests]
    assert CONTENT.read(0, 100) == answer.body


@pytest.mark.parametrize("encrypted", [False, True])
async def test_password(origin: Origin, secure: Origin, ca_file: Path, encrypted: bool) -> None:
    """User and password go to the proxy, decoded, and never to the origin."""
    origin.add("/f", SIZE)
    server = secure if encrypted else origin
    async with (
        Proxy(credentials="us/er:p@ss:w") as proxy,
        transport(proxy=proxy.url("us%2Fer:p%40ss:w"), ca_file=ca_file) as over,
    ):
        answer = await ask(over, server.url("/f"))

    assert CONTENT.read(0, 100) == answer.body
    assert [] == server.ledger.headers_seen("Proxy-Authorization")
    assert [] == server.ledger.headers_seen("Authorization")


async def test_wrong_password_for_a_tunnel(secure: Origin, ca_file: Path) -> None:
    """407 is the end, and says who refused; the password does not come along."""
    async with (
        Proxy(credentials="user:right") as proxy,
        transport(proxy=proxy.url(f"user:{SECRET}"), ca_file=ca_file) as over,
    ):
        with pytest.raises(ConnectError) as caught:
            await ask(over, secure.base_url + TARGET)

    assert ("the proxy answered 407", False) == (caught.value.message, caught.value.retryable)
    assert SECRET not in words_of(caught.value)
    assert 0 == secure.ledger.connections


async def test_wrong_password(origin: Origin) -> None:
    """For http the proxy's 407 is the response; what it is worth is decided elsewhere."""
    origin.add("/f", SIZE)
    async with Proxy(credentials="user:right") as proxy, transport(proxy=proxy.url("user:wrong")) as over:
        answer = await ask(over, origin.base_url + TARGET)

    assert (407, 0) == (answer.status, origin.ledger.connections)


@pytest.mark.parametrize(("status", "retryable"), [(403, False), (502, True), (503, True)])
async def test_proxy_that_refuses(secure: Origin, ca_file: Path, status: int, retryable: bool) -> None:
    """A proxy in trouble may be better later; one that forbids will not."""
    async with Proxy(status=status) as proxy, transport(proxy=proxy.url(), ca_file=ca_file) as over:
        with pytest.raises(ConnectError) as caught:
            await ask(over, secure.base_url + TARGET)

    assert retryable == caught.value.retryable
    assert str(status) in caught.value.message
    assert SECRET not in words_of(caught.value)


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_proxy_that_is_not_there(scheme: str) -> None:
    """The words name the proxy as the culprit, and not its password."""
    async with transport(proxy=f"http://user:{SECRET}@127.0.0.1:{free_port()}") as over:
        with pytest.raises(ConnectError) as caught:
            await ask(over, f"{scheme}://host.test{TARGET}")

    assert caught.value.message.startswith("cannot connect to the proxy")
    assert caught.value.retryable
    assert SECRET not in words_of(caught.value)


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"])
async def test_environment(origin: Origin, proxy: Proxy, monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    """The usual variables are followed, in either case; with the environment switched off, they are not."""
    origin.add("/f", SIZE)
    monkeypatch.setenv(variable, proxy.url())
    async with transport(use_environment=True) as over:
        await ask(over, origin.url("/f"))
    async with transport(use_environment=False) as over:
        await ask(over, origin.url("/f"))

    assert (1, 2) == (len(proxy.seen), len(origin.ledger.requests))


async def test_https_variable(
    origin: Origin, secure: Origin, proxy: Proxy, ca_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each scheme has its own."""
    origin.add("/f", SIZE)
    monkeypatch.setenv("HTTPS_PROXY", proxy.url())
    async with transport(use_environment=True, ca_file=ca_file) as over:
        await ask(over, origin.url("/f"))
        await ask(over, secure.url("/f"))

    assert ["CONNECT"] == [seen.method for seen in proxy.seen]


async def test_proxy_over_tls(secure: Origin, ca_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The way to it is trusted as any other is: by the bundle that the environment names, for http as well."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(ca_file))
    async with transport(use_environment=True, proxy=secure.base_url) as over:
        await ask(over, "http://host.test/f")

    assert 1 == len(secure.ledger.requests)


@pytest.mark.parametrize("exempt", ["127.0.0.1", "*", "other.test, 127.0.0.1", "127.0.0.1:{port}"])
async def test_no_proxy(origin: Origin, proxy: Proxy, monkeypatch: pytest.MonkeyPatch, exempt: str) -> None:
    """Hosts that are exempt are asked directly."""
    origin.add("/f", SIZE)
    monkeypatch.setenv("HTTP_PROXY", proxy.url())
    monkeypatch.setenv("NO_PROXY", exempt.format(port=origin.port))
    async with transport(use_environment=True) as over:
        await ask(over, origin.url("/f"))

    assert (0, 1) == (len(proxy.seen), len(origin.ledger.requests))


async def test_option_wins(origin: Origin, proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    """The option is for every request, whatever the environment says."""
    origin.add("/f", SIZE)
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("NO_PROXY", "*")
    async with transport(use_environment=True, proxy=proxy.url()) as over:
        await ask(over, origin.url("/f"))

    assert 1 == len(proxy.seen)


async def test_each_hop_anew(origin: Origin, proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a redirect the next host decides which proxy, if any."""
    async with Origin(seed=1, host="127.0.0.2") as other:
        other.add("/g", SIZE)
        origin.add("/f", SIZE)
        origin.script(Fault(redirect=other.url("/g")))
        monkeypatch.setenv("HTTP_PROXY", proxy.url())
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        async with transport(use_environment=True) as over:
            answer = await ask(over, origin.url("/f"))

        assert (CONTENT.read(0, 100), [other.url("/g")]) == (answer.body, [seen.target for seen in proxy.seen])


async def test_bad_option() -> None:
    """A proxy URL that cannot be used is refused at once, and not repeated."""
    with pytest.raises(OptionsError) as caught:
        async with transport(proxy=f"socks5://user:{SECRET}@127.0.0.1:1"):
            pass

    assert SECRET not in words_of(caught.value)


async def test_bad_variable(origin: Origin, monkeypatch: pytest.MonkeyPatch) -> None:
    """So is one from the environment."""
    origin.add("/f", SIZE)
    monkeypatch.setenv("HTTP_PROXY", f"socks5://user:{SECRET}@127.0.0.1:1")
    async with transport(use_environment=True) as over:
        with pytest.raises(OptionsError) as caught:
            await ask(over, origin.url("/f"))

    assert SECRET not in words_of(caught.value)
    assert [] == origin.ledger.requests


async def test_connections_are_kept_apart(secure: Origin, ca_file: Path) -> None:
    """A tunnel made with one password is not used under another."""
    async with Proxy(credentials="user:right") as proxy:
        async with transport(proxy=proxy.url("user:right"), ca_file=ca_file) as over:
            await ask(over, secure.url("/f"))
        async with transport(proxy=proxy.url("user:wrong"), ca_file=ca_file) as over:
            with pytest.raises(TransferError):
                await ask(over, secure.url("/f"))

    assert 1 == len(secure.ledger.requests)


class TestSessionOfTheCaller:
    """A session that goes through a proxy goes through it wherever a redirect leads."""

    @pytest.fixture
    async def away(self, origin: Origin) -> AsyncIterator[Origin]:
        """Another origin, which everything is redirected to."""
        async with Origin() as other:
            other.add("/f", SIZE)
            origin.add("/f", SIZE)
            origin.script(Fault(redirect=other.url("/f"), close=True))
            yield other

    async def test_its_own_proxy(self, origin: Origin, away: Origin) -> None:
        """With the password that the session knows, and none of its headers on the way."""
        async with Proxy(credentials="user:right") as proxy:
            session = aiohttp.ClientSession(proxy=proxy.url("user:right"), headers={"X-Own": SECRET})
            async with session, transport(session=session) as over:
                answer = await ask(over, origin.url("/f"))

            assert CONTENT.read(0, 100) == answer.body
            assert [origin.url("/f"), away.url("/f")] == [seen.target for seen in proxy.seen]
            assert [[SECRET], []] == [seen.headers.all("X-Own") for seen in proxy.seen]

    async def test_proxy_of_the_environment(
        self, origin: Origin, away: Origin, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Where the session trusts the environment, and whatever the options say of it."""
        monkeypatch.setenv("HTTP_PROXY", proxy.url())
        async with aiohttp.ClientSession(trust_env=True) as session, transport(session=session) as over:
            await ask(over, origin.url("/f"))

        assert [origin.url("/f"), away.url("/f")] == [seen.target for seen in proxy.seen]

    @pytest.mark.filterwarnings("ignore::DeprecationWarning")  # aiohttp wants such logins in headers
    async def test_who_asks_is_said_once(self, origin: Origin) -> None:
        """A session's login and a header of the caller's cannot both be sent."""
        origin.add("/f", SIZE)
        login = aiohttp.BasicAuth("user", SECRET)
        async with aiohttp.ClientSession(auth=login) as session, transport(session=session) as over:
            with pytest.raises(OptionsError, match="give one of them") as caught:
                await ask(over, origin.url("/f"), headers=(("Authorization", SECRET),))

        assert SECRET not in words_of(caught.value)
        assert [] == origin.ledger.requests
