"""The values between the layers stay valid and keep their secrets; errors keep what they know, wherever they go."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import pickle
from collections.abc import Callable
from math import inf, nan
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncdl import errors
from asyncdl.errors import (
    AsyncdlError,
    ConnectError,
    DeadlineError,
    DestinationBusyError,
    DestinationExistsError,
    DiskFullError,
    ForbiddenError,
    HttpStatusError,
    IntegrityError,
    JournalError,
    OptionsError,
    RefreshError,
    RemoteChangedError,
    ResponseMismatchError,
    SourceError,
    StallError,
    StorageError,
    TransferError,
    UrlExpiredError,
)
from asyncdl.model import Chunk, Headers, Outcome, Part, Phase, Progress, RemoteObject, Request, Result, SignedUrl

SECRET = "s3cr3tSIGNATURE"


@pytest.mark.parametrize(("start", "stop", "expected"), [(0, 0, 0), (0, 1, 1), (7, 9, 2), (2**42, 2**43, 2**42)])
def test_part_length(start: int, stop: int, expected: int) -> None:
    """A part ends before its stop."""
    assert expected == Part(start, stop).length


PUBLIC = {
    "query": (f"https://host/p/f.bin?sig={SECRET}", "https://host/p/f.bin?…"),
    "fragment": (f"https://host/p#{SECRET}", "https://host/p"),
    "user and password": (f"https://user:{SECRET}@host:8443/p", "https://host:8443/p"),
    "at sign in the password": (f"https://user:a@{SECRET}@host/p", "https://host/p"),
    "IPv6 address": (f"https://u:{SECRET}@[::1]:80/p", "https://[::1]:80/p"),
    "nothing to hide": ("https://host/p", "https://host/p"),
    "query whose question mark was encoded": (f"https://host/p%3Fsig={SECRET}", "https://host/p?…"),
    "the same in lower case, and another query": (f"https://host/p%3fs={SECRET}?a", "https://host/p?…"),
    "slash in the password": (f"https://user:a/{SECRET}@host/p", "<malformed URL>"),
    "no scheme, but user and password": (f"user:{SECRET}@host/p", "<malformed URL>"),
    "no scheme, but a host": (f"host/{SECRET}", "<malformed URL>"),
    "one slash": (f"https:/u:{SECRET}@host/p", "<malformed URL>"),
    "no URL at all": (SECRET, "<malformed URL>"),
    "one bracket": (f"https://[{SECRET}/", "<malformed URL>"),
    "nothing": ("", "<malformed URL>"),
    "not even text": (None, "<malformed URL>"),
    "bytes": (f"https://host/?{SECRET}".encode(), "<malformed URL>"),
    "a number": (7, "<malformed URL>"),
}


@pytest.mark.parametrize(("url", "expected"), PUBLIC.values(), ids=PUBLIC)
def test_public_form_of_a_url(url: Any, expected: str) -> None:
    """What may be shown of a URL names the object, and lets nobody have it."""
    signed = SignedUrl(url, headers=(("Authorization", SECRET),))

    assert expected == signed.public
    assert f"SignedUrl({expected!r})" == repr(signed) == str(signed) == f"{signed}"


@given(user=st.text(), query=st.text(), fragment=st.text())
def test_public_form_shows_no_secret(user: str, query: str, fragment: str) -> None:
    """Whatever surrounds them, password, query and fragment are not shown."""
    signed = SignedUrl(f"https://{user}:{SECRET}@host/p?{query}{SECRET}#{fragment}{SECRET}")
    # A user with a slash or a question mark in it makes this another URL: then nothing after it is a password.
    if not set(user) & set("/?#\\"):
        assert SECRET not in repr(signed)


@pytest.mark.parametrize("moment", [None, 0, 1.5, -1, 2**40, inf, -inf])
def test_expiry(moment: float | None) -> None:
    """Seconds since the epoch, or never, or unknown."""
    assert moment == SignedUrl("https://host/", expires_at=moment).expires_at


@pytest.mark.parametrize("moment", [nan, "2026-11-20", True, b"1", 1j, 10**400], ids=lambda value: str(value)[:12])
def test_no_expiry(moment: Any) -> None:
    """What is no point in time is refused where it is made, not where it is compared."""
    with pytest.raises(OptionsError, match="expires_at must be seconds since the epoch") as caught:
        SignedUrl(f"https://host/?{SECRET}", expires_at=moment)

    assert SECRET not in f"{caught.value!r} {caught.value.hint}"


def test_request_shows_no_secret() -> None:
    """A row of a batch can be printed: neither its URL nor its headers are."""
    request = Request(f"https://host/?{SECRET}", Path("model.bin"), 7, headers=(("Authorization", SECRET),))

    assert "Request(dest=" in repr(request)
    assert "model.bin" in repr(request)
    assert SECRET not in repr(request)
    assert SECRET in str(request.source)


def test_headers() -> None:
    """Names in any case, values in the order received, and nothing where there is nothing."""
    headers = Headers([("ETag", "a"), ("x-other", "1"), ("etag", "b")])

    assert "a" == headers.get("etag") == headers.get("ETAG")
    assert ["a", "b"] == headers.all("Etag")
    assert headers.get("absent") is None
    assert [] == headers.all("absent")
    assert [("etag", "a"), ("etag", "b"), ("x-other", "1")] == list(headers)
    assert [] == list(Headers())


def test_headers_are_not_changed_from_outside() -> None:
    """What `all` returns is the caller's own."""
    headers = Headers([("ETag", "a")])

    headers.all("etag").append("b")

    assert ["a"] == headers.all("etag")


def test_chunk_knows_where_it_ends() -> None:
    """A chunk stops where the next byte would be."""
    assert 107 == Chunk(100, b"7 bytes").stop
    assert 103 == Chunk(100, memoryview(b"abc")).stop


def test_chunk_is_released_once() -> None:
    """A lent buffer is given back exactly once, and no longer held."""
    given_back: list[str] = []
    chunk = Chunk(0, memoryview(bytearray(8)), lambda: given_back.append("x"))

    chunk.release()
    chunk.release()

    assert ["x"] == given_back
    assert b"" == chunk.data


def test_chunk_of_plain_bytes_is_released() -> None:
    """There is nobody to give plain bytes back to."""
    chunk = Chunk(0, b"abc")

    chunk.release()

    assert b"" == chunk.data


def test_chunk_is_released_even_if_that_fails() -> None:
    """A lender that raises is not asked again."""
    calls: list[str] = []

    def give_back() -> None:
        calls.append("x")
        raise RuntimeError

    chunk = Chunk(0, b"abc", give_back)
    with pytest.raises(RuntimeError):
        chunk.release()
    chunk.release()

    assert ["x"] == calls


@pytest.mark.parametrize(
    "value",
    [
        Request("https://host/", Path("x")),
        SignedUrl("https://host/"),
        RemoteObject(1),
        Progress(done=0, total=None, rate=0.0, eta=None, elapsed=0.0),
        Result(path=Path("x"), outcome=Outcome.SKIPPED, size=None, elapsed=0.0),
    ],
    ids=lambda value: type(value).__name__,
)
def test_values_are_frozen(value: Any) -> None:
    """What travels between the layers is not changed on its way, and compares by what it holds."""
    name = dataclasses.fields(value)[0].name

    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(value, name, None)
    assert not hasattr(value, "__dict__")
    assert copy.copy(value) == value == pickle.loads(pickle.dumps(value))


def test_names_of_phases_and_outcomes() -> None:
    """These words are in events and logs that others read."""
    assert ["downloading", "finished", "failed"] == [phase.value for phase in Phase]
    assert ["downloaded", "skipped", "failed"] == [outcome.value for outcome in Outcome]


#: Every error, the ones it is also caught as, and its code.
ERRORS: dict[type[AsyncdlError], tuple[set[type[BaseException]], str]] = {
    AsyncdlError: (set(), "error"),
    OptionsError: ({ValueError}, "options"),
    TransferError: (set(), "transfer"),
    ConnectError: ({TransferError}, "connect"),
    StallError: ({TransferError, TimeoutError}, "stall"),
    HttpStatusError: ({TransferError}, "http-status"),
    UrlExpiredError: ({TransferError}, "url-expired"),
    ForbiddenError: ({TransferError}, "forbidden"),
    ResponseMismatchError: ({TransferError}, "response-mismatch"),
    RemoteChangedError: ({TransferError}, "remote-changed"),
    RefreshError: (set(), "refresh"),
    SourceError: ({RefreshError}, "source"),
    IntegrityError: (set(), "integrity"),
    JournalError: (set(), "journal"),
    StorageError: ({OSError}, "storage"),
    DiskFullError: ({StorageError}, "disk-full"),
    DestinationExistsError: ({StorageError}, "destination-exists"),
    DestinationBusyError: ({StorageError}, "destination-busy"),
    DeadlineError: ({TimeoutError}, "deadline"),
}
REFUSALS = (HttpStatusError, UrlExpiredError, ForbiddenError)


def make(kind: type[AsyncdlError]) -> AsyncdlError:
    """One of each, with everything it can hold."""
    details: dict[str, Any] = {"hint": "try this"}
    if issubclass(kind, TransferError):
        details |= {"part": (5, None), "attempts": 3, "retryable": True}
    if issubclass(kind, REFUSALS):
        details |= {"status": 403, "body_excerpt": "no", "retry_after": 7.0}
    if issubclass(kind, StorageError):
        details |= {"errno": 28}
    return kind("it went wrong", **details)


def contents(error: AsyncdlError) -> dict[str, object]:
    names = [
        *("message", "hint", "code", "args", "part", "attempts", "retryable"),
        *("status", "body_excerpt", "retry_after", "errno", "__notes__"),
    ]
    return {name: getattr(error, name, None) for name in names} | {"kind": type(error), "text": str(error)}


def test_every_error_is_here() -> None:
    """The table above is the whole tree."""
    found = {kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, AsyncdlError)}

    assert {kind for kind in found if not kind.__name__.startswith("_")} == set(ERRORS)


def test_every_error_is_drawn() -> None:
    """The tree in the module's docstring names each error and what it is beside ours."""
    drawn = errors.__doc__ or ""
    for kind, (bases, _) in ERRORS.items():
        line = next((line for line in drawn.splitlines() if f" {kind.__name__} " in f" {line.strip('│├└─ ')} "), None)
        foreign = [base.__name__ for base in bases if not issubclass(base, AsyncdlError)]

        assert line is not None, kind
        assert foreign == [name for name in ("ValueError", "TimeoutError", "OSError") if f"({name})" in line], kind


@pytest.mark.parametrize(("kind", "bases", "code"), [(kind, *rest) for kind, rest in ERRORS.items()])
def test_error_tree(kind: type[AsyncdlError], bases: set[type[BaseException]], code: str) -> None:
    """Each error is caught as what it is, and has a name that stays."""
    assert issubclass(kind, AsyncdlError)
    assert all(issubclass(kind, base) for base in bases)
    assert code == kind.code
    assert code == make(kind).code


def test_codes_are_distinct() -> None:
    """One name for one kind of error."""
    assert len(ERRORS) == len({kind.code for kind in ERRORS})


def test_network_and_disk_are_apart() -> None:
    """Nothing that is the server's fault is caught as the disk's."""
    assert not any(issubclass(kind, StorageError) for kind in ERRORS if issubclass(kind, TransferError))


@pytest.mark.parametrize("kind", ERRORS)
def test_error_keeps_what_it_is_told(kind: type[AsyncdlError]) -> None:
    """The text is the message alone, whatever else is known."""
    error = make(kind)

    assert "it went wrong" == str(error) == error.message
    assert "try this" == error.hint
    if isinstance(error, TransferError):
        assert ((5, None), 3, True) == (error.part, error.attempts, error.retryable)
    if isinstance(error, REFUSALS):
        assert (403, "no", 7.0) == (error.status, error.body_excerpt, error.retry_after)
    if isinstance(error, StorageError):
        assert 28 == error.errno


@pytest.mark.parametrize("kind", [kind for kind in ERRORS if not issubclass(kind, REFUSALS)])
def test_error_with_a_message_alone(kind: type[AsyncdlError]) -> None:
    """A message will do; the rest is unknown."""
    error = kind("it went wrong")

    assert "it went wrong" == str(error)
    assert error.hint is None
    if isinstance(error, TransferError):
        assert (None, 0, False) == (error.part, error.attempts, error.retryable)
    if isinstance(error, StorageError):
        assert error.errno is None


@pytest.mark.parametrize("travel", [copy.copy, copy.deepcopy, lambda error: pickle.loads(pickle.dumps(error))])
@pytest.mark.parametrize("kind", ERRORS)
def test_error_travels(kind: type[AsyncdlError], travel: Callable[[AsyncdlError], AsyncdlError]) -> None:
    """An error that comes back from another process is what it was, with all it knows."""
    error = make(kind)
    error.add_note("seen on the way")

    assert contents(error) == contents(travel(error))
