"""The options that can be set, each with its flags and its environment variable; no parsing of command lines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast, get_args

from asyncdl.cli import values
from asyncdl.cli.many.options import BATCH_OPTIONS, BatchSettings
from asyncdl.cli.value_option import ValueOption
from asyncdl.errors import OptionsError
from asyncdl.model import Checksum, IfExists
from asyncdl.options import Options, Retry, Timeouts
from asyncdl.rules.json_pointer import check_pointer
from asyncdl.rules.lists.row import scheme_of

if TYPE_CHECKING:
    from collections.abc import Mapping

_OPTIONS: Final = Options()
_TIMEOUTS: Final = Timeouts()
_RETRY: Final = Retry()


def _if_exists(text: str) -> IfExists:
    if text not in get_args(IfExists):
        msg = f"must be one of {', '.join(get_args(IfExists))}"
        raise OptionsError(msg)
    return cast("IfExists", text)


VALUE_OPTIONS: Final = (
    ValueOption(
        flags=("-o", "--output"),
        read=values.some_text,
        metavar="FILE",
        help="write to FILE, which --dir goes before unless it is absolute; default: the last part of the URL's path",
        in_environment=False,
    ),
    ValueOption(
        flags=("-d", "--dir"),
        read=values.some_text,
        metavar="DIR",
        help="directory to write to, which must exist; default: the current one",
        default=".",
    ),
    ValueOption(
        flags=("-x", "--connections"),
        read=values.count,
        metavar="N",
        help=f"most requests at once; default: {_OPTIONS.connections}",
        default=_OPTIONS.connections,
    ),
    ValueOption(
        flags=("--first-connections",),
        read=values.count,
        metavar="N",
        help="requests at once to begin with; more, up to --connections, while they bring more; default: "
        f"{_OPTIONS.first_connections}",
        default=_OPTIONS.first_connections,
    ),
    ValueOption(
        flags=("--size",),
        read=values.size,
        metavar="N",
        help="the file's size, if known; it is checked before anything is written",
        in_environment=False,
    ),
    ValueOption(
        flags=("--checksum",),
        read=values.checksum,
        metavar="ALGORITHM:VALUE|@LIST",
        help="the file's checksum, as sha256:HEX, if known, or a local list that has it, as @SHA256SUMS; the file "
        "appears only if it has it",
        in_environment=False,
    ),
    ValueOption(
        flags=("--part-size",),
        read=values.positive_size,
        metavar="N",
        help="bytes of one request; default: by the file's size and the speed",
    ),
    ValueOption(
        flags=("--max-time",),
        read=values.seconds,
        metavar="S",
        help="seconds one file may take in all; default: no limit",
    ),
    ValueOption(
        flags=("--connect-timeout",),
        read=values.seconds,
        metavar="S",
        help=f"seconds to connect; default: {_TIMEOUTS.connect:g}",
        default=_TIMEOUTS.connect,
    ),
    ValueOption(
        flags=("--stall-time",),
        read=values.seconds,
        metavar="S",
        help=f"seconds a connection may bring nothing; default: {_TIMEOUTS.stall:g}",
        default=_TIMEOUTS.stall,
    ),
    ValueOption(
        flags=("--retries",),
        read=values.natural,
        metavar="N",
        help=f"times to try again without a single new byte between; default: {_RETRY.attempts - 1}",
        default=_RETRY.attempts - 1,
    ),
    ValueOption(
        flags=("--refresh-command",),
        read=values.some_text,
        metavar="CMD",
        help="command that prints a fresh URL of the same file; run, without a shell, when the URL has expired, and "
        "first of all if no URL is given",
    ),
    ValueOption(
        flags=("--refresh-shell",),
        read=values.flag,
        metavar="",
        help="run the refresh command by /bin/sh, with pipes, variables and the like",
        default=False,
    ),
    ValueOption(
        flags=("--refresh-url",),
        read=values.some_text,
        metavar="URL",
        help="endpoint that gives a fresh URL of the same file, instead of a command: as a redirect, which is not "
        "followed, as JSON or as text",
    ),
    ValueOption(
        flags=("--refresh-pointer",),
        read=check_pointer,
        metavar="POINTER",
        help="where the URL is in the endpoint's JSON, as /data/url; default: all of it, or /url",
    ),
    ValueOption(
        flags=("--refresh-bearer-env",),
        read=values.some_text,
        metavar="NAME",
        help="environment variable with the endpoint's Bearer token: it would be seen on a command line",
    ),
    ValueOption(
        flags=("--refresh-basic-env",),
        read=values.some_text,
        metavar="NAME",
        help="environment variable with the endpoint's USER:PASSWORD",
    ),
    ValueOption(
        flags=("--refresh-timeout",),
        read=values.seconds,
        metavar="S",
        help=f"seconds for one renewal of the URL; default: {_TIMEOUTS.refresh:g}",
        default=_TIMEOUTS.refresh,
    ),
    ValueOption(
        flags=("--if-exists",),
        read=_if_exists,
        metavar="|".join(get_args(IfExists)),
        help="what to do with a file that is there already; default: skip, if its size is right",
        default="skip",
    ),
    ValueOption(
        flags=("--resume",),
        read=values.flag,
        metavar="",
        help="go on with what an interrupted download left, if it is proven to be of the same object; default: yes",
        default=_OPTIONS.resume,
    ),
    ValueOption(
        flags=("--resume-unproven",),
        read=values.flag,
        metavar="",
        help="go on with it also where nothing proves that, and nothing contradicts it",
        default=_OPTIONS.resume_unproven,
    ),
    ValueOption(
        flags=("--check-space",),
        read=values.flag,
        metavar="",
        help="refuse a file that is larger than the space that is free; default: yes",
        default=_OPTIONS.check_space,
    ),
    ValueOption(
        flags=("--proxy",),
        read=values.some_text,
        metavar="URL",
        help="proxy; default: HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY",
    ),
    ValueOption(
        flags=("--cacert",),
        read=values.some_text,
        metavar="FILE",
        help="PEM file of the certificate authorities to trust instead of the system's",
    ),
    ValueOption(
        flags=("--allow-private-redirects",),
        read=values.flag,
        metavar="",
        help="follow redirects from public hosts to private addresses",
        default=_OPTIONS.allow_private_redirects,
    ),
    *BATCH_OPTIONS,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the user asked for, command line and environment together. `repr` holds no URL, header or command."""

    urls: tuple[str, ...]
    mirrors: tuple[str, ...]
    headers: tuple[tuple[str, str], ...]
    output: str | None
    dir: str
    connections: int
    first_connections: int
    size: int | None
    checksum: Checksum | values.ChecksumList | None
    part_size: int | None
    max_time: float | None
    connect_timeout: float
    stall_time: float
    retries: int
    refresh_command: str | None
    refresh_shell: bool
    refresh_url: str | None
    refresh_pointer: str | None
    refresh_bearer_env: str | None
    refresh_basic_env: str | None
    refresh_headers: tuple[tuple[str, str] | values.HeaderFile, ...]
    refresh_timeout: float
    if_exists: IfExists
    resume: bool
    resume_unproven: bool
    check_space: bool
    proxy: str | None
    cacert: str | None
    allow_private_redirects: bool
    batch: BatchSettings
    json: bool
    quiet: bool
    verbose: int

    def __repr__(self) -> str:
        return f"Settings(<{len(self.urls)} URLs>)"

    @property
    def has_source(self) -> bool:
        """Whether a URL is neither of http nor of https, and so may stand for many files."""
        return any(scheme_of(url) not in {"http", "https"} for url in self.urls)

    @property
    def is_batch(self) -> bool:
        """Whether there may be several files."""
        return len(self.urls) > 1 or self.batch.input is not None or self.has_source

    def options(self) -> Options:
        """The engine's options."""
        return Options(
            connections=self.connections,
            first_connections=self.first_connections,
            part_size=self.part_size,
            check_space=self.check_space,
            resume=self.resume,
            resume_unproven=self.resume_unproven,
            proxy=self.proxy,
            ca_file=self.cacert or None,
            allow_private_redirects=self.allow_private_redirects,
        )

    def timeouts(self, *, spent: float = 0.0) -> Timeouts:
        """The engine's timeouts, when `spent` seconds of --max-time have gone by already."""
        total = None if self.max_time is None else max(self.max_time - spent, 0.001)
        return Timeouts(total=total, connect=self.connect_timeout, stall=self.stall_time, refresh=self.refresh_timeout)

    def retry(self) -> Retry:
        """The engine's retries; its attempts count the first request too."""
        return Retry(attempts=self.retries + 1)


def defaults(environ: Mapping[str, str]) -> dict[str, Any]:
    """The value of each option that the command line does not give: from its variable, if that is set and not empty.

    Raises:
        OptionsError: a variable's value cannot be used; the message names the variable and not the value.
    """
    found: dict[str, Any] = {}
    for option in VALUE_OPTIONS:
        text = environ.get(option.variable, "") if option.variable else ""
        try:
            found[option.name] = option.read(text) if text else option.default
        except OptionsError as error:
            msg = f"environment variable {option.variable}: {error.message}"
            raise OptionsError(msg) from None
    return found
