"""The real servers do what other tests rely on; asked with plain HTTP clients, nothing of ours is involved."""

from __future__ import annotations

import http.client
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from asyncdl.model import SignedUrl
from tests.support.nginx import Nginx
from tests.support.process import ServerError, ServerProcess, accepts, unavailable
from tests.support.s3rver import S3, SignatureVersion

pytestmark = pytest.mark.server

SIZE = 300_000
#: Servers count in whole seconds: one that is cut off, and one for the comparison.
EXPIRY_WITHIN = 60.0


@dataclass
class Answer:
    """What came back."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes


def get(url: str, **headers: str) -> Answer:
    """One GET on a connection of its own, with the URL as it is."""
    split = urlsplit(url)
    assert split.hostname is not None
    connection = http.client.HTTPConnection(split.hostname, split.port, timeout=60)
    try:
        connection.request("GET", f"{split.path}?{split.query}", headers=headers)
        response = connection.getresponse()
        return Answer(response.status, response.headers, response.read())
    finally:
        connection.close()


def get_until(url: str, status: int) -> Answer:
    """Asks until the answer has this status: the moment a URL dies is the server's to choose."""
    deadline = time.monotonic() + EXPIRY_WITHIN
    while (answer := get(url)).status != status and time.monotonic() < deadline:
        time.sleep(0.05)
    return answer


def test_nginx_serves_a_signed_url(nginx: Nginx) -> None:
    """A signed URL gives the file, and the log tells of it."""
    content = nginx.add("ein Modell+ä.bin", SIZE)
    answer = get(nginx.sign("ein Modell+ä.bin", 60))
    (access,) = nginx.requests("ein Modell+ä.bin", at_least=1)

    assert 200 == answer.status
    assert content.read(0, SIZE) == answer.body
    assert (200, SIZE, "GET", "") == (access.status, access.sent, access.method, access.range)


def test_nginx_serves_a_range(nginx: Nginx) -> None:
    """A range gives 206 with just those bytes and a strong validator."""
    content = nginx.add("file", SIZE)
    answer = get(nginx.sign("file", 60), Range="bytes=100000-200000")

    assert 206 == answer.status
    assert content.read(100_000, 200_001) == answer.body
    assert f"bytes 100000-200000/{SIZE}" == answer.headers["Content-Range"]
    assert answer.headers["ETag"].startswith('"')
    assert "bytes=100000-200000" == nginx.requests("file", at_least=1)[0].range


def test_nginx_refuses_an_expired_url(nginx: Nginx) -> None:
    """A URL that was good once answers 410 and not a byte of the file."""
    nginx.add("file", SIZE)
    url = nginx.sign("file", 2)
    first, last = get(url), get_until(url, 410)

    assert (200, 410) == (first.status, last.status)
    assert b"410 Gone" in last.body


def test_nginx_refuses_a_wrong_signature(nginx: Nginx) -> None:
    """A URL made for another file answers 403."""
    nginx.add("one", SIZE)
    nginx.add("two", SIZE)

    assert 403 == get(nginx.sign("one", 60).replace("/one?", "/two?")).status


def test_nginx_can_be_slow(nginx: Nginx) -> None:
    """A rate in the URL holds for the connection, and does not disturb the signature."""
    nginx.add("file", SIZE)
    begin = time.monotonic()
    answer = get(nginx.sign("file", 60, rate=SIZE // 2))

    assert 200 == answer.status
    assert time.monotonic() - begin > 0.5


async def test_nginx_provider_counts(nginx: Nginx) -> None:
    """Each call signs anew and is counted."""
    nginx.add("file", 10)
    provider = nginx.provider("file", 60)
    first = await provider(None)
    second = await provider(SignedUrl(first))

    assert 2 == provider.calls
    assert 200 == get(second).status


def test_nginx_tells_tests_apart(nginx: Nginx) -> None:
    """The log of a test has no request of another."""
    assert [] == nginx.requests("file")


@pytest.mark.parametrize("version", ["s3v4", "s3"])
@pytest.mark.parametrize(
    "key", ["plain", "a folder/with spaces", "a+b", "literal%2Fslash", "größe/模型.bin", "tilde~(1)!*'"]
)
def test_s3_serves_a_presigned_url(s3: S3, key: str, version: SignatureVersion) -> None:
    """A presigned URL of any key gives the object, whole and in ranges."""
    content = s3.put(key, SIZE)
    url = s3.presign(key, 60, version)
    whole, part = get(url), get(url, Range="bytes=100000-200000")

    assert (200, 206) == (whole.status, part.status)
    assert content.read(0, SIZE) == whole.body
    assert content.read(100_000, 200_001) == part.body
    assert f"bytes 100000-200000/{SIZE}" == part.headers["Content-Range"]
    assert whole.headers["ETag"] == part.headers["ETag"]


@pytest.mark.parametrize("version", ["s3v4", "s3"])
def test_s3_refuses_an_expired_url(s3: S3, version: SignatureVersion) -> None:
    """A presigned URL that has expired answers 403 with S3's own words."""
    s3.put("file", SIZE)
    url = s3.presign("file", 3, version)
    first, last = get(url), get_until(url, 403)

    assert (200, 403) == (first.status, last.status)
    assert b"<Code>AccessDenied</Code><Message>Request has expired</Message>" in last.body


def test_s3_refuses_a_wrong_signature(s3: S3) -> None:
    """A version 2 URL made for another object answers 403; what is signed in version 4 it does not compare."""
    s3.put("one", 10)
    s3.put("two", 10)
    answer = get(s3.presign("one", 60, "s3").replace("/one?", "/two?"))

    assert 403 == answer.status
    assert b"<Code>SignatureDoesNotMatch</Code>" in answer.body


def test_s3_serves_what_was_placed(s3: S3) -> None:
    """An object put into the server's folder is like one that was uploaded."""
    size = 64 << 20
    content = s3.place("large/model.bin", size)
    answer = get(s3.presign("large/model.bin", 60), Range=f"bytes={size - 1000}-")

    assert 206 == answer.status
    assert content.read(size - 1000, size) == answer.body
    assert answer.headers["ETag"].startswith('"')


async def test_s3_provider_counts(s3: S3) -> None:
    """Each call presigns anew and is counted."""
    s3.put("file", 10)
    provider = s3.provider("file", 60)

    assert 200 == get(await provider(None)).status
    assert 1 == provider.calls


def test_a_server_is_stopped_with_all_it_started(tmp_path: Path) -> None:
    """Nothing of a stopped server is left, not even a child that ignores the polite signal."""
    script = (
        "import os, signal, socket, sys\n"
        "listener = socket.create_server(('127.0.0.1', int(sys.argv[1])))\n"
        "if os.fork() == 0: signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "while True: signal.pause()\n"
    )
    with ServerProcess(lambda port: [sys.executable, "-c", script, str(port)], tmp_path / "log") as server:
        assert accepts(server.port)

    assert not accepts(server.port)


def test_a_server_that_does_not_come_up_says_why(tmp_path: Path) -> None:
    """The error holds what the program printed."""
    server = ServerProcess(lambda port: [sys.executable, "-c", "raise SystemExit('no such option')"], tmp_path / "log")

    with pytest.raises(ServerError, match="no such option"):
        server.__enter__()


def test_a_missing_server_fails_under_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without CI a missing program skips the test, with CI it fails it."""
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception):
        unavailable("no such program")
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception):
        unavailable("no such program")
