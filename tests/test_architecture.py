"""The layers hold: imports go down, decisions are pure, each effect has one owner, files and functions stay short."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.layers import findings, long_functions

PACKAGE = Path(__file__).parents[1] / "asyncdl"
MODULES = sorted(path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py"))
MOST_LINES_OF_FILE = 350
MOST_LINES_OF_FUNCTION = 60


def read(module: str) -> str:
    return (PACKAGE / module).read_text(encoding="utf-8")


@pytest.mark.parametrize("module", MODULES)
def test_layers(module: str) -> None:
    """A module imports only what lies below it, and only the libraries that are its business."""
    found = findings(module, read(module))

    assert [] == found


@pytest.mark.parametrize("module", MODULES)
def test_short_enough_to_read(module: str) -> None:
    """A file fits a few screens and a function one."""
    source = read(module)

    assert MOST_LINES_OF_FILE >= len(source.splitlines())
    assert [] == long_functions(module, source, MOST_LINES_OF_FUNCTION)


@pytest.mark.parametrize("module", MODULES)
def test_says_what_it_is(module: str) -> None:
    """Each module opens with a docstring, and its first line is a sentence."""
    first = read(module).partition("\n")[0]

    assert first.startswith('"""')
    assert len(first) > len('"""x."""')


def test_sees_the_package() -> None:
    """The checks above looked at something: the modules everyone knows are among them."""
    assert {"errors.py", "options.py", "model.py", "rules/parts.py", "edge/http.py"} <= set(MODULES)


@pytest.mark.parametrize(
    ("module", "source"),
    [
        # Upwards, sideways, and in the ways an import can be written.
        ("errors.py", "from asyncdl.model import Part"),
        ("options.py", "import asyncdl.model"),
        ("rules/parts.py", "from asyncdl.edge.http import Http"),
        ("rules/parts.py", "from ..edge import http"),
        ("edge/files.py", "from .. import engine"),
        ("fetcher.py", "def late():\n    from asyncdl.writer import Writer"),
        ("engine.py", "if TYPE_CHECKING:\n    from asyncdl.downloader import Downloader"),
        ("sources/s3.py", "from asyncdl.testing import Origin"),
        # Through the front door.
        ("engine.py", "import asyncdl"),
        ("engine.py", "from asyncdl import Options"),
        ("sources/s3.py", "from asyncdl import download"),
        # What no layer knows.
        ("helpers.py", ""),
        ("cli/main.py", "from asyncdl.helpers import thing"),
        # Decisions with effects.
        ("rules/retry.py", "import random"),
        ("rules/retry.py", "from time import monotonic"),
        ("rules/retry.py", "import asyncio.locks"),
        ("rules/retry.py", "from pathlib import Path"),
        ("rules/expiry.py", "now = datetime.now(UTC)"),
        ("rules/expiry.py", "text = open('file').read()"),
        ("rules/expiry.py", "async def decide(): pass"),
        # Effects with two owners.
        ("engine.py", "import aiohttp"),
        ("edge/transport.py", "from yarl import URL"),
        ("writer.py", "import os.path"),
        ("edge/http.py", "from aiofiles import open"),
        ("edge/environment.py", "import fcntl"),
        # A test kit that borrows from what it tests.
        ("testing/origin.py", "from asyncdl.rules.ranges import parse"),
        ("testing/origin.py", "import aiohttp"),
    ],
)
def test_flags(module: str, source: str) -> None:
    """The checker sees each kind of mistake."""
    assert 1 == len(findings(module, source))


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("fetcher.py", "from asyncdl.refresher import Refresher\nfrom asyncdl.rules import parts"),
        ("rules/retry.py", "from asyncdl.rules.expiry import parse\nimport re, math"),
        ("edge/http.py", "import aiohttp\nfrom yarl import URL\nfrom asyncdl._version import __version__"),
        ("edge/environment.py", "import os, ssl, urllib.request"),
        ("cli/demo.py", "import asyncdl, os\nfrom asyncdl.testing import Origin\nfrom asyncdl import download"),
        ("testing/tls.py", "import trustme"),
        ("testing/pytest_plugin.py", "import pytest\nfrom .origin import Origin"),
        ("__main__.py", "from asyncdl.cli.main import main"),
    ],
)
def test_lets_pass(module: str, source: str) -> None:
    """The checker has nothing against what is right."""
    assert [] == findings(module, source)


def test_flags_a_long_function() -> None:
    """A function one line too long is found, its neighbour is not."""
    source = "def long():\n    x = 1\n    return x\n\nasync def short():\n    pass\n"

    assert ["m.py:1: long has 3 lines, more than 2"] == long_functions("m.py", source, 2)
