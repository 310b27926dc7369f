"""An origin for one file over plain HTTP that holds each connection to a rate, answers late, or lets one collapse.

A thread for each connection and `sendfile`: it gives eight connections 50 MB/s each for a tenth of a core, where nginx
cannot be asked: its `limit_rate` lets the first second's worth of every response pass at once, which for a range
request is all of it.

    python -m benchmarks.paced FILE [--rate BYTES] [--latency SECONDS]

prints its port as JSON, and ends when its standard input closes. `GET /_set?rate=&latency=&collapse=` and
`GET /_counts` control it.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import socket
import struct
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

#: Seconds of sending in one go where there is a rate.
_TICK = 0.01
_BLOCK = 1 << 20
_PATIENCE = 120
#: What a connection that collapses gets, and after how many of its bytes.
COLLAPSED = 100_000.0
_HEALTHY = 4 << 20
_RANGE = re.compile(r"(?im)^range: *bytes=(\d+)-(\d*)")


@dataclass(slots=True)
class _State:
    """What all connections share."""

    file: int
    size: int
    rate: float = 0.0
    latency: float = 0.0
    collapse: int = -1
    connections: int = 0
    requests: int = 0
    sent: int = 0
    open: int = 0
    most_open: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def set(self, query: dict[str, list[str]]) -> None:
        with self.lock:
            self.rate = float(query.get("rate", ["0"])[0])
            self.latency = float(query.get("latency", ["0"])[0])
            self.collapse = int(query.get("collapse", ["-1"])[0])
            self.connections = self.requests = self.sent = self.most_open = 0

    def counts(self) -> dict[str, int]:
        return {"requests": self.requests, "sent": self.sent, "connections": self.connections, "open": self.most_open}


class _Connection:
    """One client's connection, served in a thread of its own."""

    def __init__(self, state: _State, peer: socket.socket) -> None:
        self._state, self._peer = state, peer
        self._number = -1
        self._sent = 0
        self._due = 0.0

    def serve(self) -> None:
        with self._peer, contextlib.suppress(OSError):
            data = b""
            while True:
                while b"\r\n\r\n" not in data:
                    more = self._peer.recv(65536)
                    if not more:
                        return
                    data += more
                head, _, data = data.partition(b"\r\n\r\n")
                self._answer(head.decode("latin-1"))

    def _answer(self, head: str) -> None:
        state = self._state
        target = urlsplit(head.split(" ", 2)[1])
        if target.path in {"/_set", "/_counts"}:
            if target.path == "/_set":
                state.set(parse_qs(target.query))
            body = json.dumps(state.counts()).encode()
            self._peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            return
        with state.lock:
            if self._number < 0:
                self._number = state.connections
                state.connections += 1
            state.requests += 1
            state.open += 1
            state.most_open = max(state.open, state.most_open)
        try:
            self._send(head)
        finally:
            with state.lock:
                state.open -= 1

    def _send(self, head: str) -> None:
        state = self._state
        time.sleep(state.latency)
        asked = _RANGE.search(head)
        start, stop = 0, state.size
        if asked:
            start = int(asked[1])
            stop = min(int(asked[2]) + 1, stop) if asked[2] else stop
        status = f"206 Partial Content\r\nContent-Range: bytes {start}-{stop - 1}/{state.size}" if asked else "200 OK"
        fields = f'Accept-Ranges: bytes\r\nETag: "paced-{state.size}"\r\nContent-Length: {stop - start}'
        self._peer.sendall(f"HTTP/1.1 {status}\r\n{fields}\r\n\r\n".encode())
        if not head.startswith("HEAD "):
            self._body(start, stop)

    def _body(self, start: int, stop: int) -> None:
        state = self._state
        while start < stop:
            rate = COLLAPSED if self._number == state.collapse and self._sent >= _HEALTHY else state.rate
            block = min(stop - start, max(4096, int(rate * _TICK)) if rate else _BLOCK)
            if rate:
                now = time.monotonic()
                # What was not used is lost, but for one tick that a late wake-up may make good.
                self._due = max(self._due, now - _TICK)
                time.sleep(max(0.0, self._due - now))
                self._due += block / rate
            count = os.sendfile(self._peer.fileno(), state.file, start, block)
            start += count
            self._sent += count
            with state.lock:
                state.sent += count


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.paced", description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--rate", type=float, default=0.0)
    parser.add_argument("--latency", type=float, default=0.0)
    options = parser.parse_args()
    file = os.open(options.file, os.O_RDONLY)
    state = _State(file, os.fstat(file).st_size, options.rate, options.latency)
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    threading.Thread(target=_accept, args=(listener, state), daemon=True).start()
    print(json.dumps({"port": listener.getsockname()[1]}), flush=True)
    with contextlib.suppress(KeyboardInterrupt):
        sys.stdin.read()


def _accept(listener: socket.socket, state: _State) -> None:
    while True:
        peer, _ = listener.accept()
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", _PATIENCE, 0))
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", _PATIENCE, 0))
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=_Connection(state, peer).serve, daemon=True).start()


@dataclass(frozen=True, slots=True)
class Paced:
    """A running origin, as seen from its parent."""

    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/object.bin"

    def set(self, *, rate: float = 0.0, latency: float = 0.0, collapse: int = -1) -> None:
        """Bytes per second of each connection (0: no bound), seconds before each response, and which one collapses.

        `collapse` counts the connections that ask for data from now on, from 0; -1 for none. All counts begin anew.
        """
        self._get(f"/_set?rate={rate}&latency={latency}&collapse={collapse}")

    def counts(self) -> dict[str, int]:
        """Since the last `set`: requests, sent (bytes), connections, open (most requests at once)."""
        return self._get("/_counts")

    def _get(self, target: str) -> dict[str, int]:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"http://127.0.0.1:{self.port}{target}", timeout=10) as answer:
            found: dict[str, int] = json.load(answer)
        return found


@contextlib.contextmanager
def pacing(file: Path) -> Iterator[Paced]:
    """Serve a file from a process of its own, at first without a bound."""
    command = [sys.executable, "-m", "benchmarks.paced", str(file)]
    env = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")]),
    }
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env) as process:
        try:
            assert process.stdout is not None
            yield Paced(json.loads(process.stdout.readline())["port"])
        finally:
            assert process.stdin is not None
            process.stdin.close()
            process.wait(10)


if __name__ == "__main__":
    main()
