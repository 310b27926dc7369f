"""Files of the Hugging Face Hub: one under URLs that are renewed, or all of a repository.

    await asyncdl.download(HubFile("org/model", "model.safetensors"), "model.safetensors")

The Hub's answer for a large file is a redirect to a signed URL that lives for an hour or less; when it dies, the Hub is
asked again, for the same commit.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any, Final, TypeVar

from asyncdl.edge.http_ask import Reply
from asyncdl.errors import OptionsError, SourceError
from asyncdl.model import Checksum, SignedUrl
from asyncdl.options import Options, Timeouts
from asyncdl.patterns import Pattern
from asyncdl.sources.contract import RemoteFile
from asyncdl.sources.huggingface_client import HubClient, NoEntryError, next_page
from asyncdl.sources.huggingface_names import MAIN, Place, parse

#: Of a file in LFS (or Xet) the entity tag is its SHA-256; of any other it is git's SHA-1 of a header and the file.
_SHA256: Final = Pattern(r"[0-9a-f]{64}")
_DIGITS: Final = Pattern(r"[0-9]{1,19}")


class _File:
    """The provider of the file at a place, with the client of whoever made it."""

    def __init__(self, place: Place, client: HubClient) -> None:
        self._place, self._client = place, client
        self._checksum: Checksum | None = None

    def __repr__(self) -> str:
        return f"<{self._place}>"

    async def __call__(self, rejected: SignedUrl | None = None) -> SignedUrl:
        """A URL of the file, and what must be sent with it.

        Raises:
            SourceError: the Hub refuses.
            TransferError: the Hub cannot be reached.
        """
        del rejected  # whatever became of it, the Hub is asked for another
        reply, checksum = await self._ask()
        # A small file comes from the Hub itself: under a URL of its commit, whatever has happened to the branch.
        url = reply.target(self._client.options) or self._place.resolve(self._client.endpoint)
        return SignedUrl(url, headers=await self._client.permission(url), checksum=checksum)

    async def describe(self) -> RemoteFile:
        """Its size and, of a file in LFS, its SHA-256, as the Hub says they are.

        Raises:
            SourceError: the Hub refuses.
            TransferError: the Hub cannot be reached.
        """
        reply, checksum = await self._ask()
        size = reply.headers.get("X-Linked-Size")
        if size is None and reply.status == 200 and reply.headers.get("Content-Encoding") is None:
            size = reply.headers.get("Content-Length")
        return RemoteFile(
            name=self._place.path.rpartition("/")[2],
            source=self,
            size=int(size) if size and _DIGITS.fullmatch(size) else None,
            checksum=checksum,
        )

    async def _ask(self) -> tuple[Reply, Checksum | None]:
        reply = await self._client.head(self._place)
        # The header is that of whoever answered last: the Hub's own word, not that of the store behind it.
        self._place = self._place.at(reply.headers.get("X-Repo-Commit"))
        checksum = _sha256((reply.headers.get("X-Linked-Etag") or "").removeprefix("W/").strip('"'))
        if checksum and self._checksum and checksum != self._checksum:
            raise SourceError(f"{self._place}: the Hub has another version of the file by now")
        self._checksum = checksum or self._checksum
        return reply, checksum


class HubFile(_File):
    """An `asyncdl.UrlProvider` of one file of a repository.

        await asyncdl.download(HubFile("org/model", "model.safetensors"), "model.safetensors")

    The SHA-256 of a file in LFS comes along with its URL, and is verified. The first answer pins the commit: a branch
    that moves in the middle of a download does not mix two versions. The token goes to the Hub's own origin only.

    Args:
        repo: as `org/model`.
        path: of the file in the repository.
        revision: branch, tag or commit.
        kind: "models", "datasets" or "spaces".
        token: None takes HF_TOKEN, or what huggingface_hub's login has left in the file HF_TOKEN_PATH,
            $HF_HOME/token or ~/.cache/huggingface/token; "" is none.
        endpoint: of the Hub; None takes HF_ENDPOINT, or https://huggingface.co.
        options: for proxy, certificate authorities and the environment.
        timeouts: `refresh` bounds each question to the Hub.

    Raises:
        OptionsError: nothing can be called that.
    """

    def __init__(
        self,
        repo: str,
        path: str,
        *,
        revision: str = MAIN,
        kind: str = "models",
        token: str | None = None,
        endpoint: str | None = None,
        options: Options = Options(),
        timeouts: Timeouts = Timeouts(),
    ) -> None:
        if not path:
            raise OptionsError("a file in a repository has a path")
        place = Place(repo=repo, revision=revision, path=path, kind=kind)
        super().__init__(place, HubClient(endpoint, token, options, timeouts))


class HubRepo:
    """The `asyncdl.sources.contract.Collection` of a repository, or of a folder or one file in it.

    All files are of the commit that the revision is when they are listed.

    Args:
        path: of a folder or a file; empty for the whole repository. The files' names are relative to the folder.
        repo, revision, kind, token, endpoint, options, timeouts: as those of `HubFile`.

    Raises:
        OptionsError: nothing can be called that.
    """

    def __init__(
        self,
        repo: str,
        path: str = "",
        *,
        revision: str = MAIN,
        kind: str = "models",
        token: str | None = None,
        endpoint: str | None = None,
        options: Options = Options(),
        timeouts: Timeouts = Timeouts(),
    ) -> None:
        self._place = Place(repo=repo, revision=revision, path=path, kind=kind)
        self._client = HubClient(endpoint, token, options, timeouts)

    def __repr__(self) -> str:
        return f"<{self._place}>"

    async def files(self) -> AsyncIterator[RemoteFile]:
        """The files, a page of the Hub's list after the other.

        Raises:
            SourceError: the Hub refuses, or has nothing there.
            TransferError: the Hub cannot be reached.
        """
        self._client.keep()
        if self._place.path:
            try:
                # The commonest case, in one question: the path is that of a file.
                yield await _File(self._place, self._client).describe()
            except NoEntryError:
                pass
            else:
                return
        place = self._place.at(await self._commit())
        empty = True
        async for entry in self._entries(place):
            if entry.get("type") == "file":
                empty = False
                yield self._listed(entry, place)
        if empty:
            raise SourceError(f"{place}: there are no files")

    async def aclose(self) -> None:
        """Close the connections to the Hub."""
        await self._client.aclose()

    async def _commit(self) -> str | None:
        reply = await self._client.get(self._place.commit(self._client.endpoint), self._place)
        commit = _json(reply, dict, self._place).get("sha")
        return commit if isinstance(commit, str) else None

    async def _entries(self, place: Place) -> AsyncIterator[dict[str, Any]]:
        url: str | None = place.tree(self._client.endpoint)
        seen: set[str] = set()
        while url is not None:
            if url in seen:
                raise SourceError(f"{place}: the pages of the Hub's list go in a circle")
            seen.add(url)
            reply = await self._client.get(url, place)
            for entry in _json(reply, list, place):
                if isinstance(entry, dict):
                    yield entry
            url = next_page(reply, self._client.options)

    def _listed(self, entry: dict[str, Any], place: Place) -> RemoteFile:
        path, lfs, size = entry.get("path"), entry.get("lfs"), entry.get("size")
        if not isinstance(path, str):
            raise SourceError(f"{place}: the Hub's list has a file without a path")
        large = lfs if isinstance(lfs, dict) else {}
        name = path.removeprefix(f"{place.path}/") if place.path else path
        return RemoteFile(
            name=name,
            source=_File(place.within(path), self._client),
            size=size if isinstance(size, int) and size >= 0 else None,
            checksum=_sha256(large.get("oid")),
        )


def open_url(url: str, *, options: Options, timeouts: Timeouts) -> HubRepo:
    """What an `hf://` URL stands for: `hf://[datasets/|spaces/]org/repo[@revision][/path]`.

    Raises:
        OptionsError: it stands for nothing.
    """
    place = parse(url)
    return HubRepo(place.repo, place.path, revision=place.revision, kind=place.kind, options=options, timeouts=timeouts)


def _sha256(text: object) -> Checksum | None:
    if isinstance(text, str) and _SHA256.fullmatch(text):
        return Checksum("sha256", bytes.fromhex(text))
    return None


T = TypeVar("T")


def _json(reply: Reply, kind: type[T], place: Place) -> T:
    try:
        found = json.loads(reply.body)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, kind):
        raise SourceError(f"{place}: the Hub's list is not what it should be", hint="check HF_ENDPOINT")
    return found
