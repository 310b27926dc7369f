"""Where server and key are found: as W&B's SDK finds them, with real files, and never for a server nobody chose."""

from __future__ import annotations

import base64
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from asyncdl.errors import OptionsError, SourceError
from asyncdl.sources.wandb import WandbArtifact, WandbFile
from asyncdl.sources.wandb_login import DEFAULT_BASE_URL, Account, WandbLogin, check_base_url, find_login
from asyncdl.sources.wandb_server import WandbServer
from asyncdl.testing import Origin
from tests.support.clock import ManualClock
from tests.support.flow import QUICK, small
from tests.support.stuck import called_off
from tests.support.wandb_server import IDENTITY, KEY, TOKEN, WandbTestServer, busy

OTHER = "other-key-0123456789abcdef0123456789abcdef"
SERVER = "http://wandb.example:8080"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home and a working directory of one's own, and no variable of W&B's."""
    for name in [name for name in os.environ if name.startswith("WANDB")]:
        monkeypatch.delenv(name)
    monkeypatch.delenv("NETRC", raising=False)
    folder = tmp_path / "home"
    folder.mkdir()
    (tmp_path / "work").mkdir()
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.chdir(tmp_path / "work")
    return folder


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    path.chmod(0o600)


def settings(path: Path, **values: str) -> None:
    write(path, "[default]\n" + "".join(f"{name} = {value}\n" for name, value in values.items()))


def netrc(path: Path, host: str, key: str = KEY) -> None:
    write(path, f"machine {host}\n  login user\n  password {key}\n")


def test_nothing_is_known() -> None:
    """Without any of it the cloud is asked, and there is no key."""
    with pytest.raises(SourceError, match=f"there is no API key for W&B at {DEFAULT_BASE_URL}") as caught:
        find_login(Account())

    assert "WANDB_API_KEY" in (caught.value.hint or "")


def test_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """The key and the server from the environment."""
    monkeypatch.setenv("WANDB_API_KEY", f" {KEY}\n")
    monkeypatch.setenv("WANDB_BASE_URL", f"{SERVER}/")

    assert WandbLogin(base_url=SERVER, source="WANDB_API_KEY", api_key=KEY) == find_login(Account())


def test_arguments_come_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the caller says beats the environment."""
    monkeypatch.setenv("WANDB_API_KEY", OTHER)
    monkeypatch.setenv("WANDB_BASE_URL", "http://elsewhere.example")

    login = find_login(Account(base_url=SERVER, api_key=KEY))

    assert (SERVER, KEY) == (login.base_url, login.api_key)


@pytest.mark.parametrize("name", [".netrc", "_netrc", "elsewhere"])
def test_netrc(home: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """The password of the server's host and port, in the usual file, Windows' one, or the one that NETRC names."""
    monkeypatch.setenv("WANDB_BASE_URL", SERVER)
    netrc(home / name, "wandb.example:8080")
    if name == "elsewhere":
        monkeypatch.setenv("NETRC", "~/elsewhere")

    assert KEY == find_login(Account()).api_key


@pytest.mark.parametrize("host", ["api.wandb.ai", "api.forge.coreweave.com"])
def test_both_names_of_the_cloud(home: Path, host: str) -> None:
    """A key that was saved under either name of W&B's cloud."""
    netrc(home / ".netrc", host)

    login = find_login(Account())

    assert (DEFAULT_BASE_URL, KEY) == (login.base_url, login.api_key)


@pytest.mark.parametrize(
    "text",
    [
        f"machine elsewhere.example\n  login user\n  password {KEY}\n",
        f"machine wandb.example\n  login user\n  password {KEY}\n",
        f"default\n  login user\n  password {KEY}\n",
        f"machine wandb.example:8080 password {KEY} nonsense",
        "machine wandb.example:8080\n  login user\n",
    ],
    ids=["another host", "another port", "the default entry", "no netrc", "no password"],
)
def test_netrc_that_has_no_key(home: Path, text: str) -> None:
    """An entry for somebody else, for anybody, or for nobody gives no key."""
    write(home / ".netrc", text)

    with pytest.raises(SourceError, match="no API key"):
        find_login(Account(base_url=SERVER))


@pytest.mark.parametrize("configured", [False, True])
def test_settings_file(home: Path, monkeypatch: pytest.MonkeyPatch, configured: bool) -> None:
    """Server and key from the settings file, where it usually is or where WANDB_CONFIG_DIR says."""
    folder = home / "there" if configured else home / ".config/wandb"
    if configured:
        monkeypatch.setenv("WANDB_CONFIG_DIR", "~/there")
    settings(folder / "settings", base_url=SERVER, api_key=KEY)

    login = find_login(Account())

    assert (SERVER, KEY, "W&B's settings file") == (login.base_url, login.api_key, login.source)


def test_key_of_another_server(home: Path) -> None:
    """A key in the settings file is for the server named there."""
    settings(home / ".config/wandb/settings", base_url="http://elsewhere.example", api_key=KEY)

    with pytest.raises(SourceError, match=f"no API key for W&B at {SERVER}"):
        find_login(Account(base_url=SERVER))


def test_order(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment, then .netrc, then the settings file."""
    settings(home / ".config/wandb/settings", api_key="third")
    netrc(home / ".netrc", "api.wandb.ai", "second")
    monkeypatch.setenv("WANDB_API_KEY", "first")
    found = [find_login(Account()).api_key]
    monkeypatch.delenv("WANDB_API_KEY")
    found.append(find_login(Account()).api_key)
    (home / ".netrc").unlink()
    found.append(find_login(Account()).api_key)

    assert ["first", "second", "third"] == found


@pytest.mark.parametrize("text", ["nonsense", "[other]\napi_key = x", "[default]\napi_key = x\napi_key = y", "\udcff"])
def test_settings_that_are_none(home: Path, text: str) -> None:
    """A file that cannot be read as settings says nothing."""
    path = home / ".config/wandb/settings"
    path.parent.mkdir(parents=True)
    path.write_bytes(text.encode("utf-8", "surrogateescape"))

    with pytest.raises(SourceError, match="no API key"):
        find_login(Account())


@pytest.mark.parametrize("folder", ["wandb", ".wandb"])
def test_settings_of_the_working_directory(home: Path, folder: str) -> None:
    """The server that the working directory's settings name, with the key that is saved for it."""
    settings(Path(folder, "settings"), base_url=SERVER)
    netrc(home / ".netrc", "wandb.example:8080")

    login = find_login(Account())

    assert (SERVER, KEY) == (login.base_url, login.api_key)


def test_strange_working_directory(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that only a file in the working directory names gets no key that was not saved for it."""
    settings(Path("wandb/settings"), base_url="http://attacker.example")
    settings(home / ".config/wandb/settings", api_key=OTHER)
    monkeypatch.setenv("WANDB_API_KEY", KEY)

    with pytest.raises(SourceError, match="no API key for W&B at http://attacker") as caught:
        find_login(Account())

    assert "only ./wandb/settings names this server" in (caught.value.hint or "")


def test_working_directory_that_agrees(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same server in both files is the one that the user chose."""
    settings(Path("wandb/settings"), base_url=SERVER)
    settings(home / ".config/wandb/settings", base_url=SERVER)
    monkeypatch.setenv("WANDB_API_KEY", KEY)

    assert (SERVER, KEY) == ((login := find_login(Account())).base_url, login.api_key)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("wandb.example", "cannot be used"),
        ("ftp://wandb.example", "cannot be used"),
        ("https://user:secretsecret@wandb.example", "has a user"),
        ("https://wandb.example/?key=secretsecret", "a query"),
        ("https://wandb.ai", "no W&B API server"),
        ("https://app.wandb.ai", "no W&B API server"),
        ("http://api.wandb.ai", "not asked over http"),
    ],
)
def test_base_urls_that_cannot_be_used(url: str, words: str) -> None:
    """A mistake is named, without what it may hold."""
    with pytest.raises(OptionsError, match=words) as caught:
        find_login(Account(base_url=url, api_key=KEY))

    assert "secretsecret" not in f"{caught.value} {caught.value.hint}"


@pytest.mark.parametrize("url", ["https://api.wandb.ai/", " https://api.wandb.ai", "HTTPS://api.wandb.ai"])
def test_base_urls_that_are_the_same(url: str) -> None:
    """Spelling does not matter."""
    assert DEFAULT_BASE_URL == check_base_url(url)


def test_what_is_sent() -> None:
    """A key is the password of the user `api` (RFC 7617), a token a Bearer token (RFC 6750)."""
    basic = WandbLogin(base_url=SERVER, source="", api_key=KEY).authorization
    bearer = WandbLogin(base_url=SERVER, source="", access_token=TOKEN).authorization

    assert f"api:{KEY}" == base64.b64decode(basic.removeprefix("Basic ")).decode()
    assert f"Bearer {TOKEN}" == bearer


def test_reprs() -> None:
    """No repr holds a key or a token."""
    login = WandbLogin(base_url=SERVER, source="x", api_key=KEY, access_token=TOKEN, identity_token=IDENTITY)
    shown = f"{login!r} {Account(api_key=KEY, access_token=TOKEN)!r}"

    assert [] == [secret for secret in (KEY, TOKEN, IDENTITY) if secret in shown]


@pytest.fixture
async def server(origin: Origin, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[WandbTestServer]:
    """A server that the environment names."""
    async with WandbTestServer(origin) as running:
        running.add("team/vision/model", {"a.bin": 5})
        monkeypatch.setenv("WANDB_BASE_URL", running.base_url)
        yield running


async def names() -> list[str]:
    collection = WandbArtifact("team/vision/model", options=small(), timeouts=QUICK)
    try:
        return [file.name async for file in collection.files()]
    finally:
        await collection.aclose()


async def test_netrc_reaches_the_server(server: WandbTestServer, home: Path) -> None:
    """The whole way: the key of .netrc opens the server, and no file is read on the event loop."""
    netrc(home / ".netrc", server.base_url.removeprefix("http://"))

    assert ["a.bin"] == await names()


async def test_identity_token(server: WandbTestServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A JWT in a file is exchanged for an access token, once."""
    write(tmp_path / "jwt", f"{IDENTITY}\n")
    monkeypatch.setenv("WANDB_IDENTITY_TOKEN_FILE", str(tmp_path / "jwt"))

    assert ["a.bin"] == await names()
    assert 4 == server.requests


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="a FIFO stands for a file whose reading does not end")
async def test_called_off_while_a_file_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The drive of the token's file is gone: neither the caller nor the process waits for it."""
    monkeypatch.setenv("WANDB_IDENTITY_TOKEN_FILE", str(tmp_path / "jwt"))
    source = WandbFile("team/vision/model", "a.bin", base_url=SERVER, options=small(), timeouts=QUICK)

    assert (True, []) == await called_off(tmp_path / "jwt", source)


async def test_another_key(server: WandbTestServer, home: Path) -> None:
    """Whoever logs in again need not start again: a key that was refused is looked up anew."""
    netrc(home / ".netrc", server.base_url.removeprefix("http://"), OTHER)
    source = WandbFile("team/vision/model", "a.bin", options=small(), timeouts=QUICK)
    with pytest.raises(SourceError, match="does not accept the credentials from"):
        await source(None)
    netrc(home / ".netrc", server.base_url.removeprefix("http://"))

    assert (await source(None)).url in server.urls


async def test_tokens_that_run_out(server: WandbTestServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An access token is used for its hour; for the next one the identity token is read from its file again."""
    write(tmp_path / "jwt", IDENTITY)
    monkeypatch.setenv("WANDB_IDENTITY_TOKEN_FILE", str(tmp_path / "jwt"))
    clock = ManualClock()
    exchanges = []

    async with WandbServer("what", Account(), options=small(), timeouts=QUICK, clock=clock) as running:
        for passed in (0.0, 3000.0, 600.0):
            clock.advance(passed)
            before = server.requests
            await running.ask("{ viewer { id } }", {}, running.deadline(10.0))
            exchanges.append(server.requests - before - 1)
        write(tmp_path / "jwt", "wrong-" + IDENTITY)
        clock.advance(3600.0)
        with pytest.raises(SourceError, match="no such token"):
            await running.ask("{ viewer { id } }", {}, running.deadline(10.0))

    assert [1, 0, 1] == exchanges


async def test_exchange_that_has_to_wait(
    server: WandbTestServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An overloaded server is asked for the access token again, and gets no question without one."""
    write(tmp_path / "jwt", IDENTITY)
    monkeypatch.setenv("WANDB_IDENTITY_TOKEN_FILE", str(tmp_path / "jwt"))
    server.exchanges.append(busy(503, **{"Retry-After": "0"}))

    assert ["a.bin"] == await names()
    assert 5 == server.requests


async def test_identity_token_that_is_refused(
    server: WandbTestServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server's reason, less the token that it repeats."""
    write(tmp_path / "jwt", "wrong-" + IDENTITY)
    monkeypatch.setenv("WANDB_IDENTITY_TOKEN_FILE", str(tmp_path / "jwt"))

    with pytest.raises(SourceError, match="credentials from WANDB_IDENTITY_TOKEN_FILE") as caught:
        await names()

    assert "no such token" in caught.value.message
    assert IDENTITY not in f"{caught.value} {caught.value.hint}"


@pytest.mark.parametrize("content", [None, b"\xff\xfe"])
def test_identity_token_that_cannot_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | None
) -> None:
    """A file that is not there, or holds no text."""
    if content:
        (tmp_path / "jwt").write_bytes(content)
    monkeypatch.setenv("WANDB_IDENTITY_TOKEN_FILE", str(tmp_path / "jwt"))

    with pytest.raises(SourceError, match="WANDB_IDENTITY_TOKEN_FILE cannot be read"):
        find_login(Account())


def test_two_logins(monkeypatch: pytest.MonkeyPatch) -> None:
    """A key and a token at once: nobody knows which is meant."""
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    monkeypatch.setenv("WANDB_IDENTITY_TOKEN_FILE", "/nowhere")

    with pytest.raises(SourceError, match="both WANDB_API_KEY and WANDB_IDENTITY_TOKEN_FILE"):
        find_login(Account())
