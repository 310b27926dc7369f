"""The optional event loop: a whole download on it, expiry and a break included."""

from __future__ import annotations

from pathlib import Path

import pytest

from asyncdl.testing import Fault, Origin
from tests.support.flow import PART, fetch, holds

uvloop = pytest.importorskip("uvloop", reason="uvloop is an extra")


def test_download_on_uvloop(tmp_path: Path) -> None:
    """Nothing in the engine leans on the standard loop."""

    async def main() -> None:
        async with Origin() as origin:
            content = origin.add("/object", 16 * PART)
            provider = origin.provider("/object", ttl=3600)
            origin.script(
                Fault(request=2, drop_after=1000),
                Fault(request=4, status=403, body=b"<Code>ExpiredToken</Code><Message>expired</Message>"),
            )

            result = await fetch(provider, tmp_path / "file")

            assert holds(tmp_path / "file", content)
            assert (1, 1) == (result.retries, result.refreshes)

    uvloop.run(main())
