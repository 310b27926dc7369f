"""What a download leaves on the disk holds no secret: not while it runs, not when it failed, not when it is done."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest

import asyncdl
from asyncdl.edge.opening import Names
from asyncdl.testing import Fault, Origin
from tests.support.flow import PART, fetch, small
from tests.support.partfiles import mode_of

SIZE = 12 * PART
_HEADERS = {"Authorization": "Bearer c4ller5-t0ken", "Cookie": "session=c00kie-of-the-caller"}


def _secrets(url: str) -> list[str]:
    """All values of the query that are long enough to be one, and what the headers hold."""
    found = [value for _, value in parse_qsl(urlsplit(url).query) if len(value) > 12]
    assert found
    return [*found, "c4ller5-t0ken", "c00kie-of-the-caller", urlsplit(url).query]


def _at_rest(folder: Path) -> str:
    """Names, extended attributes and contents of the journals; the object itself is the server's."""
    said = []
    for path in folder.rglob("*"):
        said.append(str(path))
        if hasattr(os, "listxattr"):
            said += [f"{name} {os.getxattr(path, name)!r}" for name in os.listxattr(path)]
        if path.is_file() and ".journal" in path.name:
            said.append(path.read_bytes().decode("latin-1"))
    return "\n".join(said)


@pytest.mark.parametrize("skin", ["s3v4", "s3sts", "gcs", "azure", "cloudfront", "hf", "opaque"])
async def test_at_rest(
    origin: Origin, tmp_path: Path, may_block: object, caplog: pytest.LogCaptureFixture, skin: str
) -> None:
    """B34: names, attributes, journal and log, of a download that fails, is resumed under another URL, and is done."""
    caplog.set_level(logging.DEBUG)
    origin.add("/object", SIZE)
    urls = [origin.presign("/object", ttl=60, skin=skin) for _ in range(2)]
    dest = tmp_path / "file"
    origin.script(Fault(start=8 * PART, status=451, times=1))
    seen: list[str] = []
    origin.rate = 32.0 * PART

    with pytest.raises(asyncdl.HttpStatusError) as caught:
        await fetch(
            urls[0], dest, headers=_HEADERS, options=small(1), on_progress=lambda _: seen.append(_at_rest(tmp_path))
        )
    seen.append(_at_rest(tmp_path))
    modes = [mode_of(path) for path in (Names.of(dest).part, Names.of(dest).journal)]
    result = await fetch(urls[1], dest, headers=_HEADERS, on_progress=lambda _: seen.append(_at_rest(tmp_path)))
    seen.append(_at_rest(tmp_path))

    assert result.resumed > 0
    assert any("asyncdl-journal" in said for said in seen)
    assert [0o600, 0o600] == modes
    everything = "\n".join([*seen, caplog.text, repr(caught.value), str(caught.value), repr(result)])
    assert [] == [secret for url in urls for secret in _secrets(url) if secret in everything]
    assert urlsplit(urls[0]).netloc not in "\n".join(seen)


async def test_validator_like_a_record(origin: Origin, tmp_path: Path) -> None:
    """B34: a header of the server's adds no record to the journal, and nothing but validators gets in."""
    origin.add("/object", SIZE, etag='"claim[0,786432)00000000"', last_modified="owner 1 2 00000000")
    origin.script(Fault(start=8 * PART, status=451, times=1))
    with pytest.raises(asyncdl.HttpStatusError):
        await fetch(origin.url("/object"), tmp_path / "file", headers=_HEADERS, options=small(1))
    lines = Names.of(tmp_path / "file").journal.read_bytes().splitlines()

    for text in (b"claim[0,786432)", b"owner 1 2"):
        assert [b"asyncdl-journal"] == [line.split()[0] for line in lines if text in line]
    assert {b"asyncdl-journal", b"claim", b"owner"} >= {line.split()[0] for line in lines}
