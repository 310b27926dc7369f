"""The command line: from arguments to `Settings`.

argparse does it because it is there: the command starts without importing a single package from elsewhere, and
`--version` and `--help` answer at once.
"""

from __future__ import annotations

import argparse
import textwrap
from dataclasses import fields
from typing import TYPE_CHECKING, Final, NoReturn

from asyncdl._version import __version__
from asyncdl.cli import settings, values
from asyncdl.cli.exit_codes import MEANINGS
from asyncdl.cli.many.options import BatchSettings
from asyncdl.cli.text import PROGRAM
from asyncdl.errors import OptionsError
from asyncdl.model import Checksum
from asyncdl.rules.lists.row import checked_source, scheme_of
from asyncdl.rules.redaction import redact_text
from asyncdl.rules.urls import check_url

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_DESCRIPTION: Final = (
    "Download large files, over several connections and behind URLs that expire on the way. "
    f"`{PROGRAM} demo` shows it with a local server."
)
_USAGE: Final = "\n       ".join(
    (
        f"{PROGRAM} [options] URL...",
        f"{PROGRAM} [options] -i LIST",
        f"{PROGRAM} [options] --refresh-command CMD",
        f"{PROGRAM} [options] --refresh-url URL",
        f"{PROGRAM} demo [options]",
    )
)
_SIZES: Final = "Sizes are in bytes, or with K, M, G or T in powers of 1024: 64M is 67108864."


class Parser(argparse.ArgumentParser):
    """argparse, with errors as `OptionsError` and none that repeats what may be a secret."""

    def error(self, message: str) -> NoReturn:
        """Raise instead of leaving the process."""
        # argparse quotes the value in "ignored explicit argument", and that may be a token.
        head, ignored, _ = message.partition("ignored explicit argument")
        raise OptionsError(redact_text(f"{head}takes no value" if ignored else message), hint=hint(self.prog))


def hint(program: str = PROGRAM) -> str:
    """What to do after a usage error of `program`."""
    return f"see {program} --help"


def argument(read: Callable[[str], object]) -> Callable[[str], object]:
    """A reader of values as argparse wants it: with its own words, and without the value."""

    def convert(text: str) -> object:
        try:
            return read(text)
        except OptionsError as error:
            raise argparse.ArgumentTypeError(error.message) from None

    return convert


def parse(argv: Sequence[str], environ: Mapping[str, str]) -> settings.Settings:
    """What the user asked for.

    Raises:
        OptionsError: the arguments, or a variable, cannot be used.
        SystemExit: after --help or --version.
    """
    parser = _parser()
    # The command line goes first: --help must work whatever the environment holds.
    given, unknown = parser.parse_known_intermixed_args(argv)
    refuse_unknown(unknown)
    chosen = settings.defaults(environ) | {name: value for name, value in vars(given).items() if value is not None}
    chosen["headers"] = tuple(given.headers or ())
    chosen["refresh_headers"] = tuple(given.refresh_headers or ())
    chosen["mirrors"] = tuple(map(check_url, given.mirrors or ()))
    chosen["urls"] = tuple(map(_url, given.urls))
    chosen["batch"] = BatchSettings(**{field.name: chosen.pop(field.name) for field in fields(BatchSettings)})
    asked = settings.Settings(**chosen)
    _refuse_contradictions(asked)
    return asked


def refuse_unknown(unknown: Sequence[str], program: str = PROGRAM) -> None:
    """Complain about arguments that nobody knows.

    Raises:
        OptionsError: there are any. The message has names only: what follows a `=` may be a token.
    """
    if unknown:
        names = [text.partition("=")[0] if text.startswith("--") else text[:2] for text in unknown if text[:1] == "-"]
        msg = f"unknown option {', '.join(names)}" if names else "unexpected argument"
        raise OptionsError(redact_text(msg), hint=hint(program))


def _url(text: str) -> str:
    """A URL of http, https, or of a scheme that a source understands.

    Raises:
        OptionsError: it is none. The message does not hold it.
    """
    if scheme_of(text) in {None, "http", "https"}:
        return check_url(text)
    # Entry points are looked up in files; a plain download has no need of that.
    from asyncdl.sources.registry import schemes  # noqa: PLC0415

    return checked_source(text) if scheme_of(text) in schemes() else check_url(text)


def _refuse_contradictions(asked: settings.Settings) -> None:
    batch = asked.batch
    several = len(asked.urls) > 1 or batch.input is not None
    given = "several URLs are given" if batch.input is None else "a list is given"
    renewed = asked.refresh_command is not None or asked.refresh_url is not None
    misplaced = asked.mirrors and (several or asked.has_source)
    mirrored = f"--mirror is for one file at an http URL, but {given if several else 'a source is given'}"
    if wrong := batch.contradiction() or (mirrored if misplaced else None):
        msg = wrong
    elif not asked.urls and not renewed and batch.input is None:
        msg = "no URL given"
    elif asked.refresh_command is not None and asked.refresh_url is not None:
        msg = "URLs come from --refresh-command or from --refresh-url, but both are given"
    elif asked.refresh_bearer_env is not None and asked.refresh_basic_env is not None:
        msg = "--refresh-bearer-env and --refresh-basic-env both say who asks the endpoint"
    elif several and asked.output is not None:
        msg = f"-o names one file, but {given}"
    elif several and renewed:
        msg = f"--refresh-command or --refresh-url (or its variable) serves one file, but {given}"
    elif several and asked.size is not None:
        msg = f"--size is one file's, but {given}"
    elif several and isinstance(asked.checksum, Checksum):
        msg = f"--checksum is one file's, but {given}; a list, as @SHA256SUMS, may serve them"
    elif renewed and asked.has_source:
        msg = "--refresh-command or --refresh-url (or its variable) renews http URLs; a source renews its own"
    elif asked.output == "-":
        msg = "standard output is no place for a file that arrives in parts out of order"
    elif asked.output is not None and asked.output.endswith(("/", "/.", "/..")):
        msg = "-o must name a file, not a directory"
    else:
        return
    raise OptionsError(msg, hint=hint())


def _parser() -> Parser:
    parser = Parser(
        prog=PROGRAM,
        usage=_USAGE,
        description=textwrap.fill(_DESCRIPTION, 78),
        epilog=_epilog(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("urls", metavar="URL", nargs="*", help="http or https URL, or one of a source, as s3://")
    for option in settings.VALUE_OPTIONS:
        if option.metavar:
            parser.add_argument(*option.flags, type=argument(option.read), metavar=option.metavar, help=option.help)
        else:
            parser.add_argument(*option.flags, action=argparse.BooleanOptionalAction, help=option.help)
    parser.add_argument(
        "-H",
        "--header",
        dest="headers",
        action="append",
        type=argument(values.header),
        metavar="'NAME: VALUE'",
        help="a further request header, repeatable; it never reaches another server than the URL's",
    )
    parser.add_argument(
        "--mirror",
        dest="mirrors",
        action="append",
        metavar="URL",
        help="another place that has the same file, repeatable; used with the URL if it is proven to be the same, best "
        "by --checksum",
    )
    parser.add_argument(
        "--refresh-header",
        dest="refresh_headers",
        action="append",
        type=argument(values.header_or_file),
        metavar="'NAME: VALUE'|@FILE",
        help="a further header for --refresh-url, repeatable; secret ones from the lines of FILE",
    )
    parser.add_argument("--json", action="store_true", help="events as JSON lines on standard output")
    noise = parser.add_mutually_exclusive_group()
    noise.add_argument("-q", "--quiet", action="store_true", help="nothing but errors")
    noise.add_argument("-v", "--verbose", action="count", default=0, help="more; -vv: tracebacks too")
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    return parser


def _epilog() -> str:
    named = [option for option in settings.VALUE_OPTIONS if option.variable]
    width = max(len(option.flags[-1]) for option in named)
    variables = "\n".join(f"  {option.flags[-1]:{width}}  {option.variable}" for option in named)
    codes = "\n".join(f"  {code.value:>3}  {meaning}" for code, meaning in MEANINGS.items())
    return (
        f"{textwrap.fill(_SIZES, 78)}\n\n"
        f"Environment variables that set an option's default:\n{variables}\n\n"
        f"Exit codes:\n{codes}\n  129  SIGHUP\n  130  SIGINT (Ctrl-C)\n  143  SIGTERM"
    )
