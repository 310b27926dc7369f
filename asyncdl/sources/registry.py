"""From the scheme of a URL to the source that understands it: those in this package, then those installed beside it."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Final

from asyncdl.errors import OptionsError

if TYPE_CHECKING:
    from asyncdl.options import Options, Timeouts
    from asyncdl.sources.contract import Collection, Opener

#: Entry points of this group add schemes; none replaces one of ours.
GROUP: Final = "asyncdl.sources"
#: The function `open_url` of each module is its `Opener`. Imported when used: a source may need packages of its own.
_OURS: Final = {
    "hf": "asyncdl.sources.huggingface",
    "s3": "asyncdl.sources.s3",
    "wandb": "asyncdl.sources.wandb",
}


def schemes() -> list[str]:
    """The schemes that `open_collection` understands, in alphabetical order."""
    return sorted({*_OURS, *(point.name for point in entry_points(group=GROUP))})


def open_collection(url: str, *, options: Options, timeouts: Timeouts) -> Collection:
    """What `url` stands for. Nothing is sent yet.

    Raises:
        OptionsError: no source has this scheme, the source cannot use the URL, or lacks a package.
    """
    scheme = url.partition(":")[0].lower()
    return _opener(scheme)(url, options=options, timeouts=timeouts)


def _opener(scheme: str) -> Opener:
    if scheme in _OURS:
        opener: Opener = import_module(_OURS[scheme]).open_url
        return opener
    for point in entry_points(group=GROUP, name=scheme):
        try:
            opener = point.load()
        except ImportError as error:
            raise OptionsError(f"the source of {scheme}:// URLs, {point.value}, cannot be imported") from error
        return opener
    raise OptionsError(f"no source understands {scheme}:// URLs", hint=f"there are {', '.join(schemes())}")
