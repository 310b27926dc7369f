"""Where something is in S3: a bucket with a key or a prefix, read from an s3:// URL; nothing is asked here.

Rule: a key is taken as it stands, as the AWS CLI takes it. S3 keys may hold any character, so nothing is decoded, and
`?`, `#`, `//` and `..` are parts of the key.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from asyncdl.errors import OptionsError
from asyncdl.patterns import Pattern

#: What botocore accepts. S3's own rules for new buckets are narrower, those of old ones and of its likes are wider.
_BUCKET: Final = Pattern(r"[A-Za-z0-9._-]{1,255}")
#: S3 User Guide, "Creating object key names": UTF-8, at most 1,024 bytes.
_MOST_KEY: Final = 1024
#: AWS's own name; a version never holds what would have to be encoded (S3 User Guide, "Working with version IDs").
_VERSION: Final = Pattern(r"(.*)\?versionId=([A-Za-z0-9._~-]{1,1024})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """A place in a store.

    Attributes:
        key: of an object, or what the keys of many begin with; empty for a whole bucket.
        version: of an object in a bucket that keeps versions.
    """

    bucket: str
    key: str
    version: str | None = None

    def __str__(self) -> str:
        text = f"s3://{self.bucket}/{self.key}" + (f"?versionId={self.version}" if self.version else "")
        return "".join(letter if letter.isprintable() else "\ufffd" for letter in text)

    @property
    def is_prefix(self) -> bool:
        """Whether a URL with this key means all that lies under it."""
        return not self.key or self.key.endswith("/")

    @property
    def name(self) -> str:
        """The last part of the key."""
        return self.key.rstrip("/").rpartition("/")[2] or self.key


def read_address(where: str, key: str | None, version: str | None) -> Address:
    """The place that a caller names by an s3:// URL, or by a bucket and a key.

    Raises:
        OptionsError: it is neither, or no bucket or key can have that name.
    """
    if not isinstance(where, str) or not isinstance(key, str | None) or not isinstance(version, str | None):
        raise OptionsError("an S3 address is an s3:// URL, or a bucket and a key, in str")
    if key is None:
        scheme, colon, rest = where.partition("://")
        if not colon or scheme.lower() != "s3":
            raise OptionsError("an S3 address begins with s3://", hint="as in s3://bucket/key or s3://bucket/prefix/")
        where, _, key = rest.partition("/")
        found = _VERSION.fullmatch(key)
        if found and version is None:
            key, version = found.groups()
    if not _BUCKET.fullmatch(where):
        hint = "for an access point, use its alias" if where.startswith("arn:") else "as in s3://bucket/key"
        raise OptionsError("the S3 address has no bucket with a possible name", hint=hint)
    try:
        size = len(key.encode())
    except UnicodeEncodeError:
        size = _MOST_KEY + 1
    if size > _MOST_KEY or "\0" in key:
        raise OptionsError(f"an S3 key is UTF-8 without NUL, and has at most {_MOST_KEY} bytes")
    return Address(bucket=where, key=key, version=version)
