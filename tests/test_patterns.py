"""Expressions that are compiled late: each is one, and says what the module `re` would."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

from asyncdl.patterns import Pattern

_ROOT = Path(__file__).parents[1]
_MODULES = sorted(
    ".".join(path.relative_to(_ROOT).with_suffix("").parts)
    for path in (_ROOT / "asyncdl").rglob("*.py")
    if "Pattern(" in path.read_text(encoding="utf-8") and path.name != "patterns.py"
)


@pytest.mark.parametrize("module", _MODULES)
def test_every_expression_is_one(module: str) -> None:
    """A mistake in one shows here, and not when a user comes to need it."""
    values = vars(importlib.import_module(module)).values()
    found = [each for value in values for each in (value if isinstance(value, tuple) else [value])]
    patterns = [each for each in found if isinstance(each, Pattern)]

    assert patterns
    assert [each.text for each in patterns] == [each.compiled().pattern for each in patterns]


def test_sees_the_package() -> None:
    """The check above looked at something."""
    assert {"asyncdl.options", "asyncdl.rules.redaction", "asyncdl.cli.values"} <= set(_MODULES)


def test_compiled_once_and_late(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is compiled until it is used, and then once."""
    asked: list[tuple[str, int]] = []
    compiled = re.compile("A", re.IGNORECASE)

    def compile_(text: str, flags: int) -> re.Pattern[str]:
        asked.append((text, flags))
        return compiled

    monkeypatch.setattr(re, "compile", compile_)
    pattern = Pattern("A", re.IGNORECASE)
    before = list(asked)

    assert pattern.match("a")
    assert pattern.match("A")
    assert ([], [("A", re.IGNORECASE)]) == (before, asked)


def test_methods() -> None:
    """They take and give what those of `re.Pattern` do, for bytes as well."""
    late, there = Pattern(r"(b)(\d)", re.IGNORECASE), re.compile(r"(b)(\d)", re.IGNORECASE)
    text = "b1 B2 b3"

    assert there.findall(text) == late.findall(text)
    assert [match.span() for match in there.finditer(text)] == [match.span() for match in late.finditer(text)]
    assert there.sub(r"\2", text) == late.sub(r"\2", text)
    assert "b2" == (late.search(text, 1) or [""])[0].lower()
    assert late.fullmatch(text) is None
    assert Pattern(rb"\d+").fullmatch(b"12") is not None
