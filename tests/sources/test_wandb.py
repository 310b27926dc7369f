"""W&B artifacts end to end: a real GraphQL server, a real origin behind it, URLs that die, two ages of the server."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

import asyncdl
from asyncdl.sources.contract import RemoteFile
from asyncdl.sources.registry import open_collection
from asyncdl.sources.wandb import WandbArtifact, WandbFile
from asyncdl.testing import Content, Fault, Origin
from tests.support.flow import KIB, QUICK, fetch, holds, small
from tests.support.wandb_schema import Flavour
from tests.support.wandb_server import KEY, TOKEN, Version, WandbTestServer

ARTIFACT = "team/vision/model"
OLD_AND_NEW: list[Flavour] = ["new", "old"]
FILES_QUERY = {"new": "ArtifactMembershipFiles", "old": "ArtifactFiles"}


@pytest.fixture(params=OLD_AND_NEW)
async def server(request: pytest.FixtureRequest, origin: Origin) -> AsyncIterator[WandbTestServer]:
    """A server of either age."""
    async with WandbTestServer(origin, flavour=request.param) as running:
        yield running


@pytest.fixture
async def modern(origin: Origin) -> AsyncIterator[WandbTestServer]:
    """A new server."""
    async with WandbTestServer(origin) as running:
        yield running


def given(server: WandbTestServer, **changes: Any) -> dict[str, Any]:
    """The arguments that reach a server."""
    base: dict[str, Any] = {"base_url": server.base_url, "api_key": KEY, "options": small(), "timeouts": QUICK}
    return base | changes


async def listed(artifact: WandbArtifact) -> list[RemoteFile]:
    """All files of a collection, which is closed afterwards."""
    try:
        return [file async for file in artifact.files()]
    finally:
        await artifact.aclose()


async def fetch_all(artifact: WandbArtifact, folder: Path) -> list[asyncdl.Result]:
    """Everything, all at once, each file under its name."""

    async def one(file: RemoteFile) -> asyncdl.Result:
        dest = folder / file.name
        dest.parent.mkdir(parents=True, exist_ok=True)
        return await fetch(file.source, dest, size=file.size, checksum=file.checksum)

    try:
        return await asyncio.gather(*[one(file) async for file in artifact.files()])
    finally:
        await artifact.aclose()


def by_name(server: WandbTestServer) -> list[Mapping[str, Any]]:
    """The questions that asked for one file's URL."""
    return [asked for asked in server.operations(FILES_QUERY[server.flavour]) if "fileNames" in asked]


def pages(server: WandbTestServer) -> list[Mapping[str, Any]]:
    """The questions that asked for a page."""
    return [asked for asked in server.operations(FILES_QUERY[server.flavour]) if "fileNames" not in asked]


def content(version: Version, path: str) -> Content:
    return next(file.content for file in version.files if path == file.path)


async def test_one_file(server: WandbTestServer, tmp_path: Path, no_leaks: object) -> None:
    """A file by its path in the artifact, verified by the MD5 that was logged; nothing stays open."""
    version = server.add(ARTIFACT, {"a.bin": 1000, "weights/model.bin": 700 * KIB})

    result = await fetch(WandbFile(f"{ARTIFACT}:latest", "weights/model.bin", **given(server)), tmp_path / "model")

    assert holds(tmp_path / "model", content(version, "weights/model.bin"))
    assert 0 == result.refreshes
    assert result.checksum is not None
    assert "md5" == result.checksum.algorithm
    assert 1 == len(by_name(server))


async def test_description(server: WandbTestServer, tmp_path: Path) -> None:
    """Size and checksum are known before the download, which does not ask again."""
    version = server.add(ARTIFACT, {"weights/model.bin": 700 * KIB})
    source = WandbFile(ARTIFACT, "weights/model.bin", **given(server))

    found = await source.describe()
    result = await fetch(found.source, tmp_path / found.name, size=found.size, checksum=found.checksum)

    assert ("model.bin", 700 * KIB, found.checksum) == (found.name, result.size, result.checksum)
    assert holds(tmp_path / "model.bin", version.files[0].content)
    assert 1 == len(by_name(server))


async def test_whole_artifact(server: WandbTestServer, tmp_path: Path, no_leaks: object) -> None:
    """All files, in folders, with sizes and checksums, by the URLs that came with their page."""
    sizes = {"config.json": 300, "weights/a.bin": 300 * KIB, "weights/b.bin": 200 * KIB, "weights/empty": 0}
    version = server.add(ARTIFACT, sizes)

    results = await fetch_all(WandbArtifact(f"{ARTIFACT}:latest", **given(server)), tmp_path)

    assert all(holds(tmp_path / path, content(version, path)) for path in sizes)
    assert ["md5"] * 4 == [result.checksum.algorithm for result in results if result.checksum]
    assert [] == by_name(server)
    assert 1 == len(pages(server))


async def test_url_that_expires_in_mid_download(server: WandbTestServer, origin: Origin, tmp_path: Path) -> None:
    """A download that outlives its URL several times asks by the file's name, once for all connections each time."""
    server.ttl = 1.3
    origin.limits.total_rate = 300 * KIB
    version = server.add(ARTIFACT, {"big.bin": 1024 * KIB})

    result = await fetch(WandbFile(f"{ARTIFACT}:v0", "big.bin", **given(server)), tmp_path / "big", timeouts=QUICK)

    assert holds(tmp_path / "big", content(version, "big.bin"))
    assert result.refreshes >= 1
    assert result.refreshes + 1 == len(by_name(server))
    assert {("big.bin",)} == {tuple(asked["fileNames"]) for asked in by_name(server)}


async def test_url_that_is_revoked(server: WandbTestServer, origin: Origin, tmp_path: Path) -> None:
    """A URL refused before its time is not handed out again, however fresh it looks."""
    version = server.add(ARTIFACT, {"a.bin": 500 * KIB})
    artifact = WandbArtifact(f"{ARTIFACT}:latest", **given(server))
    file = await anext(aiter(artifact.files()))
    origin.revoke(server.urls[-1])

    result = await fetch(file.source, tmp_path / "a", size=file.size, checksum=file.checksum)
    await artifact.aclose()

    assert holds(tmp_path / "a", content(version, "a.bin"))
    assert 1 == result.refreshes == len(by_name(server))


async def test_pages_are_asked_for_late(server: WandbTestServer) -> None:
    """The next page is asked for when the one before is used up; every file comes once, in order."""
    paths = [f"shard-{number:03d}.bin" for number in range(10)]
    server.add(ARTIFACT, dict.fromkeys(paths, 10))
    artifact = WandbArtifact(f"{ARTIFACT}:latest", **given(server, per_page=4))
    files = aiter(artifact.files())

    names, counts = [], []
    async for file in files:
        names.append(file.name)
        counts.append(len(pages(server)))
    await artifact.aclose()

    assert paths == names
    assert [1] * 4 + [2] * 4 + [3] * 2 == counts
    assert [None, True, True] == [bool(asked["cursor"]) if "cursor" in asked else None for asked in pages(server)]


async def test_urls_of_a_page_that_have_died(server: WandbTestServer, tmp_path: Path) -> None:
    """URLs that died before their turn are not tried: each file asks for its own, and none is refused."""
    server.ttl = 1.0
    version = server.add(ARTIFACT, {"a.bin": 100 * KIB, "b.bin": 100 * KIB})
    artifact = WandbArtifact(f"{ARTIFACT}:latest", **given(server))
    files = [file async for file in artifact.files()]
    # The clock itself is waited for; what can be read in a URL, and in a Date, is rounded to a second each.
    await asyncio.sleep(2.1)
    server.ttl = 3600.0

    results = [await fetch(file.source, tmp_path / file.name, checksum=file.checksum) for file in files]
    await artifact.aclose()

    assert all(holds(tmp_path / file.name, content(version, file.name)) for file in files)
    assert [0, 0] == [result.refreshes for result in results]
    assert [["a.bin"], ["b.bin"]] == [asked["fileNames"] for asked in by_name(server)]
    assert [] == server.origin.ledger.refused


async def test_alias_that_moves(server: WandbTestServer, tmp_path: Path) -> None:
    """An alias is followed once: what is logged meanwhile changes nothing, not even after a renewal."""
    first = server.add(ARTIFACT, {"a.bin": 200 * KIB}, "best")
    source = WandbFile(f"{ARTIFACT}:best", "a.bin", **given(server))
    url = await source(None)
    server.add(ARTIFACT, {"a.bin": 200 * KIB}, "best")
    server.origin.revoke(url.url)

    await fetch(source, tmp_path / "a")

    assert holds(tmp_path / "a", content(first, "a.bin"))


@pytest.mark.parametrize(("alias", "expected"), [("v0", 0), ("v1", 1), ("latest", 1), ("first", 0), (None, 1)])
async def test_aliases(server: WandbTestServer, tmp_path: Path, alias: str | None, expected: int) -> None:
    """A version, latest, another alias, or none, which is latest."""
    versions = [server.add(ARTIFACT, {"a.bin": 100}, "first"), server.add(ARTIFACT, {"a.bin": 100})]
    name = f"{ARTIFACT}:{alias}" if alias else ARTIFACT

    await fetch(WandbFile(name, "a.bin", **given(server)), tmp_path / "a")

    assert holds(tmp_path / "a", content(versions[expected], "a.bin"))


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("data/train/a.bin", ["a.bin"]),
        ("data/train", ["a.bin", "deep/b.bin"]),
        ("data/train/", ["a.bin", "deep/b.bin"]),
        ("data", ["train/a.bin", "train/deep/b.bin", "training.bin"]),
        ("", ["data/train/a.bin", "data/train/deep/b.bin", "data/training.bin", "top.bin"]),
    ],
)
async def test_paths(server: WandbTestServer, path: str, expected: list[str]) -> None:
    """One file, one folder and what is below it, or everything; a folder is no beginning of a name."""
    paths = ["data/train/a.bin", "data/train/deep/b.bin", "data/training.bin", "top.bin"]
    server.add(ARTIFACT, dict.fromkeys(paths, 5))

    files = await listed(WandbArtifact(f"{ARTIFACT}:latest", path=path, **given(server)))

    assert expected == [file.name for file in files]


async def test_url_of_the_command(
    modern: WandbTestServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_leaks: object
) -> None:
    """`wandb://` reaches the same, with what is special in it encoded, and the environment's credentials."""
    version = modern.add("team/vision/my model", {"dir x/100%.bin": 1000}, "a/b")
    monkeypatch.setenv("WANDB_BASE_URL", modern.base_url)
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    url = "wandb://team/vision/my%20model:a%2Fb/dir%20x/100%25.bin"
    collection = open_collection(url, options=small(), timeouts=QUICK)

    files = [file async for file in collection.files()]
    await fetch(files[0].source, tmp_path / "a")
    await collection.aclose()

    assert ["100%.bin"] == [file.name for file in files]
    assert holds(tmp_path / "a", version.files[0].content)


async def test_bearer_token(server: WandbTestServer, tmp_path: Path) -> None:
    """An access token goes in the place of a key."""
    version = server.add(ARTIFACT, {"a.bin": 100})
    arguments = given(server, api_key=None, access_token=TOKEN)

    await fetch(WandbFile(ARTIFACT, "a.bin", **arguments), tmp_path / "a")

    assert holds(tmp_path / "a", content(version, "a.bin"))


@pytest.mark.parametrize(
    ("md5", "other", "expected"), [(True, True, "md5"), (False, False, "md5"), (False, True, None)]
)
async def test_checksums(modern: WandbTestServer, md5: bool, other: bool, expected: str | None) -> None:
    """`md5` is one; `digest` is one too, except on servers where it may be another."""
    modern.add(ARTIFACT, {"a.bin": 100})
    modern.md5 = md5
    modern.features["ARTIFACT_DIGEST_ALGORITHM"] = other

    [file] = await listed(WandbArtifact(ARTIFACT, **given(modern)))

    assert expected == (file.checksum.algorithm if file.checksum else None)


async def test_broken_file_is_found(server: WandbTestServer, origin: Origin, tmp_path: Path) -> None:
    """Bytes that are not those that were logged do not become a file."""
    version = server.add(ARTIFACT, {"a.bin": 10 * KIB})
    origin.add(version.files[0].place, 10 * KIB, seed=99)

    with pytest.raises(asyncdl.IntegrityError):
        await fetch_all(WandbArtifact(ARTIFACT, **given(server)), tmp_path)

    assert [] == [path.name for path in tmp_path.iterdir() if "a.bin" == path.name]


async def test_reference_over_http(server: WandbTestServer, origin: Origin, tmp_path: Path) -> None:
    """A reference to an http URL is fetched from there; its ETag is taken for no checksum."""
    there = origin.add("/public/data.bin", 300 * KIB)
    server.add(ARTIFACT, {"data.bin": origin.url("/public/data.bin")})

    [result] = await fetch_all(WandbArtifact(ARTIFACT, **given(server)), tmp_path)

    assert holds(tmp_path / "data.bin", there)
    assert result.checksum is None


async def test_reference_that_is_refused(server: WandbTestServer, origin: Origin, tmp_path: Path) -> None:
    """What refuses an http reference is named: W&B cannot help there."""
    origin.add("/private/data.bin", 1000)
    url = origin.url("/private/data.bin?token=tq7f3e9xx")
    origin.script(Fault(path="/private/data.bin", status=403, times=None))
    server.add(ARTIFACT, {"data.bin": url})

    with pytest.raises(asyncdl.RefreshError, match=r"/private/data\.bin.*which is refused") as caught:
        await fetch(WandbFile(ARTIFACT, "data.bin", **given(server)), tmp_path / "data")

    assert "tq7f3e9xx" not in f"{caught.value} {caught.value.hint}"


@pytest.mark.parametrize("reference", ["s3://bucket/key.bin?versionId=abcdef123", "gs://bucket/key.bin"])
async def test_reference_to_another_store(server: WandbTestServer, tmp_path: Path, reference: str) -> None:
    """A reference to a store that is not W&B's fails by itself, names where the file lies, and its neighbours come."""
    version = server.add(ARTIFACT, {"there.bin": reference, "here.bin": 100})
    artifact = WandbArtifact(ARTIFACT, **given(server))
    there, here = [file async for file in artifact.files()]

    with pytest.raises(asyncdl.RefreshError, match=f"reference to {reference.partition('?')[0]}"):
        await fetch(there.source, tmp_path / "there")
    await fetch(here.source, tmp_path / "here")
    await artifact.aclose()

    assert holds(tmp_path / "here", content(version, "here.bin"))
    assert (None, None) == (there.size, there.checksum)


async def test_many_files_share_the_questions(modern: WandbTestServer, tmp_path: Path) -> None:
    """Two hundred files that begin together cost four questions: features, version, and two pages."""
    sizes = {f"{number:04d}": 100 + number for number in range(200)}
    version = modern.add(ARTIFACT, sizes)

    await fetch_all(WandbArtifact(ARTIFACT, **given(modern, per_page=100)), tmp_path)

    assert all(holds(tmp_path / file.path, file.content) for file in version.files)
    assert ["ServerFeaturesQuery", "ArtifactMembership", "ArtifactMembershipFiles", "ArtifactMembershipFiles"] == [
        asked.name for asked in modern.asked
    ]


async def test_which_questions_each_server_gets(server: WandbTestServer) -> None:
    """A new server is asked by membership, an old one by the artifact; nothing is asked that its schema lacks."""
    server.add(ARTIFACT, {"a.bin": 100})

    await listed(WandbArtifact(ARTIFACT, **given(server)))

    version = {"new": "ArtifactMembership", "old": "ArtifactByName"}[server.flavour]
    names = list(dict.fromkeys(asked.name for asked in server.asked))
    assert ["ServerFeaturesQuery", version, FILES_QUERY[server.flavour]] == names


async def test_errors_of_a_query_with_another_status(origin: Origin) -> None:
    """An old server may say with 400 what others say with 200."""
    async with WandbTestServer(origin, flavour="old") as server:
        server.error_status = 400
        server.add(ARTIFACT, {"a.bin": 100})

        [file] = await listed(WandbArtifact(ARTIFACT, **given(server)))

    assert "a.bin" == file.name


async def test_provider_outlives_its_collection(modern: WandbTestServer, tmp_path: Path, no_leaks: object) -> None:
    """A file that was listed can still be renewed when the collection has been closed."""
    version = modern.add(ARTIFACT, {"a.bin": 100 * KIB})
    [file] = await listed(WandbArtifact(ARTIFACT, **given(modern)))
    modern.origin.revoke(modern.urls[-1])

    await fetch(file.source, tmp_path / "a")

    assert holds(tmp_path / "a", content(version, "a.bin"))


async def test_closed_while_it_lists(modern: WandbTestServer, no_leaks: object) -> None:
    """A listing that goes on after its collection was closed opens what it needs, and closes it."""
    modern.add(ARTIFACT, dict.fromkeys("abcd", 5))
    artifact = WandbArtifact(ARTIFACT, **given(modern, per_page=1))
    files = aiter(artifact.files())
    names = [(await anext(files)).name]
    await artifact.aclose()
    await artifact.aclose()

    names += [file.name async for file in files]

    assert list("abcd") == names


async def test_two_downloads_of_one_source(modern: WandbTestServer, tmp_path: Path) -> None:
    """One provider serves two downloads at once; whoever comes second gets the URL that is there."""
    version = modern.add(ARTIFACT, {"a.bin": 300 * KIB})
    source = WandbFile(ARTIFACT, "a.bin", **given(modern))
    await source(None)

    await asyncio.gather(*(fetch(source, tmp_path / name) for name in "xy"))

    assert all(holds(tmp_path / name, content(version, "a.bin")) for name in "xy")
    assert 1 == len(by_name(modern))


async def test_list_in_a_circle(modern: WandbTestServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that always has another page is left after the first that it had already."""
    modern.add(ARTIFACT, dict.fromkeys("abcdef", 5))
    real = modern._files
    counter = itertools.count()

    def circle(version: Version) -> Any:
        def files(info: object, after: str | None = None, **arguments: Any) -> dict[str, Any]:
            next(counter)
            return real(version)(info, after=None, **arguments)

        return files

    monkeypatch.setattr(modern, "_files", circle)

    with pytest.raises(asyncdl.SourceError, match="in a circle"):
        await listed(WandbArtifact(ARTIFACT, **given(modern, per_page=2)))

    assert 2 == next(counter)
