"""The built wheel works where there is no checkout: it holds all modules, its types, and the command."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

import asyncdl
from tests.support.process import unavailable

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
IMPORTS = "import asyncdl, asyncdl.testing; print(asyncdl.__file__); print(asyncdl.__version__)"


def run(*command: str, cwd: Path, **environment: str) -> str:
    """What the command printed.

    Its environment has no PYTHONPATH of ours, and names no index, so that nothing can come from anywhere else.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "COVERAGE", "PIP_"))}
    done = subprocess.run(
        command, cwd=cwd, env={**kept, **environment}, capture_output=True, text=True, timeout=150, check=False
    )

    assert 0 == done.returncode, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the checkout with the build backend that is installed here."""
    if importlib.util.find_spec("hatchling") is None:
        unavailable("hatchling is not installed, and fetching it is not for a test to do")
    dist = tmp_path_factory.mktemp("dist")
    build = f"from hatchling.build import build_wheel; build_wheel({str(dist)!r})"
    run(sys.executable, "-c", build, cwd=ROOT)
    (built,) = dist.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of a fresh environment with the wheel, and the dependencies of this one behind it."""
    home = tmp_path_factory.mktemp("fresh")
    venv.create(home, with_pip=False, symlinks=True)
    site = next((home / "lib").glob("python*")) / "site-packages"
    with zipfile.ZipFile(wheel) as archive:
        # A wheel of pure Python is installed by unpacking it (PEP 427).
        archive.extractall(site)
    # A path file comes after the environment's own packages, and does not run the path files of the other one: an
    # editable install of the checkout there stays out of sight.
    (site / "dependencies.pth").write_text(f"{sysconfig.get_path('purelib')}\n{sysconfig.get_path('platlib')}\n")
    return home / "bin" / "python"


def test_the_wheel_is_complete(wheel: Path) -> None:
    """Every module of the checkout is in it, with the marker of its types and the licence, and nothing else."""
    modules = {path.relative_to(ROOT).as_posix() for path in (ROOT / "asyncdl").rglob("*.py")}
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    packed = {name for name in names if ".dist-info/" not in name}
    about = {name.partition(".dist-info/")[2] for name in names - packed}

    assert modules | {"asyncdl/py.typed"} == packed
    assert {"METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE"} == about


def test_the_wheel_is_what_is_imported(python: Path, tmp_path: Path) -> None:
    """In an empty directory the package comes from the fresh environment, with the version of the checkout."""
    place, version = run(str(python), "-c", IMPORTS, cwd=tmp_path).split("\n")[:2]

    assert Path(place).is_relative_to(python.parents[1])
    assert asyncdl.__version__ == version


def test_the_command_runs(python: Path, tmp_path: Path) -> None:
    """`python -m asyncdl --version` tells the version."""
    assert asyncdl.__version__ in run(str(python), "-m", "asyncdl", "--version", cwd=tmp_path)
