"""A source that somebody else brings, as docs/sources.md explains it: the text of that page, installed and used."""

from __future__ import annotations

import asyncio
import importlib
import re
import tomllib
from pathlib import Path

import pytest
from aiohttp import web

from asyncdl.errors import OptionsError, SourceError
from asyncdl.options import Options
from asyncdl.sources.registry import open_collection, schemes
from asyncdl.testing import Origin
from tests.support.flow import PART, QUICK, fetch, holds, small
from tests.support.service import serving

_PAGE = Path(__file__).parents[2] / "docs/sources.md"
_PLAIN = Options(use_environment=False)
SIZE = 6 * PART + 999


def _install(where: Path) -> None:
    """What pip makes of the example's pyproject.toml and its module: a folder of metadata beside it."""
    section = _PAGE.read_text(encoding="utf-8").partition("## A source of your own")[2]
    blocks = dict(re.findall(r"```(toml|python)\n(.*?)```", section, re.DOTALL))
    project = tomllib.loads(blocks["toml"])["project"]
    points = [
        f"[{group}]\n" + "".join(f"{name} = {value}\n" for name, value in members.items())
        for group, members in project["entry-points"].items()
    ]
    info = where / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    (info / "entry_points.txt").write_text("\n".join(points))
    (where / "acme_source.py").write_text(blocks["python"], encoding="utf-8")


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The example, on the path."""
    site = tmp_path / "site"
    site.mkdir()
    _install(site)
    monkeypatch.syspath_prepend(str(site))
    importlib.invalidate_caches()


async def test_the_example_of_the_documentation(
    installed: None, origin: Origin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its scheme is known, its files come, under URLs that die, with their checksums."""
    content = origin.add("/a/model.bin", SIZE)
    origin.rate = 6 * PART

    async def service(request: web.Request) -> web.StreamResponse:
        if request.path == "/list/apollo":
            return web.json_response([{"name": "a/model.bin", "size": SIZE, "sha256": content.sha256()}])
        if request.path == "/sign/a/model.bin":
            return web.json_response({"url": origin.presign("/a/model.bin", ttl=0.4)})
        return web.Response(status=404)

    async with serving(service) as url:
        monkeypatch.setenv("ACME_URL", url)
        known = await asyncio.to_thread(schemes)
        project = await asyncio.to_thread(open_collection, "ACME://apollo", options=_PLAIN, timeouts=QUICK)
        files = [file async for file in project.files()]
        result = await fetch(
            files[0].source,
            tmp_path / "f",
            size=files[0].size,
            checksum=files[0].checksum,
            options=small(1, refresh_margin=0.0, reuse_window=0.0),
        )
        unknown = await asyncio.to_thread(open_collection, "acme://Apollo", options=_PLAIN, timeouts=QUICK)
        with pytest.raises(SourceError, match="acme://Apollo: no such project"):
            await anext(unknown.files())

    assert "acme" in known
    assert holds(tmp_path / "f", content)
    assert ("a/model.bin", f"sha256:{content.sha256()}") == (files[0].name, str(result.checksum))
    assert result.refreshes >= 1


def test_urls_that_nobody_understands(installed: None) -> None:
    """The message says which schemes there are; a source says what is wrong with its own."""
    with pytest.raises(OptionsError, match="no source understands nobody:// URLs") as caught:
        open_collection("nobody://x", options=_PLAIN, timeouts=QUICK)
    with pytest.raises(OptionsError, match="a project has a name"):
        open_collection("acme://", options=_PLAIN, timeouts=QUICK)

    assert "acme" in str(caught.value.hint)


def test_a_source_that_cannot_be_imported(installed: None, tmp_path: Path) -> None:
    """It is named, with what its entry point leads to."""
    points = next((tmp_path / "site").glob("*.dist-info/entry_points.txt"))
    points.write_text("[asyncdl.sources]\nbroken = no_such_module:open_url\nhf = no_such_module:open_url\n")
    with pytest.raises(OptionsError, match="the source of broken:// URLs, no_such_module:open_url, cannot be imported"):
        open_collection("broken://x", options=_PLAIN, timeouts=QUICK)

    assert "hf://org/repo" in repr(open_collection("hf://org/repo", options=_PLAIN, timeouts=QUICK))
