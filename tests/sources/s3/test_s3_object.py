"""One object of S3 by its address: signed as its store wants it, renewed in time, checked by S3's own checksum."""

from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

import asyncdl
from asyncdl.sources import s3_account
from asyncdl.sources.s3 import S3Object, open_url
from asyncdl.testing import Content
from tests.support.aws import KEY, SECRET, Aws
from tests.support.flow import KIB, fetch, holds, small
from tests.support.moto import Moto
from tests.support.s3rver import S3
from tests.support.s3store import Account, Bucket, Store, sha256_fields
from tests.support.secrets import Ears

MIB = 1 << 20
KEYS = [
    "plain.bin",
    "with spaces/and + plus.bin",
    "percent %2F and %20 literally.bin",
    "größe/模型-ключ.bin",
    "a=b&c;d~e!f'(g)*h.bin",
    "what?versionId and #fragment",
    "a//b///c",
]
#: As they stand in a URL, no HTTP client or server may tidy them up; moto and s3rver do.
UNTIDY_KEYS = ["/leading", "dots/../up", "./here/./there", "..", "trailing/.."]


@pytest.mark.parametrize("key", [*KEYS, *UNTIDY_KEYS])
async def test_signature_holds(store: Store, tmp_path: Path, key: str) -> None:
    """A store that checks signatures gives every part, whatever the key; all x-amz- headers are signed."""
    content = store.put("bucket", key, 300_000)

    result = await fetch(S3Object("bucket", key), tmp_path / "file")

    assert holds(tmp_path / "file", content)
    assert (0, 0) == (result.retries, result.refreshes)
    assert {"ENABLED"} == {one.headers.get("x-amz-checksum-mode") for one in store.asked if one.method == "GET"}


@pytest.mark.server
@pytest.mark.parametrize("key", KEYS)
async def test_moto(moto: Moto, aws: Aws, tmp_path: Path, key: str) -> None:
    """An address becomes a file."""
    content = moto.put(key, 300_000)
    aws.log_in("moto", "moto")
    aws.env(AWS_ENDPOINT_URL=f"http://127.0.0.1:{moto.port}")

    await fetch(S3Object(f"s3://{moto.bucket}/{key}"), tmp_path / "file")

    assert holds(tmp_path / "file", content)


@pytest.mark.server
@pytest.mark.parametrize("key", KEYS[:5])
async def test_s3rver(s3: S3, aws: Aws, tmp_path: Path, key: str) -> None:
    """An address becomes a file; the endpoint is given in the program."""
    content = s3.put(key, 300_000)
    aws.log_in("S3RVER", "S3RVER")

    await fetch(S3Object(s3.bucket, key, endpoint_url=f"http://127.0.0.1:{s3.port}"), tmp_path / "file")

    assert holds(tmp_path / "file", content)


@pytest.mark.server
@pytest.mark.slow
async def test_expiry_in_mid_download(s3: S3, aws: Aws, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """URLs of one second, a disk that needs three, and a server that means it."""
    aws.log_in("S3RVER", "S3RVER")
    content = s3.place("model.bin", 12 * MIB)
    write = os.pwritev

    def slowly(descriptor: int, buffers: list[memoryview], offset: int) -> int:
        time.sleep(sum(map(len, buffers)) / (4 * MIB))
        return write(descriptor, buffers, offset)

    monkeypatch.setattr(os, "pwritev", slowly)
    source = S3Object(s3.bucket, "model.bin", endpoint_url=f"http://127.0.0.1:{s3.port}", expires_in=1)

    result = await fetch(source, tmp_path / "file", options=small(4, part_size=256 * KIB, reuse_window=0))

    assert holds(tmp_path / "file", content)
    assert 2 <= result.refreshes
    assert 12 * MIB == result.fetched


@pytest.mark.server
async def test_version(moto: Moto, aws: Aws, tmp_path: Path) -> None:
    """`?versionId=` at the end of a URL names an older one."""
    aws.log_in("moto", "moto")
    aws.env(AWS_ENDPOINT_URL=f"http://127.0.0.1:{moto.port}")
    moto.client().put_bucket_versioning(Bucket=moto.bucket, VersioningConfiguration={"Status": "Enabled"})
    content = moto.put("model.bin", 1000, seed=1)
    version = moto.client().head_object(Bucket=moto.bucket, Key="model.bin")["VersionId"]
    moto.put("model.bin", 1000, seed=2)

    await fetch(S3Object(f"s3://{moto.bucket}/model.bin?versionId={version}"), tmp_path / "file")

    assert holds(tmp_path / "file", content)


async def test_checksum_is_verified(store: Store, tmp_path: Path) -> None:
    """S3's own checksum of an object that comes in one piece."""
    content = Content(1, 50_000)
    store.put("bucket", "model.bin", 50_000, headers=sha256_fields(content))

    result = await fetch(S3Object("s3://bucket/model.bin"), tmp_path / "file")

    assert asyncdl.Checksum.parse(f"sha256:{content.sha256()}") == result.checksum


async def test_wrong_checksum_is_refused(store: Store, tmp_path: Path) -> None:
    """Bytes that do not add up to it do not become a file."""
    store.put("bucket", "model.bin", 50_000, headers=sha256_fields(Content(2, 50_000)))

    with pytest.raises(asyncdl.IntegrityError, match="sha256"):
        await fetch(S3Object("s3://bucket/model.bin"), tmp_path / "file")

    assert not (tmp_path / "file").exists()


@pytest.mark.parametrize("seed", [1, 2])
async def test_stat_knows_the_checksum_of_large_objects(store: Store, tmp_path: Path, seed: int) -> None:
    """Fetched in parts, an object comes without its checksum; who asks beforehand has it verified all the same."""
    content = store.put("bucket", "dir/model.bin", 1 * MIB, headers=sha256_fields(Content(seed, 1 * MIB)))

    [file] = [file async for file in S3Object("s3://bucket/dir/model.bin").files()]
    fetched = fetch(file.source, tmp_path / "file", size=file.size, checksum=file.checksum)

    assert ("model.bin", 1 * MIB) == (file.name, file.size)
    if seed == 1:
        assert file.checksum == (await fetched).checksum
        assert holds(tmp_path / "file", content)
    else:
        with pytest.raises(asyncdl.IntegrityError):
            await fetched


async def test_composite_checksum_is_none(store: Store) -> None:
    """A checksum of the parts' checksums says nothing about the file."""
    store.put("bucket", "model.bin", 1000, headers=sha256_fields(Content(1, 1000), "COMPOSITE"))

    assert None is (await S3Object("s3://bucket/model.bin").describe()).checksum


async def test_checksums_switched_off(store: Store, aws: Aws, tmp_path: Path) -> None:
    """AWS's own variable keeps the header away from stores that do not know it."""
    aws.env(AWS_RESPONSE_CHECKSUM_VALIDATION="when_required")
    content = store.put("bucket", "model.bin", 1000)

    url = await S3Object("s3://bucket/model.bin", region="eu-north-1")()
    await fetch(S3Object("s3://bucket/model.bin"), tmp_path / "file")

    assert holds(tmp_path / "file", content)
    assert () == url.headers
    assert {None} == {one.headers.get("x-amz-checksum-mode") for one in store.asked}


async def test_region_is_learnt(store: Store, aws: Aws, tmp_path: Path) -> None:
    """A bucket elsewhere: its store is asked once for all objects, and the URLs are signed for its region."""
    aws.env(AWS_DEFAULT_REGION="us-west-2")
    store.buckets["bucket"] = Bucket(region="eu-west-1")
    content = store.put("bucket", "a", 1000)
    store.put("bucket", "b", 1000)

    sources = [S3Object("bucket", key) for key in "ab"]
    urls = await asyncio.gather(*(source() for source in sources))
    await fetch(sources[0], tmp_path / "file")

    assert holds(tmp_path / "file", content)
    assert [True, True] == ["%2Feu-west-1%2Fs3%2F" in url.url for url in urls]
    assert (1, 1) == (store.count("HEAD", 200), store.count("HEAD", 400))


async def test_region_that_nobody_tells(store: Store, tmp_path: Path) -> None:
    """The error has the region that the store expects."""
    store.buckets["bucket"] = Bucket(region="eu-west-1")
    store.put("bucket", "a", 1000)
    store.tells_region = False

    with pytest.raises(asyncdl.ForbiddenError, match="eu-west-1"):
        await fetch(S3Object("bucket", "a", region="us-west-2"), tmp_path / "file")


@pytest.mark.parametrize(
    ("bucket", "region", "host"),
    [
        ("my-bucket", "eu-west-1", "my-bucket.s3.eu-west-1.amazonaws.com"),
        ("my.bucket", "eu-west-1", "s3.eu-west-1.amazonaws.com"),
        ("my-bucket", "cn-north-1", "my-bucket.s3.cn-north-1.amazonaws.com.cn"),
    ],
)
async def test_host_at_aws(aws: Aws, bucket: str, region: str, host: str) -> None:
    """The bucket's own region is in the URL: the global name would redirect, and the signature would not hold."""
    aws.log_in()
    source = S3Object(bucket, "key", region=region)
    source._terms.account._regions[bucket] = region

    url = await source()

    assert host == urlsplit(url.url).hostname


async def test_session_credentials_that_die(store: Store, aws: Aws, tmp_path: Path) -> None:
    """URLs that could live an hour die with the token in them; botocore gets another, and the download goes on."""
    program = aws.home / "credentials.py"
    # Whole seconds, as STS has them.
    program.write_text(
        "import json, time, datetime\nend = int(time.time()) + 3\n"
        "stamp = datetime.datetime.fromtimestamp(end, datetime.timezone.utc).isoformat()\n"
        f"print(json.dumps(dict(Version=1, AccessKeyId=f'K{{end}}', SecretAccessKey={SECRET!r},"
        " SessionToken=f'T{end}', Expiration=stamp)))\n"
    )
    aws.config(f"[profile short]\ncredential_process = {sys.executable} {program}\n")
    aws.log_out()
    store.find = lambda key: Account(SECRET, f"T{key[1:]}", float(key[1:]))
    content = store.put("bucket", "model.bin", 1 * MIB)
    store.gate = lambda: time.sleep(0.25)
    source = S3Object("s3://bucket/model.bin", profile="short")

    url = await source()
    result = await fetch(source, tmp_path / "file", options=small(1, reuse_window=0))

    assert holds(tmp_path / "file", content)
    assert float(url.url.partition("K")[2][:10]) == url.expires_at
    assert 1 <= result.refreshes
    assert 1 * MIB == result.fetched


@pytest.mark.server
async def test_assumed_role(moto: Moto, aws: Aws, tmp_path: Path) -> None:
    """STS's hour ends the URL's life, not the two hours asked for."""
    content = moto.put("model.bin", 1000)
    aws.config(
        "[profile base]\naws_access_key_id = moto\naws_secret_access_key = moto\n"
        "[profile role]\nsource_profile = base\nregion = us-east-1\n"
        "role_arn = arn:aws:iam::123456789012:role/reader\n"
    )
    aws.env(AWS_ENDPOINT_URL=f"http://127.0.0.1:{moto.port}", AWS_PROFILE="role")
    source = S3Object(moto.bucket, "model.bin", expires_in=7200)
    ears = Ears()

    with ears.listening():
        url = await source()
        await fetch(source, tmp_path / "file")

    assert holds(tmp_path / "file", content)
    assert [] == ears.told(parse_qs(urlsplit(url.url).query)["X-Amz-Security-Token"])
    assert url.expires_at is not None
    assert 3500 < url.expires_at - time.time() <= 3600


async def test_public_object(store: Store, aws: Aws, tmp_path: Path) -> None:
    """Without credentials no signature is made, and no credentials are looked for."""
    store.buckets["bucket"] = Bucket(public=True)
    content = store.put("bucket", "model.bin", 300_000)

    await fetch(S3Object("s3://bucket/model.bin", unsigned=True), tmp_path / "file")

    assert holds(tmp_path / "file", content)
    assert [] == [one for one in store.asked if KEY in f"{one.target}{one.headers}"]


async def test_object_that_is_not_public(store: Store, tmp_path: Path) -> None:
    """To ask again would not help: there is nothing to renew."""
    store.put("bucket", "model.bin", 1000)

    with pytest.raises(asyncdl.RefreshError, match="refused to those without credentials"):
        await fetch(S3Object("s3://bucket/model.bin", unsigned=True), tmp_path / "file")


async def test_requester_pays(store: Store, tmp_path: Path) -> None:
    """The header that says so is signed and sent."""
    store.buckets["bucket"] = Bucket(payer=True)
    content = store.put("bucket", "model.bin", 300_000)

    source = S3Object("s3://bucket/model.bin", requester_pays=True)
    await fetch(source, tmp_path / "file")

    assert holds(tmp_path / "file", content)
    assert 300_000 == (await source.describe()).size


async def test_objects_share_a_session(aws: Aws) -> None:
    """Ten thousand rows of a batch read the configuration once; other settings or variables have one of their own."""
    first, second, other = S3Object("b", "1"), S3Object("b", "2"), S3Object("b", "2", region="eu-west-1")

    assert first._terms.account is second._terms.account
    assert first._terms.account is not other._terms.account
    aws.log_in()
    assert first._terms.account is not S3Object("b", "1")._terms.account
    del first, second, other
    gc.collect()
    assert [] == [access for access in s3_account._accounts if access.region == "eu-west-1"]


async def test_store_that_never_answers(aws: Aws) -> None:
    """Each request has a bound. That the store is in the same loop, and sees them all, shows that the loop is free."""
    aws.log_in()
    writers: list[asyncio.StreamWriter] = []
    silent = await asyncio.start_server(lambda _, writer: writers.append(writer), "127.0.0.1", 0)
    port = silent.sockets[0].getsockname()[1]
    source = S3Object("b", "k", endpoint_url=f"http://127.0.0.1:{port}", timeouts=asyncdl.Timeouts(response=0.1))

    with pytest.raises(asyncdl.SourceError, match="s3://b/k: the store does not answer"):
        await source.describe()

    async with asyncio.timeout(60):
        while len(writers) < 3:  # noqa: ASYNC110  # the last one may not have been let in yet
            await asyncio.sleep(0.01)
    silent.close()
    for writer in writers:
        writer.close()
    assert 3 == len(writers)


async def test_credentials_that_never_come(aws: Aws) -> None:
    """A program that hangs is not waited for longer than a refresh may take; nor is it by the interpreter's end."""
    aws.config("[default]\ncredential_process = sleep 5\n")
    source = S3Object("s3://b/k", timeouts=asyncdl.Timeouts(refresh=0.2))

    with pytest.raises(asyncdl.SourceError, match=r"s3://b/k: no answer within 0.2 s"):
        await source()


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("s3://bucket/key", "S3Object('s3://bucket/key')"),
        ("S3://bucket/key?versionId=abc.1", "S3Object('s3://bucket/key?versionId=abc.1')"),
        ("s3://bucket/what?versionId=", "S3Object('s3://bucket/what?versionId=')"),
        ("s3://bucket/what?x=1", "S3Object('s3://bucket/what?x=1')"),
        ("s3://bucket//key%20#", "S3Object('s3://bucket//key%20#')"),
        ("s3://bucket/\x1b[31m", "S3Object('s3://bucket/\ufffd[31m')"),
        ("s3://bucket/prefix/", "S3Prefix('s3://bucket/prefix/')"),
        ("s3://bucket/", "S3Prefix('s3://bucket/')"),
        ("s3://bucket", "S3Prefix('s3://bucket/')"),
        ("s3://bucket//", "S3Prefix('s3://bucket//')"),
    ],
)
def test_urls(url: str, shown: str) -> None:
    """What a URL means: one object, or all under a prefix."""
    assert shown == repr(open_url(url, options=asyncdl.Options(), timeouts=asyncdl.Timeouts()))


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("https://bucket/key", "begins with s3://"),
        ("s3:/bucket/key", "begins with s3://"),
        ("s3:///key", "no bucket"),
        ("s3://", "no bucket"),
        ("s3://user:pw@bucket/key", "no bucket"),
        ("s3://buck et/key", "no bucket"),
        ("s3://arn:aws:s3:us-west-2:123456789012:accesspoint/x/key", "no bucket"),
        (f"s3://bucket/{'k' * 1025}", "1024 bytes"),
        ("s3://bucket/\0", "NUL"),
        ("s3://bucket/\ud800", "UTF-8"),
        ("s3://bucket/prefix/?versionId=abc", "is one object"),
    ],
)
def test_urls_that_mean_nothing(url: str, message: str) -> None:
    """They are refused before anything is sent."""
    with pytest.raises(asyncdl.OptionsError, match=message):
        open_url(url, options=asyncdl.Options(), timeouts=asyncdl.Timeouts())


@pytest.mark.parametrize(
    "settings",
    [
        {"expires_in": 0},
        {"expires_in": 604_801},
        {"expires_in": 1.5},
        {"expires_in": True},
        {"profile": ""},
        {"region": 1},
        {"endpoint_url": "ftp://host"},
        {"unsigned": True, "requester_pays": True},
    ],
)
def test_settings_that_cannot_be(settings: dict[str, object]) -> None:
    """They are refused at once."""
    with pytest.raises(asyncdl.OptionsError):
        S3Object("s3://bucket/key", **settings)  # type: ignore[arg-type]  # that is the question


def test_bucket_is_no_object() -> None:
    """A bucket alone cannot be downloaded as one file, and a setting that is none is a mistake of the program."""
    with pytest.raises(asyncdl.OptionsError, match="no object"):
        S3Object("s3://bucket/")
    with pytest.raises(TypeError, match="no such setting: regoin"):
        S3Object("s3://bucket/key", regoin="x")  # type: ignore[call-arg]  # that is the question


def test_missing_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names what to install."""
    monkeypatch.setattr(s3_account, "find_spec", lambda _: None)

    with pytest.raises(asyncdl.OptionsError) as caught:
        S3Object("s3://bucket/key", region="nowhere-1")

    assert "pip install 'asyncdl[s3]'" == caught.value.hint


def test_botocore_is_loaded_late() -> None:
    """Not by whoever imports the source, nor by an address."""
    code = (
        "import sys, asyncdl.sources.s3\nasyncdl.sources.s3.S3Object('s3://b/k')\n"
        "assert not [name for name in sys.modules if name.startswith(('botocore', 'urllib3'))]"
    )

    assert 0 == subprocess.run([sys.executable, "-c", code], check=False, timeout=120).returncode
