"""Proxies that answer CONNECT with anything but a tunnel: a typed error in bounded time, and nothing told to them."""

from __future__ import annotations

import asyncio
import base64
import ssl
from pathlib import Path

import pytest
import trustme

from asyncdl.errors import ConnectError, OptionsError, ResponseMismatchError, TransferError
from asyncdl.model import SignedUrl
from asyncdl.options import Options, Timeouts
from asyncdl.testing import Content, Origin
from tests.support.http import PATIENT, QUICK, SECRET, Bare, answering, ask, transport, words_of
from tests.support.proxy import Proxy
from tests.support.stopwatch import Stopwatch

SIZE = 10_000
CONTENT = Content(1, SIZE)
#: Seconds after which a test has failed: only what hangs takes so long.
BOUND = 100.0
WORDS = b"<html>no</html>"
LENGTH = b"Content-Length: %d\r\n" % len(WORDS)
CHUNKED = b"Transfer-Encoding: chunked\r\n"
pytestmark = pytest.mark.usefixtures("no_leaks")

#: Answers to CONNECT, each the end of it: what is not 200 is no tunnel (RFC 9110 section 9.3.6).
REFUSALS = {
    "407 and both lengths": (
        b"HTTP/1.1 407 Auth\r\nProxy-Authenticate: Basic realm=x\r\n"
        + LENGTH
        + CHUNKED
        + b"\r\n5\r\nhello\r\n0\r\n\r\n"
    ),
    "407 and a body": b"HTTP/1.1 407 Auth\r\nProxy-Authenticate: Basic realm=x\r\n" + LENGTH + b"\r\n" + WORDS,
    "407 without an end": b"HTTP/1.1 407 Auth\r\n\r\n" + WORDS * 1000,
    "redirect": b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
    "201": b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n",
    "204": b"HTTP/1.1 204 No Content\r\n\r\n",
    "101": b"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
    "garbage": b"\x00\x01\x02" * 100 + b"\r\n\r\n",
    "ssh": b"SSH-2.0-OpenSSH_9.2\r\n",
    "nothing": b"",
    "half a head": b"HTTP/1.1 200 Conn",
    "flood of headers": b"HTTP/1.1 200 OK\r\n"
    + b"".join(b"X-%d: a\r\n" % number for number in range(10_000))
    + b"\r\n",
    "long header": b"HTTP/1.1 200 OK\r\nX: " + b"a" * 100_000 + b"\r\n\r\n",
    "lengths that differ": b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
    "200 and both lengths": b"HTTP/1.1 200 OK\r\n" + LENGTH + CHUNKED + b"\r\n5\r\nhello\r\n0\r\n\r\n",
    "200 and a body": b"HTTP/1.1 200 OK\r\n" + LENGTH + b"\r\n" + WORDS,
    "200 and plain HTTP": b"HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 206 OK\r\nContent-Length: 5\r\n\r\nhello",
    "1xx and then no": b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n",
}


@pytest.fixture(scope="module")
def ca_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An authority's certificate; its key and chain lie beside it."""
    authority, folder = trustme.CA(), tmp_path_factory.mktemp("tls")
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(folder / "server.pem")
    authority.cert_pem.write_to_path(folder / "ca.pem")
    return folder / "ca.pem"


def https_origin(ca_file: Path) -> Origin:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(ca_file.with_name("server.pem"))
    return Origin(ssl=context)


async def fault_of(proxy: Bare, *, timeouts: Timeouts = QUICK, most: float = QUICK.connect + 2) -> TransferError:
    """What a request through this proxy ends in; neither it nor the proxy gets to know what the request is for."""
    url = SignedUrl(f"https://user:{SECRET}@127.0.0.1:1/{SECRET}?X-Signature={SECRET}", headers=(("X-Url", SECRET),))
    headers = (("Authorization", SECRET), ("Cookie", SECRET), ("Proxy-Authorization", SECRET), ("X-Own", SECRET))
    async with (
        transport(timeouts=timeouts, proxy=f"http://127.0.0.1:{proxy.port}") as over,
        asyncio.timeout(BOUND),
        Stopwatch() as watch,
    ):
        with pytest.raises(TransferError) as caught:
            await ask(over, url, headers=headers)

    assert watch.seconds < most
    assert SECRET not in words_of(caught.value)
    # aiohttp asks once more by itself where a connection ends without an answer.
    assert {b"CONNECT 127.0.0.1:1 HTTP/1.1"} == {head.partition(b"\r\n")[0] for head in proxy.heads}
    assert SECRET.encode() not in b"".join(proxy.heads)
    assert base64.b64encode(f"user:{SECRET}".encode()) not in b"".join(proxy.heads)
    return caught.value


@pytest.mark.parametrize("answer", REFUSALS.values(), ids=REFUSALS)
@pytest.mark.parametrize("stay", [False, True], ids=["and leaves", "and stays"])
async def test_no_tunnel(answer: bytes, stay: bool) -> None:
    """Whatever it is, it ends in time, as a connection that could not be made or an answer that is none."""
    async with answering(answer, stay=stay) as proxy:
        error = await fault_of(proxy)

    assert isinstance(error, ConnectError | ResponseMismatchError)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 407, 451])
async def test_refused_for_good(status: int) -> None:
    """A proxy that says no will say so again, whatever it says it with."""
    answer = b"HTTP/1.1 %d No\r\n" % status + LENGTH + CHUNKED + b"\r\n5\r\nhello\r\n0\r\n\r\n"
    plain = b"HTTP/1.1 %d No\r\n" % status + LENGTH + b"\r\n" + WORDS
    for words in (plain, answer):
        async with answering(words, stay=True) as proxy:
            error = await fault_of(proxy, timeouts=PATIENT)
        if words is plain:
            assert (f"the proxy answered {status}", False) == (error.message, error.retryable)


@pytest.mark.parametrize(
    ("pieces", "pause"),
    [
        ([b""], 0.0),
        ([b"HTTP/1.1 200 OK\r\n"], 0.0),
        ([b"HTTP/1.1 200 OK\r\n", *[b"X: a\r\n"] * 500], 0.02),
        ([bytes([byte]) for byte in b"HTTP/1.1 200 Connection established\r\n" * 10], 0.02),
        ([b"HTTP/1.1 100 Continue\r\n\r\n"] * 500, 0.02),
        ([b"HTTP/1.1 200 OK\r\n\r\n"], 0.0),
    ],
    ids=["silence", "half a head", "header by header", "byte by byte", "one 100 after the other", "silent tunnel"],
)
async def test_stall(pieces: list[bytes], pause: float) -> None:
    """However the time is spent until the tunnel stands and TLS in it, it is `connect` seconds."""
    async with answering(*pieces, pause=pause, stay=True) as proxy:
        error = await fault_of(proxy)

    assert (ConnectError, True) == (type(error), error.retryable)


async def test_interim_responses_at_full_speed() -> None:
    """Ten thousand a second are no different."""

    async def flood(bare: Bare, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await bare.head(reader)
        while True:
            writer.write(b"HTTP/1.1 103 Early Hints\r\n\r\n" * 1000)
            await writer.drain()

    async with Bare(flood) as proxy:
        # The loop that reads the flood is the one that makes it here: a timer may be late.
        error = await fault_of(proxy, most=5)

    assert error.retryable


async def test_interim_response_first(ca_file: Path) -> None:
    """One that says to wait, and then opens the tunnel, is used."""
    async with https_origin(ca_file) as origin:
        origin.add("/f", SIZE)

        async def serve(bare: Bare, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await bare.head(reader)
            there_reader, there_writer = await asyncio.open_connection("127.0.0.1", origin.port)
            writer.write(b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\n\r\n")
            try:
                await asyncio.gather(_pump(reader, there_writer), _pump(there_reader, writer))
            finally:
                there_writer.close()

        async with (
            Bare(serve) as proxy,
            transport(proxy=f"http://127.0.0.1:{proxy.port}", ca_file=ca_file) as over,
        ):
            answer = await ask(over, origin.url("/f"))

    assert CONTENT.read(0, 100) == answer.body


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(1 << 16):
        writer.write(data)
        await writer.drain()
    writer.close()


async def test_what_it_gets_to_see(ca_file: Path) -> None:
    """Of an https request: where to connect to, and nothing else; not even who asks."""
    async with https_origin(ca_file) as origin, Proxy() as proxy:
        origin.add("/f", SIZE)
        headers = (("Authorization", "t"), ("Cookie", "c=d"), ("X-Own", "o"), ("Proxy-Authorization", "Basic eA=="))
        async with transport(proxy=proxy.url(), ca_file=ca_file, user_agent="me/1") as over:
            await ask(over, origin.url("/f"), headers=headers)
        sent = [origin.ledger.requests[0].headers.get(name) for name, _ in headers]

    assert [value for _, value in headers] == sent
    seen = {name.lower() for name, _ in proxy.seen[0].headers}
    assert set() == seen - {"host", "accept", "accept-encoding", "user-agent"}
    assert "me/1" != proxy.seen[0].headers.get("User-Agent")


@pytest.mark.parametrize(
    "proxy",
    ["http://h\r\nX-Evil: 1", "http://h:1\r\n", "http://h\0:1", "http://h:1/\nX: y", "http://us\ner@h:1", "h\t:1"],
)
async def test_line_end_in_its_url(proxy: str) -> None:
    """A proxy URL with a line end, a NUL or white space in it is refused, not cleaned."""
    with pytest.raises(OptionsError, match="proxy"):
        async with transport(proxy=proxy):
            pass


def test_repr_of_options_has_no_proxy() -> None:
    """It may name a password."""
    assert SECRET not in repr(Options(proxy=f"http://user:{SECRET}@h:1"))
