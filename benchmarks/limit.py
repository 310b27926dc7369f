"""The limit: one thread and one socket, nothing but the copies a download cannot do without.

    python -m benchmarks.limit {recv,sha256,splice,aiohttp} URL DEST [CA_FILE]

`recv` reads into one buffer and writes at an offset; `sha256` hands each of some buffers to a second thread besides;
`splice` moves pages from the socket over a pipe to the file.
`aiohttp` is what a client built on that library cannot do without: its import, its session, and a write for each chunk.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable

_BUFFER = 1 << 20
#: Between the thread that writes and the one that hashes.
_BUFFERS = 8
_PATIENCE = 60.0


def _open(url: str, ca_file: str | None) -> tuple[socket.socket, str, str]:
    scheme, _, rest = url.partition("://")
    host, _, path = rest.partition("/")
    name, _, port = host.partition(":")
    connection = socket.create_connection((name, int(port)), timeout=_PATIENCE)
    if scheme == "https":
        import ssl  # not needed, and not in memory, over http

        connection = ssl.create_default_context(cafile=ca_file).wrap_socket(connection, server_hostname=name)
    return connection, host, "/" + path


def _begin(connection: socket.socket, host: str, path: str, view: memoryview) -> tuple[int, int, int]:
    """Send the request and read the head: how many bytes were read, where the body begins, how long it is."""
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
    count = 0
    while (end := bytes(view[:count]).find(b"\r\n\r\n")) < 0:
        count += connection.recv_into(view[count : count + 4096])
    fields = dict(line.lower().split(b": ", 1) for line in bytes(view[:end]).split(b"\r\n")[1:])
    return count, end + 4, int(fields[b"content-length"])


def recv(url: str, dest: str, ca_file: str | None = None) -> bool:
    """`recv_into` and `pwrite`; whether all bytes came."""
    view = memoryview(bytearray(_BUFFER))
    return _receive(url, dest, ca_file, view, lambda _: view)


def sha256(url: str, dest: str, ca_file: str | None = None) -> bool:
    """As `recv`, and a second thread hashes what the first has written. Whether all bytes came."""
    import hashlib
    import threading
    from queue import SimpleQueue

    free: SimpleQueue[memoryview] = SimpleQueue()
    full: SimpleQueue[memoryview | None] = SimpleQueue()
    digest = hashlib.sha256()

    def add_up() -> None:
        while (piece := full.get()) is not None:
            digest.update(piece)
            free.put(memoryview(piece.obj))

    def hand_on(piece: memoryview) -> memoryview:
        full.put(piece)
        return free.get()

    for _ in range(_BUFFERS):
        free.put(memoryview(bytearray(_BUFFER)))
    hashing = threading.Thread(target=add_up)
    hashing.start()
    try:
        return _receive(url, dest, ca_file, free.get(), hand_on)
    finally:
        full.put(None)
        hashing.join()


def _receive(
    url: str, dest: str, ca_file: str | None, view: memoryview, hand_on: Callable[[memoryview], memoryview]
) -> bool:
    """Receive into `view` and write; `hand_on` is given what has been written, and says where the next bytes go."""
    connection, host, path = _open(url, ca_file)
    count, start, length = _begin(connection, host, path, view)
    target, written = os.open(dest, os.O_CREAT | os.O_WRONLY | os.O_TRUNC), 0
    while count:
        piece = view[start:count]
        written += os.pwrite(target, piece, written)
        view, start = hand_on(piece), 0
        count = connection.recv_into(view) if written < length else 0
    os.close(target)
    return written == length


def splice(url: str, dest: str, ca_file: str | None = None) -> bool:
    """Socket to pipe to file, without a copy into this process; http only. Whether all bytes came."""
    import fcntl  # there is none on Windows, and no splice either

    connection, host, path = _open(url, ca_file)
    view = memoryview(bytearray(1 << 16))
    count, start, length = _begin(connection, host, path, view)
    connection.setblocking(True)  # a socket with a timeout does not block in splice
    target = os.open(dest, os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
    written = os.pwrite(target, view[start:count], 0)
    end, begin = os.pipe()
    fcntl.fcntl(begin, fcntl.F_SETPIPE_SZ, _BUFFER)
    while written < length and (count := os.splice(connection.fileno(), begin, _BUFFER)):
        while count:
            moved = os.splice(end, target, count, offset_dst=written)
            written += moved
            count -= moved
    os.close(target)
    return written == length


def bare_aiohttp(url: str, dest: str, ca_file: str | None = None) -> bool:
    """One stream, each chunk written where it arrives; whether all bytes came."""
    import asyncio
    import ssl

    import aiohttp

    async def bring() -> bool:
        context = ssl.create_default_context(cafile=ca_file) if ca_file else True
        async with aiohttp.ClientSession() as session, session.get(url, ssl=context) as response:
            target, written = os.open(dest, os.O_CREAT | os.O_WRONLY | os.O_TRUNC), 0
            async for chunk in response.content.iter_any():
                written += os.pwrite(target, chunk, written)
            os.close(target)
            return written == response.content_length

    return asyncio.run(bring())


if __name__ == "__main__":
    ways = {"recv": recv, "sha256": sha256, "splice": splice, "aiohttp": bare_aiohttp}
    sys.exit(not ways[sys.argv[1]](*sys.argv[2:]))
