"""The questions to W&B's GraphQL API and what their answers mean; nothing is sent here.

The operations are those of W&B's SDK: `ServerFeaturesQuery`, `ArtifactMembershipFiles` (0.31, sdk/artifacts/_generated/
operations.py), and for older servers `ArtifactByName` and `ArtifactVersionFiles` (0.22). Fewer fields are asked for.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias
from urllib.parse import urlsplit

from asyncdl.model import Checksum

Data: TypeAlias = Mapping[str, object]

#: The feature of servers that list files by membership (wandb_internal.proto, enum ServerFeature, 5).
MEMBERSHIP_FILES: Final = "ARTIFACT_COLLECTION_MEMBERSHIP_FILES"
#: The feature of servers where `digest` need not be an MD5 (the same, from SDK 0.31 on).
OTHER_DIGESTS: Final = "ARTIFACT_DIGEST_ALGORITHM"
#: The state of an artifact whose files are all there.
COMMITTED: Final = "COMMITTED"
_MD5_SIZE: Final = 16

FEATURES: Final = "query ServerFeaturesQuery { serverInfo { features { name isEnabled } } }"

VERSION_BY_MEMBERSHIP: Final = """
query ArtifactMembership($entity: String!, $project: String!, $collection: String!, $alias: String!) {
  project(name: $project, entityName: $entity) {
    artifactCollection(name: $collection) {
      __typename
      artifactMembership(aliasName: $alias) { versionIndex artifact { id state } }
    }
  }
}"""

VERSION_BY_NAME: Final = """
query ArtifactByName($entity: String!, $project: String!, $name: String!) {
  project(name: $project, entityName: $entity) { artifact(name: $name) { id state } }
}"""

_FILES: Final = """
fragment Files on FileConnection {
  pageInfo { endCursor hasNextPage }
  edges { node { name url sizeBytes digest md5 directUrl } }
}"""

FILES_BY_MEMBERSHIP: Final = (
    """
query ArtifactMembershipFiles(
  $entity: String!, $project: String!, $collection: String!, $alias: String!
  $fileNames: [String!], $cursor: String, $perPage: Int
) {
  project(name: $project, entityName: $entity) {
    artifactCollection(name: $collection) {
      __typename
      artifactMembership(aliasName: $alias) {
        files(names: $fileNames, after: $cursor, first: $perPage) { ...Files }
      }
    }
  }
}"""
    + _FILES
)

FILES_BY_ID: Final = (
    """
query ArtifactFiles($id: ID!, $fileNames: [String!], $cursor: String, $perPage: Int) {
  artifact(id: $id) {
    files(names: $fileNames, after: $cursor, first: $perPage) { ...Files }
  }
}"""
    + _FILES
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedFile:
    """A file as the server lists it.

    Attributes:
        name: its path in the artifact.
        url: signed, if the server has the file; of a reference, what it refers to.
        size: in bytes, if told.
        checksum: its MD5, if told.
        reference: whether the file lies elsewhere, and W&B only knows where.
    """

    name: str
    url: str = field(repr=False)
    size: int | None
    checksum: Checksum | None
    reference: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Some of an artifact's files; `cursor` is where the next page begins, None on the last one."""

    files: tuple[ListedFile, ...]
    cursor: str | None


def find(data: object, *path: str) -> object:
    """What lies under these names, one within the other; None where one is missing or null."""
    for name in path:
        data = data.get(name) if isinstance(data, Mapping) else None
    return data


def read_features(data: Data) -> frozenset[str]:
    """The names of the features that are switched on."""
    features = find(data, "serverInfo", "features")
    entries = features if isinstance(features, list) else []
    return frozenset(str(find(entry, "name")) for entry in entries if find(entry, "isEnabled") is True)


def read_page(connection: object, *, md5_digests: bool) -> Page:
    """A page of files.

    Args:
        connection: a `FileConnection` as it came.
        md5_digests: whether `digest`, where there is no `md5`, is one too.

    Raises:
        ValueError: it is none.
    """
    edges, more = find(connection, "edges"), find(connection, "pageInfo", "hasNextPage")
    if more is None or not isinstance(edges, list):
        raise ValueError("no list of files")
    nodes = [node for edge in edges if (node := find(edge, "node")) is not None]
    cursor = find(connection, "pageInfo", "endCursor")
    if more and not isinstance(cursor, str):
        raise ValueError("a page without a cursor to the next one")
    files = tuple(_read_file(node, md5_digests=md5_digests) for node in nodes)
    return Page(files=files, cursor=str(cursor) if more else None)


def _read_file(node: object, *, md5_digests: bool) -> ListedFile:
    name, url, size = find(node, "name"), find(node, "directUrl"), find(node, "sizeBytes")
    if not isinstance(name, str) or not name or not isinstance(url, str):
        raise ValueError("a file without a name or a URL")
    # Of a reference both are what it refers to (SDK, apis/public/files.py, `path_uri`).
    reference = url == find(node, "url") or urlsplit(url).scheme.lower() not in {"http", "https"}
    told = isinstance(size, int | str) and str(size).isdecimal() and not (reference and int(size) == 0)
    # The digest of a reference is the ETag of where it lies.
    digest = find(node, "digest") if md5_digests and not reference else None
    checksum = _md5(find(node, "md5")) or _md5(digest)
    return ListedFile(name=name, url=url, size=int(str(size)) if told else None, checksum=checksum, reference=reference)


def _md5(value: object) -> Checksum | None:
    """The MD5 that a text stands for in base64; None for an ETag, another digest, or nothing."""
    if not isinstance(value, str):
        return None
    try:
        digest = base64.b64decode(value, validate=True)
        return Checksum("md5", digest) if len(digest) == _MD5_SIZE else None
    except ValueError:
        return None
