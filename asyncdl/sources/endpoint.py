"""A URL provider that asks an HTTP endpoint: for a redirect, for JSON, or for a line of text.

Rule: what the endpoint is asked with, and what it answers, is in no message, log or repr: both may be keys.
"""

from __future__ import annotations

import json
from base64 import b64encode
from datetime import UTC, datetime
from typing import Final
from urllib.parse import urlsplit

from asyncdl.edge.http_ask import Asker, Reply
from asyncdl.errors import OptionsError, SourceError
from asyncdl.model import HeaderPairs, SignedUrl
from asyncdl.options import Options, Timeouts
from asyncdl.rules.fields import merge_fields, take_userinfo
from asyncdl.rules.json_pointer import MISSING, check_pointer, find
from asyncdl.rules.urls import check_headers, check_url

_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_METHODS: Final = frozenset({"GET", "POST"})
#: Tried in this order where no pointer was given: the document itself, then its member `url`.
_LIKELY: Final = ("", "/url")
#: Bytes of an answer; a URL is at most some KiB long.
_MOST: Final = 1 << 20
#: Times a GET is sent, at most, where a fault may pass; within the timeout all the same.
_TRIES: Final = 3


class EndpointSource:
    """An `asyncdl.UrlProvider` that asks an HTTP endpoint for every URL.

        source = EndpointSource("https://files.example/presign?name=model.bin", bearer=token, pointer="/data/url")
        await asyncdl.download(source, "model.bin")

    The URL is where a redirect (301, 302, 303, 307, 308) leads, which is taken and not followed; or in a JSON document;
    or else the first line of the text.

    Args:
        url: of the endpoint.
        headers: sent to it, and to no one else.
        bearer: token of an Authorization header (RFC 6750).
        basic: user and password of one (RFC 7617).
        pointer: JSON pointer (RFC 6901) to the URL in the answer, which must then be JSON; None takes the document
            where it is a string, and its member `url` where it is an object.
        expires_pointer: JSON pointer to when the URL dies: seconds since the epoch, or a date of ISO 8601 in a string,
            in UTC where it does not say. Where there is none, the URL itself may say it.
        method: GET or POST.
        timeout: seconds for one answer.
        options: for proxy, certificate authorities and the environment.

    Raises:
        OptionsError: something here cannot be used.
    """

    def __init__(
        self,
        url: str,
        *,
        headers: HeaderPairs = (),
        bearer: str | None = None,
        basic: tuple[str, str] | None = None,
        pointer: str | None = None,
        expires_pointer: str | None = None,
        method: str = "GET",
        timeout: float = 30.0,
        options: Options = Options(),
    ) -> None:
        self._url = check_url(url)
        self._headers = merge_fields(check_headers(headers), _authorization(bearer, basic))
        given = sum(name.lower() == "authorization" for name, _ in headers) + (bearer is not None) + (basic is not None)
        if given + (take_userinfo(self._url)[1] != ()) > 1:
            raise OptionsError("headers, bearer, basic and the endpoint's URL: only one of them may say who asks")
        self._pointer = None if pointer is None else check_pointer(pointer)
        self._expires_pointer = None if expires_pointer is None else check_pointer(expires_pointer)
        if method not in _METHODS:
            raise OptionsError(f"the method must be one of {', '.join(sorted(_METHODS))}")
        self._method = method
        self._options, self._timeouts = options, Timeouts(refresh=timeout, connect=min(timeout, Timeouts().connect))
        split = urlsplit(self._url)
        # Of what is called by machines, the path may be the key.
        self._name = f"{split.scheme}://{split.netloc.rpartition('@')[2]}/…"

    def __repr__(self) -> str:
        return f"EndpointSource({self._name!r})"

    async def __call__(self, rejected: SignedUrl | None = None) -> SignedUrl:
        """The URL that the endpoint gives.

        Raises:
            SourceError: it refuses, or its answer has no URL.
            TransferError: it cannot be reached.
        """
        del rejected  # the endpoint knows which object; a dead URL is nobody's business
        async with Asker(self._options, self._timeouts) as asker:
            tries = _TRIES if self._method == "GET" else 1
            reply = await asker.ask(self._method, self._url, headers=self._headers, limit=_MOST, tries=tries)
        if reply.status in _REDIRECTS and (target := reply.target(self._options)) is not None:
            return SignedUrl(target)
        if not 200 <= reply.status < 300:
            raise _refusal(self._name, reply.status, asked_by=bool(self._headers))
        if self._pointer is not None or self._expires_pointer is not None or _is_json(reply):
            return self._from_json(reply)
        line = next(filter(None, map(str.strip, reply.body.decode(errors="replace").splitlines())), None)
        if line is None:
            raise SourceError(f"{self._name}: the answer is empty")
        return SignedUrl(line)

    def _from_json(self, reply: Reply) -> SignedUrl:
        try:
            document = json.loads(reply.body)
        except (ValueError, RecursionError):
            document = MISSING
        if document is MISSING:
            raise SourceError(f"{self._name}: the answer is not JSON", hint="without a pointer it may be plain text")
        pointers = _LIKELY if self._pointer is None else (self._pointer,)
        url = next((found for each in pointers if isinstance(found := find(document, each), str)), None)
        if url is None:
            raise SourceError(
                f"{self._name}: there is no string at {' or '.join(map(repr, pointers))} in the answer",
                hint="say where the URL is with pointer (--refresh-pointer), as /data/url",
            )
        return SignedUrl(url.strip(), expires_at=self._expiry(document))

    def _expiry(self, document: object) -> float | None:
        if self._expires_pointer is None:
            return None
        found = find(document, self._expires_pointer)
        try:
            if isinstance(found, str):
                moment = datetime.fromisoformat(found.strip())
                return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
            if isinstance(found, int | float) and not isinstance(found, bool):
                return SignedUrl("", expires_at=float(found)).expires_at
        except (ValueError, OverflowError):
            pass
        raise SourceError(f"{self._name}: there is no point in time at {self._expires_pointer!r} in the answer")


def _authorization(bearer: str | None, basic: tuple[str, str] | None) -> HeaderPairs:
    if bearer is not None:
        if not bearer.strip():
            raise OptionsError("the bearer token is empty")
        return check_headers([("Authorization", f"Bearer {bearer.strip()}")])
    if basic is not None:
        user, password = basic
        if ":" in user:
            raise OptionsError("a user of basic authentication has no colon in the name (RFC 7617 section 2)")
        return (("Authorization", f"Basic {b64encode(f'{user}:{password}'.encode()).decode()}"),)
    return ()


def _is_json(reply: Reply) -> bool:
    kind = (reply.headers.get("Content-Type") or "").partition(";")[0].strip().lower()
    return kind == "application/json" or kind.endswith("+json")


def _refusal(name: str, status: int, *, asked_by: bool) -> SourceError:
    hint = None
    if status in {401, 403}:
        hint = "check the token or password" if asked_by else "it may want a token: bearer, basic or headers"
    elif status in {404, 405, 410}:
        hint = "check the endpoint's URL and the method"
    return SourceError(f"{name}: the endpoint answered {status}", hint=hint)
