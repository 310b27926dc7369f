"""An origin in a process of its own, and the way to talk to it: for benchmarks and the demo, where CPU time counts.

The process prints one JSON line `{"url", "path", "size", "seed"}` and ends when its standard input closes or its
parent dies. Its control requests are unsigned and on the same port, outside the ledger:

    GET /_presign/<path>?ttl=<seconds>&skin=<name>    a signed URL, as text
    GET /_ledger                                      counts, as JSON; `max_open` includes control connections
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import math
import os
import re
import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn
from urllib.parse import parse_qs, urlencode, urlsplit

from asyncdl.errors import AsyncdlError, ConnectError
from asyncdl.testing.content import Content
from asyncdl.testing.origin import Origin
from asyncdl.testing.provider import Provider
from asyncdl.testing.response import Response, plain
from asyncdl.testing.skins import SKINS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from asyncdl.testing.connection import RequestHead

#: Seconds for the process to start, for one control request, and for its end before it is killed.
_START: Final = 60.0
_CONTROL: Final = 5.0
_END: Final = 5.0
#: Seconds between two looks at whether the parent still lives.
_PARENT_POLL: Final = 0.5
#: Seconds; further from now a date has no four-digit year that every platform can write.
_YEARS: Final = 1e9
#: Bytes per second: one in twelve days, and more than any memory moves.
_SLOWEST: Final = 1e-6
_FASTEST: Final = 1e15
_UNITS: Final = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


class _ControlledOrigin(Origin):
    ttl: float = 3600.0
    skin: str = "s3v4"

    def control(self, head: RequestHead) -> Response | None:
        split = urlsplit(head.target)
        if split.path == "/_ledger":
            return plain(200, json.dumps(self._counts()).encode(), (("Content-Type", "application/json"),))
        if not split.path.startswith("/_presign/"):
            return None
        query = parse_qs(split.query)
        try:
            ttl = float(query.get("ttl", [str(self.ttl)])[0])
            url = self.presign(split.path.removeprefix("/_presign"), ttl=ttl, skin=query.get("skin", [self.skin])[0])
        except (AsyncdlError, ValueError, OverflowError) as error:
            return plain(400, str(error).encode(), (("Content-Type", "text/plain"),))
        return plain(200, url.encode(), (("Content-Type", "text/plain"),))

    def _counts(self) -> dict[str, int]:
        ledger = self.ledger
        paths = {record.path for record in ledger.data_requests()}
        return {
            "requests": len(ledger.requests),
            "data_requests": len(ledger.data_requests()),
            "refused": len(ledger.refused),
            "bytes_sent": ledger.bytes_sent(),
            "repeated": sum(map(ledger.repeated, paths)),
            "generations": sum(map(ledger.generations, paths)),
            "open_connections": ledger.open_connections - 1,  # without the one that asks
            "max_open": ledger.max_open,
        }


class OriginProcess:
    """A running origin process, as seen from its parent; made by `origin_process`.

    Attributes:
        base_url: scheme, host and port.
        path: of its one object.
        content: of its one object, for comparison.
    """

    def __init__(self, base_url: str, path: str, content: Content) -> None:
        self.base_url = base_url
        self.path = path
        self.content = content

    @property
    def url(self) -> str:
        """The unsigned URL of the object."""
        return self.base_url + self.path

    async def presign(self, *, ttl: float | None = None, skin: str | None = None) -> str:
        """A fresh signed URL of the object; None takes what the process was started with.

        Raises:
            ConnectError: the process did not answer, or refused.
            TimeoutError: it did not within 5 seconds.
        """
        query = {key: str(value) for key, value in (("ttl", ttl), ("skin", skin)) if value is not None}
        return (await self._get(f"/_presign{self.path}?{urlencode(query)}")).decode()

    def provider(self, *, ttl: float | None = None, skin: str | None = None, delay: float = 0.0) -> Provider:
        """A URL provider over the control requests."""
        return Provider(lambda: self.presign(ttl=ttl, skin=skin), delay=delay)

    async def ledger(self) -> dict[str, int]:
        """Counts: requests, data_requests, refused, bytes_sent, repeated, generations, open_connections, max_open."""
        counts: dict[str, int] = json.loads(await self._get("/_ledger"))
        return counts

    async def _get(self, target: str) -> bytes:
        split = urlsplit(self.base_url)
        async with asyncio.timeout(_CONTROL):
            reader, writer = await asyncio.open_connection(split.hostname, split.port)
            try:
                writer.write(f"GET {target} HTTP/1.1\r\nHost: {split.netloc}\r\nConnection: close\r\n\r\n".encode())
                answer = await reader.read()
            finally:
                writer.close()
                with contextlib.suppress(OSError):
                    await writer.wait_closed()
        head, _, body = answer.partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200 "):
            msg = f"the origin process refused a control request: {body[:200]!r}"
            raise ConnectError(msg)
        return body


@contextlib.asynccontextmanager
async def origin_process(
    *,
    size: int,
    ttl: float = 3600.0,
    rate: float | None = None,
    latency: float = 0.0,
    seed: int = 1,
    skin: str = "s3v4",
) -> AsyncIterator[OriginProcess]:
    """Run an origin with one object in a process of its own.

        async with origin_process(size=1 << 30, ttl=2.0) as origin:
            await asyncdl.download(origin.provider(), dest)
            assert origin.content.first_difference(dest) is None

    Raises:
        ConnectError: the process did not start.
    """
    options = {"size": size, "ttl": ttl, "rate": rate, "latency": latency, "seed": seed, "skin": skin}
    arguments = [f"--{name}={value}" for name, value in options.items() if value is not None]
    # The child must find this very package, installed or not, whatever the current directory is.
    paths = [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "asyncdl.testing", *arguments),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
        # Ctrl-C at a terminal is for the parent, which ends this one as well.
        start_new_session=True,
    )
    try:
        line = await _first_line(process)
        yield OriginProcess(line["url"], line["path"], Content(seed, size))
    finally:
        await _end(process)


async def _first_line(process: asyncio.subprocess.Process) -> dict[str, str]:
    try:
        async with asyncio.timeout(_START):
            line: dict[str, str] = json.loads(await process.stdout.readline())  # type: ignore[union-attr]  # a pipe
    except (ValueError, TimeoutError) as error:
        msg = "the origin process did not start"
        raise ConnectError(msg, hint="run python -m asyncdl.testing --size 1M to see why") from error
    return line


async def _end(process: asyncio.subprocess.Process) -> None:
    """Ask the process to end, by closing its standard input, and see to it that it does."""
    try:
        async with asyncio.timeout(_END):
            # Without an argument `communicate` would leave standard input open.
            await process.communicate(b"")
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until standard input closes, the parent dies, or SIGINT or SIGTERM comes; returns the exit code."""
    parser = _Parser(prog="python -m asyncdl.testing", description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=_size, default=1 << 30, help="of the object: bytes, or 64K, 1M, 5T")
    parser.add_argument("--path", type=_path, default="/object")
    parser.add_argument(
        "--ttl", type=_bounded(-_YEARS, _YEARS), default=3600.0, help="seconds a URL lives if not asked otherwise"
    )
    parser.add_argument(
        "--rate", type=_bounded(_SLOWEST, _FASTEST), default=None, help="bytes per second each connection gets"
    )
    parser.add_argument("--latency", type=_bounded(0.0, _YEARS), default=0.0, help="seconds before every response")
    parser.add_argument("--seed", type=int, default=1, help="of the object's content")
    parser.add_argument("--skin", choices=list(SKINS), default="s3v4", help="provider whose URLs are imitated")
    parser.add_argument("--port", type=_port, default=0)
    options = parser.parse_args(arguments)
    try:
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(_serve(options))
    except _PortError as error:
        parser.error(f"argument --port: {error}")
    return 0


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """One line, without the whole usage above it."""
        self.exit(2, f"{self.prog}: error: {message}\n")


class _PortError(Exception):
    """The port cannot be listened on; the message says why."""


def _size(text: str) -> int:
    try:
        number = parse_size(text)
    except ValueError:
        number = -1
    if not 0 <= number < 1 << 63:
        msg = "must be bytes, or a whole number with K, M, G or T, of at least 0 and less than 2**63"
        raise argparse.ArgumentTypeError(msg)
    return number


def _path(text: str) -> str:
    if not re.fullmatch(r"/[!-~]*", text) or "?" in text or "#" in text:
        msg = "must begin with a slash, and be percent-encoded without a query"
        raise argparse.ArgumentTypeError(msg)
    return text


def _port(text: str) -> int:
    if not re.fullmatch("[0-9]{1,5}", text) or int(text) > 65535:  # RFC 9293 section 3.1: 16 bits
        msg = "must be a whole number from 0 to 65535"
        raise argparse.ArgumentTypeError(msg)
    return int(text)


def _bounded(least: float, most: float) -> Callable[[str], float]:
    def read(text: str) -> float:
        try:
            number = float(text)
        except ValueError:
            number = math.nan
        if not least <= number <= most:
            msg = f"must be a number from {least:g} to {most:g}"
            raise argparse.ArgumentTypeError(msg)
        return number

    return read


def parse_size(text: str) -> int:
    """`1048576`, `1M`, `1MiB`: bytes, in powers of 1024.

    Raises:
        ValueError: it is no size.
    """
    number = text.upper().removesuffix("IB").removesuffix("B")
    return int(number[:-1]) * _UNITS[number[-1]] if number[-1:] in _UNITS else int(number)


async def _serve(options: argparse.Namespace) -> None:
    # Before the line is printed: whoever waits for it may be gone right afterwards.
    parent = os.getppid()
    origin = _ControlledOrigin(seed=options.seed, port=options.port, rate=options.rate, latency=options.latency)
    origin.ttl, origin.skin = options.ttl, options.skin
    origin.add(options.path, options.size)
    async with contextlib.AsyncExitStack() as stack:
        try:
            await stack.enter_async_context(origin)
        except OSError as error:
            msg = f"{origin.host}:{options.port} cannot be listened on: {os.strerror(error.errno or 0)}"
            raise _PortError(msg) from error
        line = {"url": origin.base_url, "path": options.path, "size": options.size, "seed": options.seed}
        print(json.dumps(line), flush=True)  # noqa: T201  # the one line promised
        await no_longer_wanted(parent)


async def no_longer_wanted(parent: int) -> None:
    """Wait until standard input closes, SIGTERM comes, or `parent` is not this process's parent any more."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()

    def watch_input() -> None:
        # os.read and not sys.stdin: a thread inside the latter's lock upsets the interpreter's end.
        with contextlib.suppress(OSError):
            while os.read(0, 1024):
                pass
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(stop.set)

    with contextlib.suppress(NotImplementedError):
        loop.add_signal_handler(signal.SIGTERM, stop.set)
    threading.Thread(target=watch_input, name="asyncdl-origin-input", daemon=True).start()
    while not stop.is_set() and os.getppid() == parent:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_PARENT_POLL):
                await stop.wait()
