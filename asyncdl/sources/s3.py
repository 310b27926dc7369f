"""Objects of Amazon S3 and its likes, one or all under a prefix, behind URLs that are signed anew before they die.

    await asyncdl.download(S3Object("s3://bucket/model.bin"), "model.bin")

Needs botocore, the extra `s3`. Credentials, region and endpoint come from where the AWS CLI has them: AWS_PROFILE,
AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL_S3 and the like, ~/.aws/config, SSO, roles of the machine.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from typing import Final, TypedDict, Unpack

from asyncdl.edge.hashing import available
from asyncdl.errors import OptionsError, SourceError
from asyncdl.model import Checksum, SignedUrl
from asyncdl.options import Options, Timeouts
from asyncdl.rules.promises import promised, to_verify
from asyncdl.rules.urls import check_url
from asyncdl.sources.contract import Collection, RemoteFile
from asyncdl.sources.s3_account import Account, account_for
from asyncdl.sources.s3_address import Address, read_address
from asyncdl.sources.s3_session import Access

#: Seconds; seven days are the most that a signature of version 4 can be good for (S3 API Reference, X-Amz-Expires).
LONGEST_LIFE: Final = 604_800


class S3Settings(TypedDict, total=False):
    """Who asks, whom, and how. Objects with the same settings share one botocore session.

    Attributes:
        profile: of ~/.aws/config; otherwise AWS_PROFILE, or the default one.
        region: to ask first; a bucket's own is learnt from its store.
        endpoint_url: of a store that is not AWS's; otherwise AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL or the profile's.
        unsigned: without credentials, for objects that everybody may read.
        requester_pays: the account of the credentials pays for what is sent.
        expires_in: whole seconds each URL is good for, at most seven days (3600). It dies earlier where session
            credentials do, and a new one is signed in time.
        options: for the proxy, the certificate authorities and the environment.
        timeouts: `connect` and `response` for each request, `refresh` for each question with its retries.
    """

    profile: str | None
    region: str | None
    endpoint_url: str | None
    unsigned: bool
    requester_pays: bool
    expires_in: int
    options: Options
    timeouts: Timeouts


@dataclass(frozen=True, slots=True, kw_only=True)
class _Terms:
    """Settings that have been read."""

    account: Account
    requester_pays: bool
    expires_in: int
    unsigned: bool


class S3Object:
    """One object: an `asyncdl.UrlProvider` that presigns GetObject, and a collection of one file.

    The URLs ask S3 for the object's own checksum. S3 sends it with a body that is the whole object; for one that is
    fetched in parts, `describe()` gets it.

    Args:
        where: an s3:// URL, in which the key stands as it is and `?versionId=` may follow it; or a bucket.
        key: with a bucket.
        version_id: of an object in a bucket that keeps versions.
        settings: see `S3Settings`.

    Raises:
        OptionsError: the address or a setting cannot be used, or botocore is not installed.
    """

    def __init__(
        self, where: str, key: str | None = None, *, version_id: str | None = None, **settings: Unpack[S3Settings]
    ) -> None:
        self._address = read_address(where, key, version_id)
        if not self._address.key:
            raise OptionsError(f"{self._address} is a bucket, and no object", hint="S3Prefix is for all it holds")
        self._terms = _read_settings(settings)

    @classmethod
    def _of(cls, address: Address, terms: _Terms) -> S3Object:
        made = cls.__new__(cls)
        made._address, made._terms = address, terms  # noqa: SLF001  # its own
        return made

    def __repr__(self) -> str:
        return f"S3Object({str(self._address)!r})"

    async def __call__(self, rejected: SignedUrl | None = None) -> SignedUrl:
        """A URL signed now; it says of itself when it dies.

        Raises:
            SourceError: there are no credentials, or no such bucket, or the store cannot be asked.
        """
        account, terms = self._terms.account, self._terms
        if rejected is not None and terms.unsigned:
            hint = "it is not public: leave unsigned=True out, and give credentials"
            raise SourceError(f"{self._address}: refused to those without credentials", hint=hint)
        sign = partial(account.presign, self._address, expires_in=terms.expires_in, requester_pays=terms.requester_pays)
        return await account.ask(sign, self._address)

    async def describe(self) -> RemoteFile:
        """The object's size, and its checksum if S3 has one of the whole object that can be computed here.

        Raises:
            SourceError: there is no such object, or the store cannot be asked, or refuses.
        """
        account, pays = self._terms.account, self._terms.requester_pays

        def look() -> tuple[int, Checksum | None]:
            size, headers = account.head(self._address, requester_pays=pays)
            promises = promised(headers, whole=True)
            # In the thread too: the first question about some algorithms loads a library.
            computable = {promise.algorithm for promise in promises if available(promise.algorithm)}
            return size, to_verify(None, promises, computable)

        size, checksum = await account.ask(look, self._address)
        return RemoteFile(name=self._address.name, source=self, size=size, checksum=checksum)

    async def files(self) -> AsyncIterator[RemoteFile]:
        """The object alone, as `describe()` has it."""
        yield await self.describe()

    async def aclose(self) -> None:
        """Close idle connections to the store."""
        await self._terms.account.ask(self._terms.account.close, self._address)


class S3Prefix:
    """All objects whose keys begin with a prefix, as a collection.

    Names are relative to the prefix up to its last slash. Keys that end in a slash and have no bytes are what consoles
    make of folders, and are left out. Entity tags are not taken for checksums.

    Args:
        where: an s3:// URL that ends in a slash, or of a bucket alone, for all it holds; or a bucket.
        prefix: with a bucket; it may end anywhere.
        settings: see `S3Settings`.

    Raises:
        OptionsError: the address or a setting cannot be used, or botocore is not installed.
    """

    def __init__(self, where: str, prefix: str | None = None, **settings: Unpack[S3Settings]) -> None:
        self._address = read_address(where, prefix, None)
        if self._address.version is not None or (prefix is None and not self._address.is_prefix):
            raise OptionsError(f"{self._address} is one object", hint="a URL of all under a prefix ends in a slash")
        self._terms = _read_settings(settings)

    def __repr__(self) -> str:
        return f"S3Prefix({str(self._address)!r})"

    async def files(self) -> AsyncIterator[RemoteFile]:
        """The files, listed a page at a time.

        Raises:
            SourceError: nothing lies under the prefix, or the store cannot be asked, or refuses.
        """
        address, account, found = self._address, self._terms.account, False
        token: str | None = None
        tokens: set[str] = set()
        cut = address.key.rfind("/") + 1
        while True:
            ask = partial(account.page, address, token, requester_pays=self._terms.requester_pays)
            page = await account.ask(ask, address)
            for key, size in page.objects:
                if not size and key.endswith("/"):
                    continue
                found = True
                source = S3Object._of(Address(bucket=address.bucket, key=key), self._terms)  # noqa: SLF001
                yield RemoteFile(name=key[cut:] or key, source=source, size=size)
            token = page.token
            if token is None:
                break
            if token in tokens:
                raise SourceError(f"{address}: the store's list has no end", hint="is it an S3 store?")
            tokens.add(token)
        if not found:
            raise SourceError(
                f"{address}: there are no files", hint="check the prefix; one object has no slash at its end"
            )

    async def aclose(self) -> None:
        """Close idle connections to the store."""
        await self._terms.account.ask(self._terms.account.close, self._address)


def open_url(url: str, *, options: Options, timeouts: Timeouts) -> Collection:
    """The collection behind an s3:// URL: all under a prefix if it ends in a slash, or is of a bucket; else one object.

    Raises:
        OptionsError: the URL means nothing, or botocore is not installed.
    """
    if read_address(url, None, None).is_prefix:
        return S3Prefix(url, options=options, timeouts=timeouts)
    return S3Object(url, options=options, timeouts=timeouts)


def _read_settings(settings: S3Settings) -> _Terms:
    unknown = settings.keys() - S3Settings.__annotations__.keys()
    if unknown:
        raise TypeError(f"no such setting: {', '.join(sorted(unknown))}")
    life = settings.get("expires_in", 3600)
    if not isinstance(life, int) or isinstance(life, bool) or not 1 <= life <= LONGEST_LIFE:
        raise OptionsError(f"expires_in must be a whole number of seconds from 1 to {LONGEST_LIFE}")
    for name in ("profile", "region", "endpoint_url"):
        value = settings.get(name)
        if value is not None and not (isinstance(value, str) and value):
            raise OptionsError(f"{name} must be a str with something in it, or None")
    endpoint_url = settings.get("endpoint_url")
    if endpoint_url is not None:
        check_url(endpoint_url)
    unsigned, requester_pays = settings.get("unsigned", False), settings.get("requester_pays", False)
    if unsigned and requester_pays:
        raise OptionsError("who asks without credentials cannot pay", hint="leave out unsigned or requester_pays")
    access = Access(
        profile=settings.get("profile"),
        region=settings.get("region"),
        endpoint_url=endpoint_url,
        unsigned=bool(unsigned),
        options=settings.get("options") or Options(),
        timeouts=settings.get("timeouts") or Timeouts(),
    )
    return _Terms(
        account=account_for(access), requester_pays=bool(requester_pays), expires_in=life, unsigned=bool(unsigned)
    )
