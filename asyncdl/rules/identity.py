"""Whether what a journal speaks of is what is there now: the object at the server, the partial file on the disk.

Rule: only a strong validator, or a checksum that will be verified in the end, proves that an object is the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from asyncdl.model import RemoteObject
from asyncdl.rules.head import Head
from asyncdl.rules.held import Held
from asyncdl.rules.journal import State


@dataclass(frozen=True, slots=True)
class Match:
    """The same: what is held may be kept."""

    why: str


@dataclass(frozen=True, slots=True)
class Different:
    """Another one: nothing that is held may be kept."""

    why: str


@dataclass(frozen=True, slots=True)
class Unproven:
    """Possibly the same: what is held may be kept if a checksum is verified in the end, or if the caller asked."""

    why: str


Verdict: TypeAlias = Match | Different | Unproven


def same_object(
    head: Head, remote: RemoteObject, *, checksum: str | None = None, declared_size: int | None = None
) -> Verdict:
    """Whether the object that the journal's `head` speaks of is the one that the first response is of.

    A checksum that the caller pinned then and pins now, with an equal size, outweighs any validator: another host, or
    another layer of a cache, may tag the same bytes otherwise.

    Args:
        head: what was begun.
        remote: what the first response says.
        checksum: what the caller pins now, written as in `Head.checksum`.
        declared_size: bytes that the caller declares now.
    """
    if len({head.size, head.declared_size, remote.size, declared_size} - {None}) > 1:
        return Different("the object is not of the size that it had")
    if head.checksum and checksum and _algorithm(head.checksum) == _algorithm(checksum):
        if head.checksum != checksum:
            return Different("another checksum was asked for")
        if _either(head.size, head.declared_size) is not None and _either(remote.size, declared_size) is not None:
            return Match("the size is the same, and the same checksum is to be verified")
    return _same_version(head, remote)


def _algorithm(checksum: str) -> str:
    return checksum.partition(":")[0]


def _either(first: int | None, second: int | None) -> int | None:
    return second if first is None else first


def _same_version(head: Head, remote: RemoteObject) -> Verdict:
    before, now = head.etag or head.weak_etag, remote.etag or remote.weak_etag
    # Weak comparison (RFC 9110 section 8.8.3.2) is enough to tell two versions apart, and proves nothing else.
    if before and now and before.removeprefix("W/") != now.removeprefix("W/"):
        return Different("the object's entity tag changed")
    if head.etag and remote.etag:
        return Match("the strong entity tag is the same")
    if head.last_modified and remote.last_modified and head.last_modified != remote.last_modified:
        return Different("the object's modification date changed")
    if head.etag:
        return Unproven("the server no longer sends the strong entity tag that the object had")
    return Unproven("no strong entity tag says which version of the object was begun")


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What of an earlier download is gone on with.

    Attributes:
        held: its durable ranges; none if all begins anew.
        proven: whether `held` is certainly of the object. If not, a checksum has to be verified first,
            or the caller took the risk.
        why: in words.
    """

    held: tuple[Held, ...] = ()
    proven: bool = True
    why: str


def kept(
    prior: State,
    remote: RemoteObject,
    *,
    checksum: str | None = None,
    declared_size: int | None = None,
    verified: bool = False,
    trusting: bool = False,
) -> Kept:
    """What to keep of what `prior` says, when the first response is of `remote`.

    Args:
        prior: an earlier download, whose partial file is there.
        remote: the object now.
        checksum: what the caller pins, written as in `Head.checksum`.
        declared_size: bytes that the caller declares.
        verified: whether the file will be verified in the end by a checksum, pinned or promised.
        trusting: whether the caller keeps also what nothing proves.
    """
    verdict = same_object(prior.head, remote, checksum=checksum, declared_size=declared_size)
    beyond = remote.size is not None and prior.held and prior.held[-1].stop > remote.size
    if isinstance(verdict, Match) and not beyond:
        # A checksum proves the whole in the end, and of what is kept nothing.
        proven = isinstance(_same_version(prior.head, remote), Match)
        return Kept(held=prior.held, proven=proven, why=verdict.why)
    if isinstance(verdict, Unproven) and not beyond and (verified or trusting):
        return Kept(held=prior.held, proven=False, why=verdict.why)
    return Kept(why="more was there than the object has" if beyond else verdict.why)


def may_be_another(head: Head, remote: RemoteObject) -> bool:
    """Whether the whole of `remote` may take the place of what was begun.

    A page of a captive portal or of a maintenance window comes with 200 and no entity tag: it must not cost the bytes
    of an object that had one.
    """
    return head.etag is None or (remote.etag or remote.weak_etag) is not None


def same_file(state: State, *, inode: int | None, length: int, generation: int | None = None) -> Match | Different:
    """Whether the partial file on the disk is the one that the journal speaks of, and has room for what it claims.

    The device is not compared: some file systems get another number with every mount.

    Args:
        state: what the journal says.
        inode: number of the file now, or None where the system has none.
        generation: as in `Head`.
        length: bytes of the file now. A length proves nothing about the bytes, but a lack of it does.
    """
    head = state.head
    for before, now in ((head.inode, inode), (head.generation, generation)):
        if before is not None and now is not None and before != now:
            return Different("the partial file is another one")
    if state.held and state.held[-1].stop > length:
        return Different("the partial file is shorter than what was claimed of it")
    return Match("the partial file is the one that was written")
