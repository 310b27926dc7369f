"""Several sources of header fields make one list."""

from __future__ import annotations

import pytest

from asyncdl.rules.fields import merge_fields, take_userinfo


@pytest.mark.parametrize(
    ("sources", "expected"),
    [
        ([], ()),
        ([(), ()], ()),
        ([(("A", "1"),), (("B", "2"),)], (("A", "1"), ("B", "2"))),
        ([(("A", "1"),), (("a", "2"),)], (("A", "1"),)),
        ([(("A", "1"), ("a", "2"))], (("A", "1"), ("A", "2"))),
        ([(("a", "1"), ("A", "2")), (("A", "3"), ("C", "4"))], (("a", "1"), ("a", "2"), ("C", "4"))),
    ],
)
def test_merge_fields(sources: list[tuple[tuple[str, str], ...]], expected: tuple[tuple[str, str], ...]) -> None:
    """The earlier source wins a name; one source may repeat it."""
    assert expected == merge_fields(*sources)


@pytest.mark.parametrize(
    ("url", "bare", "field"),
    [
        ("http://h/p?q@r", "http://h/p?q@r", None),
        ("http://Aladdin:open%20sesame@h:8/p?q", "http://h:8/p?q", "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="),
        ("http://user@h/user@h/", "http://h/user@h/", "Basic dXNlcjo="),
        ("http://a:b:c@[::1]/", "http://[::1]/", "Basic YTpiOmM="),
        ("http://:b@h/", "http://h/", "Basic OmI="),
        ("http://@h/@h", "http://h/@h", None),
        ("http://:@h/", "http://h/", None),
    ],
)
def test_take_userinfo(url: str, bare: str, field: str | None) -> None:
    """The example of RFC 7617 section 2, no password, a colon in it, no user, and nothing of both."""
    fields = () if field is None else (("Authorization", field),)

    assert (bare, fields) == take_userinfo(url)
