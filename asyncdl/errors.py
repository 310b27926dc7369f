"""What can go wrong, as one tree; no I/O, no decisions.

    AsyncdlError
    ├── OptionsError (ValueError)            a value the caller gave cannot be used
    ├── TransferError                        the remote side or the way to it
    │   ├── ConnectError                     no connection, or it broke
    │   ├── StallError (TimeoutError)        the server went quiet or slower than allowed
    │   ├── HttpStatusError                  a status nobody can work with
    │   ├── UrlExpiredError                  the URL died and no living one could be had
    │   ├── ForbiddenError                   the server refuses this URL for good
    │   ├── ResponseMismatchError            the response does not answer the range request
    │   └── RemoteChangedError               the object is no longer the one that was begun
    ├── RefreshError                         the URL provider raised, hung or gave a dead URL
    │   └── SourceError                      the store that has the files refused, or cannot be asked
    ├── IntegrityError                       the size or a checksum is not the one promised
    ├── StorageError (OSError)               the local disk or path
    │   ├── DiskFullError                    no space, quota or file size limit
    │   ├── DestinationExistsError           the destination is there and is not to be replaced
    │   └── DestinationBusyError             another download holds the destination
    ├── JournalError                         what an earlier run left cannot be used, and is not ours to remove
    └── DeadlineError (TimeoutError)         `Timeouts.total` ran out

Rule: no message, hint or excerpt ever holds a query string, a token or a password.
"""

from __future__ import annotations

from typing import Any, ClassVar


class AsyncdlError(Exception):
    """Root of everything asyncdl raises on purpose.

    Attributes:
        code: kebab-case name of the kind of error, stable across versions.
        hint: what to do next, or None.
    """

    code: ClassVar[str] = "error"

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return self.message

    def __reduce__(self) -> tuple[Any, ...]:
        # Arguments by keyword are not in `args`, and `errno` is not in the dict: without this an error could not come
        # back from another process.
        state = dict(vars(self))
        if isinstance(self, OSError):
            state["errno"] = self.errno
        return _rebuild, (type(self), self.args, state)


def _rebuild(kind: type[AsyncdlError], args: tuple[object, ...], state: dict[str, object]) -> AsyncdlError:
    error = kind.__new__(kind, *args)
    error.args = args
    for name, value in state.items():
        setattr(error, name, value)
    return error


class OptionsError(AsyncdlError, ValueError):
    """A value given by the caller cannot be used: a bad URL, header, size or option."""

    code = "options"


class TransferError(AsyncdlError):
    """The remote side failed.

    Attributes:
        part: half-open byte range `(start, stop)` that was being fetched, or None.
        attempts: requests made for that part since its last new byte.
        retryable: whether the same request could succeed later.
        most_attempts: requests for one part after which it is final, where that is fewer than `Retry.attempts`.
    """

    code = "transfer"

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        part: tuple[int, int | None] | None = None,
        attempts: int = 0,
        retryable: bool = False,
        most_attempts: int | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.part = part
        self.attempts = attempts
        self.retryable = retryable
        self.most_attempts = most_attempts


class ConnectError(TransferError):
    """No connection could be made, or an open one broke before the response was complete."""

    code = "connect"


class StallError(TransferError, TimeoutError):
    """No response within `Timeouts.response`, no byte for `Timeouts.stall`, or slower than `Timeouts.low_speed`."""

    code = "stall"


class _RefusedError(TransferError):
    """A response whose status and body say no.

    Attributes:
        status: the HTTP status.
        body_excerpt: the server's words, cut short and without secrets.
        retry_after: seconds the server asked to wait (RFC 9110 section 10.2.3), or None.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int,
        body_excerpt: str = "",
        retry_after: float | None = None,
        hint: str | None = None,
        part: tuple[int, int | None] | None = None,
        attempts: int = 0,
        retryable: bool = False,
    ) -> None:
        super().__init__(message, hint=hint, part=part, attempts=attempts, retryable=retryable)
        self.status = status
        self.body_excerpt = body_excerpt
        self.retry_after = retry_after


class HttpStatusError(_RefusedError):
    """A status that is neither the object nor a refusal with a better name."""

    code = "http-status"


class UrlExpiredError(_RefusedError):
    """The URL expired and could not be replaced by one that works."""

    code = "url-expired"


class ForbiddenError(_RefusedError):
    """The server refuses, and a new URL does not (or could not) help."""

    code = "forbidden"


class ResponseMismatchError(TransferError):
    """A response that does not answer what was asked: wrong range, wrong length, wrong coding, a bad redirect."""

    code = "response-mismatch"


class RemoteChangedError(TransferError):
    """A response belongs to another object, or another version, than the one being downloaded."""

    code = "remote-changed"


class RefreshError(AsyncdlError):
    """The URL provider raised, took longer than `Timeouts.refresh`, or returned a URL that cannot work."""

    code = "refresh"


class SourceError(RefreshError):
    """The store behind a source refused, has not what was asked for, or cannot be asked.

    The message names the source, the hint says what to do.
    """

    code = "source"


class IntegrityError(AsyncdlError):
    """The object's size or checksum is not the one declared or promised, or bytes are missing at the end."""

    code = "integrity"


class StorageError(AsyncdlError, OSError):
    """The local file system refused. `errno` is the system's error number, or None.

    The system's own exception, where there is one, is the `__cause__`.
    """

    code = "storage"

    def __init__(self, message: str, *, hint: str | None = None, errno: int | None = None) -> None:
        super().__init__(message, hint=hint)
        self.errno = errno


class DiskFullError(StorageError):
    """No space left, quota exceeded, or the file would be larger than allowed here."""

    code = "disk-full"


class DestinationExistsError(StorageError):
    """The destination exists, and `if_exists` says it is not to be replaced."""

    code = "destination-exists"


class DestinationBusyError(StorageError):
    """Another download, in this process or another, is writing this destination."""

    code = "destination-busy"


class JournalError(AsyncdlError):
    """The journal beside the partial file is of another program, or of a later version of the format.

    It is left where it is.
    """

    code = "journal"


class DeadlineError(AsyncdlError, TimeoutError):
    """The wall-clock deadline `Timeouts.total` passed before the file was complete."""

    code = "deadline"
