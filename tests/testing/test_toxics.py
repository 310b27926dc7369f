"""The TCP proxy of the test kit: every toxic over real sockets, in the direction it was given to, and nothing left."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from asyncdl.errors import OptionsError
from asyncdl.testing import Content, Fault, Origin
from asyncdl.testing.toxics import Toxic, Toxics
from tests.support.flow import PART, fetch, holds, small
from tests.support.rawclient import BOUND
from tests.support.stopwatch import Stopwatch

pytestmark = pytest.mark.usefixtures("no_leaks")

SIZE = 300_000
DATA = Content(1, SIZE).read(0, SIZE)


class Echo:
    """A server that sends back what it gets, and remembers how its connections ended.

    Attributes:
        received: bytes so far.
        ends: "fin" or "reset" for each connection that has ended.
    """

    def __init__(self) -> None:
        self.received = 0
        self.ends: asyncio.Queue[str] = asyncio.Queue()
        self.tasks: set[asyncio.Task[None]] = set()

    def accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(self.serve(reader, writer))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(1 << 16):
                self.received += len(data)
                writer.write(data)
                await writer.drain()
            self.ends.put_nowait("fin")
        except OSError:
            self.ends.put_nowait("reset")
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def ended(self) -> str:
        """How the next connection ended."""
        return await asyncio.wait_for(self.ends.get(), BOUND)


@asynccontextmanager
async def echoed(**options: Any) -> AsyncIterator[tuple[Toxics, Echo]]:
    """A proxy before an echo server."""
    echo = Echo()
    async with await asyncio.start_server(echo.accepted, "127.0.0.1", 0) as server:
        async with Toxics("127.0.0.1", server.sockets[0].getsockname()[1], **options) as proxy:
            yield proxy, echo
        await until(lambda: not echo.tasks)


@asynccontextmanager
async def connected(proxy: Toxics) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection to the proxy."""
    reader, writer = await asyncio.open_connection(proxy.host, proxy.port)
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def until(condition: Callable[[], object]) -> None:
    """Wait for what nobody announces."""
    async with asyncio.timeout(BOUND):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.001)


async def exchange(
    proxy: Toxics, data: bytes = DATA, *, patience: float = BOUND, eof: bool = True
) -> tuple[bytes, str]:
    """Send data and an end; what came back, and how that ended."""
    raw = bytearray()
    async with connected(proxy) as (reader, writer):

        async def speak() -> None:
            with contextlib.suppress(OSError):
                writer.write(data)
                if eof:
                    writer.write_eof()
                await writer.drain()

        speaking = asyncio.ensure_future(speak())
        try:
            async with asyncio.timeout(patience):
                while piece := await reader.read(1 << 16):
                    raw += piece
        except OSError as error:
            # asyncio throws away what was read before a reset; what came is looked at where it matters.
            return bytes(raw), "silence" if isinstance(error, TimeoutError) else "reset"
        finally:
            speaking.cancel()
    return bytes(raw), "fin"


async def test_passes_everything() -> None:
    """Without a toxic all bytes go both ways, are counted, and both ends are passed on."""
    async with echoed() as (proxy, echo):
        raw, end = await exchange(proxy)

        assert (DATA, "fin") == (raw, end)
        assert "fin" == await echo.ended()
        assert (1, SIZE, SIZE) == (proxy.connections, proxy.sent_to_client, proxy.sent_to_server)


async def test_connections_end_with_their_ends() -> None:
    """A connection is gone when both sides have closed it, not before."""
    async with echoed() as (proxy, echo):
        async with connected(proxy) as (reader, writer):
            writer.write(b"x")
            assert b"x" == await reader.read(10)
            assert 1 == proxy.open_connections
        await echo.ended()
        await until(lambda: not proxy.open_connections)


@pytest.mark.parametrize("direction", ["to_client", "to_server"])
async def test_latency(direction: str) -> None:
    """Every byte is late by the latency, but they travel together: many blocks do not add up."""
    async with echoed(**{direction: Toxic(latency=0.2)}) as (proxy, _):
        started = time.monotonic()
        async with Stopwatch() as watch:
            raw, _ = await exchange(proxy)
        elapsed = time.monotonic() - started

    assert DATA == raw
    assert elapsed >= 0.2
    assert watch.seconds < 1.0


async def test_jitter_is_seeded_and_keeps_order() -> None:
    """The same seed gives the same delays, another one others; the bytes stay in order."""
    clock, ours = [], []
    for seed in (30, 30, 47):  # 0.59 s and 0.09 s
        async with echoed(to_client=Toxic(jitter=0.6), seed=seed) as (proxy, _), connected(proxy) as (reader, writer):
            started = time.monotonic()
            async with Stopwatch() as watch:
                writer.write(b"12345678")
                assert b"12345678" == await reader.readexactly(8)
            clock.append(time.monotonic() - started)
            ours.append(watch.seconds)
        async with echoed(to_client=Toxic(jitter=0.01), seed=seed) as (proxy, _):
            assert (DATA, "fin") == await exchange(proxy)

    assert min(clock[:2]) >= 0.58
    assert ours[2] < 0.5


async def test_segments() -> None:
    """Each write is at most a segment, with a pause after it."""
    async with (
        echoed(to_client=Toxic(segment=3, pause=0.1)) as (proxy, _),
        connected(proxy) as (reader, writer),
    ):
        writer.write(b"12345678")
        pieces = [await reader.read(100) for _ in range(3)]

    assert [b"123", b"456", b"78"] == pieces


@pytest.mark.parametrize(
    ("toxic", "connections", "least"),
    [
        # Every connection has its own rate, so two take as long as one.
        (Toxic(rate=100_000), 2, 0.45),
        (Toxic(total_rate=200_000), 2, 0.45),
        (Toxic(rate=400_000, total_rate=100_000), 1, 0.45),
    ],
)
async def test_rates(toxic: Toxic, connections: int, least: float) -> None:
    """50 kB on each connection at the effective rate of 100 kB/s take half a second."""
    async with echoed(to_client=toxic) as (proxy, _):
        started = time.monotonic()
        async with Stopwatch() as watch:
            replies = await asyncio.gather(*(exchange(proxy, DATA[:50_000]) for _ in range(connections)))
        elapsed = time.monotonic() - started

    assert [(DATA[:50_000], "fin")] * connections == replies
    assert elapsed >= least
    assert watch.seconds < 1.5


@pytest.mark.parametrize("count", [0, 1, 70_000, SIZE])
async def test_close_after(count: int) -> None:
    """Exactly so many bytes and then FIN, to the client, and to the server behind it."""
    async with echoed(to_client=Toxic(close_after=count)) as (proxy, _), connected(proxy) as (reader, writer):
        if count:
            writer.write(DATA)
        raw = await asyncio.wait_for(reader.read(-1), BOUND)

        assert DATA[:count] == raw
        assert count == proxy.sent_to_client


@pytest.mark.parametrize("count", [0, 1, 70_000])
async def test_reset_after(count: int) -> None:
    """Exactly so many bytes are passed on, then both sides see a reset."""
    async with echoed(to_client=Toxic(reset_after=count)) as (proxy, echo):
        _, end = await exchange(proxy, eof=False)

        assert "reset" == end
        assert count == proxy.sent_to_client
        if count:
            assert "reset" == await echo.ended()


async def test_reset_on_the_way_to_the_server() -> None:
    """A limit of the other direction cuts the same connection."""
    async with echoed(to_server=Toxic(reset_after=1000)) as (proxy, echo):
        _, end = await exchange(proxy, eof=False)

        assert "reset" == end
        assert 1000 == proxy.sent_to_server
        assert "reset" == await echo.ended()


@pytest.mark.parametrize("direction", ["to_client", "to_server"])
@pytest.mark.parametrize("count", [0, 5000])
async def test_silence_after(direction: str, count: int) -> None:
    """So many bytes, then nothing, without an end; the proxy lets go as soon as the client has left."""
    async with echoed(**{direction: Toxic(silence_after=count)}) as (proxy, echo):
        async with connected(proxy) as (reader, writer):
            writer.write(DATA)
            async with asyncio.timeout(BOUND):
                raw = await reader.readexactly(count)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await reader.read(1)
            assert 1 == proxy.open_connections
        await echo.ended()

        assert DATA[:count] == raw
        assert count == getattr(proxy, f"sent_{direction}")


async def test_silence_outlives_its_setting() -> None:
    """A connection that fell silent stays so; new ones are as the settings are now."""
    async with echoed(to_client=Toxic(silence_after=0)) as (proxy, _), connected(proxy) as (reader, writer):
        writer.write(b"x")
        await until(lambda: proxy.sent_to_server)
        proxy.to_client = Toxic()

        assert (DATA, "fin") == await exchange(proxy)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await reader.read(1)


async def test_close_delay() -> None:
    """The bytes come at once, the end later."""
    async with echoed(to_client=Toxic(close_delay=0.3)) as (proxy, _), connected(proxy) as (reader, writer):
        started = time.monotonic()
        writer.write(b"x")
        writer.write_eof()
        async with Stopwatch() as watch:
            first = await reader.read(1)
        rest, end = await reader.read(1), time.monotonic() - started

    assert (b"x", b"") == (first, rest)
    assert watch.seconds < 0.25
    assert end >= 0.3


async def test_settings_change_under_open_connections() -> None:
    """A rate that crawls is lifted, and the rest comes at once; a limit that is set later holds from the next byte."""
    async with echoed(to_client=Toxic(rate=1000)) as (proxy, _), connected(proxy) as (reader, writer):
        writer.write(DATA)
        first = await reader.readexactly(20)
        proxy.to_client = Toxic()
        async with asyncio.timeout(BOUND):
            rest = await reader.readexactly(SIZE - 20)
        proxy.to_client = Toxic(close_after=10)
        writer.write(b"more")
        last = await asyncio.wait_for(reader.read(-1), BOUND)

    assert DATA == first + rest
    assert b"m" == last


async def test_some_connections_only() -> None:
    """A toxic can be for some connections, by number."""
    async with echoed(to_client=Toxic(close_after=10, connections=[1])) as (proxy, _):
        replies = [await exchange(proxy) for _ in range(3)]

    assert [SIZE, 10, SIZE] == [len(raw) for raw, _ in replies]


async def test_refuse_and_accept() -> None:
    """Refused connections fail at once, open ones go on; the port stays the same."""
    async with echoed(refused=True) as (proxy, _):
        port = proxy.port
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(proxy.host, proxy.port)
        await proxy.accept()
        async with connected(proxy) as (reader, writer):
            proxy.refuse()
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection(proxy.host, proxy.port)
            writer.write(b"x")
            assert b"x" == await reader.read(1)
        await proxy.accept()

        assert (DATA, "fin") == await exchange(proxy)
        assert port == proxy.port


async def test_drop() -> None:
    """All open connections are reset at once, on both sides."""
    async with echoed() as (proxy, echo), connected(proxy) as (reader, writer):
        writer.write(b"x")
        await reader.read(1)
        proxy.drop()
        with pytest.raises(ConnectionResetError):
            await asyncio.wait_for(reader.read(1), BOUND)

        assert "reset" == await echo.ended()


async def test_server_resets_are_passed_on() -> None:
    """What was under way before the server's reset arrives, then the reset."""
    async with Origin() as origin, Toxics(origin.host, origin.port, to_client=Toxic(latency=0.1)) as proxy:
        content = origin.add("/f", 5000)
        origin.script(Fault(reset_after=1000))
        async with connected(proxy) as (reader, writer):
            writer.write(b"GET /f HTTP/1.1\r\n\r\n")
            async with asyncio.timeout(BOUND):
                await reader.readuntil(b"\r\n\r\n")
                body = await reader.readexactly(1000)
                with pytest.raises(ConnectionResetError):
                    await reader.read(1)

        assert content.read(0, 1000) == body


async def test_a_server_that_is_not_there() -> None:
    """The client is accepted and reset: by then it is too late to refuse."""
    async with Origin() as origin:
        gone = origin.port
    async with Toxics("127.0.0.1", gone) as proxy:
        _, end = await exchange(proxy, b"x")

    assert "reset" == end


async def test_a_slow_reader_slows_the_sender() -> None:
    """Backpressure is kept: while the client does not read, the proxy takes a bounded amount and no more."""
    block, most = bytes(1 << 16), 64 << 20
    async with echoed() as (proxy, _), connected(proxy) as (_, writer):
        writer.transport.set_write_buffer_limits(high=1, low=0)
        sent = 0
        with contextlib.suppress(TimeoutError):
            while sent < most:
                async with asyncio.timeout(0.5):
                    writer.write(block)
                    await writer.drain()
                sent += len(block)
        writer.transport.abort()

        # Two directions of a bit more than a megabyte, and what the sockets' own buffers hold.
        assert sent < most


async def test_ends_with_its_block() -> None:
    """Leaving resets what is open, also what is delayed, silent, or only just accepted."""
    toxic = Toxic(latency=60, close_delay=60)
    async with echoed(to_client=toxic) as (proxy, _):
        pairs = [await asyncio.open_connection(proxy.host, proxy.port) for _ in range(3)]
        for _, writer in pairs:
            writer.write(b"x")
        started = time.monotonic()
    elapsed = time.monotonic() - started
    for reader, writer in pairs:
        with contextlib.suppress(OSError):
            assert b"" == await asyncio.wait_for(reader.read(1), BOUND)
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()

    assert elapsed < 30


@pytest.mark.parametrize(
    "wrong",
    [
        {"latency": -1},
        {"jitter": float("nan")},
        {"pause": float("inf")},
        {"segment": 0},
        {"rate": 0},
        {"total_rate": -5},
        {"close_after": -1},
    ],
    ids=str,
)
def test_toxics_are_checked(wrong: dict[str, Any]) -> None:
    """What has no meaning is refused when it is written down."""
    with pytest.raises(OptionsError):
        Toxic(**wrong)


def test_the_first_end_holds() -> None:
    """Of several ends the one with the fewest bytes comes; a toxic without one has none."""
    assert (5, "close") == Toxic(reset_after=9, close_after=5, silence_after=7).end()
    assert float("inf") == Toxic().end()[0]


@pytest.mark.parametrize("connections", [1, 4, 16])
async def test_download_through_a_bad_network(tmp_path: Path, connections: int) -> None:
    """Late, jittery, in segments of odd sizes: the bytes are the object's, and none is asked for twice."""
    toxic = Toxic(latency=0.02, jitter=0.02, segment=1461)
    async with (
        Origin() as origin,
        Toxics(origin.host, origin.port, to_client=toxic, to_server=Toxic(segment=7), seed=3) as proxy,
    ):
        content = origin.add("/x", 16 * PART + 321)
        result = await fetch(
            f"http://{proxy.host}:{proxy.port}/x", tmp_path / "x", options=small(connections), size=content.size
        )

        assert holds(tmp_path / "x", content)
        assert 0 == result.retries
        assert content.size == origin.ledger.bytes_sent("/x")


async def test_download_through_a_breaking_network(tmp_path: Path) -> None:
    """Every connection is cut after so many bytes, what is missing is fetched again."""
    async with Origin() as origin, Toxics(origin.host, origin.port, to_client=Toxic(reset_after=100_000)) as proxy:
        content = origin.add("/x", 8 * PART)
        provider = origin.provider("/x", ttl=60)

        async def through(_: object) -> str:
            return (await provider()).replace(f":{origin.port}", f":{proxy.port}")

        result = await fetch(through, tmp_path / "x")

        assert holds(tmp_path / "x", content)
        assert result.retries > 0
        assert proxy.connections > 5
