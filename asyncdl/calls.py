"""`download` and `run_download`: one file, over connections of its own; nothing is decided here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import aclosing
from functools import partial
from typing import Any

import anyio

from asyncdl.checks import check_callback, check_types, make_request
from asyncdl.edge.clock import Clock
from asyncdl.edge.files import AnyPath
from asyncdl.edge.http import AiohttpTransport, Session
from asyncdl.edge.waits import within
from asyncdl.job import Commons
from asyncdl.model import Checksum, IfExists, Result, Source
from asyncdl.options import Options, Retry, Timeouts
from asyncdl.progress import ProgressCallback, Reporter
from asyncdl.trials import download_of


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
        source: a URL, a `SignedUrl`, or a callable that returns one and is asked again whenever it expires; or
            `Mirrors` of several of these.
        dest: path of the finished file. Its directory must exist; the bytes gather in `dest` + ".part" beside it.
        size: the object's size in bytes, if known; saves the probe, and is checked before a byte is written.
        checksum: of the object, as a `Checksum` or `"sha256:HEX"`, if known: the file appears only if it has it.
            Without one, what the server promises of the whole object is verified (Repr-Digest, x-goog-hash and others).
        headers: further request headers; they never reach another origin than the first URL's (of the first mirror).
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
    check_callback(on_progress)
    clock = Clock()
    reporter = Reporter(on_progress, clock)
    with reporter.to_the_end():
        check_types(options, timeouts, retry, session)
        deadline = None if timeouts.total is None else clock.monotonic() + timeouts.total
        async with within(timeouts.total, hint="raise Timeouts.total (--max-time)"):
            request = make_request(source, dest, size, checksum, headers, if_exists)
            async with aclosing(AiohttpTransport(options, timeouts, session)) as transport:
                commons = Commons.of_one(transport, options, clock, retry)
                return await download_of(
                    request, options, timeouts, retry, commons, clock=clock, deadline=deadline
                ).run(reporter)


def run_download(source: Source, dest: AnyPath, **arguments: Any) -> Result:  # noqa: ANN401
    """`download` for callers without an event loop: same arguments, same result, same errors."""
    return anyio.run(partial(download, source, dest, **arguments))
