"""Faults in framing: chunks, lengths, codings and trailers, byte for byte as scripted."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from asyncdl.errors import OptionsError
from asyncdl.testing import Fault, Origin
from tests.support.rawanswer import answer_bytes, head_lines

SIZE = 5000
SPAN = (1000, 1100)


@pytest.fixture
async def origin() -> AsyncIterator[Origin]:
    """An origin with one object, `/f`."""
    async with Origin() as running:
        running.add("/f", SIZE)
        yield running


async def framed(origin: Origin, fault: Fault) -> tuple[list[bytes], bytes]:
    """The framing's headers and the raw body with which 100 bytes come."""
    origin.script(fault)
    answer = await answer_bytes(origin.url("/f"), span=SPAN)
    names = (b"Content-Length", b"Transfer-Encoding", b"Connection")
    return [line for line in head_lines(answer) if line.startswith(names)], answer.partition(b"\r\n\r\n")[2]


async def test_chunks_and_a_length(origin: Origin) -> None:
    """Both ways to frame at once, as RFC 9112 section 6.2 forbids; the length is the true one."""
    headers, body = await framed(origin, Fault(chunked=True, keep_length=True))

    assert [b"Content-Length: 100", b"Transfer-Encoding: chunked"] == headers
    assert b"64\r\n" + origin.content("/f").read(*SPAN) + b"\r\n0\r\n\r\n" == body


async def test_chunks_and_a_wrong_length(origin: Origin) -> None:
    """The length beside the chunks may be any."""
    headers, _ = await framed(origin, Fault(chunked=True, length=7))

    assert [b"Content-Length: 7", b"Transfer-Encoding: chunked"] == headers


async def test_size_of_chunks(origin: Origin) -> None:
    """`drip` cuts the chunks."""
    _, body = await framed(origin, Fault(chunked=True, drip=(60, 0.0)))
    content = origin.content("/f")

    assert b"3c\r\n" + content.read(1000, 1060) + b"\r\n28\r\n" + content.read(1060, 1100) + b"\r\n0\r\n\r\n" == body


@pytest.mark.parametrize("line", [b"zz", b"-5", b"fffffffffffffffff1", b"", b"3c;ext=\x00", b"0x3c"])
async def test_bad_chunk(origin: Origin, line: bytes) -> None:
    """One chunk's size is what the script says, the others are right."""
    _, body = await framed(origin, Fault(chunked=True, drip=(60, 0.0), bad_chunk=(1, line)))
    content = origin.content("/f")

    expected = b"3c\r\n%b\r\n%b\r\n%b\r\n0\r\n\r\n" % (content.read(1000, 1060), line, content.read(1060, 1100))
    assert expected == body


async def test_bad_last_chunk(origin: Origin) -> None:
    """The chunk of size 0 can be spoilt like the others."""
    _, body = await framed(origin, Fault(chunked=True, bad_chunk=(1, b"00g")))

    assert b"64\r\n" + origin.content("/f").read(*SPAN) + b"\r\n00g\r\n\r\n" == body


async def test_no_last_chunk(origin: Origin) -> None:
    """All the data, and FIN where the last chunk belongs; nothing announces it."""
    headers, body = await framed(origin, Fault(chunked=True, unterminated=True))

    assert [b"Transfer-Encoding: chunked"] == headers
    assert b"64\r\n" + origin.content("/f").read(*SPAN) + b"\r\n" == body


async def test_trailers(origin: Origin) -> None:
    """Header lines after the last chunk, with NUL and folds if need be."""
    _, body = await framed(origin, Fault(chunked=True, trailers=(("X-Sum", "a\0b"), ("Y", "1\r\n 2"))))

    assert b"\r\n0\r\nX-Sum: a\0b\r\nY: 1\r\n 2\r\n\r\n" == body[4 + 100 :]


@pytest.mark.parametrize("value", ["gzip, chunked", "Chunked", "xchunked"])
async def test_other_codings_in_chunks(origin: Origin, value: str) -> None:
    """The header's value is the script's; the body is in chunks where it ends that way."""
    headers, body = await framed(origin, Fault(transfer_encoding=value))

    assert [f"Transfer-Encoding: {value}".encode()] == headers
    assert b"64\r\n" + origin.content("/f").read(*SPAN) + b"\r\n0\r\n\r\n" == body


async def test_a_coding_that_is_not_chunked(origin: Origin) -> None:
    """Any other coding leaves the body to end with the connection (RFC 9112 section 6.3)."""
    headers, body = await framed(origin, Fault(transfer_encoding="identity"))

    assert ([b"Transfer-Encoding: identity"], origin.content("/f").read(*SPAN)) == (headers, body)


async def test_no_length_but_one(origin: Origin) -> None:
    """A close-delimited response may say how long it is, truly or not."""
    headers, _ = await framed(origin, Fault(no_length=True, keep_length=True))

    assert [b"Content-Length: 100", b"Connection: close"] == headers


async def test_short_and_in_chunks(origin: Origin) -> None:
    """The bytes that are missing are counted in data, not in framing."""
    _, body = await framed(origin, Fault(chunked=True, short=40))

    assert b"3c\r\n" + origin.content("/f").read(1000, 1060) + b"\r\n" == body


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"bad_chunk": (0, b"zz")}, "no chunks"),
        ({"unterminated": True}, "no chunks"),
        ({"trailers": (("a", "b"),), "transfer_encoding": "identity"}, "no chunks"),
        ({"length": 5, "keep_length": True}, "length and keep_length"),
        ({"half_close": True, "reset_after": 1}, "reset_after and half_close"),
        ({"chunked": True, "unterminated": True, "drop_after": 1}, "drop_after and unterminated"),
    ],
)
def test_what_contradicts_itself(arguments: dict[str, object], words: str) -> None:
    """A script that cannot be carried out is refused when written."""
    with pytest.raises(OptionsError, match=words):
        Fault(**arguments)  # type: ignore[arg-type]  # that is the test
