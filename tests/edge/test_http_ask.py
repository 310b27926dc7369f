"""One question and its answer: bounded in time and size, over whatever coding, with faults in our own words."""

from __future__ import annotations

import asyncio
import gzip
import ssl
import zlib
from collections.abc import AsyncIterator

import pytest
import trustme
from aiohttp import web

from asyncdl.edge.http_ask import Asker, Reply
from asyncdl.errors import ConnectError, OptionsError, ResponseMismatchError, StallError
from asyncdl.model import Headers
from asyncdl.options import Options, Timeouts
from asyncdl.testing import Origin, deaf_port
from tests.support.service import Service, serving

_PLAIN = Options(use_environment=False)
#: Only what hangs takes so long.
_PATIENT = Timeouts(connect=60, refresh=60)
_QUERY = "?X-Amz-Signature=0123456789abcdef"


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    """A running service."""
    service = Service()
    async with serving(service.handle) as service.url:
        yield service


@pytest.fixture
async def asker(no_leaks: object) -> AsyncIterator[Asker]:
    """An asker that leaves nothing behind."""
    async with Asker(_PLAIN, _PATIENT) as asker:
        yield asker


async def test_question_and_answer(service: Service, asker: Asker) -> None:
    """Everything that is sent arrives, everything that comes is there, and the connection is used again."""
    service.answer = lambda _: web.Response(status=418, headers=[("X-A", "1"), ("X-A", "2")], body=b"tea")
    replies = [
        await asker.ask("POST", f"{service.url}/x%2Fy?q=%20", headers=(("X-B", "b"),), body=b"what?") for _ in range(2)
    ]
    request, body = service.asked[0]

    assert (418, ["1", "2"], b"tea") == (replies[0].status, replies[0].headers.all("X-A"), replies[0].body)
    assert ("POST", "/x%2Fy?q=%20", b"what?", "b") == (request.method, request.raw_path, body, request.headers["X-B"])
    assert request.headers["User-Agent"].startswith("asyncdl/")
    assert 1 == len({asked.transport for asked, _ in service.asked})


async def test_redirects_are_answers(service: Service, asker: Asker) -> None:
    """They are brought in, not followed."""
    service.answer = lambda _: web.Response(status=302, headers={"Location": f"/elsewhere{_QUERY}"})
    reply = await asker.ask("GET", f"{service.url}/x")

    assert (302, f"{service.url}/elsewhere{_QUERY}") == (reply.status, reply.target(_PLAIN))
    assert 1 == len(service.asked)
    assert "0123456789abcdef" not in repr(reply)


@pytest.mark.parametrize(("method", "coding"), [("GET", "gzip"), ("HEAD", "identity")])
async def test_codings(service: Service, asker: Asker, method: str, coding: str) -> None:
    """Answers may come as gzip; one that has only a size to tell may not."""
    packed = gzip.compress(b"x" * 1000) if method == "GET" else b""
    service.answer = lambda _: web.Response(body=packed, headers={"Content-Encoding": "gzip"} if packed else {})
    reply = await asker.ask(method, service.url)

    assert b"x" * 1000 * (method == "GET") == reply.body
    assert coding == service.asked[0][0].headers["Accept-Encoding"]


@pytest.mark.parametrize(
    ("body", "coding", "words"),
    [
        (b"x" * 1001, "", "more than 1000 bytes"),
        (gzip.compress(bytes(1001)), "gzip", "more than 1000 bytes"),
        (gzip.compress(bytes(100_000_000)), "gzip", "more than 1000 bytes"),
        (gzip.compress(bytes(100))[:-9], "gzip", "in the middle"),
        (b"plain", "gzip", "says it is gzip"),
        (zlib.compress(b"x"), "deflate", "nobody asked for"),
        (b"x", "br", "nobody asked for"),
    ],
    ids=["long", "long when decoded", "bomb", "cut off", "no gzip", "deflate", "br"],
)
async def test_bodies_that_are_refused(service: Service, asker: Asker, body: bytes, coding: str, words: str) -> None:
    """Too long, as sent or as decoded; broken; in another coding."""
    service.answer = lambda _: web.Response(body=body, headers={"Content-Encoding": coding} if coding else {})
    with pytest.raises(ResponseMismatchError, match=words):
        await asker.ask("GET", service.url, limit=1000)


async def test_a_body_without_end(asker: Asker) -> None:
    """The reading stops at the limit."""

    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(bytes(1000))

    async with serving(endless) as url, asyncio.timeout(100):
        with pytest.raises(ResponseMismatchError, match="more than 5000 bytes"):
            await asker.ask("GET", url, limit=5000)


async def test_silence(asker: Asker) -> None:
    """Neither a server without a word nor one that stops in mid-answer holds anybody up."""

    async def halting(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"x")
        await asyncio.sleep(60)
        return response

    async with serving(halting) as url, Origin(silent=True) as silent, Asker(_PLAIN, Timeouts(refresh=0.3)) as hasty:
        for where in (url, silent.base_url):
            with pytest.raises(StallError, match=r"no answer within 0\.3 s"):
                await hasty.ask("GET", f"{where}/{_QUERY}", tries=5)


async def test_nobody_there(asker: Asker) -> None:
    """Refused and unanswered connections, and hosts that do not exist; the query is never said."""
    with pytest.raises(ConnectError, match="connection refused"):
        await asker.ask("GET", f"http://127.0.0.1:9/x{_QUERY}")
    with pytest.raises(ConnectError, match=r"cannot resolve none\.invalid"):
        await asker.ask("GET", f"http://none.invalid/x{_QUERY}")
    async with deaf_port() as (host, port), Asker(_PLAIN, Timeouts(connect=0.2, refresh=60)) as hasty:
        with pytest.raises(ConnectError, match="cannot connect in time"):
            await hasty.ask("GET", f"http://{host}:{port}/x{_QUERY}")


async def test_a_request_body_that_nobody_takes(asker: Asker) -> None:
    """The words of aiohttp for it hold the URL; ours do not."""

    async def slam(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    server = await asyncio.start_server(slam, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        for _ in range(20):
            with pytest.raises(ConnectError) as caught:
                await asker.ask("POST", f"http://127.0.0.1:{port}/x{_QUERY}", body=bytes(1_000_000))

            assert "0123456789abcdef" not in f"{caught.value} {caught.value.__cause__!r}"


@pytest.mark.parametrize(
    ("url", "headers"),
    [
        ("ftp://host/x", ()),
        (f"http://ho st/x{_QUERY}", ()),
        ("http://host/x", (("X-A", "hunter2secret\r\nX-B: 1"),)),
        ("http://host/x", (("Accept-Encoding", "br"),)),
    ],
)
async def test_what_cannot_be_sent(asker: Asker, url: str, headers: tuple[tuple[str, str], ...]) -> None:
    """It is refused, and not repeated."""
    with pytest.raises(OptionsError) as caught:
        await asker.ask("GET", url, headers=headers)

    assert [] == [secret for secret in ("0123456789abcdef", "hunter2secret") if secret in str(caught.value)]


async def test_user_and_password_in_the_url(service: Service, asker: Asker) -> None:
    """They become a header, unless there is one."""
    await asker.ask("GET", service.url.replace("//", "//user:pass%20word@"))
    await asker.ask("GET", service.url.replace("//", "//user:pass@"), headers=(("Authorization", "Bearer t"),))

    assert ["Basic dXNlcjpwYXNzIHdvcmQ=", "Bearer t"] == [
        request.headers["Authorization"] for request, _ in service.asked
    ]


async def test_other_tries(service: Service, asker: Asker) -> None:
    """What may pass is asked again, as often as is allowed; what stays is the answer."""
    statuses = [200, 503, 429]
    service.answer = lambda _: web.Response(status=statuses.pop() if statuses else 502, headers={"Retry-After": "0"})

    assert 200 == (await asker.ask("GET", service.url, tries=3)).status
    assert 502 == (await asker.ask("GET", service.url, tries=2)).status
    assert 502 == (await asker.ask("GET", service.url)).status
    assert 6 == len(service.asked)


async def test_a_wait_that_is_too_long(service: Service, asker: Asker) -> None:
    """If the server wants more time than there is, its answer is the answer, at once."""
    service.answer = lambda _: web.Response(status=503, headers={"Retry-After": "600"})
    async with asyncio.timeout(100):
        assert 503 == (await asker.ask("GET", service.url, tries=9)).status


async def test_cancellation(service: Service, asker: Asker) -> None:
    """It is let through."""
    arrived = asyncio.Event()

    async def hang(_: web.Request) -> web.StreamResponse:
        arrived.set()
        await asyncio.sleep(60)
        raise AssertionError

    async with serving(hang) as url:
        task = asyncio.ensure_future(asker.ask("GET", url, tries=3))
        await arrived.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_over_tls() -> None:
    """By the certificates of the options, and no others."""
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    async with Origin(ssl=context) as origin:
        origin.add("/f", 10)
        with authority.cert_pem.tempfile() as file:
            async with Asker(Options(ca_file=file, use_environment=False), Timeouts()) as trusting:
                reply = await trusting.ask("GET", origin.url("/f"))
        async with Asker(_PLAIN, Timeouts()) as other:
            with pytest.raises(ConnectError, match="TLS certificate refused"):
                await other.ask("GET", origin.url("/f"), tries=3)

    assert (200, 10) == (reply.status, len(reply.body))


async def test_over_a_proxy() -> None:
    """Of the options."""
    seen: list[str] = []

    async def proxy(request: web.Request) -> web.StreamResponse:
        seen.append(str(request.url))
        return web.Response(body=b"by proxy")

    async with serving(proxy) as url, Asker(Options(proxy=url, use_environment=False), Timeouts()) as asker:
        reply = await asker.ask("GET", "http://host.invalid/x")

    assert (b"by proxy", None) == (reply.body, reply.peer)
    assert ["http://host.invalid/x"] == seen


def _reply(location: str, url: str = "https://hub.example/x", peer: str | None = "93.184.215.14") -> Reply:
    return Reply(status=302, headers=Headers([("Location", location)]), body=b"", url=url, peer=peer)


@pytest.mark.parametrize(
    "location",
    ["http://hub.example/x", "ftp://hub.example/x", "https://10.0.0.1/", "https://localhost/", "https://[::1]/"],
)
def test_where_nobody_should_go(location: str) -> None:
    """From https to http, to no HTTP, from the Internet to the inside."""
    with pytest.raises(ResponseMismatchError):
        _reply(location).target(_PLAIN)


def test_inside_is_inside() -> None:
    """A private host may lead to one, and any may if the options say so."""
    assert "https://10.0.0.2/f" == _reply("https://10.0.0.2/f", peer="10.0.0.1").target(_PLAIN)
    assert "https://10.0.0.2/f" == _reply("https://10.0.0.2/f").target(Options(allow_private_redirects=True))
    assert "https://hub.example/y?z" == _reply("y?z").target(_PLAIN)
