"""JSON pointers: the examples of RFC 6901, and what points nowhere."""

from __future__ import annotations

import pytest

from asyncdl.errors import OptionsError
from asyncdl.rules.json_pointer import MISSING, check_pointer, find

#: RFC 6901 section 5.
_DOCUMENT = {
    "foo": ["bar", "baz"], "": 0, "a/b": 1, "c%d": 2, "e^f": 3, "g|h": 4, "i\\j": 5, 'k"l': 6, " ": 7, "m~n": 8,
}  # fmt: skip


@pytest.mark.parametrize(
    ("pointer", "value"),
    [
        ("", _DOCUMENT), ("/foo", ["bar", "baz"]), ("/foo/0", "bar"), ("/", 0), ("/a~1b", 1), ("/c%d", 2), ("/e^f", 3),
        ("/g|h", 4), ("/i\\j", 5), ('/k"l', 6), ("/ ", 7), ("/m~0n", 8),
    ],
)  # fmt: skip
def test_examples_of_the_rfc(pointer: str, value: object) -> None:
    """All of section 5."""
    assert value == find(_DOCUMENT, check_pointer(pointer))


@pytest.mark.parametrize(
    "pointer", ["/none", "/foo/2", "/foo/-", "/foo/00", "/foo/-1", "/foo/x", "/foo/0/x", "/ /x", f"/foo/{'9' * 99}"]
)
def test_nothing_there(pointer: str) -> None:
    """That is told from a null."""
    assert MISSING is find(_DOCUMENT, check_pointer(pointer))
    assert None is find({"x": None}, "/x")


@pytest.mark.parametrize("pointer", ["x", "/~", "/~2", "x/y"])
def test_no_pointers(pointer: str) -> None:
    """What is malformed is refused when it is given."""
    with pytest.raises(OptionsError):
        check_pointer(pointer)


def test_an_escaped_tilde_and_slash() -> None:
    """`~01` is a `~1`, and no slash (section 4)."""
    assert 1 == find({"~1": 1, "/": 2}, "/~01")
