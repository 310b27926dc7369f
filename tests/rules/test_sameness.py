"""What proves that two places have the same object, what disproves it, and what is neither."""

from __future__ import annotations

import pytest

from asyncdl.model import Checksum, RemoteObject
from asyncdl.rules.identity import Different, Match, Unproven
from asyncdl.rules.sameness import Known, same_bytes

SHA = Checksum("sha256", bytes(32))
OTHER_SHA = Checksum("sha256", bytes([1] * 32))
CRC = Checksum("crc32c", bytes(4))
MD5 = Checksum("md5", bytes(16))
KNOWN = Known(size=10, etags=frozenset({'"a"', '"b"'}), promises=(SHA, CRC))


@pytest.mark.parametrize(
    ("remote", "promises", "pinned", "expected"),
    [
        # A strong tag of anybody who is proven.
        (RemoteObject(10, '"a"'), (), None, Match),
        (RemoteObject(10, '"b"'), (), None, Match),
        (RemoteObject(None, '"b"'), (), None, Match),
        (RemoteObject(10, '"c"'), (), None, Unproven),
        (RemoteObject(10, weak_etag='W/"a"'), (), None, Unproven),
        # A promise.
        (RemoteObject(10, '"c"'), (SHA,), None, Match),
        (RemoteObject(10), (MD5, CRC), None, Match),
        (RemoteObject(10), (MD5,), None, Unproven),
        (RemoteObject(10, '"a"'), (MD5,), None, Match),
        # What differs outweighs what agrees.
        (RemoteObject(10, '"a"'), (OTHER_SHA,), None, Different),
        (RemoteObject(10, '"a"'), (CRC, OTHER_SHA), None, Different),
        (RemoteObject(10), (SHA, OTHER_SHA), None, Different),
        (RemoteObject(11, '"a"'), (SHA,), None, Different),
        # What the caller pins.
        (RemoteObject(10), (), MD5, Match),
        (RemoteObject(None), (), MD5, Match),
        (RemoteObject(10), (MD5,), MD5, Match),
        (RemoteObject(11), (), MD5, Different),
        (RemoteObject(10, '"a"'), (MD5,), Checksum("md5", bytes([1] * 16)), Different),
        # Dates and nothing at all.
        (RemoteObject(10, last_modified="Wed, 01 Jan 2025 00:00:00 GMT"), (), None, Unproven),
    ],
)
def test_verdicts(
    remote: RemoteObject, promises: tuple[Checksum, ...], pinned: Checksum | None, expected: type[object]
) -> None:
    """Each proof by itself, and each contradiction beside a proof."""
    assert expected is type(same_bytes(KNOWN, remote, promises, pinned=pinned))


def test_size_nobody_has_said() -> None:
    """It disproves nothing."""
    assert isinstance(same_bytes(Known(etags=frozenset({'"a"'})), RemoteObject(10, '"a"'), ()), Match)


def test_what_is_learnt() -> None:
    """Tags gather, the first size and the first promise of each algorithm stay."""
    known = Known().plus(RemoteObject(None, '"a"'), (SHA,)).plus(RemoteObject(10, weak_etag='W/"b"'), (MD5,))

    assert Known(size=10, etags=frozenset({'"a"'}), promises=(SHA, MD5)) == known
    assert known == known.plus(RemoteObject(11), (OTHER_SHA,))
