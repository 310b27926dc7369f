"""Which URLs and headers may be sent, which origin they belong to, and where a redirect may lead.

Rule: a URL is sent byte for byte as it was signed; only characters that no URL may hold (RFC 3986) are encoded.
Rule: a host is a plain name or an address: what two readers could read as two hosts is refused.
Rule: https never becomes http, and nothing but http and https is ever followed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import NamedTuple, cast
from urllib.parse import quote, urlsplit

from asyncdl.errors import OptionsError, ResponseMismatchError
from asyncdl.model import HeaderPairs
from asyncdl.patterns import Pattern

#: Hosts of which is remembered what their part of a URL means: it is asked for several times a request.
_HOSTS = 128
_DEFAULT_PORTS = {"http": 80, "https": 443}
_CONTROL = Pattern(r"[\x00-\x20\x7f]")
_NON_ASCII = Pattern(r"[^\x00-\x7f]+")
# RFC 1123 section 2.1, with the underscore that names in use have; or an IPv6 address without a zone (RFC 3986
# section 3.2.2), whose digits `urlsplit` checks.
_HOST = Pattern(r"(?:[a-z0-9_-]{1,63}\.)*[a-z0-9_-]{1,63}\.?|\[[0-9a-f:.]+\]", re.ASCII | re.IGNORECASE)
#: IDNA 2003 and 2008 read these letters as different hosts (UTS 46 section 7, "deviation characters").
_DEVIATING = frozenset("\u00df\u1e9e\u03c2\u200c\u200d")
#: In a user or password, these make readers disagree about where the host begins.
_MISLEADING = frozenset("@\\[]")
# RFC 3986 appendix B: scheme, authority with its slashes, path, query with its question mark.
_REFERENCE = Pattern(r"(?:([A-Za-z][A-Za-z0-9+.-]*):)?(//[^/?#]*)?([^?#]*)(\?[^#]*)?(?:#.*)?", re.ASCII | re.DOTALL)
#: Scheme and authority: where an origin is to be read.
_BEFORE_PATH = Pattern(r"[a-z]+://[^/?#]*", re.ASCII)
#: A URL of which nothing but scheme, host and port could be wrong; these apart from the rest.
_PLAIN_URL = Pattern(r"(https?://[A-Za-z0-9._-]+(?::[0-9]+)?)(?:[/?][!-\"$-~]*)?", re.ASCII)
_TOKEN = Pattern(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", re.ASCII)  # RFC 9110 section 5.6.2
# RFC 9110 section 5.5; a lone surrogate is no character and cannot be sent.
_BAD_IN_VALUE = Pattern(r"[\x00-\x08\x0a-\x1f\x7f\ud800-\udfff]")
#: Headers that the engine sets itself, or that would change what is asked for or how it is answered.
RESERVED_HEADERS = frozenset(
    {
        "accept-encoding",
        "connection",
        "content-length",
        "expect",
        "host",
        "if-modified-since",
        "if-none-match",
        "if-range",
        "range",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)


class Origin(NamedTuple):
    """Scheme, host and port: what a permission is given to (RFC 6454 section 4)."""

    scheme: str
    host: str
    port: int


def origin_of(url: str) -> Origin:
    """The origin of a URL that `check_url` has passed. A host's trailing dot makes no difference."""
    before_path = _BEFORE_PATH.match(url)
    return _origin_of(before_path[0] if before_path else url)


@lru_cache(_HOSTS)
def _origin_of(url: str) -> Origin:
    split = urlsplit(url)
    return Origin(split.scheme, (split.hostname or "").removesuffix("."), split.port or _DEFAULT_PORTS[split.scheme])


def check_url(url: object) -> str:
    """The URL as it will be sent, without its fragment.

    Raises:
        OptionsError: it is not a usable http or https URL. The message never holds the URL.
    """
    if not isinstance(url, str):
        raise OptionsError(f"a URL must be a str, not {type(url).__name__}")
    plain = _PLAIN_URL.fullmatch(url)
    if plain is not None and _is_sent_as_it_is(plain[1]):
        return plain[0]
    return _checked(url)


@lru_cache(_HOSTS)
def _is_sent_as_it_is(before_path: str) -> bool:
    try:
        return _checked(before_path) == before_path
    except OptionsError:
        return False


def _checked(url: str) -> str:
    if _CONTROL.search(url):
        raise OptionsError("the URL holds white space or a control character", hint="quote it, or encode it as %20")
    url = url.partition("#")[0]
    authority = _authority(url)
    if authority is None:
        raise OptionsError("the URL is malformed", hint="it must look like https://host/path?query")
    scheme, _, rest = url.partition(":")
    # In lower case from here on, so that nobody who looks for "https:" is misled. Nobody signs or sends it.
    scheme = scheme.lower()
    if scheme not in _DEFAULT_PORTS:
        raise OptionsError("the URL's scheme is neither http nor https")
    userinfo, at, host_and_port = authority.rpartition("@")
    host, port = _host_and_port(host_and_port)
    ascii_host = _ascii_host(host)
    if ascii_host is None or not port.isascii() or set(userinfo) & _MISLEADING:
        raise OptionsError("the URL's host name is malformed", hint="user, password and host: encode what is special")
    # All that stands before the authority is the scheme and `://`.
    path = rest[len("//") + len(authority) :]
    encoded = _encode(f"{scheme}://{userinfo}{at}{ascii_host}{port}{path}")
    if encoded is None:
        raise OptionsError("the URL holds half a character (a lone surrogate)")
    return encoded


def _authority(url: str) -> str | None:
    """What stands between `//` and the path, or None if it cannot be made out."""
    try:
        split = urlsplit(url)
        usable = split.port != 0 and bool(split.hostname)
    except ValueError:
        return None
    return split.netloc if usable else None


def _host_and_port(text: str) -> tuple[str, str]:
    """The host, an IPv6 address with its brackets; and the port with its colon, or nothing."""
    end = text.rfind("]") + 1
    host, colon, port = text[end:].partition(":")
    return text[:end] + host, colon + port


def _ascii_host(host: str) -> str | None:
    """The host in ASCII (RFC 3490), or None if it has no such form or one that is read in two ways."""
    if not host.isascii():
        if _DEVIATING.intersection(host):
            return None
        try:
            host = host.encode("idna").decode("ascii")
        except UnicodeError:
            return None
    # Only now: what is special may stand in the name as another character, full-width for instance.
    return host if _HOST.fullmatch(host) else None


def _encode(url: str) -> str | None:
    try:
        # Bytes that were no UTF-8 where they came from, a header or a command line, are sent as they were.
        return _NON_ASCII.sub(lambda run: quote(run[0], safe="", errors="surrogateescape"), url)
    except UnicodeEncodeError:
        return None


def redirect_target(url: str, location: str) -> str:
    """Where a redirect from `url` leads; user and password in it are dropped.

    A target that names its host is kept byte for byte; any other is resolved as RFC 3986 section 5.2 has it.

    Raises:
        ResponseMismatchError: it leads to another scheme than http(s), from https to http, or nowhere.
    """
    location = location.strip(" \t").replace(" ", "%20")
    try:
        target = check_url(_resolve(url, location))
    except OptionsError as error:
        raise ResponseMismatchError(f"refused a redirect: {error.message.replace('the URL', 'its target')}") from None
    split = urlsplit(target)
    if urlsplit(url).scheme == "https" and split.scheme == "http":
        raise ResponseMismatchError("refused a redirect from https to http")
    userinfo, at, _ = split.netloc.rpartition("@")
    return target.replace(userinfo + at, "", 1) if at else target


def _resolve(base: str, reference: str) -> str:
    scheme, authority, path, query = _pieces(reference)
    if scheme:
        return reference
    base_scheme, base_authority, base_path, base_query = _pieces(base)
    if authority:
        return f"{base_scheme}:{reference}"
    if not path:
        path, query = base_path, query or base_query
    else:
        path = _without_dots(path if path.startswith("/") else f"{base_path.rpartition('/')[0]}/{path}")
    return f"{base_scheme}:{base_authority}{path}{query}"


def _pieces(reference: str) -> tuple[str, str, str, str]:
    match = _REFERENCE.fullmatch(reference)
    assert match is not None  # noqa: S101  # every part is optional: any text matches
    scheme, authority, path, query = match.groups(default="")
    return scheme, authority, path, query


def _without_dots(path: str) -> str:
    """RFC 3986 section 5.2.4; unlike `urllib.parse.urljoin` it keeps empty segments: S3 keys have them."""
    segments = path.split("/")[1:]
    kept: list[str] = []
    for segment in segments:
        if segment == "..":
            kept[-1:] = []
        elif segment != ".":
            kept.append(segment)
    if segments[-1] in {".", ".."}:
        kept.append("")
    return "/" + "/".join(kept)


def check_headers(headers: Mapping[str, str] | Iterable[tuple[str, str]] | None) -> HeaderPairs:
    """The caller's headers as pairs.

    Raises:
        OptionsError: a name is no token, a value holds CR, LF or NUL, or the engine owns that header. The message
            holds the name where it is a good one, and never the value.
    """
    if headers is None or headers == ():
        return ()
    try:
        pairs = tuple(cast("Iterable[tuple[str, str]]", headers.items() if isinstance(headers, Mapping) else headers))
    except TypeError:
        raise OptionsError("headers must be a mapping, or pairs of str") from None
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
