"""The options that are of no single file, and what they were set to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from asyncdl.cli import values
from asyncdl.cli.value_option import ValueOption
from asyncdl.errors import OptionsError
from asyncdl.rules.lists.formats import FORMATS, Format
from asyncdl.rules.lists.row import checked_source

#: What a `Downloader` has.
_FILES: Final = 16
_CONNECTIONS: Final = 32


def _format(text: str) -> Format:
    if text not in FORMATS:
        raise OptionsError(f"must be one of {', '.join(FORMATS)}")
    return text


BATCH_OPTIONS: Final = (
    ValueOption(
        flags=("-i", "--input"),
        read=values.some_text,
        metavar="LIST",
        help="download the files of a list, or of standard input if that is -: URLs, an input file of aria2, JSON "
        "lines, CSV, Metalink, or checksums",
        in_environment=False,
    ),
    ValueOption(
        flags=("--input-format",),
        read=_format,
        metavar="|".join(FORMATS),
        help="format of the list; default: by the end of its name, or its first line",
        in_environment=False,
    ),
    ValueOption(
        flags=("--base-url",),
        read=checked_source,
        metavar="URL",
        help="of the directory that the files in a list of checksums (SHA256SUMS) are in",
        in_environment=False,
    ),
    ValueOption(
        flags=("--failed",),
        read=values.some_text,
        metavar="FILE",
        help="write what failed to FILE, as JSON lines that -i and --only take; a URL with a query is left out",
        in_environment=False,
    ),
    ValueOption(
        flags=("--only",),
        read=values.some_text,
        metavar="FILE",
        help="of the list, take only the lines that FILE, written by --failed, names",
        in_environment=False,
    ),
    ValueOption(
        flags=("-j", "--files"),
        read=values.count,
        metavar="N",
        help=f"most files at once; default: {_FILES}",
        default=_FILES,
    ),
    ValueOption(
        flags=("--total-connections",),
        read=values.count,
        metavar="N",
        help=f"most requests at once of all files together; default: {_CONNECTIONS}",
        default=_CONNECTIONS,
    ),
    ValueOption(
        flags=("--batch-time",),
        read=values.seconds,
        metavar="S",
        help="seconds that all files together may take; default: no limit",
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchSettings:
    """What the user asked for where there are many files. Its repr holds no URL."""

    input: str | None
    input_format: Format | None
    base_url: str | None
    failed: str | None
    only: str | None
    files: int
    total_connections: int
    batch_time: float | None

    def __repr__(self) -> str:
        return f"BatchSettings(input={self.input!r})"

    def contradiction(self) -> str | None:
        """What is wrong with them, in words."""
        if self.input is None:
            for name in ("input_format", "base_url", "only"):
                if getattr(self, name) is not None:
                    return f"--{name.replace('_', '-')} is for a list, and -i gives none"
        if self.only is not None and self.input == "-":
            return "--only takes lines of a list that is read again, and standard input is not"
        return None
