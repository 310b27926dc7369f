"""Refusals that repeat what was sent: little of them is read, less is shown, and none of the secrets."""

from __future__ import annotations

import html
import json
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote, unquote

import pytest

import asyncdl
from asyncdl.fetcher import ERROR_BODY_LIMIT
from asyncdl.testing import Fault, Origin
from tests.support.flow import fetch, small
from tests.support.secrets import CALLERS, HEADERS, OF_THE_URL, PASSWORD, RETRY, SIGNED, TOKEN, USER, Scene

#: As long as a real signature, and nothing that looks like one to a pattern.
SIGNATURE = "qX7%2FbT9%2BkL3mN8pR5vW2yZ6cF1hJ4dG0sA%3D"
MOST_SHOWN = 300
PATIENT = asyncdl.Timeouts(connect=60, response=60, stall=60, low_speed=None)

DISGUISES: dict[str, Callable[[str], str]] = {
    "as sent": str,
    "decoded": unquote,
    "encoded again": lambda text: quote(text, safe=""),
    "every byte encoded": lambda text: "".join(f"%{byte:02X}" for byte in text.encode()),
    "HTML": html.escape,
    "HTML numbers": lambda text: "".join(f"&#{ord(letter)};" for letter in unquote(text)),
    "HTML of JSON": lambda text: html.escape(json.dumps(unquote(text))),
    "JSON": lambda text: json.dumps(unquote(text)).replace("/", "\\/"),
    "JSON numbers": lambda text: "".join(f"\\u{ord(letter):04x}" for letter in unquote(text)),
    "base64": lambda text: b64encode(text.encode()).decode(),
    "base64 of the decoded, in other text": lambda text: urlsafe_b64encode(f"<{unquote(text)}>".encode()).decode(),
    "hexadecimal": lambda text: text.encode().hex(),
    "upper case": lambda text: unquote(text).upper(),
    "lower case": lambda text: unquote(text).lower(),
}
FORMS: dict[str, Callable[[str], bytes]] = {
    "XML": lambda text: f"<Error><Code>Odd</Code><Message>no {text} here</Message></Error>".encode(),
    "JSON": lambda text: b'{"error": {"code": "Odd", "message": "no %s here"}}' % text.replace('"', "'").encode(),
    "HTML": lambda text: f"<html><title>Odd</title><body>no <b>{text}</b> here".encode(),
    "text": lambda text: f"Odd: no {text} here".encode(),
    "torn": lambda text: f"<Message>https://h/?{'a' * (1960 - len(text) // 2)} {text}".encode(),
}


@pytest.fixture
def scene(origin: Origin, tmp_path: Path) -> Scene:
    """An origin with one object, and where it is to go."""
    origin.add("/object", 1000)
    return Scene(origin, tmp_path / "file")


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 503])
@pytest.mark.parametrize("form", ["xml", "json", "html", "text"])
async def test_server_that_repeats_the_request(scene: Scene, status: int, form: str) -> None:
    """Error bodies quote the URL, its signature, the headers: what is shown of them is without."""
    target, decoded = scene.plain, "tq7+f3/9e"
    bodies = {
        "xml": f"<Error><Code>Odd</Code><Message>no {target} for {decoded}</Message><StringToSign>GET\n{decoded}\n"
        f"</StringToSign><SignatureProvided>{TOKEN}</SignatureProvided></Error>",
        "json": f'{{"error": {{"message": "cannot read {target}", "token": "{decoded}"}}}}',
        "html": f"<html><title>refused</title><p>The URL {target.replace('&', '&amp;')} was refused ({decoded})</p>",
        "text": f"cannot serve {target} with token={decoded}\nAuthorization: Bearer {CALLERS}",
    }
    scene.origin.script(Fault(status=status, body=bodies[form].encode()))

    assert isinstance(await scene.run(timeouts=PATIENT), asyncdl.AsyncdlError)
    scene.check()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("disguise", DISGUISES)
async def test_disguise(scene: Scene, disguise: str, form: str) -> None:
    """However a server writes the signature it got, and wherever its words are cut, it is not repeated."""
    written = DISGUISES[disguise](SIGNATURE)
    scene.origin.script(Fault(status=403, body=FORMS[form](written)))
    scene.secrets |= {SIGNATURE, unquote(SIGNATURE), written, written[: len(written) // 3]}
    error = await scene.run(source=f"{scene.origin.url('/object')}?value={SIGNATURE}", timeouts=PATIENT)

    assert isinstance(error, asyncdl.ForbiddenError)
    assert "…" in error.body_excerpt
    assert form == "torn" or error.body_excerpt.endswith(" here")
    scene.check()


@pytest.mark.parametrize("secret", [TOKEN, USER, PASSWORD, CALLERS, SIGNED])
@pytest.mark.parametrize("disguise", [name for name in DISGUISES if "case" not in name])
async def test_parts_of_headers(scene: Scene, disguise: str, secret: str) -> None:
    """Nor a cookie's value, a user, a password, or half of a header: each of them by itself."""
    scene.origin.script(Fault(status=403, body=f"no {DISGUISES[disguise](secret)} here".encode()))
    error = await scene.run(
        source=asyncdl.SignedUrl(scene.plain, headers=OF_THE_URL), headers=HEADERS, timeouts=PATIENT
    )

    assert isinstance(error, asyncdl.ForbiddenError)
    scene.check()


@pytest.mark.parametrize("status", [403, 404, 503])
@pytest.mark.parametrize(
    "piece", [b"x" * 1000, b"<Message>" + b"y" * 990, b"word " * 200, b"\0\xff" * 500, b"{" * 1000]
)
async def test_endless_words(origin: Origin, tmp_path: Path, status: int, piece: bytes) -> None:
    """Of a body without end 64 KiB are read at most, and one line of 300 characters is shown."""
    origin.add("/f", 1000)
    length = 64 << 20
    origin.script(Fault(status=status, body=piece * (length // len(piece))))
    with pytest.raises(asyncdl.TransferError) as caught:
        await fetch(origin.url("/f"), tmp_path / "f", options=small(1), retry=RETRY)
    error = caught.value

    assert isinstance(error, asyncdl.ForbiddenError | asyncdl.HttpStatusError)
    assert len(error.body_excerpt) <= MOST_SHOWN
    assert len(error.message) <= MOST_SHOWN + 100
    assert "\n" not in error.message
    # What both sockets buffer, and what aiohttp reads ahead, comes on top of the 64 KiB that were asked for.
    assert all(record.sent < length // 4 for record in origin.ledger.requests)


async def test_no_more_is_asked_for(scene: Scene) -> None:
    """What follows the first 64 KiB is not looked at: words that stand there are not shown."""
    body = b" " * (ERROR_BODY_LIMIT - 10) + b"0123456789cut-here"
    scene.origin.script(Fault(status=403, body=body))
    error = await scene.run(source=scene.origin.url("/object"), headers={}, timeouts=PATIENT)

    assert isinstance(error, asyncdl.ForbiddenError)
    assert "cut-here" not in error.body_excerpt


async def test_slow_words(scene: Scene) -> None:
    """A server that takes its time to explain is not listened to for longer than to its headers."""
    scene.origin.script(Fault(status=403, body=b"because" * 100, drip=(7, 0.05)))
    error = await scene.run(timeouts=asyncdl.Timeouts(response=2))

    assert isinstance(error, asyncdl.ForbiddenError)
    assert error.body_excerpt.startswith("because")
    assert 700 > scene.origin.ledger.requests[-1].sent
    scene.check()
