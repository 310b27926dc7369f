"""Whole downloads from real servers whose URLs really expire: nginx with secure_link, and s3rver behind botocore."""

from __future__ import annotations

import asyncio
import hashlib
import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

import asyncdl
from tests.support.nginx import Nginx
from tests.support.s3rver import S3, SignatureVersion

pytestmark = [pytest.mark.server, pytest.mark.slow, pytest.mark.timeout(900)]

MIB = 1 << 20
OPTIONS = asyncdl.Options(connections=16, use_environment=False)


def sha256(path: Path) -> str:
    """Of a file, as any other program would compute it."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


async def test_nginx_gibibyte_outlives_its_links(nginx: Nginx, tmp_path: Path) -> None:
    """A1, A2: 1 GiB over 16 connections, each held to a rate, with links of one to two seconds."""
    size, ttl = 1024 * MIB, 2
    content = nginx.add("model.bin", size)
    provider = nginx.provider("model.bin", ttl, rate=6 * MIB)

    result = await asyncdl.download(
        provider, tmp_path / "file", options=asyncdl.Options(connections=16, part_size=4 * MIB)
    )

    assert await asyncio.to_thread(content.sha256) == await asyncio.to_thread(sha256, tmp_path / "file")
    assert size == result.fetched
    assert provider.calls == result.refreshes + 1
    # nginx counts whole seconds, so a link lives at least ttl - 1 of them.
    assert 2 <= result.refreshes <= result.elapsed / (ttl - 1)
    requests = nginx.requests_when("model.bin", lambda found: len(found) >= result.requests)
    assert {206, 410} >= {request.status for request in requests}
    assert size == sum(request.sent for request in requests if request.status == 206)
    assert 0 == result.retries


async def test_nginx_small_file_behind_a_dead_link(nginx: Nginx, tmp_path: Path) -> None:
    """A6: the link was dead when it was handed out; the next one brings the file."""
    content = nginx.add("small.bin", 1000)
    links = [nginx.sign("small.bin", -5), nginx.sign("small.bin", 60)]

    async def provider(rejected: asyncdl.SignedUrl | None) -> str:
        return links[0] if rejected is None else links[1]

    result = await asyncdl.download(provider, tmp_path / "file", options=OPTIONS)

    assert content.first_difference(tmp_path / "file") is None
    assert 1 == result.refreshes


async def test_nginx_forged_link_is_forbidden(nginx: Nginx, tmp_path: Path) -> None:
    """A4: a wrong hash is 403 however often it is renewed: one renewal, then the end."""
    nginx.add("small.bin", 1000)
    forged = [nginx.sign("small.bin", 60).replace("md5=", f"md5={letter}") for letter in "AB"]

    async def provider(rejected: asyncdl.SignedUrl | None) -> str:
        return forged[0] if rejected is None else forged[1]

    with pytest.raises(asyncdl.ForbiddenError, match="403"):
        await asyncdl.download(provider, tmp_path / "file", options=OPTIONS)

    assert 2 == len(nginx.requests("small.bin", at_least=2))
    assert [] == os.listdir(tmp_path)


async def test_nginx_object_replaced_in_mid_download(nginx: Nginx, tmp_path: Path) -> None:
    """A5: another version under the same name, seen by its entity tag, ends it."""
    nginx.add("model.bin", 64 * MIB)
    url = nginx.url("model.bin", rate=16 * MIB)
    task = asyncio.create_task(
        asyncdl.download(url, tmp_path / "file", options=asyncdl.Options(connections=2, part_size=4 * MIB))
    )
    await asyncio.to_thread(nginx.requests, "model.bin", at_least=2)

    nginx.file("model.bin").unlink()
    nginx.add("model.bin", 64 * MIB, seed=2)
    stamp = time.time() + 100
    os.utime(nginx.file("model.bin"), (stamp, stamp))

    with pytest.raises(asyncdl.RemoteChangedError):
        await task
    assert not (tmp_path / "file").exists()


KEYS = [
    "plain.bin",
    "with spaces/and + plus.bin",
    "percent %2F and %20 literally.bin",
    "größe/模型-ключ.bin",
    "a=b&c;d~e!f'(g)*h.bin",
]


@pytest.mark.parametrize("version", ["s3v4", "s3"])
@pytest.mark.parametrize("key", KEYS)
async def test_s3_keys_go_out_as_they_were_signed(s3: S3, tmp_path: Path, key: str, version: SignatureVersion) -> None:
    """URLs made by botocore, sent byte for byte: a signature over another spelling would be refused."""
    content = s3.put(key, 300_000)
    options = asyncdl.Options(connections=4, part_size=65_536, parallel_threshold=0, use_environment=False)

    await asyncdl.download(s3.presign(key, 60, version), tmp_path / "file", options=options)

    assert content.first_difference(tmp_path / "file") is None


@pytest.mark.parametrize("version", ["s3v4", "s3"])
async def test_s3_object_outlives_its_urls(
    s3: S3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: SignatureVersion
) -> None:
    """A1, A2, A4: 200 MiB onto a slow disk, URLs of two seconds: S3's own words, one call for each expiry."""
    size, key = 200 * MIB, "models/größe + 1%2F2.bin"
    s3.client(version)  # botocore reads its data files when the first URL is signed
    content = s3.place(key, size)
    provider = s3.provider(key, 2, version)
    write = os.pwritev

    def slowly(descriptor: int, buffers: list[memoryview], offset: int) -> int:
        time.sleep(sum(map(len, buffers)) / (40 * MIB))
        return write(descriptor, buffers, offset)

    monkeypatch.setattr(os, "pwritev", slowly)

    # By what is measured, this origin's parts would be so large that no request is made after two seconds.
    result = await asyncdl.download(provider, tmp_path / "file", options=replace(OPTIONS, part_size=8 * MIB))

    assert await asyncio.to_thread(content.sha256) == await asyncio.to_thread(sha256, tmp_path / "file")
    assert size == result.fetched
    assert provider.calls == result.refreshes + 1
    assert 1 == provider.max_concurrent
    assert 1 <= result.refreshes <= result.elapsed + 1
    assert 0 == result.retries


async def test_s3_expired_url_without_a_provider(s3: S3, tmp_path: Path) -> None:
    """The error carries S3's own sentence."""
    s3.put("a.bin", 1000)
    url = s3.presign("a.bin", 1)
    await asyncio.sleep(2.1)  # S3 counts in whole seconds, and its clock is nobody's to move

    with pytest.raises(asyncdl.UrlExpiredError, match="Request has expired"):
        await asyncdl.download(url, tmp_path / "file", options=OPTIONS)


async def test_s3_missing_key(s3: S3, tmp_path: Path) -> None:
    """NoSuchKey is neither expiry nor a reason to try again."""
    with pytest.raises(asyncdl.HttpStatusError, match="NoSuchKey") as caught:
        await asyncdl.download(s3.presign("nothing", 60), tmp_path / "file", options=OPTIONS)

    assert 404 == caught.value.status
