"""botocore behind S3: its session, its clients and what they are asked, in threads that nobody has to wait for.

Rule: nothing of botocore's runs on the event loop. It reads files, starts programs and asks servers when one expects it
least: while a client is made, and while a URL is signed.
Rule: what botocore raises is explained here, and its log of requests and signatures is kept to itself.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from importlib.util import find_spec
from typing import Any, Final, TypeVar
from urllib.parse import parse_qs, urlsplit
from weakref import WeakValueDictionary

from asyncdl.edge.environment import check_proxy
from asyncdl.edge.provider import in_daemon, sealed
from asyncdl.errors import AsyncdlError, OptionsError, SourceError
from asyncdl.model import HeaderPairs, Headers, SignedUrl
from asyncdl.options import Options, Timeouts
from asyncdl.patterns import Pattern
from asyncdl.rules.expiry import expires_at
from asyncdl.sources.s3_address import Address
from asyncdl.sources.s3_words import explain

T = TypeVar("T")

#: Requests for one question, botocore's own retries included; the whole of it ends with `Timeouts.refresh`.
_ATTEMPTS: Final = 3
#: Tries to sign a URL with credentials that are not renewed at that very moment.
_SIGNINGS: Final = 3
_REGION: Final = Pattern(r"[a-z0-9-]{1,63}")
#: Endpoints of AWS itself; others have path-style URLs, as botocore does it.
_AWS: Final = Pattern(r"s3(?:\.[a-z0-9-]+)?\.amazonaws\.com")
_here: Final = threading.local()
_accounts: Final[WeakValueDictionary[Access, Account]] = WeakValueDictionary()


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """Who asks whom, and how; see `asyncdl.sources.s3.S3Settings`."""

    profile: str | None
    region: str | None
    endpoint_url: str | None
    unsigned: bool
    options: Options
    timeouts: Timeouts


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
        self._session: Any = None
        self._clients: dict[tuple[str | None, bool], Any] = {}
        self._regions: dict[str, str | None] = {}

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
        _here.asking = True
        try:
            return call()
        except AsyncdlError:
            raise
        except Exception as error:  # noqa: BLE001  # botocore's exceptions have no root, and may hold secrets
            fault = explain(error, str(about), profile=self._access.profile or os.environ.get("AWS_PROFILE"))
        finally:
            _here.asking = False
        # Raised out here, so that it does not hang on to the one with the secrets.
        raise fault

    def presign(self, address: Address, *, expires_in: int, requester_pays: bool) -> SignedUrl:
        """A URL of the object, good for `expires_in` seconds or for as long as the credentials, whichever is less."""
        client = self._client(self._region(address.bucket), signer=True)
        parameters = _parameters(address, requester_pays=requester_pays)
        wanted: HeaderPairs = (("x-amz-request-payer", "requester"),) if requester_pays else ()
        # The standard way to switch these checksums off, for the sake of stores that do not know them.
        if getattr(client.meta.config, "response_checksum_validation", None) != "when_required":
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
        answer = self._client(None).head_object(**parameters, ChecksumMode="ENABLED")
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
        if answer.get("IsTruncated") and following in {None, token}:
            raise SourceError(f"{address}: the store's list has no end", hint="is it an S3 store?")
        return Page(objects=[(one["Key"], one["Size"]) for one in answer.get("Contents", ())], token=following)

    def close(self) -> None:
        """Close idle connections; a later question opens new ones."""
        with self._lock:
            clients = list(self._clients.values())
        for client in clients:
            client.close()

    def _region(self, bucket: str) -> str | None:
        """Where the bucket is, as its store says: a URL signed for another region is refused. None: it does not say.

        S3 says it also to those it denies everything else (Amazon S3 API Reference, "HeadBucket").
        """
        from botocore.exceptions import ClientError  # noqa: PLC0415  # an optional package

        if bucket not in self._regions:
            try:
                answer = self._client(None).head_bucket(Bucket=bucket)
            except ClientError as error:
                answer = error.response
                if answer["ResponseMetadata"].get("HTTPStatusCode") == 404:
                    raise
            region = answer["ResponseMetadata"].get("HTTPHeaders", {}).get("x-amz-bucket-region", "")
            self._regions[bucket] = region if _REGION.fullmatch(region) else None
        return self._regions[bucket]

    def _client(self, region: str | None, *, signer: bool = False) -> Any:
        """The client for a region (None: the one of the settings); one that signs URLs has the bucket in their host."""
        with self._lock:
            if self._session is None:
                self._session = _new_session(self._access)
            asker = self._clients.get((None, False)) or self._new_client(None)
            if not signer:
                return asker
            found = self._clients.get((region, True))
            return found or self._new_client(region, asker=asker)

    def _new_client(self, region: str | None, *, asker: Any = None) -> Any:
        import botocore  # noqa: PLC0415  # an optional package
        from botocore.config import Config  # noqa: PLC0415

        access = self._access
        changes: dict[str, object] = {"signature_version": botocore.UNSIGNED if access.unsigned else "s3v4"}
        if asker is not None:
            style = (asker.meta.config.s3 or {}).get("addressing_style")
            # Left alone, botocore signs for s3.amazonaws.com, which sends the young buckets of other regions elsewhere,
            # where the signature does not hold.
            if style in {None, "auto"} and _AWS.fullmatch(urlsplit(asker.meta.endpoint_url).hostname or ""):
                changes["s3"] = {"addressing_style": "virtual"}
        client = self._session.create_client(
            "s3",
            region_name=region or access.region,
            endpoint_url=access.endpoint_url,
            verify=_trusted(self._session, access.options),
            config=Config(**changes),
        )
        _silence()
        self._clients[region, asker is not None] = client
        return client


def _new_session(access: Access) -> Any:
    from botocore.config import Config  # noqa: PLC0415  # an optional package
    from botocore.session import Session  # noqa: PLC0415

    options, timeouts = access.options, access.timeouts
    proxies = {} if not options.use_environment else None
    if options.proxy:
        proxies = dict.fromkeys(("http", "https"), check_proxy(options.proxy))
    session = Session(profile=access.profile)
    _silence()
    # For the clients of STS and SSO, which botocore makes itself, as well as for ours.
    session.set_default_client_config(
        Config(
            connect_timeout=min(timeouts.connect, timeouts.refresh),
            read_timeout=min(timeouts.response, timeouts.refresh),
            retries={"total_max_attempts": _ATTEMPTS},
            proxies=proxies,
        )
    )
    if options.ca_file is not None:
        session.set_config_variable("ca_bundle", str(options.ca_file))
    roles = session.get_component("credential_provider").get_provider("assume-role")
    if hasattr(roles, "_prompter"):
        roles._prompter = _no_prompt  # noqa: SLF001  # botocore has no public way
    return session


def _no_prompt(_: str) -> str:
    """Stand in for getpass(): it would wait at the terminal, without an echo, long after nobody listens any more."""
    hint = "get session credentials with the AWS CLI, and use those"
    raise SourceError("the profile asks for an MFA code", hint=hint)


def _trusted(session: Any, options: Options) -> str | bool | None:
    """What botocore is told of certificates. By itself it looks at AWS_CA_BUNDLE and REQUESTS_CA_BUNDLE."""
    if options.ca_file is not None:
        return str(options.ca_file)
    if not options.use_environment:
        return True
    others = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")
    return session.get_config_variable("ca_bundle") or next(filter(None, map(os.environ.get, others)), None)


def _parameters(address: Address, *, requester_pays: bool) -> dict[str, object]:
    parameters: dict[str, object] = {"Bucket": address.bucket, "Key": address.key}
    if address.version is not None:
        parameters["VersionId"] = address.version
    if requester_pays:
        parameters["RequestPayer"] = "requester"
    return parameters


def _end_of(credentials: Any) -> float | None:
    """When the credentials die, in seconds since the epoch, after botocore has renewed them where it thought fit."""
    if credentials is None:
        return None
    credentials.get_frozen_credentials()
    end = getattr(credentials, "_expiry_time", None)  # botocore has no public name for it
    return end.timestamp() if isinstance(end, datetime) else None


def _discreet(record: logging.LogRecord) -> bool:
    """Whether a record of botocore's may be seen: at DEBUG it tells requests with their signatures, and STS's answers."""
    if getattr(_here, "asking", False):
        record.exc_info = None
        return record.levelno > logging.DEBUG
    return True


def _silence() -> None:
    """Put the filter on all loggers that are there by now; those of others' threads go on as they were."""
    for name, logger in list(logging.root.manager.loggerDict.items()):
        if name.partition(".")[0] in {"botocore", "urllib3"} and isinstance(logger, logging.Logger):
            logger.addFilter(_discreet)
