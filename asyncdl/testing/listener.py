"""The listening socket of an origin: accepts, refuses, or accepts and says nothing; one task per connection."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Final

from asyncdl.testing.connection import Connection, GoneError

if TYPE_CHECKING:
    import ssl as ssl_module

    from asyncdl.testing.ledger import Ledger

#: Seconds within which closing, and a TLS handshake that would outlive it, must be over.
_SHUTDOWN: Final = 5.0
#: Seconds after which a connection attempt over loopback was not answered; an answer takes well under a millisecond.
_DEAF: Final = 0.2
#: Connections that fill the queue of a port at the latest: BSD rounds a small queue up to its default.
_QUEUE: Final = 300
_BACKLOG: Final = 1024


class Listener:
    """Accepts connections and has each served in a task of its own.

    Attributes:
        port: listened on, known once `open` returned.
        failures: what went wrong while serving, apart from clients that left.
    """

    def __init__(
        self,
        serve: Callable[[Connection], Awaitable[None]],
        ledger: Ledger,
        *,
        host: str,
        port: int,
        ssl: ssl_module.SSLContext | None,
    ) -> None:
        self.port: int = port
        self.failures: list[Exception] = []
        self._serve = serve
        self._ledger = ledger
        self._host = host
        self._ssl = ssl
        self._servers: list[asyncio.Server] = []
        self._reserved: socket.socket | None = None
        self._tasks: dict[asyncio.Task[None], Connection] = {}
        self._open: set[Connection] = set()

    def __len__(self) -> int:
        """Connections that are open now."""
        return len(self._tasks)

    async def open(self, *, silent: bool = False) -> None:
        """Accept connections from now on; if silent, without a word to any of them, and without TLS.

        Raises:
            OSError: the port cannot be listened on.
        """
        await self.refuse()
        reserved, self._reserved = self._reserved, None
        tls = None if silent else self._ssl
        try:
            server = await asyncio.start_server(
                self._accepted_in_silence if silent else self._accepted,
                sock=reserved,
                ssl=tls,
                backlog=_BACKLOG,
                ssl_handshake_timeout=None if tls is None else _SHUTDOWN,
            )
        except BaseException:
            if reserved is not None:
                reserved.close()
            raise
        self.port = server.sockets[0].getsockname()[1]
        self._servers.append(server)

    async def refuse(self) -> None:
        """Refuse connections from now on; those that are open go on. The port is kept for `open`."""
        await self._shut()
        if self._reserved is None:
            # A port that is bound but not listened on refuses, and nobody else can be given it meanwhile.
            self._reserved = _bound(self._host, self.port)

    async def aclose(self) -> None:
        """Stop listening and drop every connection; no task and no socket is left."""
        reserved, self._reserved = self._reserved, None
        if reserved is not None:
            reserved.close()
        await self._shut()
        servers, self._servers = self._servers, []
        for task, connection in self._tasks.items():
            connection.abort()
            task.cancel()
        async with asyncio.timeout(_SHUTDOWN):
            while self._tasks:
                await asyncio.wait(self._tasks)
            for server in servers:
                await server.wait_closed()

    async def _shut(self) -> None:
        """Let nobody in any more, and those who are in begin: a server closed in between would keep their sockets."""
        loop = asyncio.get_running_loop()
        for server in self._servers:
            for listening in server.sockets:
                loop.remove_reader(listening.fileno())
        await asyncio.sleep(0)
        for server in self._servers:
            server.close()

    def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._start(Connection(reader, writer, self._ledger), self._serve)

    def _accepted_in_silence(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._start(Connection(reader, writer, self._ledger), Connection.silence)

    def _start(self, connection: Connection, serve: Callable[[Connection], Awaitable[None]]) -> None:
        self._open.add(connection)
        task = asyncio.get_running_loop().create_task(self._run(connection, serve))
        self._tasks[task] = connection
        task.add_done_callback(self._ended)

    async def _run(self, connection: Connection, serve: Callable[[Connection], Awaitable[None]]) -> None:
        try:
            await serve(connection)
        except GoneError:
            pass
        finally:
            # Before the client can know: the connection it opens next is not to be counted beside this one.
            self._left(connection)
            await connection.close()

    def _left(self, connection: Connection) -> None:
        if connection in self._open:
            self._open.remove(connection)
            self._ledger.closed()

    def _ended(self, task: asyncio.Task[None]) -> None:
        # A task that was cancelled before it began has not come to its own end.
        self._left(self._tasks.pop(task))
        error = None if task.cancelled() else task.exception()
        if isinstance(error, Exception):
            self.failures.append(error)


def _bound(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio turns Nagle's algorithm off only where the protocol is spelt out; with it the end of a body comes late.
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if sys.platform != "win32":  # where this would let two listen on one port
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.setblocking(False)
        bound.bind((host, port))
    except BaseException:
        bound.close()
        raise
    return bound


@contextlib.asynccontextmanager
async def deaf_port(host: str = "127.0.0.1") -> AsyncIterator[tuple[str, int]]:
    """A host and port that answer no connection attempt, as behind a firewall that drops: connecting times out.

    A socket listens there whose queue is full and never emptied.

        async with deaf_port() as (host, port):
            with pytest.raises(asyncdl.ConnectError):
                await asyncdl.download(f"http://{host}:{port}/x", dest)

    Raises:
        OSError: this system answers nevertheless.
    """
    with contextlib.ExitStack() as stack:
        listening = stack.enter_context(_bound(host, 0))
        listening.listen(0)
        address: tuple[str, int] = listening.getsockname()[:2]
        for _ in range(_QUEUE):
            caller = stack.enter_context(socket.socket(listening.family, socket.SOCK_STREAM))
            caller.setblocking(False)
            try:
                async with asyncio.timeout(_DEAF):
                    await asyncio.get_running_loop().sock_connect(caller, address)
            except TimeoutError:
                break
        else:
            raise OSError("the system accepts connections beyond the queue it was asked for")
        yield address
