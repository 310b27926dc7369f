"""TLS: whom we believe, what we say when we do not, and that nobody goes on without."""

from __future__ import annotations

import asyncio
import datetime as dt
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import trustme

from asyncdl.edge.environment import trust_store
from asyncdl.errors import ConnectError, OptionsError, ResponseMismatchError, TransferError
from asyncdl.testing import Content, Fault, Origin
from tests.support.http import QUICK, SECRET, ask, transport, words_of

SIZE = 100_000
CONTENT = Content(1, SIZE)
pytestmark = pytest.mark.usefixtures("no_leaks")


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """A certificate authority that nobody knows."""
    return trustme.CA()


@pytest.fixture(scope="module")
def ca_file(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its certificate, as a file."""
    path = tmp_path_factory.mktemp("tls") / "ca.pem"
    authority.cert_pem.write_to_path(path)
    return path


@asynccontextmanager
async def served(authority: trustme.CA, *names: str, expired: bool = False) -> AsyncIterator[Origin]:
    """An https origin with a certificate for these names."""
    until = dt.datetime(2020, 1, 1, tzinfo=dt.UTC) if expired else None
    certificate = authority.issue_cert(*(names or ("127.0.0.1",)), not_after=until)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    certificate.configure_cert(context)
    async with Origin(ssl=context) as origin:
        origin.add("/f", SIZE)
        yield origin


async def refused(origin: Origin, **options: Any) -> TransferError:
    """What a request ends in; it is clean."""
    async with transport(**options) as over:
        with pytest.raises(TransferError) as caught:
            await ask(over, f"{origin.url('/f')}?X-Signature={SECRET}")

    assert SECRET not in words_of(caught.value)
    return caught.value


async def test_authority_given(authority: trustme.CA, ca_file: Path) -> None:
    """With the authority's file the object comes, over one connection."""
    async with served(authority) as origin, transport(ca_file=ca_file) as over:
        answers = [await ask(over, origin.url("/f"), at, at + 1000) for at in (0, 1000, 2000)]

        assert CONTENT.read(0, 3000) == b"".join(answer.body for answer in answers)
        assert 1 == origin.ledger.connections


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl to compute a certificate's hash")
async def test_authority_from_a_directory(authority: trustme.CA, ca_file: Path, tmp_path: Path) -> None:
    """A directory of hashed certificates will do (openssl-rehash(1)); an empty one trusts nobody."""
    command = ["openssl", "x509", "-hash", "-noout", "-in", str(ca_file)]
    name = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    (tmp_path / "full").mkdir()
    (tmp_path / "empty").mkdir()
    (tmp_path / "full" / f"{name}.0").write_bytes(ca_file.read_bytes())
    async with served(authority) as origin:
        async with transport(ca_file=tmp_path / "full") as over:
            answer = await ask(over, origin.url("/f"))
        error = await refused(origin, ca_file=tmp_path / "empty")

    assert (CONTENT.read(0, 100), False) == (answer.body, error.retryable)


@pytest.mark.parametrize("case", ["unknown", "another name", "expired"])
async def test_not_trusted(authority: trustme.CA, ca_file: Path, case: str) -> None:
    """A certificate that is no proof ends the matter at once, with the reason and a way out."""
    names = ("example.test",) if case == "another name" else ()
    async with served(authority, *names, expired=case == "expired") as origin:
        error = await refused(origin, **({} if case == "unknown" else {"ca_file": ca_file}))

        assert [] == origin.ledger.requests
    assert (ConnectError, False) == (type(error), error.retryable)
    assert error.message.startswith("TLS certificate refused: ")
    expected = {"unknown": "unable to get local issuer", "another name": "mismatch", "expired": "expired"}
    assert expected[case] in error.message
    assert "--cacert" in str(error.hint)


@pytest.mark.parametrize("kind", ["missing", "no certificate", "garbage", "empty name"])
async def test_file_that_cannot_be_used(authority: trustme.CA, tmp_path: Path, kind: str) -> None:
    """An authority's file that says nothing is the caller's mistake; nobody is asked, and nobody else trusted."""
    path = tmp_path / "ca.pem"
    if kind == "no certificate":
        path.write_text("# nothing here\n")
    elif kind == "garbage":
        path.write_text("-----BEGIN CERTIFICATE-----\nxxxx\n-----END CERTIFICATE-----\n")
    async with served(authority) as origin, transport(ca_file="" if kind == "empty name" else path) as over:
        with pytest.raises(OptionsError) as caught:
            await ask(over, origin.url("/f"))

        assert 0 == origin.ledger.connections
    assert "cannot use the CA file" in str(caught.value)


async def test_file_is_looked_at_for_http_too(origin: Origin, tmp_path: Path) -> None:
    """A mistake in its name shows at once, not when a redirect leads to https."""
    origin.add("/f", SIZE)
    async with transport(ca_file=tmp_path / "missing") as over:
        with pytest.raises(OptionsError, match="missing"):
            await ask(over, origin.url("/f"))


async def test_loaded_once(authority: trustme.CA, ca_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests that start together share one store, and so their connections can be used again."""
    loads: list[object] = []

    def counted(*arguments: Any, **named: Any) -> ssl.SSLContext:
        loads.append(arguments)
        return trust_store(*arguments, **named)

    monkeypatch.setattr("asyncdl.edge.http_connections.trust_store", counted)
    async with served(authority) as origin, transport(ca_file=ca_file) as over:
        await asyncio.gather(*(ask(over, origin.url("/f")) for _ in range(4)))
        before = origin.ledger.connections
        await asyncio.gather(*(ask(over, origin.url("/f")) for _ in range(4)))

        assert (1, before) == (len(loads), origin.ledger.connections)


async def test_from_the_environment(authority: trustme.CA, ca_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bundle that the environment names is believed, unless the environment is switched off."""
    monkeypatch.setenv("SSL_CERT_FILE", str(ca_file))
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    monkeypatch.delenv("CURL_CA_BUNDLE", raising=False)
    async with served(authority) as origin:
        async with transport(use_environment=True) as over:
            answer = await ask(over, origin.url("/f"))
        error = await refused(origin, use_environment=False)

    assert (CONTENT.read(0, 100), False) == (answer.body, error.retryable)


async def test_no_way_down(authority: trustme.CA, ca_file: Path, origin: Origin) -> None:
    """A redirect from https to http is refused, and the http server never asked."""
    origin.add("/g", SIZE)
    async with served(authority) as secure:
        secure.script(Fault(redirect=f"{origin.url('/g')}?{SECRET}"))
        error = await refused(secure, ca_file=ca_file)

    assert (ResponseMismatchError, False) == (type(error), error.retryable)
    assert "https to http" in error.message
    assert 0 == origin.ledger.connections


async def test_up_is_allowed(authority: trustme.CA, ca_file: Path, origin: Origin) -> None:
    """From http to https is a way many sites send people; what was given for http stays there."""
    origin.add("/g", SIZE)
    async with served(authority) as secure, transport(ca_file=ca_file) as over:
        origin.script(Fault(redirect=secure.url("/f")))
        answer = await ask(over, origin.url("/g"), headers=(("Authorization", "Bearer t"),))

        assert CONTENT.read(0, 100) == answer.body
        assert [] == secure.ledger.headers_seen("Authorization")


async def test_plain_server() -> None:
    """Https to a server that answers in plain is a connection that cannot be made."""

    def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server, transport() as over:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(ConnectError) as caught:
            await ask(over, f"https://127.0.0.1:{port}/f?{SECRET}")

    assert SECRET not in words_of(caught.value)


async def test_tls_server_asked_in_plain(authority: trustme.CA) -> None:
    """Http to a server that speaks TLS is no response."""
    async with served(authority) as origin, transport(timeouts=QUICK) as over:
        with pytest.raises(TransferError) as caught:
            await ask(over, origin.url("/f").replace("https:", "http:") + f"?{SECRET}")

    assert SECRET not in words_of(caught.value)


async def test_silent_handshake(origin: Origin) -> None:
    """A server that accepts and never answers the handshake has `connect` seconds."""
    origin.add("/f", SIZE)
    async with transport(timeouts=QUICK) as over, asyncio.timeout(100):
        with pytest.raises(TransferError) as caught:
            # In plain, it waits for the end of a request that never comes.
            await ask(over, f"{origin.url('/f').replace('http:', 'https:')}?{SECRET}")

    assert caught.value.retryable
    assert SECRET not in words_of(caught.value)


@pytest.mark.parametrize("fault", [Fault(drop_after=70_000), Fault(reset_after=70_000)], ids=["close", "reset"])
async def test_broken_body(authority: trustme.CA, ca_file: Path, fault: Fault) -> None:
    """A body that breaks over TLS is a broken connection too."""
    async with served(authority) as origin:
        origin.script(fault)
        async with transport(ca_file=ca_file) as over:
            with pytest.raises(ConnectError) as caught:
                await ask(over, origin.url("/f"), 0, SIZE)

    assert caught.value.retryable


@pytest.mark.parametrize("option", [True, False])
async def test_session(authority: trustme.CA, ca_file: Path, option: bool) -> None:
    """A caller's session decides whom it trusts, unless the option says otherwise."""
    trusting = ssl.create_default_context(cafile=ca_file)
    connector = aiohttp.TCPConnector() if option else aiohttp.TCPConnector(ssl=trusting)
    async with (
        served(authority) as origin,
        aiohttp.ClientSession(connector=connector) as session,
        transport(session=session, ca_file=ca_file if option else None) as over,
    ):
        answer = await ask(over, origin.url("/f"))

    assert CONTENT.read(0, 100) == answer.body
