"""Python's own `http.server`: no ranges, no entity tags, and HTTP/1.0 unless asked for better."""

from __future__ import annotations

import sys
from typing import ClassVar, Literal

from tests.support.process import HOST
from tests.support.site import Server


class PythonHttp(Server):
    """One `python -m http.server`."""

    PROGRAM: ClassVar[str] = sys.executable
    PACKAGE: ClassVar[str] = "python3"

    def __init__(self, protocol: Literal["HTTP/1.0", "HTTP/1.1"] = "HTTP/1.0") -> None:
        super().__init__()
        self._protocol = protocol

    def command(self, port: int) -> list[str]:
        bind = ["--bind", HOST, "--directory", str(self.root), "--protocol", self._protocol]
        return [sys.executable, "-m", "http.server", *bind, str(port)]
