"""An endpoint as a source of URLs: redirect, JSON or text; and nothing of it is ever said."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from asyncdl.errors import OptionsError, RefreshError, SourceError
from asyncdl.model import SignedUrl
from asyncdl.options import Options
from asyncdl.sources.endpoint import EndpointSource
from asyncdl.testing import Origin
from tests.support.flow import PART, fetch, holds, small
from tests.support.service import Service, serving

_PLAIN = Options(use_environment=False)
_URL = "https://host/f?X-Amz-Signature=0123456789abcdef"
_SECRETS = ("0123456789abcdef", "hunter2secret", "aHVudGVyMjpodW50ZXIyc2VjcmV0")
SIZE = 6 * PART + 999


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    """A running endpoint."""
    service = Service()
    async with serving(service.handle) as service.url:
        yield service


def _source(service: Service, **changes: Any) -> EndpointSource:
    return EndpointSource(f"{service.url}/presign/hunter2secret?key=hunter2secret", **({"options": _PLAIN} | changes))


def _json(text: str) -> web.Response:
    return web.Response(text=text, content_type="application/json")


@pytest.mark.parametrize("kind", ["redirect", "json", "text"])
async def test_a_download_whose_urls_die(
    service: Service, origin: Origin, kind: str, tmp_path: Path, no_leaks: object
) -> None:
    """Each way to answer serves a whole download, renewals included."""
    content = origin.add("/f", SIZE)
    origin.rate = 6 * PART

    def answer(_: web.Request) -> web.Response:
        url = origin.presign("/f", ttl=0.4)
        if kind == "redirect":
            return web.Response(status=303, headers={"Location": url})
        return web.json_response({"url": url}) if kind == "json" else web.Response(text=f"\n {url} \nmore\n")

    service.answer = answer
    result = await fetch(_source(service), tmp_path / "f", options=small(1, refresh_margin=0.0, reuse_window=0.0))

    assert holds(tmp_path / "f", content)
    assert result.refreshes >= 1


@pytest.mark.parametrize(
    ("text", "options", "expires_at"),
    [
        (f'"{_URL}"', {}, None),
        (f'{{"url": "{_URL}"}}', {}, None),
        (f'{{"a/b": [0, {{"~": " {_URL}\\n"}}]}}', {"pointer": "/a~1b/1/~0"}, None),
        (f'{{"u": "{_URL}", "e": 1700000000.5}}', {"pointer": "/u", "expires_pointer": "/e"}, 1700000000.5),
        (f'{{"url": "{_URL}", "e": "2023-11-14T22:13:20Z"}}', {"expires_pointer": "/e"}, 1700000000.0),
        (f'{{"url": "{_URL}", "e": "2023-11-14T23:13:20+01:00"}}', {"expires_pointer": "/e"}, 1700000000.0),
        (f'{{"url": "{_URL}", "e": "2023-11-14 22:13:20"}}', {"expires_pointer": "/e"}, 1700000000.0),
    ],
)
async def test_where_the_url_is(service: Service, text: str, options: dict[str, Any], expires_at: float | None) -> None:
    """In the likely places, or where the pointer says; when it dies too."""
    service.answer = lambda _: _json(text)

    assert SignedUrl(_URL, expires_at=expires_at) == await _source(service, **options)()


async def test_a_pointer_makes_it_json(service: Service) -> None:
    """Whatever the endpoint calls it; and JSON with a type of its own is JSON."""
    service.answer = lambda _: web.Response(text=f'{{"url": "{_URL}"}}', content_type="text/plain")
    pointed = await _source(service, pointer="/url")()
    service.answer = lambda _: web.Response(text=f'{{"url": "{_URL}"}}', content_type="application/vnd.x+json")

    assert [_URL, _URL] == [pointed.url, (await _source(service)()).url]


@pytest.mark.parametrize(
    ("options", "authorization"),
    [
        ({}, None),
        ({"bearer": "hunter2secret\n"}, "Bearer hunter2secret"),
        ({"basic": ("hunter2", "hunter2secret")}, "Basic aHVudGVyMjpodW50ZXIyc2VjcmV0"),
        ({"headers": (("Authorization", "Custom hunter2secret"),)}, "Custom hunter2secret"),
    ],
)
async def test_who_asks(service: Service, options: dict[str, Any], authorization: str | None) -> None:
    """By the header of its kind; the URL that comes back carries none of it."""
    service.answer = lambda _: web.Response(status=302, headers={"Location": "/next"})
    source = _source(service, method="POST", **options)
    url = await source()
    request, _ = service.asked[0]

    assert ("POST", authorization) == (request.method, request.headers.get("Authorization"))
    assert (f"{service.url}/next", ()) == (url.url, url.headers)
    assert [] == [secret for secret in _SECRETS if secret in repr(source)]


@pytest.mark.parametrize(
    ("answer", "options", "words"),
    [
        (web.Response(status=401), {}, "answered 401"),
        (web.Response(status=403, text=_URL), {"bearer": "hunter2secret"}, "answered 403"),
        (web.Response(status=404), {}, "answered 404"),
        (web.Response(status=304), {}, "answered 304"),
        (web.Response(status=302), {}, "answered 302"),
        (web.Response(text=" \n\n"), {}, "the answer is empty"),
        (web.Response(status=204), {}, "the answer is empty"),
        (_json(f"{_URL}"), {}, "is not JSON"),
        (_json("[" * 100_000), {}, "is not JSON"),
        (_json(f'{{"link": "{_URL}"}}'), {}, "no string at '' or '/url'"),
        (_json(f'{{"link": "{_URL}"}}'), {"pointer": "/hunter"}, "no string at '/hunter'"),
        (_json('{"url": 1}'), {"pointer": "/url"}, "no string at '/url'"),
        (_json(f'{{"url": "{_URL}"}}'), {"expires_pointer": "/e"}, "no point in time at '/e'"),
        (_json(f'{{"url": "{_URL}", "e": "soon"}}'), {"expires_pointer": "/e"}, "no point in time"),
        (_json(f'{{"url": "{_URL}", "e": NaN}}'), {"expires_pointer": "/e"}, "no point in time"),
        (_json(f'{{"url": "{_URL}", "e": true}}'), {"expires_pointer": "/e"}, "no point in time"),
    ],
)  # fmt: skip
async def test_answers_without_a_url(
    service: Service, answer: web.Response, options: dict[str, Any], words: str
) -> None:
    """Each is told by its kind, and none is repeated."""
    service.answer = lambda _: answer
    with pytest.raises(SourceError, match=words) as caught:
        await _source(service, **options)()
    said = f"{caught.value} {caught.value.hint} {caught.value!r} {caught.value.__cause__!r}"

    assert caught.value.message.startswith(f"{service.url}/…: ")
    assert [] == [secret for secret in _SECRETS if secret in said]


async def test_nonsense_is_told_by_the_engine(service: Service, tmp_path: Path) -> None:
    """What is no URL ends the download without being repeated."""
    service.answer = lambda _: web.Response(text="hunter2secret nonsense")
    with pytest.raises(RefreshError) as caught:
        await fetch(_source(service), tmp_path / "f")

    assert "hunter2secret" not in f"{caught.value} {caught.value.hint}"


async def test_a_busy_endpoint_is_asked_again(service: Service) -> None:
    """If asking twice does no harm."""
    statuses = [200, 503]
    service.answer = lambda _: web.Response(status=statuses.pop(), text=_URL, headers={"Retry-After": "0"})

    assert _URL == (await _source(service)()).url
    statuses = [200, 503]
    with pytest.raises(SourceError, match="answered 503"):
        await _source(service, method="POST")()


@pytest.mark.parametrize(
    "options",
    [
        {"url": "ftp://host/x"},
        {"pointer": "url"},
        {"expires_pointer": "e"},
        {"method": "DELETE"},
        {"timeout": 0},
        {"bearer": " "},
        {"bearer": "hunter2secret\r\nX: y"},
        {"basic": ("a:b", "c")},
        {"bearer": "hunter2secret", "basic": ("a", "b")},
        {"bearer": "hunter2secret", "headers": (("authorization", "x"),)},
        {"bearer": "hunter2secret", "url": "https://user:hunter2secret@host/"},
    ],
)
def test_refused(options: dict[str, Any]) -> None:
    """What cannot work is refused before it is needed, without a secret."""
    with pytest.raises(OptionsError) as caught:
        EndpointSource(**({"url": "https://host/x"} | options))

    assert "hunter2secret" not in str(caught.value)
