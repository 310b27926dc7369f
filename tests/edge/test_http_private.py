"""Redirects from public hosts to private addresses: refused at the address that is connected to, however it is named.

All servers of the tests are on loopback; here, 127.0.0.2 and 127.0.0.3 count as public.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp
import pytest

from asyncdl.edge.http import AiohttpTransport
from asyncdl.errors import ResponseMismatchError
from asyncdl.rules import addresses
from asyncdl.testing import Fault, Origin
from tests.support.http import SECRET, ask, transport, words_of
from tests.support.names import Names
from tests.support.proxy import Proxy

SIZE = 10_000
PUBLIC = {"127.0.0.2", "127.0.0.3"}
pytestmark = pytest.mark.usefixtures("no_leaks")


@pytest.fixture(autouse=True)
def addresses_of_the_internet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two of our own play the public Internet."""
    real = addresses.is_public
    monkeypatch.setattr(addresses, "is_public", lambda address: address in PUBLIC or real(address))


@pytest.fixture
async def public() -> AsyncIterator[Origin]:
    """A server of the public Internet."""
    async with Origin(seed=2, host="127.0.0.2") as running:
        running.add("/p", SIZE)
        yield running


@pytest.fixture
async def inside(origin: Origin) -> Origin:
    """A server that only this machine should reach."""
    origin.add("/f", SIZE)
    return origin


async def refused(over: AiohttpTransport, url: str) -> None:
    """The request ends as one that was led to a private address, with no word of where."""
    with pytest.raises(ResponseMismatchError, match="from a public host to a private address") as caught:
        await ask(over, url + f"?{SECRET}")

    assert not caught.value.retryable
    assert "--allow-private-redirects" in str(caught.value.hint)
    assert SECRET not in words_of(caught.value)


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.0.0.1.",
        "localhost",
        "LocalHost.",
        "x.localhost",
        "2130706433",
        "017700000001",
        "0x7f000001",
        "0x7f.1",
        "127.1",
        "0",
        "0.0.0.0",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "[fe80::1]",
        "169.254.169.254",
        "10.0.0.1",
        "\uff11\uff12\uff17.\uff10.\uff10.\uff11",
        "\u2460\u2461\u2466.1",
        "user@127.0.0.1",
        "127.0.0.2@127.0.0.1",
        "127.0.0.1:80@127.0.0.1",
    ],
)
async def test_spelt_out(public: Origin, inside: Origin, host: str) -> None:
    """In whatever form the address stands in the Location, it is refused before anything is sent."""
    as_bytes = host.encode().decode("latin-1")  # header fields are written in that
    public.script(Fault(redirect=f"http://{as_bytes}:{inside.port}/f"))
    async with transport() as over:
        await refused(over, public.url("/p"))

    assert 0 == inside.ledger.connections


async def test_behind_a_name(public: Origin, inside: Origin, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name is judged by its addresses."""
    names = Names({"inside.test": [["127.0.0.1"]]}).install(monkeypatch)
    public.script(Fault(redirect=f"http://inside.test:{inside.port}/f"))
    async with transport() as over:
        await refused(over, public.url("/p"))

    assert (0, ["inside.test"]) == (inside.ledger.connections, names.asked)


@pytest.mark.parametrize("order", [["127.0.0.1", "127.0.0.3"], ["127.0.0.3", "127.0.0.1"]])
async def test_some_of_its_addresses(
    public: Origin, inside: Origin, monkeypatch: pytest.MonkeyPatch, order: list[str]
) -> None:
    """Of several addresses only the public ones are tried."""
    Names({"both.test": [order]}).install(monkeypatch)
    public.script(Fault(redirect=f"http://both.test:{inside.port}/f"))
    async with Origin(seed=3, host="127.0.0.3", port=inside.port) as other, transport() as over:
        content = other.add("/f", SIZE)
        answer = await ask(over, public.url("/p"))

        assert (content.read(0, 100), 0) == (answer.body, inside.ledger.connections)


async def test_only_private_ones(public: Origin, inside: Origin, monkeypatch: pytest.MonkeyPatch) -> None:
    """Several private addresses are one refusal, of both families."""
    Names({"inside.test": [["127.0.0.1", "::1", "10.0.0.1", "fe80::1"]]}).install(monkeypatch)
    public.script(Fault(redirect=f"http://inside.test:{inside.port}/f"))
    async with transport() as over:
        await refused(over, public.url("/p"))

    assert 0 == inside.ledger.connections


async def test_name_that_changes(public: Origin, inside: Origin, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that was public once and is private at the next connection gains nothing (DNS rebinding)."""
    names = Names({"rebind.test": [["127.0.0.3"], ["127.0.0.1"]]}).install(monkeypatch)
    public.script(Fault(redirect=f"http://rebind.test:{inside.port}/f"))
    async with Origin(seed=3, host="127.0.0.3", port=inside.port) as other, transport() as over:
        other.add("/f", SIZE)
        other.script(Fault(close=True))
        answer = await ask(over, public.url("/p"))
        assert over._fenced is not None
        connector = over._fenced.connector
        assert isinstance(connector, aiohttp.TCPConnector)
        connector.clear_dns_cache()  # or the next question would wait for ten seconds
        await refused(over, public.url("/p"))

    assert (206, 0, ["rebind.test"] * 2) == (answer.status, inside.ledger.connections, names.asked)


async def test_connection_that_is_there(public: Origin, inside: Origin) -> None:
    """A connection that was opened to the same host when that was allowed is not used for it."""
    public.script(Fault(redirect=inside.url("/f")))
    async with transport() as over:
        await ask(over, inside.url("/f"))
        await refused(over, public.url("/p"))

    assert 1 == len(inside.ledger.requests)


async def test_by_way_of_another(public: Origin, inside: Origin) -> None:
    """One public host among several on the way is enough; a private beginning changes nothing."""
    inside.add("/start", SIZE)
    inside.script(Fault(path="/start", redirect=public.url("/p")))
    async with Origin(seed=3, host="127.0.0.3") as other, transport() as over:
        other.add("/q", SIZE)
        public.script(Fault(redirect=other.url("/q")))
        other.script(Fault(redirect=inside.url("/f")))
        await refused(over, inside.url("/start"))

    assert ["/start"] == [record.path for record in inside.ledger.requests]


async def test_public_to_public(public: Origin) -> None:
    """What most redirects do is not in the way, and its connections are used again."""
    async with Origin(seed=3, host="127.0.0.3") as other, transport() as over:
        content = other.add("/q", SIZE)
        public.script(Fault(redirect=other.url("/q")))
        answers = [await ask(over, public.url("/p")) for _ in range(3)]

        assert {content.read(0, 100)} == {answer.body for answer in answers}
        assert 1 == other.ledger.connections


@pytest.mark.parametrize("host", ["127.0.0.1", "inside.test"])
async def test_private_to_private(inside: Origin, monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    """A host of one's own network may lead to another one, whatever it is called."""
    Names({"inside.test": [["127.0.0.1"]]}).install(monkeypatch)
    async with Origin(seed=3, host="127.0.0.9") as other, transport() as over:
        content = other.add("/q", SIZE)
        inside.script(Fault(redirect=other.url("/q")))
        answer = await ask(over, f"http://{host}:{inside.port}/f")

    assert content.read(0, 100) == answer.body


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "inside.test"])
async def test_allowed(public: Origin, inside: Origin, monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    """Whoever means it can have it."""
    Names({"inside.test": [["127.0.0.1"]], "localhost": [["127.0.0.1"]]}).install(monkeypatch)
    public.script(Fault(redirect=f"http://{host}:{inside.port}/f"))
    async with transport(allow_private_redirects=True) as over:
        answer = await ask(over, public.url("/p"))

    assert (206, 1) == (answer.status, answer.hops)


async def test_own_url_is_not_judged(inside: Origin) -> None:
    """A private URL that the caller gave is the caller's business."""
    async with transport() as over:
        answer = await ask(over, inside.url("/f"))

    assert 206 == answer.status


@pytest.mark.parametrize("first", ["127.0.0.2", "public.test"])
async def test_over_a_proxy(public: Origin, inside: Origin, monkeypatch: pytest.MonkeyPatch, first: str) -> None:
    """A proxy resolves names by itself: what is spelt out is refused, and where it listens does not matter."""
    Names({"public.test": [["127.0.0.2"]], "inside.test": [["127.0.0.1"]]}).install(monkeypatch)
    start = f"http://{first}:{public.port}/p"
    async with Proxy() as proxy:  # it serves one request for each connection
        for host in ("127.0.0.1", "localhost"):
            public.script(Fault(redirect=f"http://{host}:{inside.port}/f", times=1))
            async with transport(proxy=proxy.url()) as over:
                await refused(over, start)
        public.script(Fault(redirect=f"http://inside.test:{inside.port}/f"))
        async with transport(proxy=proxy.url()) as over:
            answer = await ask(over, start)

    assert (206, 1) == (answer.status, len(inside.ledger.requests))


@pytest.mark.parametrize("first", ["127.0.0.2", "public.test"])
async def test_over_a_session(public: Origin, inside: Origin, monkeypatch: pytest.MonkeyPatch, first: str) -> None:
    """With a session of the caller's, which addresses it connects to is its connector's policy."""
    Names({"public.test": [["127.0.0.2"]], "inside.test": [["127.0.0.1"]]}).install(monkeypatch)
    start = f"http://{first}:{public.port}/p"
    async with aiohttp.ClientSession() as session, transport(session=session) as over:
        for host in ("127.0.0.1", "localhost", "0x7f.1"):
            public.script(Fault(redirect=f"http://{host}:{inside.port}/f", times=1))
            await refused(over, start)
        public.script(Fault(redirect=f"http://inside.test:{inside.port}/f"))
        answer = await ask(over, start)

    assert (206, 1) == (answer.status, len(inside.ledger.requests))


async def test_proxy_for_one_hop_only(public: Origin, inside: Origin, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where only some hosts are asked over a proxy, the others are judged by their addresses."""
    Names({"inside.test": [["127.0.0.1"]]}).install(monkeypatch)
    public.script(Fault(redirect=f"http://inside.test:{inside.port}/f"))
    async with Proxy() as proxy:
        monkeypatch.setenv("http_proxy", proxy.url())
        monkeypatch.setenv("no_proxy", "inside.test")
        async with transport(use_environment=True) as over:
            await refused(over, public.url("/p"))

    assert (1, 0) == (len(proxy.seen), inside.ledger.connections)
