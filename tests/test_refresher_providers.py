"""Providers of every kind, and what becomes of what they raise: named, bounded, and without a secret."""

from __future__ import annotations

import asyncio
import functools
import threading
import time
import traceback
from collections.abc import Callable
from typing import Any
from unittest.mock import AsyncMock, Mock

import pytest

from asyncdl.errors import OptionsError, RefreshError
from asyncdl.model import SignedUrl
from asyncdl.options import Options, Timeouts
from asyncdl.refresher import UrlRefresher
from asyncdl.rules.rejection import RefusalKind
from tests.support.clock import ManualClock
from tests.support.stopwatch import Stopwatch
from tests.support.urls import refusal, signed

SECRET = "d6a3f0c5e1b94772"  # as a signature looks
URL = f"https://bucket.example/object?X-Amz-Signature={SECRET}&X-Amz-Expires=600"


async def _asynchronous(rejected: SignedUrl | None) -> str:
    return signed(0)


def _plain(rejected: SignedUrl | None) -> str:
    return signed(0)


class _Callable:
    async def __call__(self, rejected: SignedUrl | None) -> str:
        return signed(0)

    async def method(self, rejected: SignedUrl | None) -> str:
        return signed(0)


async def _with_arguments(bucket: str, rejected: SignedUrl | None, *, key: str) -> SignedUrl:
    return SignedUrl(signed(0))


async def _soon(rejected: SignedUrl | None) -> str:
    await asyncio.sleep(0)
    return signed(0)


PROVIDERS: dict[str, Callable[[SignedUrl | None], Any]] = {
    "async function": _asynchronous,
    "async __call__": _Callable(),
    "async method": _Callable().method,
    "partial of an async function": functools.partial(_with_arguments, "bucket", key="object"),
    "partial of an object with async __call__": functools.partial(_Callable()),
    "plain function": _plain,
    "partial of a plain function": functools.partial(_plain),
    "lambda that returns a str": lambda rejected: signed(0),
    "lambda that returns a coroutine": lambda rejected: _soon(rejected),  # noqa: PLW0108  # a lambda is what is tested
    "AsyncMock": AsyncMock(return_value=signed(0)),
    "Mock": Mock(return_value=signed(0)),
}


def refresher(provider: Any, *, within: float = 5.0) -> UrlRefresher:
    return UrlRefresher(provider, Options(), Timeouts(refresh=within), ManualClock())


@pytest.mark.parametrize("provider", PROVIDERS.values(), ids=PROVIDERS.keys())
async def test_every_kind_of_callable(provider: Callable[[SignedUrl | None], object]) -> None:
    """Whatever is called with one argument and gives a URL, now or later, is a provider."""
    lease = await refresher(provider).lease()

    assert SignedUrl(signed(0)) == lease.url


async def test_plain_function_may_block() -> None:
    """It runs in a thread, and the loop goes on meanwhile."""
    release = threading.Event()

    def blocks(rejected: SignedUrl | None) -> str:
        assert threading.current_thread() is not threading.main_thread()
        assert release.wait(10)
        return signed(0)

    waiting = asyncio.create_task(refresher(blocks).lease())
    await asyncio.sleep(0)
    release.set()  # by the loop, which is not blocked

    assert 0 == (await waiting).generation


def failing(*answers: object) -> tuple[Callable[[SignedUrl | None], Any], list[object]]:
    """A provider that raises or returns these one after the other, and the list of those to come."""
    left = list(answers)

    async def provider(rejected: SignedUrl | None) -> object:
        answer = left.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        return answer

    return provider, left


async def test_second_try() -> None:
    """One hiccup is forgiven, half a second later."""
    provider, left = failing(ConnectionResetError("hiccup"), signed(0))
    clock = ManualClock()

    lease = await UrlRefresher(provider, Options(), Timeouts(), clock).lease()

    assert SignedUrl(signed(0)) == lease.url
    assert [] == left
    assert [0.5] == clock.slept


async def test_second_failure_counts() -> None:
    """The words are those of the last try, its exception is the cause; there is no third."""
    first, last = LookupError("first"), PermissionError("no such role")
    provider, left = failing(first, last, signed(0))

    with pytest.raises(RefreshError, match=r"^the URL provider failed: PermissionError: no such role$") as caught:
        await refresher(provider).lease()

    assert [signed(0)] == left
    assert last is caught.value.__cause__
    assert caught.value.hint is None


async def test_exception_without_words() -> None:
    """Then its name has to do."""
    provider, _ = failing(LookupError(), LookupError())

    with pytest.raises(RefreshError, match=r"^the URL provider failed: LookupError$"):
        await refresher(provider).lease()


async def test_exception_that_cannot_be_printed() -> None:
    """A stranger's `__str__` may raise, and is no reason to lose the name."""

    class OddError(Exception):
        def __str__(self) -> str:
            raise ZeroDivisionError

    provider, _ = failing(OddError(), OddError())

    with pytest.raises(RefreshError, match=r"^the URL provider failed: OddError$") as caught:
        await refresher(provider).lease()

    assert caught.value.__cause__ is None


async def test_refresh_error_keeps_its_words_and_hint() -> None:
    """A source of ours has said it all."""
    error = RefreshError("the command ended with 3", hint="try it by hand")
    provider, _ = failing(error, error)

    with pytest.raises(RefreshError, match=r"^the URL provider failed: the command ended with 3$") as caught:
        await refresher(provider).lease()

    assert "try it by hand" == caught.value.hint
    assert error is caught.value.__cause__


async def test_hint_holds_no_secret_either() -> None:
    """It is as public as the message."""
    error = OptionsError("no", hint=f"open {URL} in a browser")
    provider, _ = failing(error, error)

    with pytest.raises(RefreshError) as caught:
        await refresher(provider).lease()

    assert "open https://bucket.example/object?… in a browser" == caught.value.hint
    assert caught.value.__cause__ is None


def chained(cause: BaseException) -> Exception:
    """A harmless exception with `cause` behind it."""
    error = LookupError("harmless")
    error.__cause__ = cause
    return error


def in_context(context: BaseException) -> Exception:
    """A harmless exception raised while `context` was handled."""
    error = LookupError("harmless")
    error.__context__ = context
    return error


def noted(note: str) -> Exception:
    """A harmless exception with a note, which tracebacks show."""
    error = LookupError("harmless")
    error.add_note(note)
    return error


class RequestError(Exception):
    """As HTTP libraries have them: the URL is an attribute, and in the arguments."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.url = url

    def __str__(self) -> str:
        return "the request failed"


TELLING = {
    "in its message": ValueError(f"cannot fetch {URL}"),
    "alone in its message": ValueError(f"signature {SECRET} is wrong"),
    "behind many words": ValueError("x" * 490 + " " + SECRET),
    "in an attribute": RequestError(URL),
    "in its cause": chained(ValueError(URL)),
    "in the cause of its cause": chained(chained(RequestError(URL))),
    "in its context": in_context(ValueError(URL)),
    "in a note": noted(URL),
    "in a group": ExceptionGroup("both failed", [ValueError("harmless"), ValueError(URL)]),
    "in a group in its cause": chained(ExceptionGroup("failed", [in_context(ValueError(URL))])),
    "percent-encoded": ValueError(f"q=%3FX-Amz-Signature%3D{SECRET}"),
}


@pytest.mark.parametrize("error", TELLING.values(), ids=TELLING.keys())
async def test_cause_that_holds_a_secret_is_dropped(error: Exception) -> None:
    """The kind of failure is told; what would print the signature with it is not."""
    answers = [URL, error, error]
    provider, _ = failing(*answers)
    urls = refresher(provider)
    lease = await urls.lease()

    with pytest.raises(RefreshError, match=type(error).__name__) as caught:
        await urls.rejected(lease, refusal(RefusalKind.EXPIRED), redirected=False)

    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
    assert SECRET[:8] not in "".join(traceback.format_exception(caught.value))


async def test_timeout_bounds_both_tries() -> None:
    """The second try has what the first one left."""
    calls = 0

    async def provider(rejected: SignedUrl | None) -> str:
        nonlocal calls
        calls += 1
        if calls == 1:
            await asyncio.sleep(0.5)
            raise ConnectionResetError("hiccup")
        await asyncio.Event().wait()
        raise AssertionError

    began = time.monotonic()
    async with Stopwatch() as watch:
        with pytest.raises(RefreshError, match=r"no answer within 1 s, after ConnectionResetError: hiccup$") as caught:
            await refresher(provider, within=1.0).lease()

    assert 2 == calls
    assert time.monotonic() - began >= 0.99
    assert watch.seconds < 1.45
    assert "Timeouts.refresh" in (caught.value.hint or "")


async def test_function_that_blocks_for_ever_is_left_behind() -> None:
    """A thread cannot be stopped, but it need not be waited for."""
    release = threading.Event()
    began = time.monotonic()
    try:
        with pytest.raises(RefreshError, match=r"no answer within 0\.05 s$"):
            await refresher(lambda rejected: release.wait(100), within=0.05).lease()
    finally:
        release.set()

    assert time.monotonic() - began < 50


async def test_timeout_of_the_provider_is_its_own() -> None:
    """A TimeoutError that it raises is a failure like others, not the end of our bound."""
    provider, left = failing(TimeoutError("theirs"), signed(0))

    assert 0 == (await refresher(provider).lease()).generation
    assert [] == left


async def test_timeout_around_it_stays_the_callers() -> None:
    """A bound of the caller's that runs out is not taken for ours."""

    async def provider(rejected: SignedUrl | None) -> str:
        await asyncio.Event().wait()
        raise AssertionError

    urls = refresher(provider)
    with pytest.raises(TimeoutError) as caught:
        async with asyncio.timeout(0.05):
            await urls.lease()

    assert not isinstance(caught.value, RefreshError)


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, GeneratorExit])
async def test_what_is_no_exception_passes(kind: type[BaseException]) -> None:
    """Whoever wants to end the program ends it, at the first try; the lock is free afterwards."""
    provider, left = failing(kind(), signed(0))
    urls = refresher(provider)

    with pytest.raises(kind):
        await urls.lease()

    assert [signed(0)] == left
    assert SignedUrl(signed(0)) == (await urls.lease()).url


async def test_cancelled_error_of_its_own_is_a_failure() -> None:
    """What the provider waited for was cancelled, and we were not: nobody would be told if that passed for our end."""
    provider, left = failing(asyncio.CancelledError(), asyncio.CancelledError(), signed(0))

    with pytest.raises(RefreshError, match="what it waited for was cancelled"):
        await refresher(provider).lease()

    assert [signed(0)] == left


async def test_future_that_somebody_else_cancelled() -> None:
    """As it happens: two callers share one request, and the other one gives up. The second try is served."""
    shared: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    calls = 0

    async def provider(rejected: SignedUrl | None) -> str:
        nonlocal calls
        calls += 1
        return await shared if calls == 1 else signed(0)

    waiting = asyncio.create_task(refresher(provider).lease())
    await asyncio.sleep(0)
    shared.cancel()

    assert SignedUrl(signed(0)) == (await waiting).url


async def test_answer_is_not_cut_before_it_is_redacted() -> None:
    """Half a signature at the end of a long message is still half a signature."""
    for length in range(485, 501):
        error = ValueError("x" * length + SECRET)
        provider, _ = failing(URL, error, error)
        urls = refresher(provider)
        lease = await urls.lease()

        with pytest.raises(RefreshError) as caught:
            await urls.rejected(lease, refusal(RefusalKind.EXPIRED), redirected=False)

        assert SECRET[:2] not in str(caught.value)


async def test_plain_function_does_not_keep_the_process() -> None:
    """It runs in a daemon thread: one that blocks for ever must not keep the interpreter from ending."""
    threads: list[threading.Thread] = []

    def provider(rejected: SignedUrl | None) -> str:
        threads.append(threading.current_thread())
        return signed(1)

    await refresher(provider).lease()

    (thread,) = threads
    assert thread is not threading.main_thread()
    assert thread.daemon
