"""What goes out in a request: the URL byte for byte, the right headers, one connection for many parts, no memory."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import aiohttp
import pytest

from asyncdl._version import __version__
from asyncdl.errors import OptionsError
from asyncdl.model import SignedUrl
from asyncdl.testing import SKINS, Fault, Origin
from tests.support.http import ask, transport

SIZE = 10_000
pytestmark = pytest.mark.usefixtures("no_leaks")

#: Targets that a careless library would rewrite.
TARGETS = [
    "/f?a=%2F&b=%2f",
    "/f?a=+&b=%20&c=%2B",
    "/f?a=~&b=%7E&c=%7e",
    "/f?x=a%3Db&y=a=b==",
    "/f?x=%C3%A9&y=%c3%a9",
    "/f?a=1&&b=&c&=d",
    "/f?a=;&b=,&c=:&d=@&e=/&f=?&g=!&h=$&i='&j=(&k=)&l=*",
    '/f?a="&b=<&c=>&d=[&e=]&f={&g=}&h=|&i=^&j=`&k=\\',
    "/f?%61=%62",
    "/f?a=%zz&b=%&c=%2",
    "/f?a=100%&b=x",
    "/a%2Fb",
    "/a/../b/./c//d",
    "/%7Euser/~user",
    "/a+b%20c",
    "//f",
    "/f;v=1?q",
    "/f?q=a.b-c_d",
    "/f?" + "x" * 6000,
]


@pytest.mark.parametrize("target", TARGETS)
async def test_url_byte_for_byte(origin: Origin, target: str) -> None:
    """The request target on the wire is the URL's, to the byte."""
    origin.add(target.partition("?")[0], SIZE)
    async with transport() as over:
        answer = await ask(over, origin.base_url + target)

    assert ([target], 206) == ([record.raw_target for record in origin.ledger.requests], answer.status)


@pytest.mark.parametrize("skin", sorted(SKINS))
async def test_signatures_hold(origin: Origin, skin: str) -> None:
    """A server that signs the raw bytes accepts what arrives."""
    content = origin.add("/dir/a%20b+c", SIZE)
    async with transport() as over:
        answer = await ask(over, origin.presign("/dir/a%20b+c", ttl=60, skin=skin), 5, 50)

    assert content.read(5, 50) == answer.body
    assert [] == origin.ledger.refused


async def test_headers_that_always_go_out(origin: Origin) -> None:
    """The range, no coding, our name, the host; and nothing else that nobody asked for."""
    origin.add("/f", SIZE)
    async with transport() as over:
        await ask(over, origin.url("/f"), 5, 50)
    sent = dict(origin.ledger.requests[0].headers)

    assert {
        "range": "bytes=5-49",
        "accept-encoding": "identity",
        "user-agent": f"asyncdl/{__version__}",
        "host": f"127.0.0.1:{origin.port}",
        "accept": "*/*",
    } == sent


@pytest.mark.parametrize(
    ("option", "header", "expected"),
    [(None, None, f"asyncdl/{__version__}"), ("mine/1", None, "mine/1"), ("mine/1", "theirs/2", "theirs/2")],
)
async def test_user_agent(origin: Origin, option: str | None, header: str | None, expected: str) -> None:
    """The caller's header wins over the option, which wins over the default; there is only one."""
    origin.add("/f", SIZE)
    headers = (("user-agent", header),) if header else ()
    async with transport(user_agent=option) as over:
        await ask(over, origin.url("/f"), headers=headers)

    assert [expected] == origin.ledger.headers_seen("User-Agent")


async def test_callers_headers(origin: Origin) -> None:
    """They go out as given, in order, a name twice if it was given twice."""
    origin.add("/f", SIZE)
    headers = (("X-One", "1"), ("Authorization", "Bearer abc"), ("x-many", "a"), ("X-Many", "b"), ("Cookie", "c=d"))
    async with transport() as over:
        await ask(over, origin.url("/f"), headers=headers)
    seen = origin.ledger.requests[0].headers

    found = [seen.all(name) for name in ("x-one", "authorization", "x-many", "cookie")]
    assert [["1"], ["Bearer abc"], ["a", "b"], ["c=d"]] == found


async def test_headers_of_the_url(origin: Origin) -> None:
    """What a signed URL needs goes with it, and replaces what the caller gave under the same name."""
    origin.add("/f", SIZE)
    url = SignedUrl(origin.url("/f"), headers=(("X-Amz-Key", "k"), ("authorization", "url's")))
    async with transport() as over:
        await ask(over, url, headers=(("Authorization", "caller's"), ("X-Own", "o")))
    seen = origin.ledger.requests[0].headers

    assert [["k"], ["url's"], ["o"]] == [seen.all(name) for name in ("x-amz-key", "authorization", "x-own")]


async def test_not_at_home(origin: Origin) -> None:
    """A URL of another origin than home gets its own headers and none of the caller's."""
    origin.add("/f", SIZE)
    url = SignedUrl(origin.url("/f"), headers=(("X-Url", "u"),))
    async with transport() as over:
        await ask(over, url, headers=(("Authorization", "caller's"),), home="http://127.0.0.1:1/")
    seen = origin.ledger.requests[0].headers

    assert (None, "u") == (seen.get("Authorization"), seen.get("X-Url"))


async def test_no_cookies_kept(origin: Origin) -> None:
    """A cookie that a server sets is not sent back, not even to itself."""
    origin.add("/f", SIZE)
    origin.script(Fault(headers=tuple(("Set-Cookie", f"c{number}=v; Path=/") for number in range(50))))
    async with transport() as over:
        await ask(over, origin.url("/f"))
        await ask(over, origin.url("/f"))

    assert [] == origin.ledger.headers_seen("Cookie")


@pytest.mark.parametrize("use_environment", [False, True])
async def test_no_netrc(origin: Origin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, use_environment: bool) -> None:
    """Passwords in ~/.netrc are nobody's business, not even with the environment switched on."""
    entries = "machine 127.0.0.1 login u password p\ndefault login u password p\n"
    netrc = tmp_path / ".netrc"
    netrc.write_text(entries)
    netrc.chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("NO_PROXY", "*")
    origin.add("/f", SIZE)
    async with transport(use_environment=use_environment) as over:
        await ask(over, origin.url("/f"))

    assert [] == origin.ledger.headers_seen("Authorization")


async def test_one_connection_for_many_parts(origin: Origin) -> None:
    """A connection whose part was taken to its end serves the next."""
    content = origin.add("/f", SIZE)
    async with transport() as over:
        answers = [await ask(over, origin.url("/f"), at, at + 1000) for at in range(0, SIZE, 1000)]

    assert content.read(0, SIZE) == b"".join(answer.body for answer in answers)
    assert 1 == origin.ledger.connections


async def test_connection_of_a_part_that_was_left(origin: Origin) -> None:
    """A connection with unread bytes on it is closed, not used for the next part."""
    size = 8 << 20
    content = origin.add("/f", size)
    async with transport() as over:
        url = SignedUrl(origin.url("/f"))
        async with over.open(url, 0, size, headers=(), home=("http", "127.0.0.1", origin.port)) as response:  # type: ignore[arg-type]
            await response.body(0, size).receive()
        answer = await ask(over, origin.url("/f"), 7, 77)

    assert content.read(7, 77) == answer.body
    assert 2 == origin.ledger.connections


async def test_connection_after_a_refusal(origin: Origin) -> None:
    """A refusal that was read to its end leaves the connection usable."""
    content = origin.add("/f", SIZE)
    origin.script(Fault(status=503, times=1))
    async with transport() as over:
        refused = await ask(over, origin.url("/f"))
        answer = await ask(over, origin.url("/f"))

    assert (503, content.read(0, 100), 1) == (refused.status, answer.body, origin.ledger.connections)


async def test_idle_connection_that_was_closed(origin: Origin) -> None:
    """A connection that the server closed meanwhile costs nothing but a new one."""
    content = origin.add("/f", SIZE)
    origin.script(Fault(close=True, times=1))
    async with transport() as over:
        await ask(over, origin.url("/f"))
        await origin.ledger.until(lambda: not origin.ledger.open_connections)
        answer = await ask(over, origin.url("/f"))

    assert content.read(0, 100) == answer.body


async def test_no_limit_on_connections(origin: Origin) -> None:
    """As many at once as are asked for; aiohttp's own hundred is not in the way."""
    origin.add("/f", SIZE)
    origin.script(Fault(delay=0.2))
    async with transport() as over:
        await asyncio.gather(*(ask(over, origin.url("/f")) for _ in range(120)))

    assert 120 == origin.ledger.max_open


async def test_closing_closes(origin: Origin) -> None:
    """After the end no connection is open."""
    origin.add("/f", SIZE)
    async with transport() as over:
        await ask(over, origin.url("/f"))

        assert 1 == origin.ledger.open_connections
    await origin.ledger.until(lambda: not origin.ledger.open_connections)


async def test_bodies_are_not_decoded(origin: Origin) -> None:
    """Whatever coding a server claims, the bytes are the ones it sent."""
    content = origin.add("/f", SIZE)
    origin.script(Fault(headers={"Content-Encoding": "gzip"}))
    async with transport() as over:
        answer = await ask(over, origin.url("/f"))

    assert content.read(0, 100) == answer.body


class TestSession:
    """A session that the caller brings."""

    async def test_used_and_not_closed(self, origin: Origin) -> None:
        """Its headers and cookies go out, its connection is used, and it stays open."""
        origin.add("/f", SIZE)
        async with aiohttp.ClientSession(headers={"X-Default": "d"}, cookies={"c": "1"}) as session:
            session.cookie_jar.update_cookies({"jar": "2"})
            async with session.get(origin.url("/f")) as response:
                await response.read()
            async with transport(session=session) as over:
                await ask(over, origin.url("/f"), headers=(("X-Own", "o"),))

            assert not session.closed
        seen = origin.ledger.requests[1].headers
        assert ("d", "o", 1) == (seen.get("X-Default"), seen.get("X-Own"), origin.ledger.connections)

    async def test_its_headers_give_way(self, origin: Origin) -> None:
        """The range, the coding and the caller's headers replace the session's own."""
        origin.add("/f", SIZE)
        defaults = {"Accept-Encoding": "gzip", "Range": "bytes=0-0", "User-Agent": "theirs", "X-Own": "default"}
        async with (
            aiohttp.ClientSession(headers=defaults) as session,
            transport(session=session, user_agent="ours") as over,
        ):
            await ask(over, origin.url("/f"), 5, 50, headers=(("X-Own", "o"),))
        seen = origin.ledger.requests[0].headers

        names = ("Accept-Encoding", "Range", "User-Agent", "X-Own")
        assert [["identity"], ["bytes=5-49"], ["ours"], ["o"]] == [seen.all(name) for name in names]

    async def test_its_ways_do_not_matter(self, origin: Origin) -> None:
        """Raising for a status, decoding, timing and a base URL of its own change nothing."""
        content = origin.add("/f", SIZE)
        origin.script(Fault(status=404, body=b"gone", times=1), Fault(headers={"Content-Encoding": "gzip"}))
        async with (
            aiohttp.ClientSession(
                "http://base.invalid/x/",
                raise_for_status=True,
                auto_decompress=True,
                timeout=aiohttp.ClientTimeout(total=0.000001),
            ) as session,
            transport(session=session) as over,
        ):
            refused = await ask(over, origin.url("/f") + "?a=%2f")
            answer = await ask(over, origin.url("/f") + "?a=%2f")

        assert (404, b"gone", content.read(0, 100)) == (refused.status, refused.body, answer.body)
        assert {"/f?a=%2f"} == {record.raw_target for record in origin.ledger.requests}

    @pytest.mark.parametrize(
        ("limit", "per_host", "expected"), [(100, 0, 100), (0, 0, None), (100, 4, 4), (2, 4, 2), (0, 3, 3)]
    )
    async def test_its_limit(self, limit: int, per_host: int, expected: int | None) -> None:
        """How many connections it lets through can be asked."""
        connector = aiohttp.TCPConnector(limit=limit, limit_per_host=per_host)
        async with aiohttp.ClientSession(connector=connector) as session, transport(session=session) as over:
            found = over.connection_limit

        assert expected == found

    async def test_closed_before(self, origin: Origin) -> None:
        """A closed session is the caller's mistake, and called that."""
        session = aiohttp.ClientSession()
        await session.close()
        async with transport(session=session) as over:
            with pytest.raises(OptionsError, match="session is closed"):
                await ask(over, origin.url("/f"))

    async def test_range_of_the_whole(self, origin: Origin) -> None:
        """An open end is asked for as one."""
        content = origin.add("/f", SIZE)
        async with aiohttp.ClientSession() as session, transport(session=session) as over:
            answer = await ask(over, origin.url("/f"), 0, None)

        assert content.read(0, SIZE) == answer.body
        assert ["bytes=0-"] == origin.ledger.headers_seen("Range")


async def test_repr_shows_nothing() -> None:
    """Objects that end up in tracebacks do not print what they hold."""
    async with transport(proxy="http://user:s3cr3t@127.0.0.1:1") as over:
        assert re.fullmatch(r"<.*AiohttpTransport object at 0x[0-9a-f]+>", repr(over))
