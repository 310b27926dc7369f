"""Which of the two receive paths a body takes: pooled buffers where they can be had, the plain way everywhere else."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from pathlib import Path

import aiohttp
import pytest

from asyncdl.edge.http_pooled import PooledBody
from asyncdl.edge.stream import StreamBody
from asyncdl.edge.transport import Body, Transport
from asyncdl.model import SignedUrl
from asyncdl.options import Options
from asyncdl.rules.urls import origin_of
from asyncdl.testing import Content, Fault, Origin
from asyncdl.testing.tls import Authority
from tests.support.bodies import BOUND, CONTENT, Parts, drained, handler_of, until
from tests.support.http import transport
from tests.support.proxy import Proxy
from tests.support.receiving import receive_by_default

#: More than comes in one read with the head.
SIZE = 3 << 20
CHUNK = 65536


@pytest.fixture
def context(authority: Authority) -> ssl.SSLContext:
    """A server's certificate."""
    return authority.context()


async def taken(over: Transport, origin: Origin, start: int = 0, stop: int | None = SIZE) -> tuple[type[Body], bytes]:
    """How the body of a part was received, and its bytes."""
    url = SignedUrl(origin.url("/f"))
    async with (
        asyncio.timeout(BOUND),
        over.open(url, start, stop, headers=(), home=origin_of(url.url)) as response,
    ):
        body = response.body(start, stop)
        return type(body), b"".join([data async for data in drained(body, start, CHUNK)])


@pytest.mark.usefixtures("no_leaks")
class TestPooled:
    """Everywhere our own connections are."""

    async def test_plain_connection(self, origin: Origin) -> None:
        """Many parts over one connection."""
        content = origin.add("/f", SIZE)
        async with transport(pooled_buffers=True, chunk_size=CHUNK) as over:
            for start in (0, 1, 100_003):
                assert (PooledBody, content.read(start, SIZE)) == await taken(over, origin, start)

        assert 1 == origin.ledger.connections

    async def test_tls(self, context: ssl.SSLContext, ca_file: Path) -> None:
        """The same, encrypted."""
        async with (
            Origin(ssl=context) as origin,
            transport(pooled_buffers=True, chunk_size=CHUNK, ca_file=ca_file) as over,
        ):
            content = origin.add("/f", SIZE)
            for start in (0, 1, 100_003):
                assert (PooledBody, content.read(start, SIZE)) == await taken(over, origin, start)

            assert 1 == origin.ledger.connections

    async def test_proxy(self, origin: Origin) -> None:
        """A proxy that is asked for the whole URL."""
        content = origin.add("/f", SIZE)
        async with Proxy() as proxy, transport(pooled_buffers=True, chunk_size=CHUNK, proxy=proxy.url()) as over:
            assert (PooledBody, content.read(0, SIZE)) == await taken(over, origin)

        assert ["GET"] == [seen.method for seen in proxy.seen]

    async def test_tunnel(self, context: ssl.SSLContext, ca_file: Path) -> None:
        """A proxy that passes on what it cannot read, over one tunnel for all parts."""
        async with (
            Origin(ssl=context) as origin,
            Proxy() as proxy,
            transport(pooled_buffers=True, chunk_size=CHUNK, ca_file=ca_file, proxy=proxy.url()) as over,
        ):
            content = origin.add("/f", SIZE)
            for start in (0, 1):
                assert (PooledBody, content.read(start, SIZE)) == await taken(over, origin, start)

            assert ["CONNECT"] == [seen.method for seen in proxy.seen]

    async def test_whole_object(self, origin: Origin) -> None:
        """A 200 is a body of known length too."""
        content = origin.add("/f", SIZE)
        origin.script(Fault(ignore_range=True))
        async with transport(pooled_buffers=True, chunk_size=CHUNK) as over:
            assert (PooledBody, content.read(0, SIZE)) == await taken(over, origin)


@pytest.mark.usefixtures("no_leaks")
class TestPlain:
    """Where something is not as it would have to be."""

    async def test_switched_off(self, origin: Origin) -> None:
        """By the options."""
        content = origin.add("/f", SIZE)
        async with transport(pooled_buffers=False, chunk_size=CHUNK) as over:
            assert (StreamBody, content.read(0, SIZE)) == await taken(over, origin)

    @pytest.mark.parametrize("pooled", [True, False])
    async def test_session_of_the_callers(self, origin: Origin, pooled: bool) -> None:
        """Its connections are not ours to change."""
        content = origin.add("/f", SIZE)
        async with (
            aiohttp.ClientSession() as session,
            transport(session=session, pooled_buffers=pooled, chunk_size=CHUNK) as over,
        ):
            assert (StreamBody, content.read(0, SIZE)) == await taken(over, origin)

    @pytest.mark.parametrize(
        "fault", [Fault(chunked=True), Fault(no_length=True), Fault(length=f"0{SIZE}")], ids=["chunks", "none", "odd"]
    )
    async def test_framing(self, origin: Origin, fault: Fault) -> None:
        """A body whose end is for the parser to find."""
        content = origin.add("/f", SIZE)
        origin.script(fault)
        async with transport(pooled_buffers=True, chunk_size=CHUNK) as over:
            assert (StreamBody, content.read(0, SIZE)) == await taken(over, origin)

    @pytest.mark.parametrize("extra", [1, 100_000])
    async def test_length_of_another_part(self, origin: Origin, extra: int) -> None:
        """What is declared is longer than what is taken."""
        content = origin.add("/f", SIZE + extra)
        origin.script(Fault(longer=extra))
        async with transport(pooled_buffers=True, chunk_size=CHUNK) as over:
            assert (StreamBody, content.read(0, SIZE)) == await taken(over, origin)

    async def test_no_stop(self, origin: Origin) -> None:
        """To wherever it ends."""
        content = origin.add("/f", SIZE)
        async with transport(pooled_buffers=True, chunk_size=CHUNK) as over:
            assert (StreamBody, content.read(5, SIZE)) == await taken(over, origin, 5, None)

    async def test_all_there(self) -> None:
        """A body that came with its head has nothing left to be received; the connection is used again."""
        async with Parts(ahead=1000) as server, transport(pooled_buffers=True) as over:
            for start in (0, 1000):
                assert CONTENT.read(start, start + 1000) == await server.fetched(over, start, start + 1000, StreamBody)

            assert 1 == server.accepted

    @pytest.mark.parametrize("name", ["_payload", "_parser", "_payload_parser", "_upgraded", "_tail"])
    async def test_another_aiohttp(self, name: str) -> None:
        """Whatever of its internals it has by another name."""
        async with (
            Parts() as server,
            transport(pooled_buffers=True, chunk_size=CHUNK) as over,
            server.asked(over, 3, SIZE) as (response, gate),
        ):
            handler = handler_of(response)
            value = getattr(handler, name)
            delattr(handler, name)
            body = response.body(3, SIZE)
            setattr(handler, name, value)  # aiohttp itself needs it
            gate.set()

            assert StreamBody is type(body)
            assert CONTENT.read(3, SIZE) == b"".join([data async for data in drained(body, 3, CHUNK)])

    @pytest.mark.parametrize(
        ("name", "value"),
        [("asked", False), ("_payload", None), ("_parser", None), ("_payload_parser", object()), ("_tail", b"x")],
    )
    async def test_not_as_expected(self, name: str, value: object) -> None:
        """Or has it, and means something else by it."""
        async with (
            Parts() as server,
            transport(pooled_buffers=True, chunk_size=CHUNK) as over,
            server.asked(over, 3, SIZE) as (response, gate),
        ):
            handler = handler_of(response)
            before = getattr(handler, name)
            setattr(handler, name, value)
            body = response.body(3, SIZE)
            setattr(handler, name, before)
            gate.set()

            assert StreamBody is type(body)
            assert CONTENT.read(3, SIZE) == b"".join([data async for data in drained(body, 3, CHUNK)])

    async def test_connection_lost_before(self) -> None:
        """What had come is aiohttp's to give."""
        async with (
            Parts(ahead=1000) as server,
            transport(pooled_buffers=True, chunk_size=CHUNK) as over,
            server.asked(over, 3, SIZE) as (response, _),
        ):
            handler = handler_of(response)
            assert handler.transport is not None
            handler.transport.abort()
            await until(lambda: handler.transport is None)
            body = response.body(3, SIZE)

            assert StreamBody is type(body)
            chunk = await body.receive()
            assert chunk is not None
            assert CONTENT.read(3, 1003) == chunk.data


def test_uvloop() -> None:
    """Another event loop does not ask for buffers, and the bytes are right all the same."""
    uvloop = pytest.importorskip("uvloop", reason="uvloop is an extra")

    async def main() -> tuple[type[Body], bytes]:
        async with Origin() as origin, transport(pooled_buffers=True, chunk_size=CHUNK) as over:
            origin.add("/f", SIZE)
            return await taken(over, origin)

    assert (StreamBody, Content(1, SIZE).read(0, SIZE)) == uvloop.run(main())


class TestOfTheRun:
    """What `pytest --receive` does."""

    def test_options(self, pytestconfig: pytest.Config) -> None:
        """Options that do not say have the way of this run."""
        assert (pytestconfig.getoption("receive") == "pooled") == Options().pooled_buffers

    async def test_bodies(self, pytestconfig: pytest.Config, origin: Origin, no_leaks: object) -> None:
        """So have the bodies."""
        content = origin.add("/f", SIZE)
        expected = {"pooled": PooledBody, "plain": StreamBody}[pytestconfig.getoption("receive")]
        async with transport(chunk_size=CHUNK) as over:
            assert (expected, content.read(0, SIZE)) == await taken(over, origin)

    @pytest.mark.parametrize("pooled", [True, False])
    def test_default(self, pooled: bool) -> None:
        """It is the default that is changed, and nothing but that; and it can be undone."""
        before = Options()
        restore: Callable[[], None] = receive_by_default(pooled=pooled)
        try:
            assert (pooled, True) == (Options().pooled_buffers, Options(pooled_buffers=True).pooled_buffers)
            assert Options(pooled_buffers=False) == Options(pooled_buffers=False, connections=before.connections)
        finally:
            restore()

        assert before == Options()
