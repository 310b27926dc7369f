"""A W&B server for tests: its GraphQL API, executed by graphql-core, before an origin whose URLs expire.

Every operation is validated against the schema and executed as written; W&B's own SDK downloads from it.
"""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Self
from urllib.parse import quote

from aiohttp import BasicAuth, web
from graphql import OperationDefinitionNode, build_schema, graphql, parse

from asyncdl.testing import Content, Origin
from tests.support.wandb_schema import FEATURES, Flavour, schema_of

#: W&B's keys have 40 characters or more.
KEY = "0123456789abcdef0123456789abcdef01234567"
TOKEN = "access-token-of-the-test"
IDENTITY = "aGVhZGVy.cGF5bG9hZA.c2lnbmF0dXJl"
_WHEN = "2026-01-01T00:00:00Z"


@lru_cache(maxsize=4096)
def _md5(content: Content) -> bytes:
    digest = hashlib.md5(usedforsecurity=False)
    for block in content.blocks(0, content.size):
        digest.update(block)
    return digest.digest()


@dataclass(frozen=True, kw_only=True)
class StoredFile:
    """A file of an artifact; one with a `reference` lies there, and its `content` is empty."""

    path: str
    content: Content
    reference: str | None = None

    @property
    def md5(self) -> str:
        """As W&B writes it, in base64."""
        return base64.b64encode(_md5(self.content)).decode()

    @property
    def place(self) -> str:
        """Its path on the origin; what has the same content lies in the same place."""
        return f"/bucket/{_md5(self.content).hex()}"


@dataclass(kw_only=True)
class Version:
    """One version of a collection."""

    entity: str
    project: str
    collection: str
    index: int
    files: list[StoredFile]
    aliases: list[str] = field(default_factory=list)
    state: str = "COMMITTED"

    @property
    def id(self) -> str:
        # The SDK decodes it.
        return base64.b64encode(f"Artifact:{self.collection}:{self.index}".encode()).decode()

    @property
    def names(self) -> set[str]:
        return {f"v{self.index}", *self.aliases}


@dataclass(frozen=True)
class Asked:
    """One operation that was executed."""

    name: str
    variables: Mapping[str, Any]


class WandbTestServer:
    """Serves artifacts; the files come from `origin` under URLs that live `ttl` seconds.

    Attributes:
        asked: the operations that were executed, in order.
        requests: HTTP requests of any kind.
        answers: what the next requests for the API get instead of an answer, in order.
        exchanges: likewise, those for an access token.
        urls: that were handed out, in order.
        forbidden: keys that are known, and may see nothing.
        md5: whether files have an `md5` beside their digest.
        error_status: of responses to operations that do not fit the schema.
    """

    def __init__(self, origin: Origin, *, flavour: Flavour = "new", ttl: float = 3600.0, skin: str = "gcs") -> None:
        self.origin, self.flavour, self.ttl, self.skin = origin, flavour, ttl, skin
        self.asked: list[Asked] = []
        self.requests = 0
        self.answers: list[Callable[[], web.Response]] = []
        self.exchanges: list[Callable[[], web.Response]] = []
        self.forbidden: set[str] = set()
        self.features = dict(FEATURES)
        self.md5 = True
        self.error_status = 200
        self.urls: list[str] = []
        self._versions: list[Version] = []
        self._schema = build_schema(schema_of(flavour))
        self._seeds = itertools.count(100)
        app = web.Application()
        app.router.add_post("/graphql", self._graphql)
        app.router.add_post("/oidc/token", self._token)
        app.router.add_get("/manifest/{number}", self._manifest)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        self.base_url = ""

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.base_url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    def add(self, name: str, files: Mapping[str, int | str], *aliases: str) -> Version:
        """Log another version of `entity/project/collection`; the aliases, and latest, move to it.

        Args:
            files: sizes in bytes, or what a reference refers to, by path.
        """
        entity, project, collection = name.split("/")
        older = [version for version in self._versions if name == _name(version)]
        for version in older:
            version.aliases = [alias for alias in version.aliases if alias not in {"latest", *aliases}]
        stored = [self._stored(path, what) for path, what in files.items()]
        version = Version(
            entity=entity,
            project=project,
            collection=collection,
            index=len(older),
            files=stored,
            aliases=["latest", *aliases],
        )
        self._versions.append(version)
        return version

    def forget(self) -> None:
        """Delete every artifact, and the projects with them."""
        self._versions.clear()

    def operations(self, name: str) -> list[Mapping[str, Any]]:
        """The variables of each operation of that name."""
        return [asked.variables for asked in self.asked if asked.name == name]

    def _stored(self, path: str, what: int | str) -> StoredFile:
        if isinstance(what, str):
            return StoredFile(path=path, content=Content(0, 0), reference=what)
        seed = next(self._seeds)
        file = StoredFile(path=path, content=Content(seed, what))
        self.origin.add(file.place, what, seed=seed)
        self.origin.require_signature(file.place)
        return file

    # What comes over HTTP.

    async def _graphql(self, request: web.Request) -> web.Response:
        self.requests += 1
        if self.answers:
            return self.answers.pop(0)()
        refusal = self._refusal(request)
        if refusal is not None:
            return refusal
        body = await request.json()
        variables = body.get("variables") or {}
        result = await graphql(
            self._schema, body["query"], self._query(), None, variables, body.get("operationName") or None
        )
        [operation] = [node for node in parse(body["query"]).definitions if isinstance(node, OperationDefinitionNode)]
        name = operation.name.value if operation.name else ""
        self.asked.append(Asked(name, variables))
        if result.errors:
            # With the quotes of W&B's server, by which its SDK knows an old one.
            errors = [{"message": error.message.replace("'", '"')} for error in result.errors]
            return web.json_response({"errors": errors, "data": result.data}, status=self.error_status)
        return web.json_response({"data": result.data})

    def _refusal(self, request: web.Request) -> web.Response | None:
        header = request.headers.get("Authorization", "")
        if header == f"Bearer {TOKEN}":
            return None
        user, password = "", ""
        if header.startswith("Basic "):
            basic = BasicAuth.decode(header)
            user, password = basic.login, basic.password
        if user == "api" and password in self.forbidden:
            return web.json_response({"errors": [{"message": "permission denied"}]}, status=403)
        if (user, password) == ("api", KEY):
            return None
        # Some servers repeat what they were sent.
        return web.json_response({"errors": [f"invalid credentials: {header} {password}"]}, status=401)

    async def _token(self, request: web.Request) -> web.Response:
        self.requests += 1
        if self.exchanges:
            return self.exchanges.pop(0)()
        form = await request.post()
        grant = "urn:ietf:params:oauth:grant-type:jwt-bearer"
        if form.get("grant_type") != grant or form.get("assertion") != IDENTITY:
            words = f"no such token: {form.get('assertion')!s}"
            return web.json_response({"error": "invalid_grant", "error_description": words}, status=401)
        return web.json_response({"access_token": TOKEN, "expires_in": 3600})

    async def _manifest(self, request: web.Request) -> web.Response:
        version = next(version for version in self._versions if version.id == request.match_info["number"])
        contents = {file.path: _entry(file, version) for file in version.files}
        manifest = {
            "version": 1,
            "storagePolicy": "wandb-storage-policy-v1",
            "storagePolicyConfig": {"storageLayout": "V2"},
            "contents": contents,
        }
        return web.Response(text=json.dumps(manifest), content_type="application/json")

    # What the schema's fields resolve to: dicts, and functions where there are arguments.

    def _query(self) -> dict[str, Any]:
        return {
            "viewer": {
                "id": "VXNlcjox",
                "entity": "team",
                "username": "tester",
                "name": "Tester",
                "flags": "{}",
                "admin": False,
                "teams": {"edges": []},
            },
            "serverInfo": {
                "cliVersionInfo": {"max_cli_version": "0.99.0"},
                "features": [{"name": name, "isEnabled": on} for name, on in self.features.items()],
            },
            "artifact": self._by_id,
            "project": self._project,
        }

    def _by_id(self, info: object, **arguments: str) -> dict[str, Any] | None:
        return self._artifact(next((version for version in self._versions if arguments["id"] == version.id), None))

    def _project(self, info: object, name: str, entityName: str = "team") -> dict[str, Any] | None:  # noqa: N803
        versions = [version for version in self._versions if (entityName, name) == (version.entity, version.project)]
        if not versions:
            return None

        def named(info: object, name: str, **_: object) -> Version | None:
            collection, _colon, alias = name.partition(":")
            return _one(versions, collection, alias or "latest")

        def collection(info: object, name: str) -> dict[str, Any] | None:
            some = next((version for version in versions if name == version.collection), None)
            return self._collection(some) if some else None

        return {
            **self._project_node(versions[0]),
            "artifact": lambda info, **arguments: self._artifact(named(info, **arguments)),
            "artifactCollectionMembership": lambda info, **arguments: self._membership(named(info, **arguments)),
            "artifactType": lambda info, name: {
                "id": "VHlwZTox",
                "name": name,
                "artifact": lambda info, **arguments: self._artifact(named(info, **arguments)),
            },
            "artifactCollection": collection,
        }

    def _project_node(self, version: Version) -> dict[str, Any]:
        return {
            "id": "UHJvamVjdDox",
            "internalId": "UHJvamVjdEludGVybmFsSWQ6MQ==",
            "name": version.project,
            "entityName": version.entity,
            "entity": {"id": "RW50aXR5OjE=", "name": version.entity},
        }

    def _collection(self, version: Version) -> dict[str, Any]:
        return {
            "__typename": "ArtifactSequence",
            "id": "Q29sbGVjdGlvbjox",
            "name": version.collection,
            "project": self._project_node(version),
            "artifactMembership": lambda info, aliasName: self._membership(  # noqa: N803
                _one([one for one in self._versions if _name(one) == _name(version)], version.collection, aliasName)
            ),
        }

    def _membership(self, version: Version | None) -> dict[str, Any] | None:
        if version is None:
            return None
        return {
            "id": f"TWVtYmVyOj{version.index}",
            "versionIndex": version.index,
            "createdAt": _WHEN,
            "aliases": self._aliases(version),
            "artifactCollection": self._collection(version),
            "artifact": self._artifact(version),
            "files": self._files(version),
        }

    def _aliases(self, version: Version) -> list[dict[str, Any]]:
        return [
            {"id": f"QWxpYXM6{alias}", "alias": alias, "artifactCollection": self._collection(version)}
            for alias in sorted(version.names)
        ]

    def _artifact(self, version: Version | None) -> dict[str, Any] | None:
        if version is None:
            return None
        return {
            "id": version.id,
            "artifactSequence": self._collection(version),
            "versionIndex": version.index,
            "artifactType": {"id": "VHlwZTox", "name": "model"},
            "metadata": "{}",
            "ttlDurationSeconds": -1,
            "ttlIsInherited": True,
            "tags": [],
            "state": version.state,
            "size": sum(file.content.size for file in version.files),
            "digest": hashlib.md5(version.id.encode(), usedforsecurity=False).hexdigest(),
            "fileCount": len(version.files),
            "createdAt": _WHEN,
            "aliases": lambda info: self._aliases(version),
            "currentManifest": {
                "id": "TWFuaWZlc3Q6MQ==",
                "file": {
                    "id": "RmlsZTow",
                    "name": "wandb_manifest.json",
                    "sizeBytes": 1,
                    "directUrl": f"{self.base_url}/manifest/{quote(version.id, safe='')}",
                },
            },
            "files": self._files(version),
        }

    def _files(self, version: Version) -> Callable[..., dict[str, Any]]:
        def files(
            info: object, names: list[str] | None = None, after: str | None = None, first: int | None = None
        ) -> dict[str, Any]:
            chosen = [file for file in version.files if names is None or file.path in names]
            start = int(base64.b64decode(after)) if after else 0
            stop = start + (50 if first is None else first)
            cursors = [base64.b64encode(str(place + 1).encode()).decode() for place in range(len(chosen))]
            edges = [
                {"node": self._file(file), "cursor": cursor}
                for file, cursor in zip(chosen[start:stop], cursors[start:stop], strict=True)
            ]
            page = {"endCursor": edges[-1]["cursor"] if edges else None, "hasNextPage": stop < len(chosen)}
            return {"edges": edges, "pageInfo": page, "totalCount": len(chosen)}

        return files

    def _file(self, file: StoredFile) -> dict[str, Any]:
        if file.reference is None:
            url = self.origin.presign(file.place, ttl=self.ttl, skin=self.skin)
            self.urls.append(url)
            path, md5 = f"{self.base_url}/artifactsV2{file.place}", file.md5
        else:
            path = url = file.reference
            md5 = None
        return {
            "id": f"RmlsZTo{base64.b64encode(file.path.encode()).decode()}",
            "name": file.path,
            "displayName": file.path,
            "url": path,
            "sizeBytes": file.content.size,
            "digest": md5 or "an-etag",
            "md5": md5 if self.md5 else None,
            "directUrl": url,
        }


def busy(status: int = 503, **headers: str) -> Callable[[], web.Response]:
    """An answer that is no GraphQL."""
    return lambda: web.Response(status=status, text="<html>busy</html>", headers=headers)


def _name(version: Version) -> str:
    return f"{version.entity}/{version.project}/{version.collection}"


def _one(versions: Iterable[Version], collection: str, alias: str) -> Version | None:
    return next((v for v in versions if collection == v.collection and alias in v.names), None)


def _entry(file: StoredFile, version: Version) -> dict[str, Any]:
    if file.reference is not None:
        return {"digest": "an-etag", "ref": file.reference}
    return {"digest": file.md5, "size": file.content.size, "birthArtifactID": version.id}
