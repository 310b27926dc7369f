"""A TCP proxy for tests that makes the network bad: late, slow, in crumbs, cut off, or silent; any protocol."""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from asyncdl.errors import OptionsError
from asyncdl.testing.relay import ClosedError, Flow, LeftError, Meter, close, hang_up

if TYPE_CHECKING:
    from collections.abc import Container
    from types import TracebackType
    from typing import Self

#: Seconds: to reach the server, and for all connections to end with the proxy.
_CONNECT: Final = 5.0
_SHUTDOWN: Final = 5.0

_End: TypeAlias = Literal["close", "reset", "silence"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Toxic:
    """What happens to the bytes of one direction; the default lets them pass.

    `close_after`, `reset_after` and `silence_after` count the bytes that were passed on in this direction of one
    connection; 0 means at once, before the first byte. They are looked at when a connection begins and after each
    write; the smallest holds.

    Attributes:
        latency: seconds that every byte is under way. Bytes under way are bounded (see `Toxics`), so a high latency
            bounds the throughput as well, as a real path with a small window does.
        jitter: seconds; up to so much, at random, is added to the latency of every block. Order is kept.
        segment: bytes per write at most; None: as they come.
        pause: seconds between two writes, where `segment` is given.
        rate: bytes per second of each connection; None: unlimited.
        total_rate: bytes per second of all connections together; None: unlimited.
        close_after: ends the connection properly (FIN) after that many bytes.
        reset_after: ends it by RST.
        silence_after: nothing more is passed on; the connection stays open until the client leaves, whatever the
            settings are later.
        close_delay: seconds by which the end of the stream (FIN) comes late.
        connections: numbers of the connections this is for, counted from 0; None: all.
    """

    latency: float = 0.0
    jitter: float = 0.0
    segment: int | None = None
    pause: float = 0.0
    rate: float | None = None
    total_rate: float | None = None
    close_after: int | None = None
    reset_after: int | None = None
    silence_after: int | None = None
    close_delay: float = 0.0
    connections: Container[int] | None = None

    def __post_init__(self) -> None:
        """Refuse what has no meaning."""
        seconds = (self.latency, self.jitter, self.pause, self.close_delay)
        after = (self.close_after, self.reset_after, self.silence_after)
        positive = (self.segment, self.rate, self.total_rate)
        if any(not 0 <= value < math.inf for value in (*seconds, *(count or 0 for count in after))):
            msg = "seconds and bytes of a toxic are finite and not negative"
            raise OptionsError(msg)
        if any(value is not None and value <= 0 for value in positive):
            msg = "segment, rate and total_rate of a toxic are positive, or None"
            raise OptionsError(msg)

    def end(self) -> tuple[float, _End]:
        """After how many bytes a connection ends, and how; infinity: not at all."""
        ends: tuple[tuple[int | None, _End], ...] = (
            (self.reset_after, "reset"),
            (self.close_after, "close"),
            (self.silence_after, "silence"),
        )
        return min(((math.inf if after is None else after, end) for after, end in ends), key=lambda pair: pair[0])


CLEAN: Final = Toxic()


class Toxics:
    """A TCP proxy in front of one server on this machine, with a toxic in each direction.

        async with Origin() as origin, Toxics(origin.host, origin.port, to_client=Toxic(latency=0.05)) as proxy:
            url = origin.url("/model").replace(f":{origin.port}", f":{proxy.port}")
            ...
            proxy.to_client = Toxic(rate=1000)      # from the next block on, on open connections too
            proxy.refuse()                          # connections are refused from now on
            await proxy.accept()                    # and accepted again, on the same port

    At most 1.2 MB are under way in each direction of a connection; who sends more has to wait. A reset of one side is
    passed on to the other. TLS passes through untouched, and a close or reset cuts it off without a close_notify.

    Args:
        host: of the server, and what the proxy itself listens on.
        port: of the server.
        seed: of the jitter; the same for the same connection number and the same reads.
        refused: begin with `refuse()`.

    Attributes:
        port: of the proxy; chosen by the system, and kept.
        to_client, to_server: the toxics; to be replaced at any time.
        connections: accepted so far.
        sent_to_client, sent_to_server: bytes passed on so far.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        to_client: Toxic = CLEAN,
        to_server: Toxic = CLEAN,
        seed: int = 0,
        refused: bool = False,
    ) -> None:
        self.host = host
        self.port: int = 0
        self.to_client: Toxic = to_client
        self.to_server: Toxic = to_server
        self.connections: int = 0
        self.sent_to_client: int = 0
        self.sent_to_server: int = 0
        self._server_port = port
        self._seed = seed
        self._refused = refused
        self._listener: asyncio.Server | None = None
        self._links: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        self._failures: list[BaseException] = []
        self._meters = (Meter(), Meter())

    async def __aenter__(self) -> Self:
        await self.accept()
        if self._refused:
            self.refuse()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.refuse()
        self.drop()
        async with asyncio.timeout(_SHUTDOWN):
            while self._links:
                await asyncio.wait(self._links)
        if error is None and self._failures:
            msg = "the proxy itself failed"
            raise RuntimeError(msg) from self._failures[0]

    @property
    def open_connections(self) -> int:
        """Connections that are open now."""
        return len(self._links)

    def refuse(self) -> None:
        """Stop listening: connections are refused; those that are open go on."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    async def accept(self) -> None:
        """Listen, at first and after `refuse()`; always on the same port.

        Raises:
            OSError: somebody else has taken the port meanwhile.
        """
        if self._listener is None:
            self._listener = await asyncio.start_server(self._accepted, self.host, self.port, backlog=1024)
            self.port = self._listener.sockets[0].getsockname()[1]

    def drop(self) -> None:
        """Reset every open connection, on both sides."""
        for link, writer in self._links.items():
            # One that has not begun yet will not hang up by itself.
            hang_up(writer)
            link.cancel()

    def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        link = asyncio.get_running_loop().create_task(self._serve(self.connections, reader, writer))
        self.connections += 1
        self._links[link] = writer
        link.add_done_callback(self._ended)

    def _ended(self, link: asyncio.Task[None]) -> None:
        del self._links[link]
        if not link.cancelled() and (error := link.exception()) is not None:
            self._failures.append(error)

    async def _serve(self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers = [writer]
        try:
            async with asyncio.timeout(_CONNECT):
                server_reader, server_writer = await asyncio.open_connection(self.host, self._server_port)
            writers.append(server_writer)
            left = asyncio.Event()
            down = self._flow(number, server_reader, writer, left, to_client=True)
            up = self._flow(number, reader, server_writer, left, to_client=False)
            try:
                async with asyncio.TaskGroup() as group:
                    for flow in (down, up):
                        group.create_task(flow.receive())
                        group.create_task(flow.send())
            except* (ClosedError, LeftError):
                pass
            for one in writers:
                await close(one)
        except* OSError:  # a reset, of either side, by either side; a server that is not there; TimeoutError is one too
            pass
        finally:
            for one in writers:
                hang_up(one)

    def _flow(
        self,
        number: int,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        left: asyncio.Event,
        *,
        to_client: bool,
    ) -> Flow:
        def toxic() -> Toxic:
            holds = self.to_client if to_client else self.to_server
            return holds if holds.connections is None or number in holds.connections else CLEAN

        def passed(size: int, rate: float | None) -> float:
            if to_client:
                self.sent_to_client += size
            else:
                self.sent_to_server += size
            return self._meters[to_client].wait(size, rate)

        seed = f"{self._seed}/{number}/{to_client}"
        return Flow(reader, writer, left, toxic=toxic, passed=passed, seed=seed, to_client=to_client)
