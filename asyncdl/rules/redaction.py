"""Taking secrets out of text: signed queries, tokens, passwords, and what servers echo of them.

Rule: too much may go, a secret may not stay. Work is linear in the text; every text gives a text.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterable, Iterator
from typing import Final
from urllib.parse import quote, quote_plus, unquote, unquote_plus

#: Stands where something was taken out.
MARK: Final = "…"
#: Shorter values of a query ("host", "s3", "true") are words; taking them out would leave no sentence whole.
_LEAST_SECRET: Final = 6

#: Names of parameters and JSON members that hold secrets: whole names, and parts of names.
_WHOLE_NAMES: Final = "sig|policy|key|pwd|auth|hmac|jwt|hdnts|hdnea|skoid|sktid"
_PARTS_OF_NAMES: Final = (
    "signature|credential|token|secret|passw|authorization|api[-_]?key|access[-_]?key|accessid|key-pair-id|stringtosign"
    "|canonicalrequest|cookie"
)
_SECRET_NAME: Final = rf"(?:{_WHOLE_NAMES}|[\w.-]{{0,60}}?(?:{_PARTS_OF_NAMES})[\w.-]{{0,60}})"
#: Elements in which S3, GCS and OSS repeat the request's signature, its input, or the session token.
_ECHO_ELEMENTS: Final = re.compile(
    r"(?:<|&lt;)((?:SignatureProvided|StringToSign(?:Bytes)?|CanonicalRequest(?:Bytes)?|Token-[0-9]{1,3}|AWSAccessKeyId"
    r"|OSSAccessKeyId|GoogleAccessId|AccessKeyId|SecurityToken|SessionToken|ArgumentValue))(?:\s[^<>]{0,200})?(?:>|&gt;)"
    r".*?(?:(?:<|&lt;)/\1\s{0,9}(?:>|&gt;)|\Z)",
    re.IGNORECASE | re.DOTALL,
)
#: Azure Storage explains a wrong signature with what it signed itself, and with the signature it got.
_AZURE_SIGNATURE: Final = re.compile(
    r"(string[- ]to[- ]sign(?: used was|:)|found in the HTTP request)[^<\"]*", re.IGNORECASE
)
_JSON_MEMBER: Final = re.compile(
    rf"((\\{{0,4}}[\"']){_SECRET_NAME}\2\s{{0,99}}:\s{{0,99}}\[?\s{{0,99}}\2)(?:(?!\2)(?:\\.|.))*+",
    re.IGNORECASE | re.DOTALL,
)
_PAIR: Final = re.compile(
    rf"(?:(?<=%26)|(?<=%3F)|(?<=\\u0026)|(?<![\w.%\\-]))({_SECRET_NAME}(?:=|%3D|&#61;))[^&\s\"'<>]*",
    re.IGNORECASE,
)
#: "token: …", "--password …" and the like in prose; a hyphen may stand before the word, but no letter, so that error
#: codes such as "ExpiredToken: …" keep their sentence.
_PROSE: Final = re.compile(
    r"(?<!\w)((?:--?)?(?:[\w]{1,40}[-_]){0,4}(?:token|secret|passw(?:or)?d|pwd|api[-_]?key|access[-_]?key|subscription-key|art-api)"
    r"(?:\s{0,9}[:=]\s{0,9}|(?<=-password)\s{1,9}|(?<=-token)\s{1,9}))[^\s\"'<>&]+",
    re.IGNORECASE,
)
_HEADER_LINE: Final = re.compile(
    r"\b((?:proxy-)?authorization\s{0,9}[:=]|(?:(?:set-)?cookie|x-api-key|x-(?:amz|goog|oss)-security-token)\s{0,9}:)"
    r"[^\r\n<]*",
    re.IGNORECASE,
)
_SCHEME_AND_TOKEN: Final = re.compile(
    r"\b(bearer|basic|negotiate|sharedkey(?:lite)?)(\s{1,9})[^\s\"'<>]+", re.IGNORECASE
)
# Whatever stands before "://" may be glued to other text, a digit or a terminal's colour code among it.
_URL: Final = re.compile(r"([a-z0-9+.-]{1,20}:(?:\\?/){2})([^\s\"'<>]*)", re.IGNORECASE)
_ENCODED_URL: Final = re.compile(r"(https?%3A%2F%2F(?:(?!%3F)[^\s\"'<>])*+)%3F[^\s\"'<>]*", re.IGNORECASE)
_USERINFO: Final = re.compile(r"[a-z][a-z0-9+.-]*:/{2}([^/?#]*)@", re.IGNORECASE)


def redact_text(text: str, *secrets_from: str) -> str:
    """`text` without what could let its reader use a signed URL or an account.

    Out go: user, password, query and fragment of every URL; the elements in which storage servers repeat signatures and
    tokens; JSON members and `name=value` pairs with a secret's name; Authorization and Cookie lines; Bearer and Basic
    tokens; and, wherever they stand, raw, decoded or escaped, the query values of at least six characters, the user and
    the password of the URLs in `secrets_from`; of what is no URL there, such as a header's value, all its words.
    """
    secrets = {form for url in secrets_from for secret in _secrets(url) for form in _spellings(secret)}
    for secret in sorted(secrets, key=lambda form: (-len(form), form)):
        # Escapes are written in either case, and a server may mix them.
        text = (
            re.sub(re.escape(secret), MARK, text, flags=re.IGNORECASE) if "%" in secret else text.replace(secret, MARK)
        )
    text = _ECHO_ELEMENTS.sub(MARK, text)
    text = _AZURE_SIGNATURE.sub(rf"\1 {MARK}", text)
    text = _JSON_MEMBER.sub(rf"\1{MARK}", text)
    text = _HEADER_LINE.sub(rf"\1 {MARK}", text)
    text = _SCHEME_AND_TOKEN.sub(rf"\1\2{MARK}", text)
    text = _URL.sub(_shorten_url, text)
    text = _ENCODED_URL.sub(rf"\1%3F{MARK}", text)
    text = _PAIR.sub(rf"\1{MARK}", text)
    return _PROSE.sub(rf"\1{MARK}", text)


def _shorten_url(match: re.Match[str]) -> str:
    start, rest = match.groups()
    public, *query = re.split(r"[?#]|%3F", rest, maxsplit=1)
    authority = re.split(r"[/\\]", public, maxsplit=1)[0]
    path = public[len(authority) :]
    return f"{start}{authority.rpartition('@')[2]}{path}" + (f"?{MARK}" if query else "")


def _secrets(url: str) -> Iterator[str]:
    """Yield the parts of a URL that nobody else should see; of anything else, all of it."""
    if "://" not in url:
        yield url
        yield from url.split()
        return
    if userinfo := _USERINFO.match(url):
        yield from userinfo[1].split(":", 1)
    for pair in re.split(r"[?&#]", url)[1:]:
        name, equals, value = pair.partition("=")
        yield value if equals else name
        if "credential" in name.lower():
            # X-Amz-Credential is ACCESS-KEY/date/region/service; error messages name the key alone.
            yield unquote(value).partition("/")[0]


def _spellings(secret: str) -> set[str]:
    """Return the ways a server may write `secret`: as sent, decoded, encoded again, escaped for XML or JSON."""
    decoded = {secret, unquote(secret), unquote_plus(secret), unquote(unquote(secret))}
    encoded = {
        encode(form, safe=safe, errors="replace")
        for encode in (quote, quote_plus)
        for form in decoded
        for safe in ("", "/", "/=+:;,")
    }
    plain = decoded | encoded
    return {form for form in (*plain, *_escaped(plain)) if len(form) >= _LEAST_SECRET}


def _escaped(forms: Iterable[str]) -> Iterator[str]:
    for form in forms:
        partly = html.escape(form, quote=False)
        full = html.escape(form)
        yield from (
            partly,
            full,
            full.replace("&#x27;", "&#39;"),
            full.replace("&#x27;", "&apos;"),
            partly.replace('"', "&quot;"),
        )
        for ascii_only in (True, False):
            in_json = json.dumps(form, ensure_ascii=ascii_only)[1:-1]
            yield from (in_json, in_json.replace("/", "\\/"), in_json.replace("&", "\\u0026"))
