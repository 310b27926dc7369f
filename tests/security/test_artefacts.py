"""Nothing that is signed, no token and no password comes out, whatever happens and wherever one looks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import asyncdl
from asyncdl import refresher
from asyncdl.edge import provider as provider_edge
from asyncdl.model import Request
from asyncdl.refresher import Lease
from asyncdl.testing import SKINS, Fault, Origin
from tests.flow.test_faults import LASTING, PASSING
from tests.support.flow import PART, small
from tests.support.proxy import Proxy
from tests.support.secrets import (
    BEARER,
    CALLERS,
    ELSEWHERE,
    HEADERS,
    MARKERS,
    OF_THE_URL,
    PASSWORD,
    PROXYS,
    SIGNED,
    TOKEN,
    USER,
    Ears,
    Scene,
)

SIZE = 6 * PART + 999


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """The waits between two calls of a provider are tested elsewhere."""
    monkeypatch.setattr(refresher, "_SHORTEST_INTERVAL", 0.01)
    monkeypatch.setattr(provider_edge, "_SECOND_TRY_AFTER", 0.01)


@pytest.fixture
def scene(origin: Origin, tmp_path: Path) -> Scene:
    """An origin with one object, and where it is to go."""
    origin.add("/object", SIZE)
    return Scene(origin, tmp_path / "file")


@pytest.mark.parametrize("fault", PASSING.values(), ids=PASSING.keys())
async def test_fault_that_passes(scene: Scene, fault: Fault) -> None:
    """A download that meets a fault and goes on says nothing of what it holds."""
    scene.origin.script(fault)

    error = await scene.run(retry=asyncdl.Retry(base=0.001, cap=0.002))

    assert error is None
    scene.check()


@pytest.mark.parametrize("fault", [row[0] for row in LASTING.values()], ids=LASTING.keys())
async def test_fault_that_lasts(scene: Scene, fault: Fault) -> None:
    """Nor does the error, nor anything that hangs on it."""
    scene.origin.script(fault)

    assert isinstance(await scene.run(), asyncdl.AsyncdlError)
    scene.check()


@pytest.mark.parametrize("skin", SKINS)
async def test_url_that_expires(scene: Scene, skin: str) -> None:
    """Whatever a provider signs with: renewed, or static and refused with the server's own words."""

    async def provider(rejected: asyncdl.SignedUrl | None) -> asyncdl.SignedUrl:
        url = scene.sign(skin=skin)
        if rejected is None:
            scene.origin.expire(url)
        return asyncdl.SignedUrl(url, headers=OF_THE_URL)

    error = await scene.run(source=provider, headers=BEARER, options=small(2, reuse_window=0))

    assert error is None
    dead = scene.sign(skin=skin)
    scene.origin.expire(dead)

    assert isinstance(await scene.run(source=dead, headers=BEARER, if_exists="replace"), asyncdl.TransferError)
    assert len(scene.secrets) > len(MARKERS)
    scene.check()


@pytest.mark.parametrize("blocking", [False, True], ids=["async", "in a thread"])
@pytest.mark.parametrize("kind", ["message", "url", "repr", "cause", "group", "note", "half"])
async def test_provider_that_talks(scene: Scene, kind: str, blocking: bool) -> None:
    """A provider raises with the URL in its words, in an attribute, or behind it."""
    url = scene.sign()
    scene.origin.expire(url)

    def fail() -> None:
        error: Exception = ValueError(f"cannot sign {url} again, nor {scene.plain}")
        if kind == "url":
            error = ValueError(url)
        elif kind == "repr":
            error = LookupError(7)
            error.url = url  # type: ignore[attr-defined]
        elif kind == "cause":
            raise LookupError("no") from error
        elif kind == "group":
            error = ExceptionGroup("no", [error])
        elif kind == "note":
            error = LookupError("no")
            error.add_note(url)
        elif kind == "half":
            error = ValueError("x" * 430 + url)
        raise error

    async def asynchronous(rejected: asyncdl.SignedUrl | None) -> str:
        if rejected is not None:
            fail()
        return url

    def plain(rejected: asyncdl.SignedUrl | None) -> str:
        if rejected is not None:
            fail()
        return url

    error = await scene.run(source=plain if blocking else asynchronous, timeouts=asyncdl.Timeouts(refresh=60))

    assert isinstance(error, asyncdl.RefreshError)
    scene.check()


UNUSABLE: dict[str, Callable[[str], object]] = {
    "line break": lambda url: url + "\nx",
    "no scheme": lambda url: url.removeprefix("http:"),
    "other scheme": lambda url: url.replace("http:", "ftp:"),
    "bad port": lambda url: url.replace("/object", ":x/object"),
    "bytes": lambda url: url.encode(),
    "a list": lambda url: [url],
    "bad header": lambda url: asyncdl.SignedUrl(url, headers=(("X-Token", f"{SIGNED}\r\n"),)),
    "bad header name": lambda url: asyncdl.SignedUrl(url, headers=((f"X {SIGNED}", "x"),)),
    "reserved header": lambda url: asyncdl.SignedUrl(url, headers=(("Range", SIGNED),)),
}


@pytest.mark.parametrize("spoil", UNUSABLE.values(), ids=UNUSABLE.keys())
@pytest.mark.parametrize("provided", [False, True], ids=["given", "provided"])
async def test_url_that_cannot_be_used(scene: Scene, spoil: Callable[[str], object], provided: bool) -> None:
    """What is wrong with a URL is said without showing it."""
    bad = spoil(scene.plain)

    async def provider(rejected: asyncdl.SignedUrl | None) -> object:
        return bad

    assert isinstance(await scene.run(source=provider if provided else bad), asyncdl.AsyncdlError)
    scene.check()


BAD_ARGUMENTS = {
    "header with a line break": {"headers": {"X-Token": f"{CALLERS}\r\nHost: x"}},
    "header that is ours": {"headers": {"Range": CALLERS}},
    "header without a name": {"headers": {f" {CALLERS}": "x"}},
    "proxy of another kind": {"options": small(1, proxy=f"socks5://u:{PROXYS}@host")},
    "proxy without a host": {"options": small(1, proxy=f"http://u:{PROXYS}@:x")},
    "proxy that is not there": {"options": small(1, proxy=f"http://u:{PROXYS}@127.0.0.1:9")},
    "directory that is not there": {"size": SIZE, "dest": "nowhere"},
    "size that is wrong": {"size": SIZE - 1},
    "deadline": {"timeouts": asyncdl.Timeouts(total=0.0001)},
}


@pytest.mark.parametrize("arguments", BAD_ARGUMENTS.values(), ids=BAD_ARGUMENTS.keys())
async def test_argument_that_is_refused(scene: Scene, arguments: dict[str, Any]) -> None:
    """Nor is a header or a password shown that is refused."""
    arguments = dict(arguments)
    if arguments.pop("dest", None):
        scene.dest = scene.dest / "file"

    try:
        error = await scene.run(**arguments)
    except FileNotFoundError:  # the listing of a directory that is not there
        return

    assert isinstance(error, asyncdl.AsyncdlError)
    scene.check()


@pytest.mark.parametrize("end", ["serves it", "refuses it", "is not there", "drops"])
async def test_redirect(scene: Scene, tmp_path: Path, end: str) -> None:
    """The target of a redirect is signed as well."""
    async with Origin() as other:
        other.add("/object", SIZE)
        if end == "refuses it":
            other.script(Fault(status=403, body=f"no {other.url('/object')}?ticket={ELSEWHERE}".encode()))
        if end == "drops":
            other.script(Fault(request=0, drop_after=5))
        target = f"{other.url('/object')}?ticket={ELSEWHERE}"
        if end == "is not there":
            await other.aclose()
        scene.origin.script(Fault(redirect=target))

        error = await scene.run()

    assert (end in {"serves it", "drops"}) == (error is None)
    scene.check()


@pytest.mark.parametrize(
    "location",
    [
        f"ftp://u:{ELSEWHERE}@host/x?ticket={ELSEWHERE}",
        f"http://ho st/{ELSEWHERE}?ticket={ELSEWHERE}",
        f"http://[::1/?ticket={ELSEWHERE}",
        f"//?ticket={ELSEWHERE}",
    ],
    ids=["scheme", "space", "bracket", "no host"],
)
async def test_redirect_that_is_refused(scene: Scene, location: str) -> None:
    """Why nobody goes there is said without saying where."""
    scene.origin.script(Fault(redirect=location))

    assert isinstance(await scene.run(), asyncdl.AsyncdlError)
    scene.check()


@pytest.mark.parametrize("status", [None, 407, 502])
async def test_proxy(scene: Scene, status: int | None) -> None:
    """A proxy with a password, whether it serves, wants another one or is broken."""
    scene.origin.script(Fault(close=True))  # that proxy serves one request a connection
    async with Proxy(credentials=f"u:{PROXYS}" if status is None else None, status=status) as proxy:
        error = await scene.run(options=small(2, proxy=proxy.url(f"u:{PROXYS}")))

    assert (status is None) == (error is None)
    assert proxy.seen
    scene.check()


async def test_proxy_that_wants_another_password(scene: Scene) -> None:
    """407 is told without what was tried."""
    async with Proxy(credentials=f"u:other-{PROXYS}") as proxy:
        error = await scene.run(options=small(2, proxy=proxy.url(f"u:{PROXYS}")))

    assert isinstance(error, asyncdl.AsyncdlError)
    scene.check()


@pytest.mark.parametrize("when", ["headers", "body", "refresh"])
@pytest.mark.parametrize("how", ["cancelled", "deadline"])
async def test_end_in_mid_download(scene: Scene, when: str, how: str) -> None:
    """Neither a task that is cancelled nor a deadline prints what was under way."""
    asked = asyncio.Event()
    url = scene.sign()

    async def provider(rejected: asyncdl.SignedUrl | None) -> str:
        if when == "refresh":
            asked.set()
            await asyncio.Event().wait()
        return url

    if when == "headers":
        scene.origin.script(Fault(stall_headers=True))
    elif when == "body":
        scene.origin.script(Fault(stall_after=5000))
    total = 0.15 if how == "deadline" else None
    begun = asked.wait() if when == "refresh" else scene.origin.ledger.until(lambda: scene.origin.ledger.in_flight > 0)

    error = await scene.run(
        source=provider, timeouts=asyncdl.Timeouts(total=total), cancel_after=begun if how == "cancelled" else None
    )
    begun.close()

    assert isinstance(error, asyncio.CancelledError if how == "cancelled" else asyncdl.DeadlineError)
    scene.check()


@pytest.mark.parametrize("target", ["given", "of a redirect"])
@pytest.mark.parametrize("fault", ["name", "certificate", "port"])
async def test_no_connection(scene: Scene, origins: dict[str, Origin], target: str, fault: str) -> None:
    """A host nobody knows, one nobody vouches for, and one that does not listen: named, and no more than named."""
    await origins["P"].aclose()
    bases = {
        "name": f"http://{USER}:{PASSWORD}@no-such-host.invalid",
        "certificate": origins["S"].base_url.replace("://", f"://{USER}:{PASSWORD}@"),
        "port": origins["P"].base_url,
    }
    url = f"{bases[fault]}/object?ticket={ELSEWHERE}"
    if target == "of a redirect":
        scene.origin.script(Fault(redirect=url))
        url = scene.plain
    error = await scene.run(source=asyncdl.SignedUrl(url, headers=OF_THE_URL), timeouts=asyncdl.Timeouts(connect=3))

    assert isinstance(error, asyncdl.ConnectError)
    scene.check()


def test_reprs() -> None:
    """Every value that may be printed can be."""
    url = asyncdl.SignedUrl(f"https://{USER}:{PASSWORD}@host/object?ticket={TOKEN}", headers=OF_THE_URL)
    ears = Ears()
    ears.hear(
        url,
        Request(url.url, Path("file"), headers=tuple(HEADERS.items())),
        Request(url, Path("file")),
        Lease(url, 3),
        asyncdl.Options(proxy=f"http://u:{PROXYS}@host"),
        [asyncdl.Options(proxy=f"http://u:{PROXYS}@host"), {"source": url}],
        asyncdl.Result(path=Path("file"), outcome=asyncdl.Outcome.FAILED, size=None, elapsed=1.0),
    )

    assert [] == ears.told(MARKERS)
    assert ears.heard_of("https://host/object?…")
