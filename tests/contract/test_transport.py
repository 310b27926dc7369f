"""What every transport promises: run against aiohttp with a real server, and against the scripted stand-in."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Protocol

import pytest

from asyncdl.edge.http import AiohttpTransport
from asyncdl.edge.transport import Body, Response, Transport
from asyncdl.errors import ConnectError, StallError
from asyncdl.model import SignedUrl
from asyncdl.options import Options, Timeouts
from asyncdl.rules.urls import Origin as UrlOrigin
from asyncdl.rules.urls import origin_of
from asyncdl.testing import Content, Fault, Origin
from tests.support.fakes import Call, Reply, ScriptedTransport, honest

SIZE = 100_000
CHUNK = 4096
CONTENT = Content(1, SIZE)
#: Seconds; longer than anything here takes, short enough to wait for once.
PATIENCE = 2.0


class Stage(Protocol):
    """A transport and a server that can be told how to behave next."""

    transport: Transport
    url: SignedUrl
    home: UrlOrigin

    def longer(self, extra: int) -> None: ...
    def breaks(self, after: int) -> None: ...
    def silent(self, after: int) -> None: ...
    def unanswered(self) -> None: ...
    def dropped(self) -> None: ...
    def refuses(self, status: int, words: bytes) -> None: ...
    def whole(self) -> None: ...
    def redirects(self) -> None: ...


class RealStage:
    """aiohttp and an origin on a socket."""

    def __init__(self, origin: Origin) -> None:
        self._origin = origin
        options = Options(chunk_size=CHUNK, use_environment=False)
        self.transport: Transport = AiohttpTransport(options, Timeouts(connect=PATIENCE, response=PATIENCE))
        self.url = SignedUrl(origin.url("/f"))
        self.home = origin_of(origin.base_url)

    def longer(self, extra: int) -> None:
        self._origin.script(Fault(extra=bytes(extra), no_length=True, times=1))

    def breaks(self, after: int) -> None:
        self._origin.script(Fault(drop_after=after, times=1))

    def silent(self, after: int) -> None:
        self._origin.script(Fault(stall_after=after, times=1))

    def unanswered(self) -> None:
        self._origin.script(Fault(stall_headers=True, times=1))

    def dropped(self) -> None:
        # aiohttp asks a second time on a new connection before it gives up.
        self._origin.script(Fault(raw=b"", times=2))

    def refuses(self, status: int, words: bytes) -> None:
        self._origin.script(Fault(status=status, body=words, times=1))

    def whole(self) -> None:
        self._origin.script(Fault(ignore_range=True, times=1))

    def redirects(self) -> None:
        self._origin.script(Fault(redirect="/f?2", times=1))


class ScriptedStage:
    """No network at all."""

    def __init__(self) -> None:
        self._bytes = CONTENT.read(0, SIZE)
        self._fake = ScriptedTransport(self._bytes, chunk_size=CHUNK, patience=PATIENCE)
        self.transport: Transport = self._fake
        self.url = SignedUrl("http://fake.test/f")
        self.home = origin_of(self.url.url)

    def _cut(self, call: Call, after: int, **end: object) -> Reply:
        reply = honest(self._bytes, call)
        body = b"".join(reply.pieces)[:after]
        return Reply(headers=reply.headers, pieces=(body,) if body else (), **end)  # type: ignore[arg-type]

    def longer(self, extra: int) -> None:
        self._fake.script(lambda call: Reply(pieces=(*honest(self._bytes, call).pieces, bytes(extra))))

    def breaks(self, after: int) -> None:
        self._fake.script(lambda call: self._cut(call, after, end="broken"))

    def silent(self, after: int) -> None:
        self._fake.script(lambda call: self._cut(call, after, end="silent"))

    def unanswered(self) -> None:
        self._fake.script(Reply(error=StallError("no response headers", retryable=True)))

    def dropped(self) -> None:
        self._fake.script(Reply(error=ConnectError("it broke", retryable=True)))

    def refuses(self, status: int, words: bytes) -> None:
        self._fake.script(Reply(status=status, pieces=(words,)))

    def whole(self) -> None:
        self._fake.script(
            lambda call: Reply(
                status=200, pieces=honest(self._bytes, Call(call.url, 0, None, call.headers, call.home)).pieces
            )
        )

    def redirects(self) -> None:
        self._fake.script(lambda call: Reply(hops=1, pieces=honest(self._bytes, call).pieces))


@pytest.fixture(params=["aiohttp", "scripted"])
async def stage(request: pytest.FixtureRequest, no_leaks: object) -> AsyncIterator[Stage]:
    """A stage of either kind; nothing of it is left afterwards."""
    if request.param == "scripted":
        yield ScriptedStage()
        return
    async with Origin() as origin:
        origin.add("/f", SIZE)
        real = RealStage(origin)
        yield real
        await real.transport.aclose()


async def drained(body: Body) -> bytes:
    """Everything that a body brings, with its places checked."""
    data = bytearray()
    first: int | None = None
    while (chunk := await body.receive()) is not None:
        first = chunk.offset if first is None else first
        assert first + len(data) == chunk.offset
        assert 0 < len(chunk.data) <= CHUNK
        data += chunk.data
        chunk.release()
        assert 0 == len(chunk.data)
    return bytes(data)


async def rest(body: Body, into: bytearray) -> None:
    """Take everything that still comes."""
    while (chunk := await body.receive()) is not None:
        into += chunk.data


async def fetched(stage: Stage, start: int, stop: int | None) -> bytes:
    """The bytes of one request."""
    async with stage.transport.open(stage.url, start, stop, headers=(), home=stage.home) as response:
        return await drained(response.body(start, stop))


@pytest.mark.parametrize(("start", "stop"), [(0, 1), (0, SIZE), (17, 40_017), (SIZE - 1, SIZE), (4096, 8192)])
async def test_a_range(stage: Stage, start: int, stop: int) -> None:
    """Exactly the bytes asked for, in order and without gaps, in chunks no larger than agreed."""
    assert CONTENT.read(start, stop) == await fetched(stage, start, stop)


async def test_to_wherever_it_ends(stage: Stage) -> None:
    """A body without a stop ends where the response does."""
    assert CONTENT.read(90_000, SIZE) == await fetched(stage, 90_000, None)


async def test_status_and_headers(stage: Stage) -> None:
    """Headers are found in any case, and before a byte of the body is read."""
    async with stage.transport.open(stage.url, 10, 20, headers=(), home=stage.home) as response:
        found = (response.status, response.headers.get("cOnTent-raNGe"), response.headers.get("absent"), response.hops)

    assert (206, f"bytes 10-19/{SIZE}", None, 0) == found


async def test_the_end_stays_the_end(stage: Stage) -> None:
    """After the last byte there is nothing, however often one asks; every byte was counted."""
    async with stage.transport.open(stage.url, 0, 9000, headers=(), home=stage.home) as response:
        body = response.body(0, 9000)
        await drained(body)

        assert [None, None] == [await body.receive(), await body.receive()]
        assert 9000 == body.received


async def test_nothing_counted_before_it_is_asked_for(stage: Stage) -> None:
    """Counting starts with the first byte taken."""
    async with stage.transport.open(stage.url, 0, 9000, headers=(), home=stage.home) as response:
        body = response.body(0, 9000)
        before = body.received
        chunk = await body.receive()

    assert chunk is not None
    assert 0 == before
    assert body.received >= chunk.stop


async def test_more_than_asked_for_is_cut(stage: Stage) -> None:
    """Not one byte beyond the range comes out."""
    stage.longer(5000)

    assert CONTENT.read(100, 10_100) == await fetched(stage, 100, 10_100)


@pytest.mark.parametrize("after", [0, 1, 5000, 9999])
async def test_a_body_that_breaks(stage: Stage, after: int) -> None:
    """What came before the break is handed out, then comes an error worth another try, again and again."""
    stage.breaks(after)
    data = bytearray()
    async with stage.transport.open(stage.url, 0, 10_000, headers=(), home=stage.home) as response:
        body = response.body(0, 10_000)
        for _ in range(2):
            with pytest.raises(ConnectError) as caught:
                await rest(body, data)

            assert caught.value.retryable
    assert CONTENT.read(0, after) == bytes(data)


async def test_a_body_without_a_stop_that_breaks(stage: Stage) -> None:
    """A missing stop does not make a broken body a complete one."""
    stage.breaks(5000)

    with pytest.raises(ConnectError):
        await fetched(stage, 0, None)


async def test_a_silent_body_can_be_left(stage: Stage) -> None:
    """Waiting for a byte ends when it is told to, and the transport works on."""
    stage.silent(100)
    async with stage.transport.open(stage.url, 0, 10_000, headers=(), home=stage.home) as response:
        body = response.body(0, 10_000)
        chunk = await body.receive()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.02):
                await body.receive()

    assert chunk is not None
    assert CONTENT.read(0, 100) == bytes(chunk.data)
    assert CONTENT.read(0, 10) == await fetched(stage, 0, 10)


async def test_a_body_is_left_unread(stage: Stage) -> None:
    """Nobody has to read a body; the next request gets its own."""
    async with stage.transport.open(stage.url, 0, SIZE, headers=(), home=stage.home):
        pass

    assert CONTENT.read(7, 77) == await fetched(stage, 7, 77)


async def test_an_error_inside_comes_out_as_it_is(stage: Stage) -> None:
    """What goes wrong while a response is held open is nobody's business but its holder's."""
    with pytest.raises(ZeroDivisionError):
        async with stage.transport.open(stage.url, 0, SIZE, headers=(), home=stage.home):
            raise ZeroDivisionError


async def test_no_answer(stage: Stage) -> None:
    """A server that never answers is given up within the bound, and may be asked again."""
    stage.unanswered()
    async with asyncio.timeout(PATIENCE * 5):
        with pytest.raises(StallError) as caught:
            await fetched(stage, 0, 10)

    assert caught.value.retryable


async def test_connection_dropped_before_the_answer(stage: Stage) -> None:
    """No answer at all is a connection that broke."""
    stage.dropped()
    with pytest.raises(ConnectError) as caught:
        await fetched(stage, 0, 10)

    assert caught.value.retryable


async def test_a_refusal(stage: Stage) -> None:
    """A refusal is a response like any other, its words cut where told."""
    stage.refuses(403, b"<Error>no</Error>" * 100)
    async with stage.transport.open(stage.url, 0, 10, headers=(), home=stage.home) as response:
        words = await response.excerpt(20)

    assert (403, b"<Error>no</Error><Er") == (response.status, words)


async def test_half_an_explanation(stage: Stage) -> None:
    """Words that break off are better than none."""
    stage.breaks(50)
    async with stage.transport.open(stage.url, 0, 100, headers=(), home=stage.home) as response:
        words = await response.excerpt(1000)

    assert CONTENT.read(0, 50) == words


async def test_an_explanation_that_never_ends(stage: Stage) -> None:
    """A server that goes quiet in the middle of its words does not hold anybody up."""
    stage.silent(50)
    async with (
        asyncio.timeout(PATIENCE * 5),
        stage.transport.open(stage.url, 0, 100, headers=(), home=stage.home) as response,
    ):
        words = await response.excerpt(1000)

    assert CONTENT.read(0, 50) == words


async def test_a_whole_object_for_a_range(stage: Stage) -> None:
    """The status says so; whoever takes the body says where it belongs."""
    stage.whole()
    async with stage.transport.open(stage.url, 500, 600, headers=(), home=stage.home) as response:
        data = await drained(response.body(0, SIZE))

    assert (200, CONTENT.read(0, SIZE)) == (response.status, data)


async def test_a_redirect_is_counted(stage: Stage) -> None:
    """A response tells how far it came."""
    stage.redirects()
    async with stage.transport.open(stage.url, 0, 100, headers=(), home=stage.home) as response:
        data = await drained(response.body(0, 100))

    assert (1, CONTENT.read(0, 100)) == (response.hops, data)


async def test_many_at_once(stage: Stage) -> None:
    """Responses that are open together do not mix."""
    spans = [(at, at + 5000) for at in range(0, SIZE, 5000)]
    bodies = await asyncio.gather(*(fetched(stage, *span) for span in spans))

    assert [CONTENT.read(*span) for span in spans] == bodies


async def test_cancelled_while_asking(stage: Stage) -> None:
    """A request that is cancelled is gone, as a cancellation and nothing else."""
    stage.silent(0)
    opened = asyncio.Event()

    async def hold() -> None:
        response: Response
        async with stage.transport.open(stage.url, 0, 100, headers=(), home=stage.home) as response:
            opened.set()
            await response.body(0, 100).receive()

    task = asyncio.create_task(hold())
    await opened.wait()
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task


async def test_closing_twice(stage: Stage) -> None:
    """Closing is over when it is over."""
    await fetched(stage, 0, 10)

    await stage.transport.aclose()
    await stage.transport.aclose()


async def test_no_limit_of_its_own(stage: Stage) -> None:
    """Nobody but the caller limits the number of connections."""
    assert stage.transport.connection_limit is None
