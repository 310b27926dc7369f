"""All objects under a prefix of S3: every page, every name, nothing that is none."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

import asyncdl
from asyncdl.sources.contract import RemoteFile
from asyncdl.sources.registry import open_collection
from asyncdl.sources.s3 import S3Prefix
from tests.support.aws import Aws
from tests.support.flow import fetch, holds
from tests.support.moto import PAGE, Moto
from tests.support.s3rver import S3
from tests.support.s3store import Bucket, Store

ODD = [
    "plain",
    "with space",
    "a+b",
    "100%",
    "%2F",
    "größe",
    "x//y",
    "/leading",
    "../up",
    "deep/dir/file",
    "q?v#f",
    "\x01",
]


async def listed(url: str) -> list[RemoteFile]:
    """All files behind a URL."""
    collection = open_collection(url, options=asyncdl.Options(), timeouts=asyncdl.Timeouts())
    files = [file async for file in collection.files()]
    await collection.aclose()
    return files


@pytest.mark.parametrize("page", [1, 5, 1000])
async def test_names_and_sizes(store: Store, tmp_path: Path, page: int) -> None:
    """Names are relative to the prefix, as they are; each file can be had by its own source."""
    store.page = page
    contents = {f"dir/{name}": store.put("bucket", f"dir/{name}", 10 + at) for at, name in enumerate(ODD)}
    store.put("bucket", "dir", 5)
    store.put("bucket", "directory/other", 5)

    files = await listed("s3://bucket/dir/")

    assert {(key.removeprefix("dir/"), content.size) for key, content in contents.items()} == {
        (file.name, file.size) for file in files
    }
    assert {None} == {file.checksum for file in files}
    for at, file in enumerate(files):
        await fetch(file.source, tmp_path / str(at), size=file.size)
        assert holds(tmp_path / str(at), contents[f"dir/{file.name}"])


async def test_more_than_a_thousand(store: Store) -> None:
    """What goes beyond S3's largest page is on the next."""
    for number in range(1003):
        store.put("bucket", f"shards/{number:05}", 1)

    files = await listed("s3://bucket/shards/")

    assert [f"{number:05}" for number in range(1003)] == [file.name for file in files]
    assert 2 == store.count("GET")


@pytest.mark.server
async def test_pages_of_moto(moto: Moto, aws: Aws) -> None:
    """Pages of another's making."""
    aws.log_in("moto", "moto")
    aws.env(AWS_ENDPOINT_URL=f"http://127.0.0.1:{moto.port}")
    for number in range(2 * PAGE + 1):
        moto.put(f"shards/{number:05}", 1)

    files = await listed(f"s3://{moto.bucket}/shards/")

    assert [f"{number:05}" for number in range(2 * PAGE + 1)] == [file.name for file in files]


@pytest.mark.server
async def test_moto(moto: Moto, aws: Aws, tmp_path: Path) -> None:
    """A folder of one store."""
    aws.log_in("moto", "moto")
    aws.env(AWS_ENDPOINT_URL=f"http://127.0.0.1:{moto.port}")
    contents = {name: moto.put(f"dir/{name}", 10_000) for name in ("one", "sub dir/two+", "größe%20")}

    files = await listed(f"s3://{moto.bucket}/dir/")

    assert sorted(contents) == sorted(file.name for file in files)
    for at, file in enumerate(files):
        await fetch(file.source, tmp_path / str(at), size=file.size)
        assert holds(tmp_path / str(at), contents[file.name])


@pytest.mark.server
async def test_s3rver(s3: S3, aws: Aws, tmp_path: Path) -> None:
    """A folder of another store."""
    aws.log_in("S3RVER", "S3RVER")
    contents = {name: s3.put(f"dir/{name}", 10_000) for name in ("one", "sub dir/two+")}
    collection = S3Prefix(s3.bucket, "dir/", endpoint_url=f"http://127.0.0.1:{s3.port}")

    files = [file async for file in collection.files()]

    assert sorted(contents) == sorted(file.name for file in files)
    for at, file in enumerate(files):
        await fetch(file.source, tmp_path / str(at), size=file.size)
        assert holds(tmp_path / str(at), contents[file.name])


async def test_folders_are_no_files(store: Store) -> None:
    """What a console makes of a folder has no bytes and a slash at its end; an empty file has no slash."""
    for key, size in (("dir/", 0), ("dir/sub/", 0), ("dir/sub/file", 3), ("dir/empty", 0), ("dir/odd/", 4)):
        store.put("bucket", key, size)

    files = await listed("s3://bucket/dir/")

    assert [("empty", 0), ("odd/", 4), ("sub/file", 3)] == [(file.name, file.size) for file in files]


@pytest.mark.parametrize("url", ["s3://bucket", "s3://bucket/"])
async def test_whole_bucket(store: Store, url: str) -> None:
    """A bucket alone is all it holds."""
    store.put("bucket", "a", 1)
    store.put("bucket", "dir/b", 1)

    assert ["a", "dir/b"] == [file.name for file in await listed(url)]


async def test_prefix_that_ends_anywhere(store: Store) -> None:
    """In a program; the names are relative to the last slash."""
    for key in ("dir/part-1", "dir/part-2", "dir/other"):
        store.put("bucket", key, 1)

    files = [file async for file in S3Prefix("bucket", "dir/part-").files()]

    assert ["part-1", "part-2"] == [file.name for file in files]


async def test_pages_are_asked_for_late(store: Store) -> None:
    """The second when the first is used up, and no URL before somebody wants it."""
    store.page = 2
    for key in "abc":
        store.put("bucket", key, 1)
    files = S3Prefix("s3://bucket/").files()

    asked = [(file.name, len(store.asked)) async for file in files]

    assert [("a", 1), ("b", 1), ("c", 2)] == asked


async def test_bucket_of_another_region(store: Store, aws: Aws, tmp_path: Path) -> None:
    """The list is got where the bucket is, and so are its files."""
    aws.env(AWS_DEFAULT_REGION="us-west-2")
    store.buckets["bucket"] = Bucket(region="eu-west-1")
    content = store.put("bucket", "a", 1000)

    [file] = await listed("s3://bucket/")
    await fetch(file.source, tmp_path / "file")

    assert holds(tmp_path / "file", content)


@pytest.mark.parametrize("only", [None, "dir/"])
async def test_nothing_there(store: Store, only: str | None) -> None:
    """An empty list is a mistake in the prefix rather than a wish."""
    store.put("bucket", only or "dir", 0)

    with pytest.raises(asyncdl.SourceError, match="s3://bucket/dir/: there are no files"):
        await listed("s3://bucket/dir/")


@pytest.mark.parametrize("circle", ["a", "ab", "abc"])
async def test_list_without_end(store: Store, monkeypatch: pytest.MonkeyPatch, circle: str) -> None:
    """A store that gives the same pages again and again is left."""
    store.put("bucket", "a", 1)
    tokens = itertools.cycle(circle)

    def page(*_: object) -> tuple[int, dict[str, str], bytes]:
        token = f"<IsTruncated>true</IsTruncated><NextContinuationToken>{next(tokens)}</NextContinuationToken>"
        return 200, {}, f"<ListBucketResult>{token}</ListBucketResult>".encode()

    monkeypatch.setattr(store, "_list", page)

    with pytest.raises(asyncdl.SourceError, match="has no end"):
        await listed("s3://bucket/")


async def test_requester_pays_for_the_list_too(store: Store) -> None:
    """The header is on every question."""
    store.buckets["bucket"] = Bucket(payer=True)
    store.put("bucket", "a", 1)

    assert ["a"] == [file.name async for file in S3Prefix("s3://bucket/", requester_pays=True).files()]
