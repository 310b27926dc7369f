"""moto's S3 behind URLs presigned by botocore: its headers and error documents, as those of S3 are."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

import asyncdl
from tests.servers.conftest import Midway
from tests.support.flow import KIB, fetch, holds, small
from tests.support.moto import Moto
from tests.support.s3rver import SignatureVersion

pytestmark = pytest.mark.server

MIB = 1 << 20
each_version = pytest.mark.parametrize("version", ["s3v4", "s3"])
KEYS = [
    "plain.bin",
    "with spaces/and + plus.bin",
    "percent %2F and %20 literally.bin",
    "größe/模型-ключ.bin",
    "a=b&c;d~e!f'(g)*h.bin",
]


@pytest.mark.parametrize("connections", [1, 4, 16])
@each_version
async def test_object(
    moto: Moto, tmp_path: Path, no_leaks: object, version: SignatureVersion, connections: int
) -> None:
    """The bytes are the object's, each asked for once."""
    content = moto.put("model.bin", 2 * MIB)

    result = await fetch(
        moto.presign("model.bin", 60, version), tmp_path / "file", options=small(connections, part_size=128 * KIB)
    )

    assert holds(tmp_path / "file", content)
    assert ["file"] == os.listdir(tmp_path)
    assert (2 * MIB, 0) == (result.fetched, result.retries)


@each_version
async def test_single_byte(moto: Moto, tmp_path: Path, version: SignatureVersion) -> None:
    """An object that cannot be cut."""
    content = moto.put("tiny.bin", 1)

    await fetch(moto.presign("tiny.bin", 60, version), tmp_path / "file")

    assert holds(tmp_path / "file", content)


@pytest.mark.parametrize("known", [True, False], ids=["size known", "size unknown"])
async def test_empty_object(moto: Moto, tmp_path: Path, known: bool) -> None:
    """S3 answers 416 to any range of an empty object."""
    content = moto.put("empty.bin", 0)

    await fetch(moto.presign("empty.bin", 60), tmp_path / "file", size=0 if known else None)

    assert holds(tmp_path / "file", content)


@pytest.mark.parametrize("key", KEYS)
@each_version
async def test_key(moto: Moto, tmp_path: Path, key: str, version: SignatureVersion) -> None:
    """Keys reach the server as botocore wrote them."""
    content = moto.put(key, 300_000)

    await fetch(moto.presign(key, 60, version), tmp_path / "file")

    assert holds(tmp_path / "file", content)


@pytest.mark.parametrize("connections", [1, 4, 16])
async def test_object_put_anew(moto: Moto, midway: Midway, tmp_path: Path, no_leaks: object, connections: int) -> None:
    """Another version under the same key, seen by its entity tag, ends it."""
    moto.put("model.bin", 4 * MIB)

    with pytest.raises(asyncdl.RemoteChangedError, match="entity tag"):
        await midway(
            moto.presign("model.bin", 60),
            tmp_path / "file",
            lambda: moto.put("model.bin", 4 * MIB, seed=2),
            options=small(connections, part_size=32 * KIB, queue_depth=4),
        )

    assert not (tmp_path / "file").exists()


async def test_missing_key(moto: Moto, tmp_path: Path) -> None:
    """NoSuchKey is neither expiry nor a reason to try again."""
    with pytest.raises(asyncdl.HttpStatusError, match="NoSuchKey") as caught:
        await fetch(moto.presign("nothing", 60), tmp_path / "file")

    assert 404 == caught.value.status


@each_version
async def test_nothing_expires_here(moto: Moto, tmp_path: Path, version: SignatureVersion) -> None:
    """A URL that says it is dead, to a server that does not care: the server's answer decides."""
    content = moto.put("model.bin", MIB)
    url = moto.presign("model.bin", 60, version)
    # The date of signing in version 4, the end in seconds since the epoch in version 2.
    dead = re.sub(r"(X-Amz-Date=)\d{8}T", r"\g<1>20200101T", re.sub(r"(&Expires=)\d+", r"\g<1>1500000000", url))
    assert dead != url

    await fetch(dead, tmp_path / "file")

    assert holds(tmp_path / "file", content)
