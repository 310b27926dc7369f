"""A batch of links that expire, from a list, against nginx."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.command import run
from tests.support.nginx import Nginx

pytestmark = [pytest.mark.server]


async def test_nginx_batch(nginx: Nginx, tmp_path: Path) -> None:
    """Many small files beside a large one, over connections that are used again; dead links fail alone."""
    sizes = {f"{number:03}.bin": 1000 + number for number in range(200)} | {"large.bin": 24 << 20}
    contents = {name: nginx.add(name, size) for name, size in sizes.items()}
    rows = [json.dumps({"url": nginx.sign(name, 60), "out": f"to/{name}"}) for name in sizes]
    rows.insert(100, json.dumps({"url": nginx.sign("000.bin", -5), "out": "dead"}))
    ended = await run("-i", "-", "--json", "--failed", "failed", cwd=tmp_path, stdin="\n".join(rows))

    ended.assert_silent_on(*(json.loads(row)["url"] for row in rows), files=(tmp_path / "failed",))
    assert (1, 201, 1) == (ended.code, ended.events[-1]["downloaded"], ended.events[-1]["failed"])
    assert [(101, 4)] == [(event["line"], event["exit_code"]) for event in ended.of("failed")]
    assert dict.fromkeys(sizes) == {
        name: content.first_difference(tmp_path / "to" / name) for name, content in contents.items()
    }
