"""Names that do not resolve, addresses that do not answer: what they are called, and how long anybody waits."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest

import asyncdl
from asyncdl.edge.lookup import look_up
from asyncdl.errors import ConnectError, TransferError
from asyncdl.options import Timeouts
from asyncdl.testing import Content, Origin
from tests.support.http import PATIENT, QUICK, SECRET, ask, transport, words_of
from tests.support.names import Names
from tests.support.process import free_port
from tests.support.stopwatch import Stopwatch

SIZE = 10_000
CONTENT = Content(1, SIZE)
#: Seconds after which a test has failed: only what hangs takes so long.
BOUND = 100.0
NO_NAME = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
NO_DATA = socket.gaierror(socket.EAI_NODATA, "No address associated with hostname")
AGAIN = socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
FAIL = socket.gaierror(socket.EAI_FAIL, "Non-recoverable failure in name resolution")
pytestmark = pytest.mark.usefixtures("no_leaks")


@pytest.fixture
def deaf() -> Iterator[int]:
    """A port of 127.0.0.3 that drops whoever knocks: its queue is full, and nobody accepts."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.3", 0))
        listener.listen(0)
        fillers = [socket.socket() for _ in range(3)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]
        for filler in fillers:
            filler.close()


@pytest.fixture
def hung(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """A resolver that never answers, until the end of the test; set when it was asked."""
    asked, over = threading.Event(), threading.Event()
    threads: list[threading.Thread] = []

    def hang(*_: object) -> list[object]:
        threads.append(threading.current_thread())
        asked.set()
        over.wait(100)
        return []

    monkeypatch.setattr("asyncdl.edge.lookup.socket.getaddrinfo", hang)
    yield asked
    over.set()
    for thread in threads:
        thread.join(60)


async def fault_of(url: str, timeouts: Timeouts = PATIENT) -> TransferError:
    async with transport(timeouts=timeouts) as over, asyncio.timeout(BOUND):
        with pytest.raises(TransferError) as caught:
            await ask(over, f"{url}?X-Signature={SECRET}")

    assert SECRET not in words_of(caught.value)
    return caught.value


@pytest.mark.parametrize(
    ("answer", "most"),
    [(NO_NAME, 2), (NO_DATA, 2), (AGAIN, None), (FAIL, None), (OSError(5, "Input/output error"), None)],
    ids=["no such name", "no address", "again", "failed", "system"],
)
@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_name_that_does_not_resolve(
    monkeypatch: pytest.MonkeyPatch, answer: Exception, most: int | None, scheme: str
) -> None:
    """A name that is not there is believed the second time; other troubles of a resolver may pass."""
    Names({"gone.test": [answer]}).install(monkeypatch)
    error = await fault_of(f"{scheme}://gone.test/f")

    assert (ConnectError, True, most) == (type(error), error.retryable, error.most_attempts)
    assert error.message.startswith("cannot resolve gone.test: ")


@pytest.mark.parametrize(("answer", "asked"), [(NO_NAME, 2), (NO_DATA, 2), (AGAIN, 4)], ids=["name", "data", "again"])
async def test_how_often_it_is_asked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, answer: Exception, asked: int
) -> None:
    """A whole download: so many questions, and then its end."""
    names = Names({"gone.test": [answer]}).install(monkeypatch)
    options = asyncdl.Options(use_environment=False)
    with pytest.raises(ConnectError):
        await asyncdl.download(
            "http://gone.test/f", tmp_path / "f", options=options, retry=asyncdl.Retry(base=0.001, cap=0.001)
        )

    assert ["gone.test"] * asked == names.asked
    assert [] == list(tmp_path.iterdir())


async def test_name_that_comes_back(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, origin: Origin) -> None:
    """One such answer is not yet the end."""
    Names({"back.test": [NO_NAME, ["127.0.0.1"]]}).install(monkeypatch)
    origin.add("/f", SIZE)
    options = asyncdl.Options(use_environment=False)
    result = await asyncdl.download(
        f"http://back.test:{origin.port}/f", tmp_path / "f", options=options, retry=asyncdl.Retry(base=0.001)
    )

    assert (CONTENT.read(0, SIZE), 1) == ((tmp_path / "f").read_bytes(), result.retries)


async def test_resolver_that_hangs(hung: threading.Event) -> None:
    """A question that is never answered takes `connect` seconds, and nothing waits for its thread."""
    began = time.monotonic()
    async with Stopwatch() as watch:
        error = await fault_of("http://slow.test/f", QUICK)

    assert hung.is_set()
    assert (ConnectError, True, None) == (type(error), error.retryable, error.most_attempts)
    assert QUICK.connect <= time.monotonic() - began
    assert watch.seconds < QUICK.connect + 1


def test_end_of_the_loop_does_not_wait_either(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, hung: threading.Event
) -> None:
    """A command whose resolver hangs ends in time; the loop's own pool would be waited for."""
    began = time.monotonic()
    with pytest.raises(asyncdl.DeadlineError):
        asyncdl.run_download(
            "http://slow.test/f",
            tmp_path / "f",
            options=asyncdl.Options(use_environment=False),
            timeouts=Timeouts(total=0.5),
        )

    assert hung.is_set()
    assert time.monotonic() - began < 50  # what hangs does so for twice as long


async def test_other_names_do_not_wait(hung: threading.Event, origin: Origin, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many questions hang, the next one gets its answer."""
    hanging = socket.getaddrinfo
    names = Names({"live.test": [["127.0.0.1"]]})
    names._real = hanging
    names.install(monkeypatch)
    origin.add("/f", SIZE)
    async with transport() as over, asyncio.TaskGroup() as group:
        tasks = [group.create_task(ask(over, f"http://slow{number}.test/f")) for number in range(40)]
        await asyncio.sleep(0)
        answer = await ask(over, f"http://live.test:{origin.port}/f")
        for task in tasks:
            task.cancel()

    assert CONTENT.read(0, 100) == answer.body


async def test_late_answer() -> None:
    """What a resolver says to nobody is nobody's error."""
    with pytest.raises(socket.gaierror, match="no answer in time") as caught:
        await look_up("localhost", 80, 0, 1e-9)

    assert socket.EAI_AGAIN == caught.value.errno


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
async def test_dead_address_before_a_live_one(monkeypatch: pytest.MonkeyPatch, deaf: int, address: str) -> None:
    """Where the first address swallows everything, the next is tried at once (RFC 8305)."""
    Names({"two.test": [["127.0.0.3", address]]}).install(monkeypatch)
    async with Origin(seed=1, host=address, port=deaf) as origin, transport() as over:
        origin.add("/f", SIZE)
        async with Stopwatch() as watch:
            answer = await ask(over, f"http://two.test:{deaf}/f")

    assert CONTENT.read(0, 100) == answer.body
    assert watch.seconds < 1


async def test_black_hole_of_the_other_family(monkeypatch: pytest.MonkeyPatch, origin: Origin) -> None:
    """An IPv6 address that leads nowhere, or that this machine cannot reach, does not hold up IPv4."""
    Names({"six.test": [["100::1", "2001:db8::1", "127.0.0.1"]]}).install(monkeypatch)
    origin.add("/f", SIZE)
    async with transport() as over, Stopwatch() as watch:
        answer = await ask(over, f"http://six.test:{origin.port}/f")

    assert CONTENT.read(0, 100) == answer.body
    assert watch.seconds < 1


async def test_nothing_but_dead_addresses(monkeypatch: pytest.MonkeyPatch, deaf: int) -> None:
    """All of them together have `connect` seconds, not each of them."""
    Names({"dead.test": [["127.0.0.3"] * 6]}).install(monkeypatch)
    began = time.monotonic()
    async with Stopwatch() as watch:
        error = await fault_of(f"http://dead.test:{deaf}/f", QUICK)

    assert (ConnectError, True) == (type(error), error.retryable)
    assert QUICK.connect <= time.monotonic() - began
    assert watch.seconds < 2 * QUICK.connect


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_refused_everywhere(monkeypatch: pytest.MonkeyPatch, scheme: str) -> None:
    """Nobody listens at any address: it may be another time."""
    Names({"two.test": [["127.0.0.1", "127.0.0.2"]]}).install(monkeypatch)
    error = await fault_of(f"{scheme}://two.test:{free_port()}/f")

    assert (ConnectError, True, None) == (type(error), error.retryable, error.most_attempts)


async def test_name_without_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer with nothing in it is none."""
    Names({"empty.test": [[]]}).install(monkeypatch)
    error = await fault_of("http://empty.test/f")

    assert ("cannot resolve empty.test: the name has no address", 2) == (error.message, error.most_attempts)


async def test_over_a_session(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a session of the caller's it is the same, as far as its resolver tells."""
    Names({"gone.test": [NO_NAME]}).install(monkeypatch)
    async with aiohttp.ClientSession() as session, transport(session=session) as over:
        with pytest.raises(ConnectError) as caught:
            await ask(over, "http://gone.test/f")

    assert 2 == caught.value.most_attempts


async def test_order_and_zone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Addresses keep the resolver's order; one that is only good on a link keeps the link."""

    def answer(*_: object) -> list[object]:
        return [
            (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("fe80::1", 80, 0, 3)),
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 80)),
            (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("2001:db8::1", 80, 0, 0)),
        ]

    monkeypatch.setattr("asyncdl.edge.lookup.socket.getaddrinfo", answer)
    found = await look_up("any.test", 80, 0, 1)

    assert ["fe80::1%3", "127.0.0.1", "2001:db8::1"] == [address.host for address in found]
