"""What goes wrong with W&B is told with the artifact's name and what to do, and without a key or a signed URL."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

import asyncdl
from asyncdl.errors import OptionsError, SourceError
from asyncdl.sources.wandb import WandbArtifact, WandbFile, open_url
from asyncdl.sources.wandb_login import Account
from asyncdl.sources.wandb_server import QUESTION, WandbServer
from asyncdl.testing import Origin, deaf_port
from tests.support.clock import ManualClock
from tests.support.flow import QUICK, fetch, small
from tests.support.python import run_python
from tests.support.secrets import Ears, spellings
from tests.support.wandb_schema import Flavour
from tests.support.wandb_server import KEY, TOKEN, WandbTestServer, busy

ARTIFACT = "team/vision/model"


@pytest.fixture
async def server(origin: Origin) -> AsyncIterator[WandbTestServer]:
    """A new server with one artifact."""
    async with WandbTestServer(origin) as running:
        running.add(ARTIFACT, {"a.bin": 1000})
        yield running


def artifact(server: WandbTestServer, name: str = ARTIFACT, **changes: Any) -> WandbArtifact:
    arguments: dict[str, Any] = {"base_url": server.base_url, "api_key": KEY, "options": small(), "timeouts": QUICK}
    return WandbArtifact(name, **(arguments | changes))


async def failure(collection: WandbArtifact) -> SourceError:
    """The error of a listing."""
    try:
        with pytest.raises(SourceError) as caught:
            async for _ in collection.files():
                pass
    finally:
        await collection.aclose()
    return caught.value


@dataclass(frozen=True)
class Row:
    """One way to fail: what is asked for, what the message says, and what the hint."""

    message: str
    hint: str
    name: str = ARTIFACT
    changes: tuple[tuple[str, Any], ...] = ()
    prepare: Callable[[WandbTestServer], object] = lambda server: None
    flavour: Flavour = "new"


def _forbid(server: WandbTestServer) -> None:
    server.forbidden.add("f" * 40)


def _delete(server: WandbTestServer) -> None:
    server.add(ARTIFACT, {"a.bin": 5}).state = "DELETED"


def _empty(server: WandbTestServer) -> None:
    server.add(ARTIFACT, {})


def _answers(answer: Callable[[], web.Response]) -> Callable[[WandbTestServer], None]:
    return lambda server: server.answers.append(answer)


ROWS = {
    "wrong key": Row(
        "does not accept the credentials from the api_key given (401", "wandb login", changes=(("api_key", "w" * 40),)
    ),
    "wrong token": Row(
        "does not accept the credentials from the access_token given",
        "wandb login",
        changes=(("access_token", "w" * 40),),
    ),
    "forbidden": Row(
        "refuses access (403: permission denied)", "ask its owner", changes=(("api_key", "f" * 40),), prepare=_forbid
    ),
    "project": Row("W&B knows no project team/other", "check entity and project", name="team/other/model:v0"),
    "project of an old server": Row(
        "W&B knows no project team/other", "check entity", name="team/other/model:v0", flavour="old"
    ),
    "artifact": Row(
        "W&B knows no artifact 'other'", "team/vision has no artifact of that name", name="team/vision/other:v0"
    ),
    "alias": Row("W&B knows no 'model:v9'", "try latest, or a version such as v0", name=f"{ARTIFACT}:v9"),
    "alias of an old server": Row("W&B knows no 'model:v9'", "try latest", name=f"{ARTIFACT}:v9", flavour="old"),
    "deleted": Row("the artifact is deleted, not committed", "until it is deleted", prepare=_delete),
    "deleted on an old server": Row("the artifact is deleted", "until it is deleted", prepare=_delete, flavour="old"),
    "path": Row("no file and no folder 'b.bin'", "under Files", changes=(("path", "b.bin"),)),
    "empty": Row("there is no file in it", "under Files", prepare=_empty),
    "too old": Row('Cannot query field "files" on type "Artifact"', "too old", flavour="ancient"),
    "no API": Row("has no GraphQL API (404)", "WANDB_BASE_URL", prepare=_answers(busy(404))),
    "a page": Row("gives no GraphQL answer (status 200)", "WANDB_BASE_URL", prepare=_answers(busy(200))),
    "redirect": Row(
        "redirects to https://elsewhere.example/graphql",
        "WANDB_BASE_URL",
        prepare=_answers(busy(307, Location="https://elsewhere.example/graphql?token=tq7f3e9xx")),
    ),
    "refused question": Row(
        "refused the question: entity team is suspended",
        "is it spelled",
        prepare=_answers(lambda: web.json_response({"errors": [{"message": "entity team is suspended"}]})),
    ),
    "permission": Row(
        "refused the question: permission denied",
        "account with access",
        prepare=_answers(lambda: web.json_response({"errors": [{"message": "permission denied"}], "data": None})),
    ),
    "nothing": Row("the answer is empty", "is it spelled", prepare=_answers(lambda: web.json_response({"data": None}))),
}


@pytest.mark.parametrize("row", ROWS.values(), ids=list(ROWS))
async def test_table(origin: Origin, row: Row, no_leaks: object) -> None:
    """Each failure names the artifact, says what happened and what to do, and is not repeated."""
    async with WandbTestServer(origin, flavour=row.flavour) as server:
        server.add(ARTIFACT, {"a.bin": 1000})
        row.prepare(server)
        before = server.requests

        error = await failure(artifact(server, row.name, **dict(row.changes)))

    assert error.message.startswith(row.name if ":" in row.name else f"{row.name}:latest")
    assert row.message in error.message
    assert row.hint in (error.hint or "")
    assert server.requests - before <= 4
    assert (None, None) == (error.__cause__, error.__context__)


async def test_artifact_that_vanishes(server: WandbTestServer, origin: Origin) -> None:
    """One that is gone between two questions."""
    source = WandbFile(ARTIFACT, "a.bin", base_url=server.base_url, api_key=KEY, options=small())
    url = await source(None)
    server.forget()

    with pytest.raises(SourceError, match="is no list of files") as caught:
        await source(url)

    assert (None, None) == (caught.value.__cause__, caught.value.__context__)


async def test_through_a_download(server: WandbTestServer, tmp_path: Path) -> None:
    """A download that needs the server's URL ends with the same words."""
    source = WandbFile(f"{ARTIFACT}:v9", "a.bin", base_url=server.base_url, api_key=KEY, options=small())

    with pytest.raises(asyncdl.RefreshError, match="team/vision/model:v9: W&B knows no 'model:v9'") as caught:
        await fetch(source, tmp_path / "a")

    assert "try latest" in (caught.value.hint or "")


async def test_file_that_is_not_there(server: WandbTestServer, tmp_path: Path) -> None:
    """A path that the artifact does not have."""
    source = WandbFile(ARTIFACT, "b.bin", base_url=server.base_url, api_key=KEY, options=small())

    with pytest.raises(asyncdl.RefreshError, match=r"there is no file 'b\.bin' in it"):
        await fetch(source, tmp_path / "a")


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 522, 524])
async def test_faults_that_pass(server: WandbTestServer, status: int) -> None:
    """An overloaded server is asked again."""
    server.answers += [busy(status, **{"Retry-After": "0"})]
    collection = artifact(server)

    names = [file.name async for file in collection.files()]
    await collection.aclose()

    assert ["a.bin"] == names
    assert [] == server.answers


def asked(server: WandbTestServer, clock: ManualClock, **changes: Any) -> WandbServer:
    account = Account(base_url=changes.pop("base_url", server.base_url), api_key=KEY)
    return WandbServer("what", account, options=small(), timeouts=QUICK, clock=clock)


async def test_retry_after(server: WandbTestServer) -> None:
    """The server says how long to wait."""
    clock = ManualClock()
    server.answers.append(busy(429, **{"Retry-After": "37"}))

    async with asked(server, clock) as running:
        await running.features(running.deadline(180.0))

    assert [37.0] == clock.slept


async def test_three_minutes(server: WandbTestServer) -> None:
    """A server that stays overloaded is asked for three minutes, with growing pauses, and then given up."""
    clock = ManualClock()
    server.answers += [busy(503)] * 200

    async with asked(server, clock) as running:
        with pytest.raises(SourceError, match="keeps answering 503"):
            await running.features(running.deadline(180.0))

    assert 170.0 < sum(clock.slept) < 180.0
    assert 60.0 == QUESTION


async def test_nobody_there(server: WandbTestServer) -> None:
    """A server that cannot be reached, in the time that a download would wait."""
    async with deaf_port() as (host, port):
        source = WandbFile(
            ARTIFACT,
            "a.bin",
            base_url=f"http://{host}:{port}",
            api_key=KEY,
            options=small(),
            timeouts=asyncdl.Timeouts(connect=0.2, refresh=1.0),
        )

        with pytest.raises(
            SourceError, match=r"team/vision/model:latest: W&B at .* (cannot be reached|did not answer)"
        ) as caught:
            await source(None)

    assert "WANDB_BASE_URL" in (caught.value.hint or "")


async def test_host_that_does_not_exist() -> None:
    """A name that resolves to nothing is not tried for three minutes."""
    error = await failure(WandbArtifact(ARTIFACT, base_url="http://wandb.invalid", api_key=KEY, options=small()))

    assert "cannot resolve wandb.invalid" in error.message


async def test_cancelled(server: WandbTestServer, no_leaks: object) -> None:
    """A listing that is cancelled while the server is silent leaves nothing behind."""
    gate = asyncio.Event()
    arrived = asyncio.Event()

    async def silent() -> None:
        arrived.set()
        await gate.wait()

    async def handler(request: web.Request) -> web.Response:
        await silent()
        return web.Response()

    app = web.Application()
    app.router.add_post("/graphql", handler)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    collection = artifact(server, base_url=f"http://127.0.0.1:{runner.addresses[0][1]}")
    task = asyncio.ensure_future(anext(aiter(collection.files())))
    await arrived.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await collection.aclose()
    gate.set()
    await runner.cleanup()


@pytest.mark.parametrize("secret", ["key", "token", "url"])
async def test_nothing_is_told(server: WandbTestServer, tmp_path: Path, secret: str) -> None:
    """No log line at any level, error, repr or file name holds a key, a token or a signature."""
    ears = Ears()
    wrong = "kq7%2Bf3/9e" + "x" * 30
    keys: dict[str, dict[str, Any]] = {
        "key": {"api_key": wrong},
        "token": {"api_key": None, "access_token": wrong},
        "url": {"api_key": KEY},
    }
    with ears.listening():
        collection = artifact(server, **keys[secret])
        source = WandbFile(ARTIFACT, "a.bin", base_url=server.base_url, options=small(), **keys[secret])
        ears.hear(collection, source, Account(**keys[secret]))
        try:
            async for file in collection.files():
                ears.hear(file, file.source)
                server.origin.revoke(server.urls[-1])
                ears.hear(await fetch(file.source, tmp_path / "a"))
        except SourceError as error:
            ears.hear_error(error)
        try:
            ears.hear(await source(None))
            await fetch(source, tmp_path / "b")
        except asyncdl.AsyncdlError as error:
            ears.hear_error(error)
        await collection.aclose()
    secrets = {wrong, KEY, TOKEN, base64.b64encode(f"api:{wrong}".encode()).decode()}
    secrets |= {url[-20:] for url in server.urls}

    assert [] == ears.told(secrets)
    assert ears.heard_of("WandbFile(")
    assert (secret == "url") is (tmp_path / "a").exists()
    assert spellings(wrong) != {wrong}


@pytest.mark.parametrize(
    "url",
    [
        "wandb://",
        "wandb://team",
        "wandb://team/vision",
        "wandb://team/vision/",
        "wandb://team//model:v1",
        "wandb://team/vision/:v1",
        "wandb://team/vision/model:",
        "wandb://team/vision/model:v1/a?b",
        "wandb://team/vision/model:v1/a#b",
        "wandb:team/vision/model:v1",
    ],
)
def test_urls_that_mean_nothing(url: str) -> None:
    """What is no URL of an artifact is refused before anything is sent."""
    with pytest.raises(OptionsError, match="no URL of a W&B artifact"):
        open_url(url, options=asyncdl.Options(), timeouts=asyncdl.Timeouts())


@pytest.mark.parametrize("name", ["", "model", "vision/model:v1", "a/b/c/d:v1", "team/vision/model:", "team//model"])
def test_names_that_mean_nothing(name: str) -> None:
    """What is no artifact's name is refused before anything is sent."""
    with pytest.raises(OptionsError, match="no W&B artifact"):
        WandbFile(name, "a.bin")
    with pytest.raises(OptionsError, match="no W&B artifact"):
        WandbArtifact(name)


def test_empty_page() -> None:
    """A page of no files is refused."""
    with pytest.raises(OptionsError, match="at least one"):
        WandbArtifact(ARTIFACT, per_page=0)


async def test_without_the_package() -> None:
    """Where gql is not installed the error says what to install."""
    lines = await run_python(
        """
        import sys
        sys.modules["gql"] = None
        import asyncdl
        from asyncdl.sources.registry import open_collection
        try:
            open_collection("wandb://a/b/c:v1", options=asyncdl.Options(), timeouts=asyncdl.Timeouts())
        except asyncdl.OptionsError as error:
            print(error, "|", error.hint)
        """
    )

    assert ["W&B artifacts need a package that is not there: gql | pip install 'asyncdl[wandb]'"] == lines


async def test_import_is_late() -> None:
    """Neither asyncdl nor its command loads gql before a W&B URL is opened."""
    lines = await run_python(
        """
        import sys, asyncdl, asyncdl.cli.main, asyncdl.sources.registry
        print([name for name in ("gql", "graphql", "asyncdl.sources.wandb") if name in sys.modules])
        """
    )

    assert ["[]"] == lines
