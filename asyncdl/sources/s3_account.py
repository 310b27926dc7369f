"""botocore behind S3: its session, its clients and what they are asked, in threads that nobody has to wait for.

Rule: nothing of botocore's runs on the event loop. It reads files, starts programs and asks servers when one expects it
least: while a client is made, and while a URL is signed.
Rule: what botocore raises is explained here, and its log of requests and signatures is kept to itself.
"""

from __future__ import annotations

import asyncio
import os
import threading
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from importlib.util import find_spec
from typing import Any, Final, TypeAlias, TypeVar
from urllib.parse import parse_qs, urlsplit

from asyncdl.edge.provider import in_daemon, sealed
from asyncdl.errors import AsyncdlError, OptionsError, SourceError
from asyncdl.model import HeaderPairs, Headers, SignedUrl
from asyncdl.patterns import Pattern
from asyncdl.rules.expiry import expires_at
from asyncdl.sources.s3_address import Address
from asyncdl.sources.s3_session import Access, Client, Session, new_client, new_session, quiet
from asyncdl.sources.s3_words import explain

T = TypeVar("T")
#: botocore has no types.
Credentials: TypeAlias = Any

#: Tries to sign a URL with credentials that are not renewed at that very moment.
_SIGNINGS: Final = 3
_REGION: Final = Pattern(r"[a-z0-9-]{1,63}")
_accounts: Final[weakref.WeakValueDictionary[Access, Account]] = weakref.WeakValueDictionary()


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A part of a listing: keys and sizes, and what to ask for the next part with."""

    objects: list[tuple[str, int]]
    token: str | None


def account_for(access: Access) -> Account:
    """The account with these settings: one for all who have the same, as long as one of them lives.

    Raises:
        OptionsError: botocore is not installed.
    """
    account = _accounts.get(access)
    if account is None:
        if find_spec("botocore") is None:
            raise OptionsError("s3:// URLs need the package botocore", hint="pip install 'asyncdl[s3]'")
        account = _accounts[access] = Account(access)
    return account


class Account:
    """A botocore session with its clients, made when first needed. All methods but `ask` block."""

    def __init__(self, access: Access) -> None:
        self._access = access
        # Held while a client is made: two threads would read all files twice, and ask twice for a password.
        self._lock = threading.Lock()
        # Held while a bucket's region is asked for, so that many files ask once.
        self._asking = threading.Lock()
        self._session: Session = None
        self._clients: dict[tuple[str | None, bool], Client] = {}
        self._regions: dict[str, str | None] = {}
        # Its sockets would be closed by the garbage collector, which complains.
        weakref.finalize(self, _close, self._clients)

    async def ask(self, call: Callable[[], T], about: Address) -> T:
        """The outcome of a call that blocks, in a thread of its own, within `Timeouts.refresh`.

        Raises:
            SourceError: the store or the credentials failed, or there was no answer in time.
        """
        patience = self._access.timeouts.refresh
        bound = asyncio.timeout(patience)
        try:
            async with bound:
                return (await in_daemon(lambda: sealed(lambda: self._explained(call, about))))()
        except TimeoutError:
            if not bound.expired():
                raise
        hint = "check the network and the profile, or raise Timeouts.refresh (--refresh-timeout)"
        raise SourceError(f"{about}: no answer within {patience:g} s", hint=hint)

    def _explained(self, call: Callable[[], T], about: Address) -> T:
        try:
            with quiet():
                return call()
        except AsyncdlError:
            raise
        except Exception as error:  # noqa: BLE001  # botocore's exceptions have no root, and may hold secrets
            fault = explain(error, str(about), profile=self._access.profile or os.environ.get("AWS_PROFILE"))
        # Raised out here, so that it does not hang on to the one with the secrets.
        raise fault

    def presign(self, address: Address, *, expires_in: int, requester_pays: bool) -> SignedUrl:
        """A URL of the object, good for `expires_in` seconds or for as long as the credentials, whichever is less."""
        client = self._client(self._region(address.bucket), signer=True)
        parameters = _parameters(address, requester_pays=requester_pays)
        wanted: HeaderPairs = (("x-amz-request-payer", "requester"),) if requester_pays else ()
        if _wants_checksums(client):
            parameters["ChecksumMode"] = "ENABLED"
            wanted += (("x-amz-checksum-mode", "ENABLED"),)
        if self._access.unsigned:
            return SignedUrl(client.generate_presigned_url("get_object", Params=parameters), headers=wanted)
        credentials = self._session.get_credentials()
        url, ends = "", []
        for _ in range(_SIGNINGS):
            ends = [_end_of(credentials)]
            url = client.generate_presigned_url("get_object", Params=parameters, ExpiresIn=expires_in)
            ends.append(_end_of(credentials))
            if ends[0] == ends[1]:
                break
        signed = parse_qs(urlsplit(url).query).get("X-Amz-SignedHeaders", [""])[0].split(";")
        return SignedUrl(
            url,
            expires_at=min((end for end in (expires_at(url), *ends) if end is not None), default=None),
            headers=tuple(pair for pair in wanted if pair[0] in signed),
        )

    def head(self, address: Address, *, requester_pays: bool) -> tuple[int, Headers]:
        """The object's size, and all headers of S3's answer."""
        parameters = _parameters(address, requester_pays=requester_pays)
        client = self._client(None)
        if _wants_checksums(client):
            parameters["ChecksumMode"] = "ENABLED"
        answer = client.head_object(**parameters)
        return answer["ContentLength"], Headers(answer["ResponseMetadata"]["HTTPHeaders"].items())

    def page(self, address: Address, token: str | None, *, requester_pays: bool) -> Page:
        """The next objects whose keys begin with the address's; by S3's own bound 1,000 of them."""
        parameters: dict[str, object] = {"Bucket": address.bucket, "Prefix": address.key}
        if token is not None:
            parameters["ContinuationToken"] = token
        if requester_pays:
            parameters["RequestPayer"] = "requester"
        answer = self._client(None).list_objects_v2(**parameters)
        following = answer.get("NextContinuationToken") if answer.get("IsTruncated") else None
        if answer.get("IsTruncated") and following is None:
            raise SourceError(f"{address}: the store's list has no end", hint="is it an S3 store?")
        return Page(objects=[(one["Key"], one["Size"]) for one in answer.get("Contents", ())], token=following)

    def close(self) -> None:
        """Close idle connections; a later question opens new ones."""
        _close(self._clients)

    def _region(self, bucket: str) -> str | None:
        """Where the bucket is, as its store says: a URL signed for another region is refused. None: it does not say.

        S3 says it also to those it denies everything else (Amazon S3 API Reference, "HeadBucket").
        """
        from botocore.exceptions import ClientError  # noqa: PLC0415  # an optional package

        with self._asking:
            if bucket in self._regions:
                return self._regions[bucket]
            try:
                answer = self._client(None).head_bucket(Bucket=bucket)
            except ClientError as error:
                if error.operation_name != "HeadBucket":
                    raise
                answer = error.response
            metadata = answer["ResponseMetadata"]
            status = metadata.get("HTTPStatusCode", 0)
            if status == HTTPStatus.NOT_FOUND:
                raise ClientError(answer, "HeadBucket")
            region = metadata.get("HTTPHeaders", {}).get("x-amz-bucket-region", "")
            found: str | None = region if _REGION.fullmatch(region) else None
            # A store that says nothing is asked once; an answer to credentials that have expired is none.
            if found or (status < HTTPStatus.INTERNAL_SERVER_ERROR and status != HTTPStatus.BAD_REQUEST):
                self._regions[bucket] = found
            return found

    def _client(self, region: str | None, *, signer: bool = False) -> Client:
        """The client for a region (None: the one of the settings); one that signs URLs has the bucket in their host."""
        with self._lock:
            if self._session is None:
                self._session = new_session(self._access)
            asker = self._clients.get((None, False))
            if asker is None:
                asker = self._clients[None, False] = new_client(self._session, self._access, None)
            if not signer:
                return asker
            found = self._clients.get((region, True))
            if found is None:
                found = self._clients[region, True] = new_client(self._session, self._access, region, asker)
            return found


def _close(clients: dict[tuple[str | None, bool], Client]) -> None:
    for client in list(clients.values()):
        client.close()


def _parameters(address: Address, *, requester_pays: bool) -> dict[str, object]:
    parameters: dict[str, object] = {"Bucket": address.bucket, "Key": address.key}
    if address.version is not None:
        parameters["VersionId"] = address.version
    if requester_pays:
        parameters["RequestPayer"] = "requester"
    return parameters


def _wants_checksums(client: Client) -> bool:
    """Whether they were not switched off, as AWS's tools have it for stores that do not know them.

    AWS SDKs and Tools Reference Guide, "Data Integrity Protections for Amazon S3": AWS_RESPONSE_CHECKSUM_VALIDATION.
    """
    return getattr(client.meta.config, "response_checksum_validation", None) != "when_required"


def _end_of(credentials: Credentials) -> float | None:
    """When the credentials die, in seconds since the epoch, after botocore has renewed them where it thought fit."""
    if credentials is None:
        return None
    credentials.get_frozen_credentials()
    end = getattr(credentials, "_expiry_time", None)  # botocore has no public name for it
    return end.timestamp() if isinstance(end, datetime) else None
