"""Mints signed targets and decides which of them may pass, by HMAC over the raw bytes of the request target."""

from __future__ import annotations

import hashlib
import hmac
import math
import re
from dataclasses import dataclass, replace

from asyncdl.errors import OptionsError
from asyncdl.testing.refusals import Life, Refusal, s3_denied
from asyncdl.testing.skins import SIGNATURE, SKINS, Skin

_SIGNED = re.compile("[?&](" + "|".join(sorted({skin.parameter for skin in SKINS.values()})) + ")=([^&#]*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """What the signer remembers of one URL; the exact times are here, the URL can only show whole seconds.

    Attributes:
        generation: 0 for the first URL of its path, then counting.
        issued, expires: seconds since the epoch, by the origin's clock.
        revoked: refused whatever the time.
    """

    skin: Skin
    generation: int
    issued: float
    expires: float
    revoked: bool = False


class Signer:
    """Signs targets and verifies them.

    Args:
        secret: key of the HMAC.
    """

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self._grants: dict[str, Grant] = {}
        self._generations: dict[str, int] = {}

    def mint(self, path: str, *, skin: str, ttl: float, now: float) -> str:
        """A signed request target for `path` that lives `ttl` seconds from `now`.

        Raises:
            OptionsError: there is no such skin.
        """
        if skin not in SKINS:
            msg = f"no skin is named {skin!r}; there are {', '.join(SKINS)}"
            raise OptionsError(msg)
        chosen = SKINS[skin]
        generation = self._generations.get(path, -1) + 1
        self._generations[path] = generation
        query = chosen.query(math.floor(now), math.ceil(now + ttl))
        before, _, after = f"{path}{'&' if '?' in path else '?'}{query}".partition(SIGNATURE)
        signature = chosen.encode(self._digest(generation, before + after))
        self._grants[signature] = Grant(skin=chosen, generation=generation, issued=now, expires=now + ttl)
        return before + signature + after

    def grant(self, raw_target: str) -> Grant | None:
        """What is known of a target by its signature alone, or None."""
        found = _SIGNED.search(raw_target)
        return self._grants.get(found[2]) if found else None

    def is_signed(self, raw_target: str) -> bool:
        """Whether a target carries a signature, good or bad."""
        return _SIGNED.search(raw_target) is not None

    def verify(self, raw_target: str, now: float) -> Refusal | None:
        """None if the target is byte for byte one that was minted and still lives, else the provider's refusal."""
        found = _SIGNED.search(raw_target)
        if found is None:
            return s3_denied()
        grant = self._grants.get(found[2])
        if grant is None:
            return _likeness(raw_target, found[1]).mismatch()
        rest = raw_target[: found.start(2)] + raw_target[found.end(2) :]
        if not hmac.compare_digest(found[2], grant.skin.encode(self._digest(grant.generation, rest))):
            return grant.skin.mismatch()
        if grant.revoked:
            return grant.skin.denied()
        if now >= grant.expires:
            return grant.skin.expired(Life.at(issued=grant.issued, expires=grant.expires, now=now))
        return None

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


def _likeness(raw_target: str, parameter: str) -> Skin:
    alike = [skin for skin in SKINS.values() if skin.parameter == parameter]
    return next((skin for skin in alike if f"{skin.marker}=" in raw_target), alike[0])
