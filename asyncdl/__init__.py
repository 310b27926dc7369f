"""Downloads that finish: an asyncio engine for large files behind URLs that expire.

result = await asyncdl.download("https://…", "model.bin")
"""

import typing

from asyncdl._version import __version__
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
    StallError,
    StorageError,
    TransferError,
    UrlExpiredError,
)
from asyncdl.model import Checksum, Outcome, Phase, Progress, Request, Result, SignedUrl, UrlProvider
from asyncdl.options import Options, Retry, Timeouts

if typing.TYPE_CHECKING:
    from asyncdl.calls import download, run_download
    from asyncdl.progress import ProgressStream

__all__ = [
    "AsyncdlError",
    "Checksum",
    "ConnectError",
    "DeadlineError",
    "DestinationBusyError",
    "DestinationExistsError",
    "DiskFullError",
    "ForbiddenError",
    "HttpStatusError",
    "IntegrityError",
    "JournalError",
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
    "StallError",
    "StorageError",
    "Timeouts",
    "TransferError",
    "UrlExpiredError",
    "UrlProvider",
    "__version__",
    "download",
    "run_download",
]

#: What brings aiohttp and asyncio with it, and the modules it is in: `asyncdl --version` has no use for them.
_LATE = {"ProgressStream": "asyncdl.progress", "download": "asyncdl.calls", "run_download": "asyncdl.calls"}


def __getattr__(name: str) -> object:
    if name not in _LATE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}", name=name)
    import importlib  # noqa: PLC0415  # only here

    value: object = getattr(importlib.import_module(_LATE[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
