"""Faults in how ranges, conditions and redirects are answered: header and data are exactly those of the script."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from asyncdl.testing import ENDLESS, POISON, Fault, Origin, redirect_hops
from tests.support.rawclient import Reply, ask, connected, read_reply, request_bytes

SIZE = 5000


@pytest.fixture
async def origin() -> AsyncIterator[Origin]:
    """An origin with one object, `/f`."""
    async with Origin() as running:
        running.add("/f", SIZE, etag='"one"')
        yield running


async def hit(origin: Origin, fault: Fault, span: tuple[int, int] | None = (1000, 2000)) -> Reply:
    """The answer to a request under a fault."""
    origin.script(fault)
    return await ask(origin.url("/f"), span=span)


@pytest.mark.parametrize(
    ("fault", "asked", "sent"),
    [
        (Fault(longer=1), (1000, 2000), (1000, 2001)),
        (Fault(longer=10_000), (1000, 2000), (1000, SIZE)),
        (Fault(shorter=1), (1000, 2000), (1000, 1999)),
        (Fault(shorter=10_000), (1000, 2000), (1000, 1001)),
        (Fault(longer=5, shift=-10), (1000, 2000), (990, 1995)),
        (Fault(longer=7), (SIZE - 1, SIZE), (SIZE - 1, SIZE)),
    ],
    ids=["longer", "to-the-end", "shorter", "one-byte", "shifted", "at-the-end"],
)
async def test_another_length(origin: Origin, fault: Fault, asked: tuple[int, int], sent: tuple[int, int]) -> None:
    """More or fewer bytes than asked for, by Content-Range, Content-Length, data and ledger alike."""
    reply = await hit(origin, fault, asked)

    assert (206, f"bytes {sent[0]}-{sent[1] - 1}/{SIZE}") == (reply.status, reply.headers.get("Content-Range"))
    assert str(sent[1] - sent[0]) == reply.headers.get("Content-Length")
    assert origin.content("/f").read(*sent) == reply.body
    assert [sent] == origin.ledger.coverage("/f")


async def test_another_length_needs_a_range(origin: Origin) -> None:
    """A response with the whole object has no range that could be longer or shorter."""
    reply = await hit(origin, Fault(shorter=10), None)

    assert (200, origin.content("/f").read(0, SIZE)) == (reply.status, reply.body)


async def test_multipart(origin: Origin) -> None:
    """One range as the only part of a multipart body (RFC 9110 section 14.6)."""
    reply = await hit(origin, Fault(multipart=True))
    content = origin.content("/f").read(1000, 2000)
    head = b"--THIS_STRING_SEPARATES\r\nContent-Type: application/octet-stream\r\nContent-Range: bytes 1000-1999/5000"

    assert (206, None) == (reply.status, reply.headers.get("Content-Range"))
    assert ["multipart/byteranges; boundary=THIS_STRING_SEPARATES"] == reply.headers.all("Content-Type")
    assert head + b"\r\n\r\n" + content + b"\r\n--THIS_STRING_SEPARATES--\r\n" == reply.body
    assert str(len(reply.body)) == reply.headers.get("Content-Length")
    assert 0 == origin.ledger.bytes_sent("/f")


async def test_multipart_with_a_lie_inside(origin: Origin) -> None:
    """What is said about the range is said in the part."""
    reply = await hit(origin, Fault(multipart=True, total="*"))

    assert b"Content-Range: bytes 1000-1999/*\r\n" in reply.body


@pytest.mark.parametrize(
    ("value", "seen"),
    [("bytes */{size}", "bytes */5000"), ("*/{size}", "*/5000"), ("bytes */17", "bytes */17"), ("", None)],
)
async def test_unsatisfiable(origin: Origin, value: str, seen: str | None) -> None:
    """416 to a range that lies within, with any Content-Range or none."""
    reply = await hit(origin, Fault(unsatisfiable=value))

    assert (416, seen) == (reply.status, reply.headers.get("Content-Range"))
    assert POISON in reply.body


@pytest.mark.parametrize("fault", [Fault(unasked=True), Fault(status=206)], ids=["with-range", "without"])
async def test_unasked(origin: Origin, fault: Fault) -> None:
    """206 though no range was asked for, with or without a Content-Range."""
    reply = await hit(origin, fault, None)
    value = "bytes 0-4999/5000" if fault.unasked else None

    assert (206, value) == (reply.status, reply.headers.get("Content-Range"))
    assert origin.content("/f").read(0, SIZE) == reply.body


@pytest.mark.parametrize(("name", "value"), [("If-Match", '"two"'), ("If-Range", '"two"'), ("If-None-Match", '"one"')])
async def test_ignored_conditions(origin: Origin, name: str, value: str) -> None:
    """A condition that fails changes nothing where conditions are ignored."""
    origin.script(Fault(ignore_conditions=True, request=0))
    ignored, heeded = [(await ask(origin.url("/f"), span=(0, 10), headers={name: value})).status for _ in range(2)]

    assert 206 == ignored != heeded


@pytest.mark.parametrize(("name", "status"), [("If-Match", 412), ("If-Range", 200), ("If-None-Match", 304)])
async def test_weak_tags(origin: Origin, name: str, status: int) -> None:
    """A weak tag proves no bytes: it matches only where that is enough (RFC 9110 sections 13.1.1, 13.1.2, 13.1.5)."""
    origin.add("/f", SIZE, etag='W/"one"')

    assert status == (await ask(origin.url("/f"), span=(0, 10), headers={name: 'W/"one"'})).status
    assert 206 == (await ask(origin.url("/f"), span=(0, 10), headers={"If-Match": "*"})).status


async def test_redirect_to_oneself(origin: Origin) -> None:
    """`{self}` is the origin's base URL, in a fixed place as in one that is made."""
    fixed = await hit(origin, Fault(redirect="{self}/f?x", times=1))
    made = await hit(origin, Fault(redirect=lambda record: "{self}" + record.path))

    assert [origin.base_url + "/f?x", origin.url("/f")] == [reply.headers.get("Location") for reply in (fixed, made)]


async def test_redirect_hops(origin: Origin) -> None:
    """So many redirects, each to another URL, then the object."""
    origin.script(redirect_hops(3, "/f", status=307))
    url, seen = origin.url("/f"), []
    while (reply := await ask(url, span=(1000, 2000))).status == 307:
        url = reply.headers.get("Location") or ""
        seen.append(url)

    assert [f"{origin.url('/f')}?hop={number}" for number in (1, 2, 3)] == seen
    assert (206, origin.content("/f").read(1000, 2000)) == (reply.status, reply.body)


async def test_redirect_without_end(origin: Origin) -> None:
    """There is always another hop."""
    origin.script(redirect_hops(ENDLESS, "/f"))
    reply = await ask(origin.url("/f") + "?hop=999")

    assert (302, origin.url("/f") + "?hop=1000") == (reply.status, reply.headers.get("Location"))


async def test_replaced_in_mid_response(origin: Origin) -> None:
    """A response goes on with the object it began with; the next one has the new."""
    size = 64 << 20  # more than fits into the sockets of a client that does not read
    old = origin.add("/big", size)
    async with connected(origin.base_url) as (reader, writer):
        writer.write(request_bytes("/big", {}))
        await origin.ledger.until(lambda: origin.ledger.bytes_sent("/big") > 0)
        new = origin.add("/big", size, seed=2)
        begun = await read_reply(reader)
    later = await ask(origin.url("/big"), span=(size - 1000, size))

    assert begun.headers.get("ETag") != later.headers.get("ETag")
    assert old.read(size - 1000, size) == begun.body[-1000:]
    assert new.read(size - 1000, size) == later.body
