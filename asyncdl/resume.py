"""What of an earlier download is gone on with, once the first response has said what the object is."""

from __future__ import annotations

import logging

from asyncdl.errors import RemoteChangedError
from asyncdl.model import RemoteObject
from asyncdl.rules.held import Held, Holdings
from asyncdl.rules.identity import kept, may_be_another
from asyncdl.rules.journal import State
from asyncdl.rules.parts import Claim

_logger = logging.getLogger("asyncdl")


def keep(
    prior: State,
    remote: RemoteObject,
    claim: Claim,
    *,
    in_one_piece: bool,
    checksum: str | None,
    declared_size: int | None,
    verified: bool,
    trusting: bool,
) -> tuple[bool, tuple[Held, ...]]:
    """What is kept, and whether it is certainly of the object; without what the first response brings anyway.

    Args:
        prior: the earlier download.
        remote: what the first response is of.
        claim: what it was asked for. If that is only a byte which is kept, it has been brought now.
        in_one_piece: the response brings the whole object.
        checksum, declared_size, verified, trusting: as in `rules.identity.kept`.

    Raises:
        RemoteChangedError: what came is so unlike the object that was begun that it must not cost what is there.
    """
    if in_one_piece:
        if prior.held and not may_be_another(prior.head, remote):
            raise RemoteChangedError(
                "what came is not the object that was begun: it has no entity tag",
                hint="if it is meant to be had in spite of that, begin anew with resume=False (--no-resume)",
            )
        return True, ()
    found = kept(prior, remote, checksum=checksum, declared_size=declared_size, verified=verified, trusting=trusting)
    if not found.held and prior.held:
        length = sum(held.stop - held.start for held in prior.held)
        _logger.warning("begun anew, without the %d bytes that were there: %s", length, found.why)
    held = Holdings(found.held)
    if found.held and claim.stop == claim.start + 1 and found.held[0].start == claim.start:
        claim.advance(claim.stop)  # it was asked for to see the response
    else:
        held.drop(claim.start, claim.position + 1 if claim.stop is None else claim.stop)
    return found.proven, held.items
