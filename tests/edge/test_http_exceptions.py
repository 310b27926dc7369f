"""Every exception that aiohttp knows, thrown at the edge: it becomes one of ours, and no URL comes along."""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest
from aiohttp.client_reqrep import ConnectionKey, RequestInfo
from aioresponses import aioresponses
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from asyncdl.edge.http import AiohttpTransport
from asyncdl.edge.http_faults import translate
from asyncdl.edge.http_pooled import PooledBody
from asyncdl.errors import ConnectError, ResponseMismatchError, TransferError
from asyncdl.testing import Origin
from tests.support.http import SECRET, ask, transport, words_of

SIZE = 300_000
pytestmark = pytest.mark.usefixtures("no_leaks")
KEY = ConnectionKey("host.test", 443, True, True, None, None, None)
URL_WITH_SECRET = URL(f"https://user:{SECRET}@host.test/f?sig={SECRET}", encoded=True)
INFO = RequestInfo(URL_WITH_SECRET, "GET", CIMultiDictProxy(CIMultiDict({"Authorization": SECRET})), URL_WITH_SECRET)


def _certificate() -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "failed")
    error.verify_message = "certificate has expired"
    return error


#: Every kind of exception that aiohttp raises, with a URL in it where it takes one; and what it comes to.
RAISED: list[tuple[BaseException, type[TransferError], bool]] = [
    (aiohttp.InvalidURL(URL_WITH_SECRET), ResponseMismatchError, False),
    (aiohttp.InvalidUrlClientError(URL_WITH_SECRET, SECRET), ResponseMismatchError, False),
    (aiohttp.NonHttpUrlClientError(URL_WITH_SECRET), ResponseMismatchError, False),
    (ValueError(str(URL_WITH_SECRET)), ResponseMismatchError, False),
    (aiohttp.ConnectionTimeoutError(f"Connection timeout to host {URL_WITH_SECRET}"), ConnectError, True),
    (aiohttp.ServerTimeoutError(str(URL_WITH_SECRET)), ConnectError, True),
    (aiohttp.ServerDisconnectedError(SECRET), ConnectError, True),
    (aiohttp.ClientPayloadError(SECRET), ConnectError, True),
    (aiohttp.ClientConnectionError(SECRET), ConnectError, True),
    (aiohttp.ClientOSError(errno.EPIPE, "Broken pipe"), ConnectError, True),
    (aiohttp.ClientConnectorError(KEY, ConnectionRefusedError(111, "refused")), ConnectError, True),
    (aiohttp.ClientProxyConnectionError(KEY, OSError(113, "No route to host")), ConnectError, True),
    (aiohttp.ClientConnectorDNSError(KEY, socket.gaierror(-2, "Name or service not known")), ConnectError, True),
    (aiohttp.ClientConnectorCertificateError(KEY, _certificate()), ConnectError, False),
    (aiohttp.ClientConnectorSSLError(KEY, ssl.SSLError(1, "handshake failure")), ConnectError, True),
    (aiohttp.ServerFingerprintMismatch(b"a", b"b", "host.test", 443), ConnectError, False),
    (aiohttp.ClientHttpProxyError(INFO, (), status=407, message=SECRET), ConnectError, False),
    (aiohttp.ClientHttpProxyError(INFO, (), status=502, message=SECRET), ConnectError, True),
    (aiohttp.ClientResponseError(INFO, (), status=400, message=SECRET), ResponseMismatchError, True),
    (aiohttp.ContentTypeError(INFO, (), message=SECRET), ResponseMismatchError, True),
    (aiohttp.ClientError(str(URL_WITH_SECRET)), ConnectError, True),
    (ConnectionResetError(104, "Connection reset by peer"), ConnectError, True),
    (OSError(errno.EMFILE, "Too many open files"), ConnectError, True),
    (TimeoutError(), ConnectError, True),
    (RuntimeError(f"Session is closed {URL_WITH_SECRET}"), ConnectError, True),
]


@pytest.mark.parametrize(("raised", "kind", "retryable"), RAISED, ids=lambda value: type(value).__name__)
async def test_every_exception_of_the_library(
    monkeypatch: pytest.MonkeyPatch, raised: BaseException, kind: type[TransferError], retryable: bool
) -> None:
    """Whatever aiohttp raises while asking becomes one of ours, worth another try or not, and without its words."""

    async def fail(*_: object, **__: object) -> None:
        try:
            raise LookupError(str(URL_WITH_SECRET))
        except LookupError:
            raise raised from RuntimeError(SECRET)

    monkeypatch.setattr(aiohttp.ClientSession, "_request", fail)
    async with transport() as over:
        with pytest.raises(TransferError) as caught:
            await ask(over, str(URL_WITH_SECRET))

    assert (kind, retryable) == (type(caught.value), caught.value.retryable)
    assert SECRET not in words_of(caught.value)


@pytest.mark.parametrize("way", ["plain", "pooled", "pooled, later"])
@pytest.mark.parametrize(("raised", "kind", "retryable"), RAISED, ids=lambda value: type(value).__name__)
async def test_every_exception_in_a_body(
    origin: Origin,
    monkeypatch: pytest.MonkeyPatch,
    raised: Exception,
    kind: type[TransferError],
    retryable: bool,
    way: str,
) -> None:
    """The same while a body is read: by aiohttp, where it is taken over from it, and when the connection ends so."""
    origin.add("/f", SIZE)

    async def fail(*_: object) -> bytes:
        raise raised from RuntimeError(SECRET)

    def fail_at_once(*_: object) -> bytes:
        raise raised from RuntimeError(SECRET)

    def lose(body: PooledBody, _: int) -> None:
        transport: Any = body._handler.transport
        transport._force_close(raised)  # as asyncio does where reading from the socket raises

    for name in ("read", "readany", "readchunk", "readexactly"):
        monkeypatch.setattr(aiohttp.StreamReader, name, fail)
    if way == "pooled":
        monkeypatch.setattr(aiohttp.StreamReader, "read_nowait", fail_at_once)
    else:
        monkeypatch.setattr(PooledBody, "filled", lose)
    async with transport(pooled_buffers=way != "plain") as over:
        with pytest.raises(TransferError) as caught:
            await ask(over, origin.url("/f"), 0, SIZE)

    assert (kind, retryable) == (type(caught.value), caught.value.retryable)
    assert SECRET not in words_of(caught.value)


@pytest.mark.parametrize("ours", [True, False], ids=["of our task", "of what it waited for"])
async def test_cancellation(monkeypatch: pytest.MonkeyPatch, ours: bool) -> None:
    """Our own goes through untouched; one that nobody asked for is a broken wait, or it would end a task in silence."""

    async def cancelled(*_: object, **__: object) -> None:
        task = asyncio.current_task()
        if ours and task is not None:
            task.cancel()
            await asyncio.sleep(0)
        raise asyncio.CancelledError

    monkeypatch.setattr(aiohttp.ClientSession, "_request", cancelled)
    async with transport() as over:
        task = asyncio.create_task(ask(over, "http://host.test/f"))
        with pytest.raises(asyncio.CancelledError if ours else ConnectError):
            await task


def test_cause_is_the_systems_own() -> None:
    """The system's error stays as the cause: its number tells a connection refused from a host unreachable."""
    refused = ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")
    cause = translate(aiohttp.ClientConnectorError(KEY, refused)).__cause__

    assert isinstance(cause, ConnectionRefusedError)
    assert (refused.args, None) == (cause.args, cause.__traceback__)


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (aiohttp.ServerDisconnectedError(), ConnectError),
        (aiohttp.ClientPayloadError(SECRET), ConnectError),
        (TimeoutError(SECRET), ConnectError),
    ],
    ids=["disconnected", "payload", "timeout"],
)
async def test_through_aioresponses(raised: Exception, expected: type[TransferError]) -> None:
    """The edge works over a mocked aiohttp too, as adopters' tests use it."""
    url = f"http://host.test/f?sig={SECRET}"
    with aioresponses() as mocked:
        mocked.get(URL(url, encoded=True), exception=raised)
        async with transport() as over:
            with pytest.raises(TransferError) as caught:
                await ask(over, url)

    assert expected is type(caught.value)
    assert SECRET not in words_of(caught.value)


@pytest.mark.parametrize("spoil", [lambda over: over.aclose()], ids=["closed"])
async def test_after_closing(origin: Origin, spoil: Callable[[AiohttpTransport], Any]) -> None:
    """A transport that was closed asks nobody."""
    origin.add("/f", SIZE)
    async with transport() as over:
        await spoil(over)
        with pytest.raises(Exception, match="closed"):
            await ask(over, origin.url("/f"))

    assert [] == origin.ledger.requests
