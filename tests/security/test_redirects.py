"""Whole downloads that are led astray: where a redirect may lead, how often, and what is left when it may not."""

from __future__ import annotations

from pathlib import Path

import pytest

import asyncdl
from asyncdl.testing import Fault, Origin
from tests.support.flow import PART, fetch, holds, small

SIZE = 4 * PART + 7
NOWHERE = [
    "file:///etc/passwd",
    "FILE:/etc/passwd",
    "ftp://127.0.0.1/f",
    "gopher://127.0.0.1/_x",
    "data:application/octet-stream;base64,AAAA",
    "javascript:alert(1)",
    "about:blank",
    "ws://127.0.0.1/f",
    "mailto:a@b",
    "http:",
    "http:///f",
    "https://",
    "//",
    "///f",
    "http://:80/f",
    "http://127.0.0.1:99999/f",
    "http://127.0.0.1:-1/f",
    "http://[::1/f",
    "http://[::1%25lo]/f",
    "http://ho\\st/f",
    "http://good;@evil@host/f",
]


def _left(dest: Path) -> list[str]:
    return sorted(path.name for path in dest.parent.iterdir())


@pytest.mark.parametrize("location", NOWHERE)
async def test_nowhere(origin: Origin, tmp_path: Path, location: str) -> None:
    """What is no http or https URL of a host is not followed, not repeated, and leaves no file."""
    origin.add("/f", SIZE)
    origin.script(Fault(redirect=location))
    with pytest.raises(asyncdl.ResponseMismatchError) as caught:
        await fetch(origin.url("/f"), tmp_path / "f")

    assert (False, 1, []) == (caught.value.retryable, len(origin.ledger.requests), _left(tmp_path / "f"))


@pytest.mark.parametrize(
    ("location", "target"),
    [
        ("garbage", "/dir/garbage"),
        ("?x=1", "/dir/f?x=1"),
        ("../../../g", "/g"),
        ("./a/./../b//c", "/dir/b//c"),
        ("/%2e%2e/g", "/%2e%2e/g"),
        (" /g ", "/g"),
        ("/a b", "/a%20b"),
        ("/g#fragment", "/g"),
        ("%00", "/dir/%00"),
        ("x:/g", None),
    ],
)
async def test_relative(origin: Origin, tmp_path: Path, location: str, target: str | None) -> None:
    """Whatever else a Location holds is a path on the same server, and never one of ours."""
    content = origin.add("/dir/f", SIZE)
    origin.script(Fault(path="/dir/f", times=1, redirect=location))
    if target is None:
        with pytest.raises(asyncdl.ResponseMismatchError):
            await fetch(origin.url("/dir/f"), tmp_path / "f", options=small(1))
        return
    origin.add(target.partition("?")[0], SIZE)
    await fetch(origin.url("/dir/f"), tmp_path / "f", options=small(1))

    assert target == origin.ledger.requests[1].raw_target
    assert holds(tmp_path / "f", content)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_downgrade(origins: dict[str, Origin], authority: Path, tmp_path: Path, status: int) -> None:
    """From https nothing leads to http, not in the middle of a download either; the other way is open."""
    secure, plain = origins["S"], origins["A"]
    content = secure.add("/f", SIZE)
    plain.add("/f", SIZE)
    secure.script(Fault(request=range(2, 99), status=status, redirect=plain.url("/f")))
    with pytest.raises(asyncdl.ResponseMismatchError, match="from https to http"):
        await fetch(secure.url("/f"), tmp_path / "f", options=small(1, ca_file=authority))

    assert (0, ["f.part", "f.part.journal"]) == (plain.ledger.connections, _left(tmp_path / "f"))
    secure.faults.clear()
    plain.script(Fault(status=status, redirect=secure.url("/f")))
    await fetch(plain.url("/f"), tmp_path / "f", options=small(2, ca_file=authority))

    assert holds(tmp_path / "f", content)


@pytest.mark.parametrize("shape", ["to itself", "of two", "of six", "ever new"])
async def test_loop(origin: Origin, tmp_path: Path, shape: str) -> None:
    """A loop ends after five hops, of whatever shape, and is not begun again."""
    length = {"to itself": 1, "of two": 2, "of six": 6, "ever new": 99}[shape]
    for number in range(length):
        origin.add(f"/{number}", SIZE)
        origin.script(Fault(path=f"/{number}", redirect=f"/{(number + 1) % length}"))
    with pytest.raises(asyncdl.ResponseMismatchError, match="more than 5 redirects"):
        await fetch(origin.url("/0"), tmp_path / "f")

    assert (6, []) == (len(origin.ledger.requests), _left(tmp_path / "f"))


@pytest.mark.parametrize(("limit", "passes"), [(3, True), (2, False), (0, False)])
async def test_three_times_the_same(origin: Origin, tmp_path: Path, limit: int, passes: bool) -> None:
    """Three redirects to the very same URL and then the object: hops are counted, URLs not compared."""
    content = origin.add("/f", SIZE)
    origin.script(Fault(times=3, status=301, redirect="/f"))
    call = fetch(origin.url("/f"), tmp_path / "f", options=small(1, max_redirects=limit))
    if passes:
        await call

        assert holds(tmp_path / "f", content)
        return
    with pytest.raises(asyncdl.ResponseMismatchError, match=f"more than {limit} redirects"):
        await call
    assert (limit + 1, []) == (len(origin.ledger.requests), _left(tmp_path / "f"))


async def test_none_means_none(origin: Origin, tmp_path: Path) -> None:
    """With `max_redirects=0` an object without redirects comes as ever, and nobody else is connected to."""
    content = origin.add("/f", SIZE)
    async with Origin(host="127.0.0.2") as other:
        other.add("/g", SIZE)
        await fetch(origin.url("/f"), tmp_path / "f", options=small(max_redirects=0))
        origin.script(Fault(redirect=other.url("/g")))
        with pytest.raises(asyncdl.ResponseMismatchError):
            await fetch(origin.url("/f"), tmp_path / "g", options=small(max_redirects=0))

        assert 0 == other.ledger.connections
    assert holds(tmp_path / "f", content)
