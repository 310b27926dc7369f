"""Downloads that finish: an asyncio engine for large files behind URLs that expire.

result = await asyncdl.download("https://…", "model.bin")
"""

from asyncdl._version import __version__

#: Type checkers take it for true; to load `typing` for it would take as long as all that is loaded here.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from asyncdl.batch import Batch
    from asyncdl.calls import download, run_download
    from asyncdl.downloader import Downloader
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
    from asyncdl.model import Checksum, Mirrors, Outcome, Phase, Progress, Request, Result, SignedUrl, UrlProvider
    from asyncdl.options import Options, Retry, Timeouts
    from asyncdl.progress import ProgressStream
    from asyncdl.summary import Summary

__all__ = [
    "AsyncdlError",
    "Batch",
    "Checksum",
    "ConnectError",
    "DeadlineError",
    "DestinationBusyError",
    "DestinationExistsError",
    "DiskFullError",
    "Downloader",
    "ForbiddenError",
    "HttpStatusError",
    "IntegrityError",
    "JournalError",
    "Mirrors",
    "Options",
    "OptionsError",
    "Outcome",
    "Phase",
    "Progress",
    "ProgressStream",
    "RefreshError",
    "RemoteChangedError",
    "Request",
    "ResponseMismatchError",
    "Result",
    "Retry",
    "SignedUrl",
    "SourceError",
    "StallError",
    "StorageError",
    "Summary",
    "Timeouts",
    "TransferError",
    "UrlExpiredError",
    "UrlProvider",
    "__version__",
    "download",
    "run_download",
]

#: The modules that the names are in, errors apart. Whoever imports the package pays for what is used of it: aiohttp and
#: asyncio come with `download`, and of what only catches errors nothing else is loaded.
_HOMES = {
    "Batch": "batch",
    "Checksum": "model",
    "Downloader": "downloader",
    "Mirrors": "model",
    "Options": "options",
    "Outcome": "model",
    "Phase": "model",
    "Progress": "model",
    "ProgressStream": "progress",
    "Request": "model",
    "Result": "model",
    "Retry": "options",
    "SignedUrl": "model",
    "Summary": "summary",
    "Timeouts": "options",
    "UrlProvider": "model",
    "download": "calls",
    "run_download": "calls",
}
#: A type checker that sees the imports above takes these for attributes of the package.
_MODULES = {*_HOMES.values(), "errors"}


def __getattr__(name: str) -> object:
    if name not in __all__ and name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}", name=name)
    import importlib  # noqa: PLC0415  # only here

    home = name if name in _MODULES else _HOMES.get(name, "errors")
    module = importlib.import_module(f"{__name__}.{home}")
    value: object = module if home == name else getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
