"""Where credentials go: to the origin they were given for, on every request; to no other, whatever leads there."""

from __future__ import annotations

import itertools
import ssl
from base64 import b64encode
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

import asyncdl
from asyncdl.testing import Fault, Origin
from asyncdl.testing.ledger import RequestRecord
from tests.support.flow import fetch, holds, small
from tests.support.proxy import Proxy
from tests.support.secrets import CALLERS, MARKERS, PASSWORD, PROXYS, SIGNED, TOKEN, USER, spellings

SIZE = 500
STATUSES = itertools.cycle([301, 302, 303, 307, 308])
LETTERS = "APHLS"
#: Every way of up to three redirects from http and from https, by the letters of `origins`.
CHAINS = ["".join(chain) for length in (2, 3) for chain in itertools.product(LETTERS, repeat=length)]
LONG = ["".join(chain) for chain in itertools.product(LETTERS, repeat=4)]
CARRIERS = ["headers", "userinfo", "session"]
PROXIES = ["no proxy", "option", "environment"]
CASES = list(itertools.product(CARRIERS, PROXIES))

HEADERS = {"Authorization": f"Bearer {CALLERS}", "Cookie": f"c={CALLERS}", "X-Api-Key": CALLERS, "X-Other": CALLERS}
#: A caller's header like any other, where there is no proxy that it could be meant for.
OF_THE_CALLER = f"Basic {CALLERS}"
OF_THE_URL = (("X-Amz-Security-Token", SIGNED), ("X-Signed-For", SIGNED))
PROXY_USER = f"u:{PROXYS}"
PROXY_BASIC = f"Basic {b64encode(PROXY_USER.encode()).decode()}"
#: A session's `auth` is the older way, and one that many a caller still goes.
pytestmark = pytest.mark.filterwarnings("ignore:.*deprecated and will be removed:DeprecationWarning")


def told(record: RequestRecord) -> list[str]:
    """The secrets that a request holds, in its target or anywhere in its header."""
    text = f"{record.raw_target} {list(record.headers)}"
    return [marker for marker in MARKERS if any(form in text for form in spellings(marker))]


@dataclass
class Walk:
    """One download over a chain of redirects, and what is to be seen of it.

    Attributes:
        chain: a letter for each hop, see `origins`.
        carrier: what brings the credentials.
    """

    chain: str
    carrier: str
    origins: dict[str, Origin]

    def url(self, hop: int) -> str:
        """Of one hop; the first has a token in its query, and may have a user and a password."""
        letter = self.chain[hop]
        base = self.origins[letter].base_url
        if letter == "L":
            base = base.replace("127.0.0.1", "localhost")
        if hop == 0 and self.carrier == "userinfo":
            base = base.replace("://", f"://{USER}:{PASSWORD}@")
        return f"{base}/hop{hop}?" + (f"ticket={TOKEN}" if hop == 0 else f"hop={hop}")

    def build(self, *, close: bool) -> None:
        """Let each origin lead to the next, over the same connection or, for the proxy's sake, never over the same."""
        for origin in self.origins.values():
            origin.faults.clear()
            origin.ledger.requests.clear()
        for hop in range(len(self.chain) - 1):
            fault = Fault(path=f"/hop{hop}", status=next(STATUSES), redirect=self.url(hop + 1), close=close)
            self.origins[self.chain[hop]].script(fault)
        for origin in set(self.origins.values()):
            origin.script(Fault(close=close))

    @property
    def reached(self) -> int:
        """How many hops are asked: none after one that leads from https to http."""
        downgrades = (hop for hop, pair in enumerate(itertools.pairwise(self.chain)) if pair[0] == "S" != pair[1])
        return next(downgrades, len(self.chain) - 1) + 1

    def expected(self, hop: int) -> set[str]:
        """The secrets that one hop is to see: all of them at home, none once home was left."""
        stayed = len(set(self.chain[: hop + 1])) == 1
        carried = {
            "headers": {CALLERS, SIGNED},
            "userinfo": {USER, PASSWORD, CALLERS, SIGNED},
            "session": {CALLERS, SIGNED, USER, PASSWORD},
        }[self.carrier]
        return (carried if stayed else set()) | ({TOKEN} if hop == 0 else set())

    def records(self) -> list[RequestRecord]:
        """What the origins were asked, in the order of the hops."""
        asked = [record for origin in set(self.origins.values()) for record in origin.ledger.requests]
        return sorted(asked, key=lambda record: record.path)

    def arguments(self, **options: Any) -> dict[str, Any]:
        """For `fetch`."""
        given = dict(HEADERS)
        if self.carrier != "headers":
            del given["Authorization"]  # there can be one only
        elif not options.keys() & {"proxy", "use_environment"}:
            given["Proxy-Authorization"] = OF_THE_CALLER
        return {
            "source": asyncdl.SignedUrl(self.url(0), headers=OF_THE_URL),
            "headers": {"X-Other": CALLERS} if self.carrier == "session" else given,
            "options": small(1, **options),
            "if_exists": "replace",
        }


@asynccontextmanager
async def full_session(authority: Path, **changes: Any) -> AsyncIterator[aiohttp.ClientSession]:
    """A session of the caller's with secrets in every place it has for them, cookies for any host among them."""
    jar = aiohttp.CookieJar(unsafe=True)
    jar.update_cookies({"c": CALLERS.partition("+")[0]})
    async with aiohttp.ClientSession(
        headers={"X-Api-Key": CALLERS, "X-Default": CALLERS},
        auth=aiohttp.BasicAuth(USER, PASSWORD),
        cookie_jar=jar,
        connector=aiohttp.TCPConnector(ssl=ssl.create_default_context(cafile=str(authority))),
        **changes,
    ) as session:
        yield session


def chains(number: int) -> Iterator[str]:
    """All chains of one and two redirects, and this case's share of those of three."""
    yield from CHAINS
    yield from LONG[number :: len(CASES)]


@pytest.mark.parametrize(("carrier", "proxying"), CASES)
async def test_chain(
    origins: dict[str, Origin],
    authority: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    carrier: str,
    proxying: str,
) -> None:
    """Home sees all on every hop, until it is left; nobody else, nor home thereafter, sees any. Nobody a Referer."""
    contents = [origins[letter].add(f"/hop{hop}", SIZE) for letter in LETTERS for hop in range(4)]
    async with AsyncExitStack() as stack:
        proxy = await stack.enter_async_context(Proxy(credentials=PROXY_USER))
        options: dict[str, Any] = {"ca_file": authority}
        more: dict[str, Any] = {}
        if carrier == "session":
            more["session"] = await stack.enter_async_context(full_session(authority))
        if proxying == "option":
            options["proxy"] = proxy.url(PROXY_USER)
        if proxying == "environment":
            options["use_environment"] = True
            monkeypatch.setenv("HTTP_PROXY", proxy.url(PROXY_USER))
            monkeypatch.setenv("HTTPS_PROXY", proxy.url(PROXY_USER))
        proxied = 0
        for chain in chains(CASES.index((carrier, proxying))):
            walk = Walk(chain, carrier, origins)
            walk.build(close=proxying != "no proxy")
            proxy.seen.clear()
            passes = walk.reached == len(chain)
            try:
                await fetch(dest=tmp_path / "file", **walk.arguments(**options), **more)
                ended = True
            except asyncdl.ResponseMismatchError:
                ended = False
            records = walk.records()

            assert (chain, passes) == (chain, ended)
            assert [f"/hop{hop}" for hop in range(walk.reached)] == [record.path for record in records]
            for hop, record in enumerate(records):
                assert (chain, hop, walk.expected(hop)) == (chain, hop, set(told(record)))
                assert [] == record.headers.all("Referer")
                assert {OF_THE_CALLER} >= set(record.headers.all("Proxy-Authorization"))
            assert {PROXY_BASIC} >= {seen.headers.get("Proxy-Authorization") for seen in proxy.seen}
            proxied += len(proxy.seen)
        assert holds(tmp_path / "file", contents[0])
        # A session of the caller's has its own idea of the environment.
        assert (proxying == "no proxy" or (carrier, proxying) == ("session", "environment")) == (proxied == 0)
