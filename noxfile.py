"""The developer's sessions; `nox` runs the default ones, `./tests/run` is the one command that runs what must pass."""

from __future__ import annotations

import os
import shutil
import sys
import tomllib
from pathlib import Path

import nox

nox.needs_version = ">=2024.10.9"
nox.options.default_venv_backend = "virtualenv"
nox.options.reuse_existing_virtualenvs = True
nox.options.error_on_external_run = True
# A missing interpreter is a skipped session on a laptop and a failure in CI.
nox.options.error_on_missing_interpreters = bool(os.environ.get("CI"))
nox.options.sessions = ["lint", "types", "tests", "coverage"]

_PROJECT = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]
_CLASSIFIER = "Programming Language :: Python :: 3."
#: From the classifiers, so that what is promised is what is tested.
PYTHONS = [
    name.removeprefix("Programming Language :: Python :: ")
    for name in _PROJECT["classifiers"]
    if name.startswith(_CLASSIFIER)
]
#: Per cent, branches included: of everything, and of the decisions, which have no excuse.
COVERAGE = 95
COVERAGE_OF_RULES = 100


@nox.session
def lint(session: nox.Session) -> None:
    """Style and the usual mistakes."""
    session.install("ruff")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
def types(session: nox.Session) -> None:
    """Types: everything with mypy, the public API with pyright as a caller would see it."""
    session.install(".[test,cli]", "mypy", "pyright", "types-aiofiles", "nox")
    session.run("mypy")
    session.run("pyright", "tests/typing")
    # In an empty directory, so that the installed package is judged.
    with session.chdir(session.create_tmp()):
        session.run("pyright", "--verifytypes", "asyncdl", "--ignoreexternal")


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """The tests on every version promised; `nox -s tests-3.12 -- -k name` passes arguments on."""
    session.install(".[test,cli,uvloop]", "hatchling")
    data = {"COVERAGE_FILE": f".coverage.{session.python}"}
    session.run("pytest", *(session.posargs or ["-n", "4", "--dist", "worksteal"]), "--cov", "--cov-report=", env=data)


@nox.session
def plain(session: nox.Session) -> None:
    """The tests once more, with bodies received the plain way instead of into pooled buffers."""
    session.install(".[test,cli,uvloop]", "hatchling")
    session.run("pytest", "--receive=plain", *(session.posargs or ["-n", "4", "--dist", "worksteal"]))


@nox.session
def coverage(session: nox.Session) -> None:
    """One report over all versions that ran, with the least that is accepted."""
    session.install("coverage")
    session.run("coverage", "combine", success_codes=[0, 1])  # 1: combined before
    session.run("coverage", "report", f"--fail-under={COVERAGE}")
    session.run("coverage", "report", "--include=asyncdl/rules/*", f"--fail-under={COVERAGE_OF_RULES}")


@nox.session
def bench(session: nox.Session) -> None:
    """Measures beside other clients: `nox -s bench -- --quick`; docs/benchmarks.md says what, and what for."""
    session.install(
        ".[test,cli,uvloop]", *nox.project.dependency_groups(nox.project.load_toml("pyproject.toml"), "bench")
    )
    wanted = session.posargs or ["--quick"]
    out = [] if "--out" in wanted else ["--out", "benchmarks.json"]
    session.run("python", "-m", "benchmarks", "run", *wanted, *out)


@nox.session
def micro(session: nox.Session) -> None:
    """Costs of the smallest steps against the stored ones: instructions where perf or valgrind counts them."""
    session.install(".[test]")
    session.run("python", "-m", "benchmarks", "micro", *(session.posargs or ["--check"]))


@nox.session
def fuzz(session: nox.Session) -> None:
    """Minutes of each fuzz target and of random downloads; `nox -s fuzz -- judge --seconds 600` for one target."""
    session.install(".[test,cli]")
    # Wheels for Linux and these versions; elsewhere the loop of our own does the work.
    if sys.platform == "linux" and sys.version_info < (3, 14):
        session.install("--only-binary", ":all:", "atheris", success_codes=[0, 1])
    session.run("python", "-m", "tests.fuzz", *(session.posargs or ["--seconds", "120"]))
    if not session.posargs:
        session.run("pytest", "tests/flow/test_random.py", "--timeout", "0", env={"HYPOTHESIS_PROFILE": "long"})


@nox.session
def soak(session: nox.Session) -> None:
    """Downloads under random faults, and whether anything grows; `nox -s soak -- --seconds 86400`."""
    session.install(".[test,cli]")
    session.run("python", "-m", "tests.soak", *(session.posargs or ["--seconds", "300"]))


@nox.session
def crash(session: nox.Session) -> None:
    """Power failures at every step of a download, and processes that are killed; minutes of both."""
    session.install(".[test,cli,checksums]")
    session.run("python", "-m", "tests.crash", *(session.posargs or ["--states", "200000"]))
    if not session.posargs:
        session.run("python", "-m", "tests.kill", "--kills", "1000")
        session.run("python", "-m", "tests.kill.syscalls")


@nox.session
def package(session: nox.Session) -> None:
    """Builds wheel and source archive, checks their metadata, and tries the wheel in an empty environment."""
    session.install("build", "twine", ".[test,cli]", "hatchling")
    shutil.rmtree("dist", ignore_errors=True)
    session.run("python", "-m", "build")
    session.run("twine", "check", "--strict", *map(str, Path("dist").glob("*")))
    session.run("pytest", "tests/test_packaging.py")


@nox.session
def matrix(session: nox.Session) -> None:
    """Other clients before the same servers; `tests/matrix/install.sh` brings them. Writes docs/matrix.md."""
    session.install(".[test,cli]")
    session.run("python", "-m", "tests.matrix", *session.posargs)
