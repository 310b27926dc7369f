"""Same object, same file: what proves it, what disproves it, and what leaves it open."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from asyncdl.model import RemoteObject
from asyncdl.rules.head import Head
from asyncdl.rules.held import Held
from asyncdl.rules.identity import Different, Match, Unproven, same_file, same_object
from asyncdl.rules.journal import State
from asyncdl.rules.ranges import MAX_SIZE
from tests.support.journals import CHECKSUMS, heads

SHA, OTHER_SHA, MD5 = f"sha256:{'ab' * 32}", f"sha256:{'cd' * 32}", f"md5:{'ab' * 16}"
MONDAY, TUESDAY = "Mon, 06 Jan 2025 00:00:00 GMT", "Tue, 07 Jan 2025 00:00:00 GMT"

SIZES = st.none() | st.integers(0, 3)
TAGS = st.none() | st.sampled_from(['"a"', '"b"'])
WEAK_TAGS = st.none() | st.sampled_from(['W/"a"', 'W/"b"'])
DATES = st.none() | st.sampled_from([MONDAY, TUESDAY])
PINS = st.none() | st.sampled_from([SHA, OTHER_SHA, MD5])
HEADS = st.builds(
    Head, size=SIZES, etag=TAGS, weak_etag=WEAK_TAGS, last_modified=DATES, checksum=PINS, declared_size=SIZES
)
REMOTES = st.builds(RemoteObject, size=SIZES, etag=TAGS, weak_etag=WEAK_TAGS, last_modified=DATES)


@pytest.mark.parametrize(
    ("head", "remote", "expected"),
    [
        pytest.param(Head(size=9, etag='"a"'), RemoteObject(9, '"a"'), Match, id="size and strong tag"),
        pytest.param(Head(size=9, etag='"a"'), RemoteObject(None, '"a"'), Match, id="the tag, and no size to compare"),
        pytest.param(
            Head(size=9, etag='"a"', last_modified=MONDAY), RemoteObject(9, '"a"', TUESDAY), Match, id="tag before date"
        ),
        pytest.param(Head(size=9, etag='"a"'), RemoteObject(9, '"b"'), Different, id="another strong tag"),
        pytest.param(Head(size=9, etag='"a"'), RemoteObject(8, '"a"'), Different, id="another size"),
        pytest.param(Head(size=None, declared_size=9), RemoteObject(8), Different, id="not the size declared then"),
        pytest.param(
            Head(size=9, weak_etag='W/"a"'), RemoteObject(9, weak_etag='W/"b"'), Different, id="another weak tag"
        ),
        pytest.param(
            Head(size=9, last_modified=MONDAY), RemoteObject(9, None, TUESDAY), Different, id="another date, and no tag"
        ),
        pytest.param(
            Head(size=9, weak_etag='W/"a"'), RemoteObject(9, weak_etag='W/"a"'), Unproven, id="the same weak tag"
        ),
        pytest.param(
            Head(size=9, etag='"a"'), RemoteObject(9, weak_etag='W/"a"'), Unproven, id="the tag has become weak"
        ),
        pytest.param(Head(size=9, weak_etag='W/"a"'), RemoteObject(9, '"a"'), Unproven, id="the tag has become strong"),
        pytest.param(Head(size=9, etag='"a"'), RemoteObject(9), Unproven, id="the tag is gone"),
        pytest.param(Head(size=9), RemoteObject(9, '"a"'), Unproven, id="there was no tag"),
        pytest.param(
            Head(size=9, last_modified=MONDAY), RemoteObject(9, None, MONDAY), Unproven, id="the same date is no proof"
        ),
        pytest.param(Head(size=9), RemoteObject(9), Unproven, id="nothing but the size"),
    ],
)
def test_validators(head: Head, remote: RemoteObject, expected: type) -> None:
    """What the server says, then and now."""
    assert expected is type(same_object(head, remote))


@pytest.mark.parametrize(
    ("head", "remote", "checksum", "declared", "expected"),
    [
        pytest.param(Head(size=9, checksum=SHA), RemoteObject(9), SHA, None, Match, id="the same checksum"),
        pytest.param(
            Head(size=9, etag='"a"', checksum=SHA), RemoteObject(9, '"b"'), SHA, None, Match, id="outweighs the tag"
        ),
        pytest.param(
            Head(size=None, declared_size=9, checksum=SHA), RemoteObject(None), SHA, 9, Match, id="with sizes declared"
        ),
        pytest.param(Head(size=9, checksum=SHA), RemoteObject(8), SHA, None, Different, id="not if the size differs"),
        pytest.param(
            Head(size=9, checksum=SHA), RemoteObject(None), SHA, None, Unproven, id="not if nobody says the size"
        ),
        pytest.param(
            Head(size=9, etag='"a"', checksum=SHA), RemoteObject(9, '"a"'), OTHER_SHA, None, Different, id="another one"
        ),
        pytest.param(Head(size=9, checksum=SHA), RemoteObject(9), MD5, None, Unproven, id="cannot be compared"),
        pytest.param(
            Head(size=9, etag='"a"', checksum=SHA), RemoteObject(9, '"a"'), MD5, None, Match, id="but the tag can"
        ),
        pytest.param(Head(size=9, checksum=SHA), RemoteObject(9), None, None, Unproven, id="none is pinned now"),
        pytest.param(Head(size=9), RemoteObject(9), SHA, None, Unproven, id="none was pinned then"),
        pytest.param(Head(size=9, etag='"a"'), RemoteObject(9, '"a"'), None, 8, Different, id="not the size declared"),
    ],
)
def test_pinned(head: Head, remote: RemoteObject, checksum: str | None, declared: int | None, expected: type) -> None:
    """What the caller says, then and now."""
    assert expected is type(same_object(head, remote, checksum=checksum, declared_size=declared))


@given(head=HEADS, remote=REMOTES, checksum=PINS, declared=SIZES)
def test_a_match_has_a_proof(head: Head, remote: RemoteObject, checksum: str | None, declared: int | None) -> None:
    """Nothing is kept without the same strong tag or the same checksum, nor against a size."""
    verdict = same_object(head, remote, checksum=checksum, declared_size=declared)
    by_tag = head.etag is not None and head.etag == remote.etag
    by_pin = head.checksum is not None and head.checksum == checksum
    sizes = {head.size, head.declared_size, remote.size, declared} - {None}

    if isinstance(verdict, Match):
        assert by_tag or by_pin
        assert len(sizes) <= 1
    if len(sizes) > 1:
        assert isinstance(verdict, Different)
    assert verdict.why


@given(head=heads(st.none() | st.integers(0, MAX_SIZE)), checksum=st.none() | CHECKSUMS)
@example(head=Head(size=0, etag='"a"'), checksum=None)
def test_an_object_is_never_different_from_itself(head: Head, checksum: str | None) -> None:
    """The same reply as before is never called another object, and proves itself with a strong tag."""
    head = Head.of(RemoteObject(head.size, head.etag, head.last_modified, head.weak_etag), checksum=checksum)
    verdict = same_object(
        head, RemoteObject(head.size, head.etag, head.last_modified, head.weak_etag), checksum=checksum
    )

    assert isinstance(verdict, Match if head.etag or (checksum and head.size is not None) else Unproven)


@pytest.mark.parametrize(
    ("recorded", "inode", "length", "expected"),
    [
        pytest.param(7, 7, 9, Match, id="the file, of just the length"),
        pytest.param(7, 7, 99, Match, id="or longer: it is preallocated"),
        pytest.param(7, 8, 9, Different, id="another file"),
        pytest.param(7, 7, 8, Different, id="cut"),
        pytest.param(None, 8, 9, Match, id="its number was not known"),
        pytest.param(7, None, 9, Match, id="its number is not known"),
    ],
)
def test_file(recorded: int | None, inode: int | None, length: int, expected: type) -> None:
    """A partial file that was replaced or cut holds nothing of what was claimed."""
    state = State(head=Head(size=20, inode=recorded), owner="a", held=(Held(0, 2), Held(4, 9)))

    assert expected is type(same_file(state, inode=inode, length=length))


def test_a_file_of_which_nothing_is_claimed() -> None:
    """It may have any length."""
    assert isinstance(same_file(State(head=Head(size=20), owner="a"), inode=7, length=0), Match)
