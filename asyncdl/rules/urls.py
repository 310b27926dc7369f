"""Which URLs and headers may be sent, which origin they belong to, and where a redirect may lead.

Rule: a URL is sent byte for byte as it was signed; only characters that no URL may hold (RFC 3986) are encoded.
Rule: https never becomes http, and nothing but http and https is ever followed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple
from urllib.parse import SplitResult, quote, urljoin, urlsplit

from asyncdl.errors import OptionsError, ResponseMismatchError
from asyncdl.model import HeaderPairs

_DEFAULT_PORTS = {"http": 80, "https": 443}
_CONTROL = re.compile(r"[\x00-\x20\x7f]")
_NON_ASCII = re.compile(r"[^\x00-\x7f]+")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", re.ASCII)  # RFC 9110 section 5.6.2
_BAD_IN_VALUE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")  # RFC 9110 section 5.5
#: Headers that the engine sets itself, or that would change what is asked for.
RESERVED_HEADERS = frozenset(
    {"accept-encoding", "connection", "content-length", "host", "if-range", "range", "te", "transfer-encoding", "upgrade"}
)


class Origin(NamedTuple):
    """Scheme, host and port: what a permission is given to (RFC 6454 section 4)."""

    scheme: str
    host: str
    port: int


def origin_of(url: str) -> Origin:
    """The origin of a URL that `check_url` has passed."""
    split = urlsplit(url)
    return Origin(split.scheme, (split.hostname or "").rstrip("."), split.port or _DEFAULT_PORTS[split.scheme])


def check_url(url: object) -> str:
    """The URL as it will be sent, without its fragment.

    Raises:
        OptionsError: it is not a usable http or https URL. The message never holds the URL.
    """
    if not isinstance(url, str):
        raise OptionsError(f"a URL must be a str, not {type(url).__name__}")
    if _CONTROL.search(url):
        raise OptionsError("the URL holds white space or a control character", hint="quote it, or encode it as %20")
    split = _split(url)
    if split is None:
        raise OptionsError("the URL is malformed", hint="it must look like https://host/path?query")
    if split.scheme not in _DEFAULT_PORTS:
        raise OptionsError("the URL's scheme is neither http nor https")
    return _as_sent(url, split)


def _split(url: str) -> SplitResult | None:
    """The URL's pieces, or None if two readers could see two different hosts in it."""
    try:
        split = urlsplit(url)
        port = split.port
    except ValueError:
        return None
    host = split.hostname
    if not host or port == 0 or "\\" in split.netloc or "%" in host or split.netloc.count("@") > 1:
        return None
    return split


def _as_sent(url: str, split: SplitResult) -> str:
    url = url.partition("#")[0]
    if url.isascii():
        return url
    if not split.netloc.isascii():
        userinfo, at, host = split.netloc.rpartition("@")
        name, colon, port = host.partition(":")
        try:
            host = name.encode("idna").decode("ascii")
        except UnicodeError:
            raise OptionsError("the URL's host name is malformed") from None
        url = url.replace(split.netloc, userinfo + at + host + colon + port, 1)
    return _NON_ASCII.sub(lambda run: quote(run[0], safe="", errors="surrogateescape"), url)


def redirect_target(url: str, location: str) -> str:
    """Where a redirect from `url` leads; user and password in it are dropped.

    Raises:
        ResponseMismatchError: it leads to another scheme than http(s), from https to http, or nowhere.
    """
    location = location.strip(" \t").replace(" ", "%20")
    target = location if re.match(r"https?://", location, re.IGNORECASE) else urljoin(url, location)
    try:
        target = check_url(target)
    except OptionsError as error:
        raise ResponseMismatchError(f"refused a redirect: {error.message.replace('the URL', 'its target')}") from None
    split = urlsplit(target)
    if urlsplit(url).scheme == "https" and split.scheme == "http":
        raise ResponseMismatchError("refused a redirect from https to http")
    userinfo, at, host = split.netloc.rpartition("@")
    return target.replace(userinfo + at, "", 1) if at else target


def check_headers(headers: Mapping[str, str] | Iterable[tuple[str, str]] | None) -> HeaderPairs:
    """The caller's headers as pairs.

    Raises:
        OptionsError: a name is no token, a value holds CR, LF or NUL, or the engine owns that header. The message
            holds the name where it is a good one, and never the value.
    """
    if headers is None:
        return ()
    pairs = tuple(headers.items() if isinstance(headers, Mapping) else headers)
    for pair in pairs:
        if not (isinstance(pair, tuple) and len(pair) == 2 and all(isinstance(text, str) for text in pair)):
            raise OptionsError("headers must be pairs of str")
        name, value = pair
        if not _TOKEN.fullmatch(name):
            raise OptionsError("a header's name is malformed")
        if _BAD_IN_VALUE.search(value):
            raise OptionsError(f"the value of header {name} holds a control character")
        if name.lower() in RESERVED_HEADERS:
            raise OptionsError(f"header {name} is set by the download itself")
    return pairs
