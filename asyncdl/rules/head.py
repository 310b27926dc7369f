"""What a journal says first: which object, which partial file, which wish of the caller.

Rule: validators are a server's text; whatever one holds, it comes back from the journal as it was, or not at all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from asyncdl.model import RemoteObject
from asyncdl.patterns import Pattern
from asyncdl.rules.ranges import MAX_SIZE

#: Characters of one validator; a longer one is left out. For comparison: S3's entity tags have at most 40.
MAX_VALIDATOR: Final = 1024
#: ReFS has file numbers of 128 bits.
_MAX_FILE_NUMBER: Final = 2**128 - 1

# A high surrogate is left out because JSON would read it and a low one after it as one character. Low ones are what
# bytes that are no UTF-8 become in a header field.
_VALIDATOR = Pattern(rf"[^\ud800-\udbff]{{1,{MAX_VALIDATOR}}}")
_CHECKSUM = Pattern(r"[a-z0-9]{1,20}:(?:[0-9a-f]{2}){4,64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """Which object, which partial file and what wish a journal speaks of.

    Attributes:
        size: of the object in bytes, or None where nobody said.
        etag: strong entity tag with its quotes, or None.
        weak_etag: weak entity tag as sent, or None.
        last_modified: Last-Modified as sent, or None.
        checksum: what the caller pinned, as `sha256:` and lower-case hexadecimal digits, or None.
        declared_size: bytes that the caller declared, or None.
        part_size: bytes of a part when the download began, for information; None for one stream.
        inode, device: file number and device of the partial file, or None where the system has none.
        generation: tells a file from an earlier one that had its number, or None where the file system does not say.

    Raises:
        ValueError: a value the format has no room for. `Head.of` leaves such validators out.
    """

    size: int | None
    etag: str | None = None
    weak_etag: str | None = None
    last_modified: str | None = None
    checksum: str | None = None
    declared_size: int | None = None
    part_size: int | None = None
    inode: int | None = None
    device: int | None = None
    generation: int | None = None

    def __post_init__(self) -> None:
        good = (
            _is_count(self.size, MAX_SIZE)
            and _is_count(self.declared_size, MAX_SIZE)
            and _is_count(self.part_size, MAX_SIZE)
            and self.part_size != 0
            and _is_count(self.inode, _MAX_FILE_NUMBER)
            and _is_count(self.device, _MAX_FILE_NUMBER)
            and _is_count(self.generation, _MAX_FILE_NUMBER)
            and _is_text(self.etag, _VALIDATOR)
            and (self.etag is None or _is_quoted(self.etag))
            and _is_text(self.weak_etag, _VALIDATOR)
            and (self.weak_etag is None or (self.weak_etag.startswith("W/") and _is_quoted(self.weak_etag[2:])))
            and _is_text(self.last_modified, _VALIDATOR)
            and _is_text(self.checksum, _CHECKSUM)
        )
        if not good:
            raise ValueError("not the head of a journal")

    @classmethod
    def of(
        cls,
        remote: RemoteObject,
        *,
        checksum: str | None = None,
        declared_size: int | None = None,
        part_size: int | None = None,
        inode: int | None = None,
        device: int | None = None,
    ) -> Head:
        """The head for `remote`, without validators that the format has no room for: they then prove nothing.

        Raises:
            ValueError: any other value the format has no room for.
        """
        return cls(
            size=remote.size,
            etag=_fitting(remote.etag),
            weak_etag=_fitting(remote.weak_etag),
            last_modified=_fitting(remote.last_modified),
            checksum=checksum,
            declared_size=declared_size,
            part_size=part_size,
            inode=inode,
            device=device,
        )


def _is_count(value: object, largest: int) -> bool:
    # What stands in a journal may be of any type that JSON has, and `True` is an int to Python.
    return value is None or (isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= largest)


def _is_text(value: object, pattern: Pattern[str]) -> bool:
    return value is None or (isinstance(value, str) and pattern.fullmatch(value) is not None)


def _is_quoted(tag: str) -> bool:
    return len(tag) >= 2 and tag[0] == tag[-1] == '"'


def _fitting(validator: str | None) -> str | None:
    return validator if validator is not None and _VALIDATOR.fullmatch(validator) else None
