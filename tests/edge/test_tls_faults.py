"""TLS that goes wrong: handshakes that break or stall, certificates that prove nothing, ends that may be a cut."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal, get_args

import aiohttp
import pytest

import asyncdl
from asyncdl.errors import ConnectError, TransferError
from asyncdl.testing import Content, Fault, Origin
from asyncdl.testing.tls import Authority, BrokenHandshake, Kind
from tests.support.http import QUICK, SECRET, Bare, ask, transport, words_of
from tests.support.stopwatch import Stopwatch

SIZE = 100_000
CONTENT = Content(1, SIZE)
NOBODY: dict[Kind, str] = {
    "self-signed": "self",
    "expired": "expired",
    "not-yet-valid": "not yet valid",
    "wrong-host": "mismatch",
    "wrong-usage": "purpose",
    "unknown-authority": "issuer",
}
#: Seconds after which a test has failed: only what hangs takes so long.
BOUND = 100.0
How = Literal["reset", "close", "silence", "plain"]
pytestmark = pytest.mark.usefixtures("no_leaks")


@pytest.fixture(scope="module")
def authority() -> Authority:
    """Whose certificates are believed."""
    return Authority()


@pytest.fixture(scope="module")
def ca_file(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its own, as a file."""
    return authority.ca_file(tmp_path_factory.mktemp("tls") / "ca.pem")


@asynccontextmanager
async def served(authority: Authority, kind: Kind, begun: list[object] | None = None) -> AsyncIterator[Origin]:
    """An https origin with such a certificate; each handshake that is begun is added to `begun`."""
    context = await asyncio.to_thread(authority.context, kind)
    if begun is not None:
        context.sni_callback = lambda *_: begun.append(kind)
    async with Origin(ssl=context) as origin:
        origin.add("/f", SIZE)
        yield origin


@pytest.mark.parametrize("how", get_args(How))
async def test_handshake_that_breaks(how: How, ca_file: Path) -> None:
    """Reset, closed, silent or in plain: a connection that may be made another time, within `connect`."""
    async with (
        BrokenHandshake(how) as server,
        transport(timeouts=QUICK, ca_file=ca_file) as over,
        asyncio.timeout(BOUND),
        Stopwatch() as watch,
    ):
        with pytest.raises(ConnectError) as caught:
            await ask(over, f"{server.url('/f')}?X-Signature={SECRET}")

    assert caught.value.retryable
    assert watch.seconds < QUICK.connect + 2
    assert SECRET not in words_of(caught.value)


@pytest.mark.parametrize(("kind", "words"), NOBODY.items(), ids=NOBODY)
async def test_certificate_that_proves_nothing(authority: Authority, ca_file: Path, kind: Kind, words: str) -> None:
    """The matter ends at the first handshake, and the words say what is wrong with it."""
    begun: list[object] = []
    async with served(authority, kind, begun) as origin, transport(ca_file=ca_file) as over:
        with pytest.raises(ConnectError) as caught:
            await ask(over, f"{origin.url('/f')}?X-Signature={SECRET}")

        assert (0, [kind]) == (len(origin.ledger.requests), begun)
    assert not caught.value.retryable
    assert caught.value.message.startswith("TLS certificate refused: ")
    assert words in caught.value.message
    assert SECRET not in words_of(caught.value)


@pytest.mark.parametrize("kind", NOBODY)
async def test_nobody_is_asked_for_another_url(authority: Authority, ca_file: Path, tmp_path: Path, kind: Kind) -> None:
    """A whole download: one connection, no retry, no renewal of the URL, no file."""
    asked: list[object] = []
    begun: list[object] = []
    async with served(authority, kind, begun) as origin:

        async def provider(rejected: asyncdl.SignedUrl | None) -> str:
            asked.append(rejected)
            return origin.url("/f")

        with pytest.raises(ConnectError, match="certificate refused"):
            await asyncdl.download(
                provider,
                tmp_path / "f",
                options=asyncdl.Options(ca_file=ca_file, use_environment=False),
                retry=asyncdl.Retry(base=0.001),
            )

    assert ([kind], [None]) == (begun, asked)
    assert [] == list(tmp_path.iterdir())


async def test_trust_does_not_stick(authority: Authority, ca_file: Path) -> None:
    """A server believed under one download's authority is not believed under another's, connections or not."""
    async with served(authority, "good") as origin, aiohttp.ClientSession() as session:
        async with transport(session=session, ca_file=ca_file) as over:
            answer = await ask(over, origin.url("/f"))
        async with transport(session=session) as over:
            with pytest.raises(ConnectError) as caught:
                await ask(over, origin.url("/f"))

        assert (CONTENT.read(0, 100), 1) == (answer.body, len(origin.ledger.requests))
    assert not caught.value.retryable


async def test_session_that_believes_everybody(authority: Authority) -> None:
    """A session's `ssl=False` is its own: a download without that session checks certificates."""
    async with (
        served(authority, "self-signed") as origin,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=False)) as session,
    ):
        async with transport(session=session) as over:
            await ask(over, origin.url("/f"))
        async with transport() as over:
            with pytest.raises(ConnectError, match="certificate refused"):
                await ask(over, origin.url("/f"))


@pytest.mark.parametrize("kind", ["good", "no-close-notify"])
async def test_end_that_is_a_cut(authority: Authority, ca_file: Path, kind: Kind) -> None:
    """Where only the end of the connection ends a body, it proves nothing about a part: a missing byte is missing."""
    async with served(authority, kind) as origin, transport(ca_file=ca_file) as over:
        origin.script(Fault(no_length=True, drop_after=50))
        with pytest.raises(ConnectError) as caught:
            await ask(over, origin.url("/f"), 0, 100)

    assert caught.value.retryable


async def test_end_without_a_goodbye(authority: Authority, ca_file: Path) -> None:
    """A body that is complete by its length needs no close_notify."""
    async with served(authority, "no-close-notify") as origin, transport(ca_file=ca_file) as over:
        origin.script(Fault(close=True))
        answer = await ask(over, origin.url("/f"))

    assert CONTENT.read(0, 100) == answer.body


async def test_nothing_in_common(authority: Authority, ca_file: Path) -> None:
    """A server with which no common ciphers are found is no connection."""
    context = await asyncio.to_thread(authority.context)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("AES128-SHA")  # without forward secrecy; Python's client contexts have none of those
    async with Origin(ssl=context) as origin, transport(ca_file=ca_file) as over:
        with pytest.raises(TransferError) as caught:
            await ask(over, origin.url("/f"))

    assert isinstance(caught.value, ConnectError)


@pytest.mark.parametrize("drip", [1, 16], ids=["byte by byte", "by sixteen"])
async def test_handshake_in_drops(drip: int, ca_file: Path) -> None:
    """A server that sends its hello for ever, a little at a time, has `connect` seconds like any other."""
    record = b"\x16\x03\x03\x40\x00\x02\x00\x3f\xfc\x03\x03" + bytes(1 << 14)

    async def serve(_: Bare, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1 << 14)
        for at in range(0, len(record), drip):
            writer.write(record[at : at + drip])
            await writer.drain()
            await asyncio.sleep(0.01)

    async with Bare(serve) as server, transport(timeouts=QUICK, ca_file=ca_file) as over, Stopwatch() as watch:
        with pytest.raises(ConnectError) as caught:
            await ask(over, server.url("https"))

    assert caught.value.retryable
    assert watch.seconds < QUICK.connect + 2
