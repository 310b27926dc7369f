"""The scenarios as a document, for people."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby

from asyncdl.testing.scenarios.model import Scenario

_HEAD = """\
# Scenarios

How servers misbehave, and what a client must do then. Every case is data in `asyncdl.testing.scenarios`, and a test of
asyncdl over 1, 4 and 16 connections. This page is written by `python -m asyncdl.testing.scenarios --markdown`.

"The object" means the file appears, byte for byte. An error means that no file appears, and names the `code` of the
exception; "asked" is how often at most the same first byte may be asked for.

Your own client, in Python, with pytest-asyncio and its `asyncio_mode = "auto"`:

```python
import pytest

from asyncdl.testing.scenarios import ALL, staged


@pytest.mark.parametrize("scenario", ALL, ids=str)
async def test_my_client(scenario, tmp_path):
    async with staged(scenario, tmp_path) as stage:
        ...  # let the client fetch `stage.url` to a file
        assert "wrong" != stage.brought(tmp_path / "file")
```

The servers run on the test's event loop: a client that blocks belongs in `asyncio.to_thread`. Where a case says that a
size is declared, it is `stage.declared`; where a URL expires, `await stage.provider()` returns the next one.

In another language: `python -m asyncdl.testing.scenarios "A03 always"` serves one of them until its standard input
ends, and prints its URL as JSON, with the size to declare to the client, or null.
"""


def markdown(scenarios: Iterable[Scenario]) -> str:
    """The whole page."""
    return "\n".join((_HEAD, *(_row(list(group)) for _, group in groupby(scenarios, key=lambda case: case.row))))


def _row(cases: list[Scenario]) -> str:
    first = cases[0]
    lines = [
        f"## {first.row}: the server {first.server}",
        "",
        f"A client {first.client}." + (f" ({first.source})" if first.source else ""),
        "",
        "| case | ends in | asked |",
        "|---|---|---|",
        *(f"| {case.case} | {_end(case)} | {case.asks} |" for case in cases),
        "",
    ]
    return "\n".join(lines)


def _end(case: Scenario) -> str:
    if not case.errors:
        refreshes = f", at most {case.refreshes} refreshes" if case.refreshes else ""
        return f"the object{refreshes}"
    return "error: " + " or ".join(f"`{code}`" for code in case.errors)
