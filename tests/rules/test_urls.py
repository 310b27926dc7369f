"""A URL goes out as it was signed, to the host that was meant; what could be read in two ways goes nowhere."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from yarl import URL

from asyncdl.errors import OptionsError, ResponseMismatchError
from asyncdl.rules import urls
from asyncdl.rules.urls import RESERVED_HEADERS, Origin, check_headers, check_url, origin_of, redirect_target

#: Stands in every URL and header value that is refused; no message may hold it.
SECRET = "s3cr3tSIGNATURE"

AS_SIGNED = {
    "encoded slash": "https://host/a%2Fb?sig=x%2Fy",
    "plus and encoded plus": "https://host/a+b?sig=a+b%2Bc",
    "tilde and encoded tilde": "https://host/~a%7Eb?x=~%7E",
    "escapes in upper and lower case": "https://host/%2f%2F?x=%3a%3A%aB",
    "escapes of letters that need none": "https://host/%41%62%2D?%61=%5f",
    "escapes that are none": "https://host/100%?a=%zz&b=%1",
    "encoded percent sign": "https://host/a%252Fb?x=%2525",
    "slash and colon in a query": "https://host/p?X-Amz-Credential=AK/20260101/us-east-1/s3:x",
    "equals signs of a base64 value": "https://host/p?sig=abc==&x==",
    "a question mark in a query": "https://host/p?a=b?c=d",
    "empty query": "https://host/p?",
    "empty query of an empty path": "https://host?",
    "empty parameters": "https://host/p?a=b&&c&=&d=",
    "semicolons": "https://host/p;v=1?a=1;b=2&c",
    "repeated and unsorted parameters": "https://host/p?b=2&a=1&b=1",
    "sub-delimiters": "https://host/!$&'()*+,;=?!$&'()*+,;=",
    "characters that should be encoded": 'https://host/<a>"b"[c]{d}|e^f`?<">[]{}|^`\\',
    "backslash in a path": "https://host/a\\b",
    "double slashes": "https://host//a///b//",
    "dot segments": "https://host/a/../b/./c/..?x=../y",
    "at sign in a path": "https://host/@scope/pkg@1.0?mail=a@b.example",
    "colon in a path": "https://host/a:b/c:80",
    "no path": "https://host",
    "query without a path": "https://host?sig=x",
    "port": "https://host:8443/p",
    "default port written out": "https://host:443/p",
    "empty port": "https://host:/p",
    "host in upper case": "https://HOST.Example/P",
    "trailing dot": "https://host.example./p",
    "underscore in a host": "https://my_bucket.s3.example/p",
    "IPv4 address": "http://127.0.0.1:8080/p",
    "IPv6 address": "http://[2001:db8::1]:8080/p",
    "IPv4 in IPv6": "http://[::ffff:127.0.0.1]/p",
    "user and password": "https://user:p%40ss;@host/p",
    "empty user": "https://@host/p",
    "host in its ASCII form": "https://xn--bcher-kva.example/p",
}


@pytest.mark.parametrize("url", AS_SIGNED.values(), ids=AS_SIGNED)
def test_sent_as_signed(url: str) -> None:
    """Not a byte of a signed URL is changed."""
    assert url == check_url(url)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        pytest.param("https://host/p?q#frag", "https://host/p?q", id="the fragment stays at home"),
        pytest.param("https://host#@evil.example/", "https://host", id="a host in the fragment is none"),
        pytest.param("https://host/p?#", "https://host/p?", id="an empty fragment"),
        pytest.param("HTTPS://host/p", "https://host/p", id="the scheme in lower case: nobody signs or sends it"),
        pytest.param("https://host/bücher?q=ü&r=%FC", "https://host/b%C3%BCcher?q=%C3%BC&r=%FC", id="beyond ASCII"),
        pytest.param("https://host/\u00e9", "https://host/%C3%A9", id="a composed letter"),
        pytest.param("https://host/e\u0301", "https://host/e%CC%81", id="a decomposed letter is not composed"),
        pytest.param("https://host/😀", "https://host/%F0%9F%98%80", id="beyond the basic plane"),
        pytest.param("https://host/a\u2028b\u0085", "https://host/a%E2%80%A8b%C2%85", id="line ends of Unicode"),
        pytest.param("https://host/\udcfc", "https://host/%FC", id="a byte that was no UTF-8 is that byte"),
        pytest.param("https://bücher.example/p", "https://xn--bcher-kva.example/p", id="an international host"),
        pytest.param(
            "https://BÜCHER.example:80/p", "https://xn--bcher-kva.example:80/p", id="in upper case, with port"
        ),
        pytest.param("https://ｈｏｓｔ.example/", "https://host.example/", id="a full-width host"),
        pytest.param("https://ü:ä@host/", "https://%C3%BC:%C3%A4@host/", id="user and password beyond ASCII"),
        pytest.param("https://ü@[::1]:80/ü", "https://%C3%BC@[::1]:80/%C3%BC", id="the same before an IPv6 address"),
        pytest.param("https://ü@bücher.example/", "https://%C3%BC@xn--bcher-kva.example/", id="all of it"),
    ],
)
def test_encoded_where_it_must_be(url: str, expected: str) -> None:
    """What no URL can hold is encoded, as UTF-8 and in percent escapes, and nothing else is."""
    assert expected == check_url(url)


REFUSED = {
    "space": f"https://host/a b?sig={SECRET}",
    "leading space": f" https://host/?sig={SECRET}",
    "trailing line end": f"https://host/?sig={SECRET}\n",
    "CR and LF": f"https://host/\r\nX-Evil: {SECRET}",
    "tab": f"https://host/\t?sig={SECRET}",
    "NUL": f"https://host/\0?sig={SECRET}",
    "escape": f"https://host/\x1b?sig={SECRET}",
    "delete": f"https://host/\x7f?sig={SECRET}",
    "CR in the host": f"https://ho\rst/?sig={SECRET}",
    "control character in the fragment": f"https://host/#\n{SECRET}",
    "half a character in a query": f"https://host/?sig={SECRET}\ud800",
    "half a character in a host": f"https://ho\ud800st/?sig={SECRET}",
    "half a character in a password": f"https://u:{SECRET}\ud83d@host/",
    "nothing": "",
    "no scheme": f"host/p?sig={SECRET}",
    "no scheme, but slashes": f"//host/p?sig={SECRET}",
    "no scheme, but slashes and a port": f"//host:80/p?sig={SECRET}",
    "no slashes": f"https:host/p?sig={SECRET}",
    "one slash": f"https:/host/p?sig={SECRET}",
    "three slashes": f"https:///host/p?sig={SECRET}",
    "backslashes for slashes": f"https:\\\\host\\p?sig={SECRET}",
    "ftp": f"ftp://host/p?sig={SECRET}",
    "file": f"file:///etc/{SECRET}",
    "file with a host": f"file://host/etc/{SECRET}",
    "data": f"data:text/plain,{SECRET}",
    "javascript": f"javascript://host/%0a{SECRET}",
    "a scheme that begins like ours": f"httpsx://host/{SECRET}",
    "no host": f"https://?sig={SECRET}",
    "no host but a port": f"https://:443/?sig={SECRET}",
    "no host but a user": f"https://u:{SECRET}@/",
    "port 0": f"https://host:0/?sig={SECRET}",
    "port 00000": f"https://host:00000/?sig={SECRET}",
    "port too large": f"https://host:65536/?sig={SECRET}",
    "port with more digits than int() reads": f"https://host:{'1' * 5000}/?sig={SECRET}",
    "port with a sign": f"https://host:+80/?sig={SECRET}",
    "port in another script": f"https://host:٨٠/?sig={SECRET}",
    "port with an underscore": f"https://host:8_0/?sig={SECRET}",
    "two ports": f"https://host:80:90/?sig={SECRET}",
    "a password with a slash": f"https://u:pa/{SECRET}@host/",
    "two at signs": f"https://u:{SECRET}@good.example@evil.example/",
    "backslash before the at sign": f"https://good.example\\@evil.example/?sig={SECRET}",
    "backslash in the host": f"https://good.example\\.evil.example/?sig={SECRET}",
    "full-width backslash in the host": f"https://good.example\uff3c.evil.example/?sig={SECRET}",
    "encoded NUL in the host": f"https://good.example%00.evil.example/?sig={SECRET}",
    "encoded slash in the host": f"https://good.example%2F.evil.example/?sig={SECRET}",
    "full-width percent sign in the host": f"https://good.example\uff0500.evil.example/?sig={SECRET}",
    "full-width at sign in the host": f"https://good.example\uff20evil.example/?sig={SECRET}",
    "a/c as one character in the host": f"https://good.example\u2100.evil.example/?sig={SECRET}",
    "no-break space in the host": f"https://good.example\u00a0.evil.example/?sig={SECRET}",
    "wide space in the host": f"https://good.example\u3000.evil.example/?sig={SECRET}",
    "line end of Unicode in the host": f"https://good.example\u2028.evil.example/?sig={SECRET}",
    "comma in the host": f"https://good.example,evil.example/?sig={SECRET}",
    "semicolon in the host": f"https://good.example;evil.example/?sig={SECRET}",
    "sharp s in the host": f"https://faß.example/?sig={SECRET}",
    "final sigma in the host": f"https://ςας.example/?sig={SECRET}",
    "joiner in the host": f"https://a\u200db.example/?sig={SECRET}",
    "non-joiner in the host": f"https://a\u200cb.example/?sig={SECRET}",
    "empty label": f"https://good..example/?sig={SECRET}",
    "empty label of an international host": f"https://ü..example/?sig={SECRET}",
    "leading dot": f"https://.good.example/?sig={SECRET}",
    "two trailing dots": f"https://good.example../?sig={SECRET}",
    "only dots": f"https://.../?sig={SECRET}",
    "label of 64 characters": f"https://{'a' * 64}.example/?sig={SECRET}",
    "international label that gets too long": f"https://{'ü' * 64}.example/?sig={SECRET}",
    "IPv6 zone": f"https://[fe80::1%eth0]/?sig={SECRET}",
    "encoded IPv6 zone": f"https://[::1%25x]/?sig={SECRET}",
    "IPv6 address and more": f"https://[::1].evil.example/?sig={SECRET}",
    "IPv6 address and a letter": f"https://[::1]x:80/?sig={SECRET}",
    "host before an IPv6 address": f"https://good.example[::1]/?sig={SECRET}",
    "IPv6 address without brackets": f"https://::1/?sig={SECRET}",
    "IPv6 address as the user": f"https://[::1]@evil.example/?sig={SECRET}",
    "IPv6 address that is none": f"https://[::1::2]/?sig={SECRET}",
    "IPv4 address in brackets": f"https://[127.0.0.1]/?sig={SECRET}",
    "address of a future version": f"https://[v1.a:b]/?sig={SECRET}",
    "one bracket": f"https://[::1/?sig={SECRET}",
    "two brackets": f"https://[[::1]]/?sig={SECRET}",
    "a letter beyond ASCII in an IPv6 address": f"https://[::ü]/?sig={SECRET}",
}


@pytest.mark.parametrize("url", REFUSED.values(), ids=REFUSED)
def test_refused(url: str) -> None:
    """What is no URL, or what two readers could send to two hosts, is refused before anything is sent."""
    with pytest.raises(OptionsError) as caught:
        check_url(url)

    assert SECRET not in f"{caught.value!r} {caught.value.hint} {caught.value.__cause__!r} {caught.value.__context__!r}"


@pytest.mark.parametrize("url", [None, 7, b"https://host/", ["https://host/"], URL("https://host/")], ids=repr)
def test_not_a_str(url: object) -> None:
    """Anything but text is refused by the name of its type; a yarl URL, too: it may have been re-encoded."""
    with pytest.raises(OptionsError, match=f"not {type(url).__name__}"):
        check_url(url)


HOST_CHARACTERS = st.sampled_from(
    [*"ab.:-_%@\\[]/?#;,&=+0129", "ü", "ß", "。", "\uff3c", "\uff05", "\u3000", "::1", "xn--"]
)
STRANGE_URLS = st.builds(
    "{}://{}{}".format,
    st.sampled_from(["http", "https", "HTTP", "ftp"]),
    st.lists(HOST_CHARACTERS, max_size=12).map("".join),
    st.sampled_from(["", "/", "/p?q", "/@evil.example", "?@evil.example", "\\@evil.example"]) | st.text(max_size=5),
)


@given(url=STRANGE_URLS | st.text() | st.sampled_from([*AS_SIGNED.values(), *REFUSED.values()]))
@example("http://good;@evil.example/")
@example("http://[::1%25x]/")
def test_policy_host_is_connected_host(url: str) -> None:
    """Who is trusted with headers and who is connected to are one host and port, for every URL that passes."""
    try:
        sent = check_url(url)
    except OptionsError:
        return

    there, origin = URL(sent, encoded=True), origin_of(sent)
    assert there.raw_host is not None
    assert there.raw_host.lower().removesuffix(".") == origin.host
    if "xn--" not in origin.host:
        assert (there.host or "").removesuffix(".") == origin.host
    assert (there.scheme, there.port) == (origin.scheme, origin.port)
    assert re.fullmatch(r"[a-z0-9_.-]+|[0-9a-f:.]+", origin.host)


@given(url=STRANGE_URLS | st.text())
def test_checked_is_final(url: str) -> None:
    """What passed is printable ASCII without a fragment, and passes again unchanged."""
    try:
        sent = check_url(url)
    except OptionsError:
        return

    assert re.fullmatch(r"https?://[!-~]+", sent)
    assert "#" not in sent
    assert sent == check_url(sent)


ASCII_TAILS = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters="#"))


@given(path=ASCII_TAILS, query=ASCII_TAILS)
def test_path_and_query_are_never_touched(path: str, query: str) -> None:
    """Whatever printable ASCII a signer put into path and query, it is sent."""
    url = f"https://host.example/{path}?{query}"

    assert url == check_url(url)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://host/p", Origin("http", "host", 80)),
        ("https://host/p?q", Origin("https", "host", 443)),
        ("https://host:8443", Origin("https", "host", 8443)),
        ("http://user:pass@host:81/", Origin("http", "host", 81)),
        ("http://[2001:DB8::1]:81/", Origin("http", "2001:db8::1", 81)),
    ],
)
def test_origin(url: str, expected: Origin) -> None:
    """Scheme, host and port, and nothing else of the URL."""
    assert expected == origin_of(url)


@pytest.mark.parametrize(
    "other",
    [
        pytest.param("https://host.example:443/", id="the default port"),
        pytest.param("https://host.example:/", id="an empty port"),
        pytest.param("https://host.example:0443/", id="the default port with a zero"),
        pytest.param("https://HOST.Example/", id="another case"),
        pytest.param("HTTPS://host.example/", id="the scheme in another case"),
        pytest.param("https://host.example./", id="a trailing dot"),
        pytest.param("https://host.example.:443/", id="a trailing dot and a port"),
        pytest.param("https://u:p@host.example/other?q", id="another user, path and query"),
        pytest.param("https://host。example/", id="another kind of dot"),
        pytest.param("https://ｈost.example/", id="a full-width letter"),
    ],
)
def test_same_origin(other: str) -> None:
    """Ways to write one origin are one origin."""
    assert origin_of("https://host.example/p") == origin_of(check_url(other))


@pytest.mark.parametrize(
    "other",
    [
        pytest.param("http://host.example/", id="another scheme"),
        pytest.param("http://host.example:443/", id="another scheme at the same port"),
        pytest.param("https://host.example:444/", id="another port"),
        pytest.param("https://www.host.example/", id="a host below"),
        pytest.param("https://example/", id="a host above"),
        pytest.param("https://host.example.evil.example/", id="a host that begins the same"),
        pytest.param("https://evilhost.example/", id="a host that ends the same"),
        pytest.param("https://host.example@evil.example/", id="the host as a user"),
        pytest.param("https://evil.example/https://host.example/", id="the host in a path"),
        pytest.param("https://hοst.example/", id="a letter that looks the same"),
    ],
)
def test_other_origin(other: str) -> None:
    """What differs in scheme, host or port is someone else."""
    assert origin_of("https://host.example/p") != origin_of(check_url(other))


#: RFC 3986 section 5.4: the base, and what each reference means there (5.4.1 normal, 5.4.2 abnormal examples).
RFC_BASE = "http://a/b/c/d;p?q"
RFC_EXAMPLES = {
    "g": "http://a/b/c/g",
    "./g": "http://a/b/c/g",
    "g/": "http://a/b/c/g/",
    "/g": "http://a/g",
    "//g": "http://g",
    "?y": "http://a/b/c/d;p?y",
    "g?y": "http://a/b/c/g?y",
    "#s": "http://a/b/c/d;p?q",
    "g#s": "http://a/b/c/g",
    "g?y#s": "http://a/b/c/g?y",
    ";x": "http://a/b/c/;x",
    "g;x": "http://a/b/c/g;x",
    "g;x?y#s": "http://a/b/c/g;x?y",
    "": "http://a/b/c/d;p?q",
    ".": "http://a/b/c/",
    "./": "http://a/b/c/",
    "..": "http://a/b/",
    "../": "http://a/b/",
    "../g": "http://a/b/g",
    "../..": "http://a/",
    "../../": "http://a/",
    "../../g": "http://a/g",
    "../../../g": "http://a/g",
    "../../../../g": "http://a/g",
    "/./g": "http://a/g",
    "/../g": "http://a/g",
    "g.": "http://a/b/c/g.",
    ".g": "http://a/b/c/.g",
    "g..": "http://a/b/c/g..",
    "..g": "http://a/b/c/..g",
    "./../g": "http://a/b/g",
    "./g/.": "http://a/b/c/g/",
    "g/./h": "http://a/b/c/g/h",
    "g/../h": "http://a/b/c/h",
    "g;x=1/./y": "http://a/b/c/g;x=1/y",
    "g;x=1/../y": "http://a/b/c/y",
    "g?y/./x": "http://a/b/c/g?y/./x",
    "g?y/../x": "http://a/b/c/g?y/../x",
    "g#s/../x": "http://a/b/c/g",
}


@pytest.mark.parametrize(("location", "expected"), RFC_EXAMPLES.items())
def test_redirect_by_reference(location: str, expected: str) -> None:
    """A relative target means what RFC 3986 section 5.4 says it does, less its fragment."""
    assert expected == redirect_target(RFC_BASE, location)


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        pytest.param("/a//b", "https://host/a//b", id="an empty segment"),
        pytest.param("a//b", "https://host/dir//a//b", id="an empty segment, and one in the base"),
        pytest.param("//cdn.example/a/../b;?", "https://cdn.example/a/../b;?", id="with a host: byte for byte"),
        pytest.param("/a;?", "https://host/a;?", id="empty parameters and query"),
        pytest.param("?", "https://host/dir//file?", id="an empty query"),
        pytest.param("/%2e%2e/%2F?sig=%2b+", "https://host/%2e%2e/%2F?sig=%2b+", id="escapes"),
        pytest.param("/a?u=https://x.example/../y", "https://host/a?u=https://x.example/../y", id="a URL in a query"),
        pytest.param(" \t/a \t", "https://host/a", id="white space around it"),
        pytest.param("/a b?c d", "https://host/a%20b?c%20d", id="white space in it, as many servers send it"),
        pytest.param("/bücher", "https://host/b%C3%BCcher", id="beyond ASCII"),
        pytest.param("/b\udcfccher", "https://host/b%FCcher", id="bytes that are no UTF-8"),
        pytest.param("/\\evil.example", "https://host/\\evil.example", id="a backslash is no slash"),
    ],
)
def test_redirect_keeps_a_signed_path(location: str, expected: str) -> None:
    """A relative target loses nothing that could be signed."""
    assert expected == redirect_target("https://host/dir//file?old", location)


def test_redirect_from_a_bare_host() -> None:
    """A base without a path has the root as its folder."""
    assert "https://host/x" == redirect_target("https://host?q", "x")


@pytest.mark.parametrize("target", AS_SIGNED.values(), ids=AS_SIGNED)
def test_absolute_redirect_is_kept(target: str) -> None:
    """An absolute target is sent as it came; only user and password are left out."""
    expected = re.sub("//[^/?]*@(?=host)", "//", target)

    assert expected == redirect_target("http://start/p", target)


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        ("https://user:pass@cdn.example/p?q", "https://cdn.example/p?q"),
        ("https://user@cdn.example:444/user@x", "https://cdn.example:444/user@x"),
        ("https://@cdn.example/@", "https://cdn.example/@"),
        ("//user:pass@cdn.example/", "https://cdn.example/"),
        ("https://good.example;@cdn.example/", "https://cdn.example/"),
        ("https://https@https/https@", "https://https/https@"),
    ],
)
def test_redirect_drops_user_and_password(location: str, expected: str) -> None:
    """Who controls a redirect does not choose whom we log in as."""
    assert expected == redirect_target("https://host/p", location)


@pytest.mark.parametrize("base", ["https://host/p", "HTTPS://host/p"])
@pytest.mark.parametrize("location", ["http://host/p", "HTTP://host/p", "http://cdn.example:443/"])
def test_redirect_downgrade(base: str, location: str) -> None:
    """What began with TLS never goes on without."""
    with pytest.raises(ResponseMismatchError, match="from https to http"):
        redirect_target(base, f"{location}?{SECRET}")


@pytest.mark.parametrize("location", ["https://host/p", "http://cdn.example/p"])
def test_redirect_up_or_level(location: str) -> None:
    """Plain http may become https, or stay what it is."""
    assert location == redirect_target("http://host/p", location)


@pytest.mark.parametrize(
    "location",
    [
        pytest.param(f"file:///etc/{SECRET}", id="file"),
        pytest.param(f"file://host/etc/{SECRET}", id="file with a host"),
        pytest.param(f"FILE://host/etc/{SECRET}", id="file in upper case"),
        pytest.param(f"ftp://host/{SECRET}", id="ftp"),
        pytest.param(f"gopher://host:70/{SECRET}", id="gopher"),
        pytest.param(f"data:text/html,{SECRET}", id="data"),
        pytest.param(f"javascript:{SECRET}", id="javascript"),
        pytest.param(f"https:{SECRET}", id="https without slashes"),
        pytest.param(f"https:///{SECRET}", id="https without a host"),
        pytest.param(f"https://host:0/{SECRET}", id="port 0"),
        pytest.param(f"https://good.example\\@evil.example/{SECRET}", id="backslash before the at sign"),
        pytest.param(f"//good.example%00.evil.example/{SECRET}", id="encoded NUL in the host"),
        pytest.param(f"//[::1%25x]/{SECRET}", id="IPv6 zone"),
        pytest.param(f"/a\r\nX-Evil: {SECRET}", id="CR and LF"),
        pytest.param(f"/\t/evil.example/{SECRET}", id="a tab that hides a host"),
        pytest.param(f"\x01//evil.example/{SECRET}", id="a control character that hides a host"),
        pytest.param(f"/a\0{SECRET}", id="NUL"),
        pytest.param(f"/a\ud800{SECRET}", id="half a character"),
    ],
)
def test_refused_redirect(location: str) -> None:
    """Nothing but http and https is followed, and no target that could be read in two ways."""
    with pytest.raises(ResponseMismatchError, match="refused a redirect") as caught:
        redirect_target("https://host/p", location)

    assert not caught.value.retryable
    assert SECRET not in f"{caught.value!r} {caught.value.hint} {caught.value.__cause__!r}"
    assert "the URL" not in str(caught.value)


@given(location=STRANGE_URLS | st.text() | st.from_regex(r"\A[/?#.:;a@\\]{0,12}\Z"), secure=st.booleans())
def test_any_redirect_is_followed_safely_or_refused(location: str, secure: bool) -> None:
    """Whatever a server says, the target is one that may be sent, or the redirect is refused."""
    base = f"http{'s' * secure}://u:p@host.example/dir/file;v?q"
    try:
        target = redirect_target(base, location)
    except ResponseMismatchError:
        return

    assert target == check_url(target)
    assert URL(target, encoded=True).raw_user is None
    assert not secure or target.startswith("https://")


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        pytest.param(None, (), id="none"),
        pytest.param({}, (), id="an empty mapping"),
        pytest.param({"X-A": "1"}, (("X-A", "1"),), id="a mapping"),
        pytest.param([("X-A", "1"), ("X-A", "2")], (("X-A", "1"), ("X-A", "2")), id="pairs, a name twice"),
        pytest.param((pair for pair in [("X-A", "1")]), (("X-A", "1"),), id="an iterator"),
        pytest.param({"X-A": ""}, (("X-A", ""),), id="an empty value"),
        pytest.param({"X-A": "a\tb c"}, (("X-A", "a\tb c"),), id="a tab in a value"),
        pytest.param({"X-A": "café"}, (("X-A", "café"),), id="a value beyond ASCII"),
        pytest.param({"!#$%&'*+-.^_`|~09azAZ": "1"}, (("!#$%&'*+-.^_`|~09azAZ", "1"),), id="all a token may hold"),
        pytest.param({"Authorization": "Bearer x"}, (("Authorization", "Bearer x"),), id="a permission"),
        pytest.param({"If-Match": '"a"'}, (("If-Match", '"a"'),), id="a condition that a range request may have"),
    ],
)
def test_headers(headers: Any, expected: tuple[tuple[str, str], ...]) -> None:
    """Headers become pairs, in order and as they were written."""
    assert expected == check_headers(headers)


@pytest.mark.parametrize(
    "name",
    ["", " ", "X A", "X-A:", "X-A\r\nX-B", "X-A\n", "\0", "(x)", "a,b", "a/b", "a@b", '"x"', "Ⅹ-A", "ſ", "a\x7f"],
)
def test_malformed_header_name(name: str) -> None:
    """A name is a token (RFC 9110 section 5.6.2); what is none is not repeated either."""
    with pytest.raises(OptionsError, match=r"^a header's name is malformed$"):
        check_headers({name: SECRET})


@pytest.mark.parametrize("value", ["\r\nX-Evil: 1", "\n", "\r", "\0", "\x1b[31m", "\x08", "\x7f", "\ud800"], ids=ascii)
def test_malformed_header_value(value: str) -> None:
    """No value ends its line or cannot be sent; the message names the header and keeps the value."""
    with pytest.raises(OptionsError, match="the value of header X-Token") as caught:
        check_headers([("X-Ok", SECRET), ("X-Token", f"{SECRET}{value}")])

    assert SECRET not in f"{caught.value!r} {caught.value.hint}"


@pytest.mark.parametrize("name", sorted(RESERVED_HEADERS))
def test_reserved_header(name: str) -> None:
    """What the engine sets itself is not the caller's, in whatever case it is written."""
    for written in (name, name.title(), name.upper()):
        with pytest.raises(OptionsError, match=f"header {written} is set by the download") as caught:
            check_headers({written: SECRET})

        assert SECRET not in str(caught.value)


def test_headers_that_decide_what_is_asked_are_reserved() -> None:
    """A range, a coding, a condition that ends in 304, a wait for 100, a framing: none is the caller's."""
    expected = {"range", "if-range", "accept-encoding", "if-none-match", "if-modified-since", "expect", "host"}

    assert expected <= RESERVED_HEADERS
    assert {"content-length", "transfer-encoding", "te", "trailer", "connection", "upgrade"} <= RESERVED_HEADERS


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param(7, id="a number"),
        pytest.param(f"X-A: {SECRET}", id="a text"),
        pytest.param([f"X-A: {SECRET}"], id="lines"),
        pytest.param([("X-A", SECRET, "more")], id="three of them"),
        pytest.param([("X-A",)], id="one of them"),
        pytest.param([["X-A", SECRET]], id="a list for a pair"),
        pytest.param({"X-A": 7}, id="a number for a value"),
        pytest.param({"X-A": SECRET.encode()}, id="bytes for a value"),
        pytest.param({7: SECRET}, id="a number for a name"),
        pytest.param({"X-A": None}, id="nothing for a value"),
    ],
)
def test_headers_of_a_wrong_type(headers: Any) -> None:
    """What is neither a mapping nor pairs of text is refused, without being shown."""
    with pytest.raises(OptionsError, match="headers must be") as caught:
        check_headers(headers)

    assert SECRET not in f"{caught.value!r} {caught.value.hint}"


@given(name=st.text(max_size=8), value=st.text(max_size=20))
def test_no_header_makes_two(name: str, value: str) -> None:
    """Whatever passes is one line on the wire."""
    try:
        check_headers([(name, value)])
    except OptionsError:
        return

    line = f"{name}: {value}".encode()
    assert not re.search(rb"[\0\r\n]", line)
    assert name == line.decode().partition(":")[0]


#: What makes a difference in a URL, and much of what does not.
_TEXT = st.text(
    st.sampled_from([*"abZ0.-_~:/?#@[]%&=+\\ \t\"'<>|;,!$()*^`{}", "\u00fc", "\u00df", "\uff48", "\udc80", "\n"])
)


@given(st.sampled_from(["http://", "https://", "HTTPS://", "ftp://", "//", ""]), _TEXT, _TEXT)
@example("https://", "host:0", "/p")
@example("http://", "host", "\\@evil.example/")
@example("http://", "host", "@evil.example/")
@example("https://", "a..b", "/p")
@example("https://", "h" * 64, "/p")
@example("https://", "host:99999", "?q")
def test_plain_ones_are_judged_as_any_other(scheme: str, host: str, rest: str) -> None:
    """A short cut for what looks plain leads to where the long way does, however often it is taken."""
    url = scheme + host + rest

    def judged(judge: Callable[[str], str]) -> str:
        try:
            return judge(url)
        except OptionsError as error:
            return error.message

    expected = judged(urls._checked)
    assert [expected, expected] == [judged(check_url), judged(check_url)]


@given(_TEXT, _TEXT)
def test_origin_is_that_of_what_stands_before_the_path(host: str, rest: str) -> None:
    """A path or a query says nothing of where a URL leads."""
    try:
        before = check_url(f"https://{host}")
        whole = check_url(f"{before}/{rest}")
    except OptionsError:
        return

    split = urlsplit(whole)
    expected = Origin(split.scheme, (split.hostname or "").removesuffix("."), split.port or 443)
    assert expected == origin_of(whole)
    assert origin_of(before) == expected or "/" in host or "?" in host


class TextOfAnotherKind(str):
    """One that shows itself otherwise than it is."""

    __slots__ = ()

    def __str__(self) -> str:
        return "https://other.example/"


def test_what_is_sent_is_plain_text() -> None:
    """Of a string of another kind the characters are sent, as they are."""
    found = check_url(TextOfAnotherKind("https://host.example/p"))

    assert (str, "https://host.example/p") == (type(found), found)
