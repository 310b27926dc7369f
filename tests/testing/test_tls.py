"""Certificates and handshakes of the test kit: each is as bad as its name says, and in that way only."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import sys
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from asyncdl.errors import OptionsError
from asyncdl.testing import Fault, Origin
from asyncdl.testing.tls import KINDS, LOCAL, Authority, BrokenHandshake
from tests.support.rawclient import BOUND, ask, request_bytes

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("no_leaks")

#: kind -> what OpenSSL says of it (X509_verify_cert_error_string(3)).
REFUSED = {
    "self-signed": "self-signed certificate",
    "expired": "certificate has expired",
    "not-yet-valid": "certificate is not yet valid",
    "wrong-host": "IP address mismatch",
    "wrong-usage": "unsuitable certificate purpose",
    "unknown-authority": "unable to get local issuer certificate",
}


@pytest.fixture(scope="module")
def authority() -> Authority:
    """One authority for all."""
    return Authority()


@pytest.fixture(scope="module")
def contexts(authority: Authority) -> dict[str, ssl.SSLContext]:
    """A server context of each kind."""
    return {kind: authority.context(kind) for kind in KINDS}


@pytest.fixture(scope="module")
def trusting(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    """A client that believes the authority and nobody else."""
    return ssl.create_default_context(cafile=authority.ca_file(tmp_path_factory.mktemp("tls") / "ca.pem"))


def test_every_kind_is_tested() -> None:
    """Two kinds are believed, all others are in the table."""
    assert {"good", "no-close-notify", *REFUSED} == set(KINDS)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "localhost"])
async def test_good(contexts: dict[str, ssl.SSLContext], trusting: ssl.SSLContext, host: str) -> None:
    """A good certificate is good for every name of this machine."""
    async with Origin(ssl=contexts["good"], host=host) as origin:
        content = origin.add("/f", 1000)
        reply = await ask(origin.url("/f"), ssl=trusting)

        assert content.read(0, 1000) == reply.body


async def test_good_for_any_name(authority: Authority, trusting: ssl.SSLContext) -> None:
    """Further names can be asked for; the certificate names the local ones as well."""
    context = await asyncio.to_thread(authority.context, "good", "files.example")
    async with Origin(ssl=context) as origin:
        reader, writer = await asyncio.open_connection(
            origin.host, origin.port, ssl=trusting, server_hostname="files.example"
        )
        names = writer.get_extra_info("peercert")["subjectAltName"]
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()

    # OpenSSL writes IPv6 addresses in full.
    assert {*LOCAL, "files.example"} - {"::1"} == {name for _, name in names} - {"0:0:0:0:0:0:0:1"}
    assert reader.at_eof()


@pytest.mark.parametrize("kind", REFUSED)
async def test_bad(contexts: dict[str, ssl.SSLContext], trusting: ssl.SSLContext, kind: str) -> None:
    """A bad certificate is refused for the reason that gave it its name, and no request is sent."""
    async with Origin(ssl=contexts[kind]) as origin:
        with pytest.raises(ssl.SSLCertVerificationError) as caught:
            await ask(origin.url("/f"), ssl=trusting)

        assert [] == origin.ledger.requests
    assert REFUSED[kind] in caught.value.verify_message


@pytest.mark.parametrize("kind", sorted(REFUSED))
async def test_bad_is_otherwise_good(contexts: dict[str, ssl.SSLContext], kind: str) -> None:
    """Who checks nothing gets the object: but for its one fault the certificate works."""
    careless = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    careless.check_hostname = False
    careless.verify_mode = ssl.CERT_NONE
    async with Origin(ssl=contexts[kind]) as origin:
        content = origin.add("/f", 100)
        reply = await ask(origin.url("/f"), ssl=careless)

    assert content.read(0, 100) == reply.body


def test_no_such_kind(authority: Authority) -> None:
    """An unknown kind is named together with those there are."""
    unknown: Any = "stale"
    with pytest.raises(OptionsError, match="'stale'; there are good, self-signed"):
        authority.context(unknown)


def test_authority_file(authority: Authority, tmp_path: Path) -> None:
    """The file is one PEM certificate, at the path given."""
    path = authority.ca_file(tmp_path / "ca.pem")

    assert tmp_path / "ca.pem" == path
    assert 1 == path.read_text().count("BEGIN CERTIFICATE")
    assert "PRIVATE" not in path.read_text()


@pytest.mark.parametrize(("kind", "said"), [("good", True), ("no-close-notify", False)])
async def test_close_notify(
    contexts: dict[str, ssl.SSLContext], trusting: ssl.SSLContext, kind: str, said: bool
) -> None:
    """A body that ends with the connection is followed by a close_notify, or by nothing but the end of TCP."""
    async with Origin(ssl=contexts[kind]) as origin:
        content = origin.add("/f", 100_000)
        origin.script(Fault(no_length=True))
        raw, notified = await asyncio.wait_for(asyncio.to_thread(read_blocking, origin.url("/f"), trusting), BOUND)

    assert raw.endswith(content.read(0, 100_000))
    assert said is notified


def read_blocking(url: str, context: ssl.SSLContext) -> tuple[bytes, bool]:
    """All that comes, and whether TLS said that this was all; asyncio does not tell."""
    import socket

    raw, split = bytearray(), urlsplit(url)
    with (
        socket.create_connection((split.hostname, split.port or 443), timeout=BOUND) as plain,
        context.wrap_socket(plain, server_hostname=split.hostname, suppress_ragged_eofs=False) as secure,
    ):
        secure.sendall(request_bytes(split.path, {}))
        try:
            while data := secure.recv(1 << 16):
                raw += data
        except ssl.SSLEOFError:
            return bytes(raw), False
    return bytes(raw), True


@pytest.mark.parametrize(
    ("how", "error"), [("reset", ConnectionError), ("close", ConnectionError), ("plain", ssl.SSLError)]
)
async def test_broken_handshake(how: Any, error: type[OSError], trusting: ssl.SSLContext) -> None:
    """The handshake fails at once."""
    async with BrokenHandshake(how) as server:
        with pytest.raises(error):
            await ask(server.url(), ssl=trusting)

        assert 1 == server.connections


@pytest.mark.parametrize(("how", "end"), [("reset", "reset"), ("close", "fin"), ("plain", "fin")])
async def test_end_of_a_broken_handshake(how: Any, end: str) -> None:
    """The connection ends as asked for, after the client has spoken."""
    async with BrokenHandshake(how) as server:
        reply = await ask(server.url())

    assert end == reply.end
    assert ({"plain": 400}.get(how, 0), b"") == (reply.status, reply.body)


async def test_silent_handshake(trusting: ssl.SSLContext) -> None:
    """Nothing comes while the client waits; the server sees it leave, and leaves nothing behind."""
    async with BrokenHandshake("silence") as server:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await ask(server.url(), ssl=trusting)

        assert 1 == server.connections


async def test_silent_server_ends_with_its_block() -> None:
    """A client that stays is hung up on when the server ends."""
    async with BrokenHandshake("silence") as server:
        reader, writer = await asyncio.open_connection(server.host, server.port)
        writer.write(b"hello")
    async with asyncio.timeout(BOUND):
        with pytest.raises(ConnectionResetError):
            await reader.read()
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


def test_without_trustme(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who lacks trustme is told what to install."""
    import importlib

    monkeypatch.setitem(sys.modules, "trustme", None)
    monkeypatch.delitem(sys.modules, "asyncdl.testing.tls")
    with pytest.raises(ImportError, match="pip install trustme"):
        importlib.import_module("asyncdl.testing.tls")
