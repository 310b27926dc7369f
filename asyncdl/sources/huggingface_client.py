"""Asking the Hugging Face Hub: with whose token, and what its refusals mean.

Rule: the token goes to the Hub's own origin, and nowhere else.
"""

from __future__ import annotations

import asyncio
import os
import re
from contextlib import AbstractAsyncContextManager, nullcontext
from pathlib import Path
from typing import Final

from asyncdl.edge.http_ask import Asker, Reply
from asyncdl.edge.provider import in_daemon, sealed
from asyncdl.errors import OptionsError, ResponseMismatchError, SourceError
from asyncdl.model import HeaderPairs, SignedUrl
from asyncdl.options import Options, Timeouts
from asyncdl.patterns import Pattern
from asyncdl.rules.redaction import redact_text
from asyncdl.rules.urls import check_url, origin_of
from asyncdl.sources.huggingface_names import Place

ENDPOINT: Final = "https://huggingface.co"
_HUBS: Final = frozenset({origin_of(ENDPOINT), origin_of("https://hf.co")})
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
#: Times one question is sent, at most; within `Timeouts.refresh` all the same.
_TRIES: Final = 4
#: Bytes of a file with a token that are read; a token has some dozens.
_LONGEST_TOKEN: Final = 4096
_BAD_TOKEN: Final = "Invalid credentials in Authorization header"  # noqa: S105  # a sentence of the Hub's
#: RFC 8288 section 3: a URL, which may hold commas, and parameters, which may hold them in quotation marks.
_LINK: Final = Pattern(r'<([^<>]*)>((?:[^,"<]|"[^"]*")*)')
_NEXT: Final = Pattern(r'; *rel *= *(?:next(?![^\s;])|"(?:[^"]* )?next(?: [^"]*)?")', re.IGNORECASE)
_LONGEST_WORDS: Final = 300


class NoEntryError(SourceError):
    """There is no such file in the repository."""


class HubClient:
    """Asks one Hub; see `HubFile` for its arguments.

    Attributes:
        endpoint: without a slash at its end.
        options: as given.

    Raises:
        OptionsError: the endpoint is no http(s) URL.
    """

    def __init__(self, endpoint: str | None, token: str | None, options: Options, timeouts: Timeouts) -> None:
        self.endpoint: str = check_url(endpoint or os.environ.get("HF_ENDPOINT") or ENDPOINT).rstrip("/")
        self.options: Options = options
        self._timeouts = timeouts
        self._token = token
        self._kept: Asker | None = None

    def keep(self) -> None:
        """Use one pool of connections from now on, until `aclose()`."""
        self._kept = self._kept or Asker(self.options, self._timeouts)

    async def aclose(self) -> None:
        """Give the pool back."""
        kept, self._kept = self._kept, None
        if kept is not None:
            await kept.aclose()

    async def permission(self, url: str) -> HeaderPairs:
        """The header that goes to `url`, if it is the Hub's own."""
        token = await self.token() if origin_of(url) == origin_of(self.endpoint) else None
        return (("Authorization", f"Bearer {token}"),) if token else ()

    async def token(self) -> str | None:
        """The token that was given, or else the one that the environment or a file of huggingface_hub's has.

        Raises:
            OptionsError, SourceError: the file cannot be read, or not in time.
        """
        given = self._token
        if given is None:
            bound = asyncio.timeout(self._timeouts.refresh)
            try:
                async with bound:
                    given = (await in_daemon(lambda: sealed(_stored_token)))()
            except TimeoutError:
                if not bound.expired():
                    raise
                raise SourceError("the file with the token of Hugging Face does not let itself be read") from None
        return (given or "").strip() or None

    async def head(self, place: Place) -> Reply:
        """What the Hub says of a file, redirects within the Hub followed.

        Raises:
            SourceError: it refuses, or sends from one place to the next.
        """
        url = place.resolve(self.endpoint)
        for _ in range(self.options.max_redirects + 1):
            reply = await self._ask("HEAD", url, place)
            target = reply.target(self.options) if reply.status in _REDIRECTS else None
            # What is said of a large file is said by what leads to its store, even one on the same host.
            linked = reply.headers.has_any({"x-linked-etag", "x-linked-size"})
            # A mirror may send to the Hub that it is of; that one is asked without its token.
            within = target is not None and origin_of(target) in {origin_of(self.endpoint), *_HUBS}
            if target is None or linked or not within:
                return reply
            url = target
        raise SourceError(f"{place}: the Hub redirects without end")

    async def get(self, url: str, place: Place) -> Reply:
        """What one of the Hub's lists has.

        Raises:
            SourceError: it refuses.
        """
        for _ in range(self.options.max_redirects + 1):
            reply = await self._ask("GET", url, place)
            target = reply.target(self.options) if reply.status in _REDIRECTS else None
            if target is None:
                return reply
            url = target
        raise SourceError(f"{place}: the Hub redirects without end")

    async def _ask(self, method: str, url: str, place: Place) -> Reply:
        permission = await self.permission(url)
        asking: AbstractAsyncContextManager[Asker] = (
            nullcontext(self._kept) if self._kept else Asker(self.options, self._timeouts)
        )
        async with asking as asker:
            reply = await asker.ask(method, url, headers=permission, tries=_TRIES)
        redirected = reply.status in _REDIRECTS and reply.headers.get("Location") is not None
        if not redirected and reply.status != 200:
            raise _refusal(reply, place, self.endpoint, permission)
        return reply


def _stored_token() -> str | None:
    """As huggingface_hub's `get_token`: HF_TOKEN, then the file that its login writes. Blocks: it reads a file."""
    environ = os.environ
    if environ.get("HF_HUB_DISABLE_IMPLICIT_TOKEN", "").upper() in {"1", "ON", "YES", "TRUE"}:
        return None
    if token := environ.get("HF_TOKEN") or environ.get("HUGGING_FACE_HUB_TOKEN"):
        return token
    cache = environ.get("XDG_CACHE_HOME") or "~/.cache"
    home = environ.get("HF_HOME") or f"{cache}/huggingface"
    path = environ.get("HF_TOKEN_PATH") or f"{home}/token"
    try:
        with Path(os.path.expandvars(path)).expanduser().open("rb") as file:
            return file.read(_LONGEST_TOKEN).decode(errors="replace")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or "it has no home directory"
        raise OptionsError(f"the file with the token of Hugging Face cannot be read: {reason}") from error


def _refusal(reply: Reply, place: Place, endpoint: str, permission: HeaderPairs) -> SourceError:
    """What the Hub's status and its X-Error-Code mean (huggingface_hub, `hf_raise_for_status`)."""
    code = reply.headers.get("X-Error-Code") or ""
    words = redact_text(reply.headers.get("X-Error-Message") or "", *(value for _, value in permission))
    told = "".join(letter for letter in words[:_LONGEST_WORDS] if letter.isprintable())
    who = "the account of the token" if permission else "nobody: there is no token"
    # A mirror's URL may have a password in it.
    page = place.page(SignedUrl(endpoint).public)
    match code:
        case "GatedRepo":
            return SourceError(
                f"{place}: the repository is gated, and it was asked for by {who}",
                hint=f"accept the conditions on {page}, and set HF_TOKEN to a token of that account",
            )
        case "RevisionNotFound":
            return SourceError(f"{place}: no revision {place.revision!r}", hint=f"the revisions are on {page}")
        case "EntryNotFound":
            return NoEntryError(
                f"{place}: no such file at this revision", hint=f"the files are on {page}; upper and lower case differ"
            )
        case _ if told == _BAD_TOKEN:
            return SourceError(
                f"{place}: the Hub does not know the token", hint="set HF_TOKEN to a valid one, or log in again"
            )
        case "RepoNotFound" | "" if reply.status in {401, 404}:
            return SourceError(
                f"{place}: no such repository, or a private one, and it was asked for by {who}",
                hint="check its name; a dataset is hf://datasets/..., a space hf://spaces/...; "
                + ("the token must be allowed to read it" if permission else "for a private one set HF_TOKEN"),
            )
    said = f": {told}" if told else ""
    hint = {
        403: "check what the token may do, and whether its account has been let in",
        429: "wait a while; with HF_TOKEN set the Hub allows more",
    }.get(reply.status)
    return SourceError(f"{place}: the Hub answered {reply.status}{said}", hint=hint)


def next_page(reply: Reply, options: Options) -> str | None:
    """The URL of the next page of a list (RFC 8288), or None.

    Raises:
        ResponseMismatchError: it leads where nobody should go.
    """
    for field in reply.headers.all("Link"):
        for reference, parameters in _LINK.findall(field):
            if _NEXT.search(parameters):
                if not reference:
                    raise ResponseMismatchError("the next page has no URL")
                return reply.leads_to(reference, options)
    return None
