"""What renews the URL: from settings to a URL provider; secrets come from the environment or a file."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from asyncdl.cli import values
from asyncdl.edge.errands import errand
from asyncdl.errors import OptionsError

if TYPE_CHECKING:
    from asyncdl.cli.settings import Settings
    from asyncdl.model import UrlProvider

#: Bytes of a file of headers that are read; servers take some KiB of them.
_LONGEST_FILE: Final = 64 * 1024


async def source_of(asked: Settings) -> UrlProvider | None:
    """The command or endpoint that was given, or None.

    Raises:
        OptionsError: it cannot be used, or what it needs is not in the environment or the file.
    """
    # Neither is imported by a run that does not need it.
    if asked.refresh_command is not None:
        from asyncdl.sources.command import CommandSource  # noqa: PLC0415

        return CommandSource(asked.refresh_command, shell=asked.refresh_shell, timeout=asked.refresh_timeout)
    if asked.refresh_url is None:
        return None
    from asyncdl.sources.endpoint import EndpointSource  # noqa: PLC0415

    headers: tuple[tuple[str, str], ...] = ()
    for given in asked.refresh_headers:
        more = await errand(partial(_read, given.path)) if isinstance(given, values.HeaderFile) else [given]
        headers += tuple(more)
    basic = None
    if asked.refresh_basic_env is not None:
        user, colon, password = _variable(asked.refresh_basic_env).partition(":")
        if not colon:
            raise OptionsError(f"environment variable {asked.refresh_basic_env} must hold USER:PASSWORD")
        basic = (user, password)
    return EndpointSource(
        asked.refresh_url,
        headers=headers,
        bearer=None if asked.refresh_bearer_env is None else _variable(asked.refresh_bearer_env),
        basic=basic,
        pointer=asked.refresh_pointer,
        timeout=asked.refresh_timeout,
        options=asked.options(),
    )


def _variable(name: str) -> str:
    value = os.environ.get(name)
    if not value:
        raise OptionsError(f"environment variable {name} is not set, or is empty")
    return value


def _read(path: str) -> list[tuple[str, str]]:
    try:
        with Path(path).open("rb") as file:
            data = file.read(_LONGEST_FILE + 1)
    except OSError as error:
        raise OptionsError(f"the file of headers {path} cannot be read: {error.strerror}") from error
    if len(data) > _LONGEST_FILE:
        raise OptionsError(f"{path} is too long for a file of headers")
    try:
        lines = data.decode().splitlines()
    except UnicodeDecodeError:
        raise OptionsError(f"{path} is not text in UTF-8") from None
    return [values.header(line) for line in lines if line.strip()]
