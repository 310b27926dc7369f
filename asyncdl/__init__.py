"""Downloads that finish: an asyncio engine for large files behind URLs that expire.

result = await asyncdl.download("https://…", "model.bin")
"""

from asyncdl._version import __version__
from asyncdl.engine import download, run_download
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
    OptionsError,
    RefreshError,
    RemoteChangedError,
    ResponseMismatchError,
    StallError,
    StorageError,
    TransferError,
    UrlExpiredError,
)
from asyncdl.model import Outcome, Phase, Progress, Request, Result, SignedUrl, UrlProvider
from asyncdl.options import Options, Retry, Timeouts
from asyncdl.progress import ProgressStream

__all__ = [
    "AsyncdlError",
    "ConnectError",
    "DeadlineError",
    "DestinationBusyError",
    "DestinationExistsError",
    "DiskFullError",
    "ForbiddenError",
    "HttpStatusError",
    "IntegrityError",
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
