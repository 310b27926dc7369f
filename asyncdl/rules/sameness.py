"""Whether what another place offers is the object that was begun: byte for byte, or nothing is taken from there.

Rule: names, sizes and dates prove nothing. A checksum that will be verified does, and so do a checksum that both
servers promise of the whole object, and a strong entity tag that both have. What differs disproves, whatever agrees.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from asyncdl.model import Checksum, RemoteObject
from asyncdl.rules.identity import Different, Match, Unproven

Verdict: TypeAlias = Match | Different | Unproven


@dataclass(frozen=True, slots=True)
class Known:
    """What those who are proven to have the object say of it.

    Attributes:
        size: in bytes, or None while nobody has said.
        etags: strong entity tags; each place may have its own.
        promises: checksums of the whole object, one for each algorithm.
    """

    size: int | None = None
    etags: frozenset[str] = frozenset()
    promises: tuple[Checksum, ...] = ()

    def plus(self, remote: RemoteObject, promises: Sequence[Checksum]) -> Known:
        """With what one more says who is proven."""
        algorithms = {known.algorithm for known in self.promises}
        return Known(
            size=remote.size if self.size is None else self.size,
            etags=self.etags | ({remote.etag} if remote.etag else frozenset()),
            promises=(*self.promises, *(promise for promise in promises if promise.algorithm not in algorithms)),
        )


def same_bytes(
    known: Known, remote: RemoteObject, promises: Sequence[Checksum], *, pinned: Checksum | None = None
) -> Verdict:
    """Whether a response is of the object.

    Entity tags that differ say nothing: each server makes its own. That a place's own tag stays the same is judged
    with each of its responses (`rules.ranges.judge`).

    Args:
        known: of the object.
        remote: what the response says.
        promises: the checksums that it promises of the whole object.
        pinned: the checksum that the caller gave, which the whole is verified by in the end.
    """
    if known.size is not None and remote.size is not None and known.size != remote.size:
        return Different(f"it has {remote.size} bytes, and not {known.size}")
    ours = {promise.algorithm: promise for promise in (*known.promises, *((pinned,) if pinned else ()))}
    for promise in promises:
        if ours.get(promise.algorithm, promise) != promise:
            return Different(f"its {promise.algorithm} is another one")
    agreed = next((promise.algorithm for promise in promises if promise.algorithm in ours), None)
    if agreed is not None:
        return Match(f"its server promises the same {agreed}")
    if remote.etag is not None and remote.etag in known.etags:
        return Match("its strong entity tag is the same")
    if pinned is not None:
        return Match("the checksum that was given is to be verified")
    return Unproven("neither a checksum nor a strong entity tag says that it is the same object")
