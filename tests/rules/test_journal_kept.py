"""What of an earlier download is gone on with, and which checksum the file has to have in the end."""

from __future__ import annotations

import pytest

from asyncdl.errors import IntegrityError
from asyncdl.model import DIGEST_SIZES, Checksum, RemoteObject
from asyncdl.rules.head import Head
from asyncdl.rules.held import Held
from asyncdl.rules.identity import kept
from asyncdl.rules.journal import State
from asyncdl.rules.promises import to_verify

HELD = (Held(0, 4), Held(6, 9))
SHA, OTHER_SHA = Checksum("sha256", bytes(32)), Checksum("sha256", bytes(31) + b"\1")
CRC = Checksum("crc32c", bytes(4))


def state(**head: object) -> State:
    return State(head=Head(**({"size": 9} | head)), owner="me", held=HELD)  # type: ignore[arg-type]


class TestKept:
    def test_proven(self) -> None:
        """The same strong entity tag: everything."""
        found = kept(state(etag='"a"'), RemoteObject(9, '"a"'))

        assert (HELD, True) == (found.held, found.proven)

    def test_different(self) -> None:
        """Another one: nothing, whatever the caller trusts or verifies."""
        found = kept(state(etag='"a"'), RemoteObject(9, '"b"'), verified=True, trusting=True)

        assert ((), True) == (found.held, found.proven)
        assert "tag" in found.why

    @pytest.mark.parametrize(("verified", "trusting"), [(True, False), (False, True), (True, True)])
    def test_unproven_and_wanted(self, verified: bool, trusting: bool) -> None:
        """Kept where a checksum will show, or the caller takes the risk; and it is said that nothing proves it."""
        found = kept(state(), RemoteObject(9), verified=verified, trusting=trusting)

        assert (HELD, False) == (found.held, found.proven)

    def test_unproven(self) -> None:
        """Nothing otherwise."""
        assert () == kept(state(), RemoteObject(9)).held

    def test_same_checksum_pinned(self) -> None:
        """A pinned checksum outweighs the entity tags of another host; of what is kept it proves nothing yet."""
        found = kept(state(etag='"a"', checksum=str(SHA)), RemoteObject(9, '"b"'), checksum=str(SHA))

        assert (HELD, False) == (found.held, found.proven)

    def test_same_checksum_and_tag(self) -> None:
        """Both the same: the tag proves what is kept."""
        found = kept(state(etag='"a"', checksum=str(SHA)), RemoteObject(9, '"a"'), checksum=str(SHA))

        assert (HELD, True) == (found.held, found.proven)

    def test_another_size_declared(self) -> None:
        """The caller speaks of another object."""
        assert () == kept(state(etag='"a"'), RemoteObject(None, '"a"'), declared_size=8).held

    @pytest.mark.parametrize("tag", ['"a"', None])
    def test_more_than_there_is(self, tag: str | None) -> None:
        """Of an object whose size was not known then: no byte beyond its end is kept, nor any before it."""
        found = kept(state(size=None, etag=tag), RemoteObject(8, tag), trusting=True)

        assert ((), True) == (found.held, found.proven)
        assert "more" in found.why


class TestToVerify:
    def test_pinned_first(self) -> None:
        """What the caller says comes before a stronger promise."""
        assert to_verify(CRC, [SHA], DIGEST_SIZES) is CRC

    def test_strongest_computable_promise(self) -> None:
        """The first for which there is a library."""
        assert to_verify(None, [CRC, SHA], {"sha256"}) is SHA

    def test_none(self) -> None:
        """Nothing said, or nothing that can be computed."""
        assert to_verify(None, [], DIGEST_SIZES) is None
        assert to_verify(None, [CRC], set()) is None

    def test_contradiction(self) -> None:
        """Two values of one algorithm cannot both be right; both are named."""
        with pytest.raises(IntegrityError) as caught:
            to_verify(SHA, [CRC, OTHER_SHA], DIGEST_SIZES)

        assert str(SHA) in str(caught.value)
        assert str(OTHER_SHA) in str(caught.value)

    def test_agreement(self) -> None:
        """The same value from both sides."""
        assert to_verify(SHA, [SHA], DIGEST_SIZES) is SHA
