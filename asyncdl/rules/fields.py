"""Which header fields a request carries: several sources, one list."""

from __future__ import annotations

from base64 import b64encode
from urllib.parse import unquote_to_bytes, urlsplit

from asyncdl.model import HeaderPairs


def merge_fields(*sources: HeaderPairs) -> HeaderPairs:
    """The fields of all sources; where two have a field of one name, that of the earlier one.

    One source may have several fields of a name. All fields of a name get its first spelling: an HTTP library may
    take `X-A` after `x-a` for a replacement.
    """
    given = [source for source in sources if source]
    if len(given) == 1:
        (merged,) = given
        names = {name.lower() for name, _ in merged}
        if len(names) == len(merged):
            return merged
    merged = ()
    spellings: dict[str, str] = {}
    for source in given:
        known = set(spellings)
        for name, value in source:
            if name.lower() not in known:
                merged += ((spellings.setdefault(name.lower(), name), value),)
    return merged


def take_userinfo(url: str) -> tuple[str, HeaderPairs]:
    """A URL without user and password, and the Authorization field they stand for (RFC 7617 section 2).

    Where both are empty they stand for none, as browsers have it (WHATWG URL Standard, "includes credentials").
    """
    if "@" not in url:
        return url, ()
    netloc = urlsplit(url).netloc
    userinfo, at, host = netloc.rpartition("@")
    if not at:
        return url, ()
    bare = url.replace(netloc, host, 1)
    user, _, password = userinfo.partition(":")
    if not user and not password:
        return bare, ()
    credentials = unquote_to_bytes(user) + b":" + unquote_to_bytes(password)
    return bare, (("Authorization", f"Basic {b64encode(credentials).decode()}"),)
