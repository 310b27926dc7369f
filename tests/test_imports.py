"""What is loaded and when: who does not use a part of the package does not wait for it. Modules, never seconds."""

from __future__ import annotations

import subprocess
import sys

import pytest

import asyncdl

_WITHIN = 30.0


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
        ("import asyncdl; asyncdl.SignedUrl", {"errors", "model"}),
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


def test_garbage_is_collected_from_the_download_on() -> None:
    """The command loads its modules with the collector off; the download that follows has it on, without them."""
    code = (
        "import gc\nimport asyncdl.cli.main\nfrom asyncdl.cli.run import engine_download\n"
        "def main():\n    before = gc.isenabled()\n    engine_download()\n"
        "    return 0 if not before and gc.isenabled() and gc.get_freeze_count() > 10_000 else 1\n"
        "asyncdl.cli.main.main = main\nfrom asyncdl.__main__ import entry\nentry()"
    )

    assert 0 == subprocess.run([sys.executable, "-c", code], timeout=_WITHIN, check=False).returncode


def test_the_collector_of_others_is_theirs() -> None:
    """Where it was on, it stays on, and nothing is taken from it."""
    loaded_by(
        "import gc\nfrom asyncdl.cli.run import engine_download\nengine_download()\nassert 0 == gc.get_freeze_count()"
    )
