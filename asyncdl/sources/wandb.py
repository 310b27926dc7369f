"""W&B artifacts as sources: a provider of URLs for one file, and a collection of all files of an artifact."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Final
from urllib.parse import urlsplit

from asyncdl.errors import OptionsError, SourceError
from asyncdl.model import SignedUrl
from asyncdl.options import Options, Timeouts
from asyncdl.sources.contract import RemoteFile
from asyncdl.sources.wandb_login import Account
from asyncdl.sources.wandb_server import PATIENCE, WandbServer
from asyncdl.sources.wandb_version import PER_PAGE, ArtifactName, ArtifactVersion, Found, parse_url

#: Of `Timeouts.refresh`: a provider that raises is asked once more within it, and both times are to end in words.
_SHARE_OF_REFRESH: Final = 0.4


class _FileUrls:
    """The provider behind both classes below, for one file; `found` is what came with its page."""

    def __init__(self, version: ArtifactVersion, path: str, patience: float, found: Found | None = None) -> None:
        self._version, self._path, self._patience, self._found = version, path, patience, found

    def __repr__(self) -> str:
        return f"WandbFile({str(self._version.name)!r}, {self._path!r})"

    async def __call__(self, rejected: SignedUrl | None = None) -> SignedUrl:
        """A URL of the file: the last one, if it is still fresh and not the one rejected; else a new one.

        Raises:
            OptionsError, SourceError: there are no usable credentials; the server refuses, cannot be reached, or has no
                such artifact or file; or the file lies elsewhere, and not behind an http(s) URL.
        """
        found = await self._ask(rejected)
        if found.file.reference:
            self._check_reference(found.file.url, rejected)
        return SignedUrl(found.file.url, checksum=found.file.checksum)

    async def _ask(self, rejected: SignedUrl | None) -> Found:
        found = self._found
        if found is None or not self._good(found, rejected):
            found = await self._version.file(self._path, self._patience)
            if found is None:
                hint = "its path is that in the artifact, as W&B shows it under Files"
                raise SourceError(f"{self._version.name}: there is no file {self._path!r} in it", hint=hint)
            self._found = found
        return found

    def _good(self, found: Found, rejected: SignedUrl | None) -> bool:
        fresh = self._version.server.clock.monotonic() < found.fresh_until
        return fresh and (rejected is None or rejected.url != found.file.url)

    def _check_reference(self, target: str, rejected: SignedUrl | None) -> None:
        where = f"{self._version.name}: {self._path!r} is a reference to {SignedUrl(target).public}"
        if urlsplit(target).scheme.lower() not in {"http", "https"}:
            raise SourceError(f"{where}, which W&B does not hold", hint="download it from there")
        if rejected is not None and rejected.url == target:
            raise SourceError(f"{where}, which is refused, and which W&B cannot renew", hint="ask who holds it there")


class WandbFile(_FileUrls):
    """An `asyncdl.UrlProvider` for one file of a W&B artifact.

        await asyncdl.download(WandbFile("entity/project/model:v3", "weights.safetensors"), "weights.safetensors")

    Its URL is asked for when the download begins, and by the file's name again whenever it expires. Its MD5 comes along
    with the URL, and is verified.

    Args:
        artifact: `entity/project/artifact:alias`; the alias is followed once.
        path: of the file in the artifact.
        base_url: of the server; None takes WANDB_BASE_URL, the settings file's, or W&B's cloud.
        api_key: None takes WANDB_API_KEY, the entry for the server in ~/.netrc, or the settings file's.
        access_token: sent as a Bearer token instead of a key.
        options: for proxy, certificate authorities and the environment.
        timeouts: `refresh` bounds the questions for one URL, retries included.

    Raises:
        OptionsError: the artifact's name cannot be one.
    """

    def __init__(
        self,
        artifact: str,
        path: str,
        *,
        base_url: str | None = None,
        api_key: str | None = None,
        access_token: str | None = None,
        options: Options = Options(),
        timeouts: Timeouts = Timeouts(),
    ) -> None:
        account = Account(base_url=base_url, api_key=api_key, access_token=access_token)
        version = _version(ArtifactName.parse(artifact), account, options, timeouts)
        super().__init__(version, path, _SHARE_OF_REFRESH * timeouts.refresh)

    async def describe(self) -> RemoteFile:
        """The file with its size and MD5; the download that follows uses the answer's URL.

        Raises:
            OptionsError, SourceError: as above.
        """
        file = (await self._ask(None)).file
        return RemoteFile(name=file.name.rpartition("/")[2], source=self, size=file.size, checksum=file.checksum)


class WandbArtifact:
    """An `asyncdl.sources.contract.Collection`: the files of a W&B artifact, each with its size and MD5.

    They are listed a page at a time. The URL that came with a page is used while it is fresh, so that many files that
    begin together cost no question each; after that each file asks for its own.

    Args:
        artifact: `entity/project/artifact:alias`; the alias is followed once.
        path: only this file, or only the files in this folder; their names are then relative to the folder.
        base_url, api_key, access_token, options: see `WandbFile`.
        timeouts: `refresh` bounds the questions for one URL. A page may take 60 s, and 3 minutes with its retries.
        per_page: files to ask for at a time.

    Raises:
        OptionsError: the artifact's name cannot be one, or `per_page` is no positive number.
    """

    def __init__(
        self,
        artifact: str,
        *,
        path: str = "",
        base_url: str | None = None,
        api_key: str | None = None,
        access_token: str | None = None,
        options: Options = Options(),
        timeouts: Timeouts = Timeouts(),
        per_page: int = PER_PAGE,
    ) -> None:
        if per_page < 1:
            raise OptionsError("a page has at least one file")
        account = Account(base_url=base_url, api_key=api_key, access_token=access_token)
        self._version = _version(ArtifactName.parse(artifact), account, options, timeouts)
        self._path = path
        self._patience = _SHARE_OF_REFRESH * timeouts.refresh
        self._per_page = per_page
        self._open = False

    def __repr__(self) -> str:
        return f"WandbArtifact({str(self._version.name)!r}, path={self._path!r})"

    async def files(self) -> AsyncIterator[RemoteFile]:
        """The files, in the server's order.

        Raises:
            OptionsError, SourceError: there are no usable credentials; the server refuses, cannot be reached, or has no
                such artifact; or there is no file in it or under `path`.
        """
        if not self._open:
            self._open = True
            await self._version.server.__aenter__()
        if self._path and not self._path.endswith("/"):
            found = await self._version.file(self._path, PATIENCE)
            if found is not None:
                yield self._remote(found, found.file.name.rpartition("/")[2])
                return
        folder = f"{self._path.rstrip('/')}/" if self._path else ""
        empty = True
        async with aclosing(self._version.pages(PATIENCE, self._per_page)) as pages:
            async for page in pages:
                for found in page:
                    if found.file.name.startswith(folder):
                        empty = False
                        yield self._remote(found, found.file.name.removeprefix(folder))
        if empty:
            where = f"no file and no folder {self._path!r} in it" if self._path else "no file in it"
            raise SourceError(f"{self._version.name}: there is {where}", hint="W&B shows what there is under Files")

    async def aclose(self) -> None:
        """Close the connections to the server."""
        if self._open:
            self._open = False
            await self._version.server.__aexit__(None, None, None)

    def _remote(self, found: Found, name: str) -> RemoteFile:
        source = _FileUrls(self._version, found.file.name, self._patience, found)
        return RemoteFile(name=name, source=source, size=found.file.size, checksum=found.file.checksum)


def open_url(url: str, *, options: Options, timeouts: Timeouts) -> WandbArtifact:
    """The collection behind `wandb://entity/project/artifact:alias[/path]`. Nothing is sent yet.

    Raises:
        OptionsError: it is no such URL.
    """
    name, path = parse_url(url)
    return WandbArtifact(str(name), path=path, options=options, timeouts=timeouts)


def _version(name: ArtifactName, account: Account, options: Options, timeouts: Timeouts) -> ArtifactVersion:
    return ArtifactVersion(name, WandbServer(str(name), account, options=options, timeouts=timeouts))
