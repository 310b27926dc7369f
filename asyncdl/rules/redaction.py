"""Taking secrets out of text: signed queries, tokens, passwords, and what servers echo of them.

Rule: too much may go, a secret may not stay. Work is linear in the text; every text gives a text.
"""

from __future__ import annotations

import json
import re
from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Final
from urllib.parse import quote, quote_plus, unquote, unquote_plus

from asyncdl.patterns import Pattern

#: Stands where something was taken out.
MARK: Final = "…"
#: Shorter values of a query ("host", "s3", "true") are words; taking them out would leave no sentence whole.
_LEAST_SECRET: Final = 6
#: From this length on a value is no word, and is found in either case too: hexadecimal signatures are written in both.
_LEAST_CASELESS: Final = 16
#: Escapes within escapes that are undone: a URL in JSON in HTML has three.
_MOST_LAYERS: Final = 3
#: What one character is escaped as: in a URL (UTF-8), in XML and HTML, in JSON and JavaScript.
_ESCAPE: Final = Pattern(
    r"%[0-7][0-9a-f]|%[c-f][0-9a-f](?:%[89ab][0-9a-f]){1,3}|&#[0-9]{1,7};?|&#x[0-9a-f]{1,6};?|&[a-z]{2,8};|\\u[0-9a-f]{4}"
    r"|\\x[0-9a-f]{2}|\\[^a-z0-9]",
    re.IGNORECASE,
)
#: What may be left of the last escape where a text was cut; looked for in that many characters.
_TORN_ESCAPE: Final = Pattern(r"(?:%[0-9a-f]?|&#?[a-z0-9]{0,7}|\\(?:[ux][0-9a-f]{0,3})?)\Z", re.IGNORECASE)
_LONGEST_TORN: Final = 9
_CODE_POINTS: Final = 0x110000
_BASE64_RUN: Final = Pattern(r"[A-Za-z0-9+/_-]{6,}={0,2}")

#: Names of parameters and JSON members that hold secrets: whole names, and parts of names.
_WHOLE_NAMES: Final = "sig|policy|key|pwd|auth|hmac|jwt|hdnts|hdnea|skoid|sktid"
_PARTS_OF_NAMES: Final = (
    "signature|credential|token|secret|passw|authorization|api[-_]?key|access[-_]?key|accessid|key-pair-id|stringtosign"
    "|canonicalrequest|cookie"
)
_SECRET_NAME: Final = rf"(?:{_WHOLE_NAMES}|[\w.-]{{0,60}}?(?:{_PARTS_OF_NAMES})[\w.-]{{0,60}})"
#: Elements in which S3, GCS and OSS repeat the request's signature, its input, or the session token.
_ECHO_ELEMENTS: Final = Pattern(
    r"(?:<|&lt;)((?:SignatureProvided|StringToSign(?:Bytes)?|CanonicalRequest(?:Bytes)?|Token-[0-9]{1,3}|AWSAccessKeyId"
    r"|OSSAccessKeyId|GoogleAccessId|AccessKeyId|SecurityToken|SessionToken|ArgumentValue))(?:\s[^<>]{0,200})?(?:>|&gt;)"
    r".*?(?:(?:<|&lt;)/\1\s{0,9}(?:>|&gt;)|\Z)",
    re.IGNORECASE | re.DOTALL,
)
#: Azure Storage explains a wrong signature with what it signed itself, and with the signature it got.
_AZURE_SIGNATURE: Final = Pattern(
    r"(string[- ]to[- ]sign(?: used was|:)|found in the HTTP request)[^<\"]*", re.IGNORECASE
)
_JSON_MEMBER: Final = Pattern(
    rf"((\\{{0,4}}[\"']){_SECRET_NAME}\2\s{{0,99}}:\s{{0,99}}\[?\s{{0,99}}\2)(?:(?!\2)(?:\\.|.))*+",
    re.IGNORECASE | re.DOTALL,
)
_PAIR: Final = Pattern(
    rf"(?:(?<=%26)|(?<=%3F)|(?<=\\u0026)|(?<![\w.%\\-]))({_SECRET_NAME}(?:=|%3D|&#61;))[^&\s\"'<>]*",
    re.IGNORECASE,
)
#: "token: …", "--password …" and the like in prose; a hyphen may stand before the word, but no letter, so that error
#: codes such as "ExpiredToken: …" keep their sentence.
_PROSE: Final = Pattern(
    r"(?<!\w)((?:--?)?(?:[\w]{1,40}[-_]){0,4}(?:token|secret|passw(?:or)?d|pwd|api[-_]?key|access[-_]?key|subscription-key|art-api)"
    r"(?:\s{0,9}[:=]\s{0,9}|(?<=-password)\s{1,9}|(?<=-token)\s{1,9}))[^\s\"'<>&]+",
    re.IGNORECASE,
)
_HEADER_LINE: Final = Pattern(
    r"\b((?:proxy-)?authorization\s{0,9}[:=]|(?:(?:set-)?cookie|x-api-key|x-(?:amz|goog|oss)-security-token)\s{0,9}:)"
    r"[^\r\n<]*",
    re.IGNORECASE,
)
_SCHEME_AND_TOKEN: Final = Pattern(r"\b(bearer|basic|negotiate|sharedkey(?:lite)?)(\s{1,9})[^\s\"'<>]+", re.IGNORECASE)
# Whatever stands before "://" may be glued to other text, a digit or a terminal's colour code among it.
_URL: Final = Pattern(r"([a-z0-9+.-]{1,20}:(?:\\?/){2})([^\s\"'<>]*)", re.IGNORECASE)
# Up to where it ends, query or not: a pattern that looks for the query would start anew at every URL in the run.
_ENCODED_URL: Final = Pattern(r"https?%3A%2F%2F[^\s\"'<>]*", re.IGNORECASE)
_USERINFO: Final = Pattern(r"[a-z][a-z0-9+.-]*:/{2}([^/?#]*)@", re.IGNORECASE)


def redact_text(text: str, *secrets_from: str) -> str:
    """`text` without what could let its reader use a signed URL or an account.

    Out go: user, password, query and fragment of every URL; the elements in which storage servers repeat signatures and
    tokens; JSON members and `name=value` pairs with a secret's name; Authorization and Cookie lines; Bearer and Basic
    tokens; and, wherever they stand, the query values of at least six characters, the user and the password of the
    URLs in `secrets_from`; of what is no URL there, such as a header's value, all its words, cookies' values, and the
    user and password of Basic credentials. They go raw, decoded, escaped, in base64 (RFC 4648 sections 4 and 5), in
    hexadecimal, and torn where the text ends.
    """
    parts = {secret for url in secrets_from for secret in _secrets(url)}
    secrets = {form for secret in parts for form in _spellings(secret)}
    for secret in sorted(secrets, key=lambda form: (-len(form), form)):
        # Escapes are written in either case, and a server may mix them.
        text = (
            re.sub(re.escape(secret), MARK, text, flags=re.IGNORECASE) if "%" in secret else text.replace(secret, MARK)
        )
    text = _without_disguised(text, parts)
    text = _ECHO_ELEMENTS.sub(MARK, text)
    text = _AZURE_SIGNATURE.sub(rf"\1 {MARK}", text)
    text = _JSON_MEMBER.sub(rf"\1{MARK}", text)
    text = _HEADER_LINE.sub(rf"\1 {MARK}", text)
    text = _SCHEME_AND_TOKEN.sub(rf"\1\2{MARK}", text)
    text = _URL.sub(_shorten_url, text)
    text = _ENCODED_URL.sub(_shorten_encoded_url, text)
    text = _PAIR.sub(rf"\1{MARK}", text)
    return _PROSE.sub(rf"\1{MARK}", text)


def _shorten_url(match: re.Match[str]) -> str:
    start, rest = match.groups()
    public, *query = re.split(r"[?#]|%3F", rest, maxsplit=1)
    authority = re.split(r"[/\\]", public, maxsplit=1)[0]
    path = public[len(authority) :]
    return f"{start}{authority.rpartition('@')[2]}{path}" + (f"?{MARK}" if query else "")


def _shorten_encoded_url(match: re.Match[str]) -> str:
    public, *query = re.split("%3F", match[0], maxsplit=1, flags=re.IGNORECASE)
    return f"{public}%3F{MARK}" if query else public


def _secrets(url: str) -> Iterator[str]:
    """Yield the parts of a URL that nobody else should see; of anything else, all of it."""
    if "://" not in url:
        yield url
        yield from url.split()
        yield from _values(url)
        return
    if userinfo := _USERINFO.match(url):
        yield from userinfo[1].split(":", 1)
    for pair in re.split(r"[?&#]", url)[1:]:
        name, equals, value = pair.partition("=")
        yield value if equals else name
        if "credential" in name.lower():
            # X-Amz-Credential is ACCESS-KEY/date/region/service; error messages name the key alone.
            yield unquote(value).partition("/")[0]


def _values(field: str) -> Iterator[str]:
    """Yield what stands behind the names in a header's value (Cookie, AWS4-HMAC-SHA256), and what Basic stands for."""
    for word in re.split(r"[\s;,&]+", field):
        value = word.partition("=")[2]
        if value.strip("="):
            yield value.strip('"')
    scheme, _, credentials = field.partition(" ")
    if scheme.lower() == "basic":
        with suppress(ValueError):  # what is no base64 goes as it stands
            yield from b64decode(credentials.strip()).decode("utf-8", "replace").split(":", 1)


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
    import html  # noqa: PLC0415  # it has the names of 2,000 characters, and only texts of errors need them

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


def _without_disguised(text: str, secrets: Iterable[str]) -> str:
    """Take out what becomes a secret when escapes are undone, layer by layer, or base64 or hexadecimal is decoded."""
    plain = {form for secret in secrets for form in (secret, unquote(secret)) if len(form) >= _LEAST_SECRET}
    if not plain:
        return text
    needles = plain | {form.encode("utf-8", "surrogatepass").hex() for form in plain}
    pattern = re.compile(
        "|".join(
            f"(?i:{re.escape(needle)})" if len(needle) >= _LEAST_CASELESS else re.escape(needle)
            for needle in sorted(needles, key=lambda needle: (-len(needle), needle))
        )
    )
    cores = {core for form in plain for core in _base64_cores(form)}
    spans: list[tuple[int, int]] = []
    layer = text
    places: Sequence[int] = range(len(text) + 1)
    for _ in range(_MOST_LAYERS + 1):
        found = [match.span() for match in pattern.finditer(layer)]
        if any(core in layer for core in cores):
            runs = _BASE64_RUN.finditer(layer)
            found += [run.span() for run in runs if any(core in run[0] for core in cores)]
        found += [(start, len(layer)) for needle in needles | cores if (start := _torn(layer, needle)) is not None]
        spans += [(places[start], places[stop]) for start, stop in found]
        below, places = _unescaped(layer, places)
        if below == layer:
            break
        layer = below
    return _cut(text, spans)


def _torn(text: str, secret: str) -> int | None:
    """Where the beginning of a secret stands at the very end of a text: whoever cut the text off may have cut it."""
    torn = _TORN_ESCAPE.search(text, max(0, len(text) - _LONGEST_TORN))
    stop = torn.start() if torn else len(text)
    lengths = range(min(len(secret), stop), _LEAST_SECRET - 1, -1)
    return next((stop - length for length in lengths if text.endswith(secret[:length], 0, stop)), None)


def _base64_cores(secret: str) -> Iterator[str]:
    """Yield what base64 makes of a secret, wherever in a longer text it stands, less what its neighbours have a say in.

    Three bytes become four characters, so there are three such places.
    """
    data = secret.encode("utf-8", "surrogatepass")
    for before in range(3):
        first, last = -(-before * 8 // 6), (before + len(data)) * 8 // 6
        for alphabet in (None, b"-_"):
            yield b64encode(bytes(before) + data, alphabet).decode()[first:last]


def _unescaped(text: str, places: Sequence[int]) -> tuple[str, Sequence[int]]:
    """Undo one layer of escapes; `places` says for each character, and for the end, where in the original it began."""
    pieces: list[str] = []
    kept: list[int] = []
    done = 0
    for escape in _ESCAPE.finditer(text):
        pieces.append(text[done : escape.start()])
        kept += places[done : escape.start()]
        characters = _meaning(escape[0])
        pieces.append(characters)
        kept += [places[escape.start()]] * len(characters)
        done = escape.end()
    return "".join((*pieces, text[done:])), [*kept, *places[done:]]


def _meaning(escape: str) -> str:
    if escape[0] == "%":
        return unquote(escape)
    if escape[0] == "&" and escape[1] != "#":
        import html  # noqa: PLC0415  # see `_escaped`

        return html.unescape(escape)
    # Not by `html`, which has opinions on control characters.
    digits, base = escape[2:].rstrip(";"), 16
    if escape[0] == "&":
        digits, base = (digits[1:], 16) if digits[0] in "xX" else (digits, 10)
    if not digits:
        return escape[1]
    number = int(digits, base)
    return chr(number) if number < _CODE_POINTS else escape


def _cut(text: str, spans: Iterable[tuple[int, int]]) -> str:
    kept: list[str] = []
    done = 0
    for start, stop in sorted(spans):
        if start >= done:
            kept += (text[done:start], MARK)
        done = max(done, stop)
    return "".join((*kept, text[done:]))
