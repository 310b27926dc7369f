"""A hostile neighbourhood: several origins, a home directory full of passwords, and no proxy but the test's own."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import trustme

from asyncdl.testing import Origin
from tests.support.secrets import NETRC

_PROXY_VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a certificate authority; a server's key and chain lie beside it."""
    made, folder = trustme.CA(), tmp_path_factory.mktemp("tls")
    names = ("127.0.0.1", "127.0.0.2", "localhost")
    made.issue_cert(*names).private_key_and_cert_chain_pem.write_to_path(folder / "server.pem")
    made.cert_pem.write_to_path(folder / "ca.pem")
    return folder / "ca.pem"


@pytest.fixture(autouse=True)
def hostile_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """A .netrc with an entry for every host there is, found by $HOME and by $NETRC; no proxy of this machine's."""
    home = tmp_path_factory.mktemp("home")
    lines = [f"machine {host} login {NETRC} password {NETRC}" for host in ("127.0.0.1", "127.0.0.2", "localhost")]
    (home / ".netrc").write_text("\n".join([*lines, f"default login {NETRC} password {NETRC}", ""]))
    (home / ".netrc").chmod(0o600)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("NETRC", str(home / ".netrc"))
    for name in _PROXY_VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
async def origins(authority: Path) -> AsyncIterator[dict[str, Origin]]:
    """One server for each way to be another origin, by the letter the tests know it by.

    A: home. P: another port. H: another host, the same port. L: A under its other name. S: https. T: https, elsewhere.
    """
    async with AsyncExitStack() as stack:
        home = await stack.enter_async_context(Origin())
        found = {"A": home, "L": home, "P": await stack.enter_async_context(Origin())}
        found["H"] = await stack.enter_async_context(Origin(host="127.0.0.2", port=home.port))
        for letter, host in (("S", "127.0.0.1"), ("T", "127.0.0.2")):
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(authority.with_name("server.pem"))
            found[letter] = await stack.enter_async_context(Origin(host=host, ssl=context))
        yield found
