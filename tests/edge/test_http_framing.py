"""Where a body ends: every way to get that wrong is an error or the right bytes, with either of aiohttp's parsers."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest
from aiohttp import client_proto, http_parser

from asyncdl.errors import ConnectError, IntegrityError, ResponseMismatchError, TransferError
from asyncdl.model import SignedUrl
from asyncdl.options import Timeouts
from asyncdl.rules.ranges import Accept, Asked, Mismatch, body_length, judge
from asyncdl.rules.urls import origin_of
from tests.support.http import SECRET, Bare, answering, ask, transport, words_of

DATA = b"hello"
#: Whether this process has aiohttp's parser in C; the other is tested by a second process.
IN_C = http_parser.HttpResponseParser is not http_parser.HttpResponseParserPy
#: Only what hangs takes so long.
PATIENCE = 60.0
TIMEOUTS = Timeouts(connect=PATIENCE, response=PATIENCE)
pytestmark = pytest.mark.usefixtures("no_leaks")


def raw(*fields: bytes, body: bytes = DATA, first: bytes = b"HTTP/1.1 206 Partial Content") -> bytes:
    """A response that claims the first five bytes of ten."""
    return b"\r\n".join((first, b"Content-Range: bytes 0-4/10", *fields, b"", body))


def chunked(body: bytes) -> bytes:
    return raw(b"Transfer-Encoding: chunked", body=body)


CHUNKS = b"5\r\nhello\r\n0\r\n\r\n"

#: Never data.
WRONG = {
    "negative": raw(b"Content-Length: -5"),
    "signed": raw(b"Content-Length: +5"),
    "words": raw(b"Content-Length: abc"),
    "nothing": raw(b"Content-Length: "),
    "hexadecimal": raw(b"Content-Length: 0x5"),
    "exponent": raw(b"Content-Length: 5e0"),
    "underscore": raw(b"Content-Length: 0_5"),
    "two numbers": raw(b"Content-Length: 5 5"),
    "list": raw(b"Content-Length: 5, 5"),
    "list that differs": raw(b"Content-Length: 5, 6"),
    "other digits": raw("Content-Length: \u0665".encode()),
    "two that differ": raw(b"Content-Length: 5", b"Content-Length: 6", body=b"hello!"),
    "two, the first too small": raw(b"Content-Length: 3", b"Content-Length: 5"),
    "2**63": raw(b"Content-Length: 9223372036854775808"),
    "2**64 - 1": raw(b"Content-Length: 18446744073709551615"),
    "2**64 + 5": raw(b"Content-Length: 18446744073709551621"),
    "5000 digits": raw(b"Content-Length: 1" + b"0" * 5000),
    "too small": raw(b"Content-Length: 4"),
    "too large": raw(b"Content-Length: 6"),
    "length and chunks": raw(b"Content-Length: 5", b"Transfer-Encoding: chunked", body=CHUNKS),
    "chunks and length": raw(b"Transfer-Encoding: chunked", b"Content-Length: 5", body=CHUNKS),
    "length and chunks, data of the length": raw(b"Content-Length: 5", b"Transfer-Encoding: chunked"),
    "gzip, chunked": raw(b"Transfer-Encoding: gzip, chunked", body=CHUNKS),
    "chunked, gzip": raw(b"Transfer-Encoding: chunked, gzip", body=CHUNKS),
    "chunked twice": raw(b"Transfer-Encoding: chunked, chunked", body=CHUNKS),
    "gzip and chunked": raw(b"Transfer-Encoding: gzip", b"Transfer-Encoding: chunked", body=CHUNKS),
    "chunked and gzip": raw(b"Transfer-Encoding: chunked", b"Transfer-Encoding: gzip", body=CHUNKS),
    "no coding of this world": raw(b"Transfer-Encoding: xchunked", body=CHUNKS),
    "a control character": raw(b"Transfer-Encoding: \x0bchunked", b"Content-Length: 5"),
    "a space before the colon": raw(b"Transfer-Encoding : chunked", b"Content-Length: 5"),
    "coded content": raw(b"Content-Encoding: gzip", b"Content-Length: 5"),
    "two ranges": raw(b"Content-Range: bytes 5-9/10", b"Content-Length: 5"),
    "NUL in a field": raw(b"Content-Length: 5", b"X: a\0b"),
    "CR in a field": raw(b"Content-Length: 5", b"X: a\rb"),
    "chunk size 0x5": chunked(b"0x5\r\nhello\r\n0\r\n\r\n"),
    "chunk size +5": chunked(b"+5\r\nhello\r\n0\r\n\r\n"),
    "chunk size -1": chunked(b"-1\r\nhello\r\n0\r\n\r\n"),
    "chunk size 0_5": chunked(b"0_5\r\nhello\r\n0\r\n\r\n"),
    "chunk size 2**64 + 5": chunked(b"10000000000000005\r\nhello\r\n0\r\n\r\n"),
    "chunk size of 50 digits": chunked(b"f" * 50 + b"\r\nhello\r\n0\r\n\r\n"),
    "no chunk size": chunked(b"\r\nhello\r\n0\r\n\r\n"),
    "chunk too long": chunked(b"4\r\nhello\r\n0\r\n\r\n"),
    "chunk too short": chunked(b"6\r\nhello\r\n0\r\n\r\n"),
    "more chunks than the part": chunked(b"5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n"),
    "no last chunk": chunked(b"5\r\nhello\r\n"),
    "half a last chunk": chunked(b"5\r\nhello\r\n0\r\n"),
    "no data": chunked(b"0\r\n\r\n"),
    "NUL in a trailer's name": chunked(b"5\r\nhello\r\n0\r\n\0X: a\r\n\r\n"),
    "status of four digits": raw(b"Content-Length: 5", first=b"HTTP/1.1 0206 P"),
    "no content": raw(b"Content-Length: 5", first=b"HTTP/1.1 204 No Content"),
    "another protocol": raw(b"Connection: upgrade", b"Upgrade: websocket", first=b"HTTP/1.1 101 S"),
}
#: The right bytes, or nothing.
RIGHT = {
    "a length": raw(b"Content-Length: 5"),
    "more than declared": raw(b"Content-Length: 5", body=b"hello!"),
    "zeros before it": raw(b"Content-Length: 005"),
    "chunks": chunked(CHUNKS),
    "small chunks": chunked(b"1\r\nh\r\n03;a=b\r\nell\r\n1\r\no\r\n000\r\n\r\n"),
    "the end of the connection": raw(),
    "two lengths that agree": raw(b"Content-Length: 5", b"Content-Length: 5"),
    "a length and identity": raw(b"Content-Length: 5", b"Transfer-Encoding: identity"),
    "a folded length": raw(b"Content-Length:\r\n 5"),
    "a folded field": raw(b"Content-Length: 5", b"X: a\r\n b"),
    "line feeds": raw(b"Content-Length: 5").replace(b"\r\n", b"\n"),
    "chunks with line feeds": chunked(CHUNKS.replace(b"\r\n", b"\n")),
    "a space after a chunk size": chunked(b"5 \r\nhello\r\n0\r\n\r\n"),
    "a space before a chunk size": chunked(b" 5\r\nhello\r\n0\r\n\r\n"),
    "NUL in a trailer": chunked(b"5\r\nhello\r\n0\r\nX: a\0b\r\n\r\n"),
    "a trailer that claims another range": chunked(b"5\r\nhello\r\n0\r\nContent-Range: bytes 7-9/10\r\n\r\n"),
    "HTTP/1.0": raw(b"Content-Length: 5", first=b"HTTP/1.0 206 P"),
    "HTTP/1.0 and chunks": raw(b"Transfer-Encoding: chunked", first=b"HTTP/1.0 206 P", body=CHUNKS),
    "HTTP/1.2": raw(b"Content-Length: 5", first=b"HTTP/1.2 206 P"),
}


async def taken(server: Bare, patience: float = PATIENCE) -> bytes:
    """The bytes of a part that the rules accept, read as the fetchers do, within so many seconds.

    Raises:
        TransferError: the transport's, or what the verdict comes to.
    """
    url = SignedUrl(server.url())
    data = bytearray()
    async with (
        transport(timeouts=TIMEOUTS) as over,
        asyncio.timeout(patience),
        over.open(url, 0, 5, headers=(), home=origin_of(url.url)) as response,
    ):
        verdict = judge(response.status, response.headers, Asked(0, 5))
        if isinstance(verdict, Mismatch):
            raise ResponseMismatchError(verdict.why)
        assert isinstance(verdict, Accept)
        assert (0, 5) == (verdict.part.start, verdict.part.stop)
        sized = body_length(response.headers) is not None
        body = response.body(0, 5 if sized else None)
        while (chunk := await body.receive()) is not None:
            data += chunk.data
    if len(data) != 5:
        raise IntegrityError("not the part")
    return bytes(data)


@pytest.mark.parametrize("pause", [0.0, 0.02], ids=["at once", "in pieces"])
@pytest.mark.parametrize("stay", [False, True], ids=["and leaves", "and stays"])
@pytest.mark.parametrize("name", WRONG)
async def test_wrong(name: str, pause: float, stay: bool) -> None:
    """None of these is data, however it arrives; every one ends."""
    response = WRONG[name]
    head, end, body = response.partition(b"\r\n\r\n")
    pieces = (head + end, body[:3], body[3:]) if pause else (response,)
    async with answering(*pieces, pause=pause, stay=stay) as server:
        with pytest.raises((TransferError, IntegrityError, TimeoutError)) as caught:
            await taken(server, 0.5 if stay and name in STILL_OWED else PATIENCE)

    if isinstance(caught.value, TimeoutError):
        # What a stall is, the fetchers' watch decides: here, a body that is still owed.
        assert stay
        assert name in STILL_OWED
    assert SECRET not in words_of(caught.value)


STILL_OWED = {
    "2**63",
    "2**64 - 1",
    "2**64 + 5",
    "too large",
    "chunk size 2**64 + 5",
    "chunk size of 50 digits",
    "chunk too short",
    "no last chunk",
    "half a last chunk",
}


@pytest.mark.parametrize("pause", [0.0, 0.02], ids=["at once", "in pieces"])
@pytest.mark.parametrize("name", RIGHT)
async def test_right_or_nothing(name: str, pause: float) -> None:
    """Odd, and readable in one way only: the five bytes, or an error, and never any others."""
    response = RIGHT[name]
    cut = response.index(b"h" if b"hello" not in response else b"hello")
    pieces = (response[:cut], response[cut : cut + 2], response[cut + 2 :]) if pause else (response,)
    async with answering(*pieces, pause=pause) as server:
        try:
            assert DATA == await taken(server)
        except (ConnectError, ResponseMismatchError):
            assert name in MAY_BE_REFUSED


#: What one of aiohttp's parsers does not take.
MAY_BE_REFUSED = {
    "more than declared",
    "two lengths that agree",
    "a length and identity",
    "chunks with line feeds",
    "a space before a chunk size",
    "NUL in a trailer",
    "HTTP/1.2",
}


async def test_what_arrives_on_an_idle_connection() -> None:
    """A response that nobody asked for is not the answer to the next request: the connection is not used again."""
    first = raw(b"Content-Length: 5")
    smuggled = b"HTTP/1.1 206 P\r\nContent-Range: bytes 5-9/10\r\nContent-Length: 5\r\n\r\nWRONG"
    idle, sent = asyncio.Event(), asyncio.Event()

    async def serve(bare: Bare, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not await bare.head(reader):
            return
        if bare.accepted > 1:
            writer.write(first.replace(b"0-4", b"5-9").replace(DATA, b"right"))
            await writer.drain()
            return
        writer.write(first)
        await idle.wait()
        writer.write(smuggled)
        await writer.drain()
        sent.set()
        await bare.head(reader)

    async with Bare(serve) as server, transport() as over:
        assert DATA == (await ask(over, server.url(), 0, 5)).body
        idle.set()
        await sent.wait()
        await asyncio.sleep(0.05)  # it is on its way; nothing announces that our side has it
        answer = await ask(over, server.url(), 5, 10)

    assert (b"right", 2) == (answer.body, server.accepted)


async def test_first_word_is_the_servers() -> None:
    """A server that speaks before it is asked has not answered; nobody goes on connecting to it."""

    async def serve(bare: Bare, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.test ESMTP\r\n")
        await writer.drain()
        await bare.head(reader)

    async with Bare(serve) as server, transport(timeouts=TIMEOUTS) as over:
        with pytest.raises(TransferError) as caught:
            await ask(over, server.url())

    assert caught.value.retryable
    assert server.accepted <= 2


@pytest.mark.parametrize("broken", [b"banana", b"HTTP/1.1 206 P\r\nContent-Length: x", b"HTTP/1.1 206 P\r\nX: a\0b"])
@pytest.mark.parametrize(
    "parser", [http_parser.HttpResponseParser, http_parser.HttpResponseParserPy], ids=["usual", "in Python"]
)
async def test_what_follows_a_broken_head(monkeypatch: pytest.MonkeyPatch, parser: type, broken: bytes) -> None:
    """Behind a head that is no HTTP nothing is an answer, however good it looks and whatever came before."""
    monkeypatch.setattr(client_proto, "HttpResponseParser", parser)
    head = b"HTTP/1.1 100 Continue\r\n\r\n" + broken + b"\r\n\r\n"
    async with answering(head + raw(b"Content-Length: 5")) as server:
        with pytest.raises(ResponseMismatchError, match="not HTTP"):
            await taken(server)


async def test_body_that_is_taken_for_empty() -> None:
    """A stream that has nothing and says so at once, at every call, does not hang the loop."""
    async with answering(raw(b"Content-Length: 18446744073709551615"), stay=True) as server, transport() as over:
        async with asyncio.timeout(PATIENCE):
            try:
                assert b"" == (await ask(over, server.url(), 0, None)).body if IN_C else True
            except (TransferError, TimeoutError):
                assert not IN_C


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.skipif(not IN_C, reason="this is the process with the other parser")
async def test_with_the_parser_in_python(pytestconfig: pytest.Config) -> None:
    """Everything here, and the other faults of HTTP, once more with aiohttp's pure-Python parser."""
    here = Path(__file__)
    files = (here, here.with_name("test_http_faults.py"))
    way = f"--receive={pytestconfig.getoption('receive')}"
    command = (sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", way, *map(str, files))
    process = await asyncio.create_subprocess_exec(
        *command,
        env=os.environ | {"AIOHTTP_NO_EXTENSIONS": "1"},
        cwd=pytestconfig.rootpath,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    async with asyncio.timeout(800):
        out, _ = await process.communicate()

    assert 0 == process.returncode, out.decode()[-4000:]
