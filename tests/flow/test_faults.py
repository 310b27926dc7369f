"""Servers that misbehave: the right reaction, the right bytes, nothing of a refused response in the file."""

from __future__ import annotations

import asyncio
import os
import re
from pathlib import Path

import pytest

import asyncdl
from asyncdl.testing import POISON, Fault, Origin, poison
from tests.support.flow import EAGER, KIB, PART, QUICK, fetch, holds, small

SIZE = 12 * PART + 999
#: For who sends nothing any more; what is sent by others must not take so long on the busiest machine.
IMPATIENT = asyncdl.Timeouts(connect=30, response=1, stall=1, low_speed=None)


def patience(fault: Fault) -> asyncdl.Timeouts:
    """Short where somebody has to lose it."""
    return IMPATIENT if fault.stall_headers or fault.stall_after is not None else QUICK


PASSING = {
    "stalls for ever in the headers": Fault(request={0, 3}, stall_headers=True),
    "stalls for ever at the first body byte": Fault(request={0, 3}, stall_after=0),
    "stalls for ever in mid-body": Fault(request={0, 3}, stall_after=20_000),
    "closes without an answer": Fault(request={0, 1, 5, 6}, raw=b""),
    "closes after the headers": Fault(request={0, 3}, drop_after=0),
    "drops in mid-body": Fault(request={0, 3}, drop_after=20_000),
    "resets in mid-body": Fault(request={0, 3}, reset_after=20_000),
    "declares more than it sends": Fault(request={0, 3}, short=5000),
    "sends more than it declares": Fault(request={0, 3}, extra=POISON),
    "answers 200 to a later range": Fault(request={3, 5}, ignore_range=True),
    "lies about where the range starts": Fault(request={3, 5}, shift_header=1),
    "sends a range that starts elsewhere": Fault(request={3, 5}, shift=7),
    "leaves Content-Range out": Fault(request={3, 5}, drop_headers=("Content-Range",)),
    "sends a malformed Content-Range": Fault(request={3, 5}, content_range="bytes banana"),
    "is overloaded": Fault(request={0, 3, 4}, status=503),
    "fails inside": Fault(request={0, 3, 4}, status=500),
    "throttles": Fault(request={0, 3, 4}, status=429, headers={"Retry-After": "0"}),
    "says 308 and not where to": Fault(request={0, 3}, status=308),
    "is too early": Fault(request={0, 3}, status=425),
    "closes after each response": Fault(close=True),
    "sends every range in chunks": Fault(chunked=True),
    "sends ranges without a length": Fault(no_length=True),
    "speaks no HTTP once": Fault(request={0, 3}, raw=b"SSH-2.0-OpenSSH_9.2\r\n"),
    "omits the total": Fault(request={3, 5}, total="*"),
}


HARMLESS = [
    PASSING[name]
    for name in (
        "sends more than it declares",
        "closes after each response",
        "sends every range in chunks",
        "sends ranges without a length",
        "omits the total",
    )
]


@pytest.mark.parametrize("connections", [1, 4])
@pytest.mark.parametrize("known", [True, False], ids=["size known", "size unknown"])
@pytest.mark.parametrize("fault", PASSING.values(), ids=PASSING.keys())
async def test_fault_that_passes_costs_no_byte(
    origin: Origin, tmp_path: Path, no_leaks: object, fault: Fault, known: bool, connections: int
) -> None:
    """The download ends whole; what had arrived is not fetched again."""
    content = origin.add("/object", SIZE)
    origin.script(fault)

    result = await fetch(
        origin.url("/object"),
        tmp_path / "file",
        size=SIZE if known else None,
        options=small(connections),
        timeouts=patience(fault),
    )
    applied = origin.faults.applied(fault)
    await origin.aclose()

    assert holds(tmp_path / "file", content)
    assert applied > 0
    assert ["file"] == os.listdir(tmp_path)
    # A request that was not answered at all may be sent once more by aiohttp itself; what a stalled connection owes
    # may be taken over by an idle one, or given up by itself, before the stall counts as a fault.
    fewest = 1 if fault.raw == b"" else applied if fault.stall_after is None else 0
    assert result.retries == 0 if fault in HARMLESS else fewest <= result.retries <= applied
    assert SIZE == result.fetched


LASTING = {
    "stalls for ever in the headers": (Fault(stall_headers=True), asyncdl.StallError, "no response headers"),
    "stalls for ever at the first byte": (Fault(stall_after=0), asyncdl.StallError, "nothing for 1 s"),
    "drops at the first byte": (Fault(drop_after=0), asyncdl.ConnectError, "before"),
    "answers 200 for another size": (
        Fault(request=range(2, 99), ignore_range=True, body=POISON),
        asyncdl.RemoteChangedError,
        "bytes at first",
    ),
    "lies about where ranges start": (Fault(shift_header=1), asyncdl.ResponseMismatchError, "asked for bytes 0"),
    "sends ranges that start elsewhere": (Fault(shift=7), asyncdl.ResponseMismatchError, "asked for bytes 0"),
    "leaves Content-Range out": (
        Fault(drop_headers=("Content-Range",)),
        asyncdl.ResponseMismatchError,
        "no Content-Range",
    ),
    "answers with multipart": (
        Fault(drop_headers=("Content-Type",), headers={"Content-Type": "multipart/byteranges; boundary=x"}),
        asyncdl.ResponseMismatchError,
        "multipart",
    ),
    "encodes the body": (Fault(headers={"Content-Encoding": "gzip"}), asyncdl.ResponseMismatchError, "encoded"),
    "is overloaded for good": (Fault(status=503), asyncdl.HttpStatusError, "503"),
    "knows no such object": (Fault(status=404), asyncdl.HttpStatusError, "404"),
    "wants a password": (Fault(status=401), asyncdl.ForbiddenError, "401"),
    "has nothing to say": (Fault(status=204, body=b""), asyncdl.ResponseMismatchError, "204"),
    "speaks no HTTP": (Fault(raw=b"SSH-2.0-OpenSSH_9.2\r\n"), asyncdl.ResponseMismatchError, "not HTTP"),
    "redirects in a circle": (
        Fault(redirect=lambda record: record.raw_target),
        asyncdl.ResponseMismatchError,
        "more than 5 redirects",
    ),
    "redirects to a file": (Fault(redirect="file:///etc/passwd"), asyncdl.ResponseMismatchError, "redirect"),
    "changes the object": (Fault(request=range(2, 99), etag='"v2"'), asyncdl.RemoteChangedError, "entity tag"),
    "changes the size": (Fault(request=range(2, 99), total=SIZE + 1), asyncdl.RemoteChangedError, "bytes at first"),
}


@pytest.mark.parametrize("connections", [1, 4])
@pytest.mark.parametrize(("fault", "error", "words"), LASTING.values(), ids=LASTING.keys())
async def test_fault_that_lasts_ends_in_its_own_error(
    origin: Origin,
    tmp_path: Path,
    no_leaks: object,
    fault: Fault,
    error: type[asyncdl.AsyncdlError],
    words: str,
    connections: int,
) -> None:
    """Bounded tries, the server's words, no destination, and no byte of a refused response on the disk."""
    origin.add("/object", SIZE)
    origin.script(fault)
    retry = asyncdl.Retry(attempts=3, base=0.005, cap=0.02)

    with pytest.raises(error, match=words) as caught:
        await fetch(
            origin.url("/object"), tmp_path / "file", options=small(connections), timeouts=patience(fault), retry=retry
        )
    await origin.aclose()

    assert not (tmp_path / "file").exists()
    assert len(origin.ledger.requests) <= 6 * connections
    for left in tmp_path.iterdir():
        assert POISON not in left.read_bytes()
    if isinstance(caught.value, asyncdl.TransferError) and caught.value.retryable:
        assert 3 == caught.value.attempts


@pytest.mark.parametrize("connections", [1, 4])
@pytest.mark.parametrize("k", [1, 1000, 16 * KIB, PART - 1, PART, PART + 1])
async def test_drops_at_every_multiple_of_k(origin: Origin, tmp_path: Path, k: int, connections: int) -> None:
    """However short each response is, bytes before the drop are kept: k new ones for each request."""
    size = min(SIZE, 60 * k)
    content = origin.add("/object", size)
    origin.script(Fault(drop_after=k))

    result = await fetch(
        origin.url("/object"),
        tmp_path / "file",
        options=small(connections),
        retry=asyncdl.Retry(base=0.0005, cap=0.001),
    )

    assert holds(tmp_path / "file", content)
    assert size == result.fetched
    assert 0 == origin.ledger.repeated("/object")


async def test_one_byte_a_second_does_not_count_as_alive(origin: Origin, tmp_path: Path) -> None:
    """C2: a drip is never quiet long enough for a stall; the low-speed window catches it."""
    content = origin.add("/object", 4 * PART)
    drip = Fault(request={1, 2}, drip=(1, 0.02))
    origin.script(drip)

    result = await fetch(
        origin.url("/object"),
        tmp_path / "file",
        options=small(1),  # no other connection would take over what these owe
        timeouts=asyncdl.Timeouts(stall=60, low_speed=(1000, 1.0)),
    )

    assert holds(tmp_path / "file", content)
    assert 2 == result.retries == origin.faults.applied(drip)


async def test_drip_that_never_ends_is_a_stall(origin: Origin, tmp_path: Path) -> None:
    """Progress resets a part's attempts, so only the speed, not the count, can be held against a drip."""
    origin.add("/object", PART)
    origin.script(Fault(drip=(1, 0.05)))

    timeouts = asyncdl.Timeouts(stall=60, low_speed=(1000, 0.3))
    task = asyncio.create_task(fetch(origin.url("/object"), tmp_path / "file", timeouts=timeouts))
    await origin.ledger.until(lambda: len(origin.ledger.requests) >= 4)
    task.cancel()
    await asyncio.wait({task})

    # Each connection was dropped for its speed, and the next one went on where it was.
    starts = [record.range[0] for record in origin.ledger.requests if record.range]
    assert 3 <= len(set(starts))
    assert sorted(starts) == starts


async def test_connection_refused(tmp_path: Path) -> None:
    """Nobody listens: a few tries, then the system's words."""
    async with Origin() as origin:
        url = origin.url("/object")

    with pytest.raises(asyncdl.ConnectError, match=r"cannot connect to 127\.0\.0\.1:\d+: connection refused") as caught:
        await fetch(url, tmp_path / "file")

    assert 4 == caught.value.attempts
    assert (0, PART) == caught.value.part
    assert [] == os.listdir(tmp_path)


async def test_unknown_host(tmp_path: Path) -> None:
    """A name that does not resolve says so."""
    with pytest.raises(asyncdl.ConnectError, match=r"cannot resolve no-such-host\.invalid: "):
        await fetch("http://no-such-host.invalid/x", tmp_path / "file")


async def test_retry_after_is_honoured(origin: Origin, tmp_path: Path) -> None:
    """B6: the server's wait is a lower bound, whatever the backoff."""
    origin.add("/object", 100)
    origin.script(Fault(request=0, status=503, headers={"Retry-After": "1"}))

    await fetch(origin.url("/object"), tmp_path / "file")

    first, second = origin.ledger.requests
    assert second.started - (first.finished or 0) >= 1.0


async def test_retry_after_beyond_the_deadline_ends_at_once(origin: Origin, tmp_path: Path) -> None:
    """Waiting for what cannot be waited for helps nobody."""
    origin.add("/object", 100)
    origin.script(Fault(status=503, headers={"Retry-After": "60"}))

    with pytest.raises(asyncdl.DeadlineError, match="60 s, which is past the deadline"):
        await fetch(origin.url("/object"), tmp_path / "file", timeouts=asyncdl.Timeouts(total=20))

    assert 1 == len(origin.ledger.requests)


async def test_the_budget_is_shared(origin: Origin, tmp_path: Path) -> None:
    """B6: many fetchers that get nowhere end after the budget, not after attempts times connections."""
    origin.add("/object", 40 * PART)
    origin.script(Fault(request=range(1, 10_000), status=503))

    with pytest.raises(asyncdl.HttpStatusError):
        await fetch(
            origin.url("/object"),
            tmp_path / "file",
            options=small(16),
            retry=asyncdl.Retry(attempts=1000, base=0.001, cap=0.002, budget=30),
        )

    assert len(origin.ledger.requests) <= 1 + 16 + 30


async def test_stream_without_ranges_starts_again_after_a_drop(tmp_path: Path) -> None:
    """A6: what cannot be resumed is fetched again from the start, and progress never goes back."""
    async with Origin(ranges=False) as origin:
        content = origin.add("/object", 10 * PART)
        origin.script(Fault(request={0, 1}, drop_after=3 * PART))
        seen: list[int] = []

        result = await fetch(
            origin.url("/object"), tmp_path / "file", on_progress=lambda progress: seen.append(progress.done)
        )

        assert holds(tmp_path / "file", content)
        assert 2 == result.retries
        assert sorted(seen) == seen
        assert 10 * PART == seen[-1]


async def test_stream_that_always_drops_at_the_same_place_ends(tmp_path: Path) -> None:
    """The same bytes again are no progress: the attempts run out."""
    async with Origin(ranges=False) as origin:
        origin.add("/object", 10 * PART)
        origin.script(Fault(drop_after=3 * PART))

        with pytest.raises(asyncdl.ConnectError):
            await fetch(origin.url("/object"), tmp_path / "file", retry=asyncdl.Retry(attempts=4, base=0.001))

        assert 4 == len(origin.ledger.requests)


async def test_server_that_stops_serving_ranges_is_streamed(origin: Origin, tmp_path: Path) -> None:
    """When ranges end in mid-download for good, one stream from the start brings the rest."""
    content = origin.add("/object", 20 * PART)
    origin.script(Fault(request=range(4, 1000), ignore_range=True))

    await fetch(origin.url("/object"), tmp_path / "file")

    assert holds(tmp_path / "file", content)


async def test_server_that_shortens_ranges_is_asked_for_the_rest(origin: Origin, tmp_path: Path) -> None:
    """A 206 may cover less than was asked for (RFC 9110 section 15.3.7): not a fault, and no retry."""
    content = origin.add("/object", 6 * PART, etag='"v1"')
    body = origin.content("/object").read(PART, PART + 1000)
    answer = (
        f"HTTP/1.1 206 Partial Content\r\nContent-Length: 1000\r\nContent-Range: bytes {PART}-{PART + 999}/{6 * PART}"
    )
    origin.script(Fault(request=1, raw=f'{answer}\r\nETag: "v1"\r\n\r\n'.encode() + body))

    result = await fetch(origin.url("/object"), tmp_path / "file")

    assert holds(tmp_path / "file", content)
    assert 0 == result.retries


async def test_error_words_are_shown_and_short(origin: Origin, tmp_path: Path) -> None:
    """The server's explanation is part of the error, bounded."""
    origin.add("/object", 100)
    origin.script(Fault(status=404, body=b"<Error><Code>NoSuchKey</Code><Message>gone " + b"x" * 99_999))

    with pytest.raises(asyncdl.HttpStatusError, match="NoSuchKey") as caught:
        await fetch(origin.url("/object"), tmp_path / "file")

    assert 404 == caught.value.status
    assert len(str(caught.value)) < 500


async def test_error_without_end_is_not_read_to_its_end(origin: Origin, tmp_path: Path) -> None:
    """The first 64 KiB say enough; what a socket's buffers took besides is the system's business."""
    origin.add("/object", SIZE)
    origin.script(Fault(status=404, body=b"no such thing " * (5 << 20)))

    with pytest.raises(asyncdl.HttpStatusError, match="no such thing"):
        await fetch(origin.url("/object"), tmp_path / "file")
    await origin.aclose()

    assert [True] == [record.sent < 32 << 20 for record in origin.ledger.requests]


async def test_error_that_echoes_the_request_gives_nothing_away(origin: Origin, tmp_path: Path) -> None:
    """Header values and the targets of redirects are kept out of what a body repeats of them."""
    origin.add("/object", 100)
    origin.script(
        Fault(path="/object", redirect="/gone?t=REDIRECTSECRET"),
    )
    origin.add("/gone", 100)
    origin.script(Fault(path="/gone", status=403, body=b"you sent HEADERSECRET, URLSECRET and REDIRECTSECRET: no"))
    url = asyncdl.SignedUrl(origin.url("/object"), headers=(("X-Custom", "URLSECRET"),))

    with pytest.raises(asyncdl.ForbiddenError, match="you sent …, … and …: no"):
        await fetch(url, tmp_path / "file", headers={"X-Other": "HEADERSECRET"})


async def test_retries_and_renewals_are_logged_with_their_causes(
    origin: Origin, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Who wonders why it takes so long finds out in the log."""
    origin.add("/object", SIZE)
    provider = origin.provider("/object", ttl=3600)
    origin.script(
        Fault(request=2, status=503, body=b"busy"),
        Fault(request=4, status=403, body=b"<Code>ExpiredToken</Code><Message>too old</Message>"),
    )
    caplog.set_level("INFO", "asyncdl")

    await fetch(provider, tmp_path / "file", options=small(1))

    retried, renewed = caplog.messages
    assert "503 Service Unavailable: busy" in retried
    assert "ExpiredToken: too old" in renewed


async def test_the_first_cause_is_raised_alone(origin: Origin, tmp_path: Path) -> None:
    """No exception group, whatever many fetchers run into at once."""
    origin.add("/object", SIZE)
    origin.script(Fault(request=range(1, 999), status=404, body=b"gone"))

    with pytest.raises(asyncdl.HttpStatusError) as caught:
        await fetch(origin.url("/object"), tmp_path / "file", options=small(16), retry=EAGER)

    assert not isinstance(caught.value.__cause__, BaseExceptionGroup)
    assert re.fullmatch(r"the server answered 404 Not Found: gone", str(caught.value))


@pytest.mark.parametrize("k", [1, PART, 3 * PART, 4 * PART])
async def test_stream_of_unknown_length_that_breaks(origin: Origin, tmp_path: Path, k: int) -> None:
    """A chunked 200 breaks; ranges bring the rest, and a 416 at the very end says that nothing is missing."""
    content = origin.add("/object", 4 * PART)
    origin.script(Fault(request=0, ignore_range=True, chunked=True, drop_after=k))

    result = await fetch(origin.url("/object"), tmp_path / "file")

    assert holds(tmp_path / "file", content)
    assert 1 == result.retries
    assert 4 * PART == result.size == result.fetched


@pytest.mark.parametrize(
    "fault",
    [Fault(ignore_range=True, chunked=True), Fault(ignore_range=True, no_length=True)],
    ids=["chunked", "until close"],
)
async def test_body_longer_than_the_declared_size(origin: Origin, tmp_path: Path, fault: Fault) -> None:
    """A body without a length may not be cut where the caller thinks it ends."""
    origin.add("/object", 4 * PART)
    origin.script(fault)

    with pytest.raises(asyncdl.IntegrityError, match=f"longer than its {3 * PART} bytes"):
        await fetch(origin.url("/object"), tmp_path / "file", size=3 * PART)

    assert not (tmp_path / "file").exists()


async def test_body_shorter_than_the_declared_size(origin: Origin, tmp_path: Path) -> None:
    """An end that comes early is a broken connection until the attempts run out."""
    origin.add("/object", 4 * PART)
    origin.script(Fault(ignore_range=True, chunked=True))

    with pytest.raises(asyncdl.ConnectError, match="before the object did"):
        await fetch(origin.url("/object"), tmp_path / "file", size=5 * PART, retry=asyncdl.Retry(attempts=2, base=0))


async def test_stream_of_unknown_length_learns_it_from_a_range(origin: Origin, tmp_path: Path) -> None:
    """Where the rest of a broken stream comes as a range, its end is the object's: nobody asks what comes after."""
    content = origin.add("/object", SIZE)
    origin.script(Fault(request=0, ignore_range=True, chunked=True, drop_after=PART))

    await fetch(origin.url("/object"), tmp_path / "file")

    assert holds(tmp_path / "file", content)
    assert [0, PART] == [record.range and record.range[0] for record in origin.ledger.requests]


async def test_stream_that_is_shorter_the_second_time(tmp_path: Path) -> None:
    """Without validators only the length tells that a stream that starts again is another object's."""
    async with Origin(ranges=False) as origin:
        origin.add("/object", 4 * PART)
        body = origin.content("/object").read(0, PART)
        chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n" % (2 * PART, 2 * body)
        complete = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (PART, body)
        origin.script(Fault(request=0, raw=chunked), Fault(raw=complete))

        with pytest.raises(asyncdl.RemoteChangedError, match="shorter"):
            await fetch(origin.url("/object"), tmp_path / "file")

    assert not (tmp_path / "file").exists()


@pytest.mark.parametrize("connections", [1, 4])
async def test_part_that_is_longer_than_it_says(origin: Origin, tmp_path: Path, connections: int) -> None:
    """A 206 in chunks that does not end where its Content-Range does is not that range: all of it comes again."""
    content = origin.add("/object", 8 * PART, etag='"v1"')
    head = f'HTTP/1.1 206 Partial Content\r\nETag: "v1"\r\nContent-Range: bytes {PART}-{2 * PART - 1}/{8 * PART}\r\n'
    lie = b"%bTransfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (head.encode(), 2 * PART, poison(2 * PART))
    origin.script(Fault(start=PART, times=1, raw=lie))

    result = await fetch(origin.url("/object"), tmp_path / "file", options=small(connections))

    assert holds(tmp_path / "file", content)
    assert 1 == result.retries
