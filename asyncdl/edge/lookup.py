"""Name resolution by the system, one thread for each question, and never waited for longer than the caller likes."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from typing import NamedTuple

#: Only families that this machine has an address of; not every platform knows the flag.
_FLAGS = socket.AI_ADDRCONFIG & getattr(socket, "AI_MASK", -1)


class Address(NamedTuple):
    """One answer: an address as text, a zone after `%` where it has one."""

    family: int
    host: str
    port: int


async def look_up(host: str, port: int, family: int, patience: float) -> list[Address]:
    """What getaddrinfo(3) says about `host`, in its order.

    The thread is a daemon's of its own: in a shared pool, questions that nobody answers would keep everybody else's
    waiting, and the loop could not end before they do.

    Raises:
        socket.gaierror: the system's answer; EAI_AGAIN where there was none within `patience` seconds.
    """
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[list[Address]] = loop.create_future()

    def deliver(found: list[Address] | Exception) -> None:
        if answer.done():
            return
        if isinstance(found, Exception):
            answer.set_exception(found)
        else:
            answer.set_result(found)

    def ask() -> None:
        found: list[Address] | Exception
        try:
            found = _addresses(host, port, family)
        except Exception as error:  # noqa: BLE001  # UnicodeError is among them; all of it is for who asked
            found = error
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(deliver, found)

    threading.Thread(target=ask, name=f"look up {host}", daemon=True).start()
    bound = asyncio.timeout(patience)
    try:
        async with bound:
            return await answer
    except TimeoutError:
        if not bound.expired():
            raise
    raise socket.gaierror(socket.EAI_AGAIN, "no answer in time")


def _addresses(host: str, port: int, family: int) -> list[Address]:
    found = []
    for kind, _, _, _, where in socket.getaddrinfo(host, port, family, socket.SOCK_STREAM, 0, _FLAGS):
        text = str(where[0])
        if kind == socket.AF_INET6 and len(where) > 3 and where[3] and "%" not in text:
            text = f"{text}%{where[3]}"  # a link-local address means nothing without its zone
        found.append(Address(kind, text, int(where[1])))
    if not found:
        raise socket.gaierror(socket.EAI_NONAME, "the name has no address")
    return found
