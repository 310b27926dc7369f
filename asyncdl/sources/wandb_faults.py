"""What can go wrong with a W&B server, and how it is told: with the name of what was asked for, without secrets."""

from __future__ import annotations

import json
from typing import Final

from asyncdl.edge.http_ask import Reply
from asyncdl.errors import SourceError, TransferError
from asyncdl.model import SignedUrl
from asyncdl.rules.redaction import redact_text
from asyncdl.rules.retry import parse_retry_after
from asyncdl.sources.wandb_login import WandbLogin
from asyncdl.sources.wandb_queries import find

#: Statuses that may pass: those the engine repeats a request for.
PASSING: Final = frozenset({408, 425, 429, 500, 502, 503, 504, 522, 524})
#: Characters kept of a server's words.
_MOST_WORDS: Final = 300
_NOT_THE_SERVER: Final = "check WANDB_BASE_URL"


class UnknownFieldError(SourceError):
    """The server's API has not what was asked for: it is older, or newer, than the question."""


class HttpFault(Exception):  # noqa: N818  # between the transport and its server; nobody else sees one
    """An answer that is no GraphQL response.

    Attributes:
        status: the HTTP status.
        words: what the body says.
        location: where a redirect leads, without its query.
        retry_after: seconds the server asked to wait, or None.
    """

    def __init__(self, reply: Reply) -> None:
        super().__init__(f"status {reply.status}")
        self.status: int = reply.status
        self.words: str = words_of(reply.body)
        self.location: str = SignedUrl(reply.headers.get("Location") or "").public
        date = reply.headers.get("Date")
        self.retry_after: float | None = parse_retry_after(reply.headers.get("Retry-After"), date=date)


class QueryFault(Exception):  # noqa: N818  # see `HttpFault`
    """A GraphQL response with errors, without the data beside them and its URLs; `words` are what they say."""

    def __init__(self, errors: object) -> None:
        super().__init__("the query has errors")
        self.words: str = words_of_errors(errors)


def may_pass(fault: Exception, attempts: int) -> bool:
    """Whether the same question may be answered later, after so many `attempts`."""
    match fault:
        case HttpFault():
            return fault.status in PASSING
        case TransferError():
            return fault.retryable and (fault.most_attempts is None or attempts < fault.most_attempts)
        case _:
            return isinstance(fault, TimeoutError)


def error_for(fault: Exception, what: str, login: WandbLogin | None) -> SourceError:
    """The error for a question that failed for good.

    Args:
        fault: an `HttpFault`, a `QueryFault`, a `TransferError` or a `TimeoutError`.
        what: was asked for.
        login: with which credentials, as far as it got to have them.
    """
    server = f"{what}: W&B" + (f" at {login.base_url}" if login else "")
    secrets = login.secrets if login else ()
    match fault:
        case QueryFault():
            # Cut only when clean: half a secret would not be recognised.
            words = redact_text(fault.words, *secrets)[:_MOST_WORDS]
            kind = UnknownFieldError if "Cannot query field" in words else SourceError
            return kind(f"{server} refused the question: {words}", hint=_hint_for(words))
        case HttpFault():
            words = redact_text(fault.words, *secrets)[:_MOST_WORDS]
            return _of_status(fault, server, words, login.source if login else "")
        case TransferError():
            words = redact_text(fault.message, *secrets)
            return SourceError(f"{server} cannot be reached: {words}", hint=fault.hint or _NOT_THE_SERVER)
        case _:
            return SourceError(f"{server} did not answer in time", hint=_NOT_THE_SERVER)


def _of_status(fault: HttpFault, server: str, words: str, source: str) -> SourceError:
    said = f": {words}" if words else ""
    match fault.status:
        case 401:
            hint = "get another key with `wandb login --relogin`; is it one of this server (WANDB_BASE_URL)?"
            return SourceError(f"{server} does not accept the credentials from {source} (401{said})", hint=hint)
        case 403:
            hint = f"ask its owner for access, or use the key of another account; this one is from {source}"
            return SourceError(f"{server} refuses access (403{said})", hint=hint)
        case 301 | 302 | 303 | 307 | 308:
            return SourceError(f"{server} redirects to {fault.location}", hint=_NOT_THE_SERVER)
        case 404:
            return SourceError(f"{server} has no GraphQL API (404)", hint=_NOT_THE_SERVER)
        case status if status in PASSING:
            return SourceError(f"{server} keeps answering {status}{said}", hint="try again later")
        case status:
            return SourceError(f"{server} gives no GraphQL answer (status {status}{said})", hint=_NOT_THE_SERVER)


def _hint_for(words: str) -> str:
    lower = words.lower()
    if "permission" in lower or "denied" in lower or "unauthorized" in lower:
        return "is the key that of an account with access to this project?"
    if "cannot query field" in lower:
        return "the server is too old, or too new, for this version of asyncdl"
    return "is it spelled entity/project/artifact:alias?"


def read_json(body: bytes) -> object:
    """What a body says in JSON; None if it is none."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def words_of(body: bytes) -> str:
    """What a body says, if it says it in the way of an API; a page for people is of no use in a message."""
    answer = read_json(body)
    if isinstance(answer, dict):
        errors = answer.get("errors") or answer.get("error_description") or answer.get("error")
        return words_of_errors(errors if isinstance(errors, list) else [errors]) if errors else ""
    text = body[: 4 * _MOST_WORDS].decode("utf-8", "replace").strip()
    return "" if text.startswith("<") else " ".join(text.split())


def words_of_errors(errors: object) -> str:
    """The messages of GraphQL errors (GraphQL specification, section 7.1.6), which some send as plain strings."""
    messages = [find(error, "message") or error for error in errors] if isinstance(errors, list) else []
    texts = [" ".join(message.split()) for message in messages if isinstance(message, str)]
    return "; ".join(texts) or "no reason given"
