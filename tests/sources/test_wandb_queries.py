"""What W&B's answers mean: pages of files as they come, and anything else, which is no page and no crash."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncdl.model import Checksum
from asyncdl.sources.wandb_faults import read_json, words_of
from asyncdl.sources.wandb_queries import find, read_features, read_page

#: Of no bytes, as hexadecimal digits and as W&B writes it.
MD5_HEX, MD5 = "d41d8cd98f00b204e9800998ecf8427e", "1B2M2Y8AsgTpgAmY7PhCfg=="
NODE = {"name": "a/b.bin", "url": "https://api/a", "directUrl": "https://store/a?sig=1", "sizeBytes": 5, "md5": MD5}
LAST = {"hasNextPage": False, "endCursor": None}


def connection(*nodes: object, page: object = LAST) -> dict[str, Any]:
    return {"pageInfo": page, "edges": [{"node": node} for node in nodes]}


def test_page() -> None:
    """Name, URL, size and checksum of a file; a node that is null is none."""
    page = read_page(connection(NODE, None), md5_digests=True)
    [file] = page.files

    assert ("a/b.bin", NODE["directUrl"], 5, Checksum.parse(f"md5:{MD5_HEX}")) == (
        *(file.name, file.url, file.size),
        file.checksum,
    )
    assert (None, False) == (page.cursor, file.reference)
    assert "sig=1" not in repr(page)


@pytest.mark.parametrize(
    ("size", "expected"),
    [(0, 0), ("17", 17), (5 << 40, 5 << 40), (None, None), (-1, None), (1.5, None), ("x", None), (True, None)],
)
def test_sizes(size: object, expected: int | None) -> None:
    """Numbers, also written as strings, as JSON has those of 64 bits; what is none is not known."""
    [file] = read_page(connection(NODE | {"sizeBytes": size}), md5_digests=True).files

    assert expected == file.size


@pytest.mark.parametrize(
    ("md5", "digest", "md5_digests", "known"),
    [
        (MD5, None, False, True),
        (None, MD5, True, True),
        (None, MD5, False, False),
        ("", MD5, True, True),
        (None, '"etag"', True, False),
        # An ETag of S3 is an MD5 in hexadecimal digits, or not: nobody knows.
        (None, MD5_HEX, True, False),
        ("AAAA", None, True, False),
        (7, None, True, False),
    ],
)
def test_checksums(md5: object, digest: object, md5_digests: bool, known: bool) -> None:
    """An MD5 is 16 bytes in base64, and nothing else is one."""
    [file] = read_page(connection(NODE | {"md5": md5, "digest": digest}), md5_digests=md5_digests).files

    assert known is (file.checksum is not None)


@pytest.mark.parametrize("url", ["s3://bucket/key", "gs://bucket/key", "file:///etc/passwd", NODE["url"]])
def test_references(url: str) -> None:
    """What lies elsewhere; its digest is an ETag, and a size of 0 is not known."""
    node = NODE | {"directUrl": url, "sizeBytes": 0, "md5": None, "digest": MD5}
    [file] = read_page(connection(node), md5_digests=True).files

    assert (True, None, None) == (file.reference, file.size, file.checksum)


@pytest.mark.parametrize(
    "answer",
    [
        None,
        {},
        [],
        {"edges": []},
        {"edges": None, "pageInfo": LAST},
        {"edges": {}, "pageInfo": LAST},
        connection(page={"hasNextPage": True, "endCursor": None}),
        connection({}),
        connection(NODE | {"name": ""}),
        connection(NODE | {"directUrl": None}),
        connection(NODE | {"directUrl": "http://["}),
        connection(NODE | {"sizeBytes": "9" * 5000}),
        connection("node"),
    ],
)
def test_no_page(answer: object) -> None:
    """What is no page is said to be none."""
    with pytest.raises(ValueError, match=r"\w"):
        read_page(answer, md5_digests=True)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from([*NODE, "edges", "node", "pageInfo", "hasNextPage", "endCursor", "serverInfo", "features"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@given(_JSON)
def test_any_answer(answer: Any) -> None:
    """Whatever comes is a page or a ValueError; features and names that are not there are not there."""
    read_features(answer)
    find(answer, "edges", "node")
    try:
        page = read_page(answer, md5_digests=True)
    except ValueError:
        return
    assert all(file.name for file in page.files)


@given(st.binary(max_size=200))
def test_any_body(body: bytes) -> None:
    """Whatever a body holds, its words are text in one line."""
    assert "\n" not in words_of(body)


def test_deep_body() -> None:
    """A body made to exhaust the parser is no answer."""
    assert read_json(b"[" * 200_000) is None


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"errors": [{"message": "one"}, "two"]}', "one; two"),
        (b'{"errors": [{}]}', "no reason given"),
        (b'{"error": "invalid_grant", "error_description": "wrong\\ntoken"}', "wrong token"),
        (b'{"error": "invalid_grant"}', "invalid_grant"),
        (b"{}", ""),
        (b"<html>page</html>", ""),
        (b"plain\n words", "plain words"),
        (b"", ""),
    ],
)
def test_words(body: bytes, expected: str) -> None:
    """What an API says, in the ways in which APIs say it; pages for people say nothing."""
    assert expected == words_of(body)
