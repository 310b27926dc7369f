"""What can be imported is what is promised: `__all__` names every public thing, each with a docstring."""

from __future__ import annotations

import importlib
import inspect
from types import ModuleType

import pytest

import asyncdl

PUBLIC_MODULES = ["asyncdl", "asyncdl.testing"]
EXPORTS = [
    (module, name) for module in PUBLIC_MODULES for name in getattr(importlib.import_module(module), "__all__", ())
]
#: Of the whole tree of errors none is private: a caller must be able to catch each.
ERRORS = {
    name
    for name, value in vars(importlib.import_module("asyncdl.errors")).items()
    if isinstance(value, type) and issubclass(value, Exception) and not name.startswith("_")
}


def constants_classes_functions(name: str) -> tuple[bool, bool, str]:
    """The order in which the linter sorts names too."""
    return not name.isupper(), not name[0].isupper(), name


@pytest.mark.parametrize("name", PUBLIC_MODULES)
def test_all_is_all(name: str) -> None:
    """`__all__` holds the public names of the module, each once and in order, and no other."""
    module = importlib.import_module(name)
    there = {key for key in module.__all__ if hasattr(module, key)}  # loads the late ones
    public = {
        key
        for key, value in vars(module).items()
        if not key.startswith("_") and not isinstance(value, ModuleType) and key not in {"annotations", "TYPE_CHECKING"}
    }

    assert sorted(module.__all__, key=constants_classes_functions) == list(module.__all__)
    assert public == set(module.__all__) - {"__version__"}
    assert there == set(module.__all__) & set(dir(module))


@pytest.mark.parametrize(("module", "name"), EXPORTS)
def test_has_a_docstring(module: str, name: str) -> None:
    """A class or function says what it is in words, not in the signature that dataclasses write by themselves."""
    value = getattr(importlib.import_module(module), name)
    if inspect.isclass(value) or inspect.isroutine(value):
        assert value.__doc__
        assert not value.__doc__.startswith(f"{name}(")


def test_every_error_is_public() -> None:
    """The names of the tree of errors are all exported."""
    assert set() == ERRORS - set(asyncdl.__all__)


def test_the_main_names_are_there() -> None:
    """The names every caller starts from are exported."""
    expected = {
        "Options",
        "Progress",
        "Result",
        "Retry",
        "SignedUrl",
        "Timeouts",
        "UrlProvider",
        "__version__",
        "download",
    }

    assert set() == expected - set(asyncdl.__all__)
