"""Files of a Hub, end to end: URLs that die, a branch that moves, whole repositories, and whose token goes where."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote

import hypothesis
import pytest
from aiohttp import web
from hypothesis import strategies as st

from asyncdl.errors import OptionsError, SourceError
from asyncdl.model import SignedUrl
from asyncdl.options import Options, Timeouts
from asyncdl.rules.urls import origin_of
from asyncdl.sources import huggingface_client
from asyncdl.sources.contract import RemoteFile
from asyncdl.sources.huggingface import HubFile, HubRepo, open_url
from asyncdl.sources.huggingface_names import Place, parse
from asyncdl.testing import Origin
from tests.support.flow import PART, QUICK, fetch, holds, small
from tests.support.hub import TOKEN, Hub, running
from tests.support.stuck import called_off

SIZE = 6 * PART + 999
_PLAIN = Options(use_environment=False)
#: Of a URL that lives so short, neither the margin nor the window may be seconds.
RENEWING = small(1, refresh_margin=0.0, reuse_window=0.0)


@pytest.fixture
async def hub(origin: Origin, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> AsyncIterator[Hub]:
    """A Hub that HF_ENDPOINT names, in a home without a token."""
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_TOKEN_PATH", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf-home"))
    async with running(origin) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        yield hub


async def listed(repo: HubRepo) -> list[RemoteFile]:
    """All files, and the connections closed."""
    try:
        return [file async for file in repo.files()]
    finally:
        await repo.aclose()


async def refusal(file: HubFile) -> SourceError:
    """What the Hub's refusal becomes."""
    with pytest.raises(SourceError) as caught:
        await file()
    return caught.value


async def test_a_large_file_whose_urls_die(hub: Hub, tmp_path: Path, no_leaks: object) -> None:
    """Renewed by asking the Hub again, and verified by the hash that the Hub says."""
    content = hub.large(SIZE)
    hub.repo("models/org/model").commit({"weights/model.bin": content})
    hub.ttl, hub.origin.rate = 0.4, 6 * PART
    file = HubFile("org/model", "weights/model.bin", options=_PLAIN)
    found = await file.describe()
    result = await fetch(file, tmp_path / "f", size=found.size, options=RENEWING)

    assert holds(tmp_path / "f", content)
    assert (SIZE, f"sha256:{content.sha256()}", "model.bin") == (result.size, str(result.checksum), found.name)
    assert result.refreshes >= 1


async def test_a_branch_that_moves(hub: Hub) -> None:
    """The commit of the first answer is the one that is asked for ever after."""
    old, new = hub.large(SIZE), hub.large(SIZE, seed=2)
    repo = hub.repo("models/org/model")
    commit = repo.commit({"f": old, "small": b"old"})
    file, little = HubFile("org/model", "f", options=_PLAIN), HubFile("org/model", "small", options=_PLAIN)
    first, small_first = await file(), await little()
    repo.commit({"f": new, "small": b"new"})
    renewed, small_renewed = await file(first), await little(small_first)

    assert 2 == sum(old.sha256() in url.url for url in (first, renewed))
    assert [f"{hub.url}/org/model/resolve/{commit}/small"] * 2 == [small_first.url, small_renewed.url]


async def test_the_token_stays_with_the_hub(hub: Hub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The store of the large files never sees it; the Hub does, with each request for a small one."""
    content = hub.large(SIZE)
    hub.repo("models/org/model", readers={TOKEN}).commit({"f": content, "small": b"little"})
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    for name in ("f", "small"):
        await fetch(HubFile("org/model", name, options=_PLAIN), tmp_path / name)

    assert holds(tmp_path / "f", content)
    assert b"little" == (tmp_path / "small").read_bytes()
    assert {f"Bearer {TOKEN}"} == {authorization for _, _, authorization in hub.asked}
    assert [] == hub.origin.ledger.headers_seen("Authorization")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="a FIFO stands for a file whose reading does not end")
async def test_a_token_that_cannot_be_read_in_time(hub: Hub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The drive of the token's file is gone: a listing says so, and nobody waits for it."""
    monkeypatch.setenv("HF_TOKEN_PATH", str(tmp_path / "token"))

    assert (True, []) == await called_off(tmp_path / "token", HubFile("org/model", "f", options=_PLAIN))
    with pytest.raises(SourceError, match="does not let itself be read"):
        await listed(HubRepo("org/model", options=_PLAIN, timeouts=Timeouts(refresh=0.05)))


@pytest.mark.parametrize(
    ("variables", "file"),
    [
        ({"HF_TOKEN": f" {TOKEN}\n"}, None),
        ({"HUGGING_FACE_HUB_TOKEN": TOKEN}, None),
        ({"HF_TOKEN_PATH": "{}/elsewhere"}, "elsewhere"),
        ({"HF_HOME": "{}/home"}, "home/token"),
        ({"HF_HOME": "", "XDG_CACHE_HOME": "{}/cache"}, "cache/huggingface/token"),
        ({"HF_HOME": "", "HOME": "{}"}, ".cache/huggingface/token"),
    ],
)
async def test_where_the_token_is(
    hub: Hub, variables: dict[str, str], file: str | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Where huggingface_hub has it."""
    hub.repo("models/org/model", readers={TOKEN}).commit({"f": b"x"})
    for name, value in variables.items():
        monkeypatch.setenv(name, value.replace("{}", str(tmp_path)))
    if file:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text(f"{TOKEN}\n")

    assert (("Authorization", f"Bearer {TOKEN}"),) == (await HubFile("org/model", "f", options=_PLAIN)()).headers
    assert "no token" in str(await refusal(HubFile("org/model", "f", token="", options=_PLAIN)))


async def test_no_token_unless_asked_for(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """HF_HUB_DISABLE_IMPLICIT_TOKEN keeps the stored one at home; one that is given is sent."""
    hub.repo("models/org/model").commit({"f": b"x"})
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setenv("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")

    assert () == (await HubFile("org/model", "f", options=_PLAIN)()).headers
    assert () != (await HubFile("org/model", "f", token=TOKEN, options=_PLAIN)()).headers


async def test_a_renamed_repository(hub: Hub, tmp_path: Path) -> None:
    """A redirect within the Hub is followed, with the token."""
    content = hub.large(SIZE)
    hub.repo("models/org/new", readers={TOKEN}).commit({"f": content, "small": b"little"})
    hub.repo("models/org/old", moved="org/new")
    for name in ("f", "small"):
        await fetch(HubFile("org/old", name, token=TOKEN, options=_PLAIN), tmp_path / name)

    assert holds(tmp_path / "f", content)
    assert b"little" == (tmp_path / "small").read_bytes()
    assert ["f", "small"] == [file.name for file in await listed(HubRepo("org/old", token=TOKEN, options=_PLAIN))]


async def test_a_mirror(hub: Hub, origin: Origin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it sends to the Hub for is asked for there, without the token that is the mirror's."""
    content = hub.large(SIZE)
    async with running(origin) as public:
        monkeypatch.setattr(huggingface_client, "_HUBS", {origin_of(public.url)})
        public.repo("models/org/model").commit({"f": content, "small": b"little"})
        hub.trouble = lambda request: web.Response(status=308, headers={"Location": public.url + request.path_qs})
        file, little = (HubFile("org/model", name, token=TOKEN, options=_PLAIN) for name in ("f", "small"))
        found = await file.describe()
        await fetch(file, tmp_path / "f", checksum=found.checksum)
        await fetch(little, tmp_path / "small")

        assert {None} == {authorization for _, _, authorization in public.asked}
    assert holds(tmp_path / "f", content)
    assert (SIZE, b"little") == (found.size, (tmp_path / "small").read_bytes())


async def test_a_small_file_by_way_of_the_cache(hub: Hub, tmp_path: Path) -> None:
    """Some small files are behind a redirect within the Hub."""
    hub.cached = True
    hub.repo("spaces/org/app").commit({"a b#?%.txt": b"little"})
    file = HubFile("org/app", "a b#?%.txt", kind="spaces", options=_PLAIN)
    found = await file.describe()
    await fetch(file, tmp_path / "f", size=found.size)

    assert (6, None) == (found.size, found.checksum)
    assert b"little" == (tmp_path / "f").read_bytes()


async def test_a_whole_repository(hub: Hub, tmp_path: Path, no_leaks: object) -> None:
    """Every page of the list, of one commit; large files with their hash, small ones without git's name for one."""
    large = hub.large(SIZE)
    repo = hub.repo("datasets/org/data")
    repo.commit(
        {"README.md": b"read", "data/deep/x.bin": large, "data/y.txt": b"y", **{f"z/{n}": b"z" for n in range(9)}}
    )
    hub.page = 3
    whole = open_url("hf://datasets/org/data", options=_PLAIN, timeouts=QUICK)
    files: list[RemoteFile] = []
    async for file in whole.files():
        if not files:
            repo.commit({"other": b"later"})
        files.append(file)
    by_name = {file.name: file for file in files}
    await fetch(by_name["data/deep/x.bin"].source, tmp_path / "x", checksum=by_name["data/deep/x.bin"].checksum)
    await whole.aclose()

    assert ["README.md", "data/deep/x.bin", "data/y.txt", *(f"z/{n}" for n in range(9))] == list(by_name)
    assert holds(tmp_path / "x", large)
    assert (SIZE, f"sha256:{large.sha256()}") == (
        by_name["data/deep/x.bin"].size,
        str(by_name["data/deep/x.bin"].checksum),
    )
    assert (4, None) == (by_name["README.md"].size, by_name["README.md"].checksum)
    assert hub.count("GET", "/api/datasets/org/data/tree/") == 5


@pytest.mark.parametrize(
    ("url", "names"),
    [
        ("hf://org/model/a", ["b/c.bin", "d.txt"]),
        ("hf://org/model/a/b/", ["c.bin"]),
        ("hf://org/model/a/d.txt", ["d.txt"]),
        ("hf://models/org/model@v1/f@1", ["f@1"]),
        ("hf://org/model@feature%2Fx", ["new"]),
        ("hf://org/model@refs/pr/3/p", ["p"]),
        ("HF://org/model@refs/pr/3", ["p"]),
    ],
)
async def test_what_a_url_stands_for(hub: Hub, url: str, names: list[str]) -> None:
    """A folder, a file, a revision with a slash in it."""
    repo = hub.repo("models/org/model")
    repo.commit({"new": b"1"}, "feature/x")
    repo.commit({"p": b"1"}, "refs/pr/3")
    repo.commit({"f@1": b"1"}, "v1")
    repo.commit({"a/b/c.bin": hub.large(9), "a/d.txt": b"2", "e": b"3"})

    assert names == [file.name for file in await listed(open_url(url, options=_PLAIN, timeouts=QUICK))]


@pytest.mark.parametrize(
    "url",
    [
        "hf://", "hf://org", "hf://datasets/org", "hf://org/a--b", "hf://org/re po", "hf://org/repo@", "hf://org/repo/a//b",
        "hf://org/repo/../x", "hf://org/repo@%0a", "hf:org/repo", "https://huggingface.co/org/repo", "hf://o/r/s@t/../u",
    ],
)  # fmt: skip
def test_urls_that_stand_for_nothing(url: str) -> None:
    """They are refused before anything is sent."""
    with pytest.raises(OptionsError):
        open_url(url, options=_PLAIN, timeouts=QUICK)


_NAMES = st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9._]{0,9}[A-Za-z0-9])?", fullmatch=True).filter(
    lambda name: ".." not in name
)
_TEXTS = st.text(
    st.characters(exclude_categories=["Cc", "Cs", "Cf", "Zs", "Zl", "Zp", "Cn", "Co"]), min_size=1, max_size=12
)


@hypothesis.given(
    repo=st.builds("{}/{}".format, _NAMES.filter(lambda name: name not in {"models", "datasets", "spaces"}), _NAMES),
    revision=st.one_of(
        _TEXTS, st.sampled_from(["main", "a/b", "refs/pr/7", "refs/convert/x.y", "refs/pr/7x", "50%2Foff"])
    ),
    path=st.lists(_TEXTS.filter(lambda text: text not in {".", ".."} and "/" not in text), max_size=3).map("/".join),
    kind=st.sampled_from(["models", "datasets", "spaces"]),
)
def test_what_is_written_is_read_again(repo: str, revision: str, path: str, kind: str) -> None:
    """Whatever a branch or a file is called, messages name it by a URL that stands for it."""
    place = Place(repo=repo, revision=revision, path=path, kind=kind)

    assert place == parse(str(place))
    assert "/" not in place.resolve("https://hub").partition("/resolve/")[2].removesuffix(f"/{quote(path)}")


async def test_refusals_say_what_to_do(hub: Hub) -> None:
    """Each names what was asked for, and none the token."""
    hub.repo("models/org/gated", gated=True).commit({"f": b"x"})
    hub.repo("models/org/private", readers={"hf_other"}).commit({"f": b"x"})
    hub.repo("models/org/model").commit({"f": b"x"})

    def file(repo: str, path: str = "f", token: str = "", revision: str = "main") -> HubFile:
        return HubFile(repo, path, token=token, revision=revision, options=_PLAIN)

    said = {
        "gated": await refusal(file("org/gated")),
        "not let in": await refusal(file("org/gated", token=TOKEN)),
        "private": await refusal(file("org/private")),
        "another's": await refusal(file("org/private", token=TOKEN)),
        "revision": await refusal(file("org/model", revision="nope")),
        "entry": await refusal(file("org/model", "nope")),
        "bad token": await refusal(file("org/model", token="hf_wrongwrongwrong")),
    }
    words = {name: f"{error} | {error.hint}" for name, error in said.items()}

    assert f"accept the conditions on {hub.url}/org/gated, and set HF_TOKEN" in words["gated"]
    assert "asked for by the account of the token" in words["not let in"]
    assert "hf://org/private/f: no such repository, or a private one" in words["private"]
    assert "set HF_TOKEN" in words["private"]
    assert "the token must be allowed to read it" in words["another's"]
    assert "hf://org/model@nope/f: no revision 'nope'" in words["revision"]
    assert "hf://org/model/nope: no such file" in words["entry"]
    assert "the Hub does not know the token" in words["bad token"]
    assert [] == [word for word in words.values() if TOKEN in word or "hf_wrong" in word]


@pytest.mark.parametrize(("url", "words"), [
    ("hf://org/none", "no such repository"), ("hf://org/model@nope", "no revision"),
    ("hf://org/model/nope", "no such file"), ("hf://org/empty", "there are no files"),
])  # fmt: skip
async def test_nothing_to_list(hub: Hub, url: str, words: str) -> None:
    """What is not there is an error, and no empty success."""
    hub.repo("models/org/model").commit({"f": b"x"})
    hub.repo("models/org/empty").commit({})
    with pytest.raises(SourceError, match=words):
        await listed(open_url(url, options=_PLAIN, timeouts=QUICK))


async def test_faults_that_pass(hub: Hub) -> None:
    """A Hub that is busy for a moment is asked again."""
    hub.repo("models/org/model").commit({"f": b"x"})
    left = [503, 429, 500]
    hub.trouble = lambda _: web.Response(status=left.pop(), headers={"Retry-After": "0"}) if left else None

    assert ["f"] == [file.name for file in await listed(HubRepo("org/model", options=_PLAIN))]


async def test_faults_that_stay(hub: Hub) -> None:
    """In the end its status is the error, with its words and without the token."""
    hub.trouble = lambda _: web.Response(
        status=429, headers={"Retry-After": "99", "X-Error-Message": f"slow down, Bearer {TOKEN}"}
    )
    error = await refusal(HubFile("org/model", "f", token=TOKEN, options=_PLAIN, timeouts=Timeouts(refresh=60.0)))

    assert "hf://org/model/f: the Hub answered 429: slow down, " in error.message
    assert TOKEN not in error.message


@pytest.mark.parametrize("body", [b"{}", b"[{}]", b"[1", b"<html>", b'[{"type":"file"}]'])
async def test_a_list_that_is_none(hub: Hub, body: bytes) -> None:
    """Whatever stands behind HF_ENDPOINT, it ends in an error that says so."""
    hub.repo("models/org/model").commit({"f": b"x"})
    hub.trouble = lambda request: web.Response(body=body) if "/tree/" in request.path else None
    with pytest.raises(SourceError, match=r"hf://org/model.*: (the Hub's list|there are no files)"):
        await listed(HubRepo("org/model", options=_PLAIN))


@pytest.mark.parametrize(
    "link",
    [
        '<{}?expand=a,b&cursor=1>; rel="next"',
        "<{}?cursor=1>;rel=next",
        '<{}?x>; rel="prev", <{}?cursor=1>; title="a, <b>"; rel="last next"',
    ],
)
async def test_links_to_the_next_page(hub: Hub, link: str) -> None:
    """However RFC 8288 lets it be written: a page that is not seen would be files that are not there."""
    hub.repo("models/org/model").commit({"f": b"x"})

    def answer(request: web.Request) -> web.Response | None:
        if "/tree/" not in request.path:
            return None
        last = "cursor" in request.query
        entry = {"type": "file", "path": "b" if last else "a", "size": 1}
        return web.json_response([entry], headers={} if last else {"Link": link.replace("{}", str(request.path))})

    hub.trouble = answer

    assert ["a", "b"] == [file.name for file in await listed(HubRepo("org/model", options=_PLAIN))]


async def test_a_password_in_the_endpoint_is_not_told(hub: Hub) -> None:
    """Where a hint names a page of the Hub, it names no user and no password."""
    hub.trouble = lambda _: web.Response(status=404, headers={"X-Error-Code": "RevisionNotFound"})
    endpoint = hub.url.replace("://", "://user:hunter2secret@")
    with pytest.raises(SourceError) as caught:
        await listed(HubRepo("org/model", revision="none", endpoint=endpoint, options=_PLAIN))

    assert f"the revisions are on {hub.url}/org/model" == caught.value.hint


async def test_a_list_without_end(hub: Hub) -> None:
    """A next page that was there before is an error."""
    hub.repo("models/org/model").commit({"f": b"x"})
    link = {"Link": f'<{hub.url}/api/models/org/model/tree/x>; rel="next"'}
    hub.trouble = lambda request: web.json_response([], headers=link) if "/tree/" in request.path else None
    with pytest.raises(SourceError, match="go in a circle"):
        await listed(HubRepo("org/model", options=_PLAIN))


async def test_redirects_without_end(hub: Hub) -> None:
    """Within the Hub too they are counted."""
    hub.trouble = lambda request: web.Response(status=307, headers={"Location": request.path + "x"})

    assert "redirects without end" in str(await refusal(HubFile("org/model", "f", options=_PLAIN)))


async def test_the_next_page_elsewhere_gets_no_token(hub: Hub, origin: Origin) -> None:
    """Whoever may write a link may not have the token."""
    hub.repo("models/org/model").commit({"f": b"x"})
    async with running(origin) as other:
        other.trouble = lambda _: web.json_response([])
        link = {"Link": f'<{other.url}/more>; rel="next"'}
        hub.trouble = lambda request: web.json_response([], headers=link) if "/tree/" in request.path else None
        with pytest.raises(SourceError, match="there are no files"):
            await listed(HubRepo("org/model", token=TOKEN, options=_PLAIN))

        assert [("GET", "/more", None)] == other.asked
    assert {f"Bearer {TOKEN}"} == {authorization for _, _, authorization in hub.asked}


async def test_representations_hold_no_secret(hub: Hub) -> None:
    """Neither of what is asked nor of what is answered."""
    hub.repo("models/org/model").commit({"f": hub.large(9)})
    file, repo = HubFile("org/model", "f", token=TOKEN), HubRepo("org/model", token=TOKEN)

    assert ("<hf://org/model/f>", "<hf://org/model>") == (repr(file), repr(repo))
    assert "Signature" not in repr(await file(SignedUrl("https://host/x")))
