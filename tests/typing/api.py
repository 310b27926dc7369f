"""Typical uses of the public API; never run, only read by type checkers, so that a signature cannot change unseen."""

from __future__ import annotations

from pathlib import Path
from typing import assert_type

import aiohttp

import asyncdl


async def a_url_is_enough() -> None:
    """The shortest call: everything else has a default."""
    result = await asyncdl.download("https://example.org/file", "file")
    assert_type(result, asyncdl.Result)
    assert_type(result.path, Path)
    assert_type(result.outcome, asyncdl.Outcome)
    assert_type(result.size, int | None)
    assert_type(result.error, Exception | None)


async def provider(rejected: asyncdl.SignedUrl | None) -> str:
    """A provider that returns plain URLs."""
    return "https://example.org/file?signature=1" if rejected is None else rejected.url


async def rich_provider(rejected: asyncdl.SignedUrl | None) -> asyncdl.SignedUrl:
    """A provider that knows when its URLs expire."""
    return asyncdl.SignedUrl("https://example.org/file", expires_at=1e9, headers=(("X-Name", "value"),))


def plain_provider(rejected: asyncdl.SignedUrl | None) -> str:
    """A provider that is no coroutine function."""
    return "https://example.org/file"


class ProviderObject:
    """A provider with a state."""

    async def __call__(self, rejected: asyncdl.SignedUrl | None) -> asyncdl.SignedUrl | str:
        """The next URL."""
        return "https://example.org/file"


async def every_kind_of_source(dest: Path) -> None:
    """A URL, a signed URL, and each form of provider."""
    await asyncdl.download(asyncdl.SignedUrl("https://example.org/file"), dest)
    await asyncdl.download(provider, dest)
    await asyncdl.download(rich_provider, dest)
    await asyncdl.download(plain_provider, dest)
    await asyncdl.download(ProviderObject(), dest)
    promised: asyncdl.UrlProvider = ProviderObject()
    await asyncdl.download(promised, dest)


async def every_option(session: aiohttp.ClientSession) -> asyncdl.Result:
    """All arguments at once."""

    def on_progress(progress: asyncdl.Progress) -> None:
        assert_type(progress.done, int)
        assert_type(progress.total, int | None)
        assert_type(progress.eta, float | None)
        assert_type(progress.phase, asyncdl.Phase)

    return await asyncdl.download(
        provider,
        Path("model.bin"),
        size=470 * 10**9,
        headers={"X-Team": "research"},
        if_exists="replace",
        options=asyncdl.Options(connections=16, part_size=64 << 20),
        timeouts=asyncdl.Timeouts(total=3600.0, low_speed=None),
        retry=asyncdl.Retry(attempts=20),
        session=session,
        on_progress=on_progress,
    )


def errors_can_be_told_apart(error: asyncdl.AsyncdlError) -> str:
    """Each error says its kind, and the remote ones what was answered."""
    match error:
        case asyncdl.UrlExpiredError() | asyncdl.ForbiddenError() | asyncdl.HttpStatusError():
            assert_type(error.status, int)
            assert_type(error.retry_after, float | None)
            return error.body_excerpt
        case asyncdl.TransferError():
            assert_type(error.part, tuple[int, int | None] | None)
            return error.message
        case _:
            return f"{error.code}: {error.hint}"


def from_synchronous_code() -> None:
    """The same for callers without a loop."""
    assert_type(asyncdl.run_download("https://example.org/file", "file", size=10), asyncdl.Result)


async def wrong_on_purpose() -> None:
    """What must not pass: the ignores below are unused, and so an error, should it ever do."""
    asyncdl.Options(4)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    asyncdl.Options(connections="4")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await asyncdl.download("u", "f", if_exists="maybe")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def several_places(dest: Path) -> None:
    """Every kind of source beside each other, and lists in lists."""
    places = asyncdl.Mirrors(["https://example.org/file", asyncdl.SignedUrl("https://example.net/file"), provider])
    more = asyncdl.Mirrors([places, plain_provider, ProviderObject()])
    await asyncdl.download(more, dest)
    asyncdl.Request(more, dest)
