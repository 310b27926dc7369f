"""Calling a URL provider: a stranger's code, within a bound, whatever kind of callable it is.

Rule: what a provider raises reaches the caller in its own words, less every secret in them.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import inspect
import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import TypeAlias, TypeVar

from asyncdl.edge.clock import Clock
from asyncdl.edge.waits import is_cancelled
from asyncdl.errors import AsyncdlError, RefreshError, SourceError
from asyncdl.model import SignedUrl, SyncUrlProvider, UrlProvider
from asyncdl.rules.redaction import redact_text

T = TypeVar("T")
Provider: TypeAlias = UrlProvider | SyncUrlProvider

#: Seconds before a provider that raised is asked once more.
_SECOND_TRY_AFTER = 0.5
#: Characters kept of what a provider's exception says.
_LONGEST_WORDS = 500


async def ask(provider: Provider, rejected: SignedUrl | None, *, timeout: float, clock: Clock) -> object:  # noqa: ASYNC109
    """What the provider returns, on its second try if the first raises, all within `timeout` seconds.

    Raises:
        RefreshError: it raised twice, or took too long. Its exception is the cause where that holds no secret.
    """
    bound = asyncio.timeout(timeout)
    fault: Exception | None = None
    try:
        async with bound:
            try:
                return await _call(provider, rejected)
            except Exception as error:  # noqa: BLE001  # a stranger's code: anything may come
                fault = error
            await clock.sleep(_SECOND_TRY_AFTER)
            return await _call(provider, rejected)
    except Exception as error:  # noqa: BLE001
        if not bound.expired():
            fault = error
    raise _refresh_error(fault, rejected, timeout if bound.expired() else None)


async def _call(provider: Provider, rejected: SignedUrl | None) -> object:
    try:
        return await _answer(provider, rejected)
    except asyncio.CancelledError:
        if is_cancelled():
            raise
        # Something the provider waited for was cancelled, and nobody cancelled us: let through, it would end this
        # task in silence, and the download would wait for it.
        raise RefreshError("what it waited for was cancelled") from None


async def _answer(provider: Provider, rejected: SignedUrl | None) -> object:
    if inspect.iscoroutinefunction(provider) or inspect.iscoroutinefunction(getattr(provider, "__call__", None)):  # noqa: B004
        return await provider(rejected)  # type: ignore[misc]
    answer = (await in_daemon(lambda: sealed(lambda: provider(rejected))))()
    return await answer if isinstance(answer, Awaitable) else answer


async def in_daemon(call: Callable[[], T]) -> T:
    """Run a call, which must not raise, in a thread of its own.

    A plain function may block for as long as it likes: not on the loop, not past the deadline, and, for which a pool's
    threads are no good, not when the process wants to end.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def deliver(outcome: T) -> None:
        if not done.done():
            done.set_result(outcome)

    def work() -> None:
        outcome = call()
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(deliver, outcome)

    context = contextvars.copy_context()
    threading.Thread(target=context.run, args=(work,), name="asyncdl URL provider", daemon=True).start()
    return await done


def sealed(call: Callable[[], T]) -> Callable[[], T]:
    """Call a plain function; what it returns or raises comes out of what this returns.

    A loop in debug mode logs what threads hand over, and a URL or an error with one must not be seen there.
    """
    try:
        answer = call()
    except BaseException as error:  # noqa: BLE001  # a stranger's code; it is raised where it is waited for
        fault = error

        def fail() -> T:
            raise fault

        return fail
    return lambda: answer


def _refresh_error(fault: Exception | None, rejected: SignedUrl | None, timeout: float | None) -> RefreshError:
    secrets = [rejected.url] if rejected else []
    words = ""
    if fault is not None:
        # Cut only now: half a secret would not be recognised.
        text = redact_text(_words(fault), *secrets)[:_LONGEST_WORDS]
        words = text if isinstance(fault, RefreshError) else f"{type(fault).__name__}: {text}".rstrip(": ")
    hint = redact_text(fault.hint, *secrets) if isinstance(fault, AsyncdlError) and fault.hint else None
    if timeout is not None:
        words = f"no answer within {timeout:g} s" + (f", after {words}" if words else "")
        hint = "raise Timeouts.refresh (--refresh-timeout) if it needs longer"
    kind = SourceError if isinstance(fault, SourceError) and timeout is None else RefreshError
    error = kind(f"the URL provider failed: {words}", hint=hint)
    if fault is not None and not any(_tells(link, secrets) for link in _chain(fault)):
        error.__cause__ = fault
    return error


def _words(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # noqa: BLE001  # a stranger's code
        return ""


def _tells(error: BaseException, secrets: list[str]) -> bool:
    """Whether a traceback, a repr or a look at its attributes would show a secret."""
    try:
        shown = f"{error} {error!r} {error.args!r} {vars(error)!r}"
    except Exception:  # noqa: BLE001  # a stranger's code
        return True
    return redact_text(shown, *secrets) != shown


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An exception and all that a traceback of it would show."""
    seen: list[BaseException] = []
    queue: list[BaseException | None] = [error]
    while queue:
        link = queue.pop()
        if link is not None and link not in seen:
            seen.append(link)
            queue += [link.__cause__, link.__context__]
            queue += link.exceptions if isinstance(link, BaseExceptionGroup) else ()
    return iter(seen)
