"""Targets: file names from URLs, URLs that may be sent, and where redirects lead."""

from __future__ import annotations

import unicodedata
from collections.abc import Hashable
from pathlib import PurePosixPath, PureWindowsPath
from urllib.parse import urlsplit

from yarl import URL

from asyncdl.errors import OptionsError, ResponseMismatchError
from asyncdl.model import SignedUrl
from asyncdl.rules.fields import take_userinfo
from asyncdl.rules.names import file_name
from asyncdl.rules.urls import check_url, origin_of, redirect_target
from tests.fuzz.engine import Target

#: Microsoft Learn, "Naming Files, Paths, and Namespaces"; spelled out, where the rule has a pattern.
_DEVICES = {"CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"}
_DEVICES |= {port + digit for port in ("COM", "LPT") for digit in "0123456789\u00b9\u00b2\u00b3"}


def check_name(data: bytes) -> Hashable:
    """One component of a path, on every platform, that is visible and fits with its suffix; or OptionsError."""
    url = data.decode("utf-8", "surrogateescape")
    try:
        name = file_name(url)
    except OptionsError as error:
        return error.message[:40]
    assert name not in {"", ".", ".."}
    assert (name,) == PurePosixPath(name).parts
    assert (name,) == PureWindowsPath(name).parts
    assert not PureWindowsPath(name).drive
    assert not name.startswith((".", " "))
    assert not name.endswith((".", " "))
    assert len((name + ".part").encode("utf-8")) <= 255
    assert name.split(".")[0].rstrip(" ").upper() not in _DEVICES, name
    assert not any(unicodedata.category(letter) in {"Cc", "Cf", "Cs", "Zl", "Zp"} for letter in name), ascii(name)
    return len(name).bit_length(), name.isascii(), "_" in name, "." in name


def _without(url: str, message: str) -> str:
    """The begin of an error's message, which must not repeat the URL."""
    assert len(url) < 12 or url not in message
    return message[:40]


def _same_host(url: str) -> None:
    """Who decides and who connects read one host in it."""
    split, origin = urlsplit(url), origin_of(url)
    connected = URL(url, encoded=True)
    assert split.scheme in {"http", "https"}
    assert connected.scheme == split.scheme
    assert connected.raw_host is not None
    assert origin.host == connected.raw_host.lower().removesuffix("."), (origin.host, connected.raw_host)
    assert origin.port == connected.port
    assert url.isascii()
    assert url.isprintable()
    assert " " not in url
    assert check_url(url) == url


def check_sendable(data: bytes) -> Hashable:
    """A URL is refused without being shown, or sent byte for byte to the host that everybody reads in it."""
    url = data.decode("utf-8", "surrogateescape")
    try:
        sent = check_url(url)
    except OptionsError as error:
        return _without(url, f"{error.message} {error.hint}")
    _same_host(sent)
    bare = url.partition("#")[0]
    if bare.isascii():
        assert bare.partition(":")[2] == sent.partition(":")[2]
    public = SignedUrl(sent).public
    split = urlsplit(sent)
    assert "@" not in public.split("/")[2]
    # Nothing but scheme, host, port and path, and of the path no more than there is before an encoded question mark.
    shown = public.removesuffix("?\u2026")
    assert f"{split.scheme}://{split.netloc.rpartition('@')[2]}{split.path}".startswith(shown)
    assert "%3f" not in shown.lower()
    assert split.query == "" or public != shown
    target, _ = take_userinfo(sent)
    assert "@" not in urlsplit(target).netloc
    assert origin_of(target) == origin_of(sent)
    return split.scheme, bool(split.query), "@" in split.netloc, ":" in split.netloc, "[" in split.netloc, bare == sent


def _dots_removed(path: str) -> str:
    """RFC 3986 section 5.2.4, step by step as it stands there."""
    left, out = path, ""
    while left:
        if left.startswith(("../", "./")):
            left = left.partition("/")[2]
        elif left.startswith("/./") or left == "/.":
            left = "/" + left[3:]
        elif left.startswith("/../") or left == "/..":
            left, out = "/" + left[4:], out.rpartition("/")[0]
        elif left in {".", ".."}:
            left = ""
        else:
            end = left.find("/", 1)
            end = len(left) if end < 0 else end
            out, left = out + left[:end], left[end:]
    return out


_BASE = "https://user:pw@host:8443/a/b/c;d?X-Sig=1&y=//z"


def check_redirect(data: bytes) -> Hashable:
    """A redirect keeps https, no user or password goes along, and a relative target is RFC 3986's."""
    location = data.decode("utf-8", "surrogateescape")
    try:
        target = redirect_target(_BASE, location)
    except ResponseMismatchError as error:
        return _without(location, error.message)
    _same_host(target)
    split = urlsplit(target)
    assert "https" == split.scheme
    assert "@" not in split.netloc
    plain = location.strip(" \t").replace(" ", "%20").partition("#")[0]
    if plain.isascii() and ":" not in plain.partition("/")[0] and not plain.startswith(("//", "?")) and plain:
        path, mark, query = plain.partition("?")
        wanted = _dots_removed(path if path.startswith("/") else "/a/b/" + path)
        assert f"https://host:8443{wanted}{mark}{query}" == target
    again = redirect_target("http" + _BASE[5:], location)
    assert urlsplit(again).netloc == split.netloc
    return split.netloc == "host:8443", bool(split.query), split.path.count("/"), "." in split.path


_HOSTS = (b"host", b"127.0.0.1", b"[::1]", b"b\xc3\xbccher.example", b"host:80", b"u:p@host", b"u@host:443", b"host.")
_ODD: tuple[bytes, ...] = (
    b"\\",
    b"@",
    b";",
    b"%00",
    b"%2e",
    b"%2f",
    b"%40",
    b"..",
    b"/",
    b"//",
    b":",
    b"?",
    b"#",
    b"&",
    b" ",
    b"\t",
)
_ODD += (
    b"\x00",
    b"\r\n",
    b"\xe3\x80\x82",
    b"\xef\xbc\x8f",
    b"\xe2\x84\xaa",
    b"\xff",
    b"%",
    b"[",
    b"]",
    b"::1%25x",
    b"+",
)
_ODD += (
    b"\xc3\x9f",
    b"\xe2\x80\x8d",
    b"\xef\xbc\xa0",
    b"xn--",
    b"0x7f.1",
    b"1",
    b"_",
    b"-",
    b"~",
    b"!",
    b"$",
    b"'",
    b"(",
)
_SCHEMES = (b"https://", b"http://", b"HTTPS://", b"https:", b"https:/", b"file:///", b"ftp://", b"javascript:", b"//")
_SIGNED = b"?X-Amz-Signature=0123456789abcdef"

URLS = Target(
    name="urls",
    about="a URL is refused, or everybody reads one host in it and its query is sent as it was signed",
    check=check_sendable,
    corpus=tuple(b"%s%s/p/k%s" % (scheme, host, _SIGNED) for scheme in _SCHEMES for host in _HOSTS),
    words=(*_SCHEMES, *_HOSTS, *_ODD, _SIGNED, b"a"),
    short=10_000,
    longest=200,
)
REDIRECT = Target(
    name="redirect",
    about="a redirect keeps https, loses user and password, and leads where RFC 3986 says",
    check=check_redirect,
    corpus=(
        *(b"%s%s/p/k%s" % (scheme, host, _SIGNED) for scheme in _SCHEMES for host in _HOSTS),
        *(b"/x/../y", b"../../z", b"./a/./b", b"?q=1", b"#f", b"", b"a//b/..//c", b"g;x=1/../y", b"/..", b"/."),
    ),
    words=(*_SCHEMES, *_HOSTS, *_ODD, _SIGNED, b"../", b"./", b"/.", b"/..", b"a"),
    short=12_000,
    longest=200,
)
NAMES = Target(
    name="names",
    about="a file name from a URL is one visible, unreserved component of at most 255 bytes, or an error",
    check=check_name,
    corpus=(
        *(
            b"https://h/d/%s?sig=x" % name
            for name in (b"model.bin", b"..%2F..%2Fetc", b"CON.txt", b".bashrc", b"a.", b"x" * 251)
        ),
        *(
            b"https://h/%s" % name
            for name in (b"COM%C2%B9", b"nul%20.tar", b"%FF", b"%E2%80%AEexe", b"%00", b"\xc3\xa4")
        ),
    ),
    words=(
        *(
            b"%2F",
            b"%5C",
            b"%00",
            b"%3A",
            b"%20",
            b"%2E",
            b".",
            b"..",
            b"%C2%B2",
            b"%E2%80%8B",
            b"%E2%80%AE",
            b"\xc2\xb3",
        ),
        *(
            b"con",
            b"PRN",
            b"Aux",
            b"nul",
            b"com1",
            b"LPT9",
            b"conin$",
            b"CLOCK$",
            b" ",
            b"%ED%A0%80",
            b"%FF",
            b"%C3%9F",
        ),
        *(
            b"a",
            b"x" * 100,
            b"%F0%9F%98%80" * 20,
            b"/",
            b"?",
            b"#",
            b"https://h/",
            b"%EF%BC%8F",
            b"%C2%A0",
            b"%E3%80%80",
            b"~1",
        ),
    ),
    short=15_000,
)
