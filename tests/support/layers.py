"""The layers of asyncdl and the checker that holds a module to its own: source text in, findings out.

Rule: an import goes to a lower rank, or stays within its own unit. A unit is a top-level module or a folder.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import PurePosixPath

#: Every unit must be named here; a new file in a folder belongs to that folder.
RANKS = {
    "_version": 0,
    "patterns": 0,
    "errors": 1,
    "wire": 1,
    "options": 2,
    "model": 2,
    "rules": 3,
    "edge": 4,
    "progress": 5,
    "refresher": 5,
    "gate": 5,
    "slots": 4,
    "room": 5,
    "summary": 5,
    "checks": 5,
    "hosts": 6,
    "guard": 5,
    "watch": 5,
    "small": 5,
    "target": 5,
    "rows": 5,
    "scheduler": 6,
    "suppliers": 7,
    "job": 8,
    "mirrored": 9,
    "receiver": 9,
    "verifier": 9,
    "writer": 10,
    "fetcher": 10,
    "resume": 9,
    "crew": 11,
    "large": 11,
    "account": 12,
    "engine": 13,
    "trials": 14,
    "calls": 15,
    "batch": 15,
    "downloader": 16,
    "sources": 17,
    "testing": 17,
    "cli": 18,
    "__init__": 19,
    "__main__": 19,
}
#: The layers that carry out a download; the others use them.
ENGINE_LAYERS = {unit for unit, rank in RANKS.items() if rank <= RANKS["downloader"]}

_HTTP_LIBRARIES = {"aiohttp", "yarl"}
_HTTP_MODULES = {
    "edge/http.py",
    "edge/http_ask.py",
    "edge/http_connections.py",
    "edge/http_faults.py",
    "edge/http_pooled.py",
    "edge/http_response.py",
}
_FILE_MODULES = {"edge/disk.py", "edge/files.py", "edge/opening.py", "edge/destination.py", "edge/refusals.py"}
_FILE_LIBRARIES = {"os", "aiofiles", "fcntl", "shutil", "tempfile"}
#: What a module of the test kit may need besides the standard library.
_KIT_LIBRARIES = {
    "testing/pytest_plugin.py": {"pytest", "pytest_asyncio"},
    "testing/tls.py": {"trustme", "cryptography"},
}
_ENVIRONMENT_MODULE = "edge/environment.py"
#: What a pure decision has no business with.
_IMPURE = {
    *_HTTP_LIBRARIES,
    *_FILE_LIBRARIES,
    "anyio",
    "asyncio",
    "concurrent",
    "logging",
    "pathlib",
    "random",
    "secrets",
    "socket",
    "ssl",
    "subprocess",
    "sys",
    "threading",
    "time",
}
_IMPURE_CALLS = {"open", "print", "input"}
_CLOCK_METHODS = {"now", "utcnow", "today"}


def unit_of(path: str) -> str:
    """The unit of a file, by its path within asyncdl/ (`rules/parts.py` is of `rules`)."""
    return PurePosixPath(path).parts[0].removesuffix(".py")


def findings(path: str, source: str) -> list[str]:
    """What is wrong with the module at `path` within asyncdl/, as one line each."""
    unit = unit_of(path)
    if unit not in RANKS:
        return [f"{path}: has no layer; give it a rank"]
    tree = ast.parse(source)
    found = []
    for line, module in _imports(path, tree):
        top, _, rest = module.partition(".")
        problem = _inside(unit, rest) if top == "asyncdl" else _outside(path, unit, top)
        if problem:
            found.append(f"{path}:{line}: imports {module}: {problem}")
    if unit == "rules":
        found += [f"{path}:{line}: {problem}" for line, problem in _impure_calls(tree)]
    return found


def _inside(unit: str, target: str) -> str | None:
    if not target:
        allowed = unit in {"cli", "__main__"}
        return None if allowed else "nobody but the command goes through the package's front door"
    other = unit_of(target.replace(".", "/"))
    if other not in RANKS:
        return "has no layer"
    if unit == "testing" and other not in {"testing", "errors", "model", "_version"}:
        return "testing must not share code with what it tests"
    if other != unit and RANKS[other] >= RANKS[unit]:
        return f"{unit} (rank {RANKS[unit]}) is not above {other} (rank {RANKS[other]})"
    return None


def _outside(path: str, unit: str, top: str) -> str | None:
    if unit == "rules" and top in _IMPURE:
        return "rules are pure"
    known = {*sys.stdlib_module_names, *_KIT_LIBRARIES.get(path, ())}
    if unit == "testing" and top not in known:
        return "testing needs nothing but the standard library"
    if unit not in ENGINE_LAYERS:
        return None
    if top in _HTTP_LIBRARIES and path not in _HTTP_MODULES:
        return "edge/http*.py own HTTP"
    if top in _FILE_LIBRARIES and path not in _FILE_MODULES and not (path == _ENVIRONMENT_MODULE and top == "os"):
        return "edge/disk.py and its neighbours own the file system"
    return None


def _imports(path: str, tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Each import as its line and the full name of the module; one below a TYPE_CHECKING counts like any other."""
    package = ("asyncdl", *PurePosixPath(path).parts[:-1])
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, name.name) for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join((*base, *([node.module] if node.module else [])))
            # `from asyncdl import engine` means the module; a name of the front door is no layer and fails as one.
            named = [f"asyncdl.{name.name}" if name.name in RANKS else "asyncdl" for name in node.names]
            yield from ((node.lineno, name) for name in (named if module == "asyncdl" else [module]))


def _impure_calls(tree: ast.AST) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            match node.func:
                case ast.Name(id=name) if name in _IMPURE_CALLS:
                    yield node.lineno, f"calls {name}: rules are pure"
                case ast.Attribute(attr=name) if name in _CLOCK_METHODS:
                    yield node.lineno, f"calls {name}: rules read no clock"
                case _:
                    pass
        elif isinstance(node, ast.AsyncFunctionDef | ast.Await):
            yield node.lineno, "awaits: rules are pure"


def long_functions(path: str, source: str, limit: int) -> list[str]:
    """Functions with more than `limit` lines from `def` to their end, docstring included."""
    return [
        f"{path}:{node.lineno}: {node.name} has {length} lines, more than {limit}"
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (length := (node.end_lineno or node.lineno) - node.lineno + 1) > limit
    ]
