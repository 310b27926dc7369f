"""How an origin takes connections: not at all, in silence, from several addresses; and how TLS is cut off."""

from __future__ import annotations

import asyncio
import socket
import ssl

import pytest
import trustme

from asyncdl.testing import Fault, Origin, deaf_port
from tests.support.rawclient import BOUND, ask, connected, read_reply, request_bytes


def contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's and a client's side of TLS for 127.0.0.1."""
    authority = trustme.CA()
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("127.0.0.1").configure_cert(server)
    authority.configure_trust(client)
    return server, client


async def test_refusing() -> None:
    """Meanwhile nobody gets in, who is in stays, and afterwards the port is the same."""
    async with Origin() as origin:
        origin.add("/f", 10)
        port = origin.port
        async with connected(origin.base_url) as (reader, writer):
            writer.write(request_bytes("/f", {}))
            before = await read_reply(reader)
            async with origin.refusing():
                with pytest.raises(ConnectionRefusedError):
                    await asyncio.open_connection("127.0.0.1", port)
                writer.write(request_bytes("/f", {}))
                during = await read_reply(reader)
        after = await ask(origin.url("/f"))

    assert [200] * 3 == [reply.status for reply in (before, during, after)]
    assert port == origin.port


async def test_refusing_again_and_for_good() -> None:
    """It can be done twice, inside itself, and be left by closing the origin."""
    async with Origin() as origin:
        origin.add("/f", 10)
        for _ in range(2):
            async with origin.refusing(), origin.refusing():
                with pytest.raises(ConnectionRefusedError):
                    await asyncio.open_connection("127.0.0.1", origin.port)
            assert 200 == (await ask(origin.url("/f"))).status
        await origin._listener.refuse()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", origin.port)


@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
async def test_silent(tls: bool) -> None:
    """A silent origin accepts, reads, and never says a word, not even of TLS."""
    async with Origin(silent=True, ssl=contexts()[0] if tls else None) as origin:
        origin.add("/f", 10)
        reader, writer = await asyncio.open_connection("127.0.0.1", origin.port)
        writer.write(b"\x16\x03\x01 or anything else")
        await origin.ledger.until(lambda: origin.ledger.open_connections == 1)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await reader.read(1)
        writer.close()
        await writer.wait_closed()
        await origin.ledger.until(lambda: origin.ledger.open_connections == 0)

        assert origin.base_url.startswith("https:" if tls else "http:")
    assert [] == origin.ledger.requests


async def test_silence_for_a_while() -> None:
    """Connections made meanwhile stay silent, those made before and after do not."""
    async with Origin() as origin:
        origin.add("/f", 10)
        async with connected(origin.base_url) as (reader, writer):
            async with origin.silence():
                during = await ask(origin.url("/f"), patience=0.1)
                writer.write(request_bytes("/f", {}))
                before = await read_reply(reader)
            after = await ask(origin.url("/f"))

    assert ["silence", "open", "fin"] == [reply.end for reply in (during, before, after)]
    assert [0, 200, 200] == [reply.status for reply in (during, before, after)]


async def test_deaf_port() -> None:
    """Nobody ever answers a connection attempt."""
    async with deaf_port() as (host, port):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await asyncio.open_connection(host, port)

    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(host, port)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "::1", "localhost"])
async def test_hosts(host: str) -> None:
    """Each address is a host of its own, with its own URLs and its own ledger."""
    try:
        other = await Origin(host=host).__aenter__()
    except OSError:
        pytest.skip(f"this machine has no {host}")
    async with other, Origin(host="127.0.0.3", port=0 if ":" in host else other.port) as origin:
        for server in (origin, other):
            server.add("/f", 5)
        seen = [len((await ask(url)).body) for url in (other.presign("/f", ttl=60), origin.url("/f"))]

        assert f"http://[{host}]:" if ":" in host else f"http://{host}:" in other.base_url
        assert ([5, 5], 1, 1) == (seen, len(other.ledger.requests), len(origin.ledger.requests))


async def test_nothing_waits_for_an_acknowledgement() -> None:
    """Nagle's algorithm is off: the last bytes of a response do not wait until the client has taken those before."""
    async with Origin() as origin, connected(origin.base_url):
        await origin.ledger.until(lambda: origin.ledger.open_connections == 1)
        (connection,) = origin._listener._open
        accepted = connection._writer.get_extra_info("socket")

        assert 0 != accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


async def test_port_in_use() -> None:
    """A port that somebody listens on is an error at once, and leaves nothing open."""
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OSError, match="in use"):
        async with Origin(port=taken.getsockname()[1]):
            pass


@pytest.mark.parametrize("announced", [True, False], ids=["close", "half-close"])
async def test_end_of_tls(announced: bool) -> None:
    """Over TLS an ordinary end says so by close_notify; half a close is a truncation (RFC 8446 section 6.1)."""
    server, client = contexts()
    async with Origin(ssl=server) as origin:
        content = origin.add("/f", 3 << 20)
        origin.script(Fault(no_length=True, half_close=not announced))
        # The standard library's blocking socket tells a truncation from an end; asyncio does not.
        answer, truncated = await asyncio.to_thread(read_to_the_end, origin.port, client)

    assert content.read(0, 3 << 20) == answer.partition(b"\r\n\r\n")[2]
    assert truncated is not announced


def read_to_the_end(port: int, context: ssl.SSLContext) -> tuple[bytes, bool]:
    """The answer to a request for `/f`, and whether TLS was cut off."""
    answer = bytearray()
    with (
        socket.create_connection(("127.0.0.1", port), timeout=BOUND) as raw,
        context.wrap_socket(raw, server_hostname="127.0.0.1", suppress_ragged_eofs=False) as connection,
    ):
        connection.sendall(request_bytes("/f", {"Connection": "close"}))
        try:
            while data := connection.recv(1 << 16):
                answer += data
        except ssl.SSLEOFError:
            return bytes(answer), True
    return bytes(answer), False


async def test_whoever_was_just_let_in_is_not_left_hanging(origin: Origin, no_leaks: object) -> None:
    """Refusing in the very turn of the loop in which a connection was accepted keeps no socket open for ever."""
    with socket.create_connection((origin.host, origin.port), timeout=2) as client:
        for _ in range(2):
            await asyncio.sleep(0)
        async with origin.refusing():
            pass
        await origin.aclose()

        assert b"" == client.recv(1)
