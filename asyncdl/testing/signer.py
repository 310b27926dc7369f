"""Mints signed targets and decides which of them may pass, by HMAC over the raw bytes of the request target."""

from __future__ import annotations

import hashlib
import hmac
import math
import re
from dataclasses import dataclass, replace
from typing import TypedDict, Unpack

from asyncdl.errors import OptionsError
from asyncdl.testing.refusals import Life, Refusal, s3_denied
from asyncdl.testing.skins import SIGNATURE, SKINS, Signing, Skin

_SIGNED = re.compile("[?&](" + "|".join(sorted({skin.parameter for skin in SKINS.values()})) + ")=([^&#]*)")
#: RFC 9110 section 14.1.2, with both ends.
_ONE_RANGE = re.compile(r"bytes=([0-9]{1,19})-([0-9]{1,19})")


class Terms(TypedDict, total=False):
    """What else a URL may be signed for.

    Attributes:
        not_before: seconds from now, by the clock of the machine that signs, before which it is not valid yet.
        skew: seconds by which the clock of the machine that signs is ahead of the origin's; all dates in the URL are
            wrong by that much, and so is its end. S3 and its like tolerate 15 minutes at the beginning.
        allowed: the half-open byte range it is good for (hf only); requests for bytes outside of it, or without one
            range, are refused.
    """

    not_before: float | None
    skew: float
    allowed: tuple[int, int] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """What the signer remembers of one URL; the exact times are here, the URL can only show whole seconds.

    Attributes:
        generation: 0 for the first URL of its path, then counting.
        issued, expires: seconds since the epoch, by the origin's clock.
        starts: seconds since the epoch before which it is refused, or None.
        allowed: the half-open byte range it is good for, or None for the whole object.
        revoked: refused whatever the time.
    """

    skin: Skin
    generation: int
    issued: float
    expires: float
    starts: float | None = None
    allowed: tuple[int, int] | None = None
    revoked: bool = False

    def permits(self, asked: str | None) -> Refusal | None:
        """None if the URL is good for the bytes that a Range header asks for, else the refusal."""
        if self.allowed is None or self.skin.wrong_range is None:
            return None
        found = _ONE_RANGE.fullmatch(asked or "")
        span = (int(found[1]), int(found[2]) + 1) if found else None
        if span is not None and self.allowed[0] <= span[0] < span[1] <= self.allowed[1]:
            return None
        return self.skin.wrong_range(span)


class Signer:
    """Signs targets and verifies them.

    Args:
        secret: key of the HMAC.
    """

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self._grants: dict[str, Grant] = {}
        self._generations: dict[str, int] = {}

    def mint(self, path: str, *, skin: str, ttl: float, now: float, **terms: Unpack[Terms]) -> str:
        """A signed request target for `path` that lives `ttl` seconds from `now`.

        Raises:
            OptionsError: there is no such skin, or its URLs cannot say such a thing.
        """
        not_before, skew, allowed = terms.get("not_before"), terms.get("skew", 0.0), terms.get("allowed")
        chosen = _chosen(skin, ttl=ttl, not_before=not_before, allowed=allowed)
        generation = self._generations.get(path, -1) + 1
        self._generations[path] = generation
        issued, expires = now + skew + (not_before or 0.0), now + skew + ttl
        starts = issued if not_before is not None else None
        if starts is None and chosen.early is not None and skew > chosen.tolerance:
            starts = issued - chosen.tolerance
        signing = Signing(
            # Never readable as a beginning earlier than the one that is enforced.
            issued=math.floor(issued) if starts is None else math.ceil(issued),
            expires=math.ceil(expires),
            begins=not_before is not None,
            allowed=allowed,
        )
        query = chosen.query(signing)
        before, _, after = f"{path}{'&' if '?' in path else '?'}{query}".partition(SIGNATURE)
        signature = chosen.encode(self._digest(generation, before + after))
        self._grants[signature] = Grant(
            skin=chosen,
            generation=generation,
            issued=issued,
            expires=expires,
            starts=starts,
            allowed=allowed,
        )
        return before + signature + after

    def grant(self, raw_target: str) -> Grant | None:
        """What is known of a target by its signature alone, or None."""
        found = _SIGNED.search(raw_target)
        return self._grants.get(found[2]) if found else None

    def is_signed(self, raw_target: str) -> bool:
        """Whether a target carries a signature, good or bad."""
        return _SIGNED.search(raw_target) is not None

    def verify(self, raw_target: str, now: float, *, asked: str | None = None) -> Refusal | None:
        """None if the target is byte for byte one that was minted and is good now, else the provider's refusal.

        Args:
            asked: the request's Range header, or None.
        """
        found = _SIGNED.search(raw_target)
        if found is None:
            return s3_denied()
        grant = self._grants.get(found[2])
        if grant is None:
            return _likeness(raw_target, found[1]).mismatch(raw_target)
        skin, rest = grant.skin, raw_target[: found.start(2)] + raw_target[found.end(2) :]
        if not hmac.compare_digest(found[2], skin.encode(self._digest(grant.generation, rest))):
            return skin.mismatch(raw_target)
        if grant.revoked:
            return skin.denied(raw_target)
        if now >= grant.expires:
            return skin.expired(Life.at(issued=grant.issued, expires=grant.expires, now=now))
        if grant.starts is not None and skin.early is not None and now < grant.starts:
            return skin.early(Life.before(issued=grant.issued, expires=grant.expires, now=now))
        return grant.permits(asked)

    def revoke(self, url: str) -> None:
        """Refuse a URL or target from now on, as after a withdrawn permission."""
        self._change(url, revoked=True)

    def expire(self, url: str, now: float) -> None:
        """End the life of a URL or target now, whatever its parameters say."""
        self._change(url, expires=now)

    def _change(self, url: str, *, revoked: bool = False, expires: float | None = None) -> None:
        found = _SIGNED.search(url)
        grant = self._grants.get(found[2]) if found else None
        if found is None or grant is None:
            msg = "this origin did not sign that URL"
            raise OptionsError(msg)
        end = grant.expires if expires is None else expires
        self._grants[found[2]] = replace(grant, revoked=grant.revoked or revoked, expires=end)

    def _digest(self, generation: int, rest: str) -> bytes:
        # The generation is signed too: two URLs of one path minted within one second would be one URL otherwise.
        message = f"{generation}\n{rest}".encode("latin-1")
        return hmac.new(self._secret, message, hashlib.sha256).digest()


def _chosen(skin: str, *, ttl: float, not_before: float | None, allowed: tuple[int, int] | None) -> Skin:
    if skin not in SKINS:
        msg = f"no skin is named {skin!r}; there are {', '.join(SKINS)}"
        raise OptionsError(msg)
    chosen = SKINS[skin]
    if not_before is not None and (chosen.early is None or not_before >= ttl):
        msg = f"a URL of {skin} that lives {ttl:g} s cannot begin after {not_before:g} s"
        raise OptionsError(msg)
    if allowed is not None and (chosen.wrong_range is None or not 0 <= allowed[0] < allowed[1]):
        msg = f"a URL of {skin} cannot be signed for the bytes {allowed[0]} to {allowed[1]}"
        raise OptionsError(msg)
    return chosen


def _likeness(raw_target: str, parameter: str) -> Skin:
    alike = [skin for skin in SKINS.values() if skin.parameter == parameter]
    return max(alike, key=lambda skin: len(skin.marker) if skin.marker in raw_target else 0)
