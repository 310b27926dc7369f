"""A list read in a thread of its own while rows are asked for; it knows nothing of what is in it.

A pipe may take its time, and a read from it cannot be called off: the thread waits for the pipe and for us at once, and
where the system cannot do that, it is one that the process does not wait for.
"""

from __future__ import annotations

import asyncio
import codecs
import contextlib
import os
import select
import sys
import threading
import zlib
from collections import deque
from collections.abc import AsyncGenerator, Callable, Generator, Iterator
from queue import SimpleQueue
from typing import Final, Generic, TypeVar

from asyncdl.errors import OptionsError, StorageError

T = TypeVar("T")

_BLOCK: Final = 1 << 16
#: Bytes of a line; a signed URL has some two thousand, a header a few more.
_LONGEST_LINE: Final = 1 << 20
#: Rows that go to the event loop at once, and how many such groups may wait there.
_GROUP: Final = 64
_GROUPS: Final = 4
#: Seconds that the end of the thread is waited for.
_GRACE: Final = 2.0
#: RFC 1952 section 2.3.1; and zlib's way to say that it shall expect such a header.
_GZIP: Final = b"\x1f\x8b"
_GZIP_WINDOW: Final = 31


async def feed(path: str, read: Callable[[Iterator[str]], Iterator[T]]) -> AsyncGenerator[T, None]:
    """What `read` makes of the lines of a file, as it is asked for; some hundreds of rows are made in advance.

    Args:
        path: of a file, which may be compressed with gzip; `-` is standard input.
        read: called in another thread; the lines are UTF-8, with surrogates for bytes that are none (PEP 383).

    Raises:
        OptionsError: the file cannot be opened, or has a line of more than 1 MiB; or `read` raised it.
        StorageError: the file cannot be read to its end.
    """
    reader = _Reader(path, read)
    try:
        while (group := await reader.group()) is not None:
            for row in group:
                yield row
    finally:
        await reader.stop()


class _StoppedError(Exception):
    """Nobody wants more rows."""


class _Reader(Generic[T]):
    def __init__(self, path: str, read: Callable[[Iterator[str]], Iterator[T]]) -> None:
        self._path, self._read = path, read
        self._loop = asyncio.get_running_loop()
        # One for each group that the loop has room for.
        self._credits: SimpleQueue[None] = SimpleQueue()
        for _ in range(_GROUPS):
            self._credits.put(None)
        self._groups: deque[list[T]] = deque()
        self._pending: list[T] = []
        self._news, self._ended = asyncio.Event(), asyncio.Event()
        self._fault: Exception | None = None
        self._stopping = False
        self._woken, self._wake = os.pipe()
        os.set_blocking(self._wake, False)
        threading.Thread(target=self._work, name="asyncdl list", daemon=True).start()

    async def group(self) -> list[T] | None:
        """The next rows, at least one; None when there are no more."""
        while not self._groups:
            if self._ended.is_set():
                if self._fault is not None:
                    raise self._fault
                return None
            self._news.clear()
            # For whoever writes the list, which may be a person.
            await self._news.wait()
        self._credits.put(None)
        return self._groups.popleft()

    async def stop(self) -> None:
        """Make the thread end, and wait for that within bounds."""
        self._stopping = True
        self._credits.put(None)
        with contextlib.suppress(BlockingIOError):
            os.write(self._wake, b"\0")
        try:
            async with asyncio.timeout(_GRACE):
                await self._ended.wait()
        except TimeoutError:
            # It is inside a call that nobody can end, such as opening a FIFO: it keeps what it uses.
            return
        os.close(self._woken)
        os.close(self._wake)

    def _work(self) -> None:
        fault: Exception | None = None
        try:
            # What was raised keeps generators alive, and with them what they have open.
            with contextlib.closing(self._lines()) as lines:
                for row in self._read(lines):
                    self._pending.append(row)
                    if len(self._pending) >= _GROUP:
                        self._flush()
                self._flush()
        except _StoppedError:
            pass
        except Exception as error:  # noqa: BLE001  # raised where the rows are asked for
            fault = error
            with contextlib.suppress(_StoppedError):
                self._flush()
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(self._end, fault)

    def _flush(self) -> None:
        if self._pending:
            self._credits.get()
            if self._stopping:
                raise _StoppedError
            group, self._pending = self._pending, []
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._deliver, group)

    def _deliver(self, group: list[T]) -> None:
        self._groups.append(group)
        self._news.set()

    def _end(self, fault: Exception | None) -> None:
        self._fault = fault
        self._ended.set()
        self._news.set()

    def _lines(self) -> Generator[str, None, None]:
        rest, number = b"", 1
        with contextlib.closing(self._blocks()) as blocks:
            for block in _plain(blocks):
                *lines, rest = (rest + block).split(b"\n")
                for line in lines:
                    yield _text(line + b"\n", number)
                    number += 1
                if len(rest) > _LONGEST_LINE:
                    raise _too_long(number)
        if rest:
            yield _text(rest, number)

    def _blocks(self) -> Generator[bytes, None, None]:
        descriptor, ours = self._opened()
        try:
            while True:
                self._await_bytes(descriptor)
                try:
                    block = os.read(descriptor, _BLOCK)
                except BlockingIOError:
                    continue
                except OSError as error:
                    words = f"the list {self._path} cannot be read: {error.strerror}"
                    raise StorageError(words, errno=error.errno) from error
                if not block:
                    return
                yield block
        finally:
            if ours:
                os.close(descriptor)

    def _opened(self) -> tuple[int, bool]:
        try:
            if self._path == "-":
                return sys.stdin.fileno(), False
            return os.open(self._path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0)), True
        except (OSError, ValueError, AttributeError) as error:
            reason = getattr(error, "strerror", None) or "there is none"
            raise OptionsError(f"the list cannot be read: {reason}") from error

    def _await_bytes(self, descriptor: int) -> None:
        """Wait until there is something to read; what has been read before goes out first."""
        if not hasattr(select, "poll"):
            self._flush()
            return
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        poll.register(self._woken, select.POLLIN)
        ready = poll.poll(0)
        if not ready:
            self._flush()
            ready = poll.poll()
        if self._stopping:
            raise _StoppedError


def _text(line: bytes, number: int) -> str:
    if len(line) > _LONGEST_LINE:
        raise _too_long(number)
    if number == 1:
        line = line.removeprefix(codecs.BOM_UTF8)
    return line.decode(errors="surrogateescape")


def _too_long(number: int) -> OptionsError:
    return OptionsError(f"line {number} is longer than {_LONGEST_LINE >> 20} MiB: this is no list")


def _plain(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """The blocks, decompressed if the first of them says that they are compressed."""
    first = next(blocks, b"")
    if not first.startswith(_GZIP):
        yield first
        yield from blocks
        return
    inflater, data = zlib.decompressobj(_GZIP_WINDOW), first
    try:
        while True:
            # Never much at once: a few bytes may stand for a great many.
            yield inflater.decompress(data, _BLOCK)
            data = inflater.unconsumed_tail
            if inflater.eof and (data := inflater.unused_data or next(blocks, b"")):
                inflater = zlib.decompressobj(_GZIP_WINDOW)
            elif not data and not (data := next(blocks, b"")):
                break
    except zlib.error:
        raise OptionsError("the list is compressed, and damaged") from None
    if not inflater.eof:
        raise OptionsError("the list is compressed, and cut off")
