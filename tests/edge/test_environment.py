"""What is read from the process's environment: proxies and trust stores; and the clock."""

from __future__ import annotations

import asyncio
import ssl
import time
from pathlib import Path

import pytest
import trustme

from asyncdl.edge.clock import Clock
from asyncdl.edge.environment import check_proxy, proxy_for, trust_store
from asyncdl.errors import OptionsError
from tests.support.http import SECRET, words_of

VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "REQUEST_METHOD")
TRUST = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment that says nothing."""
    for name in (*VARIABLES, *(name.lower() for name in VARIABLES), *TRUST):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A file with one certificate in it."""
    path = tmp_path / "bundle.pem"
    trustme.CA().cert_pem.write_to_path(path)
    return path


@pytest.mark.parametrize(
    ("proxy", "expected"),
    [
        ("http://proxy.test:3128", "http://proxy.test:3128"),
        ("https://proxy.test", "https://proxy.test"),
        ("proxy.test:3128", "http://proxy.test:3128"),
        ("proxy.test", "http://proxy.test"),
        ("user:pw@proxy.test:1", "http://user:pw@proxy.test:1"),
        ("http://[::1]:3128", "http://[::1]:3128"),
    ],
)
def test_proxy(proxy: str, expected: str) -> None:
    """With a scheme or without, as people write it."""
    assert expected == check_proxy(proxy)


@pytest.mark.parametrize(
    "proxy",
    [
        "",
        "http://",
        "://x",
        "socks5://{}@proxy.test:1080",
        "ftp://{}@proxy.test",
        "http://{}@proxy.test:0",
        "http://{}@proxy.test:99999",
        "http://{}@proxy.test:port",
        "http://{}@[::1",
        "http://{}@:3128",
    ],
)
def test_no_proxy_url(proxy: str) -> None:
    """What cannot be used is refused, and not repeated."""
    with pytest.raises(OptionsError) as caught:
        check_proxy(proxy.format(SECRET))

    assert SECRET not in words_of(caught.value)
    assert caught.value.hint is not None


@pytest.mark.parametrize(
    ("variables", "url", "expected"),
    [
        ({}, "http://a.test/", None),
        ({"HTTP_PROXY": "p:1"}, "http://a.test/", "http://p:1"),
        ({"HTTP_PROXY": "p:1"}, "https://a.test/", None),
        ({"https_proxy": "http://p:1"}, "https://a.test/", "http://p:1"),
        ({"ALL_PROXY": "http://p:1"}, "https://a.test/", "http://p:1"),
        ({"ALL_PROXY": "http://p:1", "HTTP_PROXY": "q:2"}, "http://a.test/", "http://q:2"),
        ({"ALL_PROXY": "http://p:1", "HTTP_PROXY": ""}, "http://a.test/", "http://p:1"),
        ({"HTTP_PROXY": "p:1", "http_proxy": "q:2"}, "http://a.test/", "http://q:2"),
        # A CGI program's HTTP_PROXY comes from a request's Proxy header ("httpoxy", CVE-2016-5385).
        ({"HTTP_PROXY": "evil:1", "REQUEST_METHOD": "GET"}, "http://a.test/", None),
    ],
)
def test_which_proxy(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], url: str, expected: str | None
) -> None:
    """The scheme's own variable, then the one for all; lower case first."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    assert expected == proxy_for(url)


@pytest.mark.parametrize(
    ("exempt", "url", "direct"),
    [
        ("", "http://a.test/", False),
        ("*", "http://a.test/", True),
        ("a.test", "http://a.test/", True),
        ("a.test", "http://A.test:8080/", True),
        ("a.test", "http://sub.a.test/", True),
        ("a.test", "http://nota.test/", False),
        (".a.test", "http://sub.a.test/", True),
        ("b.test , a.test", "http://a.test/", True),
        ("a.test:8080", "http://a.test:8080/", True),
        ("a.test:8080", "http://a.test/", False),
        ("127.0.0.1", "http://user:pw@127.0.0.1:9/", True),
        ("127.0.0.1:9", "http://user:pw@127.0.0.1:9/", True),
        ("user", "http://user:pw@127.0.0.1:9/", False),
        ("::1", "http://[::1]:9/", True),
        ("[::1]", "http://[::1]:9/", True),
    ],
)
def test_no_proxy(monkeypatch: pytest.MonkeyPatch, exempt: str, url: str, direct: bool) -> None:
    """Hosts, their subdomains, with a port or without; a user's name is no host."""
    monkeypatch.setenv("HTTP_PROXY", "p:1")
    monkeypatch.setenv("NO_PROXY", exempt)

    assert (None if direct else "http://p:1") == proxy_for(url)


def test_unusable_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable that cannot be followed is an error rather than a request past the proxy."""
    monkeypatch.setenv("HTTPS_PROXY", f"socks5://user:{SECRET}@p:1")

    with pytest.raises(OptionsError) as caught:
        proxy_for("https://a.test/")
    assert SECRET not in words_of(caught.value)


def count(context: ssl.SSLContext) -> int:
    """Certificates in a store, those that are only looked up on demand left out."""
    return context.cert_store_stats()["x509_ca"]


def test_system_store() -> None:
    """Without a word from anybody, the system's; and always strict."""
    context = trust_store(None, use_environment=True)

    assert (ssl.CERT_REQUIRED, True) == (context.verify_mode, context.check_hostname)


def test_file(bundle: Path) -> None:
    """A file that was given is all that is trusted."""
    context = trust_store(str(bundle), use_environment=True)

    assert (1, ssl.CERT_REQUIRED, True) == (count(context), context.verify_mode, context.check_hostname)


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"])
def test_variables(monkeypatch: pytest.MonkeyPatch, bundle: Path, tmp_path: Path, variable: str) -> None:
    """Each of the usual variables is followed, and none where the environment is switched off."""
    monkeypatch.setenv(variable, str(bundle))
    if variable == "SSL_CERT_FILE":
        monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "none"))

    assert 1 == count(trust_store(None, use_environment=True))
    assert 1 != count(trust_store(None, use_environment=False))


def test_option_wins_over_variables(monkeypatch: pytest.MonkeyPatch, bundle: Path) -> None:
    """A file that was given needs no variable to be right."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere")

    assert 1 == count(trust_store(str(bundle), use_environment=True))


def test_nobody_is_trusted_without_a_store(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, bundle: Path) -> None:
    """Where the system has no store and the variables do not count, nobody is believed."""
    real = ssl.get_default_verify_paths()
    none = str(tmp_path / "none")
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
    monkeypatch.setattr(
        ssl, "get_default_verify_paths", lambda: real._replace(openssl_cafile=none, openssl_capath=none)
    )

    context = trust_store(None, use_environment=False)

    assert (0, ssl.CERT_REQUIRED, True) == (count(context), context.verify_mode, context.check_hostname)


def test_directory(tmp_path: Path) -> None:
    """A directory is looked up on demand, and nothing else is trusted."""
    assert 0 == count(trust_store(str(tmp_path), use_environment=False))


@pytest.mark.parametrize("name", ["missing.pem", "empty.pem", "a\0b", ""])
def test_unusable_file(tmp_path: Path, name: str) -> None:
    """A file without a certificate, or without existence, is the caller's mistake, and named."""
    (tmp_path / "empty.pem").write_text("")
    path = name and f"{tmp_path}/{name}"

    with pytest.raises(OptionsError, match="cannot use the CA file") as caught:
        trust_store(path, use_environment=False)
    assert Path(path).name.split("\0")[0] in str(caught.value)


def test_unusable_variable_for_trust(monkeypatch: pytest.MonkeyPatch) -> None:
    """So is a variable that names none."""
    monkeypatch.setenv("CURL_CA_BUNDLE", "/nowhere/ca.pem")

    with pytest.raises(OptionsError, match=r"/nowhere/ca\.pem"):
        trust_store(None, use_environment=True)


async def test_clock() -> None:
    """Its times are the system's, its sleep lets others run, its die has more than one side."""
    clock = Clock()
    before = (time.monotonic(), time.time())
    shown = (clock.monotonic(), clock.wall())
    after = (time.monotonic(), time.time())
    ran: list[bool] = []
    asyncio.get_running_loop().call_soon(ran.append, True)
    await clock.sleep(0)

    assert all(low <= value <= high for low, value, high in zip(before, shown, after, strict=True))
    assert [True] == ran
    rolls = {clock.jitter() for _ in range(20)}
    assert len(rolls) > 1
    assert all(0 <= roll <= 1 for roll in rolls)
