"""The pytest fixture `origin`: a running `Origin` for one test.

Put `pytest_plugins = ["asyncdl.testing.pytest_plugin"]` into the top `conftest.py`; it needs pytest-asyncio.

    async def test_download(origin, tmp_path):
        origin.add("/file", 1000)
        await asyncdl.download(origin.url("/file"), tmp_path / "file")
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from asyncdl.testing.origin import Origin

try:
    import pytest_asyncio
except ImportError as _error:
    _MESSAGE = "asyncdl.testing.pytest_plugin needs pytest and pytest-asyncio: pip install pytest pytest-asyncio"
    raise ImportError(_MESSAGE) from _error

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@pytest_asyncio.fixture
async def origin() -> AsyncIterator[Origin]:
    """A fresh origin without objects, closed when the test ends."""
    async with Origin() as running:
        yield running
