"""What is loaded and when: who does not use a part of the package does not wait for it. Modules, never seconds."""

from __future__ import annotations

import asyncio
import os
import ssl
import subprocess
import sys
from pathlib import Path

import pytest
import trustme

import asyncdl
from asyncdl.testing import Origin

_WITHIN = 150.0
#: What a download from a plain server to a file does without.
LATE = {
    "asyncdl.cli.bar",
    "asyncdl.cli.demo",
    "awscrt",
    "html",
    "pytest",
    "rich",
    "sqlite3",
    "unittest",
    "uvloop",
    "xml",
}
#: Variables that would lead the command elsewhere.
UNWANTED = {"SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "HTTP_PROXY", "HTTPS_PROXY"}
UNWANTED |= {"ALL_PROXY", *(name.lower() for name in UNWANTED), "all_proxy"}


def loaded_by(code: str) -> set[str]:
    """The modules that a fresh interpreter has after `code`, and had not before."""
    program = f"import sys\nbefore = set(sys.modules)\n{code}\nprint('\\n', *(set(sys.modules) - before), sep='\\n')"
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_WITHIN, check=True)
    return set(done.stdout.rpartition("\n\n")[2].split())


def ours(modules: set[str]) -> set[str]:
    return {name for name in modules if name.partition(".")[0] == "asyncdl"}


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("import asyncdl", set()),
        ("import asyncdl; asyncdl.__version__", set()),
        ("import asyncdl; asyncdl.DeadlineError", {"errors"}),
        ("import asyncdl; asyncdl.Options", {"errors", "options", "patterns"}),
        ("import asyncdl; asyncdl.SignedUrl", {"errors", "model", "wire"}),
    ],
)
def test_the_package_loads_what_is_used(code: str, expected: set[str]) -> None:
    """Of asyncdl itself what a name needs, and of other packages none."""
    loaded = loaded_by(code)

    assert {"asyncdl", "asyncdl._version", *(f"asyncdl.{name}" for name in expected)} == ours(loaded)
    assert set() == {name.partition(".")[0] for name in loaded - ours(loaded)} - sys.stdlib_module_names
    assert set() == loaded & {"asyncio", "logging", "ssl", "subprocess"}


def test_submodules_are_there_for_whoever_asks() -> None:
    """What a type checker takes for an attribute of the package is one, whatever was loaded before."""
    loaded = loaded_by("import asyncdl\nassert asyncdl.model.Part is asyncdl.model.Part\nassert asyncdl.errors.__doc__")

    assert {"asyncdl.model", "asyncdl.errors"} <= loaded


def test_all_at_once() -> None:
    """`import *` gives every public name."""
    code = (
        "import asyncdl\nfrom asyncdl import *\nassert [] == [one for one in asyncdl.__all__ if one not in globals()]"
    )

    assert "asyncdl.engine" in loaded_by(code)


def test_an_unknown_name() -> None:
    """It is an AttributeError that has the name, as of any module."""
    with pytest.raises(AttributeError, match="nothing") as caught:
        asyncdl.nothing  # noqa: B018  # that is the question

    assert "nothing" == caught.value.name


#: What the process of the command begins with.
CLAIMED = "from asyncdl.cli.process import claim\nclaim()\n"
LOAD = "from asyncdl.cli.run import engine_download\nengine_download()\n"


def test_garbage_is_collected_from_the_download_on() -> None:
    """The command loads its modules with the collector off; the download that follows has it on, without them."""
    code = (
        f"import gc\n{CLAIMED}assert not gc.isenabled()\n{LOAD}assert gc.isenabled() and gc.get_freeze_count() > 10_000"
    )

    assert "asyncdl.engine" in loaded_by(code)


def test_the_collector_of_others_is_theirs() -> None:
    """In another's process it stays on, and nothing is taken from it."""
    code = f"import gc\n{LOAD}assert gc.isenabled() and 0 == gc.get_freeze_count()"

    assert "asyncdl.engine" in loaded_by(code)


@pytest.mark.parametrize(("claim", "expected"), [(CLAIMED, 0), ("", 1)])
def test_certificates_are_read_when_they_are_needed(claim: str, expected: int, tmp_path: Path) -> None:
    """Not while the command loads, and the variables are as they were; in another's process nothing is changed."""
    bundle = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(bundle)
    code = (
        f"import os, ssl\nos.environ['SSL_CERT_FILE'] = {str(bundle)!r}\nos.environ.pop('SSL_CERT_DIR', None)\n{claim}"
        "made = []\nread = ssl.SSLContext.set_default_verify_paths\n"
        "def noted(self):\n    made.append(self)\n    read(self)\n"
        f"ssl.SSLContext.set_default_verify_paths = noted\n{LOAD}"
        f"assert {{{expected}}} >= {{one.cert_store_stats()['x509'] for one in made}}\n"
        f"assert ({str(bundle)!r}, None) == (os.environ['SSL_CERT_FILE'], os.environ.get('SSL_CERT_DIR'))\n"
        "assert 1 == ssl.create_default_context().cert_store_stats()['x509']"
    )

    assert "asyncdl.engine" in loaded_by(code)


async def test_the_command_over_tls(tmp_path: Path) -> None:
    """It trusts whom the environment says, and nobody else."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    async with Origin(ssl=context) as origin:
        content = origin.add("/f", 100_000)
        codes = [
            await command(origin.url("/f"), "-o", str(tmp_path / "f"), SSL_CERT_FILE=str(tmp_path / trusted))
            for trusted in ("nothing.pem", "ca.pem")
        ]

    assert [3, 0] == codes
    assert content.first_difference(tmp_path / "f") is None


async def test_the_command_loads_what_it_uses(origin: Origin, tmp_path: Path) -> None:
    """Without a terminal: no bar, no demo, no server, no sources, no libraries of other purposes."""
    origin.add("/f", 100_000)
    listing = tmp_path / "modules"
    code = (
        "import atexit, sys\n"
        f"atexit.register(lambda: open({str(listing)!r}, 'w').write(' '.join(sys.modules)))\n"
        "from asyncdl.__main__ import entry\nentry()"
    )
    ended = await command(origin.url("/f"), "-o", str(tmp_path / "f"), program=("-c", code))
    loaded = set(listing.read_text(encoding="utf-8").split())

    assert 0 == ended
    assert {"asyncdl.engine", "aiohttp"} <= loaded
    assert set() == loaded & LATE
    assert set() == {
        name for name in loaded if name.startswith(("asyncdl.testing", "asyncdl.sources.command", "rich."))
    }


async def command(*arguments: str, program: tuple[str, ...] = ("-m", "asyncdl"), **changes: str) -> int | None:
    """The exit code of the command, which writes nowhere."""
    environment = {name: value for name, value in os.environ.items() if name not in UNWANTED}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *program,
        *arguments,
        "--retries=0",
        env={**environment, **changes},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(_WITHIN):
            return await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
