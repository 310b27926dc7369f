"""Where something is on the Hugging Face Hub: reading `hf://` URLs, writing the Hub's own; pure.

Source: huggingface_hub, "HF URIs" (docs/source/en/package_reference/hf_uris.md) and `hf_hub_url`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import quote, unquote

from asyncdl.errors import OptionsError
from asyncdl.patterns import Pattern

SCHEME: Final = "hf://"
MAIN: Final = "main"
#: Kinds of repositories, each with what its pages begin with.
_PREFIXES: Final = {"models": "", "datasets": "datasets/", "spaces": "spaces/"}
#: As huggingface_hub's `validate_repo_id` has it, and with a namespace, as its `parse_hf_uri` wants it.
_REPO: Final = Pattern(r"\b[\w.-]+\b/\b[\w.-]{1,96}\b", re.ASCII)
#: Revisions that hold a slash and are written as they are.
_SPECIAL: Final = Pattern(r"refs/(?:convert/[\w.-]+|pr/[0-9]+)(?=/|\Z)")
_COMMIT: Final = Pattern(r"[0-9a-f]{40}")
_HINT: Final = "it must look like hf://org/repo[@revision][/path], or hf://datasets/org/repo..."


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A repository at one of its revisions, a folder or a file in it.

    Args:
        repo: `namespace/name`.
        revision: branch, tag or commit.
        path: within it, with "/" between its parts; empty for all of it.
        kind: models, datasets or spaces.

    Raises:
        OptionsError: no repository, revision or path can be called that.
    """

    repo: str
    revision: str = MAIN
    path: str = ""
    kind: str = "models"

    def __post_init__(self) -> None:
        if self.kind not in _PREFIXES:
            raise OptionsError(f"a repository is one of {', '.join(_PREFIXES)}")
        if not _REPO.fullmatch(self.repo) or "--" in self.repo or ".." in self.repo:
            raise OptionsError("a repository of Hugging Face is called namespace/name", hint=_HINT)
        if not self.revision.strip() or not self.revision.isprintable():
            raise OptionsError("the revision is empty or holds a control character", hint=_HINT)
        parts = self.path.split("/") if self.path else []
        if not {"", ".", ".."}.isdisjoint(parts) or "\0" in self.path:
            raise OptionsError("a path in a repository has no empty parts and no dots alone", hint=_HINT)

    def __str__(self) -> str:
        # As it would be read again; a `%` too would be taken for the beginning of something encoded.
        revision = self.revision
        if not _SPECIAL.fullmatch(revision):
            revision = revision.replace("%", "%25").replace("/", "%2F")
        at = "" if self.revision == MAIN else f"@{revision}"
        path = f"/{self.path}" if self.path else ""
        return f"{SCHEME}{_PREFIXES[self.kind]}{self.repo}{at}{path}"

    def at(self, commit: str | None) -> Place:
        """The same at a commit, if that is one."""
        return replace(self, revision=commit) if commit and _COMMIT.fullmatch(commit) else self

    def within(self, path: str) -> Place:
        """Another path in the same repository at the same revision."""
        return replace(self, path=path)

    def page(self, endpoint: str) -> str:
        """The page of the repository, for people."""
        return f"{endpoint}/{_PREFIXES[self.kind]}{self.repo}"

    def resolve(self, endpoint: str) -> str:
        """The URL of the file."""
        # As huggingface_hub writes it: the revision is one segment, whatever is in it.
        return f"{self.page(endpoint)}/resolve/{quote(self.revision, safe='')}/{quote(self.path)}"

    def commit(self, endpoint: str) -> str:
        """The URL that tells which commit the revision is."""
        return f"{self._api(endpoint)}/revision/{quote(self.revision, safe='')}?expand=sha"

    def tree(self, endpoint: str) -> str:
        """The URL of the first page of the list of files below the path."""
        folder = f"/{quote(self.path, safe='')}" if self.path else ""
        revision = quote(self.revision, safe="")
        return f"{self._api(endpoint)}/tree/{revision}{folder}?recursive=true&expand=false"

    def _api(self, endpoint: str) -> str:
        return f"{endpoint}/api/{self.kind}/{self.repo}"


def parse(url: str) -> Place:
    """What an `hf://` URL stands for; as in huggingface_hub, only the revision is percent-decoded.

    A slash at the end is lost: whether a path is a file or a folder, the Hub says.

    Raises:
        OptionsError: it stands for nothing.
    """
    scheme, colon, rest = url.partition("://")
    if not colon or scheme.lower() != "hf":
        raise OptionsError("this is no hf:// URL", hint=_HINT)
    body = rest.strip("/")
    kind, slash, below = body.partition("/")
    if slash and kind in _PREFIXES:
        body = below
    else:
        kind = "models"
    # A file's name may hold an @; what follows the repository's name at once is the revision.
    before, at, after = body.partition("@")
    if not at or before.count("/") != 1:
        namespace, name, path = [*body.split("/", 2), "", ""][:3]
        return Place(repo=f"{namespace}/{name}", path=path, kind=kind)
    special = _SPECIAL.match(after)
    raw = special[0] if special else after.partition("/")[0]
    return Place(repo=before, revision=unquote(raw), path=after[len(raw) :].removeprefix("/"), kind=kind)
