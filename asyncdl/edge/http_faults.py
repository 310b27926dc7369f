"""What a network fault is called here, whatever aiohttp calls it: no exception of aiohttp's leaves the edge.

Their texts and arguments hold whole URLs.
"""

from __future__ import annotations

import socket
from typing import Final

import aiohttp

from asyncdl.edge.http_connections import MOST_INTERIM, PrivateAddressError, TooManyInterimError
from asyncdl.errors import ConnectError, ResponseMismatchError, TransferError

#: The resolver is sure that there is no such host, or no address of it (getaddrinfo(3)); not every system has both.
_NO_SUCH_NAME: Final = frozenset(
    getattr(socket, name) for name in ("EAI_NONAME", "EAI_NODATA") if hasattr(socket, name)
)
#: Requests for one part after which such an answer is believed.
_ATTEMPTS_FOR_NO_NAME: Final = 2


def translate(error: Exception) -> TransferError:
    """The transfer error that stands for a network fault, with no URL in it."""
    match error:
        case aiohttp.ClientConnectorCertificateError() | aiohttp.ServerFingerprintMismatch():
            reason = getattr(error, "certificate_error", None)
            words = getattr(reason, "verify_message", None) or "the certificate is not trusted"
            return ConnectError(
                f"TLS certificate refused: {words}",
                hint="for a private certificate authority give its file with ca_file (--cacert)",
            )
        case aiohttp.ClientHttpProxyError():
            return ConnectError(f"the proxy answered {error.status}", retryable=error.status >= 500)
        case aiohttp.ClientConnectorError():
            return _of_connecting(error)
        case aiohttp.ConnectionTimeoutError():
            return ConnectError("cannot connect in time", retryable=True)
        case aiohttp.ClientPayloadError() | aiohttp.ServerDisconnectedError():
            return ConnectError("the connection broke before the response was complete", retryable=True)
        case aiohttp.InvalidURL() | aiohttp.NonHttpUrlClientError() | ValueError():
            return ResponseMismatchError("the URL cannot be requested")
        case TooManyInterimError():
            return ResponseMismatchError(f"the server sent more than {MOST_INTERIM} interim responses", retryable=True)
        case aiohttp.ClientResponseError():
            return ResponseMismatchError("the server's answer is not HTTP that can be understood", retryable=True)
        case OSError():
            # aiohttp puts words of its own, with the URL, in the place of the system's.
            cause = error.__cause__ if isinstance(error.__cause__, OSError) else error
            return _connect_error("the connection broke", cause)
        case _:
            return ConnectError(f"the connection failed ({type(error).__name__})", retryable=True)


def _of_connecting(error: aiohttp.ClientConnectorError) -> TransferError:
    match error:
        case aiohttp.ClientConnectorDNSError():
            fault = _connect_error(f"cannot resolve {error.host}", error.os_error)
            if isinstance(error.os_error, socket.gaierror) and error.os_error.errno in _NO_SUCH_NAME:
                fault.most_attempts = _ATTEMPTS_FOR_NO_NAME
            return fault
        case _ if isinstance(error.os_error, PrivateAddressError):
            return leads_inside()
        case aiohttp.ClientProxyConnectionError():
            return _connect_error("cannot connect to the proxy", error.os_error)
        case _:
            return _connect_error(f"cannot connect to {error.host}:{error.port}", error.os_error)


def leads_inside() -> ResponseMismatchError:
    """The error for a redirect from a public host to an address that is not public."""
    return ResponseMismatchError(
        "refused a redirect from a public host to a private address",
        hint="where that is meant to be, allow it with allow_private_redirects (--allow-private-redirects)",
    )


#: Clearer than what the event loop makes of them ("Connect call failed").
_WORDS: Final = {
    ConnectionRefusedError: "connection refused",
    ConnectionResetError: "connection reset by the other side",
    TimeoutError: "no answer",
}


def _connect_error(what: str, cause: OSError) -> ConnectError:
    words = _WORDS.get(type(cause)) or cause.strerror or type(cause).__name__
    words = type(cause).__name__ if "://" in words else words
    fault = ConnectError(f"{what}: {words}", retryable=True)
    if cause.errno is not None and type(cause).__module__ in {"builtins", "socket", "ssl"}:
        # A copy, without what hangs on to the original: its own causes and the frames that hold the URL.
        fault.__cause__ = type(cause)(cause.errno, cause.strerror)
    return fault
