"""URLs of other schemes in a batch: a source that somebody installed, of one file and of many."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from asyncdl.testing import Origin
from tests.support.command import Ended, run
from tests.support.hub import TOKEN, running

_SIZE = 50_000
#: What `shop://HOST/x` has depends on its path: one file, many, some with odd names, or a listing that breaks off.
_SOURCE = """
import os, sys
from asyncdl.errors import SourceError
from asyncdl.sources.contract import RemoteFile

class Shop:
    def __init__(self, url):
        self.host, _, self.kind = url.removeprefix("shop://").partition("/")

    async def files(self):
        names = {"one": ["a.bin"], "odd": ["../a", "ok", "OK", "sub/b"]}.get(self.kind, ["a.bin", "sub/b.bin"])
        for name in names:
            yield RemoteFile(name=name, source=self.source, size=50_000)
        if self.kind == "fails":
            raise SourceError("the shop is closed", hint="come back tomorrow")

    async def source(self, rejected=None):
        return os.environ["SHOP_SIGNED"]

    async def aclose(self):
        print(f"closed {self.kind}", file=sys.stderr)

def open_url(url, *, options, timeouts):
    return Shop(url)
"""


@pytest.fixture
def shop(tmp_path: Path) -> dict[str, str]:
    """What the environment needs for the source to be found."""
    packages = tmp_path / "packages"
    (packages / "shop-1.0.dist-info").mkdir(parents=True)
    (packages / "shop.py").write_text(_SOURCE)
    (packages / "shop-1.0.dist-info/METADATA").write_text("Metadata-Version: 2.1\nName: shop\nVersion: 1.0\n")
    (packages / "shop-1.0.dist-info/entry_points.txt").write_text("[asyncdl.sources]\nshop = shop:open_url\n")
    (tmp_path / "to").mkdir()
    root = Path(__file__).parents[3]
    return {"PYTHONPATH": f"{root}:{packages}"}


async def _run(origin: Origin, tmp_path: Path, shop: dict[str, str], *argv: str, stdin: str = "") -> Ended:
    origin.add("/object", _SIZE)
    signed = origin.presign("/object", ttl=60)
    environ = {**shop, "SHOP_SIGNED": signed}
    ended = await run(*argv, "--json", "-d", tmp_path / "to", cwd=tmp_path, stdin=stdin, environ=environ)
    ended.assert_silent_on(signed)
    return ended


def _there(tmp_path: Path) -> list[str]:
    return sorted(
        path.relative_to(tmp_path / "to").as_posix() for path in (tmp_path / "to").rglob("*") if path.is_file()
    )


def _url(origin: Origin, kind: str) -> str:
    return f"shop://127.0.0.1:{origin.base_url.rpartition(':')[2]}/{kind}"


async def test_on_the_command_line(origin: Origin, tmp_path: Path, shop: dict[str, str]) -> None:
    """All its files come, and it is closed after them."""
    ended = await _run(origin, tmp_path, shop, _url(origin, "many"))

    assert (0, ["a.bin", "sub/b.bin"]) == (ended.code, _there(tmp_path))
    assert ["closed many"] == ended.err.splitlines()
    assert {_url(origin, "many")} == {event["url"] for event in ended.of("finished")}


async def test_one_file(origin: Origin, tmp_path: Path, shop: dict[str, str]) -> None:
    """It may be named, and verified."""
    digest = origin.add("/object", _SIZE).sha256()
    argv = ("-o", "x/named", "--checksum", f"sha256:{digest}", "--size", str(_SIZE))
    ended = await _run(origin, tmp_path, shop, _url(origin, "one"), *argv)

    assert (0, ["x/named"], f"sha256:{digest}") == (ended.code, _there(tmp_path), ended.of("finished")[0]["checksum"])


@pytest.mark.parametrize("argv", [["-o", "x"], ["--size", "50000"], ["--checksum", "md5:" + "0" * 32]])
async def test_not_one_file(argv: list[str], origin: Origin, tmp_path: Path, shop: dict[str, str]) -> None:
    """What is of one file cannot be of several."""
    ended = await _run(origin, tmp_path, shop, _url(origin, "many"), *argv)

    assert (2, []) == (ended.code, _there(tmp_path))
    assert "stands for several files" in ended.err


async def test_in_a_list(origin: Origin, tmp_path: Path, shop: dict[str, str]) -> None:
    """Below the directory of its row, beside rows of other kinds; names that clash or leave fail alone."""
    origin.add("/plain", _SIZE)
    rows = [
        {"url": _url(origin, "many"), "dir": "first"},
        {"url": origin.url("/plain")},
        {"url": _url(origin, "odd")},
        {"url": _url(origin, "one"), "out": "named"},
    ]
    ended = await _run(origin, tmp_path, shop, "-i", "-", stdin="\n".join(map(json.dumps, rows)))

    assert 1 == ended.code
    assert ["first/a.bin", "first/sub/b.bin", "named", "ok", "plain", "sub/b"] == _there(tmp_path)
    assert [3, 3] == [event["line"] for event in ended.of("failed")]
    assert ["closed many", "closed odd", "closed one"] == sorted(
        line for line in ended.err.splitlines() if line.startswith("closed")
    )


async def test_a_source_that_fails(origin: Origin, tmp_path: Path, shop: dict[str, str]) -> None:
    """In its own words; what it had listed before comes, as do other rows; its row is fed back, once."""
    rows = [{"url": _url(origin, "fails")}, {"url": _url(origin, "one"), "out": "other"}, {"url": "nothing://x"}]
    ended = await _run(origin, tmp_path, shop, "-i", "-", "--failed", "failed", stdin="\n".join(map(json.dumps, rows)))
    records = [json.loads(line) for line in (tmp_path / "failed").read_text().splitlines()]

    assert 1 == ended.code
    assert ["a.bin", "other", "sub/b.bin"] == _there(tmp_path)
    assert "asyncdl: error: standard input: line 1: the shop is closed" in ended.err.splitlines()
    assert "hint: come back tomorrow" in ended.err.splitlines()
    assert {("source", 1), ("options", 3)} == {(event["code"], event["line"]) for event in ended.of("failed")}
    assert [(1, _url(origin, "fails")), (3, "nothing://x")] == [(record["line"], record["url"]) for record in records]


async def test_an_unknown_scheme(tmp_path: Path) -> None:
    """On the command line it is wrong usage, as before."""
    ended = await run("nothing://x/hunter2secret", "-d", tmp_path)

    assert (2, True, False) == (ended.code, "scheme is neither http nor https" in ended.err, "hunter2" in ended.err)


async def test_a_source_renews_its_own_urls(tmp_path: Path, shop: dict[str, str]) -> None:
    """A command beside it would be without effect."""
    ended = await run("shop://x/one", "--refresh-command", "true", "-d", tmp_path, environ=shop)

    assert (2, True) == (ended.code, "a source renews its own" in ended.err)


async def test_a_repository(origin: Origin, tmp_path: Path) -> None:
    """A source of our own: all files of a repository, hidden ones and directories as they are named there."""
    async with running(origin) as hub:
        names = {"config.json": 1000, ".gitattributes": 200, "weights/model-1.bin": 3 << 20}
        contents = {name: hub.large(size) for name, size in names.items()}
        hub.repo("models/org/model").commit(dict(contents))
        environ = {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "home"), "HF_TOKEN": TOKEN}
        (tmp_path / "to").mkdir()
        command = ("hf://org/model", "-d", tmp_path / "to", "--json")
        first = await run(*command, environ=environ)
        second = await run(*command, environ=environ)

    assert (0, 0) == (first.code, second.code)
    assert sorted(names) == _there(tmp_path)
    assert dict.fromkeys(names) == {
        name: content.first_difference(tmp_path / "to" / name) for name, content in contents.items()
    }
    assert (3, 0) == tuple(second.events[-1][kind] for kind in ("skipped", "fetched"))
    assert TOKEN not in first.out + first.err
