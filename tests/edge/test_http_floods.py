"""Servers that send without end where nobody measures: bounded in memory and in time, and an error with a name."""

from __future__ import annotations

import asyncio
import gzip
import subprocess
import sys
import time
import tracemalloc
import zlib
from pathlib import Path

import pytest

from asyncdl.errors import ResponseMismatchError, StallError, TransferError
from asyncdl.model import SignedUrl
from asyncdl.options import Timeouts
from asyncdl.rules.urls import origin_of
from tests.support.http import PATIENT, QUICK, SECRET, Answer, Bare, answering, ask, transport, words_of
from tests.support.stopwatch import Stopwatch

MIB = 1 << 20
HEAD = b"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-99/300000\r\n"
#: Seconds after which a test has failed: only what hangs takes so long.
BOUND = 100.0
pytestmark = pytest.mark.usefixtures("no_leaks")


def endless(start: bytes, piece: bytes) -> Bare:
    """A server that sends `start`, and then `piece` after `piece` for as long as anybody takes them."""

    async def serve(bare: Bare, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await bare.head(reader)
        writer.write(start)
        while True:
            writer.write(piece)
            await writer.drain()

    return Bare(serve)


async def fault_of(server: Bare, timeouts: Timeouts = PATIENT, stop: int | None = None) -> TransferError:
    """What a request ends in; with a bound on what is held meanwhile, by us and by the server in the same process."""
    tracemalloc.start()
    try:
        async with transport(timeouts=timeouts) as over, asyncio.timeout(BOUND):
            with pytest.raises(TransferError) as caught:
                await ask(over, server.url(), 0, stop)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 16 * MIB
    assert SECRET not in words_of(caught.value)
    return caught.value


@pytest.mark.parametrize(
    ("start", "piece"),
    [
        (HEAD + b"X: ", b"a" * 65536),
        (HEAD, b"X-Some: value\r\n" * 1000),
        (HEAD, b"Set-Cookie: c=v; Path=/; Max-Age=99999999\r\n" * 1000),
        (HEAD, b"\r\n".join([b"X-%d: %s" % (number, b"v" * 8000) for number in range(8)]) + b"\r\n"),
        (HEAD + b"X: a\r\n", b" folded\r\n" * 1000),
        (HEAD, b"X" * 65536),
        (b"HTTP/1.1 206 ", b"a" * 65536),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 1000),
        (b"", b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\nSet-Cookie: c=v\r\n\r\n" * 500),
        (b"", b"HTTP/1.1 102 Processing\r\nX: " + b"a" * 8000 + b"\r\n\r\n"),
    ],
    ids=["one field", "fields", "cookies", "large fields", "folds", "a name", "the reason", "100", "103", "102"],
)
async def test_endless_headers(start: bytes, piece: bytes) -> None:
    """At full speed, whatever never ends before the body is cut off long before the time is up."""
    async with endless(start, piece) as server:
        error = await fault_of(server)

    # When the time is up, it is another error.
    assert (ResponseMismatchError, True) == (type(error), error.retryable)


@pytest.mark.parametrize(
    ("start", "piece"), [(b"", b"\r\n" * 30_000), (b"", b"\n" * 60_000)], ids=["empty lines", "line feeds"]
)
async def test_endless_nothing(start: bytes, piece: bytes) -> None:
    """What a parser skips before a status line has `response` seconds."""
    async with endless(start, piece) as server:
        error = await fault_of(server, QUICK)

    assert isinstance(error, StallError | ResponseMismatchError)


@pytest.mark.parametrize("count", [20, 21], ids=["so many", "one more"])
async def test_interim_responses(count: int) -> None:
    """As many as anybody has use for are read, on each connection anew; one more is a flood."""
    final = b"HTTP/1.1 206 P\r\nContent-Length: 5\r\n\r\nhello"
    interim = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" * count
    async with answering(interim + final, stay=True) as server, transport() as over:
        for _ in range(3):
            if count == 20:
                assert b"hello" == (await ask(over, server.url(), 0, 5)).body
            else:
                with pytest.raises(ResponseMismatchError, match="more than 20 interim responses"):
                    await ask(over, server.url(), 0, 5)

        assert (1 if count == 20 else 3) == server.accepted


@pytest.mark.parametrize(
    "pieces",
    [
        [HEAD, *(bytes([byte]) for byte in b"X-Slow: " + b"a" * 10_000)],
        [b"HTTP/1.1 100 Continue\r\n\r\n", *(bytes([byte]) for byte in b"HTTP/1.1 103 Early Hints\r\n\r\n" * 100)],
        [bytes([byte]) for byte in b"HTTP/1.1 206 " + b"a" * 10_000],
    ],
    ids=["field", "interim", "reason"],
)
async def test_byte_by_byte(pieces: list[bytes]) -> None:
    """A drip of header bytes has `response` seconds altogether: a byte that arrives buys no time."""
    async with answering(*pieces, pause=0.02, stay=True) as server:
        began = time.monotonic()
        async with Stopwatch() as watch:
            error = await fault_of(server, QUICK)

    assert (StallError, True) == (type(error), error.retryable)
    assert QUICK.response <= time.monotonic() - began
    assert watch.seconds < QUICK.response + 2


@pytest.mark.parametrize(
    "piece",
    [b"X-Some: value\r\n" * 1000, b"X: " + b"a" * 65536],
    ids=["many", "one"],
)
async def test_endless_trailers(piece: bytes) -> None:
    """Fields after the last chunk are counted like those before the first."""
    async with endless(HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n", piece) as server:
        error = await fault_of(server)

    assert error.retryable
    assert not isinstance(error, StallError)


@pytest.mark.parametrize(
    "piece", [b"1\r\na\r\n" * 10_000, b"1;" + b"x" * 5000 + b"\r\na\r\n"], ids=["tiny", "extended"]
)
async def test_endless_chunks(piece: bytes) -> None:
    """A body in the smallest of chunks holds no more memory than another, and what is beyond the part stays out."""
    async with endless(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", piece) as server:
        tracemalloc.start()
        try:
            async with transport() as over, asyncio.timeout(BOUND):
                answer = await ask(over, server.url(), 0, 20_000)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()

    assert b"a" * 20_000 == answer.body
    assert peak < 48 * MIB


async def test_endless_chunk_extension() -> None:
    """An extension that never ends brings no byte: the wait for one is bounded by whoever waits."""
    async with endless(HEAD + b"Transfer-Encoding: chunked\r\n\r\n5;", b"x" * 65536) as server, transport() as over:
        url = SignedUrl(server.url())
        async with over.open(url, 0, None, headers=(), home=origin_of(url.url)) as response:
            body = response.body(0, None)
            with pytest.raises((TimeoutError, TransferError)):
                async with asyncio.timeout(0.5):
                    await body.receive()

    assert 0 == body.received


def bomb(coding: str, size: int = 64 * MIB) -> bytes:
    """`size` zero bytes, as small as the coding makes them."""
    return gzip.compress(bytes(size)) if coding == "gzip" else zlib.compress(bytes(size))


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
@pytest.mark.parametrize("status", [200, 206, 301, 403, 500])
async def test_bomb(coding: str, status: int) -> None:
    """A coded body is never decoded, whatever the status: as data, as words of a refusal, on a redirect."""
    body = bomb(coding)
    fields = f"Content-Encoding: {coding}\r\nContent-Length: {len(body)}\r\n".encode()
    location = b"Location: /elsewhere\r\n" if status == 301 else b""
    head = b"HTTP/1.1 %d X\r\n" % status
    answer: Answer | None = None
    tracemalloc.start()
    try:
        async with answering(head + fields + location + b"\r\n" + body, stay=True) as server, transport() as over:
            if status == 301:
                with pytest.raises(ResponseMismatchError, match="redirects"):
                    await ask(over, server.url(), 0, len(body))
            else:
                answer = await ask(over, server.url(), 0, len(body))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    if answer is not None:
        assert (status, body if status < 300 else body[: 1 << 16]) == (answer.status, answer.body)
    assert peak < 8 * MIB


SCRIPT = """
import asyncio, resource, sys
from asyncdl.edge.http import AiohttpTransport
from asyncdl.errors import TransferError
from asyncdl.model import SignedUrl
from asyncdl.options import Options, Timeouts
from asyncdl.rules.urls import origin_of

async def main(url):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    over = AiohttpTransport(Options(use_environment=False), Timeouts(connect=60, response=60))
    for _ in range(3):
        try:
            async with asyncio.timeout(60), over.open(SignedUrl(url), 0, None, headers=(), home=origin_of(url)) as got:
                body = got.body(0, None)
                while await body.receive():
                    pass
        except TransferError as error:
            print(type(error).__name__)
    await over.aclose()
    print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) >> 10)

asyncio.run(main(sys.argv[1]))
"""


@pytest.mark.parametrize(
    ("start", "piece"),
    [
        (HEAD, b"Set-Cookie: c=v; Path=/\r\n" * 1000),
        (HEAD + b"X: ", b"a" * 65536),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 1000),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"X-Some: value\r\n" * 1000),
    ],
    ids=["cookies", "one field", "100", "trailers"],
)
async def test_resident_memory(start: bytes, piece: bytes) -> None:
    """In a process of its own, a flood costs a few MiB of resident memory, and the errors are ours."""
    async with endless(start, piece) as server:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", SCRIPT, server.url(), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            cwd=Path(__file__).parents[2],
        )  # fmt: skip
        async with asyncio.timeout(BOUND + 20):
            out, err = await process.communicate()
    *errors, grown = out.decode().split()

    assert (0, b"") == (process.returncode, err)
    assert {"ResponseMismatchError"} | {"ConnectError"} >= set(errors)
    assert 3 == len(errors)
    assert int(grown) < 24
