"""What callers give, checked before anything is done with it."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import get_args

from asyncdl.edge.files import AnyPath
from asyncdl.edge.http import Session
from asyncdl.errors import OptionsError
from asyncdl.model import Checksum, HeaderPairs, IfExists, Request, Source
from asyncdl.options import Options, Retry, Timeouts
from asyncdl.rules.ranges import MAX_SIZE
from asyncdl.rules.urls import check_headers

_IF_EXISTS: tuple[str, ...] = get_args(IfExists)


def check_types(options: object, timeouts: object, retry: object, session: object) -> None:
    """Raise OptionsError unless each is what its name says."""
    wanted = {"options": (options, Options), "timeouts": (timeouts, Timeouts), "retry": (retry, Retry)}
    for name, (value, kind) in wanted.items():
        if not isinstance(value, kind):
            raise OptionsError(f"{name} must be asyncdl.{kind.__name__}(...), not {type(value).__name__}")
    if session is not None and not isinstance(session, Session):
        raise OptionsError(f"session must be an aiohttp.ClientSession, not {type(session).__name__}")


def check_callback(on_progress: object) -> None:
    """Raise OptionsError unless it is None or a plain function."""
    if on_progress is not None and (not callable(on_progress) or inspect.iscoroutinefunction(on_progress)):
        raise OptionsError("on_progress must be a plain function; asyncdl.ProgressStream() can be awaited")


def make_request(
    source: Source,
    dest: AnyPath,
    size: int | None,
    checksum: Checksum | str | None,
    headers: Mapping[str, str] | Iterable[tuple[str, str]] | None,
    if_exists: IfExists,
) -> Request:
    """The request that `download` was called for.

    Raises:
        OptionsError: an argument cannot be used.
    """
    path, value, pairs = _usable(dest, size, checksum, headers, if_exists)
    return Request(source, path, size, value, pairs, if_exists)


def _usable(
    dest: AnyPath,
    size: int | None,
    checksum: Checksum | str | None,
    headers: Mapping[str, str] | Iterable[tuple[str, str]] | None,
    if_exists: IfExists,
) -> tuple[Path, Checksum | None, HeaderPairs]:
    """Path, checksum and headers as a request has them."""
    if size is not None and (not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= MAX_SIZE):
        raise OptionsError(f"size must be a whole number of bytes of at least 0, not {size!r}")
    if if_exists not in _IF_EXISTS:
        raise OptionsError(f"if_exists must be one of {', '.join(_IF_EXISTS)}, not {if_exists!r}")
    try:
        path = dest if isinstance(dest, Path) else Path(dest)
    except TypeError:
        raise OptionsError(f"dest must be a path, not {type(dest).__name__}") from None
    if "\0" in str(path) or not path.name or (path is not dest and str(dest).endswith("/")):
        raise OptionsError("the destination is not the path of a file")
    return path, _checksum(checksum), check_headers(headers)


def _checksum(given: Checksum | str | None) -> Checksum | None:
    if given is not None and not isinstance(given, Checksum | str):
        raise OptionsError(f"checksum must be a Checksum or a str, not {type(given).__name__}")
    return Checksum.parse(given) if isinstance(given, str) else given


def checked(row: Request) -> Request:
    """A row of a batch, after the checks of `make_request`.

    Raises:
        OptionsError: something in it cannot be used.
    """
    path, checksum, headers = _usable(row.dest, row.size, row.checksum, row.headers, row.if_exists)
    if path is row.dest and checksum is row.checksum and headers is row.headers:
        return row
    return Request(row.source, path, row.size, checksum, headers, row.if_exists)
