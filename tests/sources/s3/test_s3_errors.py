"""What goes wrong with S3, in words that name the object and say what to do, and without secrets."""

from __future__ import annotations

import hashlib
import json
import ssl
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import botocore.exceptions
import pytest
import trustme

import asyncdl
from asyncdl.sources.registry import open_collection
from asyncdl.sources.s3 import S3Object, S3Prefix
from asyncdl.sources.s3_words import explain
from tests.support.aws import KEY, SECRET, Aws
from tests.support.flow import EAGER, QUICK, fetch, small
from tests.support.s3store import Account, Bucket, Store
from tests.support.secrets import Ears

TOKEN = "FwoGtq7secretTOKENq9e"
OTHER = "nq2otherSECRET"
#: The port of tcpmux, which nobody runs.
NOBODY = "http://127.0.0.1:1"


def _sso(aws: Aws, *, ends: float | None) -> None:
    """A profile of the older kind, whose token lies in a cache, if it does."""
    start = "https://example.awsapps.com/start"
    aws.log_out()
    aws.config(
        f"[profile sso]\nsso_start_url = {start}\nsso_region = us-east-1\n"
        "sso_account_id = 123456789012\nsso_role_name = reader\n"
    )
    aws.env(AWS_PROFILE="sso")
    if ends is not None:
        folder = aws.home / ".aws/sso/cache"
        folder.mkdir(parents=True)
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(ends))
        # The name is the SHA-1 of the URL where login begins.
        (folder / f"{hashlib.sha1(start.encode()).hexdigest()}.json").write_text(
            json.dumps({"startUrl": start, "region": "us-east-1", "accessToken": TOKEN, "expiresAt": stamp})
        )


def _mfa(aws: Aws) -> None:
    aws.log_out()
    aws.config(
        f"[profile base]\naws_access_key_id = {KEY}\naws_secret_access_key = {SECRET}\n[profile mfa]\n"
        "source_profile = base\nregion = us-east-1\nrole_arn = arn:aws:iam::123456789012:role/reader\n"
        "mfa_serial = arn:aws:iam::123456789012:mfa/me\n"
    )
    aws.env(AWS_PROFILE="mfa")


def _expired(aws: Aws, store: Store) -> None:
    store.accounts[KEY] = Account(SECRET, TOKEN, time.time() - 10)
    aws.env(AWS_SESSION_TOKEN=TOKEN)


def _denied(_: Aws, store: Store) -> None:
    store.buckets["bucket"].denied = True


def _half(aws: Aws) -> None:
    aws.log_out()
    aws.config(f"[profile half]\naws_access_key_id = {KEY}\n")
    aws.env(AWS_PROFILE="half")


OBJECT, ALL = "s3://bucket/key", "s3://bucket/"
LOG_IN = "aws sso login --profile sso"
#: What is wrong, and where; then words of the message, and of the hint.
CASES: dict[str, tuple[Callable[[Aws, Store], object], str, str, str]] = {
    "no credentials": (lambda aws, _: aws.log_out(), OBJECT, "there are no AWS credentials", "AWS_PROFILE"),
    "half of them": (lambda aws, _: _half(aws), OBJECT, "incomplete", "give all"),
    "unknown profile": (lambda aws, _: aws.env(AWS_PROFILE="me"), OBJECT, "no such AWS profile", "list-profiles"),
    "broken file": (lambda aws, _: aws.config("[profile"), OBJECT, "configuration cannot be read", "correct"),
    "never logged in": (lambda aws, _: _sso(aws, ends=None), OBJECT, "no valid SSO session", LOG_IN),
    "login expired": (lambda aws, _: _sso(aws, ends=time.time() - 60), OBJECT, "no valid SSO session", LOG_IN),
    "MFA": (lambda aws, _: _mfa(aws), OBJECT, "MFA code", "AWS CLI"),
    "no bucket": (lambda *_: None, "s3://nowhere/", "there is no such bucket", "check its name"),
    "no object": (lambda *_: None, "s3://bucket/nothing", "there is no such object", "ends in a slash"),
    "denied": (_denied, ALL, "access is denied", "s3:ListBucket"),
    "denied, and silent": (_denied, OBJECT, "access is denied", "s3:GetObject"),
    "wrong secret": (lambda aws, _: aws.log_in(secret=OTHER), ALL, "not accepted", "secret"),
    "unknown key": (lambda aws, _: aws.log_in("AKIDOTHER"), ALL, "not accepted", "access key"),
    "token expired": (_expired, ALL, "session token has expired", "log in again"),
    "token expired, and silent": (_expired, OBJECT, "does not say why", "expired session token"),
    "nobody there": (lambda aws, _: aws.env(AWS_ENDPOINT_URL_S3=NOBODY), ALL, "cannot be reached", "endpoint"),
}


@pytest.mark.parametrize("name", CASES)
async def test_case(store: Store, aws: Aws, name: str) -> None:
    """The message names the place, the hint what to do, and neither has a secret."""
    prepare, url, message, hint = CASES[name]
    store.put("bucket", "key", 1000)
    prepare(aws, store)
    ears = Ears()

    with ears.listening():
        collection = open_collection(url, options=asyncdl.Options(), timeouts=QUICK)
        with pytest.raises(asyncdl.SourceError) as caught:
            _ = [file async for file in collection.files()]
        ears.hear_error(caught.value)

    assert caught.value.message.startswith(f"{url}: ")
    assert message in caught.value.message
    assert hint in (caught.value.hint or "")
    assert [] == ears.told([SECRET, TOKEN, OTHER])


@pytest.mark.parametrize("name", ["no credentials", "unknown profile", "never logged in", "no bucket"])
async def test_download_has_the_same_words(store: Store, aws: Aws, tmp_path: Path, name: str) -> None:
    """A download whose URL cannot be signed ends with them, and with the hint."""
    prepare, url, message, hint = CASES[name]
    store.put("bucket", "key", 1000)
    prepare(aws, store)

    with pytest.raises(asyncdl.RefreshError, match=message) as caught:
        await fetch(S3Object(url.removesuffix("/").split("//")[1].split("/")[0], "key"), tmp_path / "file")

    assert hint in (caught.value.hint or "")


async def test_wrong_region_is_named(store: Store) -> None:
    """Where the right one cannot be asked for, the hint has it."""
    answer = {
        "Error": {"Code": "PermanentRedirect", "Message": "elsewhere"},
        "ResponseMetadata": {"HTTPStatusCode": 301, "HTTPHeaders": {"x-amz-bucket-region": "eu-west-1"}},
    }

    error = explain(botocore.exceptions.ClientError(answer, "ListObjectsV2"), "s3://b/", profile=None)

    assert "s3://b/: the bucket is in the region eu-west-1" == error.message
    assert 'give region="eu-west-1", or set AWS_DEFAULT_REGION to it' == error.hint


def client_error(code: str, message: str, operation: str) -> botocore.exceptions.ClientError:
    """What botocore makes of an answer."""
    return botocore.exceptions.ClientError({"Error": {"Code": code, "Message": message}}, operation)


class LoginError(Exception):
    """Of a name that only newer versions of botocore have."""


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (client_error("AccessDenied", "no sts:AssumeRole", "AssumeRole"), "AssumeRole was refused (AccessDenied: no"),
        (client_error("AuthorizationHeaderMalformed", "", "ListObjectsV2"), "the bucket is in another region"),
        (client_error("Odd", "token=abcdefgh in words", "HeadObject"), "the store refuses: Odd: token=… in words"),
        (botocore.exceptions.ReadTimeoutError(endpoint_url="http://h/?x=secret"), "the store does not answer"),
        (botocore.exceptions.ProxyConnectionError(proxy_url="http://u:secret@p"), "the proxy cannot be reached"),
        (botocore.exceptions.UnauthorizedSSOTokenError(), "no valid SSO session"),
        (LoginError(), "no valid login session"),
        (
            botocore.exceptions.CredentialRetrievalError(provider="custom-process", error_msg="password=secret"),
            "could not be got (Error when retrieving credentials from custom-process: password=…)",
        ),
        (botocore.exceptions.MissingDependencyException(msg="awscrt"), "need a further package"),
        (botocore.exceptions.NoRegionError(), "no region is known"),
        (botocore.exceptions.ConnectionClosedError(endpoint_url="http://h"), "the connection to the store broke"),
        (RuntimeError("the refreshed credentials are still expired\n."), "RuntimeError: the refreshed credentials are"),
    ],
)  # fmt: skip
def test_words(error: Exception, message: str) -> None:
    """What botocore raises becomes a sentence without a secret."""
    explained = explain(error, "s3://b/k", profile="p")

    assert message in explained.message
    assert "secret" not in f"{explained.message} {explained.hint}"


async def test_untrusted_certificate(aws: Aws, store: Store, tmp_path: Path) -> None:
    """It is refused; with its authority named, the store is asked."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    store._server.socket = context.wrap_socket(store._server.socket, server_side=True)
    content = store.put("bucket", "key", 1000)
    settings: dict[str, Any] = {"endpoint_url": store.url.replace("http:", "https:")}
    trusting = small(2, ca_file=tmp_path / "ca.pem")

    with pytest.raises(asyncdl.SourceError) as caught:
        await S3Object("s3://bucket/key", **settings).describe()
    await fetch(S3Object("s3://bucket/key", options=trusting, **settings), tmp_path / "file", options=trusting)

    assert "Options.ca_file" in (caught.value.hint or "")
    assert content.first_difference(tmp_path / "file") is None


async def test_proxy(store: Store, aws: Aws) -> None:
    """That of the options, or of the environment where that counts."""
    store.put("bucket", "key", 1000)
    aws.env(HTTP_PROXY=NOBODY, http_proxy=NOBODY, NO_PROXY="", no_proxy="")
    alone = asyncdl.Options(use_environment=False)

    for options in (asyncdl.Options(), asyncdl.Options(use_environment=False, proxy=NOBODY)):
        with pytest.raises(asyncdl.SourceError, match="the proxy cannot be reached"):
            await S3Object("s3://bucket/key", options=options).describe()

    assert 1000 == (await S3Object("s3://bucket/key", options=alone).describe()).size


async def test_no_secret_comes_out(store: Store, aws: Aws, tmp_path: Path) -> None:
    """Of a download that goes well, with every log at its loudest; botocore's own would tell all."""
    store.accounts[KEY] = Account(SECRET, TOKEN, time.time() + 3600)
    aws.env(AWS_SESSION_TOKEN=TOKEN)
    store.put("bucket", "dir/key", 300_000)
    store.buckets["other"] = Bucket(denied=True)
    ears = Ears()

    with ears.listening():
        collection = S3Prefix("s3://bucket/dir/")
        files = [file async for file in collection.files()]
        url = await S3Object("s3://bucket/dir/key")()
        ears.hear(collection, files, url, await fetch(files[0].source, tmp_path / "file"))
        for place in ("s3://other/key", "s3://bucket/dir/nothing"):
            try:
                await fetch(S3Object(place), tmp_path / "other", retry=EAGER)
            except asyncdl.AsyncdlError as error:
                ears.hear_error(error)

    signatures = [part for part in url.url.split("&") if part.startswith("X-Amz-Signature=")]
    assert [] == ears.told([SECRET, TOKEN, *(part.partition("=")[2] for part in signatures)])
    assert ears.heard_of("AccessDenied: Access Denied")
