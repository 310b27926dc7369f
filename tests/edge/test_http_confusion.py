"""URLs that readers disagree about, and line ends in what is sent: who is judged is who is asked, or nobody is."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from yarl import URL

import asyncdl
from asyncdl.edge import http_connections
from asyncdl.edge.http_connections import as_read
from asyncdl.errors import OptionsError, ResponseMismatchError
from asyncdl.rules.urls import check_url, origin_of, redirect_target
from asyncdl.testing import Content, Fault, Origin
from tests.support.http import SECRET, ask, transport, words_of
from tests.support.names import Names

SIZE = 10_000
CONTENT = Content(1, SIZE)
LINE_ENDS = ["\r\n", "\n", "\r", "\0", "\r\nX-Evil: 1\r\n\r\nGET /x HTTP/1.1"]
pytestmark = pytest.mark.usefixtures("no_leaks")

#: What is asked, where anybody is; None where nobody may be. `{port}` is the origin's.
CONFUSING = {
    "http://good.test;@evil.test:{port}/f": "evil.test",
    "http://good.test:80;@evil.test:{port}/f": "evil.test",
    "http://good.test%2f@evil.test:{port}/f": "evil.test",
    "http://good.test&@evil.test:{port}/f": "evil.test",
    "http://good.test:{port}#@evil.test/f": "good.test",
    "http://good.test:{port}/f?@evil.test/": "good.test",
    "http://good.test:{port}/f/@evil.test/": "good.test",
    "http://good.test:{port}?@evil.test/": "good.test",
    "http://good.test.:{port}/f": "good.test",
    "http://GOOD.test:{port}/f": "good.test",
    "http://\u24d6ood.test:{port}/f": "good.test",
    "http://g\u1d52\u1d52d.test:{port}/f": "xn--gd-pcsa.test",
    "http://\uff47ood\uff0etest:{port}/f": "good.test",
    "http://good\u3002test:{port}/f": "good.test",
    "http://b\u00fccher.test:{port}/f": "xn--bcher-kva.test",
    "http://good.test@evil.test@third.test:{port}/f": None,
    "http://good.test\\@evil.test:{port}/f": None,
    "http://good.test\\.evil.test:{port}/f": None,
    "http:\\\\good.test:{port}/f": None,
    "http:/good.test:{port}/f": None,
    "http:good.test:{port}/f": None,
    "http:///good.test:{port}/f": None,
    "http://good.test%00.evil.test:{port}/f": None,
    "http://good.test%2eevil.test:{port}/f": None,
    "http://good.test%40evil.test:{port}/f": None,
    "http://good.test\0.evil.test:{port}/f": None,
    "http://good.test\t.evil.test:{port}/f": None,
    "http://good.test .evil.test:{port}/f": None,
    "http://good.test;.evil.test:{port}/f": None,
    "http://good.test,evil.test:{port}/f": None,
    "http://good\u2100.test:{port}/f": None,
    "http://good.test\uff0fevil.test:{port}/f": None,
    "http://good.test\uff20evil.test:{port}/f": None,
    "http://good.test\uff1aevil.test:{port}/f": None,
    "http://stra\u00dfe.test:{port}/f": None,
    "http://[::1%25lo]:{port}/f": None,
    "http://[::1%lo]:{port}/f": None,
    "http://[::1]evil.test:{port}/f": None,
    "http://[::1]@evil.test:{port}/f": None,
    "http://evil[::1]:{port}/f": None,
    "http://[good.test]:{port}/f": None,
    "http://[v1.good]:{port}/f": None,
    "http://good.test:{port}:80/f": None,
    "http://good.test:{port}x/f": None,
    "http://good.test:\u0661\u0662/f": None,
    "http://good.test:+80/f": None,
    "http://good.test:99999/f": None,
    "http://good..test:{port}/f": None,
    "http://.good.test:{port}/f": None,
    "http://@:{port}/f": None,
    "//good.test:{port}/f": None,
    "javascript://good.test:{port}/f": None,
}
NAMES = (
    "good.test",
    "good.test.",
    "evil.test",
    "third.test",
    "xn--bcher-kva.test",
    "xn--gd-pcsa.test",
    "good.test.evil.test",
)


@pytest.mark.parametrize(("url", "host"), CONFUSING.items(), ids=map(ascii, CONFUSING))
async def test_host(origin: Origin, monkeypatch: pytest.MonkeyPatch, url: str, host: str | None) -> None:
    """The host that permissions are given to is the one that is looked up, connected to and named in the request."""
    names = Names({name: [["127.0.0.1"]] for name in NAMES}).install(monkeypatch)
    for path in ("/f", "/f/@evil.test/", "/"):
        origin.add(path, SIZE)
    url = url.format(port=origin.port)
    if host is None:
        with pytest.raises(OptionsError):
            check_url(url)
        return

    checked = check_url(url)
    async with transport() as over:
        await ask(over, checked)

    assert host == origin_of(checked).host
    assert [host] == [name.removesuffix(".").lower() for name in names.asked]
    (sent,) = origin.ledger.headers_seen("Host")
    assert f"{host}:{origin.port}" == sent.lower().replace(".:", ":")


@pytest.mark.parametrize(("location", "host"), CONFUSING.items(), ids=map(ascii, CONFUSING))
async def test_host_of_a_redirect(
    origin: Origin, monkeypatch: pytest.MonkeyPatch, location: str, host: str | None
) -> None:
    """The same where a server says it; what was given for the first host goes to no other."""
    names = Names({name: [["127.0.0.1"]] for name in NAMES}).install(monkeypatch)
    for path in ("/start", "/f", "/f/@evil.test/", "/"):
        origin.add(path, SIZE)
    location = location.format(port=origin.port)
    start = f"http://127.0.0.1:{origin.port}/start"
    try:
        target = redirect_target(start, location)
    except ResponseMismatchError:
        assert host is None
        return
    origin.script(Fault(path="/start", redirect=target, times=1))
    async with transport() as over:
        await ask(over, start, headers=(("Authorization", SECRET),))

    # A reference without a host of its own is one to the same host (RFC 3986 section 5.2).
    expected = host or ("good.test" if location.startswith("//") else None)
    assert ([] if expected is None else [expected]) == [name.removesuffix(".").lower() for name in names.asked]
    assert (1 if expected else 2) == len(origin.ledger.headers_seen("Authorization"))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.text("ab.:@/\\?#;%[]1\u3002\uff0f\uff21\u00e9 \0-_&", max_size=20), st.sampled_from(["", ":80", ":443", ":8080"])
)
@example("a;@b", "")
@example("[::1]", ":8080")
@example("A.B.", "")
def test_one_host_for_all_readers(authority: str, port: str) -> None:
    """Whatever passes the check has one host and one port, for the rules and for aiohttp."""
    try:
        url = check_url(f"http://{authority}{port}/f")
    except OptionsError:
        return
    judged, read = origin_of(url), as_read(url)

    assert (judged.host, judged.port) == ((read.raw_host or "").lower().removesuffix("."), read.port)


async def test_readers_that_disagree(origin: Origin) -> None:
    """A URL that slipped past the check and is read in two ways is not asked."""
    origin.add("/f", SIZE)
    with pytest.raises(ValueError, match="authority"):
        as_read("http://good.test\\@evil.test/f")
    async with transport() as over:
        with pytest.raises(ResponseMismatchError) as caught:
            await ask(over, f"http://127.0.0.1\\.evil.test:{origin.port}/f?{SECRET}")

    assert SECRET not in words_of(caught.value)
    assert 0 == origin.ledger.connections


@pytest.mark.parametrize("read", ["http://evil.test/f", "http://good.test:81/f"])
def test_who_is_judged_is_who_is_asked(monkeypatch: pytest.MonkeyPatch, read: str) -> None:
    """Should a library come to read a URL in its own way, in host or port, that URL is not asked."""
    assert URL("http://good.test/f") == as_read("http://good.test/f")
    monkeypatch.setattr(http_connections, "URL", lambda *_, **__: URL(read))

    with pytest.raises(ValueError, match=r"good\.test"):
        as_read("http://good.test/f")


@pytest.mark.parametrize("end", LINE_ENDS, ids=ascii)
@pytest.mark.parametrize("where", ["url", "header value", "header name", "user agent", "url's header", "proxy"])
async def test_line_ends(origin: Origin, tmp_path: Path, where: str, end: str) -> None:
    """A line end or a NUL in anything that is sent is refused before anybody is connected to."""
    origin.add("/f", SIZE)
    with pytest.raises((OptionsError, asyncdl.RefreshError)) as caught:
        await _download_with(where, end, origin, tmp_path / "f")

    assert 0 == origin.ledger.connections
    assert SECRET not in words_of(caught.value)
    assert [] == list(tmp_path.iterdir())


async def _download_with(where: str, end: str, origin: Origin, dest: Path) -> None:
    source: str | asyncdl.SignedUrl = origin.url("/f")
    headers: list[tuple[str, str]] = []
    options = asyncdl.Options(use_environment=False)
    match where:
        case "url":
            source = f"{origin.url('/f')}?a={end}{SECRET}"
        case "header value":
            headers = [("X-A", f"a{end}{SECRET}")]
        case "header name":
            headers = [(f"X{end}A", SECRET)]
        case "user agent":
            options = asyncdl.Options(use_environment=False, user_agent=f"a{end}")
        case "url's header":
            source = asyncdl.SignedUrl(origin.url("/f"), headers=(("X-A", f"a{end}{SECRET}"),))
        case _:
            options = asyncdl.Options(use_environment=False, proxy=f"{origin.base_url}{end}")
    await asyncdl.download(source, dest, headers=headers, options=options)


@pytest.mark.parametrize(
    "end", ["%0d%0aX-Evil: 1", "\\r\\nX-Evil: 1", "\u010d\u010aX-Evil: 1", "\tX-Evil: 1"], ids=ascii
)
async def test_line_ends_in_a_redirect(origin: Origin, end: str) -> None:
    """A Location that hopes to become a header does not."""
    origin.add("/f", SIZE)
    origin.add("/start", SIZE)
    origin.script(Fault(path="/start", redirect="/f?x=" + end.encode().decode("latin-1")))
    async with transport() as over:
        try:
            await ask(over, origin.url("/start"))
        except ResponseMismatchError:
            assert 1 == len(origin.ledger.requests)

    assert [] == origin.ledger.headers_seen("X-Evil")


async def test_credentials_stay_with_their_download(origin: Origin, tmp_path: Path) -> None:
    """Two downloads with two passwords, in one process and at once: neither sees the other's."""
    for name in ("one", "two"):
        origin.add(f"/{name}", SIZE)
    options = asyncdl.Options(connections=4, part_size=1000, parallel_threshold=0, use_environment=False)

    async def fetch(name: str) -> None:
        url = origin.url(f"/{name}").replace("//", f"//{name}:secret@") if name == "two" else origin.url(f"/{name}")
        headers = {"Authorization": f"Bearer {name}"} if name == "one" else {}
        await asyncdl.download(url, tmp_path / name, headers=headers, options=options)

    await asyncio.gather(fetch("one"), fetch("two"))
    seen = {(record.path, record.headers.get("Authorization")) for record in origin.ledger.requests}

    assert {("/one", "Bearer one"), ("/two", "Basic dHdvOnNlY3JldA==")} == seen


async def test_credentials_over_one_connection(origin: Origin) -> None:
    """A connection that is used again carries nothing of the request before."""
    origin.add("/f", SIZE)
    async with transport() as over:
        await ask(over, origin.url("/f"), headers=(("Authorization", "Bearer one"), ("Cookie", "a=b")))
        await ask(over, origin.url("/f"), headers=(("Authorization", "Bearer two"),))
        await ask(over, origin.url("/f").replace("//", "//me:mine@"))
        await ask(over, origin.url("/f"))

    sent = [(each.headers.get("Authorization"), each.headers.get("Cookie")) for each in origin.ledger.requests]
    assert [("Bearer one", "a=b"), ("Bearer two", None), ("Basic bWU6bWluZQ==", None), (None, None)] == sent
    assert 1 == origin.ledger.connections
