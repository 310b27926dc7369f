"""No secret survives redaction, and harmless words do."""

from __future__ import annotations

import html
import json
import re
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable
from itertools import cycle
from time import process_time
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from asyncdl.rules.redaction import redact_text

S3 = "https://b.s3.example/key.bin?X-Amz-Credential=AKIDEXAMPLE%2F20251120%2Fs3&X-Amz-Signature=5f3c9a71d2e8&x=short"

SECRETS = st.text(st.characters(codec="utf-8", exclude_characters="…"), min_size=6, max_size=60)
TEXTS = st.text(st.characters(codec="utf-8"), max_size=60)
SPELLINGS: dict[str, Callable[[str], str]] = {
    "raw": lambda secret: secret,
    "percent-encoded": lambda secret: quote(secret, safe=""),
    "percent-encoded in lower case": lambda secret: re.sub(
        "%..", lambda escape: escape[0].lower(), quote(secret, safe="")
    ),
    "percent-encoded in either case": lambda secret: quote(secret, safe="").replace("%2F", "%2f"),
    "form-encoded": quote_plus,
    "XML": lambda secret: html.escape(secret, quote=False),
    "XML attribute": html.escape,
    "XML of the encoded": lambda secret: html.escape(quote(secret, safe="/")),
    "JSON": lambda secret: json.dumps(secret)[1:-1],
    "JSON, not ASCII": lambda secret: json.dumps(secret, ensure_ascii=False)[1:-1],
    "percent-encoded to the last letter": lambda secret: "".join(f"%{byte:02x}" for byte in secret.encode()),
    "decimal entities": lambda secret: "".join(f"&#{ord(letter)};" for letter in secret),
    "hexadecimal entities": lambda secret: "".join(f"&#x{ord(letter):X};" for letter in secret),
    "XML of the JSON of the encoded": lambda secret: html.escape(
        json.dumps(quote(secret, safe="")).replace("%", "\\u0025")
    ),
    "base64": lambda secret: b64encode(secret.encode()).decode(),
    "base64, one byte late": lambda secret: b64encode(b"?" + secret.encode() + b"?").decode(),
    "base64, two bytes late": lambda secret: urlsafe_b64encode(b"&?" + secret.encode()).decode(),
    "base64 in a URL": lambda secret: quote(b64encode(secret.encode()), safe=""),
    "hexadecimal": lambda secret: secret.encode().hex(),
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("GET https://h.example/a/b?sig=abc&x=1 failed", "GET https://h.example/a/b?… failed"),
        ("https://user:pass@h.example:8443/a#frag", "https://h.example:8443/a?…"),
        ("https://user:p@ss@h.example", "https://h.example"),
        ('<a href="https://h.example/p?t=1&amp;u=2">', '<a href="https://h.example/p?…">'),
        ('{"url":"https:\\/\\/h.example\\/p?t=1"}', '{"url":"https:\\/\\/h.example\\/p?…"}'),
        ("to=https%3A%2F%2Fh.example%2Fp%3Ft%3D1%26u%3D2", "to=https%3A%2F%2Fh.example%2Fp%3F…"),
        ("https://registry.example/@scope/pkg", "https://registry.example/@scope/pkg"),
        ("a<StringToSign>AWS4\nx</StringToSign>b", "a…b"),
        ("a<Token-0>abc</Token-0>b<SignatureProvided>abc", "a…b…"),
        ("&lt;CanonicalRequest&gt;GET&lt;/CanonicalRequest&gt;.", "…."),
        ("<AWSAccessKeyId>AKID</AWSAccessKeyId><HostId>kept</HostId>", "…<HostId>kept</HostId>"),
        ("did not match. String to sign used was r\n\n/blob/a</D>", "did not match. String to sign used was …</D>"),
        ("The signature found in the HTTP request 'abc=' is not", "The signature found in the HTTP request …"),
        ('{"token": "a\\"b", "n": 1}', '{"token": "…", "n": 1}'),
        ('{"access_token":["abc"]}', '{"access_token":["…"]}'),
        ('{"outer": "{\\"token\\":\\"abc\\"}"}', '{"outer": "{\\"token\\":\\"…\\"}"}'),
        ("{'X-Amz-Signature': 'abc'}", "{'X-Amz-Signature': '…'}"),
        ('{"Authorization":"Basic abc","message":"kept"}', '{"Authorization":"…","message":"kept"}'),
        ("Authorization: AWS AKID:abc=\nkept", "Authorization: …\nkept"),
        ("Set-Cookie: a=b; c=d", "Set-Cookie: …"),
        ("Bearer abc.def kept", "Bearer … kept"),
        ("basic dXNlcjpwYXNz", "basic …"),
        ("X-Amz-Signature=abc&X-Amz-Security-Token=d/e+f%3D&n=60", "X-Amz-Signature=…&X-Amz-Security-Token=…&n=60"),
        ("sig=abc Signature=a Policy=b Key-Pair-Id=c", "sig=… Signature=… Policy=… Key-Pair-Id=…"),
        ("?a=1\\u0026sig=abc", "?a=1\\u0026sig=…"),
        ("a%3D1%26sig%3Dabc", "a%3D1%26sig%3D…"),
        ("x=sig=abc", "x=sig=…"),
        ("X-Goog-Signature=abc&amp;y=1", "X-Goog-Signature=…&amp;y=1"),
        ("design=new&signal=5", "design=new&signal=5"),
        ("x=1https://u:pw@h.example/a?foo=secret", "x=1https://h.example/a?…"),
        ("X-Auth-Token: abc\nPRIVATE-TOKEN: abc", "X-Auth-Token: …\nPRIVATE-TOKEN: …"),
        ("Ocp-Apim-Subscription-Key: abc X-Vault-Token: abc", "Ocp-Apim-Subscription-Key: … X-Vault-Token: …"),
        ("password: abc, secret = abc --password abc --token abc", "password: … secret = … --password … --token …"),
        ("ExpiredToken: The provided token has expired", "ExpiredToken: The provided token has expired"),
        ("InvalidAccessKeyId: The key you gave", "InvalidAccessKeyId: The key you gave"),
    ],
)  # fmt: skip
def test_redact_text(text: str, expected: str) -> None:
    """Each shape a secret comes in loses the secret, and the words around it stay."""
    assert expected == redact_text(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Request has expired",
        "The provided token has expired.",
        "Make sure the value of Authorization header is formed correctly including the signature.",
        "<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>",
        "Start [Fri, 20 Nov 2026 09:00:00 GMT] - Expiry [Fri, 20 Nov 2026 09:30:00 GMT]",
        '{"message": "slow down", "status": 503}',
        "https://h.example/path/file.bin",
    ],
)
def test_harmless_words_stay(text: str) -> None:
    """What errors say in words is not touched, even with the URL at hand."""
    assert text == redact_text(text, S3)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("no 5f3c9a71d2e8.", "no …."),
        ("AKIDEXAMPLE/20251120/s3 and AKIDEXAMPLE%2F20251120%2Fs3", "… and …"),
        ("key AKIDEXAMPLE unknown", "key … unknown"),
        ("a short word", "a short word"),
    ],
)
def test_values_of_the_given_url_go(text: str, expected: str) -> None:
    """The query values of a URL at hand go wherever they stand; words of less than six letters stay."""
    assert expected == redact_text(text, S3)


def test_userinfo_fragment_and_bare_query_of_the_given_url_go() -> None:
    """User, password, fragment and a query that is one token are secrets of a URL as well."""
    url = "https://username:password@h.example/p?bare-token#fragment=inside"
    assert "… … … …" == redact_text("username password bare-token inside", url)


def test_several_urls() -> None:
    """The values of every URL given go, of a shorter one inside a longer one as well."""
    assert "… …" == redact_text("abcdefgh abcdef", "https://h/?a=abcdef", "https://h/?a=abcdefgh")


@given(secret=SECRETS, before=TEXTS, after=TEXTS, spelling=st.sampled_from(sorted(SPELLINGS)))
def test_no_value_leaks(secret: str, before: str, after: str, spelling: str) -> None:
    """Whatever a query value is, and however a server spells it in whatever text, it is gone."""
    url = f"https://h.example/p?a=1&value={quote(secret, safe='')}&b=2"
    written = SPELLINGS[spelling](secret)
    redacted = redact_text(f"{before}{written}{after}", url)
    for form in {secret, written, quote(secret, safe="")}:
        assert form not in redacted


@given(
    secret=st.text(st.characters(categories=["Lu", "Ll", "Nd"], codec="ascii"), min_size=12, max_size=40),
    name=st.sampled_from(["X-Amz-Signature", "X-Goog-Signature", "sig", "Policy", "token", "anything"]),
    before=TEXTS,
    escaped=st.booleans(),
)  # fmt: skip
def test_no_unknown_url_leaks(*, secret: str, name: str, before: str, escaped: bool) -> None:
    """A URL that nobody announced loses its query wherever it stands, also inside XML."""
    assume(secret not in before)
    url = f"https://h.example/p?a=1&{name}={secret}&b=2"
    assert secret not in redact_text(f"{before} {html.escape(url) if escaped else url} after")


@given(text=st.text(), url=st.text())
def test_any_text_gives_text(text: str, url: str) -> None:
    """Nothing raises, lone surrogates included."""
    assert isinstance(redact_text(text + "\ud800", url + "\udfff", f"https://h/?{url}\ud800"), str)


@pytest.mark.parametrize(
    "piece",
    [
        '"',
        "\\",
        "a=",
        "sig=",
        "https://",
        "<StringToSign>",
        "token",
        '"token":"',
        "a.",
        "%26",
        "Bearer ",
        "&#",
        "&amp;",
        "\\u00",
        "A",
        "5f3c9a71d2e",
    ],
)
def test_long_texts_take_no_time(piece: str) -> None:
    """Texts made to drive the patterns mad are done at once."""
    start = process_time()
    redact_text(piece * (64 * 1024 // len(piece)), S3)
    assert process_time() - start < 2.0


def test_words_of_what_is_no_url_go() -> None:
    """A header's value given as a secret goes as a whole and word by word."""
    assert "… and …, of …" == redact_text("Bearer abcdef and abcdef, of xyzzy-1", "Bearer abcdef", "xyzzy-1")


@pytest.mark.parametrize(
    ("field", "text", "expected"),
    [
        ("session=hq5b77x; theme=dark", "no session hq5b77x", "no session …"),
        ('session="hq5b77x"', "no session hq5b77x", "no session …"),
        ("Basic bWVpbm5hbWU6a2Vubndv", "meinname may not, kennwo is wrong", "… may not, … is wrong"),
        ("basic no-base64!", "no user", "no user"),
        ("AWS4-HMAC-SHA256 Credential=AKIDXX/s3, Signature=deadbeef", "deadbeef? AKIDXX/s3!", "…? …!"),
        ("AWS4-HMAC-SHA256 Signature=deadbeef", "SignatureDoesNotMatch", "SignatureDoesNotMatch"),
        ("padded==", "padded== is padded.", "… is padded."),
    ],
)  # fmt: skip
def test_parts_of_a_header_go(field: str, text: str, expected: str) -> None:
    """A cookie's value, a signature and both halves of Basic credentials are secrets by themselves; names are not."""
    assert expected == redact_text(text, field)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("GOT 5F3C9A71D2E8AA17B0", "GOT …"),
        ("5f3c9a71d2e8aa17b.", "5f3c9a71d2e8aa17b."),
        ("a&amp;lt;b %2541 \\u0041 &bogus; &#1114112; %ff", "a&amp;lt;b %2541 \\u0041 &bogus; &#1114112; %ff"),
        ("x&#53;f3c9a71d2e8aa17b&#x30;y", "x…y"),
        ("R0VUIDVmM2M5YTcxZDJlOGFhMTdiMCBIVFRQ and", "… and"),
        ("torn 5f3c9a71d2", "torn …"),
        ("torn %35f3c9a", "torn …"),
        ("torn 5f3c9a%37%3", "torn …"),
        ("torn 5f3c9a&#5", "torn …"),
        ("torn 5f3c9a\\u00", "torn …"),
        # A percent sign in HTML in JSON: three layers are undone, one after the other.
        ("<5\\u0026#37;663c9a71d2e8aa17b0>", "<…>"),
        ("too short to tell 5f3c9", "too short to tell 5f3c9"),
    ],
)
def test_disguised(text: str, expected: str) -> None:
    """A long value goes in either case and under any mixture of escapes; other escapes stay as they were."""
    assert expected == redact_text(text, "https://h.example/p?sig=5f3c9a71d2e8aa17b0")


@given(
    secret=st.text(
        st.characters(max_codepoint=0xFFFF, categories=["L", "N", "P", "S"], exclude_characters="…%&\\"), min_size=8
    ),
    escapes=st.lists(st.sampled_from(["{0}", "%", "&#{1};", "&#x{1:x};", "\\u{1:04x}"]), min_size=1, max_size=40),
)
def test_every_letter_in_another_way(secret: str, escapes: list[str]) -> None:
    """A server that escapes each letter as it likes gives away as little."""
    written = "".join(
        "".join(f"%{byte:02X}" for byte in letter.encode()) if escape == "%" else escape.format(letter, ord(letter))
        for letter, escape in zip(secret, cycle(escapes), strict=False)
    )
    assert "<…>" == redact_text(f"<{written}>", f"https://h.example/p?sig={quote(secret, safe='')}")
