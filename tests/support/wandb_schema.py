"""What W&B's GraphQL schema has for artifacts, as far as its SDK and asyncdl ask for it, now and in older servers.

Names, types and nullability are those that the SDK's operations and their generated models need (wandb 0.22 and 0.31).
"""

from __future__ import annotations

from typing import Literal, TypeAlias

#: `old` lists files by the artifact alone and knows no features; `ancient` cannot list them at all.
Flavour: TypeAlias = Literal["new", "old", "ancient"]

_COMMON = """
scalar Int64
scalar JSON
scalar JSONString
scalar DateTime
enum ArtifactState { PENDING COMMITTED DELETED }
type Entity { id: ID! name: String! }
type User { id: ID! entity: String username: String name: String email: String flags: String admin: Boolean
  deletedAt: DateTime teams: TeamConnection apiKeys: ApiKeyConnection }
type ApiKeyConnection { edges: [ApiKeyEdge!]! }
type ApiKeyEdge { node: ApiKey }
type ApiKey { id: ID! name: String! description: String }
type TeamConnection { edges: [TeamEdge!]! }
type TeamEdge { node: Entity }
type PageInfo { endCursor: String hasNextPage: Boolean! }
type File { id: ID! name: String! displayName: String url: String sizeBytes: Int64! storagePath: String
  mimetype: String updatedAt: DateTime digest: String md5: String directUrl: String! }
type FileEdge { node: File cursor: String! }
type ArtifactType { id: ID! name: String! artifact(name: String!): Artifact }
type ArtifactAlias { id: ID! alias: String! artifactCollection: ArtifactCollection }
type ArtifactManifest { id: ID! file: File! }
type Tag { id: ID! name: String! }
type ArtifactSequence implements ArtifactCollection { id: ID! name: String! project: Project %(membership_of)s }
type ArtifactPortfolio implements ArtifactCollection { id: ID! name: String! project: Project %(membership_of)s }
interface ArtifactCollection { id: ID! name: String! project: Project %(membership_of)s }
type Artifact { id: ID! artifactSequence: ArtifactSequence! versionIndex: Int artifactType: ArtifactType!
  description: String metadata: JSONString ttlDurationSeconds: Int64! ttlIsInherited: Boolean! tags: [Tag!]!
  historyStep: Int64 state: ArtifactState! size: Int64! digest: String! commitHash: String fileCount: Int64!
  createdAt: DateTime! updatedAt: DateTime aliases: [ArtifactAlias!]! currentManifest: ArtifactManifest %(files)s }
type FileConnection { edges: [FileEdge!]! pageInfo: PageInfo! %(total)s }
type ServerInfo { cliVersionInfo: JSON latestLocalVersionInfo: LocalVersionInfo %(features)s }
type LocalVersionInfo { outOfDate: Boolean latestVersionString: String versionOnThisInstanceString: String }
type Project { id: ID! internalId: ID! name: String! entityName: String! entity: Entity!
  artifact(name: String!, enableTracking: Boolean): Artifact artifactType(name: String!): ArtifactType
  artifactCollection(name: String!): ArtifactCollection %(membership_by_name)s }
type Query { viewer: User serverInfo: ServerInfo artifact(id: ID!): Artifact
  project(name: String!, entityName: String): Project }
"""

_FILES = "files(names: [String!], after: String, first: Int): FileConnection"
_MEMBERSHIP = f"""
type ArtifactCollectionMembership {{ id: ID! versionIndex: Int createdAt: DateTime! aliases: [ArtifactAlias!]!
  artifactCollection: ArtifactCollection artifact: Artifact {_FILES} }}
type ServerFeature {{ name: String! isEnabled: Boolean! }}
"""

#: What a new server says it can do (wandb_internal.proto, enum ServerFeature).
FEATURES = {
    "ARTIFACT_COLLECTION_MEMBERSHIP_FILES": True,
    "PROJECT_ARTIFACT_COLLECTION_MEMBERSHIP": True,
    "TOTAL_COUNT_IN_FILE_CONNECTION": True,
    "ARTIFACT_TAGS": True,
    "LARGE_FILENAMES": False,
}


def schema_of(flavour: Flavour) -> str:
    """The schema in GraphQL's own language."""
    new = flavour == "new"
    text = _COMMON % {
        "membership_of": "artifactMembership(aliasName: String!): ArtifactCollectionMembership" if new else "",
        "membership_by_name": "artifactCollectionMembership(name: String!): ArtifactCollectionMembership"
        if new
        else "",
        "files": "" if flavour == "ancient" else _FILES,
        "total": "totalCount: Int" if new else "",
        "features": "features: [ServerFeature]" if new else "",
    }
    return text + (_MEMBERSHIP if new else "")
