"""A Hugging Face Hub in small: the resolve route and the API that clients list a repository with, over aiohttp.

Large files are redirects to signed URLs of an `Origin`, which die; small ones the Hub sends itself. Headers, statuses
and error codes are those that huggingface_hub reads (`get_hf_file_metadata`, `hf_raise_for_status`, `paginate`,
`RepoFile`); its own client is the proof, in tests/sources/test_huggingface_own_client.py.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, unquote

from aiohttp import web

from asyncdl.testing import Content, Origin
from tests.support.service import serving

TOKEN = "hf_asyncdlTestToken0123456789"
_RESOLVE = re.compile(r"/(?:(datasets|spaces)/)?([^/]+/[^/]+)/resolve/([^/]+)/(.+)")
_API = re.compile(r"/api/(models|datasets|spaces)/([^/]+/[^/]+)/(revision|tree)/([^/]+)(?:/(.+))?")
_CACHE = "/api/resolve-cache"


@dataclass
class Repo:
    """One repository.

    Attributes:
        commits: by their hash: each path's content; bytes are small files, `Content` is in LFS.
        refs: branches and tags.
        readers: tokens that may read it; None is everybody.
        gated: whether those who may see it may not read its files yet.
        moved: under which name it is now.
    """

    commits: dict[str, dict[str, bytes | Content]] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)
    readers: set[str] | None = None
    gated: bool = False
    moved: str | None = None

    def commit(self, files: dict[str, bytes | Content], ref: str = "main") -> str:
        """Let `ref` be these files from now on; the commit's hash."""
        name = hashlib.sha1(repr((sorted(files), len(self.commits))).encode()).hexdigest()
        self.commits[name] = files
        self.refs[ref] = name
        return name

    def at(self, revision: str) -> str | None:
        """The commit of a branch, a tag or a hash."""
        return self.refs.get(revision) or (revision if revision in self.commits else None)


@dataclass
class Hub:
    """The server; `repos` by kind and name, as "models/org/model".

    Attributes:
        origin: that has the large files.
        ttl: seconds that a signed URL of it lives.
        asked: method, path and Authorization of every request.
        page: most entries in one page of a list.
        trouble: asked first of all; its answer is the answer.
        cached: send small files by way of a redirect within the Hub, as the real one does for some.
    """

    origin: Origin
    url: str = ""
    ttl: float = 60.0
    page: int = 1000
    repos: dict[str, Repo] = field(default_factory=dict)
    asked: list[tuple[str, str, str | None]] = field(default_factory=list)
    trouble: Callable[[web.Request], web.StreamResponse | None] = lambda _: None
    cached: bool = False

    def repo(self, name: str, **changes: Any) -> Repo:
        """A new repository."""
        return self.repos.setdefault(name, Repo(**changes))

    def large(self, size: int, seed: int = 1) -> Content:
        """Content for a file in LFS: the origin has it under its hash."""
        content = Content(seed, size)
        return self.origin.add(f"/repos/{content.sha256()}", size, seed=seed)

    def count(self, method: str, start: str) -> int:
        """Requests whose path begins with `start`."""
        return sum(each == method and path.startswith(start) for each, path, _ in self.asked)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Whatever is asked."""
        path = request.rel_url.raw_path
        self.asked.append((request.method, request.path_qs, request.headers.get("Authorization")))
        answer = self.trouble(request)
        if answer is not None:
            return answer
        if path.startswith(_CACHE):
            kind, repo, commit, name = re.fullmatch(rf"{_CACHE}/(\w+)/([^/]+/[^/]+)/([^/]+)/(.+)", path).groups()  # type: ignore[union-attr]
            return _small(self.repos[f"{kind}/{repo}"].commits[commit][unquote(name)], commit, None)
        if match := _RESOLVE.fullmatch(path):
            kind, repo, revision, name = match.groups()
            return self._resolve(request, kind or "models", repo, unquote(revision), unquote(name))
        if match := _API.fullmatch(path):
            kind, repo, what, revision, folder = match.groups()
            found = self._readable(request, f"{kind}/{repo}", unquote(revision), gate=False)
            if isinstance(found, web.Response):
                return found
            commit, files = found
            if what == "revision":
                return web.json_response({"id": repo, "sha": commit, "siblings": []})
            return self._tree(request, files, unquote(folder or ""))
        return web.Response(status=404)

    def _readable(
        self, request: web.Request, name: str, revision: str, *, gate: bool = True
    ) -> web.Response | tuple[str, dict[str, bytes | Content]]:
        """The commit and its files, or why not."""
        authorization = request.headers.get("Authorization")
        token = (authorization or "").removeprefix("Bearer ")
        if authorization and token not in {
            TOKEN,
            *(each for repo in self.repos.values() for each in repo.readers or ()),
        }:
            return _refused(401, "", "Invalid credentials in Authorization header")
        repo = self.repos.get(name)
        if repo is None or (repo.readers is not None and token not in repo.readers):
            # Who may not know that it is there is told what strangers are told of one that is not.
            return _refused(404 if authorization else 401, "RepoNotFound", "Repository not found")
        if repo.moved is not None:
            path = request.path_qs.replace(name.partition("/")[2], repo.moved, 1)
            return web.Response(status=307, headers={"Location": path})
        if repo.gated and gate:
            words = f"Access to model {name.partition('/')[2]} is restricted. You must be authenticated to access it."
            return _refused(403 if authorization else 401, "GatedRepo", words)
        commit = repo.at(revision)
        if commit is None:
            return _refused(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        return commit, repo.commits[commit]

    def _resolve(self, request: web.Request, kind: str, repo: str, revision: str, name: str) -> web.Response:
        found = self._readable(request, f"{kind}/{repo}", revision)
        if isinstance(found, web.Response):
            return found
        commit, files = found
        if name not in files:
            return _refused(404, "EntryNotFound", "Entry not found", {"X-Repo-Commit": commit})
        content = files[name]
        if isinstance(content, bytes):
            if self.cached:
                path = f"{_CACHE}/{kind}/{repo}/{commit}/{quote(name)}?etag={quote(_blob(content))}"
                return web.Response(status=307, headers={"Location": path, "X-Repo-Commit": commit})
            return _small(content, commit, request.headers.get("Range"))
        sha256 = content.sha256()
        headers = {
            "Location": self.origin.presign(f"/repos/{sha256}", ttl=self.ttl, skin="hf"),
            "X-Repo-Commit": commit,
            "X-Linked-Etag": f'"{sha256}"',
            "X-Linked-Size": str(content.size),
            "Accept-Ranges": "bytes",
        }
        return web.Response(status=302, headers=headers, text="Found. Redirecting")

    def _tree(self, request: web.Request, files: dict[str, bytes | Content], folder: str) -> web.Response:
        below = {path: content for path, content in files.items() if not folder or path.startswith(f"{folder}/")}
        if folder and not below:
            return _refused(404, "EntryNotFound", f"{folder} does not exist on this revision")
        folders = {path[: at.start()] for path in below for at in re.finditer("/", path)}
        entries = [{"type": "directory", "oid": "0" * 40, "size": 0, "path": path} for path in folders]
        entries += [_entry(path, content) for path, content in below.items()]
        entries.sort(key=lambda entry: str(entry["path"]))
        start = int(request.query.get("cursor", "0"))
        headers = {}
        if start + self.page < len(entries):
            query = f"recursive=true&expand=false&cursor={start + self.page}"
            headers["Link"] = f'<{self.url}{request.rel_url.raw_path}?{query}>; rel="next"'
        return web.json_response(entries[start : start + self.page], headers=headers)


def _refused(status: int, code: str, words: str, headers: dict[str, str] | None = None) -> web.Response:
    more = {"X-Error-Message": words, **({"X-Error-Code": code} if code else {}), **(headers or {})}
    return web.Response(status=status, headers=more, text=json.dumps({"error": words}))


def _blob(content: bytes) -> str:
    """Git's name of a file's content: no hash of the file alone."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def _entry(path: str, content: bytes | Content) -> dict[str, Any]:
    if isinstance(content, bytes):
        return {"type": "file", "oid": _blob(content), "size": len(content), "path": path}
    sha256 = content.sha256()
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {content.size}\n".encode()
    lfs = {"oid": sha256, "size": content.size, "pointerSize": len(pointer)}
    return {"type": "file", "oid": _blob(pointer), "size": content.size, "path": path, "lfs": lfs}


def _small(content: bytes | Content, commit: str, span: str | None) -> web.Response:
    assert isinstance(content, bytes)
    headers = {"X-Repo-Commit": commit, "ETag": f'"{_blob(content)}"', "Accept-Ranges": "bytes"}
    match = re.fullmatch(r"bytes=(\d+)-(\d*)", span or "")
    if match is None:
        return web.Response(body=content, headers=headers)
    start, stop = int(match[1]), min(int(match[2] or len(content)) + 1, len(content))
    if start >= len(content):
        return web.Response(status=416, headers={"Content-Range": f"bytes */{len(content)}"})
    headers["Content-Range"] = f"bytes {start}-{stop - 1}/{len(content)}"
    return web.Response(status=206, body=content[start:stop], headers=headers)


@asynccontextmanager
async def running(origin: Origin) -> AsyncIterator[Hub]:
    """An empty Hub whose large files `origin` has."""
    hub = Hub(origin)
    async with serving(hub.handle) as url:
        hub.url = url
        yield hub
