"""`download` and `run_download`: a caller's arguments checked, and one file brought; no more is decided here."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, get_args

import anyio

from asyncdl.edge.clock import Clock
from asyncdl.edge.files import AnyPath
from asyncdl.edge.http import AiohttpTransport, Session
from asyncdl.edge.transport import Transport
from asyncdl.engine import FileDownload
from asyncdl.errors import DeadlineError, OptionsError
from asyncdl.model import Checksum, IfExists, Request, Result, Source
from asyncdl.options import Options, Retry, Timeouts
from asyncdl.progress import ProgressCallback, Reporter
from asyncdl.rules.ranges import MAX_SIZE
from asyncdl.rules.urls import check_headers


async def download(
    source: Source,
    dest: AnyPath,
    *,
    size: int | None = None,
    checksum: Checksum | str | None = None,
    headers: Mapping[str, str] | Iterable[tuple[str, str]] | None = None,
    if_exists: IfExists = "skip",
    options: Options = Options(),
    timeouts: Timeouts = Timeouts(),
    retry: Retry = Retry(),
    session: Session | None = None,
    on_progress: ProgressCallback | None = None,
) -> Result:
    """Download one object to `dest`, which appears only when it is complete and durable.

    Args:
        source: a URL, a `SignedUrl`, or a callable that returns one and is asked again whenever it expires.
        dest: path of the finished file. Its directory must exist; the bytes gather in `dest` + ".part" beside it.
        size: the object's size in bytes, if known; saves the probe, and is checked before a byte is written.
        checksum: of the object, as a `Checksum` or `"sha256:HEX"`, if known: the file appears only if it has it.
            Without one, what the server promises of the whole object is verified (Repr-Digest, x-goog-hash and others).
        headers: further request headers; they never reach another origin than the first URL's.
        if_exists: "skip" takes a file of the object's size, and checksum where one is known, at `dest` for done and
            refuses any other; "replace" replaces it in one step at the end; "error" refuses.
        options, timeouts, retry: see their classes.
        session: an aiohttp session to use and not to close; None opens one for this download.
        on_progress: called on the event loop about ten times a second, and once at the end.

    Returns:
        A `Result` whose outcome is DOWNLOADED or SKIPPED.

    Raises:
        OptionsError: an argument cannot be used.
        TransferError: the remote side failed for good; see its subclasses.
        RefreshError: no living URL could be had from the source.
        IntegrityError: the object has not the size or the checksum given or promised.
        StorageError: the disk or the destination; see its subclasses.
        JournalError: what lies beside the destination is of another program or a later release.
        DeadlineError: `timeouts.total` passed.
    """
    _check_callback(on_progress)
    clock = Clock()
    reporter = Reporter(on_progress, clock)
    with reporter.to_the_end():
        _check_types(options, timeouts, retry, session)
        deadline = None if timeouts.total is None else clock.monotonic() + timeouts.total
        bound = asyncio.timeout(timeouts.total)
        try:
            async with bound:
                request = _request(source, dest, size, checksum, headers, if_exists)
                async with _transport(options, timeouts, session) as transport:
                    return await FileDownload(
                        request, options, timeouts, retry, transport, clock=clock, deadline=deadline
                    ).run(reporter)
        except TimeoutError as error:
            if bound.expired() and not isinstance(error, DeadlineError):
                hint = "raise Timeouts.total (--max-time)"
                raise DeadlineError(f"not complete after {timeouts.total:g} s", hint=hint) from None
            raise


def run_download(source: Source, dest: AnyPath, **arguments: Any) -> Result:  # noqa: ANN401
    """`download` for callers without an event loop: same arguments, same result, same errors."""
    return anyio.run(partial(download, source, dest, **arguments))


def _check_types(options: object, timeouts: object, retry: object, session: object) -> None:
    wanted = {"options": (options, Options), "timeouts": (timeouts, Timeouts), "retry": (retry, Retry)}
    for name, (value, kind) in wanted.items():
        if not isinstance(value, kind):
            raise OptionsError(f"{name} must be asyncdl.{kind.__name__}(...), not {type(value).__name__}")
    if session is not None and not isinstance(session, Session):
        raise OptionsError(f"session must be an aiohttp.ClientSession, not {type(session).__name__}")


def _check_callback(on_progress: object) -> None:
    if on_progress is not None and (not callable(on_progress) or inspect.iscoroutinefunction(on_progress)):
        raise OptionsError("on_progress must be a plain function; asyncdl.ProgressStream() can be awaited")


def _request(
    source: Source,
    dest: AnyPath,
    size: int | None,
    checksum: Checksum | str | None,
    headers: Mapping[str, str] | Iterable[tuple[str, str]] | None,
    if_exists: IfExists,
) -> Request:
    if size is not None and (not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= MAX_SIZE):
        raise OptionsError(f"size must be a whole number of bytes of at least 0, not {size!r}")
    if if_exists not in get_args(IfExists):
        raise OptionsError(f"if_exists must be one of {', '.join(get_args(IfExists))}, not {if_exists!r}")
    try:
        path = Path(dest)
    except TypeError:
        raise OptionsError(f"dest must be a path, not {type(dest).__name__}") from None
    if "\0" in str(path) or not path.name or str(dest).endswith("/"):
        raise OptionsError("the destination is not the path of a file")
    return Request(source, path, size, _checksum(checksum), check_headers(headers), if_exists)


def _checksum(given: Checksum | str | None) -> Checksum | None:
    if given is not None and not isinstance(given, Checksum | str):
        raise OptionsError(f"checksum must be a Checksum or a str, not {type(given).__name__}")
    return Checksum.parse(given) if isinstance(given, str) else given


@asynccontextmanager
async def _transport(options: Options, timeouts: Timeouts, session: Session | None) -> AsyncIterator[Transport]:
    transport = AiohttpTransport(options, timeouts, session)
    try:
        yield transport
    finally:
        await transport.aclose()
