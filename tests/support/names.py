"""Names that mean what a test says: answers in the resolver's place, one after the other."""

from __future__ import annotations

import socket
from typing import Any

import pytest

Answer = list[str] | Exception


class Names:
    """Stands in for getaddrinfo(3); a name that is not in the table goes to the real one.

    Args:
        table: for each name its answers in turn, the last one for ever: addresses, or what is raised.

    Attributes:
        asked: the names looked up, in order.
    """

    def __init__(self, table: dict[str, list[Answer]]) -> None:
        self.asked: list[str] = []
        self._table = {name: list(answers) for name, answers in table.items()}
        self._real = socket.getaddrinfo

    def install(self, monkeypatch: pytest.MonkeyPatch) -> Names:
        """From now on, and until the end of the test."""
        monkeypatch.setattr(socket, "getaddrinfo", self)
        return self

    def __call__(self, host: str, port: Any, *arguments: Any, **named: Any) -> Any:
        answers = self._table.get(host.lower()) if isinstance(host, str) else None
        if answers is None:
            return self._real(host, port, *arguments, **named)
        self.asked.append(host)
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, Exception):
            raise answer
        return [self._one(address, port) for address in answer]

    @staticmethod
    def _one(address: str, port: int) -> tuple[Any, ...]:
        if ":" in address:
            return socket.AF_INET6, socket.SOCK_STREAM, 6, "", (address, port, 0, 0)
        return socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)
