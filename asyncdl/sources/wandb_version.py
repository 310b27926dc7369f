"""One version of a W&B artifact: found once, then its files are listed in pages or looked up by name.

Rule: an alias is followed once. What is listed and renewed later is of the version it named then.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

from asyncdl.errors import OptionsError, SourceError
from asyncdl.rules.expiry import expires_at
from asyncdl.sources.wandb_queries import (
    COMMITTED,
    FILES_BY_ID,
    FILES_BY_MEMBERSHIP,
    MEMBERSHIP_FILES,
    OTHER_DIGESTS,
    VERSION_BY_MEMBERSHIP,
    VERSION_BY_NAME,
    Data,
    ListedFile,
    Page,
    find,
    read_page,
)
from asyncdl.sources.wandb_server import Answer, WandbServer

#: Files a page: their URLs should still live when the last of them is begun. The SDK asks for 5,000.
PER_PAGE: Final = 1000
#: A URL that is this close to its end, in seconds or as a share of its life, is not given to anybody new.
_MARGIN: Final = 6.0
_MARGIN_SHARE: Final = 1 / 20
#: Seconds for which a URL that does not say when it dies is taken for fresh.
_UNKNOWN_LIFE: Final = 60.0
#: Seconds by which the server's clock may be ahead of the Date it sent.
_DATE_RESOLUTION: Final = 1.0
_FORM: Final = "it is written entity/project/artifact:alias"


@dataclass(frozen=True, slots=True, kw_only=True)
class ArtifactName:
    """What an artifact is called; `alias` is `latest`, a version such as `v3`, or another of its aliases."""

    entity: str
    project: str
    collection: str
    alias: str = "latest"

    @classmethod
    def parse(cls, text: str) -> ArtifactName:
        """The name written `entity/project/artifact:alias`; without an alias it is `latest`.

        Raises:
            OptionsError: it is none.
        """
        path, colon, alias = text.partition(":")
        parts = path.split("/")
        if len(parts) != 3 or not all(parts) or (colon and not alias):
            raise OptionsError("that is no W&B artifact", hint=_FORM)
        return cls(entity=parts[0], project=parts[1], collection=parts[2], alias=alias or "latest")

    @property
    def versioned(self) -> str:
        """Artifact and alias."""
        return f"{self.collection}:{self.alias}"

    def __str__(self) -> str:
        return f"{self.entity}/{self.project}/{self.versioned}"


def parse_url(url: str) -> tuple[ArtifactName, str]:
    """The artifact and the path in it of `wandb://entity/project/artifact:alias[/path]`.

    Its parts may be percent-encoded; a slash in an alias, and a question mark or a number sign anywhere, must be.

    Raises:
        OptionsError: it is no such URL.
    """
    scheme, _, rest = url.partition("://")
    if scheme.lower() != "wandb" or "?" in rest or "#" in rest:
        raise OptionsError("that is no URL of a W&B artifact", hint="wandb://entity/project/artifact:alias[/path]")
    parts = rest.split("/")
    collection, colon, alias = parts[2].partition(":") if len(parts) > 2 else ("", "", "")
    names = [unquote(part) for part in (*parts[:2], collection)]
    if len(names) < 3 or not all(names) or (colon and not alias):
        raise OptionsError("that is no URL of a W&B artifact", hint="wandb://entity/project/artifact:alias[/path]")
    name = ArtifactName(entity=names[0], project=names[1], collection=names[2], alias=unquote(alias) or "latest")
    return name, unquote("/".join(parts[3:]))


@dataclass(frozen=True, slots=True)
class Found:
    """A file and for how long its URL can be given away: until that moment of the monotonic clock."""

    file: ListedFile
    fresh_until: float


class ArtifactVersion:
    """The version that an artifact's name stands for. Whoever has many questions enters the server around them."""

    def __init__(self, name: ArtifactName, server: WandbServer) -> None:
        self.name: ArtifactName = name
        self.server: WandbServer = server
        self._place: dict[str, object] | None = None
        self._query = ""
        self._md5_digests = False

    async def pages(self, patience: float, per_page: int) -> AsyncGenerator[list[Found], None]:
        """All files, a page at a time, each within `patience` seconds, and only when the one before has been used up.

        Raises:
            SourceError: the server refused, cannot be reached, or has no such artifact.
        """
        cursors: set[str] = set()
        cursor: str | None = None
        while True:
            page, answer = await self._page({"perPage": per_page} | ({"cursor": cursor} if cursor else {}), patience)
            yield [self._found(file, answer) for file in page.files]
            cursor = page.cursor
            if cursor is None:
                return
            if cursor in cursors:
                raise SourceError(f"{self.name}: W&B lists its files in a circle", hint="report it to its operator")
            cursors.add(cursor)

    async def file(self, path: str, patience: float) -> Found | None:
        """The file of that path with a new URL, within `patience` seconds; None if there is none.

        Raises:
            SourceError: the server refused, cannot be reached, or has no such artifact.
        """
        page, answer = await self._page({"fileNames": [path], "perPage": 1}, patience)
        return next((self._found(file, answer) for file in page.files if file.name == path), None)

    async def _page(self, variables: dict[str, object], patience: float) -> tuple[Page, Answer]:
        deadline = self.server.deadline(patience)
        async with self.server:
            place = await self._found_place(deadline)
            answer = await self.server.ask(self._query, place | variables, deadline)
        membership = ("project", "artifactCollection", "artifactMembership", "files")
        path = membership if self._query is FILES_BY_MEMBERSHIP else ("artifact", "files")
        try:
            return read_page(find(answer.data, *path), md5_digests=self._md5_digests), answer
        except ValueError:
            error = SourceError(f"{self.name}: W&B's answer is no list of files", hint="was the artifact deleted?")
        # Out here without a context: nobody knows what the words of a library repeat.
        raise error

    def _found(self, file: ListedFile, answer: Answer) -> Found:
        dies = expires_at(file.url)
        life = _UNKNOWN_LIFE if dies is None else dies - answer.date - _DATE_RESOLUTION
        return Found(file, answer.asked + life - min(_MARGIN, max(0.0, life) * _MARGIN_SHARE))

    async def _found_place(self, deadline: float) -> dict[str, object]:
        """The variables that name the version."""
        if self._place is None:
            features = await self.server.features(deadline)
            self._md5_digests = OTHER_DIGESTS not in features
            if MEMBERSHIP_FILES in features:
                self._query, self._place = FILES_BY_MEMBERSHIP, await self._by_membership(deadline)
            else:
                self._query, self._place = FILES_BY_ID, await self._by_name(deadline)
        return self._place

    async def _by_membership(self, deadline: float) -> dict[str, object]:
        name = self.name
        place: dict[str, object] = {"entity": name.entity, "project": name.project, "collection": name.collection}
        answer = await self.server.ask(VERSION_BY_MEMBERSHIP, place | {"alias": name.alias}, deadline)
        self._check_project(answer.data)
        if find(answer.data, "project", "artifactCollection") is None:
            hint = f"{name.entity}/{name.project} has no artifact of that name, or this account may not see it"
            raise SourceError(f"{name}: W&B knows no artifact {name.collection!r}", hint=hint)
        membership = find(answer.data, "project", "artifactCollection", "artifactMembership")
        index = find(membership, "versionIndex")
        if membership is None or index is None:
            raise self._no_alias()
        self._check_state(find(membership, "artifact", "state"))
        return place | {"alias": f"v{index}"}

    async def _by_name(self, deadline: float) -> dict[str, object]:
        name = self.name
        variables = {"entity": name.entity, "project": name.project, "name": name.versioned}
        answer = await self.server.ask(VERSION_BY_NAME, variables, deadline)
        self._check_project(answer.data)
        artifact = find(answer.data, "project", "artifact")
        number = find(artifact, "id")
        if number is None:
            raise self._no_alias()
        self._check_state(find(artifact, "state"))
        return {"id": number}

    def _check_project(self, data: Data) -> None:
        if find(data, "project") is None:
            where = f"{self.name.entity}/{self.name.project}"
            hint = "check entity and project, and whether the key is that of an account that may see them"
            raise SourceError(f"{self.name}: W&B knows no project {where}", hint=hint)

    def _no_alias(self) -> SourceError:
        hint = f"{self.name.collection!r} has no such version or alias: try latest, or a version such as v0"
        return SourceError(f"{self.name}: W&B knows no {self.name.versioned!r} there", hint=hint)

    def _check_state(self, state: object) -> None:
        if state != COMMITTED:
            word = str(state).lower()
            raise SourceError(
                f"{self.name}: the artifact is {word}, not committed",
                hint="it can be downloaded once it has been logged, and until it is deleted",
            )
